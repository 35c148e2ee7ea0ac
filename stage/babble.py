"""Speech without a voice: phonemes and sound as loud as they would be, for trying lips and head."""

import numpy as np

from dialogue.ticks import TICKS_PER_MS
from voice.speech import PhonemeSpan, Samples

_SOUNDS = tuple("aeioupbmtdkgfszlnr")
_VOWELS = frozenset("aeiou")


def babble(seed: int, phonemes: int = 70) -> tuple[tuple[PhonemeSpan, ...], Samples]:
    """Return the phonemes of about six seconds, and their sound: noise, mono, 48 kHz.

    Args:
        seed: the same one babbles the same.
        phonemes: how many.
    """
    draw = np.random.default_rng(seed)
    spans, sound, at = [], [], 0
    for i in range(phonemes):
        ipa = str(draw.choice(_SOUNDS))
        length = int(draw.integers(55, 120)) * TICKS_PER_MS
        spans.append(PhonemeSpan(ipa, at, at + length, int(i % 6 == 2)))
        level = 0.2 if ipa in _VOWELS else 0.04
        sound.append(draw.normal(0, level, length).astype(np.float32))
        at += length
    return tuple(spans), np.concatenate(sound)
