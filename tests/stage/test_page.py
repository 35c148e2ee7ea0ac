"""The stage page in a real headless Chromium, with real WebRTC to a fake host."""

import asyncio
import json
import statistics
from collections.abc import Awaitable, Callable

import pytest

from stage.chromium import Chromium, Page, find
from stage.config import Web as Settings
from tests.flashes import noting
from tests.stage.fake_host import FakeHost, spoken

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(find() is None, reason="no Chromium here; install the package `chromium`"),
]

LONG = spoken("one two three", each_ms=30_000)
"""Words that no busy machine misses."""

Test = Callable[[FakeHost, Page], Awaitable[None]]

WORDS = """
(() => {
  seen.word = [];
  let word = "";
  const read = () => {
    const now = window.bunraku.word;
    const key = now ? `${now.turn}.${now.index}` : "";
    if (key && key !== word) seen.word.push(performance.now());
    word = key;
    requestAnimationFrame(read);
  };
  read();
})()
"""
"""Notes when the caption goes on a word."""


def show(test: Test, *, sound: bool = True, settings: Settings | None = None) -> None:
    async def run() -> None:
        async with asyncio.timeout(90):
            async with FakeHost(settings) as host, Chromium(sound=sound) as browser:
                page = await browser.page(host.address)
                await page.until("window.bunraku?.picture === 'live'", 30)
                await test(host, page)
                assert page.errors == []

    asyncio.run(run())


def test_picture_and_sound_arrive_and_go_on() -> None:
    async def test(host: FakeHost, page: Page) -> None:
        host.speak(host.think(host.chat("Mika", "Hi")), "one two three", "en", LONG)
        await page.until("bunraku.mood === 'speaking'")
        frames = await page.evaluate("bunraku.frames")
        await page.until(f"bunraku.frames > {frames} + 20")
        await page.until("bunraku.audioEnergy > 0.001")
        assert await page.evaluate("[bunraku.mood, bunraku.peer, bunraku.muted]") == [
            "speaking", "connected", False,
        ]  # fmt: skip

    show(test)


def test_a_typed_line_is_answered_in_chat_and_caption() -> None:
    async def test(host: FakeHost, page: Page) -> None:
        host.answer_lines = True
        await page.evaluate(
            "window.said = []; (function read() { const now = bunraku.word?.text;"
            " if (now && said.at(-1) !== now) said.push(now); requestAnimationFrame(read); })()"
        )
        await page.click("#name")
        await page.write("Mika")
        await page.press("Enter")  # goes on to the text
        await page.write("Hello there")
        await page.press("Enter")
        await page.until("said.at(-1) === 'there'")
        assert [line[:2] for line in host.lines] == [("Mika", "Hello there")]
        said = "[...document.querySelectorAll('#lines li')].map((l) => l.innerText)"
        assert await page.evaluate(said) == ["Mika\nHello there", "Kohaku\nYou said: Hello there"]
        assert await page.evaluate("document.querySelector('#text').value") == ""
        spoken_line = "document.querySelector('#spoken').textContent"
        assert await page.evaluate(spoken_line) == "You said: Hello there"
        await page.until(
            "/answered in \\d+\\.\\d s/.test(document.querySelector('#status').innerText)"
        )
        await page.until("bunraku.mood === 'ready'")

    show(test)


def test_markup_stays_text() -> None:
    async def test(host: FakeHost, page: Page) -> None:
        evil = "<img src=x onerror=alert(1)><b>bold</b>"
        turn = host.think(host.chat(evil, evil))
        host.speak(turn, evil, "en", [[0, 4, 0, 60_000], [5, len(evil), 60_000, 61_000]])
        await page.until("bunraku.word?.index === 0")
        for place in ("#lines", "#caption"):
            assert evil in await page.evaluate(f"document.querySelector('{place}').textContent")
        assert (
            await page.evaluate("document.querySelectorAll('#lines img, #caption img').length") == 0
        )

    show(test)


