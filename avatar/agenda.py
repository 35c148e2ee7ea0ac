"""What is going to happen when: a host's own small plans and the cues it was given."""

import heapq
from collections.abc import Callable

from dialogue.ticks import Ticks

Action = Callable[[Ticks], None]
"""Called with the exact time it was due."""


class Agenda:
    """Actions in order of their time; those of the same time in the order they were added.

    The motion between two actions is a closed form, so a pose is the same whether the time up to
    it was crossed in one step or in a hundred.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[Ticks, int, Action]] = []
        self._count = 0
        self.now: Ticks = 0
        """Everything up to here has happened."""

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, at: Ticks, action: Action) -> None:
        """Plan `action`; a time that is past means now."""
        self._count += 1
        heapq.heappush(self._heap, (max(at, self.now), self._count, action))

    def run(self, until: Ticks) -> None:
        """Do everything that is due up to `until`, each at its own time."""
        while self._heap and self._heap[0][0] <= until:
            at, _, action = heapq.heappop(self._heap)
            self.now = at
            action(at)
        self.now = until
