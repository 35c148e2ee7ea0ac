"""A real OBS: what it makes of our stream and of our captions.

OBS runs on a screen of its own (Xvfb) with settings of its own. It takes our RTMP stream as a media
source, streams to nginx itself, and gets captions over obs-websocket. Both are read from what nginx
received: numbers, flashes and beeps from pictures and sound, captions (CEA-608) by FFmpeg.
"""

import asyncio
import json
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from dialogue.ticks import TICKS_PER_S
from render.captions import Caption
from render.sinks.obs_captions import ObsCaptionsSink, answer
from stage.bench.air import figure, servers
from stage.bench.air.slate import FPS, HEIGHT, STEP, WIDTH, Slate, read
from stage.bench.figures import Figure

CAPTIONS = (
    "Good evening, everyone!",
    "I lit 12 lanterns for you,",
    "and one is for a fox.",
    "Is it warm where you are?",
    "Café, naïve, señor: fine.",
    "Tonight we fold paper cranes.",
    "My tail is not for sale.",
    "Good night, sleep well!",
)
EVERY_S = 4.0
"""From one caption to the next."""
SEEN_S = 2.5
"""A caption is on for so long."""
SETTLE_S = 6.0
"""OBS fills the buffers of its media source."""
START_S = 60.0
PASSWORD = "only for this run"

_SLICES = (1, 5)
"""Kinds of H.264's units that hold the picture."""

_PROFILE = """\
[General]
Name=bench
[Output]
Mode=Simple
[SimpleOutput]
VBitrate=2500
ABitrate=128
StreamEncoder=x264
UseAdvanced=true
Preset=ultrafast
[Video]
BaseCX={width}
BaseCY={height}
OutputCX={width}
OutputCY={height}
FPSType=0
FPSCommon={fps}
[Audio]
SampleRate=48000
ChannelSetup=Stereo
"""
_GLOBAL = """\
[General]
FirstRun=true
EnableAutoUpdates=false
LastVersion=486539266
[Basic]
Profile=bench
ProfileDir=bench
SceneCollection=bench
SceneCollectionFile=bench
[OBSWebSocket]
FirstLoad=false
ServerEnabled=true
ServerPort={port}
AlertsEnabled=false
AuthRequired=true
ServerPassword={password}
"""


def missing() -> str:
    """Return why there can be no OBS here, or ""."""
    for program, package in (("obs", "obs-studio"), ("Xvfb", "xvfb"), ("ffmpeg", "ffmpeg")):
        if shutil.which(program) is None:
            return f"no {program} here; install the package `{package}`"
    return servers.nginx()


