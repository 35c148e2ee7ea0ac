"""A blocking generator on a thread, read on an asyncio loop, bounded and cancellable.

The producer waits while `SLOTS` items are unread. Leaving the loop (or cancelling its task) closes
the generator at its next item; one that is stuck inside a call for more than a second is left
behind on its daemon thread, since no Python thread can be killed.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

SLOTS = 4
"""Items made and not read: at most 0.8 s of sound; the 2.0 s bound is kept by the reader."""


async def pump(make: Callable[[], Iterator[Item]], *, name: str = "tts") -> AsyncIterator[Item]:
    """Yield what the generator yields; raise what it raises.

    Args:
        make: called on the thread; returns the generator.
        name: of the thread.
    """
    loop = asyncio.get_running_loop()
    ready: asyncio.Queue[tuple[str, Item | BaseException | None]] = asyncio.Queue()
    slots = threading.Semaphore(SLOTS)
    stop = threading.Event()

    def put(kind: str, value: Item | BaseException | None) -> None:
        try:
            loop.call_soon_threadsafe(ready.put_nowait, (kind, value))
        except RuntimeError:
            stop.set()  # the loop is closed: nobody listens

    def produce() -> None:
        try:
            items = make()
            try:
                for item in items:
                    slots.acquire()
                    if stop.is_set():
                        return
                    put("item", item)
            finally:
                close = getattr(items, "close", None)
                if close is not None:
                    close()
            put("end", None)
        except BaseException as error:  # it is raised again on the loop
            put("error", error)

    threading.Thread(target=produce, name=name, daemon=True).start()
    try:
        while True:
            kind, value = await ready.get()
            if kind == "end":
                return
            if kind == "error":
                assert isinstance(value, BaseException)
                raise value
            slots.release()
            yield value  # type: ignore[misc]
    finally:
        stop.set()
        slots.release()
