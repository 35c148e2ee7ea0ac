"""The hand-off from a blocking generator: bounds, ends, errors, cancellation."""

import asyncio
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from dialogue.plugins import EngineError
from voice.pump import Feed, pump
from voice.speech import AudioChunk

CHUNK_S = 0.1


def chunk(index: int) -> AudioChunk:
    return AudioChunk(1, 0, index * 4800, np.full(4800, index, np.float32))


class Source:
    """Yields chunks of 100 ms and records what happens to it."""

    def __init__(self, count: int, *, fail_at: int = -1, hang_at: int = -1) -> None:
        self.made = 0
        self.closed = threading.Event()
        self.hanging = threading.Event()
        self.let_go = threading.Event()
        self._count, self._fail_at, self._hang_at = count, fail_at, hang_at

    def __call__(self) -> Iterator[AudioChunk]:
        try:
            for index in range(self._count):
                if index == self._fail_at:
                    raise EngineError("source: failed")
                if index == self._hang_at:
                    self.hanging.set()
                    self.let_go.wait(20)
                self.made += 1
                yield chunk(index)
        finally:
            self.closed.set()


def test_everything_comes_in_order() -> None:
    async def run() -> list[int]:
        return [piece.start async for piece in pump(Source(30))]

    assert asyncio.run(run()) == [index * 4800 for index in range(30)]


def test_an_error_comes_after_what_was_made_before_it() -> None:
    got = []

    async def run() -> None:
        async for piece in pump(Source(9, fail_at=3)):
            got.append(piece.start)

    with pytest.raises(EngineError, match="source: failed"):
        asyncio.run(run())
    assert len(got) == 3


def test_synthesis_waits_when_enough_sound_is_ahead() -> None:
    source = Source(100)
    feed = Feed(source, length_s=lambda c: len(c.samples) / 48_000, ahead_s=2.0)
    taken = [feed.get(5) for _ in range(3)]
    feed.stop()
    assert feed.join(5)
    assert [c.start for c in taken if c] == [0, 4800, 9600]
    assert source.made <= 3 + 2.0 / CHUNK_S + 1


def test_without_sound_ahead_one_piece_is_made_at_a_time() -> None:
    source = Source(10)
    feed = Feed(source, length_s=lambda c: CHUNK_S, ahead_s=0.0)
    assert feed.get(5) is not None
    assert feed.get(5) is not None
    feed.stop()
    assert feed.join(5)
    assert source.made <= 3


def test_leaving_early_closes_the_generator() -> None:
    source = Source(1000)

    async def run() -> None:
        stream = pump(source)
        async for _ in stream:
            break
        await stream.aclose()

    asyncio.run(run())
    assert source.closed.wait(5)
    assert source.made < 40


def test_cancelling_the_reader_returns_at_once_though_the_generator_hangs() -> None:
    source = Source(10, hang_at=1)

    async def read() -> None:
        async for _ in pump(source):
            pass

    async def run() -> float:
        task = asyncio.create_task(read())
        await asyncio.to_thread(source.hanging.wait, 10)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return loop.time() - begun

    assert asyncio.run(run()) < 0.5
    source.let_go.set()
    assert source.closed.wait(5)


def test_a_generator_that_hangs_after_cancellation_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Source(10, hang_at=0)

    async def run() -> None:
        stream = pump(source, abandon_s=0.0, name="tts-hung")
        reading = asyncio.ensure_future(anext(stream))
        await asyncio.to_thread(source.hanging.wait, 10)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.sleep(0)  # one turn of the loop: the report is due at once

    asyncio.run(asyncio.wait_for(run(), 10))
    assert "tts-hung" in caplog.text
    source.let_go.set()
    assert source.closed.wait(5)


def test_a_silent_feed_times_out() -> None:
    source = Source(10, hang_at=0)
    feed = Feed(source, length_s=lambda c: CHUNK_S)
    with pytest.raises(TimeoutError):
        feed.get(0.01)
    feed.stop()
    source.let_go.set()
    assert feed.join(5)


def test_the_end_is_told_after_the_generator_is_closed() -> None:
    source, order = Source(2), []
    feed = Feed(
        source, length_s=lambda c: CHUNK_S, ended=lambda: order.append(source.closed.is_set())
    )
    while feed.get(5) is not None:
        pass
    assert order == [True]
