"""Streams to servers, as they were received: sync, reconnects, what they cost, whom they disturb.

The servers are nginx with its RTMP module and FFmpeg, which write down what they get; the offset is
taken from those films. Where servers come and go, the pictures carry their number as a bar code, so
that what is missing is counted in what came out.
"""

import asyncio
import contextlib
import itertools
import multiprocessing
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from render.air import Air
from render.frames import VideoFrame
from stage.bench import lines, offset
from stage.bench.air import figure, servers
from stage.bench.air.gaps import gaps
from stage.bench.air.slate import FPS, STEP, Seen, Slate, read
from stage.bench.air.stand_ins import RecitingModel
from stage.bench.figures import Figure
from stage.bench.processes import apart
from stage.config import LLM, Show, Web

WORDS = 32
"""Words of the host whose onsets are measured."""
RESTARTS = 10
FROZEN_S = 15.0
"""A server that hangs does so for so long."""
COST_S = 15.0
"""What a sink costs is measured for so long, at 720p30."""


class OnsetModel(RecitingModel):
    """Says words that begin with a vowel, one an answer."""

    lines: ClassVar[tuple[str, ...]] = lines.ONSETS


# A real host ------------------------------------------------------------------------------------


def sync() -> list[Figure]:
    """A/V offset of a speaking host as RTMP, SRT and HLS bring it, beside the film."""
    missing = servers.nginx() or servers.ffmpeg("srt")
    if missing:
        return [figure("streams: A/V offset", None, "ms", "|x|<= 10", missing)]
    from stage.bench.loop import _mouth_area

    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="bunraku-streams-") as name:
        folder = Path(name)
        apart(_run_show, folder)
        subprocess.run(
            ["ffmpeg", "-v", "error", "-y", "-live_start_index", "0",
             "-i", str(folder / "hls" / "index.m3u8"), "-c", "copy", str(folder / "hls.mkv")],
            check=True, timeout=120,
        )  # fmt: skip
        for label, way, film in (
            ("the film beside them", "", folder / "film.mp4"),
            ("RTMP through nginx", "rtmp", next(folder.glob("rtmp/*.flv"))),
            ("SRT into FFmpeg", "srt", folder / "srt.ts"),
            ("HLS played by FFmpeg", "hls", folder / "hls.mkv"),
        ):
            seen = offset.measure(film, _mouth_area())
            whole = gaps(film, FPS)
            how = (
                f"{seen.n} words of the default host and voice that begin with a vowel, as "
                f"received, 720p30; {seen.missed} not seen; {whole.lost} of "
                f"{whole.frames + whole.lost} pictures missing, {whole.sound_gaps} gaps in the "
                "sound; all four at once"
            )
            found += [
                figure(f"A/V offset, {label}, median", seen.median_ms, "ms", "|x|<= 10", how,
                       cell=(way, "offset" * bool(way))),
                figure(f"A/V offset, {label}, 99 % within", seen.p99_ms, "ms", "<= 33.4", how,
                       cell=(way, "p99" * bool(way))),
            ]  # fmt: skip
    return found


def _run_show(connection: Connection, folder: Path) -> None:
    from stage.bench.loop import _settled
    from stage.house import House

    (folder / "rtmp").mkdir()
    port = servers.free_port(socket.SOCK_DGRAM)
    here = "stage.bench.air.streams:OnsetModel"

    async def run(rtmp: str) -> None:
        house = House(
            Show(web=Web(port=0), llm=LLM(engine=here)), title="bench", theme={}, page=False
        )
        await house.start()
        try:
            await asyncio.wait_for(house.ready("body"), 60)
            await asyncio.wait_for(house.ready("mind"), 300)
            await _settled(house)
            house.add_sink("film", "file", {"path": str(folder / "film.mp4")})
            house.add_sink("rtmp", "stream", {"url": f"{rtmp}/show"})
            house.add_sink("srt", "stream", {"url": f"srt://127.0.0.1:{port}"})
            house.add_sink("hls", "hls", {"folder": str(folder / "hls"), "window": 1000})
            await asyncio.sleep(3.0)
            for number in range(WORDS):
                _, done = house.line(f"And number {number}?", author="Mika", source="bench")
                await asyncio.wait((done,), timeout=60)
                await asyncio.sleep(0.6)
            await asyncio.sleep(2.0)
        finally:
            await house.close()

    listening = f"srt://127.0.0.1:{port}?mode=listener"
    with servers.Nginx(folder / "rtmp") as nginx, servers.Listener(listening, folder / "srt.ts"):
        asyncio.run(run(nginx.url))
        time.sleep(1.0)
    connection.send(True)


