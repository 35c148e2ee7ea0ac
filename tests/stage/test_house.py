"""The whole show on real processes: what is lost when one of them is killed, and what is not.

Model and voice are ordinary engines that follow a script; body, mind, pipes, supervisor and film
are the real ones. How long a return takes is the bench's business (part `falls`).
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import av
import pytest

from stage import wire
from stage.config import LLM, CaptionsTable, Show, SinkTable, Video, Voices
from stage.house import House

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")

REPLY = "Every evening the amber fox counts seven quiet lamps. [nod] Then she sleeps."
SECOND = "Now the rain has stopped, and the lamps are warm."
PATIENCE_S = 60.0


class Running:
    """A show and everything its house has seen."""

    def __init__(self, film: Path, script: dict[str, Any], translate: str) -> None:
        tone = ("tests.fakes:ToneVoice",)
        self.notes: list[str] = []
        self.seen: list[wire.Message] = []
        self._change = asyncio.Event()
        self.house = House(
            Show(
                llm=LLM(engine="tests.scripted_model:ScriptedModel", options=script),
                voice=Voices(engines={"en": tone, "zh": tone, "ja": tone}),
                video=Video(width=320, height=180),
                captions=CaptionsTable(translate=translate),
                sinks={"film": SinkTable("file", {"path": str(film), "overwrite": False})},
            ),
            title="test", theme={}, watch=self._see, say=self.notes.append, page=False,
        )  # fmt: skip

    def _see(self, message: wire.Message) -> None:
        self.seen.append(message)
        self._change.set()

    async def until(self, test: Callable[[wire.Message], bool], since: int = 0) -> int:
        """Wait for a message; returns the index behind it."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for index in range(since, len(self.seen)):
                    if test(self.seen[index]):
                        return index + 1
                since = len(self.seen)
                self._change.clear()
                await self._change.wait()

    def of(self, kind: type[Any], since: int = 0) -> list[Any]:
        return [message for message in self.seen[since:] if isinstance(message, kind)]


@asynccontextmanager
async def running(
    film: Path, *, script: dict[str, Any] | None = None, translate: str = ""
) -> AsyncIterator[Running]:
    show = Running(film, script or {"replies": [REPLY, SECOND]}, translate)
    await show.house.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            await show.house.ready("body")
            await show.house.ready("mind")
        yield show
    finally:
        await show.house.close()


def speaking(message: wire.Message) -> bool:
    return isinstance(message, wire.Started)


def ready(role: str) -> Callable[[wire.Message], bool]:
    return lambda message: isinstance(message, wire.Ready) and message.role == role


def pictures(film: Path) -> int:
    with av.open(str(film)) as container:
        return sum(1 for _ in container.decode(video=0))


async def some_frames(show: Running, since: int, count: int) -> None:
    """Wait until the body has drawn `count` frames more than the first pulse from `since` on."""
    await show.until(lambda m: isinstance(m, wire.Pulse), since)
    first = show.of(wire.Pulse, since)[0].frames
    await show.until(lambda m: isinstance(m, wire.Pulse) and m.frames >= first + count, since)


def test_a_killed_body_comes_back_and_says_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stage.child.SETTLED_S", 3600.0)  # no understudy
    asyncio.run(_a_killed_body_comes_back_and_says_the_rest(tmp_path))


async def _a_killed_body_comes_back_and_says_the_rest(tmp_path: Path) -> None:
    async with running(tmp_path / "show.mp4") as show:
        await some_frames(show, 0, 150)  # the film can be read after its first two key frames
        _, done = show.house.line("hello", author="Mika")
        at = await show.until(speaking)
        await some_frames(show, at, 30)
        before = show.house.body.pid
        assert before is not None
        os.kill(before, signal.SIGKILL)
        at = await show.until(ready("body"), len(show.seen))
        assert show.house.body.pid != before
        started = await show.until(speaking, at)
        again = show.seen[started - 1]
        assert isinstance(again, wire.Started)
        assert again.utterance == 0, "the broken utterance is said again from its start"
        async with asyncio.timeout(PATIENCE_S):
            end = await done
        assert end.heard == "Every evening the amber fox counts seven quiet lamps. Then she sleeps."
        mind = [m for m in show.of(wire.Ready) if m.role == "mind"]
        assert len(mind) == 1, "the mind has not noticed"
    assert any("body ended (signal 9); restarting" in note for note in show.notes)
    # What was filmed before the fall can be watched, and the film goes on in a second file.
    assert pictures(tmp_path / "show.part.mp4") > 0
    assert pictures(tmp_path / "show-2.mp4") > 30


def test_an_understudy_takes_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stage.child.SETTLED_S", 0.0)
    asyncio.run(_an_understudy_takes_over(tmp_path))


async def _an_understudy_takes_over(tmp_path: Path) -> None:
    async with running(tmp_path / "show.mp4") as show:
        waiting = None
        async with asyncio.timeout(PATIENCE_S):
            while not show.house.body.understudy_ready:
                await some_frames(show, len(show.seen), 3)
            waiting = show.house.body.understudy_pid
        _, done = show.house.line("hello", author="Mika")
        await show.until(speaking)
        await some_frames(show, len(show.seen), 10)
        assert show.house.body.pid is not None
        os.kill(show.house.body.pid, signal.SIGKILL)
        await show.until(ready("body"), len(show.seen))
        assert show.house.body.pid == waiting
        async with asyncio.timeout(PATIENCE_S):
            assert (await done).heard.endswith("Then she sleeps.")
            while not show.house.body.understudy_ready:  # and another one waits again
                await some_frames(show, len(show.seen), 3)
        assert show.house.body.understudy_pid != waiting
    assert any("its understudy takes over" in note for note in show.notes)
    assert pictures(tmp_path / "show-2.mp4") > 30


