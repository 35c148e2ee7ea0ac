"""The proof must see what is wrong, or what it finds right means nothing. No machine is booted."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
import pytest

from dialogue.ticks import TICKS_PER_S
from render.air import Air
from render.convert import to_i420
from render.frames import VideoFrame
from stage.bench.vm import guest, machine, proof
from stage.bench.vm.proof import FPS, Film
from voice.speech import Samples

WIDTH, HEIGHT = 96, 64
STEP = TICKS_PER_S // FPS
BOX = (32, 24, 32, 16)
WORDS_S = (1.0, 2.0, 3.0, 4.0, 5.0)
SECONDS = 6
CLOCK_S = 1_700_000_000.0


@pytest.fixture(scope="module")
def film() -> Film:
    """A picture that changes all the time, a mouth that opens with each of five noises."""
    rng = np.random.default_rng(7)
    frames = np.full((SECONDS * FPS, HEIGHT, WIDTH, 4), 255, np.uint8)
    sound = np.zeros(SECONDS * TICKS_PER_S, np.float32)
    for k, frame in enumerate(frames):
        frame[:16, :, :3] = rng.integers(0, 255, (16, WIDTH, 3))
        open_ = any(word <= k / FPS < word + 0.3 for word in WORDS_S)
        frame[24:40, 32:64, :3] = 20 if open_ else 200
    starts = [round(word * TICKS_PER_S) for word in WORDS_S]
    for start in starts:
        sound[start : start + 14_400] = rng.normal(0, 0.2, 14_400)
    return Film(frames, sound, starts, BOX)


def capture(
    path: Path,
    film: Film,
    *,
    late_ms: float = 0.0,
    without: range = range(0),
    strange: int | None = None,
) -> Path:
    """Write what FFmpeg would have got: five resting pictures, then the film on the wall clock.

    Sound comes in uneven blocks, `late_ms` after the pictures, and begins a second before them.
    """
    rng = np.random.default_rng(8)
    with av.open(str(path), "w", format="nut") as out:
        picture = out.add_stream("rawvideo", rate=FPS, width=WIDTH, height=HEIGHT)
        picture.pix_fmt = "yuv420p"
        picture.codec_context.time_base = picture.time_base = Fraction(1, 1_000_000)
        sound = out.add_stream("pcm_f32le", rate=TICKS_PER_S, layout="mono")
        samples = np.concatenate([np.zeros(TICKS_PER_S, np.float32), film.sound])
        events: list[tuple[float, int, int]] = [
            (CLOCK_S + n / FPS, n, 0) for n in range(-5, len(film.frames)) if n not in without
        ]
        at = 0
        while at < len(samples):
            n = int(rng.integers(400, 3000))
            jitter_s = float(rng.uniform(-0.001, 0.001))
            events.append((CLOCK_S - 1 + at / TICKS_PER_S + late_ms / 1e3 + jitter_s, at, n))
            at += n
        for at_s, k, length in sorted(events):
            if length:
                block = np.ascontiguousarray(samples[k : k + length][None])
                heard = av.AudioFrame.from_ndarray(block, "flt", "mono")
                heard.sample_rate = TICKS_PER_S
                heard.pts, heard.time_base = round(at_s * TICKS_PER_S), Fraction(1, TICKS_PER_S)
                out.mux(sound.encode(heard))
                continue
            i420 = np.empty((HEIGHT * 3 // 2, WIDTH), np.uint8)
            to_i420(film.frames[max(k, 0)], i420)
            if k == strange:
                i420[:] = 99
            seen = av.VideoFrame.from_ndarray(i420, "yuv420p")
            seen.pts, seen.time_base = round(at_s * 1e6), Fraction(1, 1_000_000)
            out.mux(picture.encode(seen))
        out.mux(picture.encode(None))
        out.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("late_ms", [-60.0, 0.0, 35.0])
def test_an_offset_between_camera_and_sound_is_found_to_the_millisecond(
    tmp_path: Path, film: Film, late_ms: float
) -> None:
    found = proof.compare(capture(tmp_path / "c.nut", film, late_ms=late_ms), film)
    median, p99, n = found.exact_ms
    assert n == len(WORDS_S) * FPS // 2
    assert median == pytest.approx(-late_ms, abs=1)
    assert p99 == pytest.approx(abs(late_ms), abs=2)
    assert found.offsets.median_ms == pytest.approx(found.drawn.median_ms - late_ms, abs=2)
    assert (found.lost, found.foreign) == (0, 0)
    assert found.frames == len(film.frames) - 1  # the first is like the rest before it
    assert found.level_db == pytest.approx(0, abs=0.1)
    assert found.likeness > 0.999
    assert found.jitter_ms < 2


def test_pictures_that_are_missing_or_strange_are_counted(tmp_path: Path, film: Film) -> None:
    path = capture(tmp_path / "c.nut", film, without=range(70, 77), strange=40)
    found = proof.compare(path, film)
    assert (found.lost, found.foreign) == (8, 1)
    assert found.intervals_ms[2] == pytest.approx(8 * 1000 / FPS, abs=1)


def test_a_sound_that_is_not_the_one_that_was_mixed_is_told(tmp_path: Path, film: Film) -> None:
    path = capture(tmp_path / "c.nut", film)
    other = np.random.default_rng(9).normal(0, 0.1, len(film.sound)).astype(np.float32)
    mixed = film.sound / 2 + other * (film.sound != 0)
    changed = Film(film.frames, mixed, film.started, film.mouth_box)
    found = proof.compare(path, changed)
    assert found.likeness < 0.8


class Keep:
    """A sink that remembers when it got what."""

    needs: ClassVar[Mapping[str, str]] = {}
    watched = True

    def __init__(self) -> None:
        self.pictures: list[tuple[int, int]] = []
        self.sound: list[tuple[int, np.ndarray[Any, Any]]] = []

    def open(self, *, width: int, height: int, fps: int) -> None:
        pass

    def video(self, frame: VideoFrame) -> None:
        self.pictures.append((frame.pts, int(frame.pixels[50, 0, 0])))

    def audio(self, pts: int, samples: Samples) -> None:
        self.sound.append((pts, samples))

    def close(self) -> None:
        pass


def test_the_guest_plays_pictures_and_sound_at_their_ticks() -> None:
    frames = np.stack([np.full((HEIGHT, WIDTH, 4), k, np.uint8) for k in range(10)])
    sound = np.arange(10 * STEP, dtype=np.float32)
    keep = Keep()
    air = Air(width=WIDTH, height=HEIGHT, fps=FPS, blocking=True)
    air.add("keep", lambda: keep)
    play = guest.Play(frames, sound, air, {"fps": FPS, "audio_lead": 1200})
    play.base = 5 * STEP
    for k in (2, 3, 4, 5, 6, 9, 10, 13, 14):  # some are skipped, as by a late body
        play.step(k * STEP)
    air.close()
    assert keep.pictures == [
        (k * STEP, max(0, k - 5)) for k in (2, 3, 4, 5, 6, 9, 10, 13, 14)
    ]  # fmt: skip
    starts = [pts for pts, _ in keep.sound]
    assert starts[0] == 2 * STEP
    heard = np.concatenate([samples for _, samples in keep.sound])
    np.testing.assert_array_equal(heard[3 * STEP : 13 * STEP], sound[: 10 * STEP])
    assert not heard[: 3 * STEP].any()
    assert len(heard) == 13 * STEP + 1200


TOLD = """\
Format Video Capture:
\tWidth/Height      : 480/270
\tPixel Format      : 'YU12' (Planar YUV 4:2:0)
\tField             : None
Streaming Parameters Video Capture:
\tCapabilities     : timeperframe
\tFrames per second: 30.000 (30/1)
ioctl: VIDIOC_ENUM_FMT
\tType: Video Capture

\t[0]: 'YU12' (Planar YUV 4:2:0)
\t\tSize: Discrete 480x270
"""


def test_what_v4l2_ctl_tells_is_read() -> None:
    assert proof._told(TOLD) == {
        "fourcc": "YU12", "size": (480, 270), "fps": 30.0, "offered": ("YU12",),
    }  # fmt: skip


def test_the_guest_sees_no_more_of_this_machine_than_it_needs() -> None:
    shares = list(machine._shares().values())
    assert machine.ROOT in shares
    assert Path("/") not in shares
    assert Path.home() not in shares
    for share in shares:
        text = " ".join(machine._share("tag", share, writable=False))
        assert text.endswith(",readonly=on")
        assert sum(share.is_relative_to(other) for other in shares) == 1


def test_what_is_missing_is_one_line_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_headers", lambda: None)
    line = machine.missing()
    assert "\n" not in line
    assert "apt install" in line or "Debian" in line
