"""WHIP as a server gets it: picture and sound decoded, and put together by the sender's reports.

RTP gives picture and sound a clock each; what ties them together are the sender's reports, which
every server and browser goes by. A server of aiortc takes a film that is pushed in real time, and
what it got is looked at by the detector that measures films, on the clock of those reports: so the
figure is of what our side says, and not of how well the receiver's own machine keeps up.
"""

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtcpSrPacket

from dialogue.ticks import TICKS_PER_S, Ticks
from render.frames import VideoFrame
from stage.bench import lines, offset
from stage.bench.air import figure
from stage.bench.air.whip_endpoint import application
from stage.bench.figures import Figure
from stage.bench.processes import apart
from stage.config import Show

FPS = 30
STEP: Ticks = TICKS_PER_S // FPS
SETTLE_S = 3.0
"""The first picture stands so long, in silence."""
REST_S = 0.5
"""Silence before each word."""
NEAR_S = 0.02
"""A word of the film and one received are the same when they are so close."""

Box = tuple[int, int, int, int]


class _Track:
    """What came of picture or sound: its own times, and the reports on them."""

    def __init__(self, clock_hz: int) -> None:
        self.times: list[float] = []
        self.shown: list[npt.NDArray[Any]] = []
        self.reports: list[float] = []
        """Of each report: the sender's wall clock less the track's own time, in seconds."""
        self._clock_hz = clock_hz

    def watch(self, receiver: Any) -> None:
        """Note the reports that `receiver` gets."""
        taken = receiver._handle_rtcp_packet

        async def handle(packet: Any) -> None:
            await taken(packet)
            # Where the receiver's count of time began; aiortc hands out no reports.
            origin = receiver._RTCRtpReceiver__timestamp_mapper._origin
            if isinstance(packet, RtcpSrPacket) and origin is not None:
                about = packet.sender_info
                passed = (about.rtp_timestamp - origin + (1 << 31)) % (1 << 32) - (1 << 31)
                self.reports.append(about.ntp_timestamp / (1 << 32) - passed / self._clock_hz)

        receiver._handle_rtcp_packet = handle

    @property
    def zero_s(self) -> float:
        """The sender's wall clock at time 0 of this track."""
        if not self.reports:
            raise offset.OffsetError("no report of the sender came")
        return statistics.median(self.reports)


