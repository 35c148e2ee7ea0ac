"""The detector must see an offset where there is one, or its zero means nothing."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from dialogue.ticks import TICKS_PER_S
from render.frames import VideoFrame
from render.sinks.file import FileSink
from stage.bench.offset import OffsetError, Offsets, compare, edges, measure

WIDTH, HEIGHT, FPS = 160, 120, 30
BOX = (60, 50, 40, 30)
SOUND_S = 0.2
OPENING_S = 0.08


def film(
    path: Path, *, early_ms: float, ramp_s: float = OPENING_S, moves: bool = True, seconds: int = 12
) -> list[float]:
    """Write a film whose mouth opens and shuts with beeps that are `early_ms` early."""
    rng = np.random.default_rng(7)
    mouths = [k + 0.4 + float(rng.uniform(0, 0.2)) for k in range(seconds - 1)]
    sound = np.zeros(seconds * TICKS_PER_S, np.float32)
    for mouth_s in mouths:
        start = round((mouth_s - early_ms / 1e3) * TICKS_PER_S)
        n = round(SOUND_S * TICKS_PER_S)
        sound[start : start + n] = 0.5 * np.sin(np.arange(n) * 2 * np.pi * 440 / TICKS_PER_S)
    sink = FileSink(path=path, preset="ultrafast")
    sink.open(width=WIDTH, height=HEIGHT, fps=FPS)
    step = TICKS_PER_S // FPS
    x, y, w, h = BOX
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    for k in range(seconds * FPS):
        at_s = k / FPS
        i420 = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        if moves:
            level = sum(_open(at_s - m, ramp_s) - _open(at_s - m - SOUND_S, ramp_s) for m in mouths)
            i420[y + 5 : y + h - 5, x + 5 : x + w - 5] = 128 - round(100 * level)
        i420[:20, :20] = 16 + k % 200  # something else moves all the time
        sink.video(VideoFrame(k * step, k, pixels, i420))
        sink.audio(k * step, sound[k * step : (k + 1) * step])
    sink.close()
    return mouths


def _open(since_s: float, ramp_s: float) -> float:
    """Half open at 0, by a smooth step as long as `ramp_s`."""
    if ramp_s == 0:
        return float(since_s >= 0)
    share = min(1.0, max(0.0, since_s / ramp_s + 0.5))
    return 0.5 - 0.5 * math.cos(math.pi * share)


@pytest.mark.parametrize("early_ms", [-80.0, 0.0, 40.0])
def test_a_known_offset_is_found_within_three_milliseconds(tmp_path: Path, early_ms: float) -> None:
    path = tmp_path / "film.mp4"
    mouths = film(path, early_ms=early_ms)
    offsets = measure(path, BOX)
    assert offsets.n == len(mouths)
    assert offsets.missed == 0
    assert offsets.median_ms == pytest.approx(early_ms, abs=3)
    assert offsets.closing_ms == pytest.approx(early_ms, abs=3)
    assert offsets.p99_ms == pytest.approx(abs(early_ms), abs=8)
    found = [m.mouth_s for m in offsets.moments if m.kind == "opening"]
    assert found == pytest.approx(mouths, abs=0.008)


def test_a_mouth_that_jumps_open_is_known_to_half_a_frame(tmp_path: Path) -> None:
    film(tmp_path / "film.mp4", early_ms=0, ramp_s=0, seconds=20)
    offsets = measure(tmp_path / "film.mp4", BOX)
    assert offsets.p99_ms <= 1000 / FPS / 2 + 2
    assert abs(offsets.median_ms) <= 8


def test_a_mouth_that_rests_is_refused_rather_than_measured(tmp_path: Path) -> None:
    film(tmp_path / "film.mp4", early_ms=0, moves=False, seconds=4)
    with pytest.raises(OffsetError, match="no sound begins with a movement"):
        measure(tmp_path / "film.mp4", BOX)


def test_a_box_outside_the_picture_is_refused(tmp_path: Path) -> None:
    film(tmp_path / "film.mp4", early_ms=0, seconds=2)
    with pytest.raises(OffsetError, match="outside its 160 x 120"):
        measure(tmp_path / "film.mp4", (150, 0, 20, 20))


def test_a_missing_film_is_named(tmp_path: Path) -> None:
    with pytest.raises(OffsetError, match=r"none\.mp4: cannot be read"):
        measure(tmp_path / "none.mp4", BOX)


def test_edges_of_a_sound_are_found_to_the_millisecond_over_a_noisy_floor() -> None:
    rng = np.random.default_rng(3)
    sound = rng.normal(0, 1e-3, TICKS_PER_S * 2).astype(np.float32)
    sound[24_000:33_600] += 0.3 * np.sin(np.arange(9_600) * 0.1).astype(np.float32)
    onsets, ends = edges(sound)
    assert onsets == pytest.approx([0.5], abs=0.001)
    assert ends == pytest.approx([0.7], abs=0.001)


def test_a_short_break_within_a_sound_is_no_edge() -> None:
    sound = np.zeros(TICKS_PER_S * 2, np.float32)
    sound[24_000:33_600] = 0.3
    sound[36_000:40_000] = 0.3  # 50 ms later
    onsets, ends = edges(sound)
    assert len(onsets) == len(ends) == 1


def test_silence_has_no_edges() -> None:
    assert edges(np.zeros(TICKS_PER_S, np.float32)) == ([], [])


def moving_head(*, early_ms: float, opens: bool = True) -> Offsets:
    """Measure ten words before each of which the head turns, tilts and nods in a fifth of a second.

    Its motion alone changes the picture about as much as the mouth does.
    """
    size, fine, fps = 48, 4, 30
    seconds = 12
    words = [k + 1.0 + 0.013 * k for k in range(seconds - 2)]
    sound = np.zeros(seconds * TICKS_PER_S, np.float32)
    for word_s in words:
        start = round((word_s - early_ms / 1e3) * TICKS_PER_S)
        sound[start : start + 9600] = 0.5 * np.sin(np.arange(9600) * 0.06)
    times = np.arange(seconds * fps) / fps
    pictures = []
    for at_s in times:
        face = np.full((size * fine, size * fine), 200, np.uint8)
        cv2.ellipse(face, (96, 60), (60, 118), 0, 0, 180, 60, 9)  # the chin
        cv2.line(face, (96, 8), (88, 40), 120, 7)  # the nose
        cv2.line(face, (66, 96), (126, 96), 90, 5)  # lips
        if opens:
            by = sum(
                _open(at_s - w, OPENING_S) - _open(at_s - w - SOUND_S, OPENING_S) for w in words
            )
            if by > 0:
                face[100 : 100 + round(44 * by), 70:122] = 40  # the jaw falls
        turned = sum((-1) ** k * _open(at_s - w + 0.1, 0.2) for k, w in enumerate(words))
        head = cv2.getRotationMatrix2D((96.0, 160.0), 3 * turned, 1.0)
        head[:, 2] += (7 * turned, 4 * turned)
        face = cv2.warpAffine(face, head, face.shape, borderMode=cv2.BORDER_REPLICATE)
        pictures.append(cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA))
    return compare(sound, 0.0, times, np.stack(pictures))


@pytest.mark.parametrize("early_ms", [-60.0, 0.0, 40.0])
def test_a_head_that_moves_into_a_word_does_not_make_its_mouth_early(early_ms: float) -> None:
    offsets = moving_head(early_ms=early_ms)
    assert (offsets.n, offsets.missed) == (10, 0)
    assert offsets.median_ms == pytest.approx(early_ms, abs=10)
    assert offsets.p99_ms == pytest.approx(abs(early_ms), abs=16)


def test_a_head_that_moves_alone_is_no_mouth() -> None:
    with pytest.raises(OffsetError, match=r"no sound begins with a movement \(10 onsets"):
        moving_head(early_ms=0, opens=False)
