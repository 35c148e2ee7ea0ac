"""How neighbouring sounds shape each other: smooth viseme weights from articulations.

Dominance functions after Cohen and Massaro, "Modeling Coarticulation in Synthetic Visual Speech"
(1993): every target pulls the mouth with a strength that rises before its sound and falls after
it, and the mouth is the average of the targets weighted by their pull. Two things differ. The
pull has a flat core over the sound's steady part and a compact flank, (1 - d^2)^3 with d the
distance in flanks, instead of an exponential: curves are smooth and silence is silent exactly.
And closures are no matter of averages: p, b, m shut the lips and f, v reach the teeth by a gate on
top, however short they are (lips begin to close about 70 ms ahead: Löfqvist and Gracco 1997,
JSLHR 40:877).
"""

from collections.abc import Sequence

import numpy as np

from avatar.curves import Floats, ease
from avatar.pose import VISEMES
from avatar.tracks import Articulation
from dialogue.ticks import TICKS_PER_MS, Ticks

SIL, PP, FF = VISEMES.index("sil"), VISEMES.index("PP"), VISEMES.index("FF")

OPENS_BEFORE: Ticks = 100 * TICKS_PER_MS
"""The mouth is closed until this long before the first sound after silence."""
CLOSED_AFTER: Ticks = 115 * TICKS_PER_MS
"""The mouth is closed exactly from this long after the last sound on."""
CLOSURE: Ticks = 40 * TICKS_PER_MS
"""Lips stay shut for at least this long at p, b, m: longer than a frame at 30 fps."""
TEETH_WEIGHT = 0.94
"""How far f and v reach; the rest is left to the neighbours (the rounding of "foo")."""

_SIL_LATE = 45 * TICKS_PER_MS  # silence lets go this long before the sound, so that vowels are
_SIL_FLANK = 80 * TICKS_PER_MS  # open when they are heard
_SIL_HOLD = 50 * TICKS_PER_MS
_CLOSING = 60 * TICKS_PER_MS
_TEETH_CLOSING = 55 * TICKS_PER_MS
_BURST = 45 * TICKS_PER_MS
_NASAL_RELEASE = 55 * TICKS_PER_MS
_REACH = 200 * TICKS_PER_MS  # no flank is longer
_FULL_PAUSE = 150 * TICKS_PER_MS


class Closure:
    """A gate that shuts the lips or puts the teeth on the lip."""

    def __init__(self, part: Articulation) -> None:
        """Place the gate for an articulation whose sound closes."""
        assert part.target is not None
        sound = part.target.sound
        self.lips = sound.closure == "PP"
        length = part.stop - part.start
        middle = (part.start + part.stop) / 2
        if not self.lips:
            start, stop = part.start + 0.1 * length, part.start + 0.7 * length
        elif sound.voiced_through:
            start, stop = part.start + 0.08 * length, part.stop - 0.15 * length
        else:  # what follows the burst is breath through open lips
            start, stop = part.start + 0.02 * length, part.start + 0.62 * length
        short = CLOSURE - (stop - start)
        if short > 0:
            start, stop = start - short / 2, stop + short / 2
        margin = 4 * TICKS_PER_MS
        self.shut = min(start, middle - margin)
        self.parts = max(stop, middle + margin)
        self.begins = self.shut - (_CLOSING if self.lips else _TEETH_CLOSING)
        self.ends = self.parts + (_NASAL_RELEASE if self.lips and sound.voiced_through else _BURST)

    def value(self, at: float) -> float:
        """Return how far the gate is shut at `at`, 0..1."""
        if at <= self.begins or at >= self.ends:
            return 0.0
        if at < self.shut:
            return ease((at - self.begins) / (self.shut - self.begins))
        if at <= self.parts:
            return 1.0
        return ease((self.ends - at) / (self.ends - self.parts))


