"""The stage page's picture and sound: WebRTC to any number of browsers, encoded once.

Runs on: encoding on the sink's thread, connections on an asyncio loop thread of its own ("webrtc").
Nothing is encoded while nobody watches. A viewer sees the whole picture or, on the overlay, the
host alone with its matte (`render.matte`). Pictures go out as soon as they are encoded; sound,
which is mixed ahead of the picture, is held until the picture of its own tick goes out, because
browsers tie the two together by the time at which they were sent.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from dialogue.plugins import EngineError, EngineUnavailable
from dialogue.ticks import Ticks
from render.frames import Pixels, VideoFrame
from render.matte import Packer, matte_size
from render.pacing import Lateness
from voice.speech import Samples

if TYPE_CHECKING:
    from render.sinks.rtc import Channel, PictureEncoder, SoundEncoder, View

ANSWER_S = 15.0
"""An offer is answered within this time, or refused."""
CLOSE_S = 5.0
MATTE_BITS = 3
"""The overlay's picture may take so many times the bits of the whole one: it is encoded in a quick
way that takes more, and mostly goes no farther than to a program on this machine."""


class WebRTCSink:
    """Sends picture and sound to browsers.

    A viewer's estimate of its bandwidth is not followed: all get the same packets. Lost packets
    are sent again, lost pictures are replaced by a complete one.
    """

    needs: ClassVar[Mapping[str, str]] = {}
    takes_pixels: ClassVar[bool] = False

    def __init__(
        self,
        *,
        ice_servers: Sequence[str] = (),
        bitrate: int = 4_000_000,
        audio_bitrate: int = 64_000,
        codec: Literal["h264", "vp8"] = "h264",
        max_viewers: int = 16,
    ) -> None:
        """Prepare the sink; viewers may be answered before it is opened.

        Args:
            ice_servers: STUN and TURN addresses ("stun:host:port"); none needed on one network.
            bitrate: most that the picture may take, in bits a second.
            audio_bitrate: of the sound, in bits a second.
            codec: of the picture, where the browser offers it; the other one otherwise.
            max_viewers: at once.

        Raises:
            EngineUnavailable: aiortc is missing, or `codec` is unknown.
        """
        try:
            from render.sinks import rtc
        except ModuleNotFoundError as error:
            raise EngineUnavailable(f"webrtc needs {error.name}: pip install aiortc") from error
        if codec not in ("h264", "vp8"):
            raise EngineUnavailable(f'webrtc: codec {codec!r} is unknown; use "h264" or "vp8"')
        self._rtc = rtc
        self._bitrate = bitrate
        self._steered = False
        self._audio_bitrate = audio_bitrate
        self._key_every_s = float(rtc.KEY_EVERY_S)
        self._house = rtc.House(ice_servers, most=max_viewers, prefer=codec.upper())
        self._size = (0, 0, 0)
        self._pictures: dict[Channel, PictureEncoder] = {}
        self._packer: Packer | None = None
        self._sounds: SoundEncoder | None = None
        self._late = Lateness()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def viewers(self) -> int:
        """How many viewers there are, those still connecting included."""
        return len(self._house.viewers)

    @property
    def watched(self) -> bool:
        """Only while there are viewers of the whole picture."""
        return self._house.expects("stage")

    @property
    def wants_host(self) -> bool:
        """Only while there are viewers of the overlay."""
        return self._house.expects("overlay")

    def open(self, *, width: int, height: int, fps: int) -> None:
        """Get ready for pictures."""
        self._size = (width, height, fps)
        self._packer = None
        self._start()

    def answer(self, sdp: str, kind: str, view: "View" = "stage") -> tuple[str, str]:
        """Return the answer (sdp, type) to a viewer's offer; blocks, any thread.

        Raises:
            EngineError: the offer is bad, the house is full, or it took too long.
        """
        future: Future[tuple[str, str]] = self._submit(self._house.admit(sdp, kind, view))
        try:
            return future.result(ANSWER_S)
        except TimeoutError:
            future.cancel()
            raise EngineError(
                f"webrtc: no answer within {ANSWER_S:.0f} s; are the ice_servers reachable?"
            ) from None

    def answer_soon(
        self,
        sdp: str,
        kind: str,
        done: Callable[[str, str, str], None],
        view: "View" = "stage",
    ) -> None:
        """Answer an offer without waiting; `done(sdp, type, error)` is called on another thread."""

        async def reply() -> None:
            try:
                async with asyncio.timeout(ANSWER_S):
                    answer = await self._house.admit(sdp, kind, view)
            except TimeoutError:
                done("", "", f"webrtc: no answer within {ANSWER_S:.0f} s; check ice_servers")
            except Exception as error:
                done("", "", str(error) or type(error).__name__)
            else:
                done(*answer, "")

        self._submit(reply())

    def video(self, frame: VideoFrame) -> None:
        """Encode a picture for those who watch."""
        wanted = self._house.wanted()
        for channel in [channel for channel in self._pictures if channel not in wanted]:
            del self._pictures[channel]
        if self._loop is None:
            return
        packed: Pixels | None = None
        for channel in sorted(wanted, reverse=True):  # the stage first: packing takes time
            view, codec = channel
            encoder = self._pictures.get(channel)
            if encoder is None or not encoder.aim(self._bits(view)):
                encoder = self._pictures[channel] = self._encoder(view, codec)
            key = self._house.wants_key(channel)
            if frame.repeated and not key:
                continue  # browsers go on showing what they have
            if view == "overlay":
                if frame.host is None:
                    continue  # it was drawn before this viewer came
                if packed is None:
                    packed = self._pack(frame.host)
            picture = packed if view == "overlay" and packed is not None else frame.i420
            packets = encoder.encode(frame.pts, picture, key=key)
            self._loop.call_soon_threadsafe(self._house.show, channel, packets)
        self._late.note(frame.pts, time.monotonic_ns())

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Encode a block of sound for those who listen."""
        if self._loop is None or not self._house.wants_sound():
            self._sounds = None
            return
        if self._sounds is None:
            self._sounds = self._rtc.SoundEncoder(bitrate=self._audio_bitrate)
        packets = self._sounds.encode(pts, samples)
        if packets:
            timed = [(p, self._late.due_ns(p.pts) or time.monotonic_ns()) for p in packets]
            self._loop.call_soon_threadsafe(self._house.sound, timed)

    def close(self) -> None:
        """Let all viewers go and end the loop."""
        with self._lock:
            loop, self._loop = self._loop, None
            thread, self._thread = self._thread, None
        if loop is None or thread is None:
            return
        closing = asyncio.run_coroutine_threadsafe(self._house.close(), loop)
        with contextlib.suppress(TimeoutError):  # who does not answer is left behind
            closing.result(CLOSE_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CLOSE_S)
        self._pictures.clear()
        self._sounds = None

    def _encoder(self, view: "View", codec: str) -> "PictureEncoder":
        width, height, fps = self._size
        matte = view == "overlay"
        if matte:
            width, height = matte_size(width, height)
        return self._rtc.PictureEncoder(
            codec, width=width, height=height, fps=fps, matte=matte,
            bitrate=self._bits(view), key_every_s=self._key_every_s, steered=self._steered,
        )  # fmt: skip

    def _bits(self, view: "View") -> int:
        """Return how many bits a second the picture may take now."""
        return self._bitrate * (MATTE_BITS if view == "overlay" else 1)

    def _pack(self, host: Pixels) -> Pixels:
        if self._packer is None:
            self._packer = Packer(*self._size[:2])
        return self._packer.pack(host)

    def _start(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_serve, args=(self._loop,), name="webrtc", daemon=True
                )
                self._thread.start()
            return self._loop

    def _submit(self, work: Coroutine[Any, Any, Any]) -> "Future[Any]":
        return asyncio.run_coroutine_threadsafe(work, self._start())


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run `loop` until it is stopped, then end what is left on it."""
    asyncio.set_event_loop(loop)
    loop.run_forever()
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
