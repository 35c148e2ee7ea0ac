"""The WebRTC side that needs aiortc: encoders, tracks fed with packets, and viewers.

Runs on: encoders on the sink's thread, everything else on its asyncio loop. Pictures and sound
are encoded once for all viewers; each viewer's two tracks hand out ready packets. Imported only
by `render.sinks.webrtc`, because importing aiortc takes a quarter of a second.
"""

import asyncio
import gc
import re
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.clock import current_ntp_time
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpSrPacket,
    unpack_remb_fci,
)

from dialogue.plugins import EngineError
from dialogue.ticks import TICKS_PER_S, Ticks
from render import matte
from render.encode import BT709, FINEST, LIMITED, MATRIX_BT601
from render.frames import Pixels
from voice.speech import Samples

_TICK = Fraction(1, TICKS_PER_S)

BLOCK: Ticks = 960
"""Sound of one Opus packet: 20 ms."""
KEY_EVERY_S = 8
"""A complete picture is sent at least this often, should all requests for one be lost."""
KEY_GAP: Ticks = TICKS_PER_S // 2
"""Complete pictures on request are at least this far apart."""
PICTURES = 8
"""Encoded pictures that wait for a viewer; more, and it starts anew at a complete one."""
SOUNDS = 15
"""Opus packets (300 ms) that wait for a viewer; more, and the oldest goes."""
CONNECT_S = 20.0
"""A viewer who got an answer must be connected by then."""
TIDY_S = 5.0
"""After a viewer has gone; others that go meanwhile are of the same sweep."""
RATE_S = 1.0
"""What goes out is counted over so long."""
REPORTS = 8
"""Reports of ours that a receiver's may still be about."""


