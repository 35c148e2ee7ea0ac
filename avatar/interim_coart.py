"""Visemes to smooth mouth curves: dominance functions, closures that close, silence that rests.

After Cohen and Massaro, "Modeling Coarticulation in Synthetic Visual Speech" (1993): each target
has a dominance that rises before and falls after its time, and the mouth is the mean of targets
weighted by dominance, so that neighbours shape each other. Lips anticipate: rounding spreads
forward by about a tenth of a second. Three gates stand above the mean, because viewers see it when
they fail: p, b, m shut the lips wholly, f, v put teeth on the lip, and silence shuts the mouth.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from avatar import mouth_table as visemes
from avatar.pose import VISEMES
from avatar.interim_tracks import viseme_keys
from dialogue.ticks import to_s
from voice.speech import PhonemeSpan

Weights = npt.NDArray[np.float64]
"""Shape (15,), sum 1, in the order of `avatar.pose.VISEMES`."""

N = len(VISEMES)
SIL, PP, FF = (visemes.INDEX[name] for name in ("sil", "PP", "FF"))

CLOSE_S = 0.042
"""A closure lasts at least this long: one frame at 30 fps (33 ms) always falls into it."""

LIPS_LEAD_S = 0.055
"""Lips start to close this long before the closure ..."""
LIPS_RELEASE_S = 0.050
"""... and need this long to open again."""

OPEN_LEAD_S = 0.080
"""The mouth opens at most this long before the first sound ..."""
REST_S = 0.100
"""... and is wholly shut this long after the last."""

_VOWELS = np.isin(VISEMES, ["aa", "E", "ih", "oh", "ou"])
# Seconds of rise and fall and strength of each viseme's dominance.
_RISE = np.array([0.05, 0.05, 0.05, 0.05, 0.04, 0.05, 0.075, 0.05, 0.045, 0.075,
                  0.065, 0.06, 0.06, 0.085, 0.095])  # fmt: skip
_FALL = np.array([0.05, 0.05, 0.05, 0.05, 0.04, 0.05, 0.06, 0.05, 0.045, 0.06,
                  0.065, 0.06, 0.06, 0.07, 0.075])  # fmt: skip
_STRENGTH = np.array([0.6, 1.0, 1.0, 0.9, 0.7, 0.5, 1.0, 0.9, 0.6, 0.85,
                      1.0, 0.95, 0.9, 1.0, 1.05])  # fmt: skip


class MouthCurve:
    """The mouth over the time of one utterance; a pure function of time."""

    def __init__(self, phonemes: Sequence[PhonemeSpan]) -> None:
        """Prepare the curve.

        Args:
            phonemes: in order, times from the start of the utterance.
        """
        keys = [k for k in viseme_keys(phonemes) if k.viseme != "sil" or k.weight < 1.0]
        self._at = np.array([to_s(k.at) for k in keys])
        self._half = np.array([to_s(k.length) / 2 for k in keys])
        self._which = np.array([visemes.INDEX[k.viseme] for k in keys], int)
        self._aim = np.array([k.weight for k in keys])
        self._voiced = _merge(
            [(to_s(p.start), to_s(p.stop)) for p in phonemes if p.phoneme], REST_S * 0.6
        )
        self._shut = _closures(phonemes, visemes.closes_lips)
        self._bite = _closures(phonemes, visemes.bites_lip)
        self.stop_s = self._voiced[-1][1] if self._voiced else 0.0

    def weights(self, t: float, loudness: float = 1.0) -> Weights:
        """Return the viseme weights at `t` seconds from the start of the utterance.

        Args:
            t: seconds; before 0 and after the end is fine.
            loudness: 0..1, opens and narrows the vowels; never the closures.
        """
        out = np.zeros(N)
        awake = _gate(t, self._voiced, OPEN_LEAD_S, REST_S)
        if awake <= 0.0 or not len(self._at):
            out[SIL] = 1.0
            return out
        away = t - self._at
        beyond = np.maximum(0.0, np.abs(away) - 0.55 * self._half)
        reach = np.where(away < 0, _RISE[self._which], _FALL[self._which])
        near = beyond < 6 * reach
        which, aim = self._which[near], self._aim[near]
        pull = _STRENGTH[which] * np.exp(-((beyond[near] / reach[near]) ** 1.4))
        total = pull.sum() + 1e-9
        np.add.at(out, which, pull / total * aim)
        vowels = 0.62 + 0.38 * min(1.0, max(0.0, loudness))
        out[_VOWELS] *= vowels
        bite = _gate(t, self._bite, 0.045, 0.045) * 0.95
        out *= 1 - bite
        out[FF] += bite
        shut = _gate(t, self._shut, LIPS_LEAD_S, LIPS_RELEASE_S)
        out *= (1 - shut) * awake
        out[PP] += shut * awake
        out[SIL] += max(0.0, 1.0 - out.sum())
        return out


def openness(weights: Weights) -> float:
    """Return how far the jaw is open, 0..1, for rigs without viseme drawings."""
    return float(weights @ _JAW)


def spread(weights: Weights) -> float:
    """Return how wide the lips are: 1 spread (ih), -1 rounded (ou)."""
    return float(weights @ _SPREAD)


_JAW = np.array([0, 0, 0.12, 0.25, 0.28, 0.35, 0.25, 0.15, 0.3, 0.3, 1.0, 0.6, 0.35, 0.75, 0.3])
_SPREAD = np.array([0, 0, 0.1, 0.1, 0.2, 0.1, -0.6, 0.5, 0.2, -0.4, 0.1, 0.6, 0.9, -0.6, -1.0])

Span = tuple[float, float]


def _closures(phonemes: Sequence[PhonemeSpan], test: Callable[[str], bool]) -> list[Span]:
    spans = []
    for p in phonemes:
        if p.phoneme and test(p.phoneme):
            start, stop = to_s(p.start), to_s(p.stop)
            # The release belongs to the opening: the lips part in the last fifth of the sound.
            stop -= (stop - start) * 0.2
            if stop - start < CLOSE_S:
                middle = (start + stop) / 2
                start, stop = middle - CLOSE_S / 2, middle + CLOSE_S / 2
            spans.append((start, stop))
    return spans


def _merge(spans: list[Span], gap: float) -> list[Span]:
    merged: list[Span] = []
    for start, stop in spans:
        if merged and start - merged[-1][1] <= gap:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return merged


def _gate(t: float, spans: Sequence[Span], lead: float, release: float) -> float:
    """Return 1 inside the spans, 0 away from them, eased over lead and release in between."""
    best = 0.0
    for start, stop in spans:
        if start <= t <= stop:
            return 1.0
        if t < start:
            best = max(best, 1 - (start - t) / lead)
            break
        best = max(best, 1 - (t - stop) / release)
    if best <= 0.0:
        return 0.0
    return best * best * (3 - 2 * best)
