"""The stage page's server: files, chat and events over one WebSocket, WebRTC offers passed on.

Runs on: the house's asyncio loop. It draws nothing and decodes nothing. A page that reads slowly
never holds up another: events wait in a bounded outbox of its own.

| buffer | bound | when full |
|---|---|---|
| events per page | 64 | clock and telemetry: newest wins; else the page is disconnected |
| chat remembered for new pages | 50 entries | the oldest goes |
| pages | 64 | the next one is told that the house is full |

Who may talk to it: only pages that it served itself. `Host` must be an address or one of this
machine's own names (a foreign name that resolves here is DNS rebinding), `Origin` must be the
same as `Host`, and the page may load and say nothing but what comes from here.
"""

import asyncio
import contextlib
import errno
import hashlib
import html
import ipaddress
import json
import re
import secrets
import socket
import sys
import unicodedata
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.typedefs import Handler

from dialogue.character import CaptionStyle
from stage import wire
from stage.config import ConfigError
from stage.config import Web as Settings
from stage.screens import Screens

OUTBOX = 64
"""Events that wait for one slow page."""

CHAT_ENTRIES = 50
"""Chat lines and answers shown to a page that has just connected."""

PAGES = 64
"""Pages connected at once."""

LINE_CHARACTERS = 500
"""Longest chat line."""

AUTHOR_CHARACTERS = 40
"""Longest name of a viewer."""

LINES = 5
"""Lines that one page may send in `LINES_S`."""

LINES_S = 5.0
"""Seconds in which `LINES` count."""

OFFERS = 20
"""WebRTC offers that all pages together may make in `LINES_S`; each costs the body work."""

PORTS_TRIED = 20
"""The configured port and the ones after it."""

BODY_BYTES = 64 * 1024
"""Largest request; an offer has 2 to 8 kB."""

SOCKET_BYTES = 16 * 1024
"""Largest WebSocket message: 500 characters, each escaped, fit."""

HEARTBEAT_S = 15.0
"""How often a silent page is asked whether it is still there."""

DEFAULT_STYLE = CaptionStyle()

