"""Holds the programme below its ceiling, also between the samples: a look-ahead limiter.

Compiled by numba for this processor when first used (a second, once; kept on disk). The level is
looked at four times a sample (ITU-R BS.1770, annex 2). Where it would pass the ceiling the gain
goes down beforehand, along a smooth curve that arrives with the peak, and comes back slowly; what
needs no limiting leaves as it came, bit for bit. The sound is `LATENCY` later for it, which
`render.mix` makes up for.
"""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from dialogue.ticks import TICKS_PER_MS, Ticks
from voice.speech import Samples

LATENCY: Ticks = 5 * TICKS_PER_MS
"""A sample that goes in comes out after so many others."""
CEILING_DB = -1.5
"""dBTP. Half a decibel below the promise of -1, for what AAC and Opus add."""
RELEASE_MS = 80.0
"""The gain takes this long to come back by two thirds."""

_TAPS = 12
_AHEAD = _TAPS // 2
_HALF = (LATENCY - _AHEAD + 2) // 2  # of the smooth curve: two boxes, one after the other
_WINDOW = 2 * _HALF - 1
_PAST = LATENCY + _TAPS
assert _WINDOW + _AHEAD - 1 == LATENCY


def _between() -> npt.NDArray[np.float32]:
    """Return three filters that give the sound a quarter, half and three quarters on."""
    rows = []
    for share in (0.25, 0.5, 0.75):
        x = np.arange(_TAPS) - (_AHEAD - 1) - share
        row = np.sinc(x) * np.i0(5.0 * np.sqrt(np.maximum(0.0, 1 - (x / _AHEAD) ** 2)))
        rows.append(row / row.sum())
    return np.array(rows, np.float32)


_FILTERS = _between()


def kept(function: Any) -> Any:
    """Compile `function`, and keep the result on disk where there is a place for it."""
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=True)(function)
    except RuntimeError:  # a read-only system: compiled anew at each start
        return numba.njit(nogil=True, error_model="numpy", fastmath=True)(function)


@kept
def _limit(sound, out, filters, ceiling, back, state, excess, smooth, held, held_at):  # type: ignore[no-untyped-def]
    """Limit `sound`, which begins `_PAST` samples before the first of `out`'s input.

    Args:
        sound: past and new samples.
        out: filled; as long as the new samples.
        filters: three rows of `_TAPS`.
        ceiling: highest level.
        back: what is left of a gain's fall one sample later.
        state: sums of both boxes, the falling gain; position, first and count of what is held.
        excess: ring of `_HALF`, falls that go into the first box.
        smooth: ring of `_HALF`, of the first box into the second.
        held: ring of `_WINDOW`, falls of which each is smaller than the one before.
        held_at: their positions.
    """
    one, two, fall = state[0], state[1], state[2]
    at, first, count = int(state[3]), int(state[4]), int(state[5])
    for i in range(len(out)):
        centre = _PAST + i - _AHEAD
        peak = abs(sound[centre])
        low = centre - _AHEAD + 1
        a = np.float32(0.0)
        b = np.float32(0.0)
        c = np.float32(0.0)
        for k in range(_TAPS):
            value = sound[low + k]
            a += value * filters[0, k]
            b += value * filters[1, k]
            c += value * filters[2, k]
        peak = max(max(peak, abs(a)), max(abs(b), abs(c)))
        need = 1.0 - ceiling / peak if peak > ceiling else 0.0
        # The largest need of the last _WINDOW samples.
        if count > 0 and held_at[first] <= at - _WINDOW:
            first = (first + 1) % _WINDOW
            count -= 1
        while count > 0 and held[(first + count - 1) % _WINDOW] <= need:
            count -= 1
        last = (first + count) % _WINDOW
        held[last], held_at[last] = need, at
        count += 1
        fall = max(held[first], fall * back)
        if fall < 1e-7:
            fall = 0.0
        slot = at % _HALF
        one += fall - excess[slot]
        excess[slot] = fall
        two += one - smooth[slot]
        smooth[slot] = one
        out[i] = sound[_PAST + i - LATENCY] * np.float32(1.0 - two / (_HALF * _HALF))
        at += 1
    state[0], state[1], state[2] = one, two, fall
    state[3], state[4], state[5] = at, first, count


class Limiter:
    """Limits an endless sound, block by block; results do not depend on the blocks' sizes."""

    def __init__(self, ceiling_db: float = CEILING_DB) -> None:
        """Start with silence.

        Args:
            ceiling_db: dBTP.
        """
        self._ceiling = 10 ** (ceiling_db / 20)
        self._back = float(np.exp(-1.0 / (RELEASE_MS * TICKS_PER_MS)))
        self._past: Samples = np.zeros(_PAST, np.float32)
        self._state = np.zeros(6)
        self._excess, self._smooth = np.zeros(_HALF), np.zeros(_HALF)
        self._held, self._held_at = np.zeros(_WINDOW), np.zeros(_WINDOW, np.int64)

    def push(self, samples: Samples) -> Samples:
        """Return as many samples as come in, `LATENCY` later."""
        sound = np.concatenate((self._past, np.asarray(samples, np.float32)))
        out = np.empty(len(samples), np.float32)
        _limit(
            sound, out, _FILTERS, self._ceiling, self._back, self._state, self._excess,
            self._smooth, self._held, self._held_at,
        )  # fmt: skip
        self._past = sound[len(samples) :]
        return out


def ready() -> None:
    """Compile what is missing, by limiting silence."""
    Limiter().push(np.zeros(1, np.float32))
