"""Which frame is next: pts on the grid, lateness counted, never a shift of sound."""

import statistics
from collections import deque

from dialogue.ticks import TICKS_PER_S, Ticks, to_ms
from render.clock import Clock

TOLERANCE = 2
"""A frame later than this many frames is skipped."""


class Pacer:
    """Walks the grid of frame times of a clock."""

    def __init__(self, clock: Clock, fps: int, *, ahead: Ticks = 0) -> None:
        """Start at the next frame time.

        Args:
            clock: the stage clock.
            fps: frames a second; must divide 48000.
            ahead: frames are begun so much before their time, so that a slow one is not late.
        """
        if TICKS_PER_S % fps:
            raise ValueError(f"{fps} frames a second are not whole ticks; use 24, 25, 30, 50 or 60")
        self.frame_ticks: Ticks = TICKS_PER_S // fps
        self.frames = 0
        """Frames given out."""
        self.late = 0
        """Frames begun more than half a frame after their time."""
        self.dropped = 0
        """Frames never begun."""
        self._clock = clock
        self._ahead = ahead
        self._next: Ticks = -(-clock.now() // self.frame_ticks) * self.frame_ticks
        self._begun: Ticks | None = None
        self._intervals: deque[Ticks] = deque(maxlen=300)

    def peek(self) -> Ticks:
        """Return the pts of the next frame."""
        return self._next

    def due(self) -> Ticks:
        """Return when the next frame is begun."""
        return self._next - self._ahead

    def next(self) -> Ticks:
        """Wait until the next frame is due and return its pts.

        A frame that starts more than half a frame after its time is counted late; when more than
        two frames are missed they are dropped, counted, and the grid goes on at the present.
        """
        self._clock.wait_until(self.due())
        now = self._clock.now()
        behind = now - self._next
        if behind > TOLERANCE * self.frame_ticks:
            missed = behind // self.frame_ticks
            self.dropped += missed
            self._next += missed * self.frame_ticks
        elif behind > self.frame_ticks // 2:
            self.late += 1
        if self._begun is not None:
            self._intervals.append(now - self._begun)
        self._begun = now
        pts = self._next
        self._next += self.frame_ticks
        self.frames += 1
        return pts

    def intervals_ms(self) -> tuple[float, float]:
        """Return median and longest time between the beginnings of the last 300 frames."""
        if not self._intervals:
            return 0.0, 0.0
        return to_ms(round(statistics.median(self._intervals))), to_ms(max(self._intervals))


class Lateness:
    """How long after their time the pictures get somewhere: what sound has to wait for.

    The median of the last 31, so that one slow frame moves nothing.
    """

    def __init__(self) -> None:
        self._recent: deque[int] = deque(maxlen=31)
        self.ns: int | None = None
        """`monotonic_ns` at which a pts is reached, less the pts; None before the first."""

    @property
    def settled(self) -> bool:
        """True when enough pictures were seen: the first ones of a show may be slow."""
        return len(self._recent) == self._recent.maxlen

    def note(self, pts: Ticks, monotonic_ns: int) -> None:
        """Take one picture's pts and the time when it got there."""
        self._recent.append(monotonic_ns - pts * 1_000_000_000 // TICKS_PER_S)
        self.ns = sorted(self._recent)[len(self._recent) // 2]

    def due_ns(self, pts: Ticks) -> int | None:
        """Return the `monotonic_ns` at which sound of `pts` belongs, None before any picture."""
        if self.ns is None:
            return None
        return self.ns + pts * 1_000_000_000 // TICKS_PER_S


class Lead:
    """How far sound is mixed past the picture: as little as will do, more where a device needs it.

    A loudspeaker that takes its sound long before it is heard (Bluetooth, a large buffer) would
    play late, or run dry. It only ever grows, since each change is a wait that nobody wants twice.
    """

    MOST: Ticks = TICKS_PER_S // 4
    EVERY: Ticks = 3 * TICKS_PER_S

    def __init__(self, ticks: Ticks) -> None:
        """Begin with the least.

        Args:
            ticks: past the end of the picture's own time.
        """
        self.ticks = ticks
        """The lead now."""
        self._looked: Ticks | None = None

    def note(self, pts: Ticks, short: Ticks) -> None:
        """Take how much more a device would need now; the effect of a change is waited for."""
        if self._looked is None:
            self._looked = pts
        if pts - self._looked >= self.EVERY:
            self._looked = pts
            if short > 0:
                self.ticks = max(self.ticks, min(self.MOST, self.ticks + short))