class Obs:
    """OBS on a screen of its own, streaming to a server; a context manager."""

    def __init__(self, folder: Path, server: str, key: str) -> None:
        """Write its settings into `folder`; it will stream to `server` with `key`."""
        self.port = servers.free_port()
        self._folder = folder
        self._programs: list[subprocess.Popen[bytes]] = []
        home = folder / "obs-studio"
        profile = home / "basic" / "profiles" / "bench"
        profile.mkdir(parents=True)
        (home / "basic" / "scenes").mkdir()
        (home / "global.ini").write_text(_GLOBAL.format(port=self.port, password=PASSWORD), "utf-8")
        (profile / "basic.ini").write_text(
            _PROFILE.format(width=WIDTH, height=HEIGHT, fps=FPS), "utf-8"
        )
        where = {"server": server, "key": key, "use_auth": False}
        (profile / "service.json").write_text(
            json.dumps({"type": "rtmp_custom", "settings": where}), "utf-8"
        )

    def ask(self, kind: str, **data: Any) -> dict[str, Any]:
        """Return OBS's answer to a request of obs-websocket.

        Raises:
            RuntimeError: it refused.
        """
        return asyncio.run(_ask(self.port, kind, data))

    def __enter__(self) -> "Obs":
        read_fd, write_fd = os.pipe()
        self._programs.append(
            subprocess.Popen(
                ["Xvfb", "-displayfd", str(write_fd), "-screen", "0", "1280x720x24", "-nolisten",
                 "tcp"],
                pass_fds=(write_fd,), stderr=subprocess.DEVNULL,
            )
        )  # fmt: skip
        os.close(write_fd)
        with os.fdopen(read_fd) as said:
            display = said.readline().strip()
        environment = {
            **os.environ, "DISPLAY": f":{display}", "XDG_CONFIG_HOME": str(self._folder),
            "HOME": str(self._folder), "QT_QPA_PLATFORM": "xcb", "LIBGL_ALWAYS_SOFTWARE": "1",
        }  # fmt: skip
        log = (self._folder / "obs.log").open("wb")
        self._programs.append(
            subprocess.Popen(
                ["obs", "--multi", "--minimize-to-tray", "--disable-updater",
                 "--disable-missing-files-check", "--profile", "bench", "--collection", "bench"],
                env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )
        )  # fmt: skip
        log.close()
        try:
            servers.until(lambda: servers.listens(self.port), "OBS answers", START_S)
            servers.until(self._answers, "OBS is ready", START_S)
        except TimeoutError:
            self.__exit__(None, None, None)
            raise
        return self

    def _answers(self) -> bool:
        try:
            return bool(self.ask("GetVersion"))
        except (RuntimeError, OSError):
            return False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for program in reversed(self._programs):
            program.send_signal(signal.SIGTERM)
            try:
                program.wait(10)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()


async def _ask(port: int, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    import aiohttp

    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"ws://127.0.0.1:{port}", protocols=("obswebsocket.json",)) as socket,
        asyncio.timeout(servers.WAIT_S),
    ):
        hello = (await socket.receive_json())["d"]["authentication"]
        proof = answer(PASSWORD, hello["salt"], hello["challenge"])
        await socket.send_json(
            {"op": 1, "d": {"rpcVersion": 1, "authentication": proof, "eventSubscriptions": 0}}
        )
        await socket.receive_json()
        request = {"requestType": kind, "requestId": "1", "requestData": data}
        await socket.send_json({"op": 6, "d": request})
        reply: dict[str, Any] = (await socket.receive_json())["d"]
    status = reply["requestStatus"]
    if not status["result"]:
        raise RuntimeError(f"OBS: {kind}: {status.get('comment') or status['code']}")
    found: dict[str, Any] = reply.get("responseData") or {}
    return found


def measure() -> list[Figure]:
    """Push the slate through OBS, with captions, and read what OBS streamed."""
    names = ("OBS, our RTMP as a media source: A/V offset, median", "OBS: captions (CEA-608) right")
    if why := missing():
        return [figure(name, None, "", "report", f"not measured: {why}") for name in names]
    with tempfile.TemporaryDirectory(prefix="bunraku-obs-") as name:
        folder = Path(name)
        film, shown_at, version = _perform(folder)
        seen = read(film)
        captions = servers.captions_in(_messages_first(film))
    lags = []
    for text, number in shown_at.items():
        came = next((at for at, said in captions if said == text), None)
        if came is not None:
            picture = max(
                (n for n, at in zip(seen.numbers, seen.times_s, strict=True) if at <= came),
                default=0,
            )
            lags.append((picture - number) / FPS)
    right = len(lags)
    lost = sum(b - a - 1 for a, b in zip(seen.numbers, seen.numbers[1:], strict=False) if b > a + 1)
    how = (
        f"{version}; {len(seen.offsets_ms)} flashes and beeps in what OBS streamed of what it got "
        f"from us by RTMP; {lost} of {len(seen.numbers)} pictures of ours not in it"
    )
    said = f"{right} of {len(shown_at)} as sent, by FFmpeg from OBS's own stream; {version}"
    offsets = sorted(abs(ms) for ms in seen.offsets_ms)
    return [
        figure(names[0], statistics.median(seen.offsets_ms), "ms", "|x|<= 50", how,
               cell=("obs", "offset")),
        figure("OBS, our RTMP as a media source: greatest offset", offsets[-1], "ms", "report",
               how),
        figure(names[1], right / len(shown_at) * 100, "%", ">= 100", said),
        figure("OBS: a caption against the picture of its word, median",
               statistics.median(lags) if lags else None, "s", "report",
               f"by the number in the picture that OBS streamed when it popped up; negative: the "
               f"caption is early, since the picture goes through two servers; {said}"),
    ]  # fmt: skip