def test_captions_follow_the_voice_within_80_ms_and_the_picture_within_150_ms() -> None:
    async def test(host: FakeHost, page: Page) -> None:
        text = "one two three four five six seven eight"
        await page.until("bunraku.delayMs > 0")
        await page.evaluate(noting("document.querySelector('#video')", stream=True, heard=False))
        await page.evaluate(WORDS)
        turn = host.think(host.chat("Mika", "Count!"))
        host.speak(turn, text, "en", spoken(text, each_ms=350, gap_ms=450), lead_ms=1500.0)
        # A busy machine may swallow one.
        await page.until("[seen.word, seen.white, seen.sound].every((s) => s.length >= 7)", 30)
        seen = json.loads(await page.evaluate("JSON.stringify(seen)"))
        for kind, most_ms in (("sound", 80), ("white", 150)):
            late_ms = [min((w - at for at in seen[kind]), key=abs) for w in seen["word"]]
            print(f"caption after {kind}, ms:", [round(x) for x in late_ms])
            assert abs(statistics.median(late_ms)) < most_ms, kind

    show(test)


@pytest.mark.parametrize(
    ("language", "text", "lines"),
    [
        ("en", "I walked all the way down to the lantern market with the old fox. And back again.",
         ["I walked all the way down", "to the lantern market with the old fox."]),
        ("zh", "我刚才一直在数窗户上的雨滴，外面真的很安静，连猫都睡着了。",
         ["我刚才一直在数窗户上的雨滴，", "外面真的很安静，连猫都睡着了。"]),
        ("ja", "甘くて、ごはんを詰めたいなり寿司ならいくつでも、ずっと食べられます。",
         ["甘くて、ごはんを詰めたいなり寿司なら", "いくつでも、ずっと食べられます。"]),
    ],
)  # fmt: skip
def test_captions_have_the_lines_of_the_body_and_end_at_the_last_word_heard(
    language: str, text: str, lines: list[str]
) -> None:
    async def test(host: FakeHost, page: Page) -> None:
        words = spoken(text, each_ms=60_000, gap_ms=0)
        host.breaks = [(text.index(line), text.index(line) + len(line)) for line in lines]
        turn = host.think(host.chat("Mika", "And?"))
        host.speak(turn, text, language, words, lead_ms=-1000.0)
        shown = "[...document.querySelectorAll('#caption .line')].map((l) => l.textContent)"
        await page.until("bunraku.word?.index === 0")
        assert await page.evaluate(shown) == lines
        assert await page.evaluate("document.querySelector('#caption').lang") == language
        host.heard(turn, 1500, cancelled=True)
        first = text[words[0][0] : words[0][1]]
        await page.until(f"JSON.stringify({shown}) === JSON.stringify(['{first}'])")
        await page.until("document.querySelector('#captions').hidden", 5)

    show(test)


SECOND = """
(() => {
  const lines = (id) => [...document.querySelectorAll(`#${id} .line`)];
  const box = (id) => document.querySelector(`#${id}`).getBoundingClientRect();
  const size = (id) => parseFloat(getComputedStyle(document.querySelector(`#${id}`)).fontSize);
  return {
    texts: lines("translation").map((l) => l.textContent),
    lang: document.querySelector("#translation").lang,
    share: size("translation") / size("caption"),
    below: box("translation").top >= box("caption").bottom,
    inside: lines("translation").every((l) => { const b = l.getBoundingClientRect();
      return b.left >= 0 && b.right <= innerWidth && b.bottom <= innerHeight; }),
    top: box("caption").top,
  };
})()
"""


