from pathlib import Path

import numpy as np
import numpy.typing as npt

from render.frames import VideoFrame
from stage.bench.air.probe import Arrivals, ProbeSink

FPS, STEP = 30, 1600
STEP_NS = 1_000_000_000 // FPS


def rows(
    late_ms: dict[int, float] | None = None, gone: tuple[int, ...] = ()
) -> npt.NDArray[np.int64]:
    """Return what a probe saw of 300 pictures that come 20 ms before their time."""
    made = []
    for i in range(300):
        if i not in gone:
            at = i * 1_000_000_000 // FPS - 20_000_000
            at += round((late_ms or {}).get(i, 0) * 1e6)
            made.append((i * STEP, at, i % 50 == 0))
    return np.array(made, np.int64)


def test_pictures_that_come_before_their_time_are_not_late() -> None:
    seen = Arrivals(rows({7: 19.0}), FPS, 0)
    assert (seen.frames, seen.due, seen.late, seen.lost, seen.repeated) == (300, 300, 0, 0, 6)
    assert abs(np.median(seen.steps_ms) - 1000 / FPS) < 0.01


def test_late_and_lost_pictures_are_counted() -> None:
    seen = Arrivals(rows({7: 21.0, 100: 90.0}, gone=(40, 41, 200)), FPS, 0)
    assert (seen.late, seen.lost) == (2, 3)
    assert abs(seen.bad - 100 * 5 / 300) < 1e-9


def test_the_clock_need_not_begin_with_the_machine() -> None:
    moved = rows()
    moved[:, 1] += 5_000_000_000
    assert Arrivals(moved, FPS, 5_000_000_000).late == 0
    assert Arrivals(moved, FPS, 4_900_000_000).late == 300


def test_a_probe_writes_what_it_saw(tmp_path: Path) -> None:
    sink = ProbeSink(path=tmp_path / "p.npy")
    sink.open(width=2, height=2, fps=FPS)
    blank = np.zeros((2, 2, 4), np.uint8)
    for i in range(3):
        sink.video(VideoFrame(i * STEP, i, blank, blank[..., 0], repeated=i == 2))
    sink.close()
    read = np.load(tmp_path / "p.npy")
    assert read[:, 0].tolist() == [0, STEP, 2 * STEP]
    assert read[:, 2].tolist() == [0, 0, 1]
