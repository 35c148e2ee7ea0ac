"""A language model that follows a script: an ordinary engine, usable as `module:Class`."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

from dialogue.engine import Prompt

Step = str | float | Exception
"""A delta to yield, seconds to wait, or an error to raise."""


class ScriptedModel:
    """Says its replies in turn, the last one again and again.

    Strings are cut into deltas of three characters; a list is taken step by step.
    """

    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        replies: Sequence[str | Sequence[Step] | Callable[[Prompt], str]] = ("Hello there!",),
        sleep: Callable[[float], None] | None = None,
        warm_error: Exception | None = None,
        translates: bool = False,
    ) -> None:
        self.translates = translates
        self.replies = list(replies)
        self.prompts: list[Prompt] = []
        self.warmed: list[Prompt] = []
        self.yielded = 0
        self.closed_early = 0
        self.closed = False
        self._sleep = sleep
        self._warm_error = warm_error
        self._lock = threading.Lock()

    def warm(self, prompt: Prompt) -> None:
        if self._warm_error is not None:
            raise self._warm_error
        self.warmed.append(prompt)

    def reply(self, prompt: Prompt) -> Iterator[str]:
        self.prompts.append(prompt)
        script = self.replies[min(len(self.prompts), len(self.replies)) - 1]
        if callable(script):
            script = script(prompt)
        steps: Sequence[Step]
        if isinstance(script, str):
            steps = [script[i : i + 3] for i in range(0, len(script), 3)]
        else:
            steps = script
        with self._lock:
            ended = False
            try:
                for step in steps:
                    if isinstance(step, Exception):
                        raise step
                    if isinstance(step, str):
                        self.yielded += 1
                        yield step
                    elif self._sleep is not None:
                        self._sleep(step)
                ended = True
            except GeneratorExit:
                self.closed_early += 1
                raise
            finally:
                self.ended = ended

    def close(self) -> None:
        self.closed = True


def on_loop(*replies: str | Sequence[Step] | Callable[[Prompt], str]) -> ScriptedModel:
    """Make a scripted model that waits on the running virtual loop's clock."""
    from tests.virtual_time import VirtualLoop

    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return ScriptedModel(replies, sleep=loop.thread_sleep)
