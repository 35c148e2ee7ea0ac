"""The show pushed by WebRTC to a server that speaks WHIP (RFC 9725): below a second to the viewer.

Runs on: encoding on the sink's thread, the connection on its asyncio loop ("webrtc"), as with the
page's viewers (`render.sinks.webrtc`), of which the server is the only one. All addresses are
gathered before the offer is sent, so that nothing has to be patched afterwards. A lost connection
is made anew after 0.25, 0.5, 1 ... 15 s, and the server is told when one is over. What the server
reports as lost or late steers the bit rate.
"""

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urljoin, urlsplit

from dialogue.plugins import EngineError, EngineUnavailable
from render.sinks import server
from render.sinks.rate import ReportedRate
from render.sinks.webrtc import WebRTCSink

if TYPE_CHECKING:
    from render.sinks.rtc import Report

CONNECT_S = 15.0
"""A server that has answered must be connected by then."""
HTTP_S = 10.0
SILENT_S = 10.0
"""A server that reported on what it got, and has not for so long, is gone."""
LOOK_S = 1.0
HEALTHY_S = 2.0
"""A connection that held so long was a good one: the back-off starts over."""
DELETE_S = 2.0
"""How long telling the server of the end may take."""

_LINK = re.compile(r"<([^>]*)>((?:\s*;\s*[\w-]+\s*=\s*(?:\"[^\"]*\"|[^\s;,\"]+))*)")
_PARAMETER = re.compile(r"([\w-]+)\s*=\s*(?:\"([^\"]*)\"|([^\s;,\"]+))")


