"""Real processes, waited for by events; nothing here sleeps."""

import asyncio
import os
import signal
from multiprocessing.connection import Connection

import pytest

from stage import wire
from stage.child import Child


def echo(connection: Connection, word: str) -> None:
    """Say hello and ready, then send every cue back."""
    link = wire.Link(connection)
    link.send(wire.Hello(role="echo"))
    link.send(wire.Ready(role="echo", took_s=0.0, detail=word))
    while True:
        message = link.poll(60.0)
        if message is None or isinstance(message, wire.Quit):
            return
        link.send(message)


def stranger(connection: Connection) -> None:
    """Speak another version of the wire."""
    link = wire.Link(connection)
    link.send(wire.Hello(role="echo", version=wire.WIRE_VERSION + 1))
    link.poll(60.0)


def mute(connection: Connection) -> None:
    """Become ready and never say another word."""
    link = wire.Link(connection)
    link.send(wire.Ready(role="mute", took_s=0.0))
    link.poll(60.0)


def patient(connection: Connection, *, understudy: bool = False) -> None:
    """Say hello; as an understudy, wait to be called."""
    link = wire.Link(connection)
    link.send(wire.Hello(role="echo"))
    detail = "first"
    if understudy:
        while not isinstance(link.poll(60.0), wire.Enter):
            pass
        detail = "understudy"
    link.send(wire.Ready(role="echo", took_s=0.0, detail=detail))
    while not isinstance(link.poll(60.0), wire.Quit):
        pass


class Watch:
    def __init__(self) -> None:
        self.messages: asyncio.Queue[wire.Message] = asyncio.Queue()
        self.losses: asyncio.Queue[str] = asyncio.Queue()

    async def next(self, kind: type) -> wire.Message:
        while True:
            message = await asyncio.wait_for(self.messages.get(), 20)
            if isinstance(message, kind):
                return message

    def child(self, target: object, *arguments: object, silence_s: float = 60.0) -> Child:
        return Child(
            "echo", target, lambda: arguments, deliver=self.messages.put_nowait,  # type: ignore[arg-type]
            lost=self.losses.put_nowait, silence_s=silence_s,
        )  # fmt: skip


def test_messages_go_there_and_back() -> None:
    async def scene() -> None:
        watch = Watch()
        child = watch.child(echo, "moon")
        child.start()
        ready = await watch.next(wire.Ready)
        assert isinstance(ready, wire.Ready)
        assert ready.detail == "moon"
        child.send(wire.Play(cue="wave"))
        assert await watch.next(wire.Play) == wire.Play(cue="wave")
        await child.close()
        assert child.pid is not None

    asyncio.run(scene())


def test_a_killed_child_comes_back_at_once_and_works() -> None:
    async def scene() -> None:
        watch = Watch()
        child = watch.child(echo, "moon")
        child.start()
        await watch.next(wire.Ready)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        line = await asyncio.wait_for(watch.losses.get(), 20)
        assert "echo ended (signal 9)" in line
        await watch.next(wire.Ready)
        assert child.generation == 2
        child.send(wire.Play(cue="nod"))
        assert await watch.next(wire.Play) == wire.Play(cue="nod")
        await child.close()

    asyncio.run(scene())


def test_a_hung_child_is_killed() -> None:
    async def scene() -> None:
        watch = Watch()
        child = watch.child(mute, silence_s=0.0)
        child.start()
        await watch.next(wire.Ready)
        child.check()
        assert "signal 9" in await asyncio.wait_for(watch.losses.get(), 20)
        await child.close()

    asyncio.run(scene())


def test_a_child_of_another_version_is_refused_with_the_remedy() -> None:
    async def scene() -> None:
        watch = Watch()
        child = watch.child(stranger)
        child.start()
        note = await watch.next(wire.Note)
        assert isinstance(note, wire.Note)
        assert "make setup" in note.text
        await asyncio.wait_for(watch.losses.get(), 20)
        await child.close()

    asyncio.run(scene())


def test_an_understudy_enters_when_the_child_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage.child.SETTLED_S", 0.0)

    async def scene() -> None:
        watch = Watch()
        child = Child(
            "echo", patient, tuple, deliver=watch.messages.put_nowait,
            lost=watch.losses.put_nowait, silence_s=60.0, understudy=True,
        )  # fmt: skip
        child.start()
        assert (await watch.next(wire.Ready)).detail == "first"  # type: ignore[attr-defined]
        child.check()
        second = child.understudy_pid
        assert second is not None
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        loss = await asyncio.wait_for(watch.losses.get(), 20)
        assert loss == "echo ended (signal 9); its understudy takes over"
        assert (await watch.next(wire.Ready)).detail == "understudy"  # type: ignore[attr-defined]
        assert child.pid == second
        assert child.generation == 2
        child.check()
        third = child.understudy_pid
        assert third not in (None, second)
        os.kill(third, signal.SIGKILL)  # type: ignore[arg-type]
        for _ in range(2000):
            await asyncio.sleep(0.01)
            if child.understudy_pid != third:
                break
        assert child.understudy_pid is None
        assert child.ready, "nobody on air has noticed"
        await child.close()

    asyncio.run(scene())
