"""A real viewer over the loopback: picture and sound arrive, tied together by sender reports.

Time is real here, because WebRTC's is; nothing sleeps, everything waits for what should come.
"""

import asyncio
import gc
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.rtp import RtcpSrPacket

from dialogue.plugins import EngineError, EngineUnavailable
from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S
from render.clock import MonotonicClock
from render.frames import VideoFrame
from render.matte import GAP
from render.pacing import Pacer
from render.sinks import rtc
from render.sinks.rtc import BLOCK, Feed, PictureEncoder, SoundEncoder, without_names
from render.sinks.webrtc import WebRTCSink

WIDTH, HEIGHT, FPS = 320, 180, 30
STEP = TICKS_PER_S // FPS
EVERY = TICKS_PER_S // 2
FLASH = 4 * STEP
"""A white picture and a beep for 133 ms, twice a second."""
WAIT_S = 20.0


class Show:
    """Feeds a sink as the body does: sound mixed 40 ms past the frame that is drawn."""

    def __init__(self, sink: WebRTCSink) -> None:
        self._sink = sink
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Show":
        self._sink.open(width=WIDTH, height=HEIGHT, fps=FPS)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(WAIT_S)
        self._sink.close()

    def _run(self) -> None:
        pacer = Pacer(MonotonicClock(), FPS)
        mixed = pacer.peek()
        while not self._end.is_set():
            pts = pacer.next()
            until = pts + STEP + 40 * TICKS_PER_MS
            at = np.arange(mixed, until)
            beep = np.where(at % EVERY < FLASH, 0.5 * np.sin(at * 0.2), 0.0)
            self._sink.audio(mixed, beep.astype(np.float32))
            mixed = until
            self._sink.video(picture(pts, white=pts % EVERY < FLASH, alone=self._sink.wants_host))


