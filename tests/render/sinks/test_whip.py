"""WHIP: an endpoint gets picture and sound in step, is told of the end, and is found again."""

import asyncio
import contextlib
import json
import statistics
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from dialogue.plugins import EngineUnavailable
from dialogue.ticks import TICKS_PER_S
from render.frames import VideoFrame
from render.sinks import rate, server
from render.sinks.rtc import PictureEncoder
from render.sinks.whip import WhipSink, ice_servers
from stage.bench.air.whip import Receiver
from stage.chromium import Chromium, Page, find
from tests.flashes import noting, offsets

WIDTH, HEIGHT, FPS = 160, 96, 30
STEP = TICKS_PER_S // FPS
WAIT_S = 20.0


class Endpoint:
    """A WHIP endpoint; `answer` makes the SDP."""

    def __init__(self, answer: Callable[[str], Awaitable[str]]) -> None:
        self.answer = answer
        self.tokens: list[str] = []
        self.types: list[str] = []
        self.open: set[str] = set()
        self.deleted: list[str] = []
        self.status = 201
        self.port = 0

    async def post(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("Authorization", ""))
        self.types.append(request.content_type)
        if self.status != 201:
            return web.Response(status=self.status, headers={"Retry-After": "0"})
        sdp = await self.answer(await request.text())
        name = f"/session/{len(self.tokens)}"
        self.open.add(name)
        return web.Response(
            status=201, text=sdp, content_type="application/sdp", headers={"Location": name}
        )

    async def delete(self, request: web.Request) -> web.Response:
        self.open.discard(request.path)
        self.deleted.append(request.path)
        return web.Response()

    async def options(self, request: web.Request) -> web.Response:
        return web.Response(status=204)


@contextlib.asynccontextmanager
async def serving(endpoint: Endpoint) -> AsyncIterator[Endpoint]:
    app = web.Application()
    app.router.add_post("/whip/{key}", endpoint.post)
    app.router.add_route("OPTIONS", "/whip/{key}", endpoint.options)
    app.router.add_delete("/session/{n}", endpoint.delete)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", endpoint.port).start()
    endpoint.port = int(runner.addresses[0][1])
    try:
        yield endpoint
    finally:
        await runner.cleanup()


class Peer:
    """Takes pictures and sound as an aiortc server would."""

    def __init__(self) -> None:
        self.white: list[float] = []
        self.beeps: list[float] = []
        self.pictures = 0
        self.first_is_key = False
        self.connection: Any = None
        self.kept: set[asyncio.Task[None]] = set()

    async def answer(self, sdp: str) -> str:
        connection = self.connection = RTCPeerConnection()

        @connection.on("track")
        def on_track(track: Any) -> None:
            reading = self._pictures(track) if track.kind == "video" else self._sound(track)
            task = asyncio.ensure_future(reading)
            self.kept.add(task)

        await connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        return str(connection.localDescription.sdp)

    async def _pictures(self, track: Any) -> None:
        bright = False
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if not self.pictures:
                    self.first_is_key = bool(frame.key_frame)
                self.pictures += 1
                now = float(frame.to_ndarray()[:HEIGHT].mean()) > 150
                if now and not bright:
                    self.white.append(time.monotonic())
                bright = now

    async def _sound(self, track: Any) -> None:
        loud = False
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                now = float(np.abs(frame.to_ndarray()).max()) > 2000
                if now and not loud:
                    self.beeps.append(time.monotonic())
                loud = now

    async def close(self) -> None:
        if self.connection is not None:
            await self.connection.close()
        for task in self.kept:
            task.cancel()
        await asyncio.gather(*self.kept, return_exceptions=True)


class Narrow(Peer):
    """Gets no more pictures than so many bits a second; the rest is lost on the way."""

    def __init__(self, carries: float) -> None:
        super().__init__()
        self.carries = carries
        self.lost = 0

    async def answer(self, sdp: str) -> str:
        answered = await super().answer(sdp)
        for transceiver in self.connection.getTransceivers():
            if transceiver.kind == "video":
                self._narrow(transceiver.receiver)
        return answered

    def _narrow(self, receiver: Any) -> None:
        take = receiver._handle_rtp_packet
        room, then = 0.0, time.monotonic()

        async def narrow(packet: Any, arrival_time_ms: int) -> None:
            nonlocal room, then
            now = time.monotonic()
            room, then = min(self.carries / 5, room + (now - then) * self.carries), now
            bits = 8 * len(packet.payload)
            if bits > room:
                self.lost += 1
                return
            room -= bits
            await take(packet, arrival_time_ms=arrival_time_ms)

        receiver._handle_rtp_packet = narrow


RNG = np.random.default_rng(3)


