"""Gestures at play: layered, each from rest to rest, released without a jump when interrupted."""

from dataclasses import dataclass
from random import Random

from avatar.curves import Floats, KeyedCurve, ease
from avatar.motions import Gesture
from avatar.pose import ParameterTable
from dialogue.ticks import Ticks, from_ms

RELEASE: Ticks = from_ms(750)
"""An interrupted gesture is gone after this."""
WAIT: Ticks = from_ms(450)
"""A gesture that takes over from another waits so long: the limb comes back before it sets out."""
MOST = 6


@dataclass(slots=True)
class _Playing:
    gesture: Gesture
    curves: list[tuple[int, KeyedCurve]]
    start: Ticks
    gain: float
    stretch: float
    released: Ticks | None = None

    def over(self, at: Ticks) -> bool:
        if self.released is not None and at >= self.released + RELEASE:
            return True
        return at - self.start >= self.gesture.length * self.stretch


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
        self._playing: list[_Playing] = []

    def __len__(self) -> int:
        return len(self._playing)

    def play(self, gesture: Gesture, at: Ticks, size: float = 1.0) -> None:
        """Begin `gesture`; others that move the same parts give way."""
        start = at
        for other in self._playing:
            if not other.over(at) and other.gesture.curves.keys() & gesture.curves.keys():
                start = at + WAIT
                if other.released is None:
                    other.released = at
        self._playing = [p for p in self._playing if not p.over(at)][-(MOST - 1) :]
        index = self._table.index
        curves = [(index[name], curve) for name, curve in gesture.curves.items() if name in index]
        gain = size * self._size * self._random.uniform(0.92, 1.08)
        stretch = self._random.uniform(0.95, 1.08)
        self._playing.append(_Playing(gesture, curves, start, gain, stretch))

    def busy(self, at: Ticks) -> bool:
        """Return True while anything is performed."""
        return any(not p.over(at) for p in self._playing)

    def release(self, at: Ticks) -> None:
        """Let everything ease out."""
        for playing in self._playing:
            if playing.released is None:
                playing.released = at

    def add_to(self, values: Floats, at: Ticks) -> None:
        """Add the offsets at `at` to `values`, in place."""
        if not self._playing:
            return
        for playing in self._playing:
            if at <= playing.start or playing.over(at):
                continue
            gain = playing.gain
            if playing.released is not None and at > playing.released:
                gain *= 1.0 - ease((at - playing.released) / RELEASE)
            own = (at - playing.start) / playing.stretch
            for index, curve in playing.curves:
                values[index] += gain * curve.value(own)
        self._playing = [p for p in self._playing if not p.over(at)]
