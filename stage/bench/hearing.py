"""What an independent recogniser makes of a voice."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import soxr

from avatar.prosody import PitchMeter
from dialogue.messages import Utterance
from dialogue.ticks import TICKS_PER_S
from voice.speaker import Speaker

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True)
class Heard:
    """How well a voice was understood, and how high it is."""

    wrong: float
    """Error rate in percent: of words in English; of syllables or sounds in Chinese, Japanese."""
    pitch_hz: float
    """Median of the voiced parts."""


@cache
def _recogniser() -> Any:
    from stage import engines

    return engines.make_recogniser()


def heard(speaker: Speaker, language: str, texts: Sequence[str]) -> Heard:
    """Let `speaker` say `texts`, and Whisper write down what it hears."""
    wrong = total = 0
    pitch = []
    for number, text in enumerate(texts):
        chunks = speaker.speak(Utterance(number, 0, text, language))
        sound = np.concatenate([chunk.samples for chunk in chunks])
        told = _recogniser().transcribe(soxr.resample(sound, TICKS_PER_S, 16_000), language)
        expected, got = units(text, language), units(told.text, language)
        wrong += distance(expected, got)
        total += len(expected)
        meter = PitchMeter()
        meter.add(sound)
        pitch.append(meter.pitch[meter.pitch > 0])
    return Heard(100.0 * wrong / total, float(np.median(np.concatenate(pitch))))


def units(text: str, language: str) -> list[str]:
    """Return what is compared: English words; Chinese and Japanese by sound, not by spelling."""
    kept = "".join(ch.lower() if ch.isalnum() or ch in " '" else " " for ch in text)
    if language == "zh":
        from pypinyin import lazy_pinyin

        return [p for p in lazy_pinyin(kept.replace(" ", "")) if p.strip()]
    if language == "ja":
        import pyopenjtalk

        return [p.lower() for p in pyopenjtalk.g2p(kept.replace(" ", "")).split() if p != "pau"]
    digits = {str(n): word for n, word in enumerate(_DIGITS)}
    return [digits.get(word, word) for word in kept.replace("'", "").split()]


def distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Return the edit distance."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]
