"""Gestures at play: layered, each from rest to rest, released without a jump when interrupted.

An arm weighs something: no gesture moves one faster than `SWIFTEST`, and one that is called off far
from home takes longer to come back. What a limb was doing when it was called off is braked, not
cut, so that its speed has no jump either.
"""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from random import Random

from avatar.curves import Floats, KeyedCurve, ease
from avatar.motions import Gesture
from avatar.pose import ParameterTable
from dialogue.ticks import TICKS_PER_S, Ticks, from_ms

RELEASE: Ticks = from_ms(750)
"""An interrupted gesture is gone after this, or later where a limb has a long way."""
WAIT = 0.6
"""A gesture that takes over from another waits for this share of its release: the limb comes back
before it sets out."""
BRAKE: Ticks = from_ms(350)
"""A limb that is called off in mid-flight has lost its speed after this."""
SWIFTEST = {
    "ParamArmLA": 2.2, "ParamArmRA": 2.2, "ParamArmLB": 3.6, "ParamArmRB": 3.6, "ParamPropR": 2.0,
    "ParamHat": 3.2,
}  # fmt: skip
"""How fast a gesture may move a limb, or what it carries: parameter -> units a second. An arm that
swings from the belly to the head in two thirds of a second is as fast as people wave."""
MOST = 6
_STEEPEST = 1.875
"""The highest speed of `ease`: it covers 0..1 in 1."""


@dataclass(slots=True)
class _Playing:
    gesture: Gesture
    curves: list[tuple[int, KeyedCurve]]
    start: Ticks
    gain: float
    stretch: float
    released: Ticks | None = None
    # Once released: index, offset and speed at that time, and how long it takes.
    left: tuple[tuple[int, float, float, Ticks], ...] = ()

    def over(self, at: Ticks) -> bool:
        if self.released is not None:
            return at >= self.released + max((part[3] for part in self.left), default=0)
        return at - self.start >= self.gesture.length * self.stretch

    def let_go(self, at: Ticks, limits: Mapping[int, float], hands: Collection[int]) -> None:
        """Ease out from `at` on; `hands` go with their arms."""
        if self.released is not None or self.over(at):
            return
        own = max(0.0, (at - self.start) / self.stretch)
        parts = [
            (index, self.gain * curve.value(own), self.gain * curve.speed(own) / self.stretch)
            for index, curve in self.curves
        ]
        # Limbs that carry each other share the time they take.
        ways = (offset / limits[index] for index, offset, _ in parts if index in limits)
        slow = max(RELEASE, round(_STEEPEST * math.hypot(*ways) * TICKS_PER_S))
        self.left = tuple(
            (*part, slow if part[0] in limits or part[0] in hands else RELEASE) for part in parts
        )
        self.released = at

    def gives_way(self, names: Collection[int]) -> Ticks:
        """Return how long the longest way of some parameters takes, once released."""
        return max((part[3] for part in self.left if part[0] in names), default=0)

    def add_to(self, values: Floats, at: Ticks) -> None:
        if at <= self.start:
            return
        if self.released is None or at <= self.released:
            own = (at - self.start) / self.stretch
            for index, curve in self.curves:
                values[index] += self.gain * curve.value(own)
            return
        since = at - self.released
        run = _braked(since)
        for index, offset, speed, length in self.left:
            values[index] += offset * (1.0 - ease(since / length)) + speed * run


def _shapes(gesture: Gesture) -> set[str]:
    """Return the shapes of hands that a gesture uses: "ParamHandLPoint", not "ParamHandL"."""
    return {name for name in gesture.curves if re.match("ParamHand[LR].", name)}


def _braked(since: Ticks) -> float:
    """Return how far something runs on that had speed 1 and is stopped, and then put back."""
    u = min(1.0, since / BRAKE)
    return BRAKE * u * (1.0 + u * u * (-6.0 + u * (8.0 - 3.0 * u)))


class Gestures:
    """What is being performed."""

    def __init__(self, table: ParameterTable, random: Random, energy: float) -> None:
        """Perform nothing.

        Args:
            table: whose parameters are moved.
            random: no two performances are alike.
            energy: 0..1, how big.
        """
        self._table = table
        self._random = random
        self._size = 0.84 + 0.22 * energy
        self._limits = {
            table.index[name]: speed for name, speed in SWIFTEST.items() if name in table.index
        }
        self._hands = {i for name, i in table.index.items() if name.startswith("ParamHand")}
        self._playing: list[_Playing] = []

    def __len__(self) -> int:
        return len(self._playing)

    def play(self, gesture: Gesture, at: Ticks, size: float = 1.0) -> None:
        """Begin `gesture`; others that move the same parts give way."""
        index = self._table.index
        curves = [(index[name], curve) for name, curve in gesture.curves.items() if name in index]
        moved = {i for i, _ in curves}
        start = at
        for other in self._playing:
            if not other.over(at) and other.gesture.curves.keys() & gesture.curves.keys():
                other.let_go(at, self._limits, self._hands)
                # A hand changes its shape where nobody sees it: at home.
                share = WAIT if _shapes(other.gesture) == _shapes(gesture) else 1.0
                start = max(start, at + round(share * other.gives_way(moved)))
        self._playing = [p for p in self._playing if not p.over(at)][-(MOST - 1) :]
        gain = size * self._size * self._random.uniform(0.92, 1.08)
        stretch = self._random.uniform(0.95, 1.08)
        for i, curve in curves:
            if i in self._limits:
                stretch = max(stretch, gain * curve.fastest * TICKS_PER_S / self._limits[i])
        self._playing.append(_Playing(gesture, curves, start, gain, stretch))

    def busy(self, at: Ticks) -> bool:
        """Return True while anything is performed."""
        return any(not p.over(at) for p in self._playing)

    def release(self, at: Ticks) -> None:
        """Let everything ease out."""
        for playing in self._playing:
            playing.let_go(at, self._limits, self._hands)

    def add_to(self, values: Floats, at: Ticks) -> None:
        """Add the offsets at `at` to `values`, in place."""
        if not self._playing:
            return
        self._playing = [p for p in self._playing if not p.over(at)]
        for playing in self._playing:
            playing.add_to(values, at)