@pytest.mark.parametrize("where", ["", "overlay?captions=1"])
def test_a_translation_stands_smaller_below_what_is_said_and_moves_nothing(where: str) -> None:
    async def run() -> None:
        host = FakeHost(translate="en")
        async with asyncio.timeout(90), host, Chromium() as browser:
            page = await browser.page(f"{host.address}{where}", width=960, height=540)
            await page.until("window.bunraku?.stageMs > 0")
            text = "今天的茶很香，坐下来慢慢喝吧。"
            words = spoken(text, each_ms=60_000, gap_ms=0)
            turn = host.think(host.chat("小明", "你好"))
            host.speak(turn, text, "zh", words, lead_ms=-1000.0)
            await page.until("bunraku.word?.index === 0")
            before = await page.evaluate(SECOND)
            assert before["texts"] == []
            english = ("The tea smells <b>good</b> today;", "sit down and drink it slowly.")
            host.translate(turn, host.now_ms - 500, host.now_ms + 60_000, *english)
            shown = "document.querySelector('#translation')?.childElementCount"
            await page.until(f"{shown} === 2")
            seen = await page.evaluate(SECOND)
            assert seen["texts"] == list(english)
            assert seen["lang"] == "en"
            assert seen["share"] == pytest.approx(0.72, abs=0.01)
            assert seen["below"]
            assert seen["inside"]
            assert seen["top"] == before["top"]
            late = await browser.page(f"{host.address}{where}", width=960, height=540)
            await late.until(f"{shown} === 2")  # who comes later sees it too
            host.translate(turn, host.now_ms, host.now_ms)  # taken back
            await late.until(f"{shown} === 0")

    asyncio.run(run())


def test_a_sound_card_in_use_is_told_below_the_status_line() -> None:
    async def test(host: FakeHost, page: Page) -> None:
        text = "document.querySelector('#card').textContent"
        height = "document.querySelector('#card').offsetHeight"
        assert await page.evaluate(text) == ""
        assert await page.evaluate(height) == 0
        host.card = (119.6, -0.42)
        await page.until(f"{text} === 'sound card +120 ppm, offset −0.4 ms'", 5)
        assert await page.evaluate(height) > 0
        host.card = None
        await page.until(f"{text} === ''", 5)

    show(test)


def test_the_overlay_has_captions_where_its_address_asks_for_them() -> None:
    async def run() -> None:
        async with asyncio.timeout(90), FakeHost() as host, Chromium() as browser:
            page = await browser.page(f"{host.address}overlay?captions=1", width=640, height=360)
            await page.until("window.bunraku?.stageMs > 0")
            text = "I walked all the way down to the lantern market with the old fox."
            words = spoken(text, each_ms=60_000, gap_ms=0)
            host.speak(host.think(host.chat("Mika", "And?")), text, "en", words, lead_ms=-1000.0)
            await page.until("bunraku.word?.index === 0")
            lines = "[...document.querySelectorAll('.line')].map((l) => l.textContent)"
            assert await page.evaluate(lines) == [
                "I walked all the way down", "to the lantern market with the old fox.",
            ]  # fmt: skip
            inside = (
                "[...document.querySelectorAll('.line')].every((l) => { const b ="
                " l.getBoundingClientRect(); return b.left >= 0 && b.right <= innerWidth"
                " && b.top > innerHeight / 2 && b.bottom <= innerHeight; })"
            )
            assert await page.evaluate(inside)
            bare = await browser.page(f"{host.address}overlay", width=640, height=360)
            await bare.until("window.bunraku?.stageMs > 0")
            assert await bare.evaluate("document.querySelector('#captions').hidden")
            assert page.errors == bare.errors == []

    asyncio.run(run())


def test_a_new_body_is_on_screen_again_by_itself() -> None:
    async def test(host: FakeHost, page: Page) -> None:
        await host.restart()
        await page.until("bunraku.pictures === 2 && bunraku.picture === 'live'", 15)
        assert len(host.offers) == 2
        assert len({offer.viewer for offer in host.offers}) == 1
        assert await page.evaluate("bunraku.generation") == 2

    show(test)


def test_a_page_that_lost_its_house_comes_back_with_the_chat() -> None:
    async def run() -> None:
        async with asyncio.timeout(90), Chromium() as browser:
            async with FakeHost() as host:
                port = int(host.address.rsplit(":", 1)[1].strip("/"))
                page = await browser.page(host.address)
                await page.until("window.bunraku?.picture === 'live'", 30)
                host.chat("Mika", "Before")
            await page.until("bunraku.link === 'lost'")
            await page.until("!document.querySelector('#lost').hidden")
            await page.evaluate("document.querySelector('#text').focus()")
            await page.write("Are you there?")
            await page.press("Enter")
            assert await page.evaluate("document.querySelector('#text').value") == "Are you there?"
            async with FakeHost(Settings(port=port)) as host:
                host.chat("Mika", "After")
                await page.until("bunraku.link === 'open' && bunraku.picture === 'live'", 30)
                chat = await page.evaluate("document.querySelector('#lines').innerText")
                assert chat == "Mika\nAfter"

    asyncio.run(run())


