"""The contracts of a voice (`bunraku.tts`) and a recogniser (`bunraku.asr`).

One class, one file, one entry point each. Engines do no queueing, no logging of text and no
resampling, and import nothing heavy before their constructor runs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from voice.speech import Phrase, Samples, Speech


@runtime_checkable
class Voice(Protocol):
    """What every engine in `bunraku.tts` offers.

    The constructor takes keyword arguments (the engine's table in `show.toml`) and raises
    `EngineUnavailable` with the remedy in one line.
    """

    needs: ClassVar[Mapping[str, str]]
    """Constructor keyword -> name in the model catalogue; the stage passes the resolved path."""
    sample_rate: int
    """Of the sound it yields, in hertz."""
    languages: tuple[str, ...]
    """ISO 639-1 codes it speaks, best first; ("*",) for any."""

    def warm(self) -> None:
        """Run once on a short phrase, so that the first real one is fast."""

    def synthesize(self, phrase: Phrase) -> Iterator[Speech]:
        """Yield sound early and often; blocking. Closing the generator ends it in one piece.

        Raises:
            EngineError: on failure; never an in-band error value.
        """

    def close(self) -> None:
        """Free the model. The engine is not used afterwards."""


@dataclass(frozen=True, slots=True)
class HeardWord:
    """One recognised word."""

    text: str
    """As recognised, without surrounding space."""
    start_s: float
    """Seconds from the start of the sound; -1.0 where unknown."""
    stop_s: float
    """Seconds; -1.0 where unknown."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a recogniser heard."""

    text: str
    """The words, trimmed; empty for silence."""
    language: str
    """ISO 639-1 code detected or given."""
    words: tuple[HeardWord, ...] = ()
    """Empty where the engine has no word times."""


@runtime_checkable
class Recogniser(Protocol):
    """What every engine in `bunraku.asr` offers."""

    needs: ClassVar[Mapping[str, str]]
    """Constructor keyword -> name in the model catalogue."""
    sample_rate: int
    """The rate it wants, in hertz."""

    def transcribe(self, samples: Samples, language: str | None = None) -> Transcript:
        """Return what is said in `samples` (mono, at `sample_rate`); blocking.

        Args:
            samples: up to 30 s of mono sound.
            language: ISO 639-1 code, or None to detect it.
        """

    def close(self) -> None:
        """Free the model. The engine is not used afterwards."""
