"""Timed speech and mouth shapes as tracks: functions of time that the body samples."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avatar.visemes import Notation, Target, is_mark, is_pause, notation, targets
from dialogue.ticks import TICKS_PER_MS, Ticks
from voice.speech import PhonemeSpan

LOUDNESS_HZ = 100
"""Rate of a loudness curve."""

MIN_PAUSE: Ticks = 40 * TICKS_PER_MS
"""A shorter gap between two sounds is no pause: the lips go straight from one to the other."""

_BILABIAL = "PP"


@dataclass(frozen=True, slots=True)
class SpeechTrack:
    """An utterance as the performer knows it so far."""

    turn_id: int
    """The turn."""
    utterance: int
    """Index within the turn."""
    phonemes: tuple[PhonemeSpan, ...]
    """In order, on the utterance's own time."""
    loudness: npt.NDArray[np.float32]
    """0..1 at 100 Hz from the start of the utterance; 0 is silence, 1 the voice at its loudest."""
    length: Ticks
    """How much sound has arrived."""
    complete: bool
    """True when no more will come."""


@dataclass(frozen=True, slots=True)
class VisemeKey:
    """A mouth shape that speech reaches for."""

    at: Ticks
    """When it is nearest: the middle of its sound."""
    viseme: str
    """A member of `avatar.pose.VISEMES`."""
    weight: float
    """0..1, before loudness and neighbours."""


@dataclass(frozen=True, slots=True)
class VisemeTrack:
    """The mouth shapes of an utterance, placed on the stage clock."""

    turn_id: int
    """The turn."""
    pts: Ticks
    """Stage time of the utterance's first sample."""
    keys: tuple[VisemeKey, ...]
    """In order, `at` counted from `pts`."""


@dataclass(frozen=True, slots=True)
class Articulation:
    """A target with its time, or a pause."""

    start: Ticks
    """From the start of the utterance."""
    stop: Ticks
    """One past its end."""
    target: Target | None
    """None for a pause."""
    stress: int
    """Of its phoneme."""
    span: int
    """Index of its phoneme."""


def articulate(phonemes: Iterable[PhonemeSpan]) -> tuple[Articulation, ...]:
    """Return what the mouth does in turn: targets and pauses, without gaps between them.

    Marks that came as spans of their own are given to their neighbours, short gaps are closed,
    and a Japanese moraic nasal or long stop in front of p, b, m shuts the lips with it.
    """
    spans = [span for span in phonemes if span.stop > span.start]
    written = notation(span.phoneme for span in spans)
    joined: list[tuple[int, Ticks, Ticks, str]] = []
    early: Ticks | None = None
    for i, span in enumerate(spans):
        if is_mark(span.phoneme):
            if span.phoneme in "ˈˌ" or not joined:
                early = span.start if early is None else early
            else:
                j, start, _, text = joined[-1]
                joined[-1] = (j, start, span.stop, text)
            continue
        start = span.start if early is None or is_pause(span.phoneme) else early
        early = None
        if joined:
            start = max(start, joined[-1][2])
            gap = start - joined[-1][2]
            if 0 < gap < MIN_PAUSE:
                j, before, _, text = joined[-1]
                joined[-1] = (j, before, start, text)
            elif gap >= MIN_PAUSE:
                joined.append((i, joined[-1][2], start, ""))
        if span.stop > start:
            joined.append((i, start, span.stop, span.phoneme))
    return tuple(_articulations(spans, _without_short_pauses(joined), written))


def _without_short_pauses(
    joined: list[tuple[int, Ticks, Ticks, str]],
) -> list[tuple[int, Ticks, Ticks, str]]:
    kept: list[tuple[int, Ticks, Ticks, str]] = []
    for i, start, stop, text in joined:
        if kept and is_pause(text) and is_pause(kept[-1][3]):
            kept[-1] = (kept[-1][0], kept[-1][1], stop, "")
        else:
            kept.append((i, start, stop, text))
    out: list[tuple[int, Ticks, Ticks, str]] = []
    for i, start, stop, text in kept:
        if is_pause(text) and stop - start < MIN_PAUSE and out:
            j, before, _, last = out[-1]
            out[-1] = (j, before, stop, last)
        else:
            out.append((i, start, stop, text))
    return out


def _articulations(
    spans: list[PhonemeSpan], joined: list[tuple[int, Ticks, Ticks, str]], written: Notation
) -> Iterable[Articulation]:
    for n, (i, start, stop, text) in enumerate(joined):
        if is_pause(text):
            yield Articulation(start, stop, None, 0, i)
            continue
        parts = targets(text, written)
        if text in ("N", "ɴ", "cl", "ʔ") and n + 1 < len(joined):
            following = targets(joined[n + 1][3], written)
            if following and following[0].sound.closure == _BILABIAL:
                parts = (Target(targets("m")[0].sound, 1.0),)
        at = float(start)
        for k, part in enumerate(parts):
            end = stop if k == len(parts) - 1 else round(at + part.share * (stop - start))
            yield Articulation(round(at), end, part, spans[i].stress, i)
            at = end


def viseme_keys(phonemes: Iterable[PhonemeSpan]) -> tuple[VisemeKey, ...]:
    """Return the mouth shapes that an utterance reaches for, in order, on its own time.

    A blend gives its strongest shape; pauses give "sil".
    """
    keys = []
    for part in articulate(phonemes):
        middle = (part.start + part.stop) // 2
        if part.target is None:
            keys.append(VisemeKey(middle, "sil", 1.0))
            continue
        shape = part.target.sound.shape
        viseme = max(shape, key=shape.__getitem__)
        keys.append(VisemeKey(middle, viseme, shape[viseme]))
    return tuple(keys)
