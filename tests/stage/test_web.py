import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from dialogue.character import CaptionStyle
from stage import web, wire
from stage.config import ConfigError
from stage.config import Web as Settings
from stage.web import Budget, Memory, Outbox, Web, caption_css, clean, theme_css


class House:
    """Takes lines and answers offers as the house does."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []
        self.said = asyncio.Event()
        self.offers: list[wire.Offer] = []
        self.refusal: Exception | str = ""

    def line(self, author: str, text: str, viewer: str) -> None:
        self.lines.append((author, text, viewer))
        self.said.set()

    async def offer(self, offer: wire.Offer) -> wire.Answer:
        self.offers.append(offer)
        if isinstance(self.refusal, Exception):
            raise self.refusal
        return wire.Answer(
            viewer=offer.viewer, sdp=f"re: {offer.sdp}", kind="answer", error=self.refusal
        )


class Client:
    """A browser's part."""

    def __init__(self, address: str, http: aiohttp.ClientSession) -> None:
        self.address = address
        self.http = http

    async def join(self, **headers: str) -> tuple[aiohttp.ClientWebSocketResponse, dict[str, Any]]:
        link = await self.http.ws_connect(f"{self.address}ws", headers=headers)
        hello = await link.receive_json()
        assert hello["type"] == "hello"
        return link, hello


Test = Callable[[Web, House, Client], Awaitable[None]]


def serve(test: Test, *, title: str = "Kohaku", settings: Settings | None = None) -> None:
    async def run() -> None:
        house = House()
        page = Web(
            settings or Settings(port=0),
            title=title, theme={"glow": "#ffaa00"}, line=house.line, offer=house.offer,
        )  # fmt: skip
        address = await page.start()
        try:
            async with aiohttp.ClientSession() as http:
                async with asyncio.timeout(20):
                    await test(page, house, Client(address, http))
        finally:
            await page.stop()

    asyncio.run(run())


def chat(number: int) -> dict[str, Any]:
    return {"type": "chat", "id": f"c{number}", "author": "Mika", "text": f"line {number}"}


def telemetry(number: int) -> dict[str, Any]:
    return {"type": "telemetry", "frames": number}


# Chat and events ---------------------------------------------------------------------------------


def test_a_line_reaches_the_house_with_its_author_and_the_pages_name() -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        link, hello = await client.join()
        await link.send_json({"type": "line", "author": " Mika ", "text": "Hello\n\tKohaku! 🦊 "})
        page.tell(chat(1))
        assert (await link.receive_json())["text"] == "line 1"
        await house.said.wait()
        assert house.lines == [("Mika", "Hello Kohaku! 🦊", hello["viewer"])]

    serve(test)


def test_an_event_reaches_every_page() -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        links = [(await client.join())[0] for _ in range(3)]
        page.tell({"type": "thinking", "id": "c1", "turn": 4})
        for link in links:
            assert await link.receive_json() == {"type": "thinking", "id": "c1", "turn": 4}

    serve(test)


def test_a_new_page_gets_the_state_and_the_last_fifty_entries() -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        page.tell({"type": "status", "mind": "ready", "body": "ready", "detail": ""})
        page.tell({"type": "body", "generation": 3})
        for number in range(60):
            page.tell(chat(number))
        page.tell({"type": "thinking", "id": "c59", "turn": 9})
        _, hello = await client.join()
        assert [entry["id"] for entry in hello["chat"]] == [f"c{n}" for n in range(10, 60)]
        assert hello["status"] == {"mind": "ready", "body": "ready", "detail": ""}
        assert (hello["generation"], hello["thinking"]) == (3, 9)

    serve(test)


def test_the_sixth_line_within_five_seconds_is_declined_politely() -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        link, _ = await client.join()
        for number in range(6):
            await link.send_json({"type": "line", "author": "", "text": f"line {number}"})
        notice = await link.receive_json()
        assert (notice["type"], notice["code"], notice["text"]) == ("notice", "slow", "line 5")
        assert 0 < notice["wait_ms"] <= 5000
        assert len(house.lines) == 5

    serve(test)


