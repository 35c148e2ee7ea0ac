"""The workbench of an artist: a page with a slider for each parameter, live as files are saved.

Runs on: one asyncio loop serves the page and watches the folder; one thread draws, and only while
a page is open. Pictures go out as JPEG over the page's WebSocket; a page that is still busy with
the last one gets no other meanwhile, so that nothing queues up.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
from aiohttp import WSMsgType, web

from avatar.motions import Motions, read_motions
from avatar.performer import Performer
from avatar.pose import VISEMES, ParameterTable, Pose
from avatar.rig import CharacterError
from dialogue.character import CharacterError as PersonaError
from dialogue.character import load_character
from dialogue.ticks import TICKS_PER_S, Ticks
from render.frames import Pixels
from render.puppet import PuppetRenderer
from stage.babble import babble
from stage.checks import check
from stage.looking import over
from stage.web import application, own_names

FPS = 25
SIZE = (1280, 720)
LOOK_S = 0.4
"""How often the folder is looked at."""
QUALITY = 88
_WATCHED = ("*.toml", "*.svg", "*.md", "motions/*.toml", "scenes/*.svg", "*.png", "layers/*.png")
_FILES = {
    "/": ("preview.html", "text/html"),
    "/preview.css": ("preview.css", "text/css"),
    "/preview.js": ("preview.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the page asks for; fields that are not named stay as they are."""

    set: dict[str, float] | None = None
    """Sliders that were moved: parameter to value."""
    clear: bool = False
    """Put all sliders back."""
    alive: bool | None = None
    """The host moves by themselves, or stands still but for the sliders."""
    talk: bool = False
    """Babble for a few seconds."""
    cue: str = ""
    """An expression or a gesture."""
    scene: str = ""
    """Another scene."""
    check: bool = False
    """Look the character over."""


_asked = msgspec.json.Decoder(_Asked)


@dataclass(eq=False)
class _Page:
    socket: web.WebSocketResponse
    busy: bool = False
    """A picture is on its way or being shown."""
    told: set["asyncio.Task[None]"] = field(default_factory=set)


