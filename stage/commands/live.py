"""Run a show: the host on the stage page, answering chat.

  bunraku live                                    open the printed address and talk
  bunraku live --script lines.txt --record show.mp4
                                                  play timed chat lines and film the show
  bunraku live --record show.mkv --split 30min    in parts of half an hour: show-001.mkv, ...
  bunraku live --camera                           also be a webcam, and play the sound beside it
  bunraku live --camera --device "VB-Cable"       the same for a call: the sound into a cable
  bunraku live --size portrait --fullscreen       on this machine's screen, without a browser
  bunraku live --music ~/Music/calm                with music that steps back when the host speaks
  bunraku live --push 'rtmp://live.twitch.tv/app/{TWITCH_KEY}'
                                                  stream it; the key is read from the environment
  bunraku live --screens                          also for other screens, which open /screen
  bunraku live --llm http://localhost:11434/v1 --model llama3.2
                                                  let your own server think

A script has one line each: `0:05 Mika: Hi!`, `+3 Mika: And you?` (seconds after the line before),
or `> Mika: ...` (as soon as the answer before has ended).
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

import msgspec

from stage import screens, wire
from stage.commands.say import SIZE_HELP, settings
from stage.config import LLM, ConfigError, Show, SinkTable

TAIL_S = 2.0
"""A scripted show goes on this long after its last answer."""


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("character", nargs="?", help="name or folder of the host (default: kohaku)")
    parser.add_argument("--config", type=Path, help="a show.toml")
    parser.add_argument("--scene", help="scene of the character, `transparent` or `chroma`")
    parser.add_argument("--size", default="", help=SIZE_HELP)
    parser.add_argument("--fps", type=int, help="24, 25, 30, 50 or 60")
    parser.add_argument("--port", type=int, help="port of the stage page (default: 8008)")
    parser.add_argument("--script", type=Path, help="a file of timed chat lines; ends with them")
    parser.add_argument(
        "--record", type=Path, metavar="FILM", help="film the show: an .mp4 or .mkv, with captions"
    )
    parser.add_argument(
        "--split", metavar="LENGTH", help="film in parts: such as 30min, 2h or 900MB each"
    )
    parser.add_argument("--no-captions", action="store_true", help="film without captions")
    parser.add_argument(
        "--camera",
        action="store_true",
        help="feed the virtual camera, and play the sound in time with it",
    )
    parser.add_argument("--window", action="store_true", help="show it on this machine, with sound")
    parser.add_argument("--fullscreen", action="store_true", help="the window fills its monitor")
    parser.add_argument("--monitor", type=int, help="the window's monitor, from 1")
    parser.add_argument("--speakers", action="store_true", help="play the sound on this machine")
    parser.add_argument(
        "--device",
        metavar="NAME",
        help="play the sound on this device (a name or number from `bunraku doctor`), such as a "
        "virtual cable that a call listens to",
    )
    parser.add_argument(
        "--cable",
        action="store_true",
        help="play the sound into the virtual cable that `bunraku cable` makes",
    )
    parser.add_argument(
        "--push",
        metavar="URL",
        action="append",
        default=[],
        help="stream to rtmp://, rtmps://, srt:// or https:// (WHIP); {NAME} in it is the "
        "environment variable that holds the stream key; may be given several times",
    )
    parser.add_argument(
        "--screens", action="store_true", help="play the show on other screens at /screen (HLS)"
    )
    parser.add_argument("--music", type=Path, metavar="FOLDER", help="music behind the voice")
    parser.add_argument("--llm", metavar="URL", help="an OpenAI-compatible server, such as .../v1")
    parser.add_argument("--model", help="the server's model, a catalogue name, or a GGUF file")
    parser.add_argument("--timings", type=Path, help="write each turn's time marks as JSON lines")


def run(arguments: argparse.Namespace) -> int:
    """Run the show until its script or the operator ends it."""
    show = _show(arguments)
    lines = None
    if arguments.script is not None:
        from stage import script

        lines = script.read(arguments.script)
    marks: list[dict[str, Any]] = []
    try:
        with tempfile.TemporaryDirectory(prefix="bunraku-screens-") as folder:
            if arguments.screens and screens.folder(show) is None:
                table = SinkTable("hls", {"folder": folder})
                show = msgspec.structs.replace(show, sinks={**show.sinks, "screens": table})
            asyncio.run(_live(show, lines, marks))
    finally:
        if arguments.timings is not None:
            text = "".join(json.dumps(m, ensure_ascii=False) + "\n" for m in marks)
            arguments.timings.write_text(text, "utf-8")
    return 0


def _show(arguments: argparse.Namespace) -> Show:
    show = settings(arguments)
    sinks = dict(show.sinks)
    if arguments.record is not None:
        if not arguments.record.parent.is_dir():
            raise ConfigError(f"{arguments.record}: no folder {arguments.record.parent}; make it")
        if arguments.record.suffix.lower() not in (".mp4", ".mkv"):
            name = arguments.record.with_suffix(".mp4").name
            raise ConfigError(f"{arguments.record}: films are .mp4 or .mkv; call it {name}")
        path = str(arguments.record.resolve())
        options = {"path": path, "overwrite": False, "captions": not arguments.no_captions}
        sinks["record"] = SinkTable("file", {**options, **_split(arguments.split)})
    elif arguments.split:
        raise ConfigError("--split needs --record FILM: what is split is the film")
    if arguments.camera:
        sinks.setdefault("camera", SinkTable("camera", {}))
    window = arguments.window or arguments.fullscreen or arguments.monitor is not None
    if window:
        table: dict[str, Any] = {"fullscreen": arguments.fullscreen}
        if arguments.monitor is not None:
            table["monitor"] = arguments.monitor
        sinks["window"] = SinkTable("window", table)
    if arguments.device:
        number = arguments.device.isdigit()  # PortAudio knows its devices by number too
        device = int(arguments.device) if number else arguments.device
        sinks["speakers"] = SinkTable("device", {"device": device})
    elif arguments.camera or arguments.speakers or window:
        sinks.setdefault("speakers", SinkTable("device", {}))
    if arguments.cable:
        sinks["cable"] = SinkTable("device", {**_cable()})
    sinks |= _pushes(arguments.push)
    llm = show.llm
    if arguments.llm:
        if not arguments.model:
            raise ConfigError("--llm needs --model, the name of a model that the server has")
        llm = msgspec.structs.replace(
            llm, engine="openai", options={"base_url": arguments.llm, "model": arguments.model}
        )
    elif arguments.model:
        llm = LLM(engine="llama", options={"model": arguments.model})
    music = show.music
    if arguments.music is not None:
        if not arguments.music.exists():
            raise ConfigError(f"{arguments.music}: no such file or folder of music; check the path")
        music = msgspec.structs.replace(music, path=str(arguments.music.resolve()))
    web = show.web
    if arguments.port is not None:
        web = msgspec.structs.replace(web, port=arguments.port)
    return msgspec.structs.replace(show, sinks=sinks, llm=llm, web=web, music=music)


def _cable() -> dict[str, str]:
    """Return the sound sink's keywords for the virtual cable.

    Raises:
        EngineError: it is not there, and could be.
    """
    from dialogue.plugins import EngineError
    from stage import cables

    if sys.platform.startswith("linux") and not cables.find():
        raise EngineError("--cable: there is no cable yet; `bunraku cable` makes it")
    return cables.options(sys.platform)


def _lesson(show: Show) -> str:
    """Return how others see and hear the host through this machine's devices, or ""."""
    engines = {sink.engine: sink.options.get("device") for sink in show.sinks.values()}
    if "camera" not in engines:
        return ""
    picture = engines["camera"] or ("Bunraku" if sys.platform == "linux" else "OBS Virtual Camera")
    if "device" not in engines:
        return (
            f"camera: choose {picture} in Zoom, Teams, Discord or OBS; it has no sound of its own"
        )
    heard = engines["device"]
    sound = (
        f"the sound is on {heard}, in time with it"
        if heard is not None
        else "the sound is on this machine's loudspeakers, in time with it; a call hears it "
        "through a virtual cable: --device NAME (docs/camera.md)"
    )
    return f"camera: choose {picture} in Zoom, Teams, Discord or OBS; {sound}"


