import asyncio
import threading
from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest

from dialogue.engine import Line, Prompt
from dialogue.plugins import EngineError
from dialogue.pump import DELTAS, Relay
from tests import virtual_time
from tests.scripted_model import ScriptedModel, on_loop

PROMPT = Prompt((Line("system", "s"), Line("user", "u")), 1)


async def collect(relay: Relay) -> str:
    return "".join([delta async for delta in relay.reply(PROMPT)])


def test_deltas_arrive_in_order() -> None:
    async def main() -> None:
        model = ScriptedModel(["one two three"])
        assert await collect(Relay([model])) == "one two three"
        assert model.prompts == [PROMPT]

    virtual_time.run(main())


def test_a_slow_reader_stops_the_model_after_32_deltas() -> None:
    async def main() -> None:
        model = ScriptedModel([["x"] * 500])
        stream = Relay([model]).reply(PROMPT)
        assert await anext(stream) == "x"
        await asyncio.sleep(5)
        assert DELTAS <= model.yielded <= DELTAS + 3
        await stream.aclose()
        assert model.closed_early == 1
        assert model.yielded <= DELTAS + 3

    virtual_time.run(main())


def test_closing_stops_the_model_within_one_token() -> None:
    async def main() -> None:
        model = on_loop([step for _ in range(100) for step in ("x", 0.05)])
        stream = Relay([model]).reply(PROMPT)
        for _ in range(5):
            await anext(stream)
        begun = asyncio.get_running_loop().time()
        await stream.aclose()
        assert model.yielded <= 7
        assert model.closed_early == 1
        assert asyncio.get_running_loop().time() - begun <= 0.06

    virtual_time.run(main())


def test_the_successor_answers_when_the_first_engine_fails() -> None:
    async def main() -> None:
        dead = ScriptedModel([[EngineError("dead: no key")]])
        alive = ScriptedModel(["I am here."])
        relay = Relay([dead, alive])
        assert await collect(relay) == "I am here."
        assert relay.current == "ScriptedModel"
        assert await collect(relay) == "I am here."
        assert len(dead.prompts) == 1  # it is resting
        await asyncio.sleep(6)
        assert await collect(relay) == "I am here."
        assert len(dead.prompts) == 2

    virtual_time.run(main())


def test_an_engine_that_asks_for_a_pause_gets_it() -> None:
    async def main() -> None:
        busy = ScriptedModel([[EngineError("429", retry_after_s=100)], "back"])
        relay = Relay([busy, ScriptedModel(["other"])])
        assert await collect(relay) == "other"
        await asyncio.sleep(90)
        assert await collect(relay) == "other"
        await asyncio.sleep(11)
        assert await collect(relay) == "back"

    virtual_time.run(main())


def test_a_bug_in_an_engine_is_an_engine_error() -> None:
    async def main() -> None:
        relay = Relay([ScriptedModel([[KeyError("oops")]])])
        with pytest.raises(EngineError, match="ScriptedModel failed: KeyError"):
            await collect(relay)

    virtual_time.run(main())


def test_when_all_fail_the_error_names_all_reasons() -> None:
    async def main() -> None:
        relay = Relay(
            [ScriptedModel([[EngineError("no key")]]), ScriptedModel([[EngineError("no net")]])]
        )
        with pytest.raises(EngineError, match="no key; no net"):
            await collect(relay)
        with pytest.raises(EngineError, match="no key; no net"):  # asking beats silence
            await collect(relay)

    virtual_time.run(main())


def test_an_engine_that_dies_on_the_way_is_not_continued_by_another() -> None:
    async def main() -> None:
        other = ScriptedModel(["other"])
        relay = Relay([ScriptedModel([["Hello", EngineError("cut off")]]), other])
        stream = relay.reply(PROMPT)
        assert await anext(stream) == "Hello"
        with pytest.raises(EngineError, match="cut off"):
            await anext(stream)
        assert other.prompts == []

    virtual_time.run(main())


def test_silence_beyond_the_deadline_calls_the_successor() -> None:
    async def main() -> None:
        slow = on_loop([3.5, "late"])
        relay = Relay([slow, ScriptedModel(["in time"])], first_token_s=3.0)
        begun = asyncio.get_running_loop().time()
        assert await collect(relay) == "in time"
        assert asyncio.get_running_loop().time() - begun == pytest.approx(3.5, abs=0.1)

    virtual_time.run(main())


class Hanging:
    """Never returns from its first delta until it is let go."""

    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.asked = 0

    def warm(self, prompt: Prompt) -> None:
        """Do nothing."""

    def reply(self, prompt: Prompt) -> Iterator[str]:
        self.asked += 1
        yield "x"
        self.sleep(1e6)

    def close(self) -> None:
        """Do nothing."""

    sleep = staticmethod(lambda s: None)


def test_an_engine_that_hangs_is_abandoned_and_left_out() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual_time.VirtualLoop)
        hanging = Hanging()
        hanging.sleep = lambda s: loop.thread_sleep(300)
        relay = Relay([hanging, ScriptedModel(["other"])])
        stream = relay.reply(PROMPT)
        assert await anext(stream) == "x"
        begun = loop.time()
        await asyncio.sleep(0.5)
        await stream.aclose()
        assert loop.time() - begun < 2.0
        assert await collect(relay) == "other"
        assert hanging.asked == 1
        await asyncio.sleep(400)  # it has returned
        assert await collect(relay) == "x"

    virtual_time.run(main())


def test_an_only_engine_that_hangs_is_waited_for() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual_time.VirtualLoop)
        hanging = Hanging()
        hanging.sleep = lambda s: loop.thread_sleep(12)
        relay = Relay([hanging])
        stream = relay.reply(PROMPT)
        assert await anext(stream) == "x"
        await asyncio.sleep(0.5)
        await stream.aclose()
        stream = relay.reply(PROMPT)
        assert await anext(stream) == "x"
        assert 11 < loop.time() - virtual_time.START_S < 13
        await stream.aclose()

    virtual_time.run(main())


def test_warming_needs_one_engine_that_works() -> None:
    async def main() -> None:
        broken = ScriptedModel(warm_error=EngineError("no server"))
        works = ScriptedModel(["ok"])
        relay = Relay([broken, works])
        await relay.warm(PROMPT)
        assert works.warmed == [PROMPT]
        assert await collect(relay) == "ok"
        with pytest.raises(EngineError, match="no server"):
            await Relay([broken]).warm(PROMPT)

    virtual_time.run(main())


def test_asking_again_ends_the_reply_that_nobody_closed() -> None:
    async def main() -> None:
        model = ScriptedModel([["x"] * 500, "second"])
        relay = Relay([model])
        left = relay.reply(PROMPT)
        assert await anext(left) == "x"
        assert await collect(relay) == "second"
        assert model.closed_early == 1
        await left.aclose()

    virtual_time.run(main())


def test_no_models_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"llm\.engine"):
        Relay([])
