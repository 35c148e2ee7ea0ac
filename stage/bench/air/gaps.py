"""Gaps of a finished film: what its own times say is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

SOUND_GAP_S = 0.002
"""Sound whose times jump by more than this has a gap."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """What is missing in a film."""

    frames: int
    """Pictures that are there."""
    lost: int
    """Pictures that are missing between the first and the last, on the grid of the rate."""
    longest_ms: float
    """Longest time between two pictures."""
    sound_gaps: int
    """Places where the sound's own times jump."""
    length_s: float
    """From the first picture to the last."""


def gaps(path: Path, fps: int) -> Gaps:
    """Read the times of a film's packets; nothing is decoded.

    Args:
        path: the film.
        fps: frames a second that it should have.
    """
    import av

    pictures: list[float] = []
    sounds: list[tuple[float, float]] = []
    film: Any
    with av.open(str(path)) as film:
        for packet in film.demux():
            if packet.pts is None:
                continue
            at_s = float(packet.pts * packet.time_base)
            if packet.stream.type == "video":
                pictures.append(at_s)
            elif packet.stream.type == "audio":
                sounds.append((at_s, float((packet.duration or 0) * packet.time_base)))
    return count(sorted(pictures), sounds, fps)


def count(pictures: Sequence[float], sounds: Sequence[tuple[float, float]], fps: int) -> Gaps:
    """Return the gaps of pictures shown at those seconds, and sounds of (start, length)."""
    steps = [b - a for a, b in pairwise(pictures)]
    lost = sum(max(0, round(step * fps) - 1) for step in steps)
    breaks = sum(abs(a[0] + a[1] - b[0]) > SOUND_GAP_S for a, b in pairwise(sounds))
    return Gaps(
        frames=len(pictures),
        lost=lost,
        longest_ms=max(steps, default=0.0) * 1e3,
        sound_gaps=breaks,
        length_s=pictures[-1] - pictures[0] if pictures else 0.0,
    )
