"""Curves of time that every layer of motion is made of: eases, impulses, keyed curves, drift.

All are closed forms of the stage clock, so that a pose does not depend on how often one was asked
for. Times are ticks (any number, not only whole ones).
"""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dialogue.ticks import TICKS_PER_S, Ticks

Floats = npt.NDArray[np.float64]
"""Values or weights; the shape is told where it is used."""


def ease(u: float) -> float:
    """Return the minimum-jerk step from 0 to 1 for `u` from 0 to 1; flat outside.

    The curve of a hand that reaches for something: Flash and Hogan 1985, J. Neurosci. 5:1688.
    """
    if u <= 0.0:
        return 0.0
    if u >= 1.0:
        return 1.0
    return u * u * u * (10.0 + u * (6.0 * u - 15.0))


class Glide:
    """Numbers that move smoothly to a new target, whatever they were doing before.

    Each move is the fifth-order polynomial from the present value, speed and acceleration to the
    target at rest: from rest it is the minimum-jerk curve, and an interruption shows no jump.
    """

    def __init__(self, value: npt.ArrayLike) -> None:
        """Stand still at `value`, any shape."""
        self._end: Floats = np.array(value, np.float64)
        self._start = 0.0
        self._length = 0.0
        self._c: tuple[Floats, ...] = ()

    def value(self, at: float) -> Floats:
        """Return the value at `at`, which is not before the last move's start."""
        if at - self._start >= self._length:
            return self._end
        u = (at - self._start) / self._length
        c0, c1, c2, c3, c4, c5 = self._c
        return np.asarray(c0 + u * (c1 + u * (c2 + u * (c3 + u * (c4 + u * c5)))))

    def to(self, target: npt.ArrayLike, at: float, length: float) -> None:
        """Move to `target` within `length` ticks from `at` on."""
        end = np.array(target, np.float64)
        if at - self._start >= self._length:
            p, v, a = self._end, np.zeros_like(end), np.zeros_like(end)
        else:
            u, old = (at - self._start) / self._length, self._length
            c0, c1, c2, c3, c4, c5 = self._c
            p = c0 + u * (c1 + u * (c2 + u * (c3 + u * (c4 + u * c5))))
            v = (c1 + u * (2 * c2 + u * (3 * c3 + u * (4 * c4 + u * 5 * c5)))) * (length / old)
            a = (2 * c2 + u * (6 * c3 + u * (12 * c4 + u * 20 * c5))) * (length / old) ** 2
            # A short move interrupted by a long one would swing far past its target.
            v = np.clip(v, -3.0 * np.abs(end - p) - 0.5 * old / length, None)
            v = np.minimum(v, 3.0 * np.abs(end - p) + 0.5 * old / length)
            a = np.clip(a, -10.0 * np.abs(end - p), 10.0 * np.abs(end - p))
        d = end - p
        self._c = (
            p, v, a / 2,
            10 * d - 6 * v - 1.5 * a,
            -15 * d + 8 * v + 1.5 * a,
            6 * d - 3 * v - 0.5 * a,
        )  # fmt: skip
        self._end, self._start, self._length = end, at, max(1.0, length)


def impulse(t: float, rise: float, fall: float) -> float:
    """Return a bump: 0 at `t` <= 0, 1 at `rise`, 0 again from `rise + fall` on."""
    if t <= 0.0 or t >= rise + fall:
        return 0.0
    return ease(t / rise) if t < rise else ease((rise + fall - t) / fall)


