"""An asyncio loop whose clock jumps: hours of show in milliseconds, the same every time.

`loop.time()` stands still while anything can run and jumps to the next timer when nothing can.
Work on executor threads counts as "can run", so a model's generator on its own thread is waited
for, in real time but without moving the clock. A thread that wants to be slow sleeps on the
virtual clock (`thread_sleep`), which lets the clock jump.
"""

import asyncio
import selectors
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

START_S = 1000.0
"""What the clock shows at first."""
HANG_S = 20.0
"""Real seconds after which a thread that never returns fails the test."""


class Stuck(RuntimeError):
    """Nothing can happen any more: a deadlock, or a thread that hangs."""


class _Selector(selectors.DefaultSelector):
    """Asks for events without waiting; what would be a wait moves the clock instead."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if self.loop.busy:
            events = super().select(HANG_S)
            if not events:
                raise Stuck(f"a thread did not return for {HANG_S:g} s")
            return events
        if timeout is None:
            raise Stuck("every task waits and no timer is set")
        self.loop.now_s += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self.now_s = START_S
        self.busy = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now_s

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        self.busy += 1
        done: asyncio.Future[None] = self.create_future()

        def call() -> T:
            try:
                return func(*args)
            finally:
                self.call_soon_threadsafe(self._returned, done)

        return super().run_in_executor(executor, call)

    def _returned(self, done: "asyncio.Future[None]") -> None:
        self.busy -= 1
        if not done.done():
            done.set_result(None)

    def thread_sleep(self, seconds: float) -> None:
        """Sleep on the virtual clock; called by a thread that runs an executor's call."""
        awake = threading.Event()

        def asleep() -> None:
            self.busy -= 1
            self.call_later(seconds, wake)

        def wake() -> None:
            self.busy += 1
            awake.set()

        self.call_soon_threadsafe(asleep)
        if not awake.wait(HANG_S):
            raise Stuck("the loop ended while a thread slept on its clock")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