def test_without_leave_for_sound_the_picture_plays_and_a_click_brings_the_sound() -> None:
    async def test(host: FakeHost, page: Page) -> None:
        assert await page.evaluate("[bunraku.muted, bunraku.soundBlocked]") == [True, True]
        assert (
            await page.evaluate("document.querySelector('#sound').innerText") == "Click for sound"
        )
        await page.click("#stage")
        await page.until("!bunraku.muted && document.querySelector('#sound').hidden")
        frames = await page.evaluate("bunraku.frames")
        await page.until(f"bunraku.frames > {frames} + 5")

    show(test, sound=False)


@pytest.mark.parametrize("size", [(1280, 720), (390, 844), (844, 390), (320, 568), (2560, 1080)])
def test_nothing_is_cut_off_and_captions_have_two_lines_at_most(size: tuple[int, int]) -> None:
    async def test(host: FakeHost, page: Page) -> None:
        await page.resize(*size, mobile=size[0] < 900)
        text = (
            "いちばん好きなのはもちろん油揚げです！甘く煮て、ごはんを詰めたいなり寿司なら、"
            "十個でも食べられますよ。"
        )
        host.chat("Mika", "x" * 200)
        # Each word lasts a minute, so that a slow machine sees the same one as a quick machine.
        words = spoken(text, each_ms=60_000, gap_ms=0)
        for index in (len(words) - 1, 14, 8, 3):
            turn = host.think(host.chat("Mika", "And?"))
            host.speak(turn, text, "ja", words, lead_ms=-60_000.0 * index - 1000)
            await page.until(f"bunraku.word?.turn === {turn} && bunraku.word.index === {index}", 20)
            await page.until(
                "document.querySelector('#caption').getAnimations({subtree: true}).length === 0"
            )
            box = await page.evaluate(
                "(() => { const b = document.querySelector('.caption-window')"
                ".getBoundingClientRect(); const n = document.querySelector('#caption .now')"
                ".getBoundingClientRect(); const line = parseFloat(getComputedStyle("
                "document.querySelector('#caption')).lineHeight); return { left: b.left,"
                " right: b.right, top: b.top, bottom: b.bottom, lines: b.height / line,"
                " word: (n.top + n.bottom) / 2 }; })()"
            )
            assert 0 <= box["left"] < box["right"] <= size[0]
            assert 0 <= box["top"] < box["word"] < box["bottom"] <= size[1]
            assert box["lines"] <= 2.01
        wide = "document.documentElement.scrollWidth <= innerWidth"
        assert await page.evaluate(wide)
        send = "document.querySelector('#send').getBoundingClientRect()"
        assert await page.evaluate(f"{send}.bottom <= innerHeight && {send}.right <= innerWidth")

    show(test)


def test_the_chat_stays_at_its_end_until_somebody_scrolls_up() -> None:
    async def test(host: FakeHost, page: Page) -> None:
        left = (
            "(() => { const l = document.querySelector('#log');"
            " return l.scrollHeight - l.scrollTop - l.clientHeight; })()"
        )
        for number in range(30):
            host.chat("Mika", f"Line {number}")
        await page.until("document.querySelectorAll('#lines li').length === 30")
        await page.until(f"{left} < 2")
        await page.resize(390, 844, mobile=True)
        await page.until(f"innerWidth === 390 && {left} < 2")
        await page.evaluate("document.querySelector('#log').scrollTop = 0")
        await page.until("document.querySelector('#log').scrollTop === 0")
        await page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        host.chat("Mika", "One more")
        await page.until("!document.querySelector('#newest').hidden")
        assert await page.evaluate("document.querySelector('#log').scrollTop") == 0
        await page.click("#newest")
        await page.until(f"{left} < 2")

    show(test)