def _perform(folder: Path) -> tuple[Path, dict[str, int], str]:
    """Run server, slate and OBS; return OBS's stream, the picture of each caption, its version."""
    from render.sinks.stream import StreamSink

    (folder / "rtmp").mkdir()
    (folder / "obs").mkdir()
    os.environ["OBS_WEBSOCKET_PASSWORD"] = PASSWORD
    shown_at: dict[str, int] = {}
    with servers.Nginx(folder / "rtmp") as server:
        with (
            Slate(folder, lambda: StreamSink(url=f"{server.url}/show")) as slate,
            Obs(folder / "obs", server.url, "obs") as obs,
        ):
            version = f"OBS {obs.ask('GetVersion')['obsVersion']}"
            obs.ask("CreateScene", sceneName="stage")
            obs.ask(
                "CreateInput", sceneName="stage", inputName="host", inputKind="ffmpeg_source",
                inputSettings={
                    "is_local_file": False, "input": f"{server.url}/show", "buffering_mb": 1,
                    "reconnect_delay_sec": 1, "hw_decode": False,
                },
            )  # fmt: skip
            obs.ask("SetCurrentProgramScene", sceneName="stage")
            obs.ask("StartStream")
            servers.until(
                lambda: obs.ask("GetStreamStatus")["outputActive"], "OBS streams", START_S
            )
            slate.air.add("captions", lambda: ObsCaptionsSink(port=obs.port))
            time.sleep(SETTLE_S)
            for index, text in enumerate(CAPTIONS):
                begin = slate.shown * STEP + TICKS_PER_S // 2
                stop = begin + round(SEEN_S * TICKS_PER_S)
                shown_at[text] = begin // STEP
                slate.air.caption(Caption(begin, stop, (text,), "en", (), (1, index, 0), stop))
                time.sleep(EVERY_S)
            obs.ask("StopStream")
            servers.until(
                lambda: not obs.ask("GetStreamStatus")["outputActive"], "OBS ends", START_S
            )
        film = next(path for path in server.films if path.name.startswith("obs"))
    return film, shown_at, version


def _messages_first(film: Path) -> Path:
    """Return a copy of an FLV in which messages stand before the slices of their picture.

    OBS puts captions behind them, where FFmpeg does not look ("Late SEI is not implemented").
    """
    import av

    copy = film.with_suffix(".mkv")
    with av.open(str(film)) as made, av.open(str(copy), "w") as ordered:
        stream = ordered.add_stream_from_template(made.streams.video[0])
        for packet in made.demux(video=0):
            if packet.pts is None:
                continue
            data, units, at = bytes(packet), [], 0
            while at + 4 < len(data):
                end = at + 4 + int.from_bytes(data[at : at + 4], "big")
                units.append(data[at:end])
                at = end
            units.sort(key=lambda unit: unit[4] & 31 in _SLICES)
            moved = av.Packet(b"".join(units))
            moved.pts, moved.dts, moved.time_base = packet.pts, packet.dts, packet.time_base
            moved.is_keyframe, moved.stream = packet.is_keyframe, stream
            ordered.mux(moved)
    return copy


PARTS: dict[str, tuple[str, Callable[[], list[Figure]]]] = {
    "obs": ("a real OBS: our stream as its source, our captions in its stream", measure),
}