def test_a_line_of_more_than_500_characters_is_declined() -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        link, _ = await client.join()
        await link.send_json({"type": "line", "author": "", "text": "🦊" * 501})
        assert await link.receive_json() == {"type": "notice", "code": "long", "limit": 500}
        await link.send_json({"type": "line", "author": "", "text": "🦊" * 500})
        await house.said.wait()
        assert len(house.lines[0][1]) == 500

    serve(test)


@pytest.mark.parametrize(
    "packet", ["{", '{"type":"cancel"}', '["line"]', '{"type":"line","text":3}']
)
def test_a_page_that_says_something_else_is_disconnected(packet: str) -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        link, _ = await client.join()
        await link.send_str(packet)
        assert (await link.receive()).type is aiohttp.WSMsgType.CLOSE
        assert house.lines == []

    serve(test)


def test_a_huge_message_closes_only_its_own_page() -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        link, _ = await client.join()
        other, _ = await client.join()
        await link.send_str("x" * 100_000)
        assert (await link.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        page.tell(chat(1))
        assert (await other.receive_json())["id"] == "c1"

    serve(test)


def test_the_page_after_the_last_seat_is_told_that_the_house_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(web, "PAGES", 1)

    async def test(page: Web, house: House, client: Client) -> None:
        link, _ = await client.join()
        async with client.http.get(f"{client.address}ws") as reply:
            assert (reply.status, (await reply.json())["error"]) == (
                503, "the house is full; try again later",
            )  # fmt: skip
        await link.close()

    serve(test)


def test_a_page_that_never_reads_is_dropped_and_the_others_go_on() -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        stuck, _ = await client.join()
        assert stuck._response.connection is not None  # its socket is left unread
        transport = stuck._response.connection.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        lively, _ = await client.join()
        seen = 0
        for number in range(400):
            page.tell({**chat(number), "text": "x" * 60_000})
            assert (await lively.receive_json())["id"] == f"c{number}"
            seen += 1
        async with client.http.get(f"{client.address}health") as reply:
            assert (await reply.json())["pages"] == 1
        assert seen == 400
        transport.abort()

    serve(test)


# Bounded parts -----------------------------------------------------------------------------------


def test_only_the_newest_clock_and_telemetry_wait() -> None:
    async def run() -> list[Any]:
        box = Outbox()
        for number in range(100):
            assert box.put(telemetry(number), 0.0)
            assert box.put({"type": "clock", "stage_ms": number, "age_ms": 1.0}, 0.0)
        return [json.loads(await box.take(lambda: 0.0)) for _ in range(len(box))]

    events = asyncio.run(run())
    assert [e.get("frames", e.get("stage_ms")) for e in events] == [99, 99]


def test_a_full_outbox_gives_up_telemetry_before_it_gives_up_the_page() -> None:
    async def run() -> None:
        box = Outbox(bound=4)
        assert box.put(telemetry(1), 0.0)
        for number in range(4):
            assert box.put(chat(number), 0.0)
        assert box.put(telemetry(2), 0.0)  # dropped, the page lives
        assert not box.put(chat(4), 0.0)
        kinds = [json.loads(await box.take(lambda: 0.0))["type"] for _ in range(len(box))]
        assert kinds == ["chat"] * 4

    asyncio.run(run())


def test_the_clocks_age_includes_its_wait_in_the_outbox() -> None:
    async def run() -> None:
        box = Outbox()
        box.put({"type": "clock", "stage_ms": 1000.0, "age_ms": 3.0}, 10.0)
        assert json.loads(await box.take(lambda: 10.25))["age_ms"] == 253.0

    asyncio.run(run())


def test_a_budget_is_free_again_after_its_window() -> None:
    budget = Budget(2, 5.0)
    assert [budget.spend(0.0), budget.spend(1.0), budget.spend(2.0)] == [0.0, 0.0, 3.0]
    assert (budget.spend(5.0), budget.spend(5.5)) == (0.0, 0.5)


# What a new page is told -------------------------------------------------------------------------


def told(*events: dict[str, Any]) -> Any:
    memory = Memory()
    for event in events:
        memory.see(event)
    return memory.state()


def reply(utterance: int, text: str) -> dict[str, Any]:
    return {"type": "reply", "turn": 1, "utterance": utterance, "text": text}


def caption(utterance: int, text: str, words: list[list[float]]) -> dict[str, Any]:
    return {
        "type": "caption", "turn": 1, "utterance": utterance, "text": text,
        "language": "en", "at_ms": 100.0, "words": words,
    }  # fmt: skip


def heard(utterance: int, ms: float, cancelled: bool) -> dict[str, Any]:
    return {
        "type": "heard", "turn": 1, "utterance": utterance, "ms": ms,
        "finished": True, "cancelled": cancelled,
    }  # fmt: skip


DONE = {"type": "done", "turn": 1, "marks": {}}
WORDS: list[list[float]] = [[0, 5, 0, 200], [6, 11, 250, 500]]


def test_a_caption_that_is_being_spoken_is_told_with_all_its_words() -> None:
    state = told(
        reply(0, "Hello there"), caption(0, "Hello there", WORDS[:1]),
        {"type": "words", "turn": 1, "utterance": 0, "words": WORDS[1:]},
    )  # fmt: skip
    assert [c["words"] for c in state["captions"]] == [WORDS]


def test_a_caption_whose_voice_ran_dry_is_told_with_its_new_time() -> None:
    state = told(
        reply(0, "Hello there"), caption(0, "Hello there", WORDS),
        {"type": "shifted", "turn": 1, "utterance": 0, "at_ms": 640.0},
    )  # fmt: skip
    assert [c["at_ms"] for c in state["captions"]] == [640.0]


def test_a_translation_is_told_as_it_stands_now() -> None:
    about = {"type": "translation", "turn": 1, "utterance": 0, "language": "en"}
    first, second = ({**about, "block": block, "lines": ["Rain."]} for block in (1000, 1001))
    state = told(first, second, {**first, "lines": []})
    assert state["translations"] == [{**first, "lines": []}, second]
    assert told(first, {"type": "body", "generation": 2})["translations"] == []


def test_an_answer_cut_short_is_remembered_to_its_last_heard_word() -> None:
    state = told(
        reply(0, "Hello there"), reply(1, "And more"), caption(0, "Hello there", WORDS),
        heard(0, 220.0, True), DONE,
    )  # fmt: skip
    assert state["chat"] == [{"turn": 1, "utterances": [[0, "Hello", "said"]]}]
    assert state["captions"] == []


def test_an_answer_whose_voice_failed_is_still_shown() -> None:
    state = told(reply(0, "Hello there"), DONE)
    assert state["chat"] == [{"turn": 1, "utterances": [[0, "Hello there", "said"]]}]


def test_an_answer_that_was_never_heard_leaves_nothing() -> None:
    state = told(reply(0, "Hello there"), heard(0, 0.0, True), DONE)
    assert state["chat"] == []


def test_a_new_body_forgets_the_captions_of_the_old_one() -> None:
    state = told(caption(0, "Hello there", WORDS), {"type": "body", "generation": 2})
    assert (state["captions"], state["generation"]) == ([], 2)


# WebRTC offers -----------------------------------------------------------------------------------


def test_an_offer_is_passed_on_under_the_pages_name_and_answered() -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        _, hello = await client.join()
        body = {"sdp": "v=0", "type": "offer", "viewer": hello["viewer"]}
        async with client.http.post(f"{client.address}offer", json=body) as reply:
            assert await reply.json() == {
                "sdp": "re: v=0", "type": "answer", "light": [1.0, 1.0, 1.0],
            }  # fmt: skip
        assert house.offers == [wire.Offer(viewer=hello["viewer"], sdp="v=0", kind="offer")]

    serve(test)


def test_an_offer_may_be_for_the_overlay_and_for_nothing_else() -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        body = {"sdp": "v=0", "type": "offer", "view": "overlay"}
        async with client.http.post(f"{client.address}offer", json=body) as reply:
            assert reply.status == 200
        assert house.offers[0].view == "overlay"
        async with client.http.post(
            f"{client.address}offer", json={**body, "view": "backstage"}
        ) as reply:
            assert reply.status == 400
        assert len(house.offers) == 1

    serve(test)


def test_a_name_that_no_page_has_is_not_passed_on() -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        body = {"sdp": "v=0", "type": "offer", "viewer": "somebody-else"}
        async with client.http.post(f"{client.address}offer", json=body) as reply:
            assert reply.status == 200
        assert house.offers[0].viewer not in ("", "somebody-else")

    serve(test)


@pytest.mark.parametrize(
    ("refusal", "status", "words"),
    [
        (TimeoutError(), 503, "not on air yet"),
        (ConnectionError("the body is restarting; try again"), 503, "restarting"),
        ("no common codec", 502, "no common codec"),
    ],
)
def test_an_offer_that_fails_says_why(refusal: Exception | str, status: int, words: str) -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        house.refusal = refusal
        body = {"sdp": "v=0", "type": "offer"}
        async with client.http.post(f"{client.address}offer", json=body) as reply:
            assert reply.status == status
            assert words in (await reply.json())["error"]

    serve(test)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"sdp": "v=0", "type": "answer"}', "application/json", 400),
        (b'{"sdp": "v=0", "type": "offer"}', "text/plain", 415),
        (b'{"type": "offer", "sdp": "' + b"x" * 70_000 + b'"}', "application/json", 413),
    ],
)
def test_what_is_not_an_offer_is_refused(body: bytes, kind: str, status: int) -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        headers = {"Content-Type": kind}
        async with client.http.post(f"{client.address}offer", data=body, headers=headers) as reply:
            assert reply.status == status
            assert (await reply.json())["error"]
        assert house.offers == []

    serve(test)