_UNITS = {"s": 1 / 60, "min": 1.0, "h": 60.0, "mb": 1.0, "gb": 1000.0}
"""What a number may be followed by: minutes, or megabytes, in it."""


def _split(text: str | None) -> dict[str, float]:
    """Return the file sink's keyword for `--split`."""
    if not text:
        return {}
    number, unit = re.fullmatch(r"([\d.]*)\s*(.*)", text.strip().lower(), re.DOTALL).groups()  # type: ignore[union-attr]
    try:
        length = float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        length = 0.0
    if length <= 0:
        raise ConfigError(f"--split {text}: write a length such as 30min, 2h, 900MB or 4GB")
    return {"split_mb" if unit in ("mb", "gb") else "split_min": length}


TOKEN = "BUNRAKU_WHIP_TOKEN"
"""Environment variable with the bearer token of `--push https://...`."""


def _pushes(urls: list[str]) -> dict[str, SinkTable]:
    """Return a stream for each address.

    Raises:
        EngineUnavailable: an address is wrong, or its variable is not set.
    """
    sinks: dict[str, SinkTable] = {}
    for n, url in enumerate(urls, 1):
        # Made once here: what is wrong is better said now than on air.
        if url.startswith(("http://", "https://")):
            from render.sinks.whip import WhipSink

            token: dict[str, Any] = {"token_env": TOKEN} if os.environ.get(TOKEN) else {}
            table = SinkTable("whip", {"url": url, **token})
            WhipSink(url=url, **token)
        else:
            from render.sinks.stream import StreamSink

            table = SinkTable("stream", {"url": url})
            StreamSink(url=url)
        sinks[f"push{n}" if n > 1 else "push"] = table
    return sinks


