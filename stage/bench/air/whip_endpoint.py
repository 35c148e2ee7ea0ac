"""A WHIP endpoint by aiortc that takes all and keeps nothing: `python -m ... PORT`."""

import sys

from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaBlackhole

_kept: list[RTCPeerConnection] = []


async def _post(request: web.Request) -> web.Response:
    connection = RTCPeerConnection()
    hole = MediaBlackhole()
    connection.on("track", hole.addTrack)
    await connection.setRemoteDescription(
        RTCSessionDescription(await request.text(), "offer")
    )  # fmt: skip
    await connection.setLocalDescription(await connection.createAnswer())
    await hole.start()
    _kept.append(connection)
    return web.Response(
        status=201,
        text=connection.localDescription.sdp,
        content_type="application/sdp",
        headers={"Location": "/session"},
    )


async def _delete(request: web.Request) -> web.Response:
    return web.Response()


def main() -> None:
    """Serve until killed."""
    app = web.Application()
    app.router.add_post("/whip", _post)
    app.router.add_delete("/session", _delete)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


if __name__ == "__main__":
    main()
