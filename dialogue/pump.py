"""Runs a model's blocking generator beside the loop, and the next model's when it fails.

Runs on: one thread an engine for the generator, one for warming, the loop's thread for the rest.
Each delta is one call on the first, so the model never runs ahead by more than the 32 deltas of
the buffer and is closed within one token when nobody wants the rest. A model that hangs in one call
is left alone (no thread can be killed) and not asked again until that call has returned.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Any, TypeVar

from dialogue.engine import LanguageModel, Prompt
from dialogue.plugins import EngineError, EngineUnavailable

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

DELTAS = 32
"""Deltas buffered; when full, reading the model pauses."""
ABANDON_S = 1.0
"""How long a cancelled model may take to finish its current call."""
COOL_S = (5.0, 60.0)
"""First and longest pause before a failed engine is asked again; doubles each time."""


class Worker(Executor):
    """One daemon thread that runs calls in order; it never keeps the process alive."""

    def __init__(self, name: str) -> None:
        """Start with the first call."""
        self._name = name
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._counting = threading.Lock()
        self._pending = 0

    @property
    def busy(self) -> bool:
        """True while a call has not returned."""
        return self._pending > 0

    def _count(self, change: int) -> None:
        with self._counting:
            self._pending += change

    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> "Future[_T]":
        """Queue a call."""
        future: Future[_T] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                self._count(-1)
                return
            # Counted as returned before anybody is told, who may ask at once whether it is busy.
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                self._count(-1)
                future.set_exception(error)
            else:
                self._count(-1)
                future.set_result(result)

        self._count(1)
        self._calls.put(call)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the thread end after the calls it has; never waits."""
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