@contextlib.contextmanager
def casting(url: str, *, busy: bool = False, **options: Any) -> Iterator[WhipSink]:
    """Show a flash with a beep each second, in real time, on a thread of its own."""
    sink = WhipSink(url=url, **options)
    sink.open(width=WIDTH, height=HEIGHT, fps=FPS)
    over = threading.Event()

    def run() -> None:
        begun, k = time.monotonic(), 0
        pixels = np.zeros((1, 1, 4), np.uint8)
        while not over.wait(max(0.0, begun + k / FPS - time.monotonic())):
            mark = k % 30 == 10
            beep = 0.5 * np.sin(np.arange(STEP) * 0.3 + 0.5) * mark
            sink.audio(k * STEP, beep.astype(np.float32))
            i420 = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
            i420[:HEIGHT] = 235 if mark else 40 + k % 40
            if busy:
                i420[:HEIGHT] = RNG.integers(90, 130, (HEIGHT, WIDTH))
            sink.video(VideoFrame(k * STEP, k, pixels, i420))
            k += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield sink
    finally:
        over.set()
        thread.join()
        sink.close()


async def until(true: Callable[[], object], what: str) -> None:
    end = asyncio.get_running_loop().time() + WAIT_S
    while not true():
        assert asyncio.get_running_loop().time() < end, what
        await asyncio.sleep(0.03)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def timed() -> None:
        async with asyncio.timeout(90):
            await test()

    asyncio.run(timed())


@contextlib.asynccontextmanager
async def cast(url: str, **options: Any) -> AsyncIterator[WhipSink]:
    """The same on the loop, which the endpoint needs while the sink begins and ends."""
    manager = casting(url, **options)
    sink = await asyncio.to_thread(manager.__enter__)
    try:
        yield sink
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)


def test_a_server_gets_picture_and_sound_with_the_token_and_is_told_of_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WHIP_TOKEN", "t0ken")
    monkeypatch.setenv("WHIP_KEY", "k1")

    async def test() -> None:
        peer = Peer()
        async with serving(Endpoint(peer.answer)) as endpoint:
            url = f"http://127.0.0.1:{endpoint.port}/whip/{{WHIP_KEY}}"
            async with cast(url, token_env="WHIP_TOKEN") as sink:
                await until(lambda: len(peer.white) >= 3 and len(peer.beeps) >= 3, sink.trouble)
                assert sink.trouble == ""
                assert "0 reconnects" in sink.note
                assert endpoint.open == {"/session/1"}
            assert endpoint.tokens == ["Bearer t0ken"]
            assert endpoint.types == ["application/sdp"]
            assert endpoint.deleted == ["/session/1"]
            assert endpoint.open == set()
            assert peer.first_is_key
            await peer.close()

    run(test)


def test_what_is_received_is_in_step_by_every_one_of_the_reports() -> None:
    receiver = Receiver((0, 0, WIDTH, HEIGHT))

    async def test() -> None:
        async with receiver.serving() as url, cast(url) as sink:
            await until(
                lambda: min(len(receiver.picture.reports), len(receiver.sound.reports)) >= 8,
                sink.trouble,
            )

    run(test)
    seen = receiver.offsets()
    print("as received:", seen.median_ms, "ms, reports:", receiver.unrest_ms())
    assert seen.n >= 4
    # A flash that comes at once is found half a frame before it.
    assert abs(seen.median_ms + 500 / FPS) < 10
    assert receiver.unrest_ms() < 1


def test_a_line_that_loses_packets_gets_a_lower_rate_and_more_when_it_is_well_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rate, "PATIENCE", TICKS_PER_S)

    async def test() -> None:
        peer = Narrow(300_000)
        async with serving(Endpoint(peer.answer)) as endpoint:
            url = f"http://127.0.0.1:{endpoint.port}/whip/key"
            limits = {"bitrate": 1_200_000, "least_bitrate": 150_000}
            async with cast(url, busy=True, **limits) as sink:
                assert "1.2 of 1.2 Mbit/s" in sink.note
                await until(lambda: sink._rate.bitrate < 700_000, sink.note)
                assert peer.lost > 10
                low = sink._rate.bitrate
                peer.carries = 1e9
                await until(lambda: sink._rate.bitrate > low, sink.note)
                seen = peer.pictures
                await until(lambda: peer.pictures > seen + 10, "pictures go on")
            await peer.close()

    run(test)


@pytest.mark.parametrize(("codec", "same"), [("H264", True), ("VP8", False)])
def test_another_rate_takes_another_encoder_only_where_it_must(codec: str, same: bool) -> None:
    coder = PictureEncoder(
        codec, width=2 * WIDTH, height=2 * HEIGHT, fps=FPS, bitrate=2_000_000, steered=True
    )
    sizes = []
    for k in range(120):
        if k == 60:
            assert coder.aim(2_000_000)
            assert coder.aim(300_000) is same
        i420 = np.full((HEIGHT * 3, 2 * WIDTH), 128, np.uint8)
        i420[: 2 * HEIGHT] = RNG.integers(90, 130, (2 * HEIGHT, 2 * WIDTH))
        sizes.append(sum(packet.size for packet in coder.encode(k * STEP, i420, key=k == 0)))
    if same:
        assert sum(sizes[90:]) < 0.4 * sum(sizes[30:60])


