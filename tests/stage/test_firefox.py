"""The stage page in a real headless Firefox, with real WebRTC to a fake host."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.stage.fake_host import FakeHost, spoken
from tests.stage.firefox import Firefox, find

pytestmark = [
    pytest.mark.firefox,
    pytest.mark.skipif(find() is None, reason="no Firefox here; install `firefox-esr`"),
]

Test = Callable[[FakeHost, Firefox], Awaitable[None]]


def show(test: Test, *, sound: bool = True) -> None:
    async def run() -> None:
        async with asyncio.timeout(120), FakeHost() as host, Firefox(sound=sound) as browser:
            await browser.open(host.address)
            await browser.until("window.bunraku?.picture === 'live'", 30)
            await test(host, browser)
            assert browser.complaints == []

    asyncio.run(run())


def test_picture_and_sound_arrive_and_go_on() -> None:
    async def test(host: FakeHost, browser: Firefox) -> None:
        words = spoken("one two three", each_ms=30_000)
        host.speak(host.think(host.chat("Mika", "Hi")), "one two three", "en", words)
        frames = await browser.evaluate("bunraku.frames")
        await browser.until(f"bunraku.frames > {frames} + 20")
        await browser.until("bunraku.audioEnergy > 0.001")
        assert await browser.evaluate("[bunraku.mood, bunraku.peer, bunraku.muted]") == [
            "speaking", "connected", False,
        ]  # fmt: skip

    show(test)


def test_a_typed_line_is_answered_in_chat_and_caption() -> None:
    async def test(host: FakeHost, browser: Firefox) -> None:
        host.answer_lines = True
        await browser.evaluate(
            "(() => { window.said = []; (function read() { const now = bunraku.word?.text;"
            " if (now && said.at(-1) !== now) said.push(now); requestAnimationFrame(read); })();"
            " return true; })()"
        )
        await browser.type("#text", "Hello there")
        await browser.until("said.at(-1) === 'there'")
        assert [line[1] for line in host.lines] == ["Hello there"]
        spoken_line = "document.querySelector('#spoken').textContent"
        assert await browser.evaluate(spoken_line) == "You said: Hello there"
        await browser.until("bunraku.mood === 'ready'")

    show(test)