def test_a_flood_of_offers_does_not_reach_the_body() -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        statuses = []
        for _ in range(30):
            async with client.http.post(
                f"{client.address}offer", json={"sdp": "v=0", "type": "offer"}
            ) as reply:
                statuses.append(reply.status)
        assert statuses == [200] * 20 + [429] * 10

    serve(test)


# Strangers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8008", "", "localhost.evil.example"]
)
def test_a_foreign_name_that_resolves_here_gets_nothing(host: str) -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        for path in ("", "ws", "health"):
            async with client.http.get(client.address + path, headers={"Host": host}) as reply:
                assert reply.status == 421

    serve(test)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1", "file://"]
)
def test_another_web_site_can_neither_talk_nor_watch(origin: str) -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await client.join(Origin=origin)
        async with client.http.post(
            f"{client.address}offer",
            json={"sdp": "v=0", "type": "offer"}, headers={"Origin": origin},
        ) as reply:  # fmt: skip
            assert reply.status == 403
        assert house.offers == []

    serve(test)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]", "stage.localhost"])
def test_the_pages_own_origin_is_welcome_under_each_of_its_names(name: str) -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        port = client.address.rsplit(":", 1)[1].strip("/")
        link, _ = await client.join(Host=f"{name}:{port}", Origin=f"http://{name}:{port}")
        await link.close()

    serve(test)