def picture(pts: int, *, white: bool = False, alone: bool = False) -> VideoFrame:
    i420 = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    i420[:HEIGHT] = 235 if white else 60
    host = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    host[60:, 100:200] = (200, 200, 200, 255)
    shown = host if alone else None
    return VideoFrame(pts, pts // STEP, np.zeros_like(host), i420, host=shown)


class Browser:
    """Watches, and notes what it sees and hears in the sender's own time."""

    def __init__(self) -> None:
        self.peer: Any = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.codec = ""
        self.seen: list[tuple[int, float]] = []  # RTP time, brightness
        self.last: npt.NDArray[np.uint8] = np.zeros((0, 0), np.uint8)
        self.heard: list[tuple[int, npt.NDArray[np.int16]]] = []
        self.news = asyncio.Event()
        self.first: dict[str, int] = {}
        self.reports: dict[str, list[tuple[int, float]]] = {"audio": [], "video": []}
        self._tasks: list[asyncio.Task[None]] = []
        self.peer.on("track", self._track)

    async def offer(self, *kinds: str) -> Any:
        for kind in kinds:
            self.peer.addTransceiver(kind, direction="recvonly")
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return self.peer.localDescription

    async def watch(self, sink: WebRTCSink, view: Any = "stage") -> None:
        offer = await self.offer("audio", "video")
        sdp, kind = await asyncio.to_thread(sink.answer, offer.sdp, offer.type, view)
        self.codec = (
            "H264" if "H264/90000" in sdp.split("m=video")[1].split("rtpmap:")[1] else "VP8"
        )
        for transceiver in self.peer.getTransceivers():
            self._listen(transceiver.receiver, transceiver.kind)
        await self.peer.setRemoteDescription(RTCSessionDescription(sdp, kind))

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not true():
                self.news.clear()
                await self.news.wait()

    async def leave(self) -> None:
        await self.peer.close()
        await asyncio.gather(*self._tasks)

    def sent_s(self, kind: str, rtp: int) -> float:
        """Return when `rtp` was sent, by the sender's reports, as browsers reckon it."""
        rate = TICKS_PER_S if kind == "audio" else 90_000
        return float(np.median([at + (rtp - then) / rate for then, at in self.reports[kind]]))

    def _listen(self, receiver: Any, kind: str) -> None:
        on_rtp, on_rtcp = receiver._handle_rtp_packet, receiver._handle_rtcp_packet

        async def rtp(packet: Any, arrival_time_ms: int) -> None:
            self.first.setdefault(kind, packet.timestamp)
            await on_rtp(packet, arrival_time_ms)

        async def rtcp(packet: Any) -> None:
            if isinstance(packet, RtcpSrPacket) and kind in self.first:
                report = packet.sender_info
                self.reports[kind].append(
                    (report.rtp_timestamp - self.first[kind], report.ntp_timestamp / 2**32)
                )
                self.news.set()
            await on_rtcp(packet)

        receiver._handle_rtp_packet, receiver._handle_rtcp_packet = rtp, rtcp

    def _track(self, track: Any) -> None:
        self._tasks.append(asyncio.ensure_future(self._pull(track)))

    async def _pull(self, track: Any) -> None:
        from aiortc.mediastreams import MediaStreamError

        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if track.kind == "video":
                self.last = frame.to_ndarray()
                self.seen.append((frame.pts, float(self.last[:HEIGHT].mean())))
            else:
                channels = len(frame.layout.channels)
                self.heard.append((frame.pts, frame.to_ndarray().reshape(-1, channels)[:, 0]))
            self.news.set()


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(limited())


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_a_viewer_gets_picture_and_sound_in_sync(codec: Any) -> None:
    async def test() -> None:
        sink = WebRTCSink(codec=codec)
        with Show(sink):
            browser = Browser()
            await browser.watch(sink)
            assert browser.codec == codec.upper()
            await browser.until(
                lambda: min(map(len, browser.reports.values())) >= 3 and len(browser.seen) >= 75
            )
            await browser.leave()
        flashes = [
            browser.sent_s("video", now[0])
            for before, now in zip(browser.seen, browser.seen[1:], strict=False)
            if before[1] < 150 < now[1]
        ]
        beeps = []
        quiet = 0
        for rtp, sound in browser.heard:
            loud = np.flatnonzero(np.abs(sound) > 3000)
            if len(loud) and quiet >= 5:
                beeps.append(browser.sent_s("audio", rtp + int(loud[0])))
            quiet = 0 if len(loud) else quiet + 1
        offsets = [
            1e3 * (flash - beep) for flash in flashes for beep in beeps if abs(flash - beep) < 0.25
        ]
        assert len(offsets) >= 3
        print("offsets, ms:", [round(x) for x in offsets])
        assert abs(np.median(offsets)) <= 15
        steps = np.diff([rtp for rtp, _ in browser.seen])
        assert np.median(steps) == 3000  # 90 kHz: one frame

    run(test)


def test_viewers_come_and_go_and_share_one_encoder() -> None:
    async def test() -> None:
        sink = WebRTCSink(max_viewers=2)
        with Show(sink):
            first, second, third = Browser(), Browser(), Browser()
            await first.watch(sink)
            await first.until(lambda: len(first.seen) > 10 and len(first.heard) > 10)
            encoder = sink._pictures["stage", "H264"]
            await second.watch(sink)
            await second.until(lambda: len(second.seen) > 10 and len(second.heard) > 10)
            assert sink._pictures == {("stage", "H264"): encoder}
            assert sink.viewers == 2
            with pytest.raises(EngineError, match="2 viewers are watching already"):
                await third.watch(sink)
            await third.leave()
            await first.leave()
            n = len(second.seen)
            await second.until(lambda: len(second.seen) > n + 30)
            assert sink.viewers == 1
            await second.leave()

    run(test)


def test_a_viewer_who_has_gone_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtc, "TIDY_S", 0.05)

    async def test() -> None:
        sink = WebRTCSink()
        with Show(sink):
            browser = Browser()
            await browser.watch(sink)
            await browser.until(lambda: len(browser.seen) >= 3)
            gone, loop = asyncio.Event(), asyncio.get_running_loop()
            connection = sink._house.viewers[0].connection
            weakref.finalize(connection, loop.call_soon_threadsafe, gone.set)
            del connection
            gc.disable()  # what is seen is not a collection that would have come anyway
            try:
                await browser.leave()
                async with asyncio.timeout(WAIT_S):
                    await gone.wait()
            finally:
                gc.enable()

    run(test)


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_the_overlay_gets_the_host_above_its_matte_and_the_stage_the_whole_picture(
    codec: Any,
) -> None:
    async def test() -> None:
        sink = WebRTCSink(codec=codec)
        with Show(sink):
            stage, overlay = Browser(), Browser()
            await overlay.watch(sink, "overlay")
            assert (sink.watched, sink.wants_host) == (False, True)
            await overlay.until(lambda: len(overlay.seen) > 10 and len(overlay.heard) > 10)
            assert set(sink._pictures) == {("overlay", codec.upper())}
            await stage.watch(sink)
            await stage.until(lambda: len(stage.seen) > 10)
            assert stage.last.shape == (HEIGHT * 3 // 2, WIDTH)
            await stage.leave()
            luma = overlay.last[: 2 * HEIGHT + GAP]
            assert luma.shape == (2 * HEIGHT + GAP, WIDTH)
            matte = luma[HEIGHT + GAP :].astype(int)
            assert matte[:50].max() <= 16
            assert matte[70:, 110:190].min() >= 235
            assert abs(int(luma[120, 150]) - 188) < 4
            await overlay.leave()

    run(test)


def test_nothing_is_encoded_while_nobody_watches() -> None:
    sink = WebRTCSink()
    sink.open(width=WIDTH, height=HEIGHT, fps=FPS)
    for k in range(5):
        sink.audio(k * STEP, np.zeros(STEP, np.float32))
        sink.video(picture(k * STEP))
    assert sink._pictures == {}
    assert sink._packer is None
    assert sink._sounds is None
    sink.close()


def test_an_answer_can_be_awaited_without_blocking_and_a_bad_offer_says_so() -> None:
    sink = WebRTCSink()
    told: list[tuple[str, str, str]] = []
    done = threading.Event()

    def note(sdp: str, kind: str, error: str) -> None:
        told.append((sdp, kind, error))
        done.set()

    sink.answer_soon("this is no offer", "offer", note)
    assert done.wait(WAIT_S)
    assert told[0][:2] == ("", "")
    assert told[0][2]
    assert sink.viewers == 0
    sink.close()


def test_the_sink_can_be_opened_again_after_it_was_closed() -> None:
    async def test() -> None:
        sink = WebRTCSink()
        for _ in range(2):
            with Show(sink):
                browser = Browser()
                await browser.watch(sink)
                await browser.until(lambda b=browser: len(b.seen) > 5)  # type: ignore[misc]
                assert sink.viewers == 1
            assert sink.viewers == 0
            await browser.leave()

    run(test)


def test_closing_twice_is_safe() -> None:
    sink = WebRTCSink()
    sink.open(width=WIDTH, height=HEIGHT, fps=FPS)
    sink.close()
    sink.close()


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(EngineUnavailable, match='use "h264" or "vp8"'):
        WebRTCSink(codec="av2")  # type: ignore[arg-type]


@pytest.fixture
def feed() -> Iterator[Callable[[str], Feed]]:
    async def make(kind: str) -> Feed:
        made = Feed(kind)
        made.wanted = True
        return made

    with asyncio.Runner() as runner:
        yield lambda kind: runner.run(make(kind))


class Packet:
    """As much of a packet as a feed looks at."""

    def __init__(self, number: int, key: bool = False) -> None:
        self.number = number
        self.is_keyframe = key


def test_a_feed_begins_with_a_complete_picture(feed: Callable[[str], Feed]) -> None:
    track = feed("video")
    track.put(Packet(0))
    track.put(Packet(1, key=True))
    track.put(Packet(2))
    assert [p.number for p in track._waiting] == [1, 2]
    assert not track.wants_key


def test_a_slow_viewer_starts_anew_at_the_next_complete_picture(
    feed: Callable[[str], Feed],
) -> None:
    track = feed("video")
    for k in range(9):
        track.put(Packet(k, key=k == 0))
    assert (len(track._waiting), track.dropped, track.wants_key) == (0, 9, True)
    track.put(Packet(9))
    track.put(Packet(10, key=True))
    assert [p.number for p in track._waiting] == [10]


def test_a_viewer_who_lost_a_picture_gets_a_complete_one_without_a_pause(
    feed: Callable[[str], Feed],
) -> None:
    track = feed("video")
    track.put(Packet(0, key=True))
    track.ask_key()
    track.put(Packet(1))
    assert track.wants_key
    track.put(Packet(2, key=True))
    assert not track.wants_key
    assert [p.number for p in track._waiting] == [0, 1, 2]


def test_a_slow_listener_loses_the_oldest_sound(feed: Callable[[str], Feed]) -> None:
    track = feed("audio")
    for k in range(20):
        track.put(Packet(k))
    assert [p.number for p in track._waiting] == list(range(5, 20))


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_complete_pictures_come_on_request_but_not_in_a_flood(codec: str) -> None:
    encoder = PictureEncoder(codec, width=WIDTH, height=HEIGHT, fps=FPS, bitrate=2_000_000)
    keys = []
    for k in range(60):
        for packet in encoder.encode(k * STEP, picture(k * STEP).i420, key=20 <= k < 30):
            assert packet.pts == k * STEP
            if packet.is_keyframe:
                keys.append(k)
    assert keys == [0, 20]


def test_sound_packets_are_20_ms_long_and_allow_for_the_look_ahead() -> None:
    encoder = SoundEncoder()
    packets = []
    at = 5000
    for n in (100, 1600, 1600, 3, 7000):
        packets += encoder.encode(at, np.zeros(n, np.float32))
        at += n
    assert set(np.diff([p.pts for p in packets]).tolist()) == {BLOCK}
    assert 5000 - packets[0].pts == 312  # 6.5 ms: libopus's look-ahead at 48 kHz


def test_candidates_that_would_have_to_be_looked_up_are_left_out() -> None:
    head, end = "v=0\r\na=ice-ufrag:x\r\n", "a=end-of-candidates\r\n"
    named = "a=candidate:0 1 UDP 2122187007 24360473-ac08.local 49440 typ host\r\n"
    plain = "a=candidate:1 1 UDP 2122252543 192.0.2.7 34819 typ host\r\n"
    assert without_names(head + named + plain + end) == head + plain
    assert without_names(head + plain + end) == head + plain + end
