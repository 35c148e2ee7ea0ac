"""Pictures and sound become packets at their ticks; the rate follows while encoding goes on."""

import io
from typing import Any

import av
import numpy as np
import pytest

from dialogue.ticks import TICKS_PER_S
from render.encode import EARLY, PRIMING, TICK, PictureEncoder, SoundEncoder, Together
from render.frames import VideoFrame

WIDTH, HEIGHT, FPS = 320, 192, 30
STEP = TICKS_PER_S // FPS
NOISE = np.random.default_rng(1).integers(16, 235, (HEIGHT * 2, WIDTH * 2), np.uint8)


def frame(k: int, *, busy: bool = False) -> VideoFrame:
    """Return a grey picture, or one that takes many bits."""
    i420 = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    if busy:
        x, y = k * 5 % WIDTH, k * 3 % HEIGHT
        i420[:HEIGHT] = NOISE[y : y + HEIGHT, x : x + WIDTH]
    return VideoFrame(k * STEP, k, np.zeros((HEIGHT, WIDTH, 4), np.uint8), i420)


def encoder(**options: Any) -> PictureEncoder:
    return PictureEncoder(width=WIDTH, height=HEIGHT, fps=FPS, threads=1, **options)


def test_a_live_picture_leaves_at_once_with_its_own_pts() -> None:
    pictures = encoder(live=True)
    for k in range(40):
        packets = pictures.encode(frame(k, busy=True), pts=k * STEP + 7)
        assert [(p.pts, p.dts, p.time_base) for p in packets] == [
            (k * STEP + 7, k * STEP + 7, TICK)
        ]


def test_complete_pictures_come_every_two_seconds_and_when_asked_for() -> None:
    pictures = encoder(live=True)
    keys = [
        k for k in range(200) if pictures.encode(frame(k), pts=k * STEP, key=k == 70)[0].is_keyframe
    ]
    assert keys == [0, 60, 70, 130, 190]


def test_the_rate_goes_down_and_up_again_within_two_seconds() -> None:
    pictures = encoder(crf=None, bitrate=800_000, live=True)
    sizes = []
    for k in range(300):
        if k in (90, 180):
            pictures.aim(200_000 if k == 90 else 800_000)
        sizes.append(pictures.encode(frame(k, busy=True), pts=k * STEP)[0].size * 8)
    before, low, after = sum(sizes[30:90]) / 2, sum(sizes[120:180]) / 2, sum(sizes[240:300]) / 2
    assert before == pytest.approx(800_000, rel=0.3)
    assert low == pytest.approx(200_000, rel=0.4)
    assert after == pytest.approx(800_000, rel=0.4)


def test_a_still_picture_takes_a_small_part_of_its_rate() -> None:
    pictures = encoder(crf=None, bitrate=2_000_000, live=True)
    sizes = [pictures.encode(frame(k), pts=k * STEP)[0].size * 8 for k in range(120)]
    assert sum(sizes) / 4 < 100_000


@pytest.mark.parametrize(("profile", "codec"), [("baseline", "avc1.42C0"), ("high", "avc1.6400")])
def test_the_codec_is_named_as_players_want_it(profile: str, codec: str) -> None:
    made = encoder(profile=profile, preset="superfast")
    assert made.codec.startswith(codec)
    assert len(made.codec) == len("avc1.42C01E")


@pytest.mark.parametrize("kind", ["flv", "mpegts", "mp4"])
def test_a_container_made_in_mid_show_begins_at_the_next_complete_picture(kind: str) -> None:
    pictures, sounds = encoder(live=True, in_band=kind == "mpegts"), SoundEncoder()
    for k in range(10):
        pictures.encode(frame(k), pts=k * STEP)
        sounds.encode(np.zeros(STEP, np.float32), pts=k * STEP)
    film = io.BytesIO()
    container = av.open(film, "w", format=kind)
    video, audio = pictures.stream_in(container), sounds.stream_in(container)
    for k in range(10, 40):
        for stream, packets in (
            (audio, sounds.encode(np.full(STEP, 0.2, np.float32), pts=k * STEP)),
            (video, pictures.encode(frame(k), pts=k * STEP, key=k == 10)),
        ):
            for packet in packets:
                packet.stream = stream
                container.mux(packet)
    container.close()
    film.seek(0)
    with av.open(film) as made:
        frames = [f for f in made.decode(video=0) if isinstance(f, av.VideoFrame)]
    film.seek(0)
    with av.open(film) as made:
        sound = np.concatenate([f.to_ndarray()[0] for f in made.decode(audio=0)])
    assert len(frames) == 30
    assert frames[0].key_frame
    assert abs(float(np.abs(sound[TICKS_PER_S // 4 : TICKS_PER_S // 2]).mean()) - 0.2) < 0.05


def test_sound_comes_earlier_by_its_priming() -> None:
    packets = SoundEncoder().encode(np.zeros(4096, np.float32), pts=1000)
    assert packets[0].pts == 1000 - PRIMING


def test_sound_begins_with_the_first_picture_and_has_no_gap_or_overlap() -> None:
    both = Together()
    assert both.sound(0, np.full(1000, 0.1, np.float32)) == []
    assert both.sound(1000, np.full(1000, 0.2, np.float32)) == []
    (begun,) = both.picture(1500)
    assert (begun[0], len(begun[1]), both.first) == (0, 500, 1500)
    assert both.picture(3100) == []
    (late,) = both.sound(2200, np.full(100, 0.3, np.float32))
    assert (late[0], len(late[1])) == (500, 300)
    assert np.flatnonzero(late[1])[0] == 200
    (twice,) = both.sound(2200, np.full(150, 0.4, np.float32))
    assert (twice[0], len(twice[1])) == (800, 50)
    assert both.sound(2200, np.full(10, 0.4, np.float32)) == []


def test_sound_that_waits_for_a_picture_is_bounded() -> None:
    both = Together()
    for k in range(200):
        both.sound(k * 4800, np.zeros(4800, np.float32))
    begun = both.picture(199 * 4800 - EARLY - 4800)
    assert sum(len(samples) for _, samples in begun) <= EARLY + 2 * 4800
