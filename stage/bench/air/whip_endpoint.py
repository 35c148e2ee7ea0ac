"""A WHIP endpoint for tries: `python -m ... PORT` takes all by aiortc and keeps nothing."""

import sys
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaBlackhole

_kept: list[RTCPeerConnection] = []


def application(answer: Callable[[str], Awaitable[str]]) -> web.Application:
    """Return an endpoint at `/whip`; `answer` makes the answer to an offer (both SDP)."""

    async def post(request: web.Request) -> web.Response:
        return web.Response(
            status=201, text=await answer(await request.text()), content_type="application/sdp",
            headers={"Location": "/session"},
        )  # fmt: skip

    async def delete(request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_post("/whip", post)
    app.router.add_delete("/session", delete)
    return app


async def _swallow(offer: str) -> str:
    connection = RTCPeerConnection()
    hole = MediaBlackhole()
    connection.on("track", hole.addTrack)
    await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    await connection.setLocalDescription(await connection.createAnswer())
    await hole.start()
    _kept.append(connection)
    return str(connection.localDescription.sdp)


def main() -> None:
    """Serve until killed."""
    web.run_app(
        application(_swallow), host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None
    )


if __name__ == "__main__":
    main()
