"""Captions for OBS, which embeds them into its stream (CEA-608), over obs-websocket 5.

Runs on: its sink thread, and a thread `obs-captions` with the connection. A block is sent when the
picture of its first word is, and again if it is cut short. Bound: 16 texts wait for a slow OBS, the
oldest go. A connection that breaks is an error of the sink, which is then made anew, as every sink.
CEA-608 has Latin letters only, so Chinese and Japanese are left out.

Source: the protocol's description (obs-websocket 5, docs/generated/protocol.md).
"""

import asyncio
import base64
import hashlib
import os
import threading
from collections.abc import Mapping
from typing import Any, ClassVar

from dialogue.plugins import EngineError
from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S, Ticks
from render.captions import Caption
from render.frames import VideoFrame
from voice.speech import Samples

RPC_VERSION = 1
WAITING = 16
HANDSHAKE_S = 5.0
"""OBS answers within this, or is taken for gone."""
SILENCE_S = 10.0
"""How often a silent OBS is asked whether it is still there."""

_LATIN = "\u024f"  # the last sign of Latin Extended-B
_MARKS = "‘’“”–—…♪"
_WRONG_PASSWORD, _OTHER_VERSION = 4009, 4010


class ObsCaptionsSink:
    """Sends what is said to OBS; OBS shows it where its viewers switch captions on."""

    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 4455,
        password_env: str = "OBS_WEBSOCKET_PASSWORD",
        delay_ms: int = 0,
    ) -> None:
        """Prepare.

        Args:
            host: where OBS runs.
            port: of its WebSocket server.
            password_env: the environment variable that holds the server's password.
            delay_ms: how much later OBS has the picture than we send it.
        """
        self._where = f"{host}:{port}"
        self._password_env = password_env
        self._delay: Ticks = delay_ms * TICKS_PER_MS
        self._texts: dict[tuple[int, int, int], Caption] = {}
        self._shown: Caption | None = None
        self._thread: threading.Thread | None = None

    @property
    def watched(self) -> bool:
        """It needs no picture, only its time."""
        return False

    def open(self, *, width: int, height: int, fps: int) -> None:
        """Connect to OBS.

        Raises:
            EngineError: no OBS is there, or it does not let us in; says what to do.
        """
        self._fault = ""
        self._settled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="obs-captions", daemon=True)
        self._thread.start()
        if not self._settled.wait(HANDSHAKE_S + 1):
            self._fault = f"OBS at {self._where} does not answer; restart it"
        if self._fault:
            raise EngineError(f"obs-captions: {self._fault}")

    def caption(self, caption: Caption) -> None:
        """Take a block; it is sent when its time has come. OBS has no place for a translation."""
        if caption.translated:
            return
        self._texts.pop(caption.key, None)
        if caption.lines or (self._shown is not None and self._shown.key == caption.key):
            self._texts[caption.key] = caption
        if len(self._texts) > WAITING:
            del self._texts[next(iter(self._texts))]

    def video(self, frame: VideoFrame) -> None:
        """Send what is said now.

        Raises:
            EngineError: the connection is broken.
        """
        if self._fault:
            raise EngineError(f"obs-captions: {self._fault}")
        now = frame.pts - self._delay
        begun = [c for c in self._texts.values() if c.lines and c.start <= now < c.stop]
        newest = max(begun, key=lambda c: c.start, default=None)
        text = _plain(newest) if newest is not None else ""
        if text != (_plain(self._shown) if self._shown is not None else ""):
            self._send(text)
        self._shown = newest
        for key in [c.key for c in self._texts.values() if c.stop < now - TICKS_PER_S]:
            del self._texts[key]

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """It has no sound."""

    def close(self) -> None:
        """Part from OBS."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._put(None)
        thread.join(2.0)

    # The connection -----------------------------------------------------------------------------

    def _send(self, text: str) -> None:
        self._put(text)

    def _put(self, text: str | None) -> None:
        loop = getattr(self, "_loop", None)
        if loop is None or loop.is_closed():
            return

        def put() -> None:
            if self._queue.qsize() >= WAITING:
                self._queue.get_nowait()
            self._queue.put_nowait(text)

        try:
            loop.call_soon_threadsafe(put)
        except RuntimeError:  # it has just ended, and its fault is known
            return

    def _run(self) -> None:
        try:
            asyncio.run(self._talk())
        except EngineError as error:
            self._fault = str(error)
        except Exception as error:  # whatever answers there
            self._fault = f"what answers at {self._where} is not OBS ({error})"
        finally:
            self._settled.set()

    async def _talk(self) -> None:
        import aiohttp

        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(
                    f"ws://{self._where}", protocols=("obswebsocket.json",), heartbeat=SILENCE_S
                ) as socket,
            ):
                async with asyncio.timeout(HANDSHAKE_S):
                    await self._introduce(socket)
                self._settled.set()
                hearing = asyncio.create_task(self._hear(socket))
                try:
                    await self._tell(socket, hearing)
                finally:
                    hearing.cancel()
        except TimeoutError:
            raise EngineError(f"OBS at {self._where} does not answer; restart it") from None
        except (aiohttp.ClientError, OSError) as error:
            if self._settled.is_set():
                raise EngineError(f"OBS at {self._where} is gone ({error})") from None
            raise EngineError(
                f"no OBS at {self._where}; start OBS 28 or later, and switch on Tools > WebSocket "
                "Server Settings > Enable WebSocket server"
            ) from None

    async def _introduce(self, socket: Any) -> None:
        """Do the handshake: Hello, Identify, Identified."""
        hello = await self._receive(socket, 0)
        identify: dict[str, Any] = {"rpcVersion": RPC_VERSION, "eventSubscriptions": 0}
        wanted = hello.get("authentication")
        if wanted:
            password = os.environ.get(self._password_env, "")
            if not password:
                raise EngineError(
                    f"OBS wants a password; put it into the environment variable "
                    f"{self._password_env} (OBS: Tools > WebSocket Server Settings)"
                )
            identify["authentication"] = answer(password, wanted["salt"], wanted["challenge"])
        await socket.send_json({"op": 1, "d": identify})
        await self._receive(socket, 2)

    async def _receive(self, socket: Any, op: int) -> dict[str, Any]:
        """Return the next message, which must be of kind `op`."""
        import aiohttp

        message = await socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise EngineError(self._why_closed(socket.close_code))
        tree = message.json()
        if not isinstance(tree, dict) or tree.get("op") != op:
            raise EngineError(f"what answers at {self._where} is not obs-websocket 5")
        body = tree.get("d")
        return body if isinstance(body, dict) else {}

    def _why_closed(self, code: int | None) -> str:
        if code == _WRONG_PASSWORD:
            return (
                f"OBS refused the password in {self._password_env}; copy it from Tools > "
                "WebSocket Server Settings > Show Connect Info"
            )
        if code == _OTHER_VERSION:
            return f"OBS at {self._where} speaks another version; update OBS"
        return f"OBS at {self._where} closed the connection (code {code})"

    async def _hear(self, socket: Any) -> None:
        """Read answers, which matter to nobody (not streaming is no fault), until it closes."""
        async for _ in socket:
            pass
        raise EngineError(self._why_closed(socket.close_code))

    async def _tell(self, socket: Any, hearing: "asyncio.Task[None]") -> None:
        number = 0
        while True:
            waiting = asyncio.create_task(self._queue.get())
            await asyncio.wait((waiting, hearing), return_when=asyncio.FIRST_COMPLETED)
            if hearing.done():
                waiting.cancel()
                hearing.result()
                return
            text = waiting.result()
            if text is None:
                return
            number += 1
            await socket.send_json(
                {
                    "op": 6,
                    "d": {
                        "requestType": "SendStreamCaption",
                        "requestId": str(number),
                        "requestData": {"captionText": text},
                    },
                }
            )


def answer(password: str, salt: str, challenge: str) -> str:
    """Return the proof that we know `password`."""

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    return digest(digest(password + salt) + challenge)


def _plain(caption: Caption) -> str:
    """Return a block as CEA-608 can have it; "" where it cannot."""
    text = " ".join(line.strip() for line in caption.lines)
    if any(ch.isalpha() and ch > _LATIN for ch in text):
        return ""
    return "".join(ch for ch in text if ch <= _LATIN or ch in _MARKS).strip()