_DROPPABLE = ("telemetry", "clock")
_FILES = {
    "/stage.css": ("stage.css", "text/css"),
    "/stage.js": ("stage.js", "text/javascript"),
    "/captions.js": ("captions.js", "text/javascript"),
    "/captions.css": ("captions.css", "text/css"),
    "/watch.js": ("watch.js", "text/javascript"),
    "/overlay.css": ("overlay.css", "text/css"),
    "/overlay.js": ("overlay.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_PAGES = {"/": "index.html", "/overlay": "overlay.html"}
_CAPTION_FONTS = {
    "": 'Inter, "Segoe UI", -apple-system, BlinkMacSystemFont, Roboto, Cantarell, Ubuntu, '
    '"Noto Sans", system-ui, sans-serif',
    "-zh": '"PingFang SC", "Noto Sans CJK SC", "Noto Sans SC", "Microsoft YaHei", system-ui, '
    "sans-serif",
    "-ja": '"Hiragino Sans", "Noto Sans CJK JP", "Noto Sans JP", "Yu Gothic UI", Meiryo, '
    "system-ui, sans-serif",
}
"""The families that systems have, by language."""
_THEME_KEY = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_THEME_VALUE = re.compile(r"[#a-zA-Z0-9.,%/() -]{1,64}")


class _FromPage(msgspec.Struct, frozen=True, kw_only=True):
    """What a page says over its WebSocket."""

    type: Literal["line"]
    author: str = ""
    text: str = ""


class _Sdp(msgspec.Struct, frozen=True, kw_only=True):
    """A page's WebRTC offer."""

    sdp: str
    type: Literal["offer"]
    viewer: str = ""
    view: Literal["stage", "overlay"] = "stage"


_from_page = msgspec.json.Decoder(_FromPage)
_sdp = msgspec.json.Decoder(_Sdp)


class Budget:
    """At most `count` in any `window_s` seconds."""

    def __init__(self, count: int, window_s: float) -> None:
        """Allow `count` in `window_s`."""
        self._count = count
        self._window_s = window_s
        self._spent: deque[float] = deque()

    def spend(self, now_s: float) -> float:
        """Return 0.0 and count one, or the seconds to wait until one is free again."""
        while self._spent and now_s - self._spent[0] >= self._window_s:
            self._spent.popleft()
        if len(self._spent) >= self._count:
            return self._window_s - (now_s - self._spent[0])
        self._spent.append(now_s)
        return 0.0


class Outbox:
    """Events on their way to one page; bounded, never blocks who puts."""

    def __init__(self, bound: int = OUTBOX) -> None:
        """Hold up to `bound` events."""
        self._bound = bound
        self._events: deque[tuple[dict[str, Any], float]] = deque()
        self.wake = asyncio.Event()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: dict[str, Any], now_s: float) -> bool:
        """Add `event`; False when the page has fallen hopelessly behind.

        Of clock and telemetry only the newest waits, and they go first when it gets tight.
        """
        if event["type"] in _DROPPABLE:
            self._drop(event["type"])
        if len(self._events) >= self._bound and not any(map(self._drop, _DROPPABLE)):
            if event["type"] in _DROPPABLE:
                self.dropped += 1
                return True
            return False
        self._events.append((event, now_s))
        self.wake.set()
        return True

    def _drop(self, kind: str) -> bool:
        for index, (event, _) in enumerate(self._events):
            if event["type"] == kind:
                del self._events[index]
                self.dropped += 1
                return True
        return False

    async def take(self, now_s: Callable[[], float]) -> str:
        """Wait for the next event and return it as JSON; a clock's age includes its wait."""
        while not self._events:
            self.wake.clear()
            await self.wake.wait()
        event, put_s = self._events.popleft()
        if event["type"] == "clock":
            waited_ms = (now_s() - put_s) * 1e3
            event = {**event, "age_ms": round(event["age_ms"] + waited_ms, 2)}
        return json.dumps(event, ensure_ascii=False, separators=(",", ":"))


class Memory:
    """What a page that has just connected must know; fed with every event."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.status: dict[str, Any] = {"mind": "loading", "body": "loading", "detail": ""}
        self.generation = 0
        self.thinking: int | None = None
        self.clock: dict[str, Any] | None = None
        self._chat: deque[dict[str, Any]] = deque(maxlen=CHAT_ENTRIES)
        self._captions: OrderedDict[tuple[int, int], dict[str, Any]] = OrderedDict()
        self._translations: OrderedDict[tuple[int, int, int], dict[str, Any]] = OrderedDict()

    def see(self, event: Mapping[str, Any]) -> None:
        """Take one event."""
        match event["type"]:
            case "status":
                self.status = {k: event.get(k, "") for k in ("mind", "body", "detail")}
                if event["mind"] != "ready":
                    self.thinking = None
            case "chat":
                self._chat.append({k: event[k] for k in ("id", "author", "text")})
            case "thinking":
                self.thinking = event["turn"]
            case "reply":
                self._answer(event["turn"])["utterances"].append(
                    [event["utterance"], event["text"], "decided"]
                )
            case "caption":
                self.thinking = None
                self._captions[event["turn"], event["utterance"]] = {
                    **event, "words": [*event["words"]],
                }  # fmt: skip
                self._mark(event, "said")
                while len(self._captions) > 8:
                    self._captions.popitem(last=False)
            case "translation":
                self._translations[event["turn"], event["utterance"], event["block"]] = {**event}
                while len(self._translations) > 8:
                    self._translations.popitem(last=False)
            case "shifted":
                known = self._captions.get((event["turn"], event["utterance"]))
                if known is not None:
                    known["at_ms"] = event["at_ms"]
            case "words":
                known = self._captions.get((event["turn"], event["utterance"]))
                if known is not None:
                    known["words"].extend(event["words"])
                    known["lines"] = event.get("lines", known.get("lines", []))
            case "heard" if event["finished"]:
                known = self._captions.pop((event["turn"], event["utterance"]), None)
                if event["cancelled"]:
                    words = known["words"] if known is not None else []
                    said = [word for word in words if word[2] < event["ms"]]
                    self._mark(event, "cut", said[-1][1] if said else 0)
            case "done":
                self.thinking = None
                self._close(event["turn"])
            case "clock":
                self.clock = dict(event)
            case "body":
                self.generation = event["generation"]
                self._captions.clear()
                self._translations.clear()
                self.clock = None

    def state(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return {
            "status": self.status,
            "generation": self.generation,
            "thinking": self.thinking,
            "chat": list(self._chat),
            "captions": list(self._captions.values()),
            "translations": list(self._translations.values()),
        }

    def _answer(self, turn: int) -> dict[str, Any]:
        known: list[dict[str, Any]] = [e for e in self._chat if e.get("turn") == turn]
        if known:
            return known[-1]
        new: dict[str, Any] = {"turn": turn, "utterances": []}
        self._chat.append(new)
        return new

    def _mark(self, event: Mapping[str, Any], state: str, stop_char: int | None = None) -> None:
        for utterance in self._answer(event["turn"])["utterances"]:
            if utterance[0] == event["utterance"]:
                utterance[1:] = [utterance[1][:stop_char], state]

    def _close(self, turn: int) -> None:
        """Show what was decided but never spoken, unless the turn was cut short."""
        utterances = self._answer(turn)["utterances"]
        if any(state == "cut" for _, _, state in utterances):
            utterances[:] = [u for u in utterances if u[2] != "decided" and u[1]]
        for utterance in utterances:
            utterance[2] = "said"
        if not utterances:
            self._chat.remove(self._answer(turn))


class _Page:
    """One connected page."""

    def __init__(self, socket_: web.WebSocketResponse, request: web.Request) -> None:
        self.viewer = secrets.token_urlsafe(12)
        self.socket = socket_
        self.outbox = Outbox()
        self.budget = Budget(LINES, LINES_S)
        self._request = request

    def abort(self) -> None:
        """Drop the connection at once, without waiting for what it has not read."""
        if self._request.transport is not None:
            self._request.transport.abort()


class Web:
    """Serves the stage page."""

    def __init__(
        self,
        settings: Settings,
        *,
        title: str,
        theme: Mapping[str, str],
        line: Callable[[str, str, str], None],
        offer: Callable[[wire.Offer], Awaitable[wire.Answer]],
        screens: Path | None = None,
        style: CaptionStyle = DEFAULT_STYLE,
        captions: bool = True,
        translate: str = "",
    ) -> None:
        """Prepare the server; `start` opens it.

        Args:
            settings: host, port and ICE servers.
            title: the host's display name.
            theme: colours of the page (`accent`, `glow`, `paper`, `ink`); any key sets the style
                sheet's property of that name.
            line: takes author, text and viewer of every accepted chat line.
            offer: passes an offer to the body and returns its answer.
            screens: folder of the stream for other screens; None where there is none.
            style: how captions look.
            captions: whether a new viewer sees them.
            translate: language of their translations, for which room is left; "" for none.

        Raises:
            ConfigError: a theme entry is not a colour.
        """
        self.note = ""
        """What the operator should know about the address, or ""."""
        self._settings = settings
        self._title = title
        self._line = line
        self._offer = offer
        self._pages: set[_Page] = set()
        self._memory = Memory()
        self._offers = Budget(OFFERS, LINES_S)
        self._runner: web.AppRunner | None = None
        self._files = _load(title, theme, style, captions=captions, translate=translate)
        self._screens = Screens(screens, title)
        self._names = own_names(settings.host)

    async def start(self) -> str:
        """Open the server and return its address.

        Raises:
            ConfigError: no port is free, or the host is not an address of this machine.
        """
        app = application(self._names)
        for path in (*_PAGES, *_FILES, "/theme.css"):
            app.router.add_get(path, self._file)
        self._screens.join(app)
        app.router.add_get("/health", self._health)
        app.router.add_get("/ws", self._socket)
        app.router.add_post("/offer", self._post_offer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            port = await self._listen(self._runner)
        except BaseException:
            await self._runner.cleanup()
            raise
        host = self._settings.host
        if host in ("", "0.0.0.0", "::"):
            host = "localhost"
            self._tell_operator("the page is open to everyone who can reach this machine")
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    async def stop(self) -> None:
        """Say goodbye to every page and close."""
        for page in list(self._pages):
            with contextlib.suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(
                    page.socket.close(code=WSCloseCode.GOING_AWAY, message=b"the show is over"), 0.5
                )
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def tell(self, event: dict[str, Any]) -> None:
        """Send `event` to every page; returns at once. Call it on the loop's thread."""
        self._memory.see(event)
        for page in list(self._pages):
            self._tell_page(page, event)

    # Opening ------------------------------------------------------------------------------------

    async def _listen(self, runner: web.AppRunner) -> int:
        wanted = self._settings.port
        host = self._settings.host or None
        ports = [wanted] if wanted == 0 else range(wanted, min(wanted + PORTS_TRIED, 65536))
        for port in ports:
            try:
                await web.TCPSite(runner, host, port).start()
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                raise ConfigError(_why_not(error, self._settings.host, port)) from None
            if port not in (0, wanted):
                self._tell_operator(f"port {wanted} is in use; the page is on {port} instead")
            address: tuple[Any, ...] = runner.addresses[0]
            return int(address[1])
        raise ConfigError(
            f"web.port: ports {wanted} to {ports[-1]} are all in use; "
            "end the other program or choose another one with --port"
        )

    def _tell_operator(self, text: str) -> None:
        self.note = text
        print(f"web: {text}", file=sys.stderr, flush=True)

    # Requests -----------------------------------------------------------------------------------

    async def _file(self, request: web.Request) -> web.Response:
        body, kind, tag = self._files[request.path]
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)

    async def _health(self, request: web.Request) -> web.Response:
        """200 while the host is on air (thinking or not), 503 otherwise."""
        status = self._memory.status
        on_air = status["body"] == "ready"
        return web.json_response(
            {
                "on_air": on_air,
                "mind": status["mind"],
                "body": status["body"],
                "detail": status["detail"],
                "generation": self._memory.generation,
                "pages": len(self._pages),
            },
            status=200 if on_air else 503,
        )

    async def _post_offer(self, request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            return _refuse(415, "send the offer as application/json")
        try:
            offer = _sdp.decode(await request.read())
        except msgspec.DecodeError as error:
            return _refuse(400, f"not an offer: {error}")
        wait_s = self._offers.spend(asyncio.get_running_loop().time())
        if wait_s:
            return _refuse(429, "too many pages connect at once; try again", wait_s)
        viewer = offer.viewer if any(p.viewer == offer.viewer for p in self._pages) else ""
        message = wire.Offer(
            viewer=viewer or secrets.token_urlsafe(12),
            sdp=offer.sdp,
            kind=offer.type,
            view=offer.view,
        )
        try:
            answer = await self._offer(message)
        except TimeoutError:
            return _refuse(503, "the host is not on air yet; try again", 1.0)
        except ConnectionError as error:
            return _refuse(503, str(error), 0.5)
        if answer.error:
            return _refuse(502, answer.error)
        return web.json_response(
            {"sdp": answer.sdp, "type": answer.kind, "light": list(answer.light)}
        )

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if len(self._pages) >= PAGES:
            return _refuse(503, "the house is full; try again later", 10.0)
        connection = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=SOCKET_BYTES)
        await connection.prepare(request)
        page = _Page(connection, request)
        self._welcome(page)
        sending = asyncio.create_task(self._send(page), name=f"page {page.viewer}")
        try:
            async for message in connection:
                if message.type is not WSMsgType.TEXT or not self._heard(page, message.data):
                    await connection.close(
                        code=WSCloseCode.UNSUPPORTED_DATA, message=b"not a message of this page"
                    )
        finally:
            self._pages.discard(page)
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending
        return connection

    # Pages --------------------------------------------------------------------------------------

    def _welcome(self, page: _Page) -> None:
        state = {
            "type": "hello",
            "viewer": page.viewer,
            "title": self._title,
            "ice": list(self._settings.ice_servers),
            **self._memory.state(),
        }
        self._tell_page(page, json.loads(json.dumps(state)))  # a copy: what is kept goes on
        self._pages.add(page)

    def _tell_page(self, page: _Page, event: dict[str, Any]) -> None:
        if not page.outbox.put(event, asyncio.get_running_loop().time()):
            self._pages.discard(page)
            page.abort()

    async def _send(self, page: _Page) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while not page.socket.closed:
                await page.socket.send_str(await page.outbox.take(loop.time))

    def _heard(self, page: _Page, packet: str) -> bool:
        """Take what a page said; False when it is not a message."""
        try:
            message = _from_page.decode(packet)
        except msgspec.DecodeError:
            return False
        text = clean(message.text)
        if not text:
            return True
        if len(text) > LINE_CHARACTERS:
            self._tell_page(page, {"type": "notice", "code": "long", "limit": LINE_CHARACTERS})
            return True
        wait_s = page.budget.spend(asyncio.get_running_loop().time())
        if wait_s:
            self._tell_page(
                page,
                {"type": "notice", "code": "slow", "wait_ms": round(wait_s * 1e3), "text": text},
            )
            return True
        self._line(clean(message.author)[:AUTHOR_CHARACTERS], text, page.viewer)
        return True


