"""Other screens: the stream over HTTP, and the page that plays it in a real Chromium."""

import asyncio
import statistics
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from dialogue.ticks import TICKS_PER_S
from render.frames import VideoFrame
from render.sinks.hls import HlsSink
from stage import screens, wire
from stage.chromium import Chromium, find
from stage.config import Show, SinkTable
from stage.config import Web as Settings
from stage.web import Web
from tests.flashes import noting, offsets

WIDTH, HEIGHT, FPS = 160, 96, 30
STEP = TICKS_PER_S // FPS


async def nobody(offer: wire.Offer) -> wire.Answer:
    raise ConnectionError("no body in this test")


def web(folder: Path | None) -> Web:
    return Web(
        Settings(port=0), title="Kohaku", theme={"ink": "#102030"},
        line=lambda author, text, viewer: None, offer=nobody, screens=folder,
    )  # fmt: skip


class Cast:
    """Shows a second-hand flash with a beep, in real time, on a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shown = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Cast":
        self._thread.start()
        return self

    def __exit__(self, *about: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        sink = HlsSink(folder=str(self.folder), segment_s=0.5)
        sink.open(width=WIDTH, height=HEIGHT, fps=FPS)
        begun = time.monotonic()
        pixels = np.zeros((1, 1, 4), np.uint8)
        while not self._end.wait(max(0.0, begun + self.shown / FPS - time.monotonic())):
            k = self.shown
            mark = k % 30 == 10
            beep = 0.5 * np.sin(np.arange(STEP) * 0.3 + 0.5) * mark
            sink.audio(k * STEP, beep.astype(np.float32))
            i420 = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
            i420[:HEIGHT] = 235 if mark else 40 + k % 40
            sink.video(VideoFrame(k * STEP, k, pixels, i420))
            self.shown += 1
        sink.close()


def serve(folder: Path | None, test: Callable[[str], Awaitable[None]]) -> None:
    async def run() -> None:
        server = web(folder)
        address = await server.start()
        try:
            async with asyncio.timeout(90):
                await test(address)
        finally:
            await server.stop()

    asyncio.run(run())


def test_only_what_the_sink_writes_is_served(tmp_path: Path) -> None:
    (tmp_path / "hls").mkdir()
    (tmp_path / "secret.m4s").write_text("not for you")
    (tmp_path / "hls" / "secret.txt").write_text("nor this")
    (tmp_path / "hls" / "live.m3u8").write_text("#EXTM3U\n")
    (tmp_path / "hls" / "seg-000001.m4s").write_bytes(b"film")

    async def test(address: str) -> None:
        async with aiohttp.ClientSession() as http:
            for name, status, kind in (
                ("live.m3u8", 200, "application/vnd.apple.mpegurl"),
                ("seg-000001.m4s", 200, "video/iso.segment"),
                ("index.m3u8", 404, ""),
                ("secret.txt", 404, ""),
                ("%2e%2e/secret.m4s", 404, ""),
                ("..%2fsecret.m4s", 404, ""),
            ):
                async with http.get(f"{address}hls/{name}") as answer:
                    assert answer.status == status, name
                    if kind:
                        assert answer.content_type == kind
            async with http.get(f"{address}hls/live.m3u8") as answer:
                assert answer.headers["Cache-Control"] == "no-cache"
            async with http.get(f"{address}screen") as answer:
                assert answer.status == 200
                assert "media-src 'self' blob:" in answer.headers["Content-Security-Policy"]
                assert "<title>Kohaku</title>" in await answer.text()
            async with http.get(address) as answer:
                assert "blob:" not in answer.headers["Content-Security-Policy"]

    serve(tmp_path / "hls", test)


def test_a_show_without_such_a_stream_says_how_to_have_one() -> None:
    async def test(address: str) -> None:
        async with aiohttp.ClientSession() as http, http.get(f"{address}screen") as answer:
            assert answer.status == 404
            assert "--screens" in (await answer.json())["error"]

    serve(None, test)


def test_the_folder_is_that_of_the_shows_own_sink(tmp_path: Path) -> None:
    assert screens.folder(Show()) is None
    show = Show(sinks={"lobby": SinkTable("hls", {"folder": str(tmp_path)})})
    assert screens.folder(show) == tmp_path


PLAYING = "document.documentElement?.dataset.state === 'playing'"


@pytest.mark.chromium
@pytest.mark.skipif(find() is None, reason="no Chromium here; install the package `chromium`")
def test_the_screen_plays_in_sync_and_goes_on_after_the_show_was_restarted(tmp_path: Path) -> None:
    async def test(address: str) -> None:
        async with Chromium() as browser:
            with Cast(tmp_path):
                page = await browser.page(f"{address}screen", width=640, height=384)
                await page.until(PLAYING, 30)
                await page.evaluate(
                    noting("document.querySelector('#video')", stream=False, heard=True)
                )
                await page.until("seen.white.length >= 4 && seen.sound.length >= 4", 30)
                offset = await offsets(page)
                assert abs(statistics.median(offset)) < 60
            with Cast(tmp_path):  # another run in the same folder: a break in the stream
                frames = await page.evaluate("seen.frames")
                await page.until(f"screenState.runs >= 2 && seen.frames > {frames} + 30", 40)
                await page.until(PLAYING)
            complaints = [line for line in page.errors if "404" not in line]
            assert complaints == []

    serve(tmp_path, test)
