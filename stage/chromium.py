"""Drives a real headless Chromium by its DevTools protocol: for tests and for films of the page.

Runs on: an asyncio loop. Needs the program `chromium` (or `google-chrome`) and nothing else: the
protocol is JSON over one WebSocket (https://chromedevtools.github.io/devtools-protocol/).
"""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""Names under which it is installed."""

START_S = 30.0
"""A cold start on a busy 2-core machine takes 2 to 10 s."""

COMMAND_S = 30.0
"""How long one command may take."""

FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


class ChromiumError(RuntimeError):
    """The browser cannot be started or refused a command; one line says why."""


def find() -> str | None:
    """Return the path of an installed Chromium, or None."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


class Page:
    """One tab."""

    def __init__(self, browser: "Chromium", session: str) -> None:
        self._browser = browser
        self._session = session
        self._listeners: dict[str, asyncio.Queue[dict[str, Any]]] = {}
        self.errors: list[str] = []
        """What the page complained about: exceptions, refused loads, policy violations."""

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Run one DevTools command in this tab and return its result."""
        return await self._browser.send(method, session=self._session, **parameters)

    async def navigate(self, url: str) -> None:
        """Go to `url`; returns when the navigation has begun."""
        result = await self.send("Page.navigate", url=url)
        if result.get("errorText"):
            raise ChromiumError(f"{url}: {result['errorText']}")

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; promises are awaited.

        Raises:
            ChromiumError: it threw.
        """
        result = await self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            said = details.get("exception", {}).get("description", details["text"])
            raise ChromiumError(f"{expression[:60]}: {said.splitlines()[0]}")
        return result["result"].get("value")

    async def until(self, expression: str, wait_s: float = 10.0) -> Any:
        """Return the expression's value as soon as it is true.

        Raises:
            ChromiumError: it was not within `wait_s` seconds.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + wait_s
        while not (value := await self.evaluate(expression)):
            if loop.time() > end:
                raise ChromiumError(
                    f"not true within {wait_s:g} s: {expression} (page errors: {self.errors})"
                )
            await asyncio.sleep(0.05)
        return value

    async def resize(self, width: int, height: int, *, mobile: bool = False) -> None:
        """Give the tab a window of `width` x `height` CSS pixels."""
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=mobile,
        )  # fmt: skip

    async def click(self, selector: str) -> None:
        """Click the middle of the first element that matches, as a hand would."""
        box = await self.evaluate(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.send(
                "Input.dispatchMouseEvent",
                type=kind, x=box[0], y=box[1], button="left", clickCount=1,
            )  # fmt: skip

    async def write(self, text: str) -> None:
        """Type `text` where the focus is."""
        await self.send("Input.insertText", text=text)

    async def press(self, key: str) -> None:
        """Press one key, such as Enter, Tab, Escape or a letter."""
        code = {"Enter": 13, "Tab": 9, "Escape": 27}.get(key, ord(key[0].upper()))
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
            shown = {"text": text} if text and kind == "keyDown" else {}
            await self.send(
                "Input.dispatchKeyEvent",
                type=kind, key=key, code=key, windowsVirtualKeyCode=code, **shown,
            )  # fmt: skip

    def events(self, method: str) -> AsyncIterator[dict[str, Any]]:
        """Return the parameters of each event of that name from now on; 64 wait, the oldest go."""
        waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue(64)
        self._listeners[method] = waiting

        async def each() -> AsyncIterator[dict[str, Any]]:
            while True:
                yield await waiting.get()

        return each()

    def hear(self, message: dict[str, Any]) -> None:
        """Take an event of this tab."""
        if complaint := _complaint(message):
            self.errors.append(complaint)
        waiting = self._listeners.get(message.get("method", ""))
        if waiting is not None:
            if waiting.full():
                waiting.get_nowait()
            waiting.put_nowait(message["params"])

    async def screenshot(self, path: Path) -> None:
        """Save what the tab shows as a PNG."""
        result = await self.send("Page.captureScreenshot", format="png")
        picture = base64.b64decode(result["data"])
        await asyncio.to_thread(path.write_bytes, picture)


class Chromium:
    """One headless browser with a profile of its own; an asynchronous context manager."""

    def __init__(self, *, sound: bool = True, program: str | None = None) -> None:
        """Prepare a browser.

        Args:
            sound: pages may play sound without a gesture.
            program: path of the browser; None looks for one.
        """
        self._program = program
        self._sound = sound
        self._next = 0
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pages: dict[str, Page] = {}

    async def __aenter__(self) -> "Chromium":
        program = self._program or find()
        if program is None:
            raise ChromiumError("no Chromium here; install the package `chromium`")
        self._folder = tempfile.mkdtemp(prefix="bunraku-chromium-")
        flags = [*FLAGS, f"--user-data-dir={self._folder}"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            flags.append("--no-sandbox")  # its sandbox refuses to run as root
        if self._sound:
            flags.append("--autoplay-policy=no-user-gesture-required")
        self._process = await asyncio.create_subprocess_exec(
            program,
            *flags,
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        self._http = aiohttp.ClientSession()
        try:
            address = await asyncio.wait_for(self._address(), START_S)
            self._socket = await self._http.ws_connect(address, max_msg_size=0)
        except BaseException as error:
            await self._end()
            if isinstance(error, TimeoutError):
                raise ChromiumError(f"{program} did not start within {START_S:g} s") from None
            raise
        self._reader = asyncio.create_task(self._read(), name="chromium")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ChromiumError, ConnectionError, TimeoutError):
            await asyncio.wait_for(self.send("Browser.close"), 5.0)
        await self._socket.close()
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader
        await self._end()

    async def page(self, url: str, *, width: int = 1280, height: int = 720) -> Page:
        """Open a tab of `width` x `height` CSS pixels on `url`."""
        target = await self.send("Target.createTarget", url="about:blank")
        attached = await self.send(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        page = Page(self, attached["sessionId"])
        self._pages[attached["sessionId"]] = page
        for domain in ("Page", "Runtime", "Log"):
            await page.send(f"{domain}.enable")
        await page.resize(width, height)
        await page.navigate(url)
        return page

    async def send(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Run one DevTools command and return its result.

        Raises:
            ChromiumError: it was refused, or the browser is gone.
        """
        self._next += 1
        number = self._next
        command: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session:
            command["sessionId"] = session
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            await self._socket.send_str(json.dumps(command))
            answer = await asyncio.wait_for(future, COMMAND_S)
        except TimeoutError:
            raise ChromiumError(f"{method}: no answer within {COMMAND_S:g} s") from None
        finally:
            self._waiting.pop(number, None)
        if "error" in answer:
            raise ChromiumError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def _address(self) -> str:
        """Wait for the file in which the browser says where it listens."""
        file = Path(self._folder) / "DevToolsActivePort"
        while True:
            if self._process.returncode is not None:
                raise ChromiumError(f"the browser ended at once (code {self._process.returncode})")
            with contextlib.suppress(OSError):
                lines = file.read_text().split()
                if len(lines) == 2:
                    return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            await asyncio.sleep(0.05)

    async def _read(self) -> None:
        async for packet in self._socket:
            message = json.loads(packet.data)
            future = self._waiting.get(message.get("id", 0))
            if future is not None and not future.done():
                future.set_result(message)
            page = self._pages.get(message.get("sessionId", ""))
            if page is not None:
                page.hear(message)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ChromiumError("the browser is gone"))

    async def _end(self) -> None:
        await self._http.close()
        try:
            await asyncio.wait_for(self._process.wait(), 5.0)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)


def _complaint(message: dict[str, Any]) -> str:
    """Return what a page complains about in `message`, or ""."""
    match message.get("method"):
        case "Runtime.exceptionThrown":
            details = message["params"]["exceptionDetails"]
            return str(details.get("exception", {}).get("description", details["text"]))
        case "Log.entryAdded" if message["params"]["entry"]["level"] == "error":
            entry = message["params"]["entry"]
            return f"{entry['text']} {entry.get('url', '')}".strip()
    return ""
