"""Films keep every tick: what went in at a pts comes out at it."""

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from dialogue.plugins import EngineError
from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S, Ticks
from render.frames import VideoFrame
from render.sinks import file
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
def test_sound_and_picture_stay_at_their_ticks(tmp_path: Path, crash_safe: bool) -> None:
    path = tmp_path / "film.mp4"
    marks = [15 * STEP, 45 * STEP, 75 * STEP]
    sink = made(path, crash_safe=crash_safe)
    record(sink, 3, marks=marks, lead=1920)
    sink.close()
    pictures = pictures_of(path)
    assert [pts for pts, _ in pictures] == [k * STEP for k in range(90)]
    assert [pts for pts, level in pictures if level > 150] == marks
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
    line = file._why(Path("films/show.mp4"), OSError(number, "as the system says"))
    assert line.startswith("films/show.mp4: ")
    assert words in line
    assert "\n" not in line