async def _live(show: Show, lines: list[Any] | None, marks: list[dict[str, Any]]) -> None:
    from dialogue.character import load_character
    from stage import folders
    from stage.house import House

    character = load_character(folders.character(show.character))
    begun = time.monotonic()
    chosen: dict[int, wire.Chosen] = {}
    pulses: deque[wire.Pulse] = deque(maxlen=1)

    def watch(message: wire.Message) -> None:
        match message:
            case wire.Chosen():
                chosen[message.turn] = message
            case wire.Pulse():
                pulses.append(message)
            case wire.Quit():
                over.set()
            case wire.Done():
                line = chosen.pop(message.turn, None)
                marks.append(
                    {
                        "turn": message.turn,
                        "author": line.author if line else "",
                        "text": line.text if line else "",
                        "heard": message.heard,
                        "marks": message.marks,
                        "work": msgspec.to_builtins(message.work),
                    }
                )
                if lines is not None:
                    name = f"{line.author}: {line.text}" if line else ""
                    _print(f"  {name}\n    {character.display_name}: {message.heard}")

    house = House(
        show,
        title=character.display_name,
        theme=character.theme,
        watch=watch,
        style=character.captions,
    )
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt serves
            loop.add_signal_handler(number, over.set)
    await house.start()
    try:
        _print(f"{character.display_name} is on {house.address}   (Ctrl+C ends the show)")
        if screens.folder(show) is not None:
            _print(f"other screens: {house.address}screen")
        await _first(house.ready("body"), over)
        _print(f"on air after {time.monotonic() - begun:.1f} s; waking up ...")
        if lesson := _lesson(show):
            _print(lesson)
        await _first(house.ready("mind"), over)
        if not over.is_set():
            _print(f"ready to answer after {time.monotonic() - begun:.1f} s")
        if lines is None:
            await over.wait()
        else:
            await _first(_play(house, lines), over)
    finally:
        await house.close()
        for last in pulses:
            _print(
                f"{last.frames} frames: {last.late} late, {last.dropped} dropped; "
                f"the voice ran dry {_times(last.underruns)}"
            )


def _times(count: int) -> str:
    return {0: "never", 1: "once"}.get(count, f"{count} times")


async def _first(work: Any, over: asyncio.Event) -> None:
    """Wait for `work`, or for the operator who ends the show."""
    task = asyncio.ensure_future(work)
    end = asyncio.ensure_future(over.wait())
    await asyncio.wait((task, end), return_when=asyncio.FIRST_COMPLETED)
    end.cancel()
    if not task.done():
        task.cancel()
    else:
        task.result()


async def _play(house: Any, lines: list[Any]) -> None:
    start = asyncio.get_running_loop().time()
    last: asyncio.Future[wire.Done] | None = None
    for line in lines:
        if line.at_s is None:
            if last is not None:
                await asyncio.wait((last,))
        else:
            await asyncio.sleep(max(0.0, start + line.at_s - asyncio.get_running_loop().time()))
        _, last = house.line(line.text, author=line.author, source="script")
    if last is not None:
        await asyncio.wait((last,))
    await asyncio.sleep(TAIL_S)


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
