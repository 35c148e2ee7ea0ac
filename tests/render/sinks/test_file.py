"""Films keep every tick: what went in at a pts comes out at it."""

import errno
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from dialogue.plugins import EngineError
from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S, Ticks
from render.captions import Caption
from render.film import why
from render.frames import VideoFrame
from render.sinks.file import FileSink

WIDTH, HEIGHT, FPS = 160, 96, 30
STEP = TICKS_PER_S // FPS


def record(
    sink: FileSink,
    seconds: float,
    *,
    first: Ticks = 0,
    lead: Ticks = 0,
    marks: Sequence[Ticks] = (),
    told: Callable[[int], None] = lambda k: None,
) -> None:
    """Feed `sink` with a grey picture that is white, and a sound that beeps, at `marks`."""
    n = round(seconds * FPS)
    sound = np.zeros(n * STEP + lead, np.float32)
    for mark in marks:
        sound[mark : mark + STEP] = 0.5 * np.sin(np.arange(STEP) * 0.3 + 0.5)
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    at = 0
    for k in range(n):
        until = (k + 1) * STEP + lead
        told(k)
        sink.audio(first + at, sound[at:until])
        at = until
        i420 = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        i420[:HEIGHT] = 235 if k * STEP in marks else 60
        sink.video(VideoFrame(first + k * STEP, k, pixels, i420))


def made(path: Path, **options: Any) -> FileSink:
    sink = FileSink(path=path, preset="ultrafast", **options)
    sink.open(width=WIDTH, height=HEIGHT, fps=FPS)
    return sink


def sound_of(path: Path) -> npt.NDArray[np.float32]:
    """Return the film's sound from film time 0 on."""
    with av.open(str(path)) as film:
        frames = list(film.decode(audio=0))
    assert frames[0].pts == 0
    return np.concatenate([f.to_ndarray()[0] for f in frames])


def pictures_of(path: Path) -> list[tuple[Ticks, float]]:
    """Return ticks and brightness of each picture."""
    with av.open(str(path)) as film:
        return [
            (round(f.pts * f.time_base * TICKS_PER_S), float(f.to_ndarray()[:HEIGHT].mean()))
            for f in film.decode(video=0)
        ]


@pytest.mark.parametrize("crash_safe", [True, False])
@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_sound_and_picture_stay_at_their_ticks(tmp_path: Path, name: str, crash_safe: bool) -> None:
    path = tmp_path / name
    marks = [15 * STEP, 45 * STEP, 75 * STEP]
    sink = made(path, crash_safe=crash_safe)
    record(sink, 3, marks=marks, lead=1920)
    sink.close()
    pictures = pictures_of(path)
    close = 0 if path.suffix == ".mp4" else TICKS_PER_MS  # Matroska counts in milliseconds
    assert [pts for pts, _ in pictures] == pytest.approx([k * STEP for k in range(90)], abs=close)
    white = [pts for pts, level in pictures if level > 150]
    assert white == pytest.approx(marks, abs=close)
    sound = np.abs(sound_of(path))
    for mark in marks:
        onset = mark - 960 + int(np.flatnonzero(sound[mark - 960 : mark + 960] > 0.1)[0])
        assert abs(onset - mark) <= TICKS_PER_MS


