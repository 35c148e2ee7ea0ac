"""How many bits a second a line to a server carries: down quickly, up again with patience.

Pure: it is told how much waits to be sent, or what the receiver reports, and when, in ticks of the
stage clock.
"""

from dialogue.ticks import TICKS_PER_S, Ticks

LOOK: Ticks = TICKS_PER_S // 4
"""The queue is looked at this often."""
GROWN: Ticks = TICKS_PER_S // 2
"""More than this waits, and more than before: the line is too slow."""
CALM: Ticks = TICKS_PER_S // 4
"""Less than this waits: the line is well."""
PAUSE: Ticks = TICKS_PER_S
"""Between two steps down: the queue takes a moment to show what the last one did."""
PATIENCE: Ticks = 6 * TICKS_PER_S
"""A line that was well for so long is tried with more."""
LONGEST_PATIENCE: Ticks = 60 * TICKS_PER_S
MUCH: Ticks = TICKS_PER_S
"""More than this waits: the next step down is a large one."""
DOWN, DOWN_MUCH, UP = 0.7, 0.5, 1.2
LOST_MUCH, LOST_LITTLE = 0.10, 0.02
"""More than the one of what was sent is lost: the line is too slow; less than the other: it is
well. As in Google's congestion control (draft-ietf-rmcat-gcc-02, section 6)."""
LATER_S = 0.25
"""There and back takes so much longer than it did: what was sent waits on its way."""


class Rate:
    """The bit rate of the picture on one line."""

    def __init__(self, *, most: int, least: int) -> None:
        """Begin with `most`.

        Args:
            most: bits a second when all is well.
            least: bits a second that are tried even if they are too many.
        """
        self.bitrate = most
        """Bits a second now."""
        self.downs = 0
        """Steps down so far."""
        self.ups = 0
        """Steps up so far."""
        self._most, self._least = most, min(least, most)
        self._looked: Ticks | None = None
        self._before: Ticks = 0
        self._changed: Ticks = 0
        self._troubled: Ticks = 0
        self._patience: Ticks = PATIENCE
        self._trying = False

    def __str__(self) -> str:
        """Return the rate and how it came about, for people."""
        now, most = self.bitrate / 1e6, self._most / 1e6
        return f"{now:.1f} of {most:.1f} Mbit/s (down {self.downs}, up {self.ups} times)"

    def note(self, waiting: Ticks, at: Ticks) -> int | None:
        """Take how much waits at stage time `at`; returns a new bit rate when it changes."""
        if self._looked is None:
            self._looked = self._changed = self._troubled = at
        if at - self._looked < LOOK:
            return None
        self._looked = at
        growing, self._before = waiting >= self._before, waiting
        share = DOWN_MUCH if waiting > MUCH else DOWN
        return self._step(at, waiting <= CALM, share if waiting > GROWN and growing else None)

    def _step(self, at: Ticks, well: bool, share: float | None) -> int | None:
        """Go down to `share` of the rate, or up where the line has been well for long enough."""
        if not well:
            self._troubled = at
        if share is not None and at - self._changed >= PAUSE:
            if self._trying:  # the last step up was one too many: wait longer for the next
                self._patience = min(2 * self._patience, LONGEST_PATIENCE)
            self._trying = False
            return self._set(max(self._least, round(self.bitrate * share)), at)
        if at - self._troubled >= self._patience:
            if self._trying and self.bitrate == self._most:
                self._patience, self._trying = PATIENCE, False
            elif self.bitrate < self._most:
                self._troubled = at
                self._trying = True
                return self._set(min(self._most, round(self.bitrate * UP)), at)
        return None

    def _set(self, bitrate: int, at: Ticks) -> int | None:
        if bitrate == self.bitrate:
            return None
        if bitrate < self.bitrate:
            self.downs += 1
        else:
            self.ups += 1
        self.bitrate = bitrate
        self._changed = at
        return bitrate


class ReportedRate(Rate):
    """The same for a line on which nothing waits here, since what is too much is lost on its way.

    The receiver's reports say how much that was.
    """

    _usual_s: float | None = None  # the way there and back, when nothing waits

    def report(
        self, at: Ticks, *, lost: float, rtt_s: float | None = None, bound: int | None = None
    ) -> int | None:
        """Take a report; returns a new bit rate when it changes.

        Args:
            at: stage time.
            lost: share of the packets since the last report that did not arrive, 0..1.
            rtt_s: seconds there and back; None where that is not known.
            bound: bits a second that the receiver thinks the line carries, where that is less than
                was sent; None otherwise.
        """
        if self._looked is None:
            self._looked = self._changed = self._troubled = at
        later = False
        if rtt_s is not None:
            usual_s = rtt_s if self._usual_s is None else min(rtt_s, 1.01 * self._usual_s)
            self._usual_s = usual_s
            later = rtt_s > usual_s + LATER_S
        share: float | None = None
        if lost > LOST_MUCH:
            share = max(DOWN_MUCH, 1 - lost / 2)
        if later:
            share = min(share or 1.0, DOWN)
        if bound is not None:
            share = min(share or 1.0, max(DOWN_MUCH, bound / self.bitrate))
        return self._step(at, share is None and lost < LOST_LITTLE, share)
