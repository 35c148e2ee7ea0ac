"""The audience's lines that wait for an answer: bounded, fair in a flood, able to say why.

Holds 64 messages. No author holds more than a few: when one writes more, a reservoir keeps each of
their lines with the same chance. When the inbox is full, the lowest priority goes first, among
those the lines of whoever has most in it, and of those the oldest.
"""

import random
from collections import Counter, deque
from dataclasses import dataclass, replace

from dialogue.messages import AudienceMessage

BOUND = 64
"""Messages held."""
PER_AUTHOR = 4
"""Messages held of one author at one priority."""
MAX_CHARS = 500
"""Characters of a line that are used."""
_REMEMBERED = 1024  # authors whose last answer is remembered; ids known for duplicates


@dataclass(frozen=True, slots=True)
class Dropped:
    """A message that will not be answered."""

    message: AudienceMessage
    """The line."""
    reason: str
    """One of "empty", "duplicate", "flood" (its author writes too much), "full"."""


class Inbox:
    """Takes any number of messages and gives them out one by one."""

    def __init__(self, bound: int = BOUND, per_author: int = PER_AUTHOR, seed: int = 0) -> None:
        """Hold at most `bound` messages, `per_author` of one person.

        Args:
            bound: messages held.
            per_author: messages of one author held.
            seed: of the choice among an author's lines in a flood.
        """
        self._bound = bound
        self._per_author = per_author
        self._random = random.Random(seed)
        self._held: list[AudienceMessage] = []
        self._seen: Counter[str] = Counter()  # lines of an author since one was answered
        self._answered: dict[str, int] = {}  # author -> number of their last answer
        self._answers = 0
        self._ids: dict[str, None] = {}
        self.received = 0
        """Messages put in so far."""
        self.dropped: Counter[str] = Counter()
        """Reason -> how many were dropped for it."""
        self.recently_dropped: deque[Dropped] = deque(maxlen=32)
        """The last ones, for whoever asks why."""

    def __len__(self) -> int:
        return len(self._held)

    def put(self, message: AudienceMessage) -> Dropped | None:
        """Take a message; returns the one that was dropped for it (maybe itself), or None."""
        self.received += 1
        text = message.text.strip()[:MAX_CHARS]
        if not text:
            return self._drop(message, "empty")
        if message.id in self._ids:
            return self._drop(message, "duplicate")
        self._ids[message.id] = None
        if len(self._ids) > _REMEMBERED:
            del self._ids[next(iter(self._ids))]
        if text != message.text:
            message = replace(message, text=text)
        self._seen[message.author] += 1
        if len(self._seen) > _REMEMBERED:
            self._seen = Counter({m.author: self._seen[m.author] for m in (*self._held, message)})
        own = [
            m for m in self._held if m.author == message.author and m.priority == message.priority
        ]
        if message.author and len(own) >= self._per_author:
            # A reservoir: each of the n lines since the last answer stays with chance k / n.
            place = self._random.randrange(max(self._seen[message.author], len(own) + 1))
            if place >= len(own):
                return self._drop(message, "flood")
            self._held.remove(own[place])
            self._held.append(message)
            return self._drop(own[place], "flood")
        self._held.append(message)
        if len(self._held) > self._bound:
            victim = self._victim()
            self._held.remove(victim)
            return self._drop(victim, "full")
        return None

    def next(self) -> AudienceMessage | None:
        """Return the message to answer now, or None.

        The highest priority first; then whoever was answered longest ago; then the oldest.
        """
        if not self._held:
            return None
        best = min(
            self._held,
            key=lambda m: (-m.priority, self._answered.get(m.author, 0), m.received_at),
        )
        self._held.remove(best)
        self._answers += 1
        self._answered.pop(best.author, None)
        if best.author:
            self._answered[best.author] = self._answers
        if len(self._answered) > _REMEMBERED:
            del self._answered[next(iter(self._answered))]
        self._seen = Counter({m.author: self._seen[m.author] for m in self._held})
        self._seen.pop(best.author, None)
        return best

    def explain(self) -> str:
        """Say in one line what happened to the messages so far."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.dropped.most_common())
        return (
            f"{self.received} received, {self._answers} chosen, {len(self._held)} waiting, "
            f"dropped: {reasons or 'none'}"
        )

    def _victim(self) -> AudienceMessage:
        lowest = min(m.priority for m in self._held)
        low = [m for m in self._held if m.priority == lowest]
        load = Counter(m.author or m.id for m in low)  # without names everyone counts as one
        return min(low, key=lambda m: (-load[m.author or m.id], m.received_at))

    def _drop(self, message: AudienceMessage, reason: str) -> Dropped:
        self.dropped[reason] += 1
        gone = Dropped(message, reason)
        self.recently_dropped.append(gone)
        return gone