def test_the_film_begins_with_its_first_picture_whatever_the_stage_time(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    sink = made(path)
    sink.audio(3_600_000 - 5000, np.full(5000, 0.5, np.float32))  # before the first picture
    record(sink, 1, first=3_600_000, marks=[15 * STEP])
    sink.close()
    assert [pts for pts, level in pictures_of(path) if level > 150] == [15 * STEP]
    sound = np.abs(sound_of(path))
    assert sound[: 15 * STEP - 480].max() < 0.05
    assert sound[15 * STEP : 16 * STEP].max() > 0.3


def test_a_film_whose_sound_begins_late_is_silent_until_then(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    sink = made(path)
    picture = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    for k in range(30):
        sink.video(VideoFrame(k * STEP, k, pixels, picture))
    sink.audio(12_000, np.full(20_000, 0.5, np.float32))
    sink.close()
    heard = np.flatnonzero(np.abs(sound_of(path)) > 0.25)
    assert abs(int(heard[0]) - 12_000) <= TICKS_PER_MS


def test_colours_are_tagged_as_they_were_converted(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    sink = made(path)
    record(sink, 0.5)
    sink.close()
    with av.open(str(path)) as film:
        video: Any = film.streams.video[0].codec_context
        assert (video.colorspace, video.color_range) == (5, 1)
        assert (video.color_primaries, video.color_trc) == (1, 1)
        assert (video.pix_fmt, video.name) == ("yuv420p", "h264")
        sound: Any = film.streams.audio[0].codec_context
        assert (sound.name, sound.sample_rate, sound.layout.name) == ("aac", TICKS_PER_S, "mono")


def test_the_film_gets_its_name_when_it_is_done(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"an older film")
    sink = made(path)
    record(sink, 0.5)
    assert path.read_bytes() == b"an older film"
    sink.close()
    sink.close()
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]
    assert len(pictures_of(path)) == 15


def test_what_a_killed_show_leaves_can_be_played(tmp_path: Path) -> None:
    sink = made(tmp_path / "film.mp4")
    record(sink, 8)
    left = tmp_path / "left.mp4"
    left.write_bytes((tmp_path / "film.part.mp4").read_bytes())
    sink.close()
    pictures = pictures_of(left)
    assert len(pictures) >= 4 * FPS
    assert pictures[0][0] == 0
    assert len(sound_of(left)) >= 4 * TICKS_PER_S


def test_a_recording_made_anew_does_not_write_over_the_first(tmp_path: Path) -> None:
    for _ in range(3):
        sink = made(tmp_path / "show.mp4", overwrite=False)
        record(sink, 0.2)
        sink.close()
    (tmp_path / "show-4.part.mp4").touch()  # left by a show that was killed
    sink = made(tmp_path / "show.mp4", overwrite=False)
    assert sink.path == tmp_path / "show-5.mp4"
    sink.close()
    assert {p.name for p in tmp_path.iterdir()} == {
        "show.mp4", "show-2.mp4", "show-3.mp4", "show-4.part.mp4",
    }  # fmt: skip


def test_no_picture_leaves_no_file(tmp_path: Path) -> None:
    sink = made(tmp_path / "film.mp4")
    sink.audio(0, np.zeros(480, np.float32))
    sink.close()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"there is no folder .*nowhere; make it"):
        made(tmp_path / "nowhere" / "film.mp4")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full; make room"),
        (errno.EACCES, "not allowed to write"),
        (errno.EIO, "cannot write the film"),
    ],
)
def test_errors_of_the_disk_are_one_clear_line(number: int, words: str) -> None:
    line = why(Path("films/show.mp4"), OSError(number, "as the system says"))
    assert line.startswith("films/show.mp4: ")
    assert words in line
    assert "\n" not in line


# Captions ---------------------------------------------------------------------------------------


