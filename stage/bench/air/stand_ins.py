"""A model and a voice that cost next to nothing: for shows in which something else is measured."""

import threading
from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np

from dialogue.engine import Prompt
from voice.speech import Phoneme, Phrase, Speech

_PHONEME_S = 0.08
_PITCH_HZ = 220.0


class RecitingModel:
    """Says its lines in turn, over and over."""

    needs: ClassVar[Mapping[str, str]] = {}
    lines: ClassVar[tuple[str, ...]] = (
        "[smile] Every evening I count seven quiet lamps. [nod] Then the rain begins.",
        "Oh, that is lovely! [wave] Please tell me more about it, my dear friend.",
        "I have been thinking about rivers, and about how slowly they write their names.",
    )

    def __init__(self) -> None:
        self._said = 0
        self._lock = threading.Lock()

    def warm(self, prompt: Prompt) -> None:
        """Nothing to prepare."""

    def reply(self, prompt: Prompt) -> Iterator[str]:
        """Yield the next line, three characters at a time."""
        with self._lock:
            text = self.lines[self._said % len(self.lines)]
            self._said += 1
        for at in range(0, len(text), 3):
            yield text[at : at + 3]

    def close(self) -> None:
        """Nothing to free."""


class HummingVoice:
    """Hums: vowels sound, consonants hardly do, 80 ms each."""

    needs: ClassVar[Mapping[str, str]] = {}
    sample_rate = 24_000
    languages: tuple[str, ...] = ("*",)

    def warm(self) -> None:
        """Nothing to prepare."""

    def synthesize(self, phrase: Phrase) -> Iterator[Speech]:
        """Yield a piece a word."""
        length = round(_PHONEME_S * self.sample_rate / phrase.pace)
        t = np.arange(length) / self.sample_rate
        hum = (np.sin(2 * np.pi * _PITCH_HZ * t) * np.hanning(length)).astype(np.float32)
        at = 0
        for index, word in enumerate(phrase.words):
            letters = [ch for ch in word.text.lower() if ch.isalpha()] or ["a"]
            sound = [hum * np.float32(0.4 if ch in "aeiou" else 0.01) for ch in letters]
            spans = range(at, at + length * len(letters), length)
            yield Speech(
                np.concatenate(sound),
                tuple(
                    Phoneme(ch, start, start + length, index)
                    for ch, start in zip(letters, spans, strict=True)
                ),
            )
            at += length * len(letters)

    def close(self) -> None:
        """Nothing to free."""