# Servers that come and go -----------------------------------------------------------------------


def restarts() -> list[Figure]:
    """Servers killed and started again, and one that hangs: reconnects, gap, offset, the film."""
    found: list[Figure] = []
    if missing := servers.nginx():
        return [figure("RTMP server restarted: reconnects", None, "", ">= 10", missing)]
    with tempfile.TemporaryDirectory(prefix="bunraku-streams-") as name:
        found += _rtmp_restarts(Path(name))
    with tempfile.TemporaryDirectory(prefix="bunraku-streams-") as name:
        found += _frozen(Path(name))
    if not servers.ffmpeg("srt"):
        with tempfile.TemporaryDirectory(prefix="bunraku-streams-") as name:
            found += _srt_restarts(Path(name))
    return found


def _rtmp_restarts(folder: Path) -> list[Figure]:
    from render.sinks.stream import StreamSink

    (folder / "rtmp").mkdir()
    server = servers.Nginx(folder / "rtmp")
    away = []
    with server, Slate(folder, lambda: StreamSink(url=f"{server.url}/show")) as slate:
        servers.until(lambda: slate.sending, "connected")
        time.sleep(3.0)
        for _ in range(RESTARTS):
            at = time.monotonic()
            server.kill()
            servers.until(lambda: not slate.sending, "the loss is seen")
            server.start()
            away.append(time.monotonic() - at)
            servers.until(lambda: slate.sending, "connected again", 60)
            time.sleep(3.0)
        reconnects = slate.sink.note
    seen = [read(film) for film in server.films]
    return _restart_figures("RTMP", seen, away, slate, reconnects)


def _srt_restarts(folder: Path) -> list[Figure]:
    from render.sinks.stream import StreamSink

    port = servers.free_port(socket.SOCK_DGRAM)
    films = [folder / f"srt-{n}.ts" for n in range(4)]
    listening = f"srt://127.0.0.1:{port}?mode=listener"
    away = []
    with Slate(folder, lambda: StreamSink(url=f"srt://127.0.0.1:{port}")) as slate:
        for film in films:
            at = time.monotonic()
            with servers.Listener(listening, film):
                servers.until(lambda: slate.sending, "connected", 60)
                away.append(time.monotonic() - at)
                time.sleep(4.0)
            servers.until(lambda: not slate.sending, "the loss is seen", 30)
        reconnects = slate.sink.note
    return _restart_figures("SRT", [read(film) for film in films], away[1:], slate, reconnects)