def block(
    start_s: float, stop_s: float, *lines: str, number: int = 0, final: bool = False
) -> Caption:
    start, stop = round(start_s * TICKS_PER_S), round(stop_s * TICKS_PER_S)
    said = max(start, stop - TICKS_PER_S // 2)
    return Caption(start, stop, lines, "en", ((start, 0, 0),), (1, 0, number), said, final)


def track_of(path: Path) -> list[tuple[float, float, str]]:
    """Return when each text of the track comes and goes, and the text."""
    found = []
    with av.open(str(path)) as film:
        for packet in film.demux(film.streams.subtitles[0]):
            content = bytes(packet)[2:] if path.suffix == ".mp4" else bytes(packet)
            if packet.pts is not None and content:
                start = float(packet.pts * packet.time_base)
                length = float((packet.duration or 0) * packet.time_base)
                found.append((start, start + length, content.decode()))
    return found


def beside(path: Path) -> list[str]:
    return path.with_suffix(".srt").read_text("utf-8").strip().split("\n\n")


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_captions_are_beside_the_film_and_inside(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    sink = made(path)
    texts = [block(0.5, 1.5, "Hello there,", "and welcome!"), block(2, 3, "你好", number=1)]

    def told(k: int) -> None:
        if k == 10:
            for text in texts:
                sink.caption(text)
        for text in texts:
            if k * STEP == text.stop:
                sink.caption(replace(text, final=True))

    record(sink, 4, told=told)
    sink.close()
    assert track_of(path) == [
        (pytest.approx(0.5, abs=1e-3), pytest.approx(1.5, abs=1e-3), "Hello there,\nand welcome!"),
        (pytest.approx(2, abs=1e-3), pytest.approx(3, abs=1e-3), "你好"),
    ]
    assert beside(path) == [
        "1\n00:00:00,500 --> 00:00:01,500\nHello there,\nand welcome!",
        "2\n00:00:02,000 --> 00:00:03,000\n你好",
    ]
    assert path.with_suffix(".vtt").read_text("utf-8").startswith("WEBVTT\n")


def test_a_caption_cut_short_is_corrected_in_the_track_too(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    sink = made(path)

    def told(k: int) -> None:
        if k == 15:
            sink.caption(block(0.5, 3.0, "I walked all the way down", "to the market."))
            sink.caption(block(3.0, 3.5, "And back again.", number=1))
        if k == 45:
            sink.caption(block(0.5, 1.5, "I walked all", final=True))
            sink.caption(block(3.0, 3.0, number=1, final=True))

    record(sink, 4, told=told)
    sink.close()
    assert track_of(path) == [(pytest.approx(0.5), pytest.approx(1.5), "I walked all")]
    assert beside(path) == ["1\n00:00:00,500 --> 00:00:01,500\nI walked all"]


def test_a_block_that_begins_before_the_end_of_the_last_one_does_not_end_the_process(
    tmp_path: Path,
) -> None:
    path = tmp_path / "film.mp4"
    sink = made(path)

    def told(k: int) -> None:
        if k == 15:
            sink.caption(block(0.5, 4.0, "This takes long,"))
        if k == 75:  # pieces of half a second have been written since
            sink.caption(block(2.5, 4.5, "but not so long.", number=1))

    record(sink, 5, told=told)
    sink.close()
    assert track_of(path) == [
        (pytest.approx(0.5), pytest.approx(2.5), "This takes long,"),
        (pytest.approx(2.5, abs=1e-3), pytest.approx(4.5), "but not so long."),
    ]


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_text_that_comes_and_goes_moves_no_picture_and_no_sound(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    sink = made(path)

    def told(k: int) -> None:
        if k % 23 == 0:  # of many lengths, so that they end at any place of a piece
            start_s, length_s = k / FPS, 0.2 + 0.13 * (k // 23 % 5)
            sink.caption(block(start_s, start_s + length_s, f"Word {k}.", number=k))

    record(sink, 8, told=told)
    sink.close()
    with av.open(str(path)) as film:
        for stream, step_s in (
            (film.streams.video[0], 1 / FPS),
            (film.streams.audio[0], 1024 / 48e3),
        ):
            film.seek(0)
            times = sorted(
                float(p.pts * p.time_base) for p in film.demux(stream) if p.pts is not None
            )
            steps = np.diff(times[1:])  # Matroska's first block of sound has its delay cut away
            assert len(steps) > 200
            np.testing.assert_allclose(steps, step_s, atol=2e-3)


def test_an_end_that_comes_earlier_than_announced_is_kept_in_the_track(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    sink = made(path)

    def told(k: int) -> None:
        if k == 15:
            sink.caption(block(0.5, 3.0, "Mika,"))
        if k == 20:
            sink.caption(block(0.5, 1.5, "Mika,"))
        if k == 45:
            sink.caption(block(0.5, 1.5, "Mika,", final=True))

    record(sink, 4, told=told)
    sink.close()
    assert track_of(path) == [(pytest.approx(0.5), pytest.approx(1.5), "Mika,")]


def test_a_film_without_captions_has_no_track_and_no_files(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    sink = made(path, captions=False)
    sink.caption(block(0.1, 0.5, "Hello"))
    record(sink, 0.5)
    sink.close()
    with av.open(str(path)) as film:
        assert [s.type for s in film.streams] == ["video", "audio"]
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]


def test_a_film_that_ends_in_mid_sentence_has_what_was_said(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    sink = made(path)
    record(sink, 2, told=lambda k: k or sink.caption(block(1.5, 4, "And then the old fox")))
    sink.close()
    assert beside(path) == ["1\n00:00:01,500 --> 00:00:02,000\nAnd then the old fox"]


# Parts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", [24, 25, 30, 50, 60])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_parts_joined_have_every_picture_and_every_sample_once(
    tmp_path: Path, suffix: str, fps: int
) -> None:
    step = TICKS_PER_S // fps
    path = tmp_path / f"show{suffix}"
    sink = FileSink(path=path, crf=0, split_min=1 / 60, audio_bitrate=192_000)
    sink.open(width=64, height=64, fps=fps)
    n, first, lead = 6 * fps, 7200, 1200
    t = np.arange(n * step + lead)
    sound = (0.4 * np.sin(2 * np.pi * (200 + t / 600) * t / TICKS_PER_S)).astype(np.float32)
    pixels = np.zeros((64, 64, 4), np.uint8)
    at = 0
    for k in range(n):
        until = (k + 1) * step + lead
        sink.audio(first + at, sound[at:until])
        at = until
        i420 = np.full((96, 64), 128, np.uint8)
        i420[:64, :32], i420[:64, 32:] = 40 + k % 160, 40 + k // 160
        sink.video(VideoFrame(first + k * step, k, pixels, i420))
    sink.close()
    parts = sorted(tmp_path.iterdir())
    assert [p.name for p in parts][:3] == [f"show-00{i}{suffix}" for i in (1, 2, 3)]
    numbers, heard = [], []
    for each in parts:
        with av.open(str(each)) as film:
            frames = [f.to_ndarray() for f in film.decode(video=0)]
        numbers += [int(f[10, 10]) - 40 + 160 * (int(f[10, 50]) - 40) for f in frames]
        samples = sound_of(each)
        if each is not parts[-1]:
            assert len(samples) == len(frames) * step
        heard.append(samples)
    assert numbers == list(range(n))
    joined = np.concatenate(heard)[: n * step]
    assert len(joined) == n * step
    # A sweep: a sample lost or doubled would shift all that follows, and a cut be heard.
    assert np.abs(joined - sound[: n * step])[4096:-2048].max() < 0.01


def test_parts_by_size_and_their_captions(tmp_path: Path) -> None:
    path = tmp_path / "show.mp4"
    sink = made(path, split_mb=0.004)

    def told(k: int) -> None:
        if k % 30 == 0:
            start = k * STEP / TICKS_PER_S
            sink.caption(block(start, start + 0.9, f"Line {k // 30}", number=k))
        if k % 30 == 27:
            start = (k - 27) * STEP / TICKS_PER_S
            text = block(start, start + 0.9, f"Line {k // 30}", number=k - 27, final=True)
            sink.caption(text)

    record(sink, 10, told=told)
    sink.close()
    films = sorted(tmp_path.glob("*.mp4"))
    assert len(films) > 2
    said = []
    for film in films:
        length_s = len(pictures_of(film)) / FPS
        for text in beside(film) if film.with_suffix(".srt").exists() else []:
            _, times, line = text.split("\n")
            assert float(times[-6:].replace(",", ".")) <= length_s + 1e-3
            said.append(line)
    assert sorted(set(said), key=said.index) == [f"Line {i}" for i in range(10)]
    assert len(said) <= 10 + len(films) - 1  # one that a cut went through is in both


def test_a_second_recording_in_parts_has_a_name_of_its_own(tmp_path: Path) -> None:
    for _ in range(2):
        sink = made(tmp_path / "show.mp4", overwrite=False, split_min=10)
        record(sink, 0.2)
        sink.close()
    assert {p.name for p in tmp_path.iterdir()} == {"show-001.mp4", "show-2-001.mp4"}


# Tracks, the disk, the end ----------------------------------------------------------------------


def test_stems_are_tracks_of_their_own_in_time_with_the_mix(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    sink = made(path, stems=True)
    n = 90
    t = np.arange(n * STEP)
    voice = np.where((t > 24_000) & (t < 48_000), 0.4 * np.sin(t * 0.05), 0).astype(np.float32)
    music = np.where(t > 96_000, 0.2 * np.sin(t * 0.02), 0).astype(np.float32)
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    i420 = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    for k in range(n):
        span = slice(k * STEP, (k + 1) * STEP)
        if k != 80:  # a block whose parts are not told is silent in them
            sink.stems(k * STEP, voice[span], music[span])
        sink.audio(k * STEP, voice[span] + music[span])
        sink.video(VideoFrame(k * STEP, k, pixels, i420))
    sink.close()
    with av.open(str(path)) as film:
        assert [s.metadata["title"] for s in film.streams.audio] == ["mix", "voice", "music"]
    for index, begun, over in ((1, 24_000, 48_000), (2, 96_000, None)):
        with av.open(str(path)) as film:
            frames = [f.to_ndarray()[0] for f in film.decode(audio=index)]
        loud = np.flatnonzero(np.abs(np.concatenate(frames)) > 0.08)
        assert abs(int(loud[0]) - begun) < 3 * TICKS_PER_MS
        assert over is None or abs(int(loud[-1]) - over) < 3 * TICKS_PER_MS


def test_a_disk_nearly_full_ends_the_recording_while_it_can_be_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [900_000_000]
    usage = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - left[0], left[0]))
    path = tmp_path / "show.mp4"
    sink = made(path)

    def told(k: int) -> None:
        if k == 60:
            left[0] = 150_000_000

    with pytest.raises(EngineError, match=r"show\.mp4: less than 200 MB are left .* can be played"):
        record(sink, 5, told=told)
    sink.close()
    assert 60 <= len(pictures_of(path)) <= 92
    with pytest.raises(EngineError, match="less than 200 MB are left on the disk; make room"):
        made(tmp_path / "again.mp4")
    assert [p.name for p in tmp_path.iterdir()] == ["show.mp4"]


KILLED = """
import sys
from pathlib import Path
from tests.render.sinks.test_file import made, record, block
sink = made(Path(sys.argv[1]))
record(sink, 12, told=lambda k: k == 30 and sink.caption(block(1, 2, "Hello")))
sink.caption(block(1, 2, "Hello", final=True))
print("filmed", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_a_process_killed_in_mid_recording_leaves_a_film_up_to_its_last_second(
    tmp_path: Path, name: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / name)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == "filmed\n"
        child.kill()
    left = tmp_path / f"film.part{Path(name).suffix}"
    pictures = pictures_of(left)
    assert [round(pts / STEP) for pts, _ in pictures] == list(range(len(pictures)))
    assert len(pictures) >= 11 * FPS
    assert len(sound_of(left)) >= 11 * TICKS_PER_S
    assert [text for *_, text in track_of(left)] == ["Hello"]
    assert "Hello" in (tmp_path / "film.vtt").read_text("utf-8")


def test_a_suffix_that_is_no_film_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(
        EngineError, match=r"show\.avi: films are \.mp4 or \.mkv; call it show\.mp4"
    ):
        FileSink(path=tmp_path / "show.avi")


@pytest.mark.parametrize("crash_safe", [True, False])
@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_translations_have_files_and_a_track_with_the_tag_of_their_language(
    tmp_path: Path, name: str, crash_safe: bool
) -> None:
    path = tmp_path / name
    sink = made(path, translation="en", crash_safe=crash_safe)
    second = TICKS_PER_S
    spoken = Caption(second, 2 * second, ("雨在唱歌。",), "zh", (), (1, 0, 0), 2 * second)
    english = Caption(second, 2 * second, ("The rain sings.",), "en", (), (1, 0, 1000), 2 * second)
    later = replace(english, start=3 * second, stop=7 * second, lines=("It", "stops."),
                    key=(1, 1, 1000), final=False)  # fmt: skip

    def told(k: int) -> None:
        if k == 30:
            sink.caption(replace(spoken, final=False))
        if k == 62:
            sink.caption(spoken)
        if k == 2 * FPS + 45:  # a second and a half after it was over
            sink.caption(replace(english, came=3 * second))
        if k == 4 * FPS:
            sink.caption(later)

    record(sink, 5, told=told)
    sink.close()
    with av.open(str(path)) as film:
        tracks = film.streams.subtitles
        assert len(tracks) == 2
        assert tracks[1].language == "eng"
        found = [
            (round(float(p.pts * p.time_base), 2), bytes(p))
            for p in film.demux(tracks[1])
            if p.pts is not None and bytes(p) not in (b"", b"\0\0")
        ]
    texts = [text[2:] if path.suffix == ".mp4" else text for _, text in found]
    assert texts == [b"The rain sings.", b"It\nstops."]
    assert [at for at, _ in found] == [1.0, 3.0]
    assert (tmp_path / "film.vtt").read_text("utf-8") == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n雨在唱歌。\n"
    )
    assert (tmp_path / "film.en.vtt").read_text("utf-8") == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nThe rain sings.\n"
        "\n00:00:03.000 --> 00:00:05.000\nIt\nstops.\n"
    )
    assert "It\nstops." in (tmp_path / "film.en.srt").read_text("utf-8")


def test_a_film_without_translations_leaves_them_out_and_an_unknown_one_is_an_error(
    tmp_path: Path,
) -> None:
    path = tmp_path / "film.mkv"
    sink = made(path)
    sink.caption(Caption(0, 9, ("Rain.",), "en", (), (1, 0, 1000)))
    record(sink, 1)
    sink.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["film.mkv"]
    with pytest.raises(EngineError, match="no translation 'xx'; known: en, zh"):
        FileSink(path=path, translation="xx")
