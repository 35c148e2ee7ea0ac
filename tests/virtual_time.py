"""An asyncio loop whose clock jumps: hours of show in milliseconds, the same every time.

`loop.time()` stands still while anything can run and jumps to the next timer when nothing can.
Work on executor threads counts as "can run", so a model's generator on its own thread is waited
for, in real time but without moving the clock. A thread that wants to be slow sleeps on the
virtual clock (`thread_sleep`), which lets the clock jump.
"""

import asyncio
import selectors
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
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
        self._jobs: Counter[int] = Counter()
        self._asleep: set[int] = set()
        self._here = threading.local()
        self._pool = ThreadPoolExecutor(2)
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now_s

    @property
    def busy(self) -> bool:
        """True while a thread works; one that sleeps on this clock, and its queue, do not count."""
        return any(jobs and key not in self._asleep for key, jobs in self._jobs.items())

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        executor = executor or self._pool
        self._jobs[id(executor)] += 1

        def work() -> T:
            self._here.executor = id(executor)
            return func(*args)

        call = executor.submit(work)
        future = asyncio.wrap_future(call, loop=self)
        # After the future's own callback, so that the clock stands still until it was served.
        call.add_done_callback(lambda _: self.call_soon_threadsafe(self._returned, id(executor)))
        return future

    def _returned(self, executor: int) -> None:
        self._jobs[executor] -= 1

    def close(self) -> None:
        self._pool.shutdown(wait=False)
        super().close()

    def thread_sleep(self, seconds: float) -> None:
        """Sleep on the virtual clock; called by a thread that runs an executor's call."""
        awake = threading.Event()
        executor: int = self._here.executor

        def sleep() -> None:
            self._asleep.add(executor)
            self.call_later(seconds, wake)

        def wake() -> None:
            self._asleep.discard(executor)
            awake.set()

        self.call_soon_threadsafe(sleep)
        if not awake.wait(HANG_S):
            raise Stuck("the loop ended while a thread slept on its clock")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
