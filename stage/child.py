"""One child process of the house: its pipe, its threads, its restarts.

Runs in the house. Two threads a process: one reads packets and hands them to the loop, one writes
from a bounded queue (512 messages; when it is full the child is hung and is restarted), so that a
stuck child can never block the house. A child may have an understudy: a second process that has
loaded everything and waits, so that a fall costs the time of one message instead of a start.
"""

import asyncio
import multiprocessing
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection

import msgspec

from stage import wire

OUTBOX = 512
"""Messages waiting for a child before it counts as hung."""

BACK_OFF_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Waits before the next start when a child dies young, again and again."""

YOUNG_S = 20.0
"""A child that lived longer than this is restarted at once."""

SETTLED_S = 6.0
"""An understudy is prepared in the first calm moment after so long: starting comes first."""

RESTLESS_S = 90.0
"""In a show that is never calm, after so long."""


class _Process:
    """A running process, its pipe and its two threads. Its callbacks come on the loop."""

    def __init__(
        self,
        name: str,
        target: Callable[..., None],
        arguments: tuple[object, ...],
        options: dict[str, object],
        *,
        heard: "Callable[[_Process, wire.Message], None]",
        fell: "Callable[[_Process], None]",
    ) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=True)
        self.outbox: queue.Queue[bytes | None] = queue.Queue(OUTBOX)
        self.started_s = self.last_word_s = time.monotonic()
        self.hello: wire.Hello | None = None
        self._heard = heard
        self._fell = fell
        self._loop = asyncio.get_running_loop()
        self.process = context.Process(
            target=target, args=(theirs, *arguments), kwargs=options,
            name=f"bunraku-{name}", daemon=True,
        )  # fmt: skip
        self.process.start()
        theirs.close()
        for body in (self._read, self._write):
            threading.Thread(
                target=body, args=(ours,), name=f"{name}-{body.__name__.strip('_')}", daemon=True
            ).start()

    def send(self, message: wire.Message) -> None:
        """Queue a message; a process that does not read any more is killed."""
        try:
            self.outbox.put_nowait(wire.encode(message))
        except queue.Full:
            self.kill()

    def kill(self) -> None:
        """End it the hard way."""
        if self.process.is_alive():
            self.process.kill()

    def _read(self, pipe: Connection) -> None:
        try:
            while True:
                message = wire.decode(pipe.recv_bytes())
                self._loop.call_soon_threadsafe(self._heard, self, message)
        except (EOFError, OSError, msgspec.DecodeError):
            pass
        with suppress(queue.Full):  # then the writer is not waiting, and finds the pipe broken
            self.outbox.put_nowait(None)
        with suppress(RuntimeError):  # the house has closed its loop
            self._loop.call_soon_threadsafe(self._fell, self)

    def _write(self, pipe: Connection) -> None:
        with suppress(BrokenPipeError, OSError):  # the reader notices too and reports
            while (packet := self.outbox.get()) is not None:
                pipe.send_bytes(packet)


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
        understudy: bool = False,
    ) -> None:
        """Prepare a child.

        Args:
            role: "body" or "mind".
            target: its main function, called as `target(connection, *arguments())`.
            arguments: made anew for each start.
            deliver: called on the loop for each message.
            lost: called on the loop with one line when it died; it is being restarted then.
            silence_s: after `Ready`, silence longer than this means hung: it is killed.
            understudy: keep a second process waiting, called with `understudy=True`; it loads,
                says `Hello` and waits for `Enter`.
        """
        self.role = role
        self.generation = 0
        self.ready = False
        self._target = target
        self._arguments = arguments
        self._deliver = deliver
        self._lost = lost
        self._silence_s = silence_s
        self._wants_understudy = understudy
        self._process: _Process | None = None
        self._understudy: _Process | None = None
        self._ready_s = 0.0
        self._falls = 0
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._restart: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.process.pid if self._process is not None else None

    @property
    def understudy_pid(self) -> int | None:
        """Process id of the understudy where there is one."""
        return self._understudy.process.pid if self._understudy is not None else None

    @property
    def understudy_ready(self) -> bool:
        """True when there is an understudy that has said `Hello`."""
        return self._understudy is not None and self._understudy.hello is not None

    def start(self) -> None:
        """Start the process and its two threads."""
        self._restart = None
        if not self._closing:
            self.generation += 1
            self.ready = False
            self._process = self._spawn(self.role, {})

    def send(self, message: wire.Message) -> None:
        """Queue a message; a child that does not read any more is killed and comes back."""
        if self._process is not None:
            self._process.send(message)

    def check(self, *, calm: bool = True) -> None:
        """Kill the child if it has been silent for too long. Called about once a second.

        Args:
            calm: nobody waits for anything, so an understudy may load (seconds of a core).
        """
        now_s = time.monotonic()
        if not self.ready or self._process is None:
            return
        if now_s - self._process.last_word_s > self._silence_s:
            self.kill()
        elif self._wants_understudy and self._understudy is None and not self._closing:
            if now_s - self._ready_s > (SETTLED_S if calm else RESTLESS_S):
                self._understudy = self._spawn(f"{self.role}-understudy", {"understudy": True})

    def kill(self) -> None:
        """End the process the hard way; it is restarted."""
        if self._process is not None:
            self._process.kill()

    async def close(self, wait_s: float = 5.0) -> None:
        """Ask the child to end, then make it."""
        self._closing = True
        if self._restart is not None:
            self._restart.cancel()
        if self._understudy is not None:
            self._understudy.kill()
        if self._process is None:
            return
        process = self._process.process
        self.send(wire.Quit())
        await asyncio.to_thread(process.join, wait_s)
        self.kill()
        await asyncio.to_thread(process.join, 2.0)

    def _spawn(self, name: str, options: dict[str, object]) -> _Process:
        return _Process(
            name, self._target, self._arguments(), options, heard=self._heard, fell=self._fell
        )

    def _heard(self, process: _Process, message: wire.Message) -> None:
        process.last_word_s = time.monotonic()
        if isinstance(message, wire.Hello):
            process.hello = message
        if process is not self._process:
            return  # an understudy says nothing of interest but its hello
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
            self._ready_s = time.monotonic()
        self._deliver(message)

    def _fell(self, process: _Process) -> None:
        if process is self._understudy:
            self._understudy = None
            self._ready_s = time.monotonic()  # the next one comes in a while
        if process is not self._process or self._closing:
            return
        self.ready = False
        process.process.join(1.0)
        code = process.process.exitcode
        lived_s = time.monotonic() - process.started_s
        cause = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        if self._understudy is not None:
            self._lost(f"{self.role} ended ({cause}); its understudy takes over")
            self._enter(self._understudy)
            return
        self._falls = 0 if lived_s > YOUNG_S else self._falls + 1
        wait_s = BACK_OFF_S[min(self._falls, len(BACK_OFF_S) - 1)]
        if lived_s > YOUNG_S or self._falls == 1:
            wait_s = 0.0
        self._lost(
            f"{self.role} ended ({cause}); restarting" + (f" in {wait_s:g} s" * (wait_s > 0))
        )
        self._restart = self._loop.call_later(wait_s, self.start)

    def _enter(self, understudy: _Process) -> None:
        self._understudy, self._process = None, understudy
        self.generation += 1
        understudy.started_s = time.monotonic()
        understudy.send(wire.Enter())
        if understudy.hello is not None:
            self._heard(understudy, understudy.hello)
