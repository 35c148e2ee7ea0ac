"""Which picture an overloaded machine can keep up with: a ladder, and when to take a rung.

Pure: it is told how long the work of each frame took and how many frames were late or lost, and
says how to draw. It goes down soon and up late: a host that changes her sharpness every few
seconds is worse than one that stays soft.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dialogue.ticks import TICKS_PER_S, Ticks

CHUNK: Ticks = 2 * TICKS_PER_S
"""Time after which one judges."""
BAD_CHUNKS = 3
"""So many bad ones in a row lead a rung down."""
MISSED = 0.04
"""A chunk is bad when more than this share of its frames was late or lost."""
FULL = 0.92
"""It is bad, too, when the work filled more than this share of the time."""
EASY = 0.75
"""One goes up where the work would fill less than this share of the time up there."""
PATIENCE = 10
"""Good chunks in a row (20 s) before a rung up; twice as many after each return."""
MOST_PATIENCE = 150
"""Five minutes."""
RELAPSE = 30
"""Who has to go down again within so many chunks (a minute) has come up too early."""


@dataclass(frozen=True, slots=True)
class Level:
    """How pictures are drawn."""

    share: float = 1.0
    """Of width and height."""
    every: int = 1
    """Every so many frames a new picture; between them the last one is shown again."""

    def __str__(self) -> str:
        size = {1.0: "", 0.75: "3/4 size", 0.5: "1/2 size"}.get(
            self.share, f"{self.share:.0%} size"
        )
        rate = "" if self.every == 1 else "every second picture" if self.every == 2 else (
            f"one picture in {self.every}"
        )  # fmt: skip
        return ", ".join(word for word in (size, rate) if word)


def ladder(*, resizable: bool = True) -> tuple[Level, ...]:
    """Return the levels, best first.

    Args:
        resizable: whether the renderer can draw smaller pictures.
    """
    if not resizable:
        return Level(), Level(1.0, 2)
    return Level(), Level(0.75), Level(0.5), Level(0.5, 2)


class Adapter:
    """Finds the level that the machine can keep up with."""

    def __init__(self, levels: Sequence[Level], frame_ticks: Ticks) -> None:
        """Begin at the best.

        Args:
            levels: best first; see `ladder`.
            frame_ticks: length of a frame.
        """
        self._levels = tuple(levels)
        self._frame_ticks = frame_ticks
        self._at = 0
        self._frames = 0
        self._worked: Ticks = 0
        self._missed = 0
        self._bad = 0
        self._good = 0
        self._here = 0  # chunks at this level
        self._patience = PATIENCE
        self._climbed = False  # the last move was up

    @property
    def level(self) -> Level:
        """How to draw now."""
        return self._levels[self._at]

    def note(self, worked: Ticks, missed: int = 0) -> Level | None:
        """Take one frame; returns the new level when it changes.

        Args:
            worked: how long mixing, posing and drawing took.
            missed: frames late or lost since the last call.
        """
        self._frames += 1
        self._worked += worked
        self._missed += missed
        if (self._frames + self._missed) * self._frame_ticks < CHUNK:
            return None
        load = self._worked / (self._frames * self._frame_ticks)
        lost = self._missed / (self._frames + self._missed)
        self._frames = self._worked = self._missed = 0
        return self._judge(load, lost)

    def _judge(self, load: float, lost: float) -> Level | None:
        self._here += 1
        if load > FULL or lost > MISSED:
            self._good = 0
            self._bad += 1
            if self._bad < BAD_CHUNKS or self._at + 1 == len(self._levels):
                return None
            if self._climbed and self._here <= RELAPSE:
                self._patience = min(2 * self._patience, MOST_PATIENCE)
            return self._move(1)
        self._bad = 0
        self._good += 1
        if self._at == 0:
            if self._good >= MOST_PATIENCE:  # well for so long that the past is forgotten
                self._patience = PATIENCE
            return None
        if lost or load * self._dearer() > EASY:
            self._good = 0
        return self._move(-1) if self._good >= self._patience else None

    def _dearer(self) -> float:
        """Return how many times the work of this level the one above takes, at most.

        Posing costs the same at every size, so that twice the width is less than twice the work.
        """
        above, here = self._levels[self._at - 1], self.level
        return above.share / here.share * here.every / above.every

    def _move(self, rungs: int) -> Level:
        self._at += rungs
        self._climbed = rungs < 0
        self._bad = self._good = self._here = 0
        return self.level