def test_a_killed_mind_comes_back_and_answers_again(tmp_path: Path) -> None:
    asyncio.run(_a_killed_mind_comes_back_and_answers_again(tmp_path))


async def _a_killed_mind_comes_back_and_answers_again(tmp_path: Path) -> None:
    async with running(tmp_path / "show.mp4") as show:
        _, done = show.house.line("hello", author="Mika")
        at = await show.until(speaking)
        await some_frames(show, at, 10)
        before = show.house.mind.pid
        assert before is not None
        os.kill(before, signal.SIGKILL)
        killed = len(show.seen)
        # The voice stops at once; the picture goes on while there is no mind.
        await show.until(lambda m: isinstance(m, wire.Heard) and m.cancelled, killed)
        await some_frames(show, killed, 10)
        back = await show.until(ready("mind"), killed)
        assert show.house.mind.pid != before
        # The line that was not answered to its end is answered now, as a later turn.
        async with asyncio.timeout(PATIENCE_S):
            end = await done
        assert end.heard.endswith("Then she sleeps.")
        turns = [m.turn for m in show.of(wire.Chosen)]
        assert len(turns) == 2
        assert turns[1] > turns[0]
        assert len([m for m in show.of(wire.Ready, killed) if m.role == "body"]) == 0
        _, second = show.house.line("and again", author="Mika")
        async with asyncio.timeout(PATIENCE_S):
            assert (await second).heard == SECOND
        frames = [m.frames for m in show.of(wire.Pulse, back)]
        assert frames == sorted(frames), "one body from start to end"
    assert any("mind ended (signal 9); restarting" in note for note in show.notes)
    assert pictures(tmp_path / "show.mp4") > 60


def test_lines_that_arrive_while_the_mind_is_away_are_answered(tmp_path: Path) -> None:
    asyncio.run(_lines_that_arrive_while_the_mind_is_away_are_answered(tmp_path))


async def _lines_that_arrive_while_the_mind_is_away_are_answered(tmp_path: Path) -> None:
    async with running(tmp_path / "show.mp4") as show:
        assert show.house.mind.pid is not None
        os.kill(show.house.mind.pid, signal.SIGKILL)
        _, done = show.house.line("are you there?", author="Mika")
        async with asyncio.timeout(PATIENCE_S):
            assert (await done).heard.startswith("Every evening")


def test_what_is_wrong_with_a_sink_is_said_once_and_when_it_is_well_again() -> None:
    said: list[str] = []
    house = House(Show(), title="test", theme={}, say=said.append, page=False)

    def pulse(fault: str) -> wire.Pulse:
        state = "off" if fault else "live"
        sinks = (("page", "live", 1, 0, "", ""), ("record", state, 1, 0, fault, "how it is"))
        return wire.Pulse(
            pts=0, monotonic_ns=0, ahead=0, frames=1, late=0, dropped=0, underruns=0, draw_ms=1.0,
            cpu=0.1, sinks=sinks,
        )  # fmt: skip

    for fault in ("", "the disk is full", "the disk is full", "no folder", "", ""):
        house._from_body(pulse(fault))
    assert said == ["record: the disk is full", "record: no folder", "record: on air"]


def test_a_show_translates_what_is_said_beside_its_film(tmp_path: Path) -> None:
    asyncio.run(_a_show_translates_what_is_said_beside_its_film(tmp_path))


async def _a_show_translates_what_is_said_beside_its_film(tmp_path: Path) -> None:
    replies = [
        "桃子已经熟了。今天的茶很香，坐下来慢慢喝吧。",
        "The peaches are ripe.",
        "Sit and drink tea.",
    ]
    script = {"replies": replies, "translates": True}
    async with running(tmp_path / "show.mkv", script=script, translate="en") as show:
        _, done = show.house.line("你好呀", author="小明")
        await show.until(lambda m: isinstance(m, wire.Translated) and m.utterance == 1)
        await done
        told = {m.utterance: m for m in show.of(wire.Translated) if m.lines}
        assert [told[i].lines for i in (0, 1)] == [(text,) for text in replies[1:]]
        starts = {m.utterance: m.pts for m in show.of(wire.Started)}
        assert all(m.start >= starts[i] for i, m in told.items())
        assert all(m.language == "en" for m in told.values())
        await some_frames(show, len(show.seen), 90)
    text = (tmp_path / "show.en.vtt").read_text("utf-8")
    assert [line for line in text.split("\n") if line.endswith(".")] == replies[1:]
    assert "桃子" in (tmp_path / "show.vtt").read_text("utf-8")
    with av.open(str(tmp_path / "show.mkv")) as film:
        assert [s.language for s in film.streams.subtitles][1] == "eng"


def test_a_show_says_so_once_where_its_model_does_not_translate(tmp_path: Path) -> None:
    async def show_of_a_small_model() -> list[str]:
        async with running(tmp_path / "show.mkv", translate="ja") as show:
            _, done = show.house.line("hello", author="Mika")
            await done
            assert show.of(wire.Translation) == []
            return show.notes

    notes = asyncio.run(show_of_a_small_model())
    (said,) = [note for note in notes if "translat" in note]
    assert said.startswith("mind: captions.translate: tests.scripted_model:ScriptedModel")