class MouthCurve:
    """Viseme weights of an utterance for any instant, without loudness' part."""

    def __init__(self, parts: Sequence[Articulation]) -> None:
        """Set up the dominance of every target.

        Args:
            parts: in order and without gaps, from `avatar.tracks.articulate`.
        """
        self.start: Ticks = parts[0].start if parts else 0
        self.stop: Ticks = parts[-1].stop if parts else 0
        n = len(parts) + 2
        self._from = np.empty(n)
        self._to = np.empty(n)
        self._rise = np.empty(n)
        self._fall = np.empty(n)
        self._pull = np.empty(n)
        self._yield = np.zeros(n)  # how much loudness matters to its opening
        self._shape = np.zeros((n, len(VISEMES)))
        self._lips: list[Closure] = []
        self._teeth: list[Closure] = []
        stressed = any(part.stress for part in parts)
        for i, part in enumerate(parts):
            self._set(i + 1, part, stressed)
        self._silence(0, -1e15, float(self.start), 1.0)
        self._silence(n - 1, float(self.stop), 1e15, 1.0)
        self._keep_silence(parts)
        self._order = self._from - self._rise
        self._from_max = np.maximum.accumulate(self._to + self._fall)
        self._empty = not any(part.target for part in parts)

    def _set(self, i: int, part: Articulation, stressed: bool) -> None:
        length = part.stop - part.start
        if part.target is None:
            self._silence(i, part.start, part.stop, min(1.0, length / _FULL_PAUSE))
            return
        sound = part.target.sound
        inset = min((0.25 if sound.vowel else 0.2) * length, 30 * TICKS_PER_MS)
        self._from[i], self._to[i] = part.start + inset, part.stop - inset
        self._rise[i] = sound.rise_ms * TICKS_PER_MS
        self._fall[i] = sound.fall_ms * TICKS_PER_MS
        self._pull[i] = sound.dominance
        self._yield[i] = 1.0 if sound.vowel else 0.35
        full = 0.86 if sound.vowel and stressed and not part.stress else 1.0
        for viseme, weight in sound.shape.items():
            self._shape[i, VISEMES.index(viseme)] = weight * full
        if sound.closure:
            self._yield[i] = 0.0
            (self._lips if sound.closure == "PP" else self._teeth).append(Closure(part))

    def _silence(self, i: int, start: float, stop: float, pull: float) -> None:
        length = stop - start
        self._from[i] = start + min(_SIL_HOLD, 0.4 * length)
        self._to[i] = stop - min(_SIL_LATE, 0.4 * length)
        self._rise[i] = self._fall[i] = _SIL_FLANK
        self._pull[i] = pull

    def _keep_silence(self, parts: Sequence[Articulation]) -> None:
        """Shorten flanks that would open the mouth too early or too late around a pause."""
        ended = float(self.start)
        for i, part in enumerate(parts, 1):
            if part.target is None:
                ended = float(part.stop)
            else:
                self._rise[i] = min(self._rise[i], self._from[i] - ended + OPENS_BEFORE)
        begins = float(self.stop)
        for i in range(len(parts), 0, -1):
            part = parts[i - 1]
            if part.target is None:
                begins = float(part.start)
            else:
                self._fall[i] = min(self._fall[i], begins + CLOSED_AFTER - self._to[i])
        for gate in (*self._lips, *self._teeth):
            gate.begins = max(gate.begins, self.start - OPENS_BEFORE)

    def weights(self, at: float, open_by: float) -> Floats:
        """Return the weights of the 15 visemes at `at`; they sum to 1.

        Args:
            at: ticks from the start of the utterance.
            open_by: 0..1, how far the voice's loudness opens vowels.
        """
        out = np.zeros(len(VISEMES))
        if self._empty or at < self.start - _REACH or at > self.stop + _REACH:
            out[SIL] = 1.0
            return out
        lo = int(np.searchsorted(self._from_max, at))
        hi = lo + 1
        n = len(self._order)
        while hi < n and self._order[hi] - _REACH < at:
            hi += 1
        s = slice(lo, hi)
        before = (self._from[s] - at) / self._rise[s]
        after = (at - self._to[s]) / self._fall[s]
        d = np.maximum(np.maximum(before, after), 0.0)
        pull = np.maximum(1.0 - d * d, 0.0)
        pull = pull * pull * pull * self._pull[s]
        total = float(pull.sum())
        if total > 0.0:
            out = (pull * (1.0 - self._yield[s] * (1.0 - open_by))) @ self._shape[s] / total
        teeth = max((gate.value(at) for gate in self._near(self._teeth, at)), default=0.0)
        if teeth > 0.0:
            teeth *= TEETH_WEIGHT
            out *= 1.0 - teeth
            out[FF] += teeth
        lips = max((gate.value(at) for gate in self._near(self._lips, at)), default=0.0)
        if lips > 0.0:
            out *= 1.0 - lips
            out[PP] += lips
        out[SIL] = max(0.0, 1.0 - float(out[SIL + 1 :].sum()))
        return out

    @staticmethod
    def _near(gates: list[Closure], at: float) -> list[Closure]:
        if len(gates) < 6:
            return gates
        lo, hi = 0, len(gates)
        while lo < hi:  # the gates' ends rise with their order, but for a few ticks
            middle = (lo + hi) // 2
            if gates[middle].ends < at:
                lo = middle + 1
            else:
                hi = middle
        return gates[max(0, lo - 1) : lo + 4]
