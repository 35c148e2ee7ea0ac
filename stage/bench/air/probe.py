"""A sink that only notes when each picture came: the outside of the body, without an encoder."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dialogue.ticks import TICKS_PER_S, Ticks
from render.frames import VideoFrame
from voice.speech import Samples


class ProbeSink:
    """Writes `path` when it is closed: a row of pts, `monotonic_ns` and repeated (0 or 1) each."""

    needs: ClassVar[Mapping[str, str]] = {}
    takes_pixels: ClassVar[bool] = False

    def __init__(self, *, path: Path) -> None:
        """Note into `path`, a .npy file."""
        self.path = Path(path)
        self.rows: list[tuple[int, int, int]] = []

    @property
    def watched(self) -> bool:
        """It looks at every picture."""
        return True

    def open(self, *, width: int, height: int, fps: int) -> None:
        """Begin."""

    def video(self, frame: VideoFrame) -> None:
        """Note one picture."""
        self.rows.append((frame.pts, time.monotonic_ns(), frame.repeated))

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Sound is not looked at."""

    def close(self) -> None:
        """Write what was noted."""
        np.save(self.path, np.array(self.rows, np.int64).reshape(-1, 3))


class Arrivals:
    """What a probe has seen."""

    def __init__(self, rows: npt.NDArray[np.int64], fps: int, zero_ns: int) -> None:
        """Take a probe's rows.

        Args:
            rows: pts, `monotonic_ns`, repeated.
            fps: frames a second that there should be.
            zero_ns: the `monotonic_ns` of pts 0.
        """
        step = TICKS_PER_S // fps
        self.frames = len(rows)
        """Pictures that came."""
        self.due = int((rows[-1, 0] - rows[0, 0]) // step) + 1 if len(rows) else 0
        """Pictures that there should be."""
        self.lost = self.due - self.frames
        """Pictures that never came."""
        early_ns = rows[:, 0] * 1_000_000_000 // TICKS_PER_S + zero_ns - rows[:, 1]
        self.late = int((early_ns < 0).sum())
        """Pictures that came after the instant that they show."""
        self.repeated = int(rows[:, 2].sum())
        """Pictures that only repeat the one before."""
        self.steps_ms = np.diff(rows[:, 1]) / 1e6
        """Time between arrivals."""

    @property
    def bad(self) -> float:
        """Late or lost, in percent."""
        return 100.0 * (self.late + self.lost) / max(1, self.due)

    def __str__(self) -> str:
        steps = self.steps_ms if len(self.steps_ms) else np.zeros(1)
        return (
            f"{self.late} late and {self.lost} lost of {self.due}, {self.repeated} repeats; "
            f"intervals {np.median(steps):.1f} ms, 1 to 99 % {np.percentile(steps, 1):.1f} to "
            f"{np.percentile(steps, 99):.1f}, longest {steps.max():.0f}"
        )
