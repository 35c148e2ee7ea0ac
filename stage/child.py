"""One child process of the house: its pipe, its threads, its restarts.

Runs in the house. Two threads a child: one reads packets and hands them to the loop, one writes
from a bounded queue (512 messages; when it is full the child is hung and is restarted), so that a
stuck child can never block the house.
"""

import asyncio
import multiprocessing
import queue
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import msgspec

from stage import wire

OUTBOX = 512
"""Messages waiting for a child before it counts as hung."""

BACK_OFF_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Waits before the next start when a child dies young, again and again."""

YOUNG_S = 20.0
"""A child that lived longer than this is restarted at once."""


class Child:
    """A supervised process. All methods are called on the house's loop."""

    def __init__(
        self,
        role: str,
        target: Callable[..., None],
        arguments: Callable[[], tuple[object, ...]],
        *,
        deliver: Callable[[wire.Message], None],
        lost: Callable[[str], None],
        silence_s: float,
    ) -> None:
        """Prepare a child.

        Args:
            role: "body" or "mind".
            target: its main function, called as `target(connection, *arguments())`.
            arguments: made anew for each start.
            deliver: called on the loop for each message.
            lost: called on the loop with one line when it died; it is being restarted then.
            silence_s: after `Ready`, silence longer than this means hung: it is killed.
        """
        self.role = role
        self.generation = 0
        self.ready = False
        self._target = target
        self._arguments = arguments
        self._deliver = deliver
        self._lost = lost
        self._silence_s = silence_s
        self._process: BaseProcess | None = None
        self._outbox: queue.Queue[bytes | None] = queue.Queue(OUTBOX)
        self._started_s = 0.0
        self._last_word_s = 0.0
        self._falls = 0
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._restart: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the process and its two threads."""
        self._restart = None
        if self._closing:
            return
        ours, theirs = multiprocessing.get_context("spawn").Pipe(duplex=True)
        self.generation += 1
        self.ready = False
        self._started_s = self._last_word_s = time.monotonic()
        self._outbox = queue.Queue(OUTBOX)
        self._process = multiprocessing.get_context("spawn").Process(
            target=self._target,
            args=(theirs, *self._arguments()),
            name=f"bunraku-{self.role}",
            daemon=True,
        )
        self._process.start()
        theirs.close()
        for body in (self._read, self._write):
            threading.Thread(
                target=body, args=(ours, self._outbox, self.generation),
                name=f"{self.role}-{body.__name__.strip('_')}", daemon=True,
            ).start()  # fmt: skip

    def send(self, message: wire.Message) -> None:
        """Queue a message; a child that does not read any more is killed and comes back."""
        try:
            self._outbox.put_nowait(wire.encode(message))
        except queue.Full:
            self.kill()

    def check(self) -> None:
        """Kill the child if it has been silent for too long. Called about once a second."""
        silent_s = time.monotonic() - self._last_word_s
        if self.ready and silent_s > self._silence_s:
            self.kill()

    def kill(self) -> None:
        """End the process the hard way; it is restarted."""
        if self._process is not None and self._process.is_alive():
            self._process.kill()

    async def close(self, wait_s: float = 5.0) -> None:
        """Ask the child to end, then make it."""
        self._closing = True
        if self._restart is not None:
            self._restart.cancel()
        process = self._process
        if process is None:
            return
        self.send(wire.Quit())
        await asyncio.to_thread(process.join, wait_s)
        self.kill()
        await asyncio.to_thread(process.join, 2.0)

    def _heard(self, message: wire.Message, generation: int) -> None:
        if generation != self.generation:
            return
        self._last_word_s = time.monotonic()
        if isinstance(message, wire.Hello) and message.version != wire.WIRE_VERSION:
            self._deliver(
                wire.Note(
                    role=self.role,
                    level="error",
                    text=f"the {self.role} speaks wire version {message.version}, the house "
                    f"{wire.WIRE_VERSION}: reinstall bunraku (make setup)",
                )
            )
            self.kill()
            return
        if isinstance(message, wire.Ready):
            self.ready = True
        self._deliver(message)

    def _fell(self, generation: int) -> None:
        if generation != self.generation or self._closing:
            return
        process, self.ready = self._process, False
        code: int | None = None
        if process is not None:
            process.join(1.0)
            code = process.exitcode
        lived_s = time.monotonic() - self._started_s
        self._falls = 0 if lived_s > YOUNG_S else self._falls + 1
        wait_s = BACK_OFF_S[min(self._falls, len(BACK_OFF_S) - 1)]
        cause = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        if lived_s > YOUNG_S or self._falls == 1:
            wait_s = 0.0
        self._lost(
            f"{self.role} ended ({cause}); restarting" + (f" in {wait_s:g} s" * (wait_s > 0))
        )
        self._restart = self._loop.call_later(wait_s, self.start)

    def _read(self, pipe: Connection, outbox: "queue.Queue[bytes | None]", generation: int) -> None:
        try:
            while True:
                message = wire.decode(pipe.recv_bytes())
                self._loop.call_soon_threadsafe(self._heard, message, generation)
        except (EOFError, OSError, msgspec.DecodeError):
            pass
        outbox.put(None)  # releases the writer
        try:
            self._loop.call_soon_threadsafe(self._fell, generation)
        except RuntimeError:
            pass  # the house has closed its loop

    def _write(
        self, pipe: Connection, outbox: "queue.Queue[bytes | None]", generation: int
    ) -> None:
        try:
            while (packet := outbox.get()) is not None:
                pipe.send_bytes(packet)
        except (BrokenPipeError, OSError):
            return  # the reader notices too and reports
