"""The contract of a language model: one class, one file, one entry point in `bunraku.llm`.

An engine is a blocking generator. Queueing, threads, deadlines and cancellation are ours
(`dialogue.pump`), not the engine's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Line:
    """One message of a prompt."""

    role: Role
    """Who says it."""
    text: str
    """What they say."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Everything a model needs for one reply."""

    lines: tuple[Line, ...]
    """System line first, then examples, history and the chosen audience line last."""
    prefix: int
    """How many leading lines stay the same from turn to turn and are worth caching."""
    max_tokens: int = 96
    """Hard budget of the reply, in the model's tokens."""
    temperature: float = 0.7
    """Sampling temperature, 0..2."""
    seed: int | None = None
    """Sampling seed; None lets the engine choose."""
    grammar: str | None = None
    """GBNF grammar; engines without grammars ignore it."""
    lead: str = ""
    """How the reply has begun already: the engine goes on from there, and yields only what is new.
    Engines that cannot be told ignore it."""


@runtime_checkable
class LanguageModel(Protocol):
    """What every engine in the entry-point group `bunraku.llm` offers.

    The constructor takes keyword arguments, which are the engine's table in `show.toml`; heavy
    imports happen inside it. It raises `EngineUnavailable` with the remedy in one line.
    """

    needs: ClassVar[Mapping[str, str]]
    """Constructor keyword -> name in the model catalogue; the stage passes the resolved path."""

    def warm(self, prompt: Prompt) -> None:
        """Load what is needed and cache the prompt's prefix. May take seconds; may do nothing.

        Lines beyond the prefix are what the next prompt will probably begin with: an engine may
        get ahead on them. Called on a thread of its own, maybe while a reply is wanted or under
        way; replies go first.
        """

    def reply(self, prompt: Prompt) -> Iterator[str]:
        """Yield text deltas as they come.

        Closing the generator stops the model within one token. Raises `EngineError` on failure.
        """

    def close(self) -> None:
        """Free the model. The engine is not used afterwards."""


@runtime_checkable
class Translating(Protocol):
    """What a `LanguageModel` says of itself besides, where it can translate captions.

    An engine without it is never asked to. It gets an ordinary `Prompt` (`dialogue.translation`),
    between two replies, and is left as soon as a reply is wanted.
    """

    translates: bool
    """True where its model is good enough at it, such as from 1.5 B parameters on."""
