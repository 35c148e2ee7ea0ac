"""The stage clock: what time it is, in ticks, and how to wait for a tick.

Sound is the master where a device plays it; everything else runs on monotonic time.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from dialogue.ticks import TICKS_PER_S, Ticks


class Clock(Protocol):
    """Tells the time and waits."""

    def now(self) -> Ticks:
        """Return the current stage time. Never goes back."""

    def wait_until(self, pts: Ticks) -> None:
        """Return when `now()` is at least `pts`."""


class MonotonicClock:
    """Runs free on the machine's monotonic time, from 0."""

    def __init__(self) -> None:
        self._origin_ns = time.monotonic_ns()

    def now(self) -> Ticks:
        """Return the ticks since the clock was made."""
        return (time.monotonic_ns() - self._origin_ns) * TICKS_PER_S // 1_000_000_000

    def wait_until(self, pts: Ticks) -> None:
        """Sleep until `pts`."""
        while (left := pts - self.now()) > 0:
            time.sleep(left / TICKS_PER_S)


class VirtualClock:
    """Time that is told, for films made offline and for tests: waiting moves it."""

    def __init__(self, start: Ticks = 0) -> None:
        self._now = start

    def now(self) -> Ticks:
        """Return the time that was last reached."""
        return self._now

    def wait_until(self, pts: Ticks) -> None:
        """Be at `pts` at once."""
        self._now = max(self._now, pts)


class DeviceClock:
    """Follows a sound device: extrapolates from anchors of heard sound.

    An anchor says that tick `heard` left the loudspeaker at `monotonic_ns`. Between anchors the
    clock runs on monotonic time; a new anchor bends its rate by at most 2 %, so that it never
    jumps and never goes back. It runs free while there are no anchors.
    """

    BEND = 0.02

    def __init__(self, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """Start at 0.

        Args:
            monotonic_ns: the time that the anchors are told in.
        """
        self._lock = threading.Lock()
        self._monotonic_ns = monotonic_ns
        self._last_ns = monotonic_ns()
        self._time = 0.0
        self._error = 0.0

    def anchor(self, heard: Ticks, monotonic_ns: int) -> None:
        """Take an anchor; any thread."""
        with self._lock:
            now_ns = self._monotonic_ns()
            self._advance(now_ns)
            truth = heard + (now_ns - monotonic_ns) * TICKS_PER_S / 1e9
            self._error = truth - self._time

    def now(self) -> Ticks:
        """Return the tick that is heard now."""
        with self._lock:
            self._advance(self._monotonic_ns())
            return int(self._time)

    def wait_until(self, pts: Ticks) -> None:
        """Sleep until `pts` is heard."""
        while (left := pts - self.now()) > 0:
            time.sleep(left / TICKS_PER_S)

    def _advance(self, now_ns: int) -> None:
        step = max(0, now_ns - self._last_ns) * TICKS_PER_S / 1e9
        bend = max(-self.BEND * step, min(self.BEND * step, self._error))
        self._time += step + bend
        self._error -= bend
        self._last_ns = now_ns


class Follower:
    """Lets a show follow a sound device: sound and picture of one tick leave at the same instant.

    A picture leaves some milliseconds before its time on the clock, because it is begun early. The
    clock is set to be behind the device by that much (the median of the last 151 pictures, so that
    a moment's hitch moves nothing), and it does not matter how long drawing takes.
    """

    def __init__(self, clock: DeviceClock) -> None:
        """Follow nothing yet.

        Args:
            clock: is led.
        """
        self._clock = clock
        self._leads: deque[Ticks] = deque(maxlen=151)
        self._last: tuple[Ticks, int] | None = None

    def note(self, pts: Ticks) -> None:
        """Take note that the picture of `pts` leaves now."""
        self._leads.append(pts - self._clock.now())

    def anchor(self, anchor: tuple[Ticks, int] | None) -> None:
        """Take the device's (tick heard, `monotonic_ns`); None, or the same again, is nothing."""
        if anchor is None or anchor == self._last or not self._leads:
            return
        self._last = anchor
        lead = sorted(self._leads)[len(self._leads) // 2]
        self._clock.anchor(anchor[0] - lead, anchor[1])
