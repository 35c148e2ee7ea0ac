"""Phoneme times for voices that give none, estimated from text and sound.

Each phoneme gets its class's usual length (vowels long, stops short), the whole is stretched over
the stretches of the sound that are loud enough to be speech, and pauses in the text are matched
with pauses in the sound where there are any. Good to some tens of milliseconds; marked estimated.
"""

import numpy as np

from voice import g2p
from voice.speech import Phoneme, Phrase, Samples

_LONG = frozenset("aɑɐæəɛɜɪiɔoʊuʌɯɨeøœAIOWYQɚɤyɒᵻᵊ")
_SHORT = frozenset("pbtdkɡɾʔ")
_MARKS = frozenset("ˈˌːˑʰʲᵝ̃→↓↗↘")

FLOOR_DB = -38.0
"""Below the loudest 10 ms by this much counts as silence."""

HOP_S = 0.01


def estimate(phrase: Phrase, sound: Samples, rate_hz: int) -> tuple[Phoneme, ...]:
    """Return phonemes and pauses that cover `sound`.

    Args:
        phrase: what is said.
        sound: all of it.
        rate_hz: of the sound.
    """
    items: list[tuple[str, int, int, float]] = []  # symbol, word, stress, weight
    for word in g2p.phonemise(phrase.words, phrase.language):
        stress = 0
        for symbol in word.symbols:
            if symbol in "ˈˌ":
                stress = 1 if symbol == "ˈ" else 2
            elif symbol == "ː" and items:
                ipa, index, mark, weight = items[-1]
                items[-1] = (ipa + symbol, index, mark, weight * 1.6)
            elif symbol not in _MARKS:
                weight = 1.6 if symbol in _LONG else 0.8 if symbol in _SHORT else 1.0
                items.append((symbol, word.word, stress, weight + 0.4 * (stress == 1)))
                stress = 0
    if not items:
        return (Phoneme("", 0, len(sound)),)
    loud = _speech(sound, rate_hz)
    if not loud.any():
        return (Phoneme("", 0, len(sound)),)
    # Phoneme borders are placed on "speech time", which stands still in the sound's silences.
    hop = int(rate_hz * HOP_S)
    clock = np.concatenate(([0], np.cumsum(loud)))
    weights = np.cumsum([0.0, *(item[3] for item in items)])
    marks = weights / weights[-1] * clock[-1]
    starts = [int(np.searchsorted(clock, m, side="right") - 1) * hop for m in marks[:-1]]
    stops = [int(np.searchsorted(clock, m, side="left")) * hop for m in marks[1:]]
    result: list[Phoneme] = []
    at = 0
    for (ipa, index, stress, _), start, stop in zip(items, starts, stops, strict=True):
        start, stop = max(start, at), min(max(stop, start + 1, at + 1), len(sound))
        if start - at > 3 * hop:
            result.append(Phoneme("", at, start))
        else:
            start = at
        if stop > start:
            result.append(Phoneme(ipa, start, stop, index, stress))
            at = stop
    if at < len(sound):
        result.append(Phoneme("", at, len(sound)))
    return tuple(result)


def _speech(sound: Samples, rate_hz: int) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    hop = int(rate_hz * HOP_S)
    n = len(sound) // hop
    level = np.sqrt(np.mean(sound[: n * hop].reshape(n, hop) ** 2, axis=1) + 1e-12)
    return np.asarray(20 * np.log10(level / level.max(initial=1e-6)) > FLOOR_DB)
