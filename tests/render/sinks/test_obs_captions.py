"""Captions to OBS, against a double of obs-websocket 5 that is written from its description."""

import asyncio
import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from aiohttp import WSMsgType, web

from dialogue.plugins import EngineError
from dialogue.ticks import TICKS_PER_S
from render.captions import Caption
from render.frames import VideoFrame
from render.sinks.obs_captions import ObsCaptionsSink, answer

SECRET = "a secret for the test"
WAIT_S = 10.0


class FakeObs:
    """The server's side: asks for the password, identifies, answers requests."""

    def __init__(self, password: str = "", port: int = 0, version: int = 1) -> None:
        self.password = password
        self.version = version
        self.captions: list[str] = []
        self.heard = threading.Condition()
        self.port = port
        self._sockets: set[web.WebSocketResponse] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(WAIT_S)

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        app.router.add_get("/", self._talk)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        self._ready.set()
        await self._end.wait()
        for socket in list(self._sockets):
            await socket.close(code=1001)
        await runner.cleanup()

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("obswebsocket.json",))
        await socket.prepare(request)
        assert socket.ws_protocol == "obswebsocket.json"
        self._sockets.add(socket)
        hello: dict[str, Any] = {"obsWebSocketVersion": "5.5.0", "rpcVersion": self.version}
        if self.password:
            hello["authentication"] = {"challenge": "c" * 44, "salt": "s" * 44}
        await socket.send_json({"op": 0, "d": hello})
        identify = (await socket.receive_json())["d"]
        if identify["rpcVersion"] != self.version:
            await socket.close(code=4010)
            return socket
        if self.password:
            secret = hashlib.sha256((self.password + "s" * 44).encode()).digest()
            proof = hashlib.sha256(base64.b64encode(secret) + b"c" * 44).digest()
            if identify.get("authentication") != base64.b64encode(proof).decode():
                await socket.close(code=4009)
                return socket
        await socket.send_json({"op": 2, "d": {"negotiatedRpcVersion": self.version}})
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            ask = json.loads(message.data)
            assert ask["op"] == 6
            about = ask["d"]
            assert about["requestType"] == "SendStreamCaption"
            assert isinstance(about["requestId"], str)
            with self.heard:
                self.captions.append(about["requestData"]["captionText"])
                self.heard.notify_all()
            status = {"result": False, "code": 501, "comment": "not streaming"}
            await socket.send_json(
                {"op": 7, "d": {"requestType": "SendStreamCaption",
                                "requestId": about["requestId"], "requestStatus": status}}
            )  # fmt: skip
        return socket

    def wait(self, *captions: str) -> None:
        with self.heard:
            assert self.heard.wait_for(lambda: self.captions == list(captions), WAIT_S), (
                self.captions
            )

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(WAIT_S)


@pytest.fixture
def obs() -> Iterator[FakeObs]:
    made = FakeObs(SECRET)
    yield made
    made.end()


def opened(port: int) -> ObsCaptionsSink:
    sink = ObsCaptionsSink(port=port)
    sink.open(width=16, height=16, fps=30)
    return sink


def at(sink: ObsCaptionsSink, seconds: float) -> None:
    nothing = np.zeros((0, 0), np.uint8)
    sink.video(VideoFrame(round(seconds * TICKS_PER_S), 0, nothing, nothing))


def block(start_s: float, stop_s: float, *lines: str, number: int = 0) -> Caption:
    start, stop = round(start_s * TICKS_PER_S), round(stop_s * TICKS_PER_S)
    return Caption(start, stop, lines, "en", (), (1, 0, number), stop, False)


def test_the_proof_is_the_one_that_other_clients_give() -> None:
    assert (
        answer(
            "supersecretpassword",
            "lM1GncleQOaCu9lT1yeUZhFYnqhsLLP1G5lAGo3ixaI=",
            "+IxH4CnCiqpX1rM9scsNynZzbOe4KhDeYcTNS3PDaeY=",
        )
        == "1Ct943GAT+6YQUUX47Ia/ncufilbe6+oD6lY+5kaCu4="
    )


def test_blocks_are_sent_when_they_are_said_and_taken_away_when_they_are_over(
    obs: FakeObs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBS_WEBSOCKET_PASSWORD", SECRET)
    sink = opened(obs.port)
    sink.caption(block(1, 3, "Hello there,", "and welcome!"))
    sink.caption(block(3, 5, "It rains.", number=1))
    sink.caption(block(6, 8, "雨の音がする。", number=2))
    for seconds in (0.5, 1.0, 2.0, 3.0, 5.0, 6.5):
        at(sink, seconds)
    obs.wait("Hello there, and welcome!", "It rains.", "")
    sink.close()
    sink.close()


def test_a_block_that_was_cut_short_is_sent_again(
    obs: FakeObs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBS_WEBSOCKET_PASSWORD", SECRET)
    sink = opened(obs.port)
    sink.caption(block(1, 3, "I walked all the way down"))
    at(sink, 1.0)
    sink.caption(block(1, 2, "I walked all"))
    at(sink, 1.5)
    sink.caption(block(1, 1))  # taken back
    at(sink, 1.6)
    obs.wait("I walked all the way down", "I walked all", "")
    sink.close()


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("a wrong one", "OBS refused the password in OBS_WEBSOCKET_PASSWORD"),
        ("", "OBS wants a password; put it into the environment variable"),
    ],
)
def test_a_wrong_or_missing_password_is_one_clear_line(
    obs: FakeObs, monkeypatch: pytest.MonkeyPatch, password: str, words: str
) -> None:
    monkeypatch.setenv("OBS_WEBSOCKET_PASSWORD", password)
    with pytest.raises(EngineError, match=f"^obs-captions: {words}") as caught:
        opened(obs.port)
    assert password not in str(caught.value) or not password
    assert "\n" not in str(caught.value)


def test_an_obs_of_another_version_is_named() -> None:
    obs = FakeObs(version=2)
    with pytest.raises(EngineError, match="speaks another version; update OBS"):
        opened(obs.port)
    obs.end()


def test_without_obs_it_says_what_to_switch_on() -> None:
    obs = FakeObs()
    obs.end()
    with pytest.raises(EngineError, match=r"no OBS at 127\.0\.0\.1:\d+; start OBS 28"):
        opened(obs.port)


def test_obs_may_be_restarted_during_the_show() -> None:
    obs = FakeObs()
    sink = opened(obs.port)
    sink.caption(block(1, 3, "Hello"))
    at(sink, 1.0)
    obs.wait("Hello")
    thread = sink._thread
    obs.end()
    assert thread is not None
    thread.join(WAIT_S)
    with pytest.raises(EngineError, match=r"OBS at .* (closed the connection|is gone)"):
        at(sink, 2.0)
    sink.close()
    again = FakeObs(port=obs.port)
    sink = opened(again.port)  # as the air does after its back-off
    sink.caption(block(5, 6, "Here again"))
    at(sink, 5.5)
    again.wait("Here again")
    sink.close()
    again.end()
