"""The stage page's picture and sound over WebRTC (aiortc), for a few viewers at once.

Runs on: the sink's thread hands over, one asyncio loop thread of its own talks to the viewers,
aiortc's executor encodes. Tracks are pulled: a viewer's picture slot holds the newest frame only,
its sound 0.4 s (the oldest goes), so no latency can build up. Sender reports tie both streams to
the moment a packet leaves; therefore each sound packet leaves as long after its own pts as
pictures do, which keeps lips and voice together in the browser.
"""

import asyncio
import fractions
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from dialogue.plugins import EngineUnavailable
from dialogue.ticks import TICKS_PER_S, Ticks
from render.frames import VideoFrame
from voice.speech import Samples

PACKET: Ticks = TICKS_PER_S // 50
"""20 ms of sound: what Opus packets carry."""

HELD = 20
"""Sound packets kept for a viewer: 0.4 s."""

VIEWERS = 4
"""Each viewer costs an encoder; more are told to come back later."""

BITRATE = 2_500_000
"""Of the picture, in bits a second: clean line art at 720p."""

_TICK = fractions.Fraction(1, TICKS_PER_S)


class WebRTCSink:
    """Answers offers and sends to whoever is connected."""

    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *, ice_servers: Sequence[str] = (), bitrate: int = BITRATE) -> None:
        """Start the loop.

        Args:
            ice_servers: STUN or TURN addresses, such as "stun:example.org:3478".
            bitrate: of the picture, in bits a second.

        Raises:
            EngineUnavailable: aiortc is not installed.
        """
        try:
            import aiortc
            from aiortc.codecs import h264, vpx
        except ImportError as error:
            raise EngineUnavailable(f"webrtc: {error}; run `pip install aiortc`") from None
        for codec in (h264, vpx):  # aiortc has no setting for these
            codec.DEFAULT_BITRATE = bitrate
            codec.MAX_BITRATE = bitrate * 2
        self._aiortc = aiortc
        self._servers = [aiortc.RTCIceServer(urls=[url]) for url in ice_servers]
        self._viewers: set[Any] = set()
        self._slots: list[_Viewer] = []
        self._lag = _Lag()
        self._tail: Samples = np.zeros(0, np.float32)
        self._tail_pts: Ticks = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="webrtc", daemon=True)
        self._thread.start()

    def open(self, *, width: int, height: int, fps: int) -> None:
        """Nothing to prepare: the encoder is made for each viewer."""

    def video(self, frame: VideoFrame) -> None:
        """Put the newest picture into every viewer's slot."""
        if self._slots:
            self._loop.call_soon_threadsafe(self._show, frame)

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Cut the sound into packets for every viewer."""
        if self._tail_pts + len(self._tail) != pts:
            self._tail = np.zeros(0, np.float32)
        joined = np.concatenate((self._tail, samples)) if len(self._tail) else samples
        begin = pts - len(self._tail)
        whole = len(joined) // PACKET * PACKET
        if self._slots:
            packets = [
                (begin + at, (np.clip(joined[at : at + PACKET], -1, 1) * 32767).astype(np.int16))
                for at in range(0, whole, PACKET)
            ]
            self._loop.call_soon_threadsafe(self._play, packets)
        self._tail, self._tail_pts = joined[whole:], begin + whole

    def close(self) -> None:
        """Say goodbye to every viewer and end the loop."""
        if self._loop.is_closed() or not self._thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result(5.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)

    def answer(self, sdp: str, kind: str) -> tuple[str, str]:
        """Answer an offer; blocks. Returns the session description and its type.

        Raises:
            ValueError: not an offer, or too many viewers.
        """
        future = asyncio.run_coroutine_threadsafe(self._answer(sdp, kind), self._loop)
        return future.result(10.0)

    def answer_soon(self, sdp: str, kind: str, done: Callable[[str, str, str], None]) -> None:
        """Answer an offer without blocking: `done(sdp, type, error)` is called on the loop."""

        async def work() -> None:
            try:
                done(*await self._answer(sdp, kind), "")
            except Exception as error:
                done("", "", str(error) or type(error).__name__)

        asyncio.run_coroutine_threadsafe(work(), self._loop)

    @property
    def viewers(self) -> int:
        """How many are connected."""
        return len(self._viewers)

    async def _answer(self, sdp: str, kind: str) -> tuple[str, str]:
        if len(self._viewers) >= VIEWERS:
            raise ValueError(f"{VIEWERS} viewers are watching already; close another page")
        rtc = self._aiortc
        peer = rtc.RTCPeerConnection(rtc.RTCConfiguration(iceServers=self._servers))
        viewer = _Viewer(rtc, self._lag)
        self._viewers.add(peer)
        self._slots.append(viewer)

        async def leave() -> None:
            if peer in self._viewers:
                self._viewers.discard(peer)
                self._slots.remove(viewer)
                viewer.stop()
                await peer.close()

        @peer.on("connectionstatechange")  # type: ignore[untyped-decorator]
        async def changed() -> None:
            if peer.connectionState in ("failed", "closed"):
                await leave()

        try:
            await peer.setRemoteDescription(rtc.RTCSessionDescription(sdp=sdp, type=kind))
            peer.addTrack(viewer.sound)
            peer.addTrack(viewer.picture)
            await peer.setLocalDescription(await peer.createAnswer())
        except Exception:
            await leave()
            raise
        return peer.localDescription.sdp, peer.localDescription.type

    async def _leave(self) -> None:
        for viewer in self._slots:
            viewer.stop()
        await asyncio.gather(*(peer.close() for peer in list(self._viewers)))
        self._viewers.clear()
        self._slots.clear()

    def _show(self, frame: VideoFrame) -> None:
        for viewer in self._slots:
            viewer.show(frame)

    def _play(self, packets: list[tuple[Ticks, Any]]) -> None:
        for viewer in self._slots:
            viewer.play(packets)


class _Lag:
    """How long after its pts a picture leaves, in seconds of monotonic time, smoothed."""

    def __init__(self) -> None:
        self.offset_s: float | None = None

    def sent(self, pts: Ticks) -> None:
        now = time.monotonic() - pts / TICKS_PER_S
        if self.offset_s is None or abs(now - self.offset_s) > 0.5:
            self.offset_s = now
        else:
            self.offset_s += 0.1 * (now - self.offset_s)

    def due(self, pts: Ticks) -> float:
        """Return in how many seconds the sound of `pts` should leave."""
        if self.offset_s is None:
            return 0.0
        return pts / TICKS_PER_S + self.offset_s - time.monotonic()


class _Viewer:
    """One viewer's two tracks."""

    def __init__(self, rtc: Any, lag: _Lag) -> None:
        self._frame: VideoFrame | None = None
        self._fresh = asyncio.Event()
        self._packets: deque[tuple[Ticks, Any]] = deque(maxlen=HELD)
        self._arrived = asyncio.Event()
        self._lag = lag
        self._shown: Ticks | None = None
        self._zero: Ticks | None = None
        viewer = self

        class Picture(rtc.MediaStreamTrack):  # type: ignore[misc, name-defined]
            """Pulls the newest picture."""

            kind = "video"

            async def recv(self) -> Any:
                return await viewer.next_picture()

        class Sound(rtc.MediaStreamTrack):  # type: ignore[misc, name-defined]
            """Pulls 20 ms of sound."""

            kind = "audio"

            async def recv(self) -> Any:
                return await viewer.next_sound()

        self.picture: Any = Picture()
        self.sound: Any = Sound()

    def show(self, frame: VideoFrame) -> None:
        self._frame = frame
        self._fresh.set()

    def play(self, packets: list[tuple[Ticks, Any]]) -> None:
        self._packets.extend(packets)
        self._arrived.set()

    def stop(self) -> None:
        self.picture.stop()
        self.sound.stop()

    async def next_picture(self) -> Any:
        import av

        if self._shown is not None:
            self._lag.sent(self._shown)  # being asked again means that the last one has left
        await self._fresh.wait()
        self._fresh.clear()
        frame = self._frame
        assert frame is not None
        self._shown = frame.pts
        picture = av.VideoFrame.from_ndarray(frame.i420, format="yuv420p")
        picture.pts, picture.time_base = frame.pts - self._start(frame.pts), _TICK
        return picture

    async def next_sound(self) -> Any:
        import av

        while True:
            while not self._packets:
                self._arrived.clear()
                await self._arrived.wait()
            pts, samples = self._packets.popleft()
            if pts >= self._start(pts):
                break
        wait_s = self._lag.due(pts)
        if 0.0 < wait_s < 0.4:
            await asyncio.sleep(wait_s)
        block = av.AudioFrame.from_ndarray(samples[None, :], format="s16", layout="mono")
        block.sample_rate = TICKS_PER_S
        block.pts, block.time_base = pts - self._start(pts), _TICK
        return block

    def _start(self, pts: Ticks) -> Ticks:
        """Both streams count from the same instant, whichever comes first."""
        if self._zero is None:
            self._zero = pts
        return self._zero
