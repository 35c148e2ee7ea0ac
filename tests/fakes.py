"""Voices that behave well and badly on purpose: ordinary engines, not mocks."""

import threading
from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np

from dialogue.plugins import EngineError
from voice.speech import Phoneme, Phrase, Speech

PHONEME_S = 0.08
"""Length of each of the tone voice's phonemes."""


class ToneVoice:
    """Says each letter as a phoneme of 80 ms: vowels sound, consonants are nearly silent.

    Sound and times agree to the sample, so lips can be checked against it.
    """

    needs: ClassVar[Mapping[str, str]] = {}
    languages: tuple[str, ...] = ("*",)

    def __init__(
        self,
        *,
        sample_rate: int = 24_000,
        timed: bool = True,
        languages: tuple[str, ...] = ("*",),
        pitch_hz: float = 220.0,
    ) -> None:
        self.sample_rate = sample_rate
        self.languages = languages
        self.spoken: list[str] = []
        self.closed = 0
        self._timed = timed
        self._pitch_hz = pitch_hz

    def warm(self) -> None:
        """Nothing to prepare."""

    def synthesize(self, phrase: Phrase) -> Iterator[Speech]:
        """Yield a piece a word."""
        self.spoken.append(phrase.text)
        length = round(PHONEME_S * self.sample_rate / phrase.pace)
        at = 0
        try:
            for index, word in enumerate(phrase.words):
                letters = [ch for ch in word.text.lower() if ch.isalpha()] or ["a"]
                sound = np.concatenate([self._tone(ch, length) for ch in letters])
                phonemes = tuple(
                    Phoneme(ch, at + i * length, at + (i + 1) * length, index)
                    for i, ch in enumerate(letters)
                )
                at += len(sound)
                yield Speech(sound, phonemes if self._timed else None)
        finally:
            self.closed += 1

    def close(self) -> None:
        """Nothing to free."""

    def _tone(self, letter: str, length: int) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
        level = 0.4 if letter in "aeiou" or not letter.isascii() else 0.002
        t = np.arange(length) / self.sample_rate
        return (level * np.sin(2 * np.pi * self._pitch_hz * t) * np.hanning(length)).astype(
            np.float32
        )


class SlowVoice(ToneVoice):
    """Waits inside a call until it is let go: the test says when."""

    def __init__(self, *, after: int = 0, sample_rate: int = 24_000) -> None:
        super().__init__(sample_rate=sample_rate)
        self.inside = threading.Event()
        self.let_go = threading.Event()
        self._after = after

    def synthesize(self, phrase: Phrase) -> Iterator[Speech]:
        """Hang before piece number `after`."""
        pieces = super().synthesize(phrase)
        try:
            for number, piece in enumerate(pieces):
                if number == self._after:
                    self.inside.set()
                    self.let_go.wait(30)
                yield piece
        finally:
            pieces.close()  # type: ignore[attr-defined]


class RaisingVoice(ToneVoice):
    """Fails after so many pieces."""

    def __init__(
        self, *, after: int = 0, error: type[Exception] = EngineError, sample_rate: int = 24_000
    ) -> None:
        super().__init__(sample_rate=sample_rate)
        self._after = after
        self._error = error

    def synthesize(self, phrase: Phrase) -> Iterator[Speech]:
        """Raise at piece number `after`."""
        for number, piece in enumerate(super().synthesize(phrase)):
            if number == self._after:
                raise self._error("raising voice: out of breath")
            yield piece


class WrongRateVoice(ToneVoice):
    """Has a rate that divides nothing, and pieces of odd lengths: legal, and unpleasant."""

    def __init__(self) -> None:
        super().__init__(sample_rate=22_051)


class SilentVoice(ToneVoice):
    """Yields nothing at all."""

    def synthesize(self, phrase: Phrase) -> Iterator[Speech]:
        """Say nothing."""
        yield from ()


class BrokenVoice(ToneVoice):
    """Cannot even be warmed."""

    def warm(self) -> None:
        """Fail."""
        raise EngineError("broken voice: no network file")

    def synthesize(self, phrase: Phrase) -> Iterator[Speech]:
        """Fail."""
        raise EngineError("broken voice: no network file")
        yield
