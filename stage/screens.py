"""Other screens: the show's HTTP Live Stream at `/hls/`, and a page that plays it at `/screen`.

Runs on: the house's asyncio loop; files are read on aiohttp's threads. Only names that an `hls`
sink writes are served, and only from its own folder.
"""

import html
import re
from importlib import resources
from pathlib import Path

from aiohttp import web

from stage.config import Show

_NAME = re.compile(r"(index|live)\.m3u8|init-\d+\.mp4|seg-\d+\.m4s")
_KINDS = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".mp4": "video/mp4",
    ".m4s": "video/iso.segment",
}
_FILES = {"/screen.css": "text/css", "/screen.js": "text/javascript"}


def folder(show: Show) -> Path | None:
    """Return where the first `hls` sink of `show` writes, None where there is none."""
    for sink in show.sinks.values():
        if sink.engine == "hls" and sink.options.get("folder"):
            return Path(str(sink.options["folder"]))
    return None


class Screens:
    """What the web server needs for other screens."""

    def __init__(self, source: Path | None, title: str) -> None:
        """Serve the stream in `source` (None: say how to have one) under the host's `title`."""
        self._source = source
        page = resources.files("stage") / "page"
        text = (page / "screen.html").read_text("utf-8").replace("{{title}}", html.escape(title))
        self._page = text.encode()
        self._files = {path: (page / path[1:]).read_bytes() for path in _FILES}

    def join(self, app: web.Application) -> None:
        """Add the paths to the server."""
        app.router.add_get("/screen", self._screen)
        app.router.add_get("/hls/{name}", self._stream)
        for path in _FILES:
            app.router.add_get(path, self._file)

    async def _screen(self, request: web.Request) -> web.Response:
        if self._source is None:
            raise web.HTTPNotFound(reason="no stream for other screens; start with --screens")
        response = web.Response(body=self._page, content_type="text/html", charset="utf-8")
        response.headers["Cache-Control"] = "no-cache"
        return response

    async def _file(self, request: web.Request) -> web.Response:
        kind = _FILES[request.path]
        response = web.Response(body=self._files[request.path], content_type=kind, charset="utf-8")
        response.headers["Cache-Control"] = "no-cache"
        return response

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if self._source is None or not _NAME.fullmatch(name):
            raise web.HTTPNotFound(reason="there is no such file in the stream")
        path = self._source / name
        if not path.is_file():
            raise web.HTTPNotFound(reason="the stream has not begun, or this part is over")
        playlist = path.suffix == ".m3u8"
        response = web.FileResponse(path)
        response.content_type = _KINDS[path.suffix]
        response.headers["Cache-Control"] = "no-cache" if playlist else "max-age=60"
        return response
