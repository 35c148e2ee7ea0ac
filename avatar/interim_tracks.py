"""Speech as the avatar sees it: phonemes on the stage clock, turned into viseme keys."""

from collections.abc import Sequence
from dataclasses import dataclass

from avatar import mouth_table as visemes
from dialogue.ticks import TICKS_PER_MS, Ticks
from voice.speech import PhonemeSpan


@dataclass(frozen=True, slots=True)
class VisemeKey:
    """One thing the mouth aims at."""

    at: Ticks
    """Middle of its time, from the start of the utterance."""
    viseme: str
    """One of `avatar.pose.VISEMES`."""
    weight: float
    """0..1."""
    length: Ticks = 0
    """How long it is aimed at."""
    stress: int = 0
    """1 primary, 2 secondary, 0 none."""


@dataclass(frozen=True, slots=True)
class VisemeTrack:
    """The mouth's aims for one utterance."""

    turn_id: int
    """The turn."""
    utterance: int
    """Index within the turn."""
    pts: Ticks
    """Stage time of the utterance's first sample."""
    keys: tuple[VisemeKey, ...]
    """In order of time."""


GLIDE_SHARE = 0.42
"""A diphthong spends this share of its time on its second half."""


def viseme_keys(phonemes: Sequence[PhonemeSpan]) -> tuple[VisemeKey, ...]:
    """Return the keys of phonemes, two for a diphthong, "sil" for a pause."""
    keys: list[VisemeKey] = []
    for span in phonemes:
        aims = visemes.targets(span.phoneme)
        length = max(TICKS_PER_MS, span.stop - span.start)
        at = span.start
        for number, (name, weight) in enumerate(aims):
            share = 1.0 if len(aims) == 1 else (1 - GLIDE_SHARE, GLIDE_SHARE)[min(number, 1)]
            if len(aims) > 2:
                share = 1 / len(aims)
            part = round(length * share)
            stress = span.stress if number == 0 else 0
            keys.append(VisemeKey(at + part // 2, name, weight, part, stress))
            at += part
    return tuple(keys)