def _restart_figures(
    kind: str, seen: list[Seen], away: list[float], slate: Slate, note: str
) -> list[Figure]:
    between = [
        (after.numbers[0] - before.numbers[-1]) / FPS
        for before, after in itertools.pairwise(seen)
        if before.numbers and after.numbers
    ]
    later = [ms for one in seen[1:] for ms in one.offsets_ms]
    inside = sum(b - a - 1 for one in seen for a, b in itertools.pairwise(one.numbers) if b > a + 1)
    how = (
        f"{len(away)} restarts, each server killed; gaps counted by the numbers in the pictures "
        f"received; the sink said: {note}"
    )
    return [
        figure(
            f"{kind} server restarted: streams received after it", float(len(between)), "",
            f">= {len(away)}", how,
        ),
        figure(
            f"{kind} server restarted: longest gap", max(between, default=0.0), "s", "report",
            f"from the last picture received to the next; median {statistics.median(between):.2f} "
            f"s; the server was away for {max(away):.2f} s at most; {how}",
            cell=(kind.lower(), "gap"),
        ),
        figure(
            f"{kind} server restarted: offset after it, median",
            statistics.median(later) if later else None, "ms", "|x|<= 10",
            f"{len(later)} flashes and beeps, all within "
            f"{max(map(abs, later), default=0):.1f} ms; {how}",
            cell=(kind.lower(), "after"),
        ),
        figure(f"{kind} server restarted: pictures missing in streams", inside, "", "<= 0", how),
        figure(
            f"{kind} server restarted: pictures lost by the film beside",
            slate.lost_by_film(), "", "<= 0", f"{slate.shown} shown; {how}",
            cell=(kind.lower(), "others"),
        ),
    ]  # fmt: skip


def _frozen(folder: Path) -> list[Figure]:
    from render.sinks.stream import StreamSink

    (folder / "rtmp").mkdir()
    server = servers.Nginx(folder / "rtmp")
    with server, Slate(folder, lambda: StreamSink(url=f"{server.url}/show")) as slate:
        servers.until(lambda: slate.sending, "connected")
        time.sleep(2.0)
        server.freeze(True)
        time.sleep(FROZEN_S)
        server.freeze(False)
        time.sleep(3.0)
        states = {s.name: s.dropped for s in slate.air.status()}
    return [
        figure(
            "RTMP server that hangs: pictures lost by the film beside", slate.lost_by_film(), "",
            "<= 0",
            f"{slate.shown} shown; the server stopped for {FROZEN_S:.0f} s with its connection "
            f"open; the film's queue dropped {states['film']}",
            cell=("rtmp", "others"),
        )
    ]  # fmt: skip


# What they cost ---------------------------------------------------------------------------------


def cost() -> list[Figure]:
    """CPU of each way out, at 720p30, the drawing not counted."""
    from stage.bench.loop import _folder, _speaker  # the film comes from the same voices

    if missing := servers.nginx() or servers.ffmpeg("srt"):
        return [figure("CPU of a sink", None, "%", "report", missing)]
    from dialogue.sentences import split
    from stage.film import shoot

    path = _folder() / "cost.mp4"
    shoot(Show(), _speaker(), split(lines.FILM, language="en")[:3], path)
    found = []
    none_s: float = apart(_weigh, path, "none", "")
    how = (
        f"process CPU over {COST_S:.0f} s of a speaking host at 720p30 in real time, less a run "
        f"with no sink ({100 * none_s / COST_S:.1f} %); servers are other processes"
    )
    for kind in ("file", "page", "rtmp", "srt", "hls", "whip"):
        with _receiver(kind) as where:
            used_s = apart(_weigh, path, kind, where)
        found.append(
            figure(f"CPU of the sink: {kind}", 100 * (used_s - none_s) / COST_S, "% of a core",
                   "report", how, cell=({"file": "mp4"}.get(kind, kind), "cpu"))
        )  # fmt: skip
    return found


@contextlib.contextmanager
def _receiver(kind: str) -> Iterator[str]:
    """Run what takes a stream of `kind`; yields its address or folder."""
    with tempfile.TemporaryDirectory(prefix="bunraku-streams-") as name:
        folder = Path(name)
        match kind:
            case "rtmp":
                with servers.Nginx(folder) as nginx:
                    yield f"{nginx.url}/show"
            case "srt":
                port = servers.free_port(socket.SOCK_DGRAM)
                with servers.Listener(f"srt://127.0.0.1:{port}?mode=listener", folder / "got.ts"):
                    yield f"srt://127.0.0.1:{port}"
            case "whip":
                port = servers.free_port()
                endpoint = subprocess.Popen(
                    [sys.executable, "-m", "stage.bench.air.whip_endpoint", str(port)]
                )
                try:
                    servers.until(lambda: servers.listens(port), "the endpoint listens")
                    yield f"http://127.0.0.1:{port}/whip"
                finally:
                    endpoint.kill()
                    endpoint.wait()
            case _:
                yield str(folder)