def test_the_page_may_load_nothing_from_elsewhere_and_names_no_other_place() -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        async with client.http.get(client.address) as reply:
            policy = reply.headers["Content-Security-Policy"]
            text = await reply.text()
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy
        for path in ("stage.css", "stage.js", "icon.svg", "theme.css"):
            async with client.http.get(client.address + path) as reply:
                assert reply.status == 200
                text += await reply.text()
        foreign = text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in foreign
        assert "https://" not in foreign
        assert "innerHTML" not in foreign

    serve(test)


def test_the_overlay_is_as_closed_as_the_page_but_takes_the_style_sheet_of_obs() -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        async with client.http.get(client.address) as reply:
            policy = reply.headers["Content-Security-Policy"]
        async with client.http.get(f"{client.address}overlay?fit=cover") as reply:
            assert reply.status == 200
            text = await reply.text()
            own = reply.headers["Content-Security-Policy"]
        assert own == policy.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
        assert "<script>alert" not in text
        for path in ("overlay.css", "overlay.js", "watch.js"):
            async with client.http.get(client.address + path) as reply:
                assert reply.status == 200
                assert reply.headers["Content-Security-Policy"] == policy
                text += await reply.text()
        assert "http://" not in text
        assert "https://" not in text
        assert "innerHTML" not in text
        foreign = {"Host": "rebound.example"}
        async with client.http.get(f"{client.address}overlay", headers=foreign) as reply:
            assert reply.status == 421
        script = {"Sec-Fetch-Site": "cross-site"}
        async with client.http.get(f"{client.address}overlay.js", headers=script) as reply:
            assert reply.status == 403

    serve(test)


