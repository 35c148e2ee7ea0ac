"""Timed speech: what a voice is asked for, what it yields, and what goes to the body."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dialogue.ticks import Ticks

Samples = npt.NDArray[np.float32]
"""Mono sound, shape (n,), range [-1, 1]."""


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """One word as it is to be said, tied to where it stands in the caption."""

    text: str
    """Speakable form: "five dollars" for "$5". No digits, symbols or emoji."""
    start_char: int
    """First character of its source in the utterance's text."""
    stop_char: int
    """One past the last character of its source."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """An utterance made speakable (`voice.text`): the request to a voice engine."""

    words: tuple[SpokenWord, ...]
    """In order. Punctuation clings to the word before it, so that engines can pause."""
    language: str
    """ISO 639-1 code."""
    pace: float = 1.0
    """Speed relative to the voice's own, 0.5..2."""

    @property
    def text(self) -> str:
        """The whole phrase; words are joined by spaces except in Chinese and Japanese."""
        return ("" if self.language in ("zh", "ja") else " ").join(w.text for w in self.words)


@dataclass(frozen=True, slots=True)
class Phoneme:
    """A sound with its time, in samples of the engine's own rate."""

    ipa: str
    """IPA symbol(s), or "" for a pause. A long mark or diacritic may be attached."""
    start: int
    """First sample, from the start of the utterance."""
    stop: int
    """One past the last sample."""
    word: int = -1
    """Index into the phrase's words; -1 for a pause or when unknown."""
    stress: int = 0
    """1 for primary stress (or a pitch accent's peak), 2 for secondary, 0 for none."""


@dataclass(frozen=True, slots=True)
class Speech:
    """What an engine yields: a piece of sound and, as early as they are known, its phonemes."""

    samples: Samples
    """At the engine's own `sample_rate`."""
    phonemes: tuple[Phoneme, ...] | None = None
    """New ones since the last piece, each given once, in order, no later than the piece in which
    it starts and maybe earlier. None where the engine has no timing: then it is estimated."""


@dataclass(frozen=True, slots=True)
class PhonemeSpan:
    """A phoneme on the utterance's own time."""

    phoneme: str
    """IPA, or "" for a pause."""
    start: Ticks
    """From the start of the utterance."""
    stop: Ticks
    """One past its end."""
    stress: int = 0
    """1 primary, 2 secondary, 0 none."""
    estimated: bool = False
    """True when aligned from text and sound instead of the model's own durations."""


@dataclass(frozen=True, slots=True)
class WordSpan:
    """A caption word on the utterance's own time."""

    start_char: int
    """First character in the utterance's text."""
    stop_char: int
    """One past the last character."""
    start: Ticks
    """From the start of the utterance."""
    stop: Ticks
    """One past its end."""


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A piece of an utterance's sound, ready for playout."""

    turn_id: int
    """The turn it belongs to."""
    utterance: int
    """The utterance's index within the turn."""
    start: Ticks
    """Of its first sample, from the start of the utterance. Chunks follow without gaps."""
    samples: Samples
    """At 48 kHz: one sample a tick."""
    phonemes: tuple[PhonemeSpan, ...] = field(default=())
    """New ones, each once, in order, no later than the chunk in which they start."""
    words: tuple[WordSpan, ...] = field(default=())
    """New ones, by the same rule."""
    final: bool = False
    """True for the utterance's last chunk (which may be empty)."""
    gain: float = 1.0
    """Brings the voice to the programme's loudness when it is mixed; a constant of the voice. The
    samples are as the voice made them."""
