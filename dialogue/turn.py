"""A turn: one answer, from picking a line to its last sound; its time marks and its one way out."""

from collections.abc import Callable
from enum import Enum

from dialogue.messages import AudienceMessage


class When(Enum):
    """How soon a cancelled turn ends."""

    NOW = "now"
    """In mid-word; the sound is faded out."""
    AFTER_UTTERANCE = "after utterance"
    """When the utterance that is being spoken has ended."""


class Turn:
    """One answer. Runs on: the loop's thread."""

    def __init__(self, turn_id: int, message: AudienceMessage, clock: Callable[[], float]) -> None:
        """Begin a turn.

        Args:
            turn_id: ascending within the show.
            message: the line to answer.
            clock: monotonic seconds, the clock of `message.received_at`.
        """
        self.turn_id = turn_id
        """Ascending within the show."""
        self.message = message
        """The line it answers."""
        self.language = ""
        """ISO 639-1 code of the answer, once known."""
        self.marks: dict[str, float] = {"received": message.received_at}
        """What happened first when: "received", "chosen", "first_token", "first_clause",
        "first_audio", "heard" (anything of it), "words_heard" (the model's own), in monotonic
        seconds."""
        self.opened = False
        """Its first utterance is an opener, said before the model had a word."""
        self.deltas = 0
        """Pieces of text the model has sent: tokens, where an engine sends them one by one."""
        self.stopped_because: str | None = None
        """The guard's reason where it cut the reply."""
        self.cancelled: When | None = None
        """How it was cancelled; None while it runs."""
        self.reason: str | None = None
        """Why it was cancelled."""
        self._clock = clock
        self._listeners: list[Callable[[], None]] = []
        self.mark("chosen")

    def mark(self, name: str, at_s: float | None = None) -> None:
        """Note that `name` happened, now or at `at_s`; only its first time counts."""
        self.marks.setdefault(name, self._clock() if at_s is None else at_s)

    def since(self, start: str, stop: str) -> float | None:
        """Return the seconds between two marks, or None where one is missing."""
        if start in self.marks and stop in self.marks:
            return self.marks[stop] - self.marks[start]
        return None

    def cancel(self, reason: str, when: When = When.NOW) -> None:
        """End the turn: barge-in, operator, panic and safety all come here.

        A second call may hasten the end, never delay it.
        """
        if self.cancelled is When.NOW or self.cancelled is when:
            return
        self.cancelled = when
        self.reason = reason if self.reason is None or when is When.NOW else self.reason
        self.mark("cancelled")
        for listener in tuple(self._listeners):
            listener()

    def on_cancel(self, listener: Callable[[], None]) -> None:
        """Call `listener` when the turn is cancelled; at once if it is already."""
        self._listeners.append(listener)
        if self.cancelled is not None:
            listener()
