"""A blocking generator on a thread of its own, read at arm's length: bounded, with a deadline.

`Feed` is the hand-off; `pump` reads one from asyncio. Neither knows what an engine is. A generator
is closed on its own thread at its next piece; one that hangs inside a call is left behind with its
daemon thread, since no Python thread can be killed (`voice.speaker` then passes its engine over).
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Generic, TypeVar

from dialogue.ticks import TICKS_PER_S
from voice.speech import AudioChunk

_log = logging.getLogger(__name__)
Item = TypeVar("Item")

AHEAD_S = 2.0
"""Seconds of sound made and not taken; then synthesis waits."""

ABANDON_S = 1.0
"""A cancelled generator that has not ended by then is reported as stuck."""


class Feed(Generic[Item]):
    """What a generator yields, made on a thread, at most so much ahead of its reader."""

    def __init__(
        self,
        make: Callable[[], Iterator[Item]],
        *,
        length_s: Callable[[Item], float],
        ahead_s: float = 0.0,
        name: str = "tts",
        told: Callable[[], None] = lambda: None,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """Start the thread.

        Args:
            make: called on the thread; returns the generator.
            length_s: seconds of sound in an item.
            ahead_s: the thread waits while more than this is unread; 0 makes one item at a time.
            name: of the thread.
            told: called on the thread whenever there is something new to `take`.
            ended: called on the thread as the last thing, when the generator is closed.
        """
        self._make = make
        self._length_s = length_s
        self._ahead_s = ahead_s
        self._told = told
        self._ended = ended
        self._change = threading.Condition()
        self._items: deque[Item] = deque()
        self._unread_s = 0.0
        self._error: BaseException | None = None
        self._over = False
        self._stopped = False
        self.busy_s = 0.0
        """Seconds the generator has worked so far."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """True until the generator is closed."""
        return self._thread.is_alive()

    def take(self) -> tuple[Item | None, bool]:
        """Return an item if there is one, and whether all have been taken; never waits.

        Raises:
            BaseException: what the generator raised, once its items are taken.
        """
        with self._change:
            if self._items:
                item = self._items.popleft()
                self._unread_s -= self._length_s(item)
                self._change.notify_all()
                return item, False
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            return None, self._over

    def get(self, timeout_s: float) -> Item | None:
        """Wait for an item; None after the last.

        Raises:
            TimeoutError: nothing came.
            BaseException: what the generator raised.
        """
        with self._change:
            if not self._change.wait_for(lambda: self._items or self._over, timeout_s):
                raise TimeoutError
        return self.take()[0]

    def stop(self) -> None:
        """Close the generator at its next item; returns at once."""
        with self._change:
            self._stopped = True
            self._items.clear()
            self._change.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread to end; False when it is still busy."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            items = self._make()
            try:
                while (item := self._next(items)) is not None and self._put(item):
                    pass
            finally:
                close = getattr(items, "close", None)
                if close is not None:
                    close()
        except BaseException as caught:  # raised again where it is read
            error = caught
        # The engine is free before its reader learns that this is the end.
        self._ended()
        with self._change:
            self._error, self._over = error, True
            self._change.notify_all()
        self._told()

    def _next(self, items: Iterator[Item]) -> Item | None:
        begun = time.perf_counter()
        try:
            return next(items, None)
        finally:
            self.busy_s += time.perf_counter() - begun

    def _put(self, item: Item) -> bool:
        """Hand over an item and wait until the next one is wanted; False when none is."""
        with self._change:
            if self._stopped:
                return False
            self._items.append(item)
            self._unread_s += self._length_s(item)
            self._change.notify_all()
        self._told()
        with self._change:
            self._change.wait_for(
                lambda: self._stopped or not self._items or self._unread_s < self._ahead_s
            )
            return not self._stopped


async def pump(
    make: Callable[[], Iterator[AudioChunk]],
    *,
    ahead_s: float = AHEAD_S,
    abandon_s: float = ABANDON_S,
    name: str = "tts",
) -> AsyncGenerator[AudioChunk, None]:
    """Yield what the generator yields; raise what it raises.

    Closing it, or cancelling the task that reads it, closes the generator at its next chunk and
    returns at once.

    Args:
        make: called on the thread; returns the generator.
        ahead_s: seconds of sound that may be made before they are read.
        abandon_s: when to report that a cancelled generator still hangs in a call.
        name: of the thread.
    """
    loop = asyncio.get_running_loop()
    news = asyncio.Event()

    def told() -> None:
        try:
            loop.call_soon_threadsafe(news.set)
        except RuntimeError:
            feed.stop()  # the loop is closed: nobody reads any more

    feed = Feed(make, length_s=_length_s, ahead_s=ahead_s, name=name, told=told)
    try:
        while True:
            news.clear()
            chunk, over = feed.take()
            if chunk is not None:
                yield chunk
            elif over:
                return
            else:
                await news.wait()
    finally:
        feed.stop()
        if feed.running:
            loop.call_later(abandon_s, _report, feed, name)


def _length_s(chunk: AudioChunk) -> float:
    return len(chunk.samples) / TICKS_PER_S


def _report(feed: "Feed[AudioChunk]", name: str) -> None:
    if feed.running:
        _log.warning("%s: cancelled, but still inside a call; its thread is left behind", name)
