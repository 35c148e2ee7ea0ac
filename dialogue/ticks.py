"""The one media unit: integer ticks of 1/48000 s.

24/25/30/50/60 fps and 8/16/24/48 kHz divide it exactly. Seconds and milliseconds appear only at
the edges, with the unit in the name.
"""

from typing import TypeAlias

Ticks: TypeAlias = int
"""A time or a span in 1/48000 s."""

TICKS_PER_S = 48_000
TICKS_PER_MS = 48  # 48000 / 1000


def from_s(seconds: float) -> Ticks:
    """Return the tick nearest to `seconds`."""
    return round(seconds * TICKS_PER_S)


def from_ms(milliseconds: float) -> Ticks:
    """Return the tick nearest to `milliseconds`."""
    return round(milliseconds * TICKS_PER_MS)


def to_s(ticks: Ticks) -> float:
    """Return `ticks` in seconds."""
    return ticks / TICKS_PER_S


def to_ms(ticks: Ticks) -> float:
    """Return `ticks` in milliseconds."""
    return ticks / TICKS_PER_MS


def from_samples(samples: int, rate_hz: int) -> Ticks:
    """Return the tick nearest to sample index `samples` at `rate_hz`."""
    return (samples * TICKS_PER_S + rate_hz // 2) // rate_hz