class _Source:
    """One engine with its thread and its record."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.name = type(model).__name__
        self.worker = Worker(f"model {self.name}")
        self.warmer = Worker(f"warming {self.name}")
        self.failures = 0
        self.ready_at = 0.0
        self.stuck = False
        self.turnstile = asyncio.Lock()
        self.active: AsyncGenerator[str, None] | None = None


class Relay:
    """A list of models of which the first that can answers."""

    def __init__(self, models: Sequence[LanguageModel], *, first_token_s: float = 20.0) -> None:
        """Ask `models` in order.

        Args:
            models: at least one, the preferred one first.
            first_token_s: an engine that has said nothing by then has failed.
        """
        if not models:
            raise ValueError("no language model; name one in llm.engine")
        self._sources = [_Source(model) for model in models]
        self._first_token_s = first_token_s
        self._current = self._sources[0]

    @property
    def current(self) -> str:
        """Class name of the engine that answered last."""
        return self._current.name

    async def warm(self, prompt: Prompt) -> None:
        """Prepare every engine for prompts that begin like `prompt`; a failure is only noted.

        Raises:
            EngineError: no engine could be prepared.
        """
        results = await asyncio.gather(
            *(self._call(s.warmer, s.model.warm, prompt) for s in self._sources),
            return_exceptions=True,
        )
        failures = []
        for source, result in zip(self._sources, results, strict=True):
            if isinstance(result, (EngineError, EngineUnavailable)):
                failures.append(str(result))
                self._failed(source, result)
            elif isinstance(result, BaseException):
                raise result
        if len(failures) == len(self._sources):
            raise EngineError("no language model can be used: " + "; ".join(failures))

    async def prepare(self, prompt: Prompt, *, aside: bool = False) -> None:
        """Let the engine that answered last get ahead on `prompt`; replies go first.

        Args:
            prompt: see `LanguageModel.warm`.
            aside: it is one for `aside`, and for the engine that translates.
        """
        source = self._current
        if aside and self._translating is not None:
            source = self._translating
        if not (source.stuck and source.worker.busy):
            await self._call(source.warmer, source.model.warm, prompt)

    async def reply(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        """Yield the deltas of the first engine that answers.

        Closing it stops the model within one token.

        Raises:
            EngineError: every engine failed, or the one that answers died on the way.
        """
        failures: list[str] = []
        for source in self._candidates():
            begun = False
            if source.active is not None:
                # Whoever asks again no longer wants the last reply; two at once would wait for
                # each other on the engine's one thread.
                with suppress(RuntimeError):  # it is being closed already
                    await source.active.aclose()
            stream = source.active = self._stream(source, prompt)
            try:
                async for delta in stream:
                    begun = True
                    self._current = source
                    yield delta
                source.failures = 0
                return
            except (EngineError, EngineUnavailable) as error:
                self._failed(source, error)
                if begun:
                    raise
                failures.append(str(error))
            finally:
                await stream.aclose()
        raise EngineError("no language model answers: " + "; ".join(failures))

    @property
    def translates(self) -> bool:
        """True where an engine offers to translate."""
        return self._translating is not None

    async def aside(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        """Yield the deltas of the engine that translates; nothing it does is held against it.

        The caller closes this before it asks for a reply. Closing it stops the model within one
        token.

        Raises:
            EngineError: no engine translates, or the one that does failed.
        """
        source = self._translating
        if source is None:
            raise EngineError("no language model here translates")
        if source.stuck and source.worker.busy:
            raise EngineError(f"{source.name} hangs")
        stream = source.active = self._stream(source, prompt)
        try:
            async for delta in stream:
                yield delta
        finally:
            await stream.aclose()

    @property
    def _translating(self) -> _Source | None:
        able = (s for s in (self._current, *self._sources) if getattr(s.model, "translates", False))
        return next(able, None)

    def close(self) -> None:
        """Free the engines; one that hangs is left to the process's end."""
        for source in self._sources:
            if not source.stuck:
                source.worker.submit(source.model.close)
            source.worker.shutdown(wait=False)
            source.warmer.shutdown(wait=False)

    def _candidates(self) -> list[_Source]:
        now = asyncio.get_running_loop().time()
        usable = [s for s in self._sources if not (s.stuck and s.worker.busy)]
        rested = [s for s in usable if s.ready_at <= now]
        # When all have failed lately, asking beats silence; when all hang, so does waiting.
        return rested or usable or self._sources

    def _failed(self, source: _Source, error: Exception) -> None:
        pause = min(COOL_S[0] * 2**source.failures, COOL_S[1])
        asked = getattr(error, "retry_after_s", None)
        source.failures += 1
        source.ready_at = asyncio.get_running_loop().time() + max(pause, asked or 0.0)
        _log.warning("%s", error)

    async def _call(self, worker: Worker, fn: Callable[..., _T], *arguments: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(worker, fn, *arguments)

    async def _stream(self, source: _Source, prompt: Prompt) -> AsyncGenerator[str, None]:
        async with source.turnstile:
            buffer: asyncio.Queue[str | None | Exception] = asyncio.Queue(DELTAS)
            iterator = source.model.reply(prompt)
            reader = asyncio.create_task(self._read(source, iterator, buffer))
            try:
                try:
                    async with asyncio.timeout(self._first_token_s):
                        item = await buffer.get()
                except TimeoutError:
                    raise EngineError(
                        f"{source.name} said nothing for {self._first_token_s:g} s; "
                        "choose a smaller model or name a successor in llm.successors"
                    ) from None
                while item is not None:
                    if isinstance(item, Exception):
                        raise item
                    yield item
                    item = await buffer.get()
            finally:
                reader.cancel()
                with suppress(asyncio.CancelledError):
                    await reader
                await self._close(source, iterator)

    async def _read(
        self, source: _Source, iterator: Any, buffer: "asyncio.Queue[str | None | Exception]"
    ) -> None:
        while True:
            try:
                delta = await self._call(source.worker, next, iterator, None)
            except asyncio.CancelledError:
                raise
            except (EngineError, EngineUnavailable) as error:
                await buffer.put(error)
                return
            except Exception as error:
                text = f"{source.name} failed: {type(error).__name__}: {error}"
                await buffer.put(EngineError(text))
                return
            await buffer.put(delta)
            if delta is None:
                return

    async def _close(self, source: _Source, iterator: Any) -> None:
        """Close the generator on its own thread; abandon it if its current call hangs."""
        closing = asyncio.ensure_future(self._call(source.worker, iterator.close))
        try:
            async with asyncio.timeout(ABANDON_S):
                await asyncio.shield(closing)
        except TimeoutError:
            source.stuck = True
            closing.add_done_callback(_forget)
            # An only engine is waited for: on a busy machine it may just be slow to stop.
            level = logging.WARNING if len(self._sources) > 1 else logging.INFO
            _log.log(level, "%s hangs and is left out until it returns", source.name)
        except Exception as error:
            _log.warning("%s failed while closing: %s", source.name, error)
        else:
            source.stuck = False


def _forget(future: "asyncio.Future[None]") -> None:
    """Take the result of an abandoned call, so that nobody is told it was never looked at."""
    if not future.cancelled():
        future.exception()