class Receiver:
    """A server that keeps what it gets: all sound, and one place of each picture."""

    def __init__(self, box: Box) -> None:
        """Prepare to watch `box`: x, y, width, height, in pixels."""
        self._box = box
        self.picture, self.sound = _Track(90_000), _Track(48_000)
        self._connection: Any = None
        self._reading: list[asyncio.Task[None]] = []

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Be a WHIP endpoint; gives its address."""
        runner = web.AppRunner(application(self._answer), access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/whip"
        finally:
            for task in self._reading:
                task.cancel()
            await asyncio.gather(*self._reading, return_exceptions=True)
            if self._connection is not None:
                await self._connection.close()
            await runner.cleanup()

    def offsets(self) -> offset.Offsets:
        """Return the offsets of what came, in the sender's own time.

        Raises:
            OffsetError: nothing came, or no sound goes with a movement.
        """
        if not self.picture.times or not self.sound.times:
            raise offset.OffsetError("nothing was received")
        first_s = self.sound.times[0]
        places = [round((at - first_s) * offset.RATE_HZ) for at in self.sound.times]
        heard = np.zeros(places[-1] + len(self.sound.shown[-1]), np.float32)
        for place, block in zip(places, self.sound.shown, strict=True):
            heard[place : place + len(block)] = block
        # Seconds since 1900 leave too few digits for samples: the picture's time 0 is the zero.
        apart_s = self.sound.zero_s - self.picture.zero_s
        return offset.compare(
            heard, first_s + apart_s, np.array(self.picture.times), np.stack(self.picture.shown)
        )

    def unrest_ms(self) -> float:
        """Return how far 95 % of the reports say the same offset, either way."""
        off = [
            abs(said - track.zero_s) * 1e3
            for track in (self.picture, self.sound)
            for said in track.reports
        ]
        return float(np.percentile(off, 95))

    async def _answer(self, offer: str) -> str:
        connection = self._connection = RTCPeerConnection()

        def came(track: Any) -> None:
            ours, read = (
                (self.picture, self._look) if track.kind == "video" else (self.sound, self._hear)
            )
            for transceiver in connection.getTransceivers():
                if transceiver.receiver.track is track:
                    ours.watch(transceiver.receiver)
            self._reading.append(asyncio.ensure_future(read(track)))

        connection.on("track", came)
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await connection.setLocalDescription(await connection.createAnswer())
        return str(connection.localDescription.sdp)

    async def _look(self, track: Any) -> None:
        x, y, width, height = self._box
        small = (min(width, offset.SMALL_PX), min(height, offset.SMALL_PX))
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                grey = np.frombuffer(frame.planes[0], np.uint8)
                grey = grey.reshape(-1, frame.planes[0].line_size)[y : y + height, x : x + width]
                self.picture.times.append(float(frame.pts * frame.time_base))
                self.picture.shown.append(cv2.resize(grey, small, interpolation=cv2.INTER_AREA))

    async def _hear(self, track: Any) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                both = frame.to_ndarray().reshape(-1, len(frame.layout.channels))
                self.sound.times.append(float(frame.pts * frame.time_base))
                self.sound.shown.append(both[:, 0].astype(np.float32) / 32767)


def whip() -> list[Figure]:
    """A/V offset of a speaking host as WHIP brings it to Chromium, beside the film pushed."""
    from dialogue.messages import Utterance
    from stage.bench.loop import _folder, _mouth_area, _speaker
    from stage.film import shoot

    show = Show()
    film = _folder() / "whip.mp4"
    last = len(lines.ONSETS) - 1
    words = [
        Utterance(1, index, word, "en", final=index == last)
        for index, word in enumerate(lines.ONSETS)
    ]
    shoot(show, _speaker(), words, film, rests=dict.fromkeys(range(last + 2), REST_S))
    box = _mouth_area()
    sent = offset.measure(film, box)

    receiver = Receiver(box)

    async def run() -> None:
        async with receiver.serving() as url:
            await asyncio.to_thread(apart, _push, film, url)

    asyncio.run(run())
    got = receiver.offsets()
    added = np.array(_added(sent, got))
    how = (
        f"{got.n} words of the default host and voice that begin with a vowel, 720p30, pushed in "
        f"real time, decoded by aiortc and put together by {len(receiver.picture.reports)} and "
        f"{len(receiver.sound.reports)} sender's reports; {got.missed} not seen; the film itself: "
        f"{sent.median_ms:.1f} ms, 99 % within {sent.p99_ms:.1f} ms"
    )
    found = [
        figure("A/V offset, WHIP into aiortc, median", got.median_ms, "ms", "|x|<= 10", how,
               cell=("whip", "offset")),
        figure("A/V offset, WHIP into aiortc, 99 % within", got.p99_ms, "ms", "<= 33.4", how,
               cell=("whip", "p99")),
        figure("WHIP: unrest of the sender's reports, 95 %", receiver.unrest_ms(), "ms", "report",
               f"how far one report says another offset than all of them; {how}"),
    ]  # fmt: skip
    if len(added):
        how = f"{len(added)} words, each against itself in the film pushed; {how}"
        found += [
            figure("A/V offset added by WHIP, median", float(np.median(added)), "ms", "|x|<= 10",
                   how),
            figure("A/V offset added by WHIP, 99 % within",
                   float(np.percentile(np.abs(added), 99)), "ms", "<= 33.4", how),
        ]  # fmt: skip
    return found


def _added(sent: offset.Offsets, got: offset.Offsets) -> list[float]:
    """Return how much the offset of each opening has grown on its way, in milliseconds."""
    there = [m for m in sent.moments if m.kind == "opening"]
    here = [m for m in got.moments if m.kind == "opening"]
    best: list[float] = []
    for first in there[:8]:
        for begin in here[:8]:
            way_s = begin.sound_s - first.sound_s
            pairs = [
                one.offset_ms - other.offset_ms
                for other in there
                for one in here
                if abs(one.sound_s - other.sound_s - way_s) < NEAR_S
            ]
            best = max(best, pairs, key=len)
    return best


def _push(connection: Connection, film: Path, url: str) -> None:
    """Push a film by WHIP in real time, its sound mixed ahead as the body does it."""
    import av

    from render.air import Air
    from render.sinks.whip import WhipSink
    from stage.bench.air import servers
    from stage.body import AUDIO_LEAD

    with av.open(str(film)) as made:
        blocks = [(f.pts * f.time_base, f.to_ndarray()[0]) for f in made.decode(audio=0)]
    with av.open(str(film)) as made:
        stream = made.streams.video[0]
        air = Air(width=stream.width, height=stream.height, fps=FPS)
        sink = WhipSink(url=url)
        air.add("whip", lambda: sink)
        servers.until(
            lambda: air.status()[0].state == "live" and not sink.trouble, "WHIP is on air"
        )
        pixels = np.zeros((stream.height, stream.width, 4), np.uint8)
        still = round(SETTLE_S * FPS)
        first = still * STEP + round(blocks[0][0] * TICKS_PER_S)
        sound = np.concatenate([np.zeros(first, np.float32), *(block for _, block in blocks)])
        begun, k, mixed = time.monotonic(), 0, 0
        for shown in made.decode(video=0):
            i420 = shown.to_ndarray()
            for _ in range(1 if k else still + 1):
                time.sleep(max(0.0, begun + k / FPS - time.monotonic()))
                until = (k + 1) * STEP + AUDIO_LEAD
                block = sound[mixed:until]
                air.audio(mixed, np.pad(block, (0, until - mixed - len(block))))
                mixed = until
                air.video(VideoFrame(k * STEP, k, pixels, i420))
                k += 1
        time.sleep(1.0)  # what is under way is still to be seen
    air.close()
    connection.send(True)


PARTS: dict[str, tuple[str, Callable[[], list[Figure]]]] = {
    "whip": ("WHIP into a server: A/V offset as received", whip),
}
"""Name -> description and measurement."""