class PictureEncoder:
    """Encodes pictures for all viewers of one codec."""

    def __init__(
        self, codec: str, *, width: int, height: int, fps: int, bitrate: int,
        key_every_s: float = KEY_EVERY_S, matte: bool = False, steered: bool = False,
    ) -> None:  # fmt: skip
        """Make an encoder.

        Args:
            codec: "H264" or "VP8".
            width: of the picture, in pixels.
            height: of the picture, in pixels.
            fps: frames a second.
            bitrate: most that is sent, in bits a second; a still picture needs far less.
            key_every_s: a complete picture comes at least this often.
            matte: a matte is packed in the picture: it is encoded quickly and alike everywhere,
                at the price of more bits.
            steered: `bitrate` is aimed at, and may be changed.
        """
        self._bitrate = bitrate
        self._steered = steered and codec == "H264"
        context: Any = av.CodecContext.create("libx264" if codec == "H264" else "libvpx", "w")
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base, context.framerate = _TICK, Fraction(fps)
        context.gop_size = round(key_every_s * fps)
        context.thread_count = 1  # the other core belongs to model and voice
        if codec == "H264":
            context.profile = "Baseline"  # what every browser decodes, and what is negotiated
            # Said aloud, because browsers take what is not said for BT.709.
            context.colorspace, context.color_range = MATRIX_BT601, LIMITED
            context.color_primaries = context.color_trc = BT709
            context.options = {
                "preset": "superfast", "tune": "zerolatency", "forced-idr": "1", "crf": "23",
                "maxrate": str(bitrate), "bufsize": str(bitrate // 2),
            }  # fmt: skip
            if matte:
                context.options = {**context.options, "preset": "ultrafast"}
            if steered:
                del context.options["crf"]
                context.bit_rate = bitrate
                context.qmin = FINEST  # a still picture need not take all that it may
        else:
            context.bit_rate = bitrate
            context.qmin, context.qmax = 4, 48
            context.options = {
                "deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0",
                "static-thresh": "100", "maxrate": str(bitrate), "bufsize": str(bitrate // 2),
            }  # fmt: skip
        self._context = context
        self._key_at: Ticks | None = None

    def encode(self, pts: Ticks, i420: Pixels, *, key: bool) -> list[Any]:
        """Return the packets of a picture.

        Args:
            pts: when it is to be seen.
            i420: planar YUV 4:2:0, BT.601 limited range, shape (height * 3 // 2, width).
            key: a complete picture is wanted.
        """
        picture: Any = av.VideoFrame.from_ndarray(i420, format="yuv420p")
        picture.pts, picture.time_base = pts, _TICK
        picture.colorspace, picture.color_range = MATRIX_BT601, LIMITED
        if key and (self._key_at is None or pts - self._key_at >= KEY_GAP):
            picture.pict_type = av.video.frame.PictureType.I
            self._key_at = pts
        return list(self._context.encode(picture))

    def aim(self, bitrate: int) -> bool:
        """Aim at another `bitrate` from the next picture on; False where a new encoder must."""
        if bitrate != self._bitrate:
            if not self._steered:
                return False
            self._context.bit_rate = self._bitrate = bitrate
        return True


class SoundEncoder:
    """Encodes sound for all viewers, in packets of 20 ms.

    The packets' pts keep FFmpeg's allowance for Opus's look-ahead (6.5 ms earlier than the samples
    put in), so that what a decoder plays at a pts is what was heard at that tick.
    """

    def __init__(self, *, bitrate: int = 64_000) -> None:
        """Make an encoder for mono at 48 kHz; `bitrate` in bits a second."""
        context: Any = av.CodecContext.create("libopus", "w")
        context.bit_rate = bitrate
        context.format, context.layout, context.sample_rate = "s16", "mono", TICKS_PER_S
        context.time_base = _TICK
        context.options = {"application": "audio", "frame_duration": "20"}
        self._context = context
        self._held: Samples = np.zeros(0, np.float32)
        self._pts: Ticks | None = None

    def encode(self, pts: Ticks, samples: Samples) -> list[Any]:
        """Return the packets that are complete with `samples`, which follow the last ones."""
        if self._pts is None:
            self._pts = pts
        self._held = np.concatenate([self._held, samples])
        packets = []
        while len(self._held) >= BLOCK:
            sound = (np.clip(self._held[:BLOCK], -1, 1) * 32767).astype(np.int16)
            block: Any = av.AudioFrame.from_ndarray(sound[None, :], format="s16", layout="mono")
            block.sample_rate, block.pts, block.time_base = TICKS_PER_S, self._pts, _TICK
            packets += self._context.encode(block)
            self._held = self._held[BLOCK:]
            self._pts += BLOCK
        return packets


class Feed(MediaStreamTrack):  # type: ignore[misc]
    """A viewer's track: hands out packets in order, newest wins when the viewer is slow."""

    def __init__(self, kind: str) -> None:
        """Make a track of `kind` "audio" or "video"; it wants packets once it is pulled."""
        self.kind = kind
        super().__init__()
        self.wanted = False
        """Somebody pulls."""
        self.wants_key = kind == "video"
        """It needs a complete picture: to begin, or because the viewer lost something."""
        self.dropped = 0
        """Packets that the viewer did not take in time."""
        self.at: Ticks | None = None
        """The pts of the packet handed out last."""
        self._sent: deque[tuple[float, int]] = deque()  # when, and how many bits
        self._broken = self.wants_key  # what is put in is of no use before a complete picture
        self._waiting: deque[Any] = deque()
        self._news = asyncio.Event()

    def put(self, packet: Any) -> None:
        """Offer a packet; on the loop."""
        if not self.wanted:
            return
        if self.kind == "video":
            if packet.is_keyframe:
                self.wants_key = self._broken = False
            if self._broken:
                return
            if len(self._waiting) >= PICTURES:
                self.dropped += len(self._waiting) + 1
                self._waiting.clear()
                self.wants_key = self._broken = True
                return
        elif len(self._waiting) >= SOUNDS:
            self.dropped += 1
            self._waiting.popleft()
        self._waiting.append(packet)
        self._news.set()

    def ask_key(self) -> None:
        """Want a complete picture soon; others are still sent until then."""
        self.wants_key = True

    async def recv(self) -> Any:
        """Return the next packet."""
        self.wanted = True
        while not self._waiting:
            if self.readyState != "live":
                raise MediaStreamError
            self._news.clear()
            await self._news.wait()
        packet = self._waiting.popleft()
        self.at = int(packet.pts)
        self._sent.append((time.monotonic(), packet.size * 8))
        self._forget()
        return packet

    @property
    def sending(self) -> float:
        """Bits a second that were handed out, over the last second."""
        self._forget()
        return sum(bits for _, bits in self._sent) / RATE_S

    def _forget(self) -> None:
        old = time.monotonic() - RATE_S
        while self._sent and self._sent[0][0] < old:
            self._sent.popleft()

    def stop(self) -> None:
        """End the track; who pulls is told."""
        super().stop()
        self.wanted = False
        self._waiting.clear()
        self._news.set()


def without_names(sdp: str) -> str:
    """Return an offer without candidates under mDNS names ("....local").

    Where there is no multicast each takes a second to fail, and Firefox, which offers eight, gives
    up before the last. The browser's own checks reach us and show where it is.
    """
    named = (line for line in sdp.splitlines() if line.startswith("a=candidate"))
    if not any(".local " in line for line in named):
        return sdp
    return "".join(
        line
        for line in sdp.splitlines(keepends=True)
        if not (line.startswith("a=candidate") and ".local " in line)
        and not line.startswith("a=end-of-candidates")
    )


@dataclass(frozen=True, slots=True)
class Report:
    """What a receiver says of the pictures that it gets."""

    at: Ticks
    """Of the picture that went out last."""
    lost: float
    """Share of the packets since the report before that did not arrive, 0..1."""
    rtt_s: float | None
    """Seconds there and back; None where that is not known."""
    bound: int | None
    """Bits a second that it thinks the line carries, where more are being sent; None otherwise."""


View = Literal["stage", "overlay"]
"""What a viewer sees: the whole picture, or the host alone with its matte."""

Channel = tuple[View, str]
"""What those see who share an encoder: the view and its codec."""


class Viewer:
    """One browser that watches."""

    def __init__(self, ice_servers: Iterable[str | RTCIceServer], view: View = "stage") -> None:
        """Prepare a connection; on the loop."""
        self.view = view
        servers = [
            RTCIceServer(urls=server) if isinstance(server, str) else server
            for server in ice_servers
        ]
        self.connection: Any = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self.picture, self.sound = Feed("video"), Feed("audio")
        self.codec = ""
        """Of the pictures: "H264" or "VP8"."""
        self.heard: Callable[[Report], None] | None = None
        """Called, on the loop, with each report about the pictures."""
        self._zero: int | None = None  # NTP time at tick 0
        self._reported: dict[int, float] = {}  # middle of a report's NTP time -> when it was sent

    @property
    def channel(self) -> Channel:
        """What it sees, and how encoded."""
        return self.view, self.codec

    def _join(self, prefer: str) -> None:
        """Put both tracks on the connection."""
        connection = self.connection
        sender = connection.addTrack(self.picture)
        for steadied, feed in (
            (sender, self.picture),
            (connection.addTrack(self.sound), self.sound),
        ):
            self._steady(steadied, feed)
        self._listen(sender)
        for transceiver in connection.getTransceivers():
            if transceiver.kind == "video":
                known = RTCRtpSender.getCapabilities("video").codecs
                best = f"video/{prefer}".lower()
                transceiver.setCodecPreferences(
                    sorted(known, key=lambda codec: codec.mimeType.lower() != best)
                )
        if hasattr(sender, "_send_keyframe"):
            # aiortc has no public way to learn of a lost picture when packets are ready-made.
            # Without it the next regular complete picture mends the viewer's.
            sender._send_keyframe = self.picture.ask_key

    def _steady(self, sender: Any, feed: Feed) -> None:
        """Let a sender's reports, which tie picture and sound together, go by the stage clock.

        aiortc's say when the last packet was sent, which a busy machine does late: who goes by
        such a report shows the lips a tenth of a second off until the next one.
        """
        if not hasattr(sender, "_send_rtcp"):
            return  # another aiortc: its own reports will do
        send = sender._send_rtcp

        async def steady(packets: list[Any]) -> None:
            for packet in packets:
                if isinstance(packet, RtcpSrPacket) and feed.at is not None:
                    stamp = packet.sender_info.ntp_timestamp = self._ntp(feed.at)
                    if feed is self.picture:
                        self._reported[stamp >> 16 & 0xFFFFFFFF] = time.monotonic()
                        while len(self._reported) > REPORTS:
                            del self._reported[next(iter(self._reported))]
            await send(packets)

        sender._send_rtcp = steady

    def _listen(self, sender: Any) -> None:
        """Hear what the receiver reports of the pictures (RFC 3550, 6.4; REMB's draft, 03)."""
        if not (hasattr(sender, "_handle_rtcp_packet") and hasattr(sender, "_ssrc")):
            return  # another aiortc: the rate stays as it is
        handle = sender._handle_rtcp_packet

        async def listen(packet: Any) -> None:
            await handle(packet)
            if self.heard is not None and self.picture.at is not None:
                for report in self._reports(packet, sender._ssrc, self.picture.at):
                    self.heard(report)

        sender._handle_rtcp_packet = listen

    def _reports(self, packet: Any, ssrc: int, at: Ticks) -> Iterable[Report]:
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            for one in packet.reports:
                if one.ssrc == ssrc:
                    sent = self._reported.get(one.lsr)
                    rtt_s = None
                    if sent is not None and one.dlsr:
                        rtt_s = max(0.0, time.monotonic() - sent - one.dlsr / 65536)
                    yield Report(at, one.fraction_lost / 256, rtt_s, None)
        elif isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
            try:
                bound, about = unpack_remb_fci(packet.fci)
            except ValueError:
                return  # some other use of this kind of packet
            if ssrc in about and bound < self.picture.sending:
                yield Report(at, 0.0, None, int(bound))

    def _ntp(self, pts: Ticks) -> int:
        """Return the NTP time of a tick, the same for picture and sound."""
        passed = (pts << 32) // TICKS_PER_S
        if self._zero is None:
            self._zero = current_ntp_time() - passed
        return self._zero + passed

    async def answer(self, sdp: str, kind: str, *, prefer: str) -> tuple[str, str]:
        """Return the answer (sdp, type) to an offer.

        Raises:
            EngineError: the offer is no offer, or asks for nothing that can be sent.
        """
        connection = self.connection
        self._join(prefer)
        try:
            offer = RTCSessionDescription(without_names(sdp), kind)
            await connection.setRemoteDescription(offer)
            await connection.setLocalDescription(await connection.createAnswer())
        except (ValueError, IndexError, KeyError, AttributeError) as error:
            raise EngineError(f"webrtc: the viewer's offer cannot be read ({error})") from error
        local = connection.localDescription
        self.codec = _video_codec(local.sdp)
        return local.sdp, local.type

    async def offer(self, *, prefer: str) -> str:
        """Return an offer (sdp) with all our addresses, for a server that answers."""
        self._join(prefer)
        for transceiver in self.connection.getTransceivers():
            transceiver.direction = "sendonly"
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def accept(self, sdp: str) -> None:
        """Take a server's answer.

        Raises:
            EngineError: it is no answer, or it wants nothing that can be sent.
        """
        try:
            answer = RTCSessionDescription(without_names(sdp), "answer")
            await self.connection.setRemoteDescription(answer)
        except (ValueError, IndexError, KeyError, AttributeError) as error:
            raise EngineError(f"its answer cannot be read ({error})") from error
        self.codec = _video_codec(sdp)
        if self.codec not in ("H264", "VP8"):
            raise EngineError("it takes neither H.264 nor VP8")

    async def close(self) -> None:
        """Let the viewer go."""
        self.picture.stop()
        self.sound.stop()
        await self.connection.close()


class House:
    """All viewers; on the loop, except where noted."""

    def __init__(self, ice_servers: Iterable[str], *, most: int, prefer: str) -> None:
        """Be empty.

        Args:
            ice_servers: STUN and TURN addresses; none are needed on one network.
            most: viewers at once.
            prefer: "H264" or "VP8".
        """
        self.ice_servers = tuple(ice_servers)
        self.viewers: tuple[Viewer, ...] = ()
        """Read on any thread; replaced, never changed."""
        self._most = most
        self._prefer = prefer
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: deque[Any] = deque()
        self._expected: dict[Viewer, asyncio.Task[None]] = {}
        self._tidying = False

    async def admit(self, sdp: str, kind: str, view: View) -> tuple[str, str]:
        """Return the answer to the offer of a viewer who wants to see `view`.

        Raises:
            EngineError: the house is full, or the offer is bad.
        """
        if len(self.viewers) >= self._most:
            raise EngineError(
                f"webrtc: {self._most} viewers are watching already; raise `max_viewers`"
            )
        if view == "overlay":
            await asyncio.to_thread(matte.ready)  # half a second once, which nobody waits for
        viewer = Viewer(self.ice_servers, view)
        self.viewers = (*self.viewers, viewer)

        def changed() -> None:
            if viewer.connection.connectionState in ("failed", "closed"):
                self._soon(self._dismiss(viewer))

        viewer.connection.on("connectionstatechange", changed)
        try:
            answer = await viewer.answer(sdp, kind, prefer=self._prefer)
        except BaseException:
            await self._dismiss(viewer)
            raise
        self._expected[viewer] = self._soon(self._expect(viewer))
        return answer

    def adopt(self, viewer: Viewer) -> None:
        """Take in a viewer whose connection is made elsewhere."""
        self.viewers = (*self.viewers, viewer)

    async def release(self, viewer: Viewer) -> None:
        """Let one viewer go."""
        await self._dismiss(viewer)

    def expects(self, view: View) -> bool:
        """Return whether anybody watches `view`, or is about to; any thread."""
        return any(v.view == view for v in self.viewers)

    def wanted(self) -> set[Channel]:
        """Return what somebody is watching; any thread."""
        return {v.channel for v in self.viewers if v.picture.wanted}

    def wants_sound(self) -> bool:
        """Return whether anybody listens; any thread."""
        return any(v.sound.wanted for v in self.viewers)

    def wants_key(self, channel: Channel) -> bool:
        """Return whether a viewer needs a complete picture; any thread."""
        feeds = [v.picture for v in self.viewers if v.channel == channel]
        return any(feed.wanted and feed.wants_key for feed in feeds)

    def show(self, channel: Channel, packets: Iterable[Any]) -> None:
        """Hand encoded pictures to those who watch `channel`."""
        for packet in packets:
            for viewer in self.viewers:
                if viewer.channel == channel:
                    viewer.picture.put(packet)

    def sound(self, packets: Iterable[tuple[Any, int]]) -> None:
        """Hand out each packet of sound at its `monotonic_ns`."""
        loop = asyncio.get_running_loop()
        for packet, due_ns in packets:
            self._held.append(packet)
            wait_s = max(0.0, min(0.3, (due_ns - time.monotonic_ns()) / 1e9))
            loop.call_later(wait_s, self._sound_next)

    async def close(self) -> None:
        """Let everybody go."""
        viewers, self.viewers = self.viewers, ()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(viewer.close() for viewer in viewers), return_exceptions=True)

    def _sound_next(self) -> None:
        packet = self._held.popleft()  # in order, whatever the timers do
        for viewer in self.viewers:
            viewer.sound.put(packet)

    async def _expect(self, viewer: Viewer) -> None:
        await asyncio.sleep(CONNECT_S)
        if viewer.connection.connectionState != "connected":
            await self._dismiss(viewer)

    async def _dismiss(self, viewer: Viewer) -> None:
        if viewer in self.viewers:
            self.viewers = tuple(v for v in self.viewers if v is not viewer)
            await viewer.close()
            expecting = self._expected.pop(viewer, None)
            if expecting is not None and expecting is not asyncio.current_task():
                expecting.cancel()
            if not self._tidying:
                self._tidying = True
                asyncio.get_running_loop().call_later(TIDY_S, self._tidy)

    def _tidy(self) -> None:
        """Free what viewers have left: 0.4 MB each, in circles that Python would see much later."""
        self._tidying = False
        gc.collect()

    def _soon(self, work: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _video_codec(sdp: str) -> str:
    """Return the name of the first codec of the picture in `sdp`, "" where there is none."""
    line = re.search(r"^m=video [1-9]\d* \S+ (\d+)", sdp, re.MULTILINE)
    if line is None:
        return ""
    name = re.search(rf"^a=rtpmap:{line[1]} (\w+)/", sdp, re.MULTILINE)
    return name[1] if name is not None else ""
