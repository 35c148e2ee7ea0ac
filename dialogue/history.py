"""Who said what, as far as the audience heard it; kept over restarts as lines of JSON."""

import logging
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import msgspec

from dialogue import language

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PastTurn:
    """One answered line."""

    turn: int
    """Turn id."""
    author: str
    """Display name as typed; may be empty."""
    text: str
    """The audience's line."""
    language: str
    """ISO 639-1 code of line and reply."""
    reply: str = ""
    """What the host said, with cues where it was heard to its end."""
    cut: bool = False
    """True where the audience heard only a part of the answer."""


class History:
    """The last turns, bounded."""

    def __init__(self, bound: int = 64) -> None:
        """Keep at most `bound` turns."""
        self._turns: deque[PastTurn] = deque(maxlen=bound)
        self._spoken: dict[int, str] = {}
        self._starts: dict[str, int] = {}  # language -> first turn of its window

    def __len__(self) -> int:
        return len(self._turns)

    def __iter__(self) -> Iterator[PastTurn]:
        return iter(tuple(self._turns))

    def begin(self, turn: int, author: str, text: str, language: str) -> None:
        """Note the line that `turn` answers."""
        self._turns.append(PastTurn(turn, author, text, language))
        self._spoken = {turn: ""}

    def said(self, turn: int, reply: str, spoken: str) -> None:
        """Note what was decided to be said.

        Args:
            turn: turn id.
            reply: the model's text as far as it was used, with cues.
            spoken: the same as captions show it: what `heard` counts in.
        """
        self._spoken[turn] = spoken
        self._change(turn, reply=reply, cut=False)

    def heard(self, turn: int, chars: int) -> None:
        """Cut the reply of `turn` at the last word heard.

        Args:
            turn: turn id.
            chars: how many characters of the spoken text the audience has heard.
        """
        spoken = self._spoken.get(turn)
        if spoken is None or chars >= len(spoken.rstrip()):
            return
        self._change(turn, reply=last_whole_word(spoken, chars), cut=True)

    def position(self, turn: int, heard: str) -> int:
        """Return how many characters of the spoken text of `turn` the words `heard` reach.

        Space does not count: captions and sound join utterances in their own ways.
        """
        spoken = self._spoken.get(turn, "")
        left = sum(not c.isspace() for c in heard)
        for index, character in enumerate(spoken):
            if left <= 0:
                return index
            left -= not character.isspace()
        return len(spoken)

    def last_of(self, author: str) -> PastTurn | None:
        """Return the last turn with `author`, if any."""
        return next((t for t in reversed(self._turns) if t.author == author), None)

    def window(self, code: str, turns: int = 8) -> tuple[PastTurn, ...]:
        """Return the last answered turns in a language, at most `turns` of them.

        When the window is full its older half goes at once, so that what the model has cached
        of it stays right for several turns.
        """
        start = self._starts.get(code, 0)
        shown = [t for t in self._turns if t.language == code and t.reply and t.turn >= start]
        if len(shown) > turns:
            shown = shown[-(turns // 2 + 1) :]
            self._starts[code] = shown[0].turn
        return tuple(shown)

    def recent_replies(self, count: int = 24) -> tuple[str, ...]:
        """Return the last `count` replies, newest last."""
        return tuple(t.reply for t in list(self._turns)[-count:] if t.reply)

    def journal(self, turn: int) -> list[str]:
        """Return `turn` as lines for the journal: one JSON object, or nothing."""
        return [msgspec.json.encode(t).decode() for t in self._turns if t.turn == turn]

    def restore(self, lines: Iterable[str]) -> None:
        """Take back what `journal` gave; a later line replaces an earlier one of the same turn.

        A line that cannot be read (a crash cut it short) is skipped with a warning.
        """
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                past = msgspec.json.decode(line, type=PastTurn)
            except msgspec.DecodeError as error:
                _log.warning("journal line %d is not readable and was skipped: %s", number, error)
                continue
            if any(t.turn == past.turn for t in self._turns):
                self._replace(past)
            else:
                self._turns.append(past)

    def _change(self, turn: int, *, reply: str, cut: bool) -> None:
        for past in self._turns:
            if past.turn == turn:
                self._replace(replace(past, reply=reply, cut=cut))
                return

    def _replace(self, new: PastTurn) -> None:
        for index, past in enumerate(self._turns):
            if past.turn == new.turn:
                self._turns[index] = new


def last_whole_word(text: str, chars: int) -> str:
    """Return the start of `text` up to the last word that ends within its first `chars`."""
    if chars >= len(text):
        return text
    head = text[: max(0, chars)]
    following = text[len(head)]
    inside = head and not head[-1].isspace() and not language.is_cjk(head[-1])
    if inside and re.match(r"[\w'’-]", following) and not language.is_cjk(following):
        while head and not head[-1].isspace() and not language.is_cjk(head[-1]):
            head = head[:-1]
    return head.rstrip()
