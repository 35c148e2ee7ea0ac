"""Drives a real headless Firefox by WebDriver BiDi (https://w3c.github.io/webdriver-bidi/)."""

import asyncio
import base64
import contextlib
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import aiohttp

PROGRAMS = ("firefox", "firefox-esr")
START_S = 60.0
PREFERENCES = {
    "browser.shell.checkDefaultBrowser": False,
    "browser.aboutwelcome.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "media.autoplay.default": 0,  # sound without a gesture
    "media.peerconnection.ice.loopback": True,
    "toolkit.telemetry.enabled": False,
}


class FirefoxError(RuntimeError):
    """The browser cannot be started or refused a command."""


def find() -> str | None:
    """Return the path of an installed Firefox, or None."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


class Firefox:
    """One headless browser with a profile of its own and one tab."""

    def __init__(self, *, sound: bool = True) -> None:
        self._sound = sound
        self._next = 0
        self.complaints: list[str] = []
        """Errors that the page wrote to the console, and exceptions."""

    async def __aenter__(self) -> "Firefox":
        program = find()
        if program is None:
            raise FirefoxError("no Firefox here; install the package `firefox-esr`")
        self._folder = tempfile.mkdtemp(prefix="bunraku-firefox-")
        wanted = {**PREFERENCES, "media.autoplay.default": 0 if self._sound else 5}
        lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in wanted.items()]
        user = Path(self._folder, "user.js")
        await asyncio.to_thread(user.write_text, "\n".join(lines))
        self._process = await asyncio.create_subprocess_exec(
            program, "--headless", "--no-remote", "--profile", self._folder,
            "--width", "1280", "--height", "720", "--remote-debugging-port", "0", "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._http = aiohttp.ClientSession()
        try:
            address = await asyncio.wait_for(self._address(), START_S)
            self._socket = await self._http.ws_connect(f"{address}/session", max_msg_size=0)
            self._drain = asyncio.create_task(self._listen())
            await self.send("session.new", capabilities={})
            await self.send("session.subscribe", events=["log.entryAdded"])
            tree = await self.send("browsingContext.getTree")
        except BaseException:
            await self.__aexit__()
            raise
        self._tab = tree["contexts"][0]["context"]
        return self

    async def _address(self) -> str:
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            found = re.search(rb"listening on (ws://\S+)", line)
            if found:
                return found[1].decode()
        raise FirefoxError(f"the browser ended at once (code {await self._process.wait()})")

    async def _listen(self) -> None:
        """Read on what the browser says, which would stop when nobody did."""
        assert self._process.stderr is not None
        while await self._process.stderr.readline():
            pass

    async def __aexit__(self, *_: object) -> None:
        if hasattr(self, "_socket"):
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self.send("browser.close"), 5.0)
            await self._socket.close()
        await self._http.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        if hasattr(self, "_drain"):
            await self._drain
        await asyncio.to_thread(shutil.rmtree, self._folder, True)

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Run one command and return its result."""
        self._next += 1
        command = {"id": self._next, "method": method, "params": parameters}
        await self._socket.send_str(json.dumps(command))
        async with asyncio.timeout(30):
            while True:
                message = json.loads(await self._socket.receive_str())
                if message.get("method") == "log.entryAdded":
                    if message["params"]["level"] == "error":
                        self.complaints.append(str(message["params"]["text"]))
                elif message.get("id") == self._next:
                    break
        if message["type"] == "error":
            raise FirefoxError(f"{method}: {message['message']}")
        result: dict[str, Any] = message["result"]
        return result

    async def open(self, url: str) -> None:
        """Go to `url`."""
        await self.send("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        result = await self.send(
            "script.evaluate", expression=f"(async () => JSON.stringify({expression}))()",
            target={"context": self._tab}, awaitPromise=True,
        )  # fmt: skip
        if result["type"] == "exception":
            raise FirefoxError(f"{expression}: {result['exceptionDetails']['text']}")
        value = result["result"].get("value")
        return None if value is None else json.loads(value)

    async def until(self, expression: str, wait_s: float = 15.0) -> Any:
        """Return the expression's value as soon as it is true."""
        loop = asyncio.get_running_loop()
        end = loop.time() + wait_s
        while not (value := await self.evaluate(expression)):
            if loop.time() > end:
                raise FirefoxError(
                    f"not true within {wait_s:g} s: {expression} (page: {self.complaints})"
                )
            await asyncio.sleep(0.1)
        return value

    async def type(self, selector: str, text: str) -> None:
        """Focus an element and type, then press Enter."""
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).focus() ?? null")
        keys = [{"type": kind, "value": key} for key in [*text, "\ue007"]
                for kind in ("keyDown", "keyUp")]  # fmt: skip
        await self.send(
            "input.performActions", context=self._tab,
            actions=[{"type": "key", "id": "hand", "actions": keys}],
        )  # fmt: skip

    async def screenshot(self, path: Path) -> None:
        """Save what the tab shows as a PNG."""
        result = await self.send("browsingContext.captureScreenshot", context=self._tab)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(result["data"]))