class WhipSink(WebRTCSink):
    """Pushes the show to one WHIP endpoint."""

    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        *,
        url: str = "",
        token_env: str = "",
        ice_servers: Sequence[str] = (),
        bitrate: int = 3_500_000,
        least_bitrate: int = 500_000,
        audio_bitrate: int = 64_000,
        codec: Literal["h264", "vp8"] = "h264",
        keyframe_s: float = 2.0,
    ) -> None:
        """Prepare a stream.

        Args:
            url: of the endpoint, `https://...`; a name in braces, `{KEY}`, stands for the
                environment variable of that name.
            token_env: name of the environment variable with the bearer token; "": none is sent.
            ice_servers: STUN and TURN addresses, beside those that the server names.
            bitrate: of the picture, in bits a second, when the line is well.
            least_bitrate: how far it goes down when the line is slow.
            audio_bitrate: of the sound, in bits a second.
            codec: of the picture, where the server takes it; the other one otherwise.
            keyframe_s: a complete picture comes at least this often; services ask for 2.

        Raises:
            EngineUnavailable: the address is wrong, a variable is not set, or aiortc is missing.
        """
        if not url:
            raise EngineUnavailable("whip needs `url`, such as https://host/whip/{STREAM_KEY}")
        self._url = server.filled("whip", url)
        place = urlsplit(self._url)
        if place.scheme not in ("http", "https") or not place.hostname:
            raise EngineUnavailable("whip: `url` must begin with https:// (or http://) and a host")
        self._token = server.secret("whip", token_env, what="bearer token") if token_env else ""
        self._token_env = token_env
        super().__init__(
            ice_servers=ice_servers, bitrate=bitrate, audio_bitrate=audio_bitrate, codec=codec,
            max_viewers=1,
        )  # fmt: skip
        self._key_every_s = keyframe_s
        self._steered = True
        self._rate = ReportedRate(most=bitrate, least=least_bitrate)
        self._prefer = codec.upper()
        self._public = f"{place.scheme}://{place.hostname}:{place.port or _port(place.scheme)}"
        self._trouble = f"{self._public} is being connected"
        self._connected = 0
        self._named: list[Any] = []  # ICE servers that the server named last time
        self._keeping: Future[None] | None = None
        self._held_s = 0.0  # how long the last connection was good

    @property
    def watched(self) -> bool:
        """A server wants every picture, and one that is away may be back at any moment."""
        return True

    @property
    def trouble(self) -> str:
        """Why nothing is being sent, in one line; "" while all is well."""
        return self._trouble

    @property
    def note(self) -> str:
        """How the line is doing."""
        lost = sum(viewer.picture.dropped for viewer in self._house.viewers)
        reconnects = max(0, self._connected - 1)
        return f"{self._rate}, {reconnects} reconnects, {lost} pictures dropped"

    def open(self, *, width: int, height: int, fps: int) -> None:
        """Begin to connect; returns at once."""
        super().open(width=width, height=height, fps=fps)
        if self._keeping is None:
            self._keeping = self._submit(self._keep())

    def close(self) -> None:
        """Tell the server and hang up."""
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()
            ended = self._submit(self._deleted())
            with contextlib.suppress(TimeoutError):
                ended.result(DELETE_S + 1.0)
        super().close()

    # On the loop --------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Connect, and again whenever the connection is lost."""
        self._over = asyncio.Event()
        failures = 0
        try:
            while True:
                wait_s = 0.0
                try:
                    await self._session()
                    self._fail("the connection was lost")
                except EngineError as error:
                    wait_s = error.retry_after_s or 0.0
                    self._fail(str(error))
                except Exception as error:
                    self._fail(f"{type(error).__name__}: {error}")
                if self._held_s > HEALTHY_S:
                    failures = 0
                wait_s = max(wait_s, server.back_off_s(failures))
                failures += 1
                await asyncio.sleep(wait_s)
        finally:
            self._over.set()

    async def _deleted(self) -> None:
        """Wait until the last session has ended and the server was told."""
        over = getattr(self, "_over", None)
        if over is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), DELETE_S)

    def _fail(self, reason: str) -> None:
        key = urlsplit(self._url).path.rpartition("/")[2]
        line = server.veiled(reason, (self._token, key if len(key) > 3 else ""))
        self._trouble = f"{self._public} {line}; trying again"

    async def _session(self) -> None:
        """Push until the connection is lost.

        Raises:
            EngineError: it did not come about.
        """
        import aiohttp

        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        limit = aiohttp.ClientTimeout(total=HTTP_S)
        async with aiohttp.ClientSession(headers=headers, timeout=limit) as http:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with http.options(self._url) as answer:
                    self._named = ice_servers(answer.headers.getall("Link", [])) or self._named
            self._held_s = 0.0
            viewer = self._rtc.Viewer([*self._house.ice_servers, *map(_server, self._named)])
            viewer.heard = self._steer
            resource = ""
            try:
                resource = await self._agree(http, viewer)
                self._house.adopt(viewer)
                await self._connect(viewer)
                self._connected += 1
                self._trouble = ""
                begun = asyncio.get_running_loop().time()
                await self._watch(viewer)
                self._held_s = asyncio.get_running_loop().time() - begun
            finally:
                await self._end(http, viewer, resource)

    def _steer(self, report: "Report") -> None:
        bitrate = self._rate.report(
            report.at, lost=report.lost, rtt_s=report.rtt_s, bound=report.bound
        )
        if bitrate is not None:
            self._bitrate = bitrate

    async def _agree(self, http: Any, viewer: Any) -> str:
        """Exchange offer and answer; returns the address of the session."""
        import aiohttp

        offer = await viewer.offer(prefer=self._prefer)
        try:
            async with http.post(
                self._url,
                data=offer.encode(),
                headers={"Content-Type": "application/sdp", "Accept": "application/sdp"},
            ) as answer:
                text = await answer.text(errors="replace")
                if answer.status != 201:
                    raise self._refused(answer.status, answer.headers.get("Retry-After", ""))
                place: str = answer.headers.get("Location", "")
                self._named = ice_servers(answer.headers.getall("Link", [])) or self._named
                resource = urljoin(str(answer.url), place) if place else ""
        except (aiohttp.ClientError, TimeoutError) as error:
            raise EngineError(f"cannot be reached ({_said(error)})") from None
        try:
            await viewer.accept(text)
        except EngineError:
            await self._delete(http, resource)
            raise
        return resource

    def _refused(self, status: int, retry: str) -> EngineError:
        """Return what the server's refusal means."""
        if status in (401, 403):
            remedy = (
                f"is the token in {self._token_env} right?"
                if self._token_env
                else "name the variable that holds the token in `token_env`"
            )
            return EngineError(f"refused the stream ({status}); {remedy}")
        if status in (404, 405, 406, 415):
            return EngineError(f"refused the stream ({status}); is this its WHIP address?")
        wait_s = float(retry) if retry.isdigit() else 0.0
        return EngineError(f"refused the stream ({status})", retry_after_s=wait_s)

    async def _connect(self, viewer: Any) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + CONNECT_S
        while viewer.connection.connectionState != "connected":
            if viewer.connection.connectionState in ("failed", "closed") or loop.time() > end:
                raise EngineError("answered, but cannot be connected; are its UDP ports open?")
            await asyncio.sleep(0.05)

    async def _watch(self, viewer: Any) -> None:
        """Return when the connection is lost, or the server no longer says what it gets."""
        loop = asyncio.get_running_loop()
        received, heard = 0, loop.time()
        while viewer.connection.connectionState == "connected":
            await asyncio.sleep(LOOK_S)
            stats = (await viewer.connection.getStats()).values()
            count = sum(one.packetsReceived for one in stats if one.type == "transport")
            if count != received or not count:
                received, heard = count, loop.time()
            elif loop.time() - heard > SILENT_S:
                return

    async def _end(self, http: Any, viewer: Any, resource: str) -> None:
        """Let the server go and tell it; ends even when it is cancelled."""
        await asyncio.shield(self._house.release(viewer))
        await viewer.close()
        await self._delete(http, resource)

    async def _delete(self, http: Any, resource: str) -> None:
        import aiohttp

        if resource:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with asyncio.timeout(DELETE_S), http.delete(resource):
                    pass


def ice_servers(links: Sequence[str]) -> list[dict[str, str]]:
    """Return the STUN and TURN servers in `Link` headers: urls, username, credential."""
    found = []
    for place, about in (pair for line in links for pair in _LINK.findall(line)):
        known = {key.lower(): quoted or bare for key, quoted, bare in _PARAMETER.findall(about)}
        if "ice-server" in known.get("rel", "").split():
            kept = {key: known[key] for key in ("username", "credential") if key in known}
            found.append({"urls": place, **kept})
    return found


def _server(about: Mapping[str, str]) -> Any:
    from aiortc import RTCIceServer

    return RTCIceServer(**about)


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _said(error: Exception) -> str:
    """Return why HTTP failed, without the address."""
    if isinstance(error, TimeoutError):
        return "no answer"
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None)
    text = getattr(cause, "strerror", "") or str(cause or "") or type(error).__name__
    return str(text).splitlines()[0]
