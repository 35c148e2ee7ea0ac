"""Which frame is next: pts on the grid, lateness counted, never a shift of sound."""

from dialogue.ticks import TICKS_PER_S, Ticks
from render.clock import Clock

TOLERANCE = 2
"""A frame later than this many frames is skipped."""


class Pacer:
    """Walks the grid of frame times of a clock."""

    def __init__(self, clock: Clock, fps: int) -> None:
        """Start at the next frame time.

        Args:
            clock: the stage clock.
            fps: frames a second; must divide 48000.
        """
        if TICKS_PER_S % fps:
            raise ValueError(f"{fps} frames a second are not whole ticks; use 24, 25, 30, 50 or 60")
        self.frame_ticks: Ticks = TICKS_PER_S // fps
        self.frames = 0
        self.late = 0
        self.dropped = 0
        self._clock = clock
        self._next: Ticks = -(-clock.now() // self.frame_ticks) * self.frame_ticks

    def peek(self) -> Ticks:
        """Return the pts of the next frame."""
        return self._next

    def next(self) -> Ticks:
        """Wait for the next frame's time and return its pts.

        A frame that starts more than half a frame after its time is counted late; when more than
        two frames are missed they are dropped, counted, and the grid goes on at the present.
        """
        self._clock.wait_until(self._next)
        behind = self._clock.now() - self._next
        if behind > TOLERANCE * self.frame_ticks:
            missed = behind // self.frame_ticks
            self.dropped += missed
            self._next += missed * self.frame_ticks
        elif behind > self.frame_ticks // 2:
            self.late += 1
        pts = self._next
        self._next += self.frame_ticks
        self.frames += 1
        return pts