def test_a_server_that_went_away_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BACK_OFF_S", (0.1,))

    async def test() -> None:
        first, second = Peer(), Peer()
        endpoint = Endpoint(first.answer)
        async with serving(endpoint):
            url = f"http://127.0.0.1:{endpoint.port}/whip/key"
            async with cast(url) as sink:
                await until(lambda: first.pictures > 10, "pictures")
                endpoint.answer = second.answer
                endpoint.status = 503
                await first.close()
                await until(lambda: "refused the stream (503)" in sink.trouble, "refused")
                endpoint.status = 201
                await until(lambda: second.pictures > 10, "pictures again")
                assert sink.trouble == ""
                assert "1 reconnects" in sink.note
                assert second.first_is_key
            await second.close()
        assert "/session/1" in endpoint.deleted

    run(test)


def test_a_refused_token_is_told_with_the_variable_and_without_the_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WHIP_TOKEN", "t0ken-secret")

    async def test() -> None:
        endpoint = Endpoint(Peer().answer)
        endpoint.status = 401
        async with serving(endpoint):
            url = f"http://127.0.0.1:{endpoint.port}/whip/longkey"
            async with cast(url, token_env="WHIP_TOKEN") as sink:
                await until(lambda: "(401)" in sink.trouble, "refused")
                assert "WHIP_TOKEN" in sink.trouble
                assert "secret" not in sink.trouble
                assert "longkey" not in sink.trouble

    run(test)


def test_a_server_that_is_not_there_stops_nothing() -> None:
    with casting("http://127.0.0.1:9/whip/x") as sink:
        end = time.monotonic() + WAIT_S
        while "cannot be reached" not in sink.trouble and time.monotonic() < end:
            time.sleep(0.02)
        assert "cannot be reached" in sink.trouble
        begun = time.monotonic()
    assert time.monotonic() - begun < 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "whip needs `url`"),
        ({"url": "rtmp://host/x"}, "must begin with https://"),
        ({"url": "https://host/{NOT_SET_HERE}"}, "NOT_SET_HERE is not set"),
        (
            {"url": "https://host/x", "token_env": "NOT_SET_HERE"},
            "NOT_SET_HERE is not set; put the bearer",
        ),
    ],
)
def test_what_is_set_wrongly_is_one_line(options: dict[str, str], words: str) -> None:
    with pytest.raises(EngineUnavailable, match=words):
        WhipSink(**options)  # type: ignore[arg-type]


def test_ice_servers_are_read_from_links() -> None:
    assert ice_servers(
        [
            '<stun:stun.example.net>; rel="ice-server"',
            '<turn:turn.example.net?transport=udp>; rel="ice-server"; username="user"; '
            'credential="a;b,c"; credential-type="password", <https://x>; rel="next"',
        ]
    ) == [
        {"urls": "stun:stun.example.net"},
        {
            "urls": "turn:turn.example.net?transport=udp",
            "username": "user",
            "credential": "a;b,c",
        },
    ]


# Chromium as the server -------------------------------------------------------------------------

ANSWER = """
(async (sdp) => {
  const connection = window.connection = new RTCPeerConnection();
  let stream;
  connection.addEventListener("track", (event) => { stream = event.streams[0]; });
  await connection.setRemoteDescription({ type: "offer", sdp });
  await connection.setLocalDescription(await connection.createAnswer());
  if (connection.iceGatheringState !== "complete") {
    await new Promise((done) => connection.addEventListener("icegatheringstatechange",
      () => connection.iceGatheringState === "complete" && done()));
  }
  const video = document.createElement("video");
  video.srcObject = stream;
  document.body.append(video);
  video.play();
  NOTE;
  return connection.localDescription.sdp;
})
""".replace("NOTE", noting("video", stream=True, heard=False))
"""Answers an offer as a server would, and notes flashes and beeps."""


@pytest.mark.chromium
@pytest.mark.skipif(find() is None, reason="no Chromium here; install the package `chromium`")
def test_chromium_answers_and_sees_and_hears_the_show_in_step() -> None:
    async def test() -> None:
        async with Chromium() as browser:
            page: Page = await browser.page("about:blank", width=320, height=240)

            async def answer(sdp: str) -> str:
                return str(await page.evaluate(f"{ANSWER}({json.dumps(sdp)})"))

            async with serving(Endpoint(answer)) as endpoint:
                async with cast(f"http://127.0.0.1:{endpoint.port}/whip/key") as sink:
                    await page.until(
                        "window.seen && seen.white.length >= 14 && seen.sound.length >= 14", 60
                    )
                    pairs = await offsets(page)
                    assert sink.trouble == ""
                assert len(endpoint.deleted) == 1
            print("flash after beep, ms:", [round(x) for x in pairs])
            assert len(pairs) >= 4
            # What is sent is held to 10 ms above; a browser takes some ten seconds to settle, and
            # listens late on a busy machine.
            assert abs(statistics.median(pairs[-5:])) < 120
            assert [line for line in page.errors if "favicon" not in line] == []

    run(test)