class Workbench:
    """Serves the preview of one character."""

    def __init__(self, folder: Path, *, host: str = "127.0.0.1", port: int = 8010) -> None:
        """Prepare; nothing is read yet.

        Args:
            folder: the character's, also one that is broken: the page says why.
            host: address to listen on.
            port: 0 for any free one.
        """
        self._folder = folder
        self._host = host
        self._port = port
        self._pages: set[_Page] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="draw")
        self._renderer: PuppetRenderer | None = None
        self._performer: Performer | None = None
        self._scene = ""
        self._fault = ""
        self._sliders: dict[str, float] = {}
        self._alive = True
        self._turn = 0
        self._fresh = asyncio.Event()
        self._picture: Pixels = np.zeros((SIZE[1], SIZE[0], 4), np.uint8)
        self._ground = _chequered()
        self._begun = time.monotonic()
        self._state: dict[str, Any] = {}
        self._seen: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Serve; returns the page's address.

        Raises:
            OSError: the port cannot be listened on.
        """
        app = application(own_names(self._host))
        for path in _FILES:
            app.router.add_get(path, self._file)
        app.router.add_get("/ws", self._socket)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        # Before the first reading: what is saved meanwhile is seen as new.
        self._seen = await asyncio.to_thread(self._stamps)
        await self._load()
        self._tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._stream())]
        port: int = self._runner.addresses[0][1]
        return f"http://{self._host}:{port}/"

    async def stop(self) -> None:
        """Close every page and end."""
        for task in self._tasks:
            task.cancel()
        for page in list(self._pages):
            with contextlib.suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(page.socket.close(), 0.5)
        if self._runner is not None:
            await self._runner.cleanup()
        self._thread.shutdown(wait=True)

    # The character ------------------------------------------------------------------------------

    def _read(self) -> tuple[PuppetRenderer, Performer, str, Motions]:
        character = load_character(self._folder)
        motions = read_motions(self._folder / "motions", ParameterTable())
        scene = self._scene or character.scene or "chroma"
        width, height = SIZE
        renderer = PuppetRenderer(self._folder, width=width, height=height, scene=scene)
        performer = Performer(
            renderer.table, seed=1, motions=self._folder / "motions",
            temperament=character.temperament,
        )  # fmt: skip
        return renderer, performer, scene, motions

    async def _load(self) -> None:
        """Read the folder; what is on the page stays while it is broken."""
        loop = asyncio.get_running_loop()
        try:
            made = await loop.run_in_executor(self._thread, self._read)
        except (CharacterError, PersonaError) as error:
            self._fault = str(error)
            await self._tell({"type": "fault", "text": self._fault})
            return
        self._renderer, self._performer, self._scene, motions = made
        self._begun = time.monotonic()
        self._fault = ""
        self._state = {
            "type": "character",
            "name": self._folder.name,
            "scene": self._scene,
            "scenes": [
                *sorted(p.stem for p in (self._folder / "scenes").glob("*.svg")),
                "chroma", "transparent",
            ],
            "parameters": [
                {
                    "id": p.id, "min": p.min, "max": p.max,
                    "rest": float(self._renderer.table.default[i]),
                }
                for i, p in enumerate(self._renderer.table.parameters)
                if p.id != "Viseme_sil"
            ],
            "expressions": list(motions.expressions),
            "gestures": list(motions.gestures),
        }  # fmt: skip
        await self._tell(self._state)
        self._fresh.set()

    async def _watch(self) -> None:
        """Read the folder anew whenever something in it was saved."""
        while True:
            await asyncio.sleep(LOOK_S)
            now = await asyncio.to_thread(self._stamps)
            if now != self._seen:
                self._seen = now
                await self._load()

    def _stamps(self) -> dict[str, int]:
        found = {}
        for pattern in _WATCHED:
            for path in self._folder.glob(pattern):
                with contextlib.suppress(OSError):  # an editor is just replacing it
                    found[str(path)] = path.stat().st_mtime_ns
        return found

    # Pictures -----------------------------------------------------------------------------------

    async def _stream(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + 1 / FPS
            free = [page for page in self._pages if not page.busy]
            if free and self._renderer is not None:
                try:
                    packet = await loop.run_in_executor(self._thread, self._draw)
                except Exception as error:  # a drawing that only fails when it moves
                    await self._tell({"type": "fault", "text": f"{type(error).__name__}: {error}"})
                    await asyncio.sleep(1.0)
                    continue
                for page in free:
                    page.busy = True
                    task = asyncio.create_task(_send(page, packet))
                    page.told.add(task)
                    task.add_done_callback(page.told.discard)
            await asyncio.sleep(max(0.0, due - loop.time()))

    def _draw(self) -> bytes:
        assert self._renderer is not None and self._performer is not None  # noqa: PT018
        pts = self._pts()
        pose = self._performer.pose(pts)
        table = self._renderer.table
        values = pose.values.copy() if self._alive else table.default.copy()
        for name, value in self._sliders.items():
            values[table.index[name]] = value
        spoken = [table.index[f"Viseme_{name}"] for name in VISEMES]
        if any(name.startswith("Viseme_") for name in self._sliders):
            values[spoken[0]] = max(0.0, 1.0 - float(values[spoken[1:]].sum()))
        values = np.clip(values, table.min, table.max).astype(np.float32)
        self._renderer.draw(Pose(pts, values), self._picture)
        plain = self._picture[..., :3]
        if self._scene == "transparent":
            plain = over(self._picture, self._ground)
        done, packet = cv2.imencode(".jpg", plain, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if not done:
            raise RuntimeError("the picture cannot be packed as JPEG")
        return packet.tobytes()

    def _pts(self) -> Ticks:
        return int((time.monotonic() - self._begun) * TICKS_PER_S)

    # Pages --------------------------------------------------------------------------------------

    async def _file(self, request: web.Request) -> web.Response:
        name, kind = _FILES[request.path]
        body = (resources.files("stage") / "page" / name).read_bytes()
        headers = {"Cache-Control": "no-cache"}
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(heartbeat=15.0, max_msg_size=16 * 1024)
        await socket.prepare(request)
        page = _Page(socket)
        if self._state:
            await socket.send_json(self._state)
            await socket.send_json(
                {"type": "posed", "sliders": self._sliders, "alive": self._alive}
            )
        if self._fault:
            await socket.send_json({"type": "fault", "text": self._fault})
        self._pages.add(page)
        try:
            async for packet in socket:
                if packet.type is not WSMsgType.TEXT:
                    continue
                if packet.data == "shown":
                    page.busy = False
                    continue
                try:
                    asked = _asked.decode(packet.data)
                except msgspec.DecodeError as error:
                    await socket.send_json({"type": "fault", "text": f"not understood: {error}"})
                    continue
                await self._do(asked)
        finally:
            self._pages.discard(page)
        return socket

    async def _do(self, asked: _Asked) -> None:
        if asked.clear:
            self._sliders.clear()
        if asked.set is not None and self._renderer is not None:
            known = self._renderer.table.index
            self._sliders.update({k: v for k, v in asked.set.items() if k in known})
        if asked.alive is not None:
            self._alive = asked.alive
        performer = self._performer
        if performer is not None and asked.cue:
            performer.cue(asked.cue, self._pts())
            self._alive = True
        if performer is not None and asked.talk:
            self._turn += 1
            spans, sound = babble(self._turn)
            begin = self._pts() + TICKS_PER_S // 5
            performer.state("speaking", begin)
            performer.speech(self._turn, 0, begin, spans, sound, 0, complete=True)
            performer.state("idle", begin + spans[-1].stop)
            self._alive = True
        if asked.scene and asked.scene != self._scene:
            before, self._scene = self._scene, asked.scene
            await self._load()
            if self._fault:
                self._scene = before
        if asked.check:
            found = await asyncio.to_thread(check, self._folder)
            rows = [
                {"level": f.level, "place": f.place, "fault": f.fault, "remedy": f.remedy}
                for f in found
            ]
            await self._tell({"type": "checked", "findings": rows})
        await self._tell({"type": "posed", "sliders": self._sliders, "alive": self._alive})

    async def _tell(self, message: Mapping[str, Any]) -> None:
        text = json.dumps(message, ensure_ascii=False)
        for page in list(self._pages):
            with contextlib.suppress(ConnectionError, RuntimeError):
                await page.socket.send_str(text)


async def _send(page: _Page, packet: bytes) -> None:
    with contextlib.suppress(ConnectionError, RuntimeError):
        await page.socket.send_bytes(packet)


def _chequered() -> npt.NDArray[np.uint8]:
    """Return the ground of transparent pictures, shape (height, width, 1)."""
    width, height = SIZE
    j, i = np.mgrid[0:height, 0:width] // 16
    return np.where((i + j) % 2, 232, 208).astype(np.uint8)[..., None]