class KeyedCurve:
    """A smooth curve through keys that never leaves the range between two neighbours.

    Monotone cubic interpolation (Fritsch and Carlson 1980, SIAM J. Numer. Anal. 17:238): it stops
    at each turning point and flows through the keys between, which is how an animator reads keys.
    """

    def __init__(self, keys: Sequence[tuple[float, float]]) -> None:
        """Take (time, value) pairs, times rising; at least two."""
        t = np.array([key[0] for key in keys], np.float64)
        y = np.array([key[1] for key in keys], np.float64)
        h, d = np.diff(t), np.diff(y) / np.diff(t)
        m = np.zeros(len(t))
        for i in range(1, len(t) - 1):
            if d[i - 1] * d[i] > 0:
                w1, w2 = 2 * h[i] + h[i - 1], h[i] + 2 * h[i - 1]
                m[i] = (w1 + w2) / (w1 / d[i - 1] + w2 / d[i])
        self._t: list[float] = t.tolist()
        self._y: list[float] = y.tolist()
        self._m: list[float] = m.tolist()

    @property
    def stop(self) -> float:
        """Time of the last key."""
        return self._t[-1]

    @property
    def fastest(self) -> float:
        """The highest speed on the way, in values a unit of time."""
        best = 0.0
        for i in range(len(self._t) - 1):
            a, b, c = self._slope(i)
            top = -b / (2 * a) if a else 0.0
            for u in (0.0, 1.0, min(1.0, max(0.0, top))):
                best = max(best, abs(c + u * (b + u * a)))
        return best

    def speed(self, at: float) -> float:
        """Return the speed at `at`, in values a unit of time; 0 beyond the ends."""
        t = self._t
        if at < t[0] or at >= t[-1]:
            return 0.0
        i = bisect_right(t, at) - 1
        a, b, c = self._slope(i)
        u = (at - t[i]) / (t[i + 1] - t[i])
        return c + u * (b + u * a)

    def _slope(self, i: int) -> tuple[float, float, float]:
        """Return the speed within piece `i` as a polynomial of 0..1, highest power first."""
        y, h = self._y[i], self._t[i + 1] - self._t[i]
        fall, m, n = 6 * (y - self._y[i + 1]) / h, self._m[i], self._m[i + 1]
        return fall + 3 * (m + n), -fall - 4 * m - 2 * n, m

    def value(self, at: float) -> float:
        """Return the value at `at`; flat beyond the ends."""
        t, y, m = self._t, self._y, self._m
        if at <= t[0]:
            return y[0]
        if at >= t[-1]:
            return y[-1]
        i = bisect_right(t, at) - 1
        h = t[i + 1] - t[i]
        u = (at - t[i]) / h
        v = u - 1.0
        return (
            (1 + 2 * u) * v * v * y[i] + u * v * v * h * m[i]
            + u * u * (3 - 2 * u) * y[i + 1] + u * u * v * h * m[i + 1]
        )  # fmt: skip


_WORD = 0xFFFFFFFFFFFFFFFF


def _mix(x: int) -> int:
    """Scramble a 64-bit number (the finaliser of splitmix64, Steele et al. 2014, OOPSLA)."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _WORD
    return x ^ (x >> 31)


class Drift:
    """Slow wandering on several time scales that never repeats.

    Each channel is a sum of octaves of B-spline noise over an endless hashed lattice: smooth up to
    its second derivative, mean 0, and roughly within [-1, 1].
    """

    def __init__(self, seed: int, channels: int, periods_s: Sequence[float]) -> None:
        """Make `channels` independent channels.

        Args:
            seed: same seed, same wandering.
            channels: how many.
            periods_s: spacing of the lattice for each octave in seconds, slow ones first; an
                octave's strength is in proportion to the square root of its period.
        """
        strength = np.sqrt(np.array(periods_s, np.float64))
        self._gain = 1.6 * strength / np.sqrt((strength**2).sum())
        # Rates differ a little from channel to channel, so that none ever move in step.
        odd = 1.0 + 0.07 * np.arange(channels)[:, None] / max(1, channels)
        self._rate = odd / (np.array(periods_s, np.float64)[None, :] * TICKS_PER_S)
        self._salt = _mix(seed & _WORD)
        self._cell = np.full(self._rate.shape, -1.0)
        self._c = np.zeros((4, *self._rate.shape))  # of the cubic in each cell

    def value(self, at: Ticks) -> Floats:
        """Return all channels at `at`, shape (channels,)."""
        x = at * self._rate + 16.0
        cell = np.floor(x)
        changed = cell != self._cell
        if changed.any():
            for k, o in np.argwhere(changed).tolist():
                self._c[:, k, o] = self._cubic(k * 8 + o, int(cell[k, o]))
            self._cell = cell
        u = x - cell
        c0, c1, c2, c3 = self._c
        return np.asarray((c0 + u * (c1 + u * (c2 + u * c3))) @ self._gain)

    def _cubic(self, stream: int, cell: int) -> tuple[float, float, float, float]:
        """Return the coefficients of the B-spline between four neighbours of the lattice."""
        salt = (self._salt + stream * 0x9E3779B97F4A7C15) & _WORD
        p, q, r, s = (
            (_mix(_mix((cell + k) & _WORD) ^ salt) >> 11) * (2.0 / (1 << 53)) - 1.0
            for k in range(4)
        )
        return (p + 4 * q + r) / 6, (r - p) / 2, (p - 2 * q + r) / 2, (s - p + 3 * (q - r)) / 6
