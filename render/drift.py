"""Two clocks that drift apart, brought together where nobody hears it.

A sound card's crystal and the machine's differ by up to some hundred parts in a million: seconds
over a night. `Lock` measures the difference, slowly and damped, and says how much faster or slower
the card must take its sound; `Bend` resamples by that much, without a step, at any instant between
two samples. The pitch changes by less than a hundredth of a semitone (`MOST`).

Compiled by numba for this processor when first used (a second, once; kept on disk).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from dialogue.ticks import TICKS_PER_S, Ticks
from render.limiter import kept
from voice.speech import Samples

MOST = 500e-6
"""Sound is never played faster or slower by more: 0.87 cents, a fifth of what a trained ear hears.
Crystals are specified to within 100 parts in a million, the worst of cheap ones reach 300."""
PACE = 0.03
"""1/s. How fast a difference is taken out: two thirds of it in half a minute."""
SMOOTH_S = 2.0
"""Times are told with a jitter of milliseconds; they are averaged over this."""

TAPS = 24
BEFORE = TAPS // 2 - 1
"""Samples before the instant that are needed to know the sound at it."""
AFTER = TAPS - BEFORE
"""And from it on."""
_ROWS = 512


class Lock:
    """A control loop of second order, critically damped: difference in, rate out."""

    def __init__(self) -> None:
        """Know nothing."""
        self.drift = 0.0
        """What the rate has settled on: -0.0002 where the card is 200 ppm fast."""
        self.late: float | None = None
        """The averaged difference, in ticks."""

    def step(self, late: float, passed: Ticks) -> float:
        """Return how much faster than its own clock the card has to take its sound.

        Args:
            late: how much later than its picture the sound leaves, in ticks.
            passed: since the last step.
        """
        passed_s = passed / TICKS_PER_S
        if self.late is None:
            self.late = late
        self.late += (late - self.late) * min(1.0, passed_s / SMOOTH_S)
        error_s = self.late / TICKS_PER_S
        wanted = self.drift + 2.0 * PACE * error_s
        bent = min(MOST, max(-MOST, wanted))
        if bent == wanted or (error_s > 0) != (wanted > 0):
            self.drift += PACE * PACE * error_s * passed_s
        return bent

    def begin(self) -> None:
        """Forget the difference, but not the drift: the sound starts anew."""
        self.late = None


@kept
def _bend(sound, out, at, step, table):  # type: ignore[no-untyped-def]
    """Fill `out` with the sound at `at`, `at + step`, ...; returns the instant after the last.

    Args:
        sound: `BEFORE` samples before instant 0, and as many as are needed.
        out: filled.
        at: of the first, in samples; 0 or more.
        step: between two.
        table: filters for `_ROWS` + 1 instants between two samples.
    """
    for i in range(len(out)):
        whole = np.uint64(at)
        place = (at - whole) * _ROWS
        row = np.uint64(place)
        share = np.float32(place - row)
        a, b = np.float32(0.0), np.float32(0.0)
        for k in range(TAPS):
            value = sound[whole + np.uint64(k)]
            a += value * table[row, np.uint64(k)]
            b += value * table[row + np.uint64(1), np.uint64(k)]
        out[i] = a + share * (b - a)
        at += step
    return at


def _table() -> npt.NDArray[np.float32]:
    """Return windowed sinc filters: wrong by less than -85 dB up to 12 kHz, -70 to 16 kHz."""
    x = np.arange(TAPS) - BEFORE - (np.arange(_ROWS + 1) / _ROWS)[:, None]
    window = np.i0(8.0 * np.sqrt(np.maximum(0.0, 1.0 - (2.0 * x / TAPS) ** 2)))
    rows = np.sinc(x) * window
    filters: npt.NDArray[np.float32] = (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)
    return filters


_FILTERS = _table()


def bend(sound: Samples, out: Samples, at: float, step: float) -> float:
    """Fill `out` with `sound` taken at `at`, `at + step`, ... samples after its first `BEFORE`.

    Returns:
        The instant after the last. Where both numbers are whole, the samples are copied.
    """
    if at == 0.0 and step == 1.0:
        out[:] = sound[BEFORE : BEFORE + len(out)]
        return float(len(out))
    after: float = _bend(sound, out, at, step, _FILTERS)
    return after


def ready() -> None:
    """Compile what is missing."""
    out: Any = np.zeros(1, np.float32)
    bend(np.zeros(TAPS + 2, np.float32), out, 0.5, 1.0)
