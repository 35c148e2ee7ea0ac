"""How many bits a second a line to a server carries: down quickly, up again with patience.

Pure: it is told how much waits to be sent, and when, in ticks of the stage clock.
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

    def note(self, waiting: Ticks, at: Ticks) -> int | None:
        """Take how much waits at stage time `at`; returns a new bit rate when it changes."""
        if self._looked is None:
            self._looked = self._changed = self._troubled = at
        if at - self._looked < LOOK:
            return None
        self._looked = at
        growing, self._before = waiting >= self._before, waiting
        if waiting > CALM:
            self._troubled = at
        if waiting > GROWN and growing and at - self._changed >= PAUSE:
            if self._trying:  # the last step up was one too many: wait longer for the next
                self._patience = min(2 * self._patience, LONGEST_PATIENCE)
            self._trying = False
            share = DOWN_MUCH if waiting > MUCH else DOWN
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
