"""The data that flows through a turn on the mind's side, frozen and slotted."""

from dataclasses import dataclass, field
from typing import Literal

Language = Literal["en", "zh", "ja"]
"""ISO 639-1 code of a language the default voices speak. Engines may accept others."""


@dataclass(frozen=True, slots=True)
class AudienceMessage:
    """One line from the audience."""

    id: str
    """Unique within the show."""
    source: str
    """Where it came from: "page", "script", "console", later "twitch" and so on."""
    author: str
    """Display name as typed; may be empty."""
    text: str
    """The line as typed; at most 500 characters are used."""
    received_at: float
    """`time.monotonic()` seconds when it arrived."""
    priority: int = 0
    """Higher goes first; 0 is an ordinary line."""


@dataclass(frozen=True, slots=True)
class ReplyChunk:
    """A delta of the model's text."""

    turn_id: int
    """The turn it belongs to."""
    text: str
    """New characters since the last chunk; may hold part of a cue."""
    final: bool = False
    """True for the last chunk of the reply."""


@dataclass(frozen=True, slots=True)
class Cue:
    """An inline stage direction such as `[happy]` or `[nod]`, performed and never spoken."""

    name: str
    """Lower-case name without brackets."""
    at_char: int
    """Offset into the utterance's text before which it stands; 0..len(text)."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """The shortest piece of a reply that is spoken as one."""

    turn_id: int
    """The turn it belongs to."""
    index: int
    """0 for the first utterance of the turn, then 1, 2, ..."""
    text: str
    """What captions show: cues removed, not yet normalised for speech."""
    language: str = "en"
    """ISO 639-1 code of `text`."""
    cues: tuple[Cue, ...] = field(default=())
    """In order of `at_char`."""
    final: bool = False
    """True for the last utterance of the turn."""