def test_the_title_cannot_become_markup() -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        async with client.http.get(client.address) as reply:
            text = await reply.text()
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text

    serve(test, title="<script>alert(1)</script>")


def test_an_unchanged_file_is_not_sent_again() -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        async with client.http.get(f"{client.address}stage.js") as reply:
            tag = reply.headers["ETag"]
        headers = {"If-None-Match": tag}
        async with client.http.get(f"{client.address}stage.js", headers=headers) as reply:
            assert (reply.status, await reply.read()) == (304, b"")

    serve(test)


def test_an_unknown_path_is_a_plain_error() -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        async with client.http.get(f"{client.address}../../etc/passwd") as reply:
            assert (reply.status, await reply.json()) == (404, {"error": "Not Found"})

    serve(test)


def test_health_says_whether_the_host_is_on_air() -> None:
    async def test(page: Web, house: House, client: Client) -> None:
        async with client.http.get(f"{client.address}health") as reply:
            assert (reply.status, (await reply.json())["on_air"]) == (503, False)
        page.tell({"type": "status", "mind": "restarting", "body": "ready", "detail": ""})
        async with client.http.get(f"{client.address}health") as reply:
            assert (reply.status, (await reply.json())["on_air"]) == (200, True)

    serve(test)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("  two\r\nlines\x00 ", "two lines"),
        ("pay \u202eevil\u202c", "pay evil"),
        ("家族 👨‍👩‍👧 かわいい", "家族 👨‍👩‍👧 かわいい"),
        ("\t\n", ""),
    ],
)
def test_a_line_is_one_line_without_tricks(written: str, kept: str) -> None:
    assert clean(written) == kept


# Opening -----------------------------------------------------------------------------------------


def test_the_next_port_is_taken_when_the_first_is_in_use(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        async def test(page: Web, house: House, client: Client) -> None:
            assert f":{port}/" not in client.address
            assert f"port {port} is in use" in page.note

        serve(test, settings=Settings(port=port))
    assert f"port {port} is in use" in capsys.readouterr().err


def test_no_free_port_is_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "PORTS_TRIED", 1)

    async def test(page: Web, house: House, client: Client) -> None:
        port = int(client.address.rsplit(":", 1)[1].strip("/"))
        second = Web(Settings(port=port), title="", theme={}, line=house.line, offer=house.offer)
        with pytest.raises(ConfigError, match=f"{port}.*in use.*--port"):
            await second.start()

    serve(test)


def test_a_host_that_is_not_of_this_machine_is_named() -> None:
    async def run() -> None:
        house = House()
        page = Web(
            Settings(host="192.0.2.1"), title="", theme={}, line=house.line, offer=house.offer
        )
        with pytest.raises(ConfigError, match=r"web.host = '192.0.2.1'.*127.0.0.1"):
            await page.start()

    asyncio.run(run())


def test_the_theme_becomes_custom_properties() -> None:
    assert theme_css({"amber": "#F3AB45", "chat_width": "20rem"}) == (
        ":root {\n  --amber: #F3AB45;\n  --chat-width: 20rem;\n}\n"
    )


def test_a_characters_captions_become_custom_properties() -> None:
    css = caption_css(CaptionStyle(font=("EB Garamond",), size=1.2, box="#181b3eb0"))
    assert '--caption-font: "EB Garamond", Inter,' in css
    assert '--caption-font-ja: "EB Garamond", "Hiragino Sans",' in css
    assert "--caption-scale: 1.2;" in css
    assert "--caption-box: #181b3eb0;" in css
    assert ".captions {" not in css
    assert "top: max(" in caption_css(CaptionStyle(position="top"))


@pytest.mark.parametrize("value", ["red;} body{display:none", "url(http://evil)", "}", ""])
def test_a_theme_that_is_not_a_colour_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="theme: amber"):
        theme_css({"amber": value})