def _weigh(connection: Connection, film: Path, kind: str, where: str) -> None:
    """Send the CPU seconds that `COST_S` of show take with one sink; in its own process."""
    import av

    from render.sinks.file import FileSink
    from render.sinks.hls import HlsSink
    from render.sinks.stream import StreamSink
    from render.sinks.webrtc import WebRTCSink
    from render.sinks.whip import WhipSink

    with av.open(str(film)) as made:
        pictures = [f.to_ndarray() for f in itertools.islice(made.decode(video=0), 120)]
    height, width = pictures[0].shape[0] * 2 // 3, pictures[0].shape[1]
    with av.open(str(film)) as made:
        sound = np.concatenate([f.to_ndarray()[0] for f in made.decode(audio=0)])
    make: dict[str, Callable[[], Any]] = {
        "file": lambda: FileSink(path=Path(where) / "film.mp4"),
        "rtmp": lambda: StreamSink(url=where),
        "srt": lambda: StreamSink(url=where),
        "hls": lambda: HlsSink(folder=where),
        "whip": lambda: WhipSink(url=where),
        "page": WebRTCSink,
    }
    air = Air(width=width, height=height, fps=FPS)
    if kind != "none":
        sink = make[kind]()
        air.add(kind, lambda: sink)
        servers.until(
            lambda: air.status()[0].state == "live" and not getattr(sink, "trouble", ""),
            f"{kind} is on air",
        )
        if isinstance(sink, WebRTCSink) and kind == "page":
            _seat(sink)
    begun, used = time.monotonic(), time.process_time()
    there_and_back = [*pictures, *reversed(pictures)]
    pixels = np.zeros((height, width, 4), np.uint8)
    for k in range(round(COST_S * FPS)):
        at = k * STEP % max(1, len(sound) - STEP)
        air.audio(k * STEP, sound[at : at + STEP])
        i420 = there_and_back[k % len(there_and_back)]
        air.video(VideoFrame(k * STEP, k, pixels, i420))
        time.sleep(max(0.0, begun + (k + 1) / FPS - time.monotonic()))
    connection.send(time.process_time() - used)
    air.close()


def _seat(sink: Any) -> None:
    """Let a viewer, a process of its own, watch `sink`; it ends with this process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    context.Process(target=_view, args=(theirs,), daemon=True).start()
    ours.send(sink.answer(ours.recv(), "offer"))
    servers.until(sink._house.wanted, "the viewer watches")


def _view(connection: Connection) -> None:
    """Watch: send an offer, take the answer, and swallow what comes."""
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
    from aiortc.contrib.media import MediaBlackhole

    async def view() -> None:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        hole = MediaBlackhole()
        peer.on("track", hole.addTrack)
        for kind in ("audio", "video"):
            peer.addTransceiver(kind, direction="recvonly")
        await peer.setLocalDescription(await peer.createOffer())
        connection.send(peer.localDescription.sdp)
        await peer.setRemoteDescription(RTCSessionDescription(*connection.recv()))
        await hole.start()
        await asyncio.Event().wait()

    asyncio.run(view())


PARTS: dict[str, tuple[str, Callable[[], list[Figure]]]] = {
    "streams": ("streams to RTMP, SRT and HLS: A/V offset as received", sync),
    "reconnects": ("servers restarted and hanging: gaps, offset after, the film beside", restarts),
    "stream-cost": ("CPU of each way out", cost),
}