def application(names: frozenset[str]) -> web.Application:
    """Return a server's application that only its own pages may talk to.

    Args:
        names: of this machine, as `own_names` returns them.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in only requests for this machine by pages of this machine."""
        host = _split(f"//{request.headers.get('Host', '')}")
        if host is None or not _is_own(host[0], names):
            return _refuse(
                421,
                f"this stage is not called {request.headers.get('Host', '')!r}; use its address",
            )
        origin = request.headers.get("Origin")
        if origin is not None and not _same(origin, request.headers["Host"]):
            return _refuse(403, "another web site may not use this stage")
        if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site") and (
            request.path not in _PAGES
        ):
            return _refuse(403, "another web site may not use this stage")
        try:
            return await handler(request)
        except web.HTTPRequestEntityTooLarge:
            return _refuse(413, f"too large; at most {BODY_BYTES} bytes")
        except web.HTTPException as error:
            return _refuse(error.status, error.reason)

    app = web.Application(middlewares=[guard], client_max_size=BODY_BYTES)
    app.on_response_prepare.append(_headers)
    return app


async def _headers(request: web.Request, response: web.StreamResponse) -> None:
    host = request.headers.get("Host", "")
    sockets = f" ws://{host} wss://{host}" if _split(f"//{host}") else ""
    # OBS puts the style sheet of its settings ("Custom CSS") into the page.
    sheets = "'self' 'unsafe-inline'" if request.path == "/overlay" else "'self'"
    media = "'self' blob:" if request.path == "/screen" else "'self'"
    response.headers.update(
        {
            "Content-Security-Policy": "default-src 'none'; script-src 'self'; "
            f"style-src {sheets}; img-src 'self'; media-src {media}; connect-src 'self'{sockets}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
            "require-trusted-types-for 'script'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        }
    )


def clean(text: str) -> str:
    """Return `text` as one line: no control or direction-override characters, no double spaces."""
    kept = (c if unicodedata.category(c) not in ("Cc", "Cs", "Co", "Cn") else " " for c in text)
    line = "".join(
        c for c in kept if c not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )
    return " ".join(line.split())


def _load(
    title: str, theme: Mapping[str, str], style: CaptionStyle, *, captions: bool, translate: str
) -> dict[str, tuple[bytes, str, str]]:
    """Return path -> content, type and tag of everything that the page consists of."""
    folder = resources.files("stage") / "page"
    found = {path: ((folder / name).read_bytes(), kind) for path, (name, kind) in _FILES.items()}
    for path, name in _PAGES.items():
        page = (folder / name).read_text("utf-8").replace("{{title}}", html.escape(title))
        page = page.replace("{{captions}}", "on" if captions else "off")
        page = page.replace("{{translate}}", translate)
        found[path] = (page.encode(), "text/html")
    found["/theme.css"] = ((theme_css(theme) + caption_css(style)).encode(), "text/css")
    return {
        path: (body, kind, f'"{hashlib.sha256(body).hexdigest()[:24]}"')
        for path, (body, kind) in found.items()
    }


def theme_css(theme: Mapping[str, str]) -> str:
    """Return the style sheet that sets the theme's colours.

    Raises:
        ConfigError: a key or value is not what a colour looks like.
    """
    lines = []
    for key, value in theme.items():
        if not _THEME_KEY.fullmatch(key) or not _THEME_VALUE.fullmatch(value) or "url" in value:
            raise ConfigError(f"theme: {key} = {value!r} is not a colour; write it as #rrggbb")
        lines.append(f"  --{key.replace('_', '-')}: {value};\n")
    return f":root {{\n{''.join(lines)}}}\n"


def caption_css(style: CaptionStyle) -> str:
    """Return the style sheet that makes captions look as the character wants them."""
    own = "".join(f'"{family}", ' for family in style.font)
    fonts = "".join(
        f"  --caption-font{suffix}: {own}{stack};\n" for suffix, stack in _CAPTION_FONTS.items()
    )
    text = (
        f":root {{\n{fonts}  --caption-weight: {style.weight};\n"
        f"  --caption-scale: {style.size:g};\n  --caption-color: {style.color};\n"
        f"  --caption-now: {style.now};\n  --caption-coming: {style.coming};\n"
        f"  --caption-outline: {style.outline};\n"
        f"  --caption-outline-width: {style.outline_width:g}em;\n"
        f"  --caption-box: {style.box or 'transparent'};\n}}\n"
    )
    if style.position == "top":
        text += ".captions { bottom: auto; top: max(4.5vh, 1.6rem); }\n"
    return text


def own_names(host: str) -> frozenset[str]:
    """Return the names by which this machine may be called when it listens on `host`."""
    machine = socket.gethostname().lower()
    return frozenset({"localhost", host.lower(), machine, f"{machine}.local"} - {""})


def _split(url: str) -> tuple[str, int | None] | None:
    """Return host and port, or None when `url` has none."""
    try:
        parts = urlsplit(url)
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not name or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return name.lower(), port


def _is_own(name: str, names: frozenset[str]) -> bool:
    """Return whether `name` cannot be somebody's DNS name made to point here."""
    if name in names or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same(origin: str, host: str) -> bool:
    """Return whether a page of `origin` was served under the header `Host: host`."""
    scheme, _, rest = origin.partition("://")
    default = {"http": 80, "https": 443}.get(scheme)
    theirs, ours = _split(f"//{rest}"), _split(f"//{host}")
    if default is None or theirs is None or ours is None:
        return False
    return (theirs[0], theirs[1] or default) == (ours[0], ours[1] or default)


def _refuse(status: int, why: str, retry_s: float = 0.0) -> web.Response:
    response = web.json_response({"error": why}, status=status)
    if retry_s:
        response.headers["Retry-After"] = str(max(1, round(retry_s)))
    return response


def _why_not(error: OSError, host: str, port: int) -> str:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"web.host = {host!r} is no address of this machine; try 127.0.0.1"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"web.port = {port} needs a right that you lack; choose one above 1023 with --port"
    return f"cannot listen on {host}:{port} ({error.strerror}); try another --port"
