"""The workbench: pictures come, sliders move them, saved files are read anew, faults are told."""

import asyncio
import functools
import re
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ParamSpec

import aiohttp
import cv2
import numpy as np
import numpy.typing as npt
import pytest

import characters
from stage import chromium, preview
from stage.preview import Workbench

KOHAKU = Path(characters.__path__[0]) / "kohaku"
WAIT_S = 20.0  # of a machine that does ten other things; nothing waits so long
P = ParamSpec("P")


def on_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(KOHAKU, tmp_path / "kohaku"))


class Client:
    """A page's end of the socket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def told(self, kind: str) -> dict[str, Any]:
        """Return the next message of `kind`, looking at pictures meanwhile."""
        async with asyncio.timeout(WAIT_S):
            while True:
                packet = await self.socket.receive()
                if packet.type is aiohttp.WSMsgType.BINARY:
                    await self.socket.send_str("shown")
                elif packet.json()["type"] == kind:
                    message: dict[str, Any] = packet.json()
                    return message

    async def picture(self) -> npt.NDArray[np.int16]:
        """Return the next picture."""
        async with asyncio.timeout(WAIT_S):
            while True:
                packet = await self.socket.receive()
                if packet.type is aiohttp.WSMsgType.BINARY:
                    await self.socket.send_str("shown")
                    decoded = cv2.imdecode(np.frombuffer(packet.data, np.uint8), cv2.IMREAD_COLOR)
                    assert decoded is not None
                    return decoded.astype(np.int16)

    async def ask(self, **message: Any) -> None:
        """Ask and wait until it is done."""
        await self.socket.send_json(message)
        await self.told("posed")


class Bench:
    """A workbench with one page."""

    def __init__(self, folder: Path) -> None:
        self._bench = Workbench(folder, port=0)

    async def __aenter__(self) -> Client:
        self.address = await self._bench.start()
        self._session = aiohttp.ClientSession()
        return Client(await self._session.ws_connect(f"{self.address}ws"))

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self._bench.stop()


@on_a_loop
async def test_a_slider_moves_the_picture_and_going_back_moves_it_back(folder: Path) -> None:
    async with Bench(folder) as page:
        about = await page.told("character")
        assert {"happy", "sad"} <= set(about["expressions"])
        assert "wave" in about["gestures"]
        assert about["scenes"][-2:] == ["chroma", "transparent"]
        await page.ask(alive=False, scene="chroma")
        await page.picture()  # may have been drawn before
        rest = await page.picture()
        assert rest.shape == (720, 1280, 3)
        await page.ask(set={"Viseme_aa": 1.0, "ParamAngleX": 25.0})
        await page.picture()
        moved = await page.picture()
        assert (np.abs(moved - rest).max(2) > 40).sum() > 5000
        await page.ask(clear=True)
        for _ in range(60):  # springs come to rest
            back = await page.picture()
        assert (np.abs(back - rest).max(2) > 40).sum() < 300


@on_a_loop
async def test_a_saved_file_is_read_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "LOOK_S", 0.05)
    async with Bench(folder) as page:
        await page.told("posed")
        await page.ask(alive=False, scene="chroma")
        before = await page.picture()
        svg = folder / "puppet.svg"
        text = re.sub("#27AB9F", "#FF00FF", svg.read_text("utf-8"))
        svg.write_text(text, "utf-8")
        await page.told("character")
        await page.picture()
        after = await page.picture()
        assert (np.abs(after - before).max(2) > 40).sum() > 500


@on_a_loop
async def test_a_broken_file_is_told_and_the_picture_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "LOOK_S", 0.05)
    async with Bench(folder) as page:
        await page.told("posed")
        rig = folder / "rig.toml"
        good = rig.read_text("utf-8")
        rig.write_text(good.replace('name = "eye_l"', 'name = "eye_lll"', 1), "utf-8")
        fault = await page.told("fault")
        assert fault["text"].startswith("kohaku/rig.toml:")
        assert "eye_lll" in fault["text"]
        await page.picture()
        rig.write_text(good, "utf-8")
        await page.told("character")


@on_a_loop
async def test_a_folder_that_is_broken_from_the_start_says_why(folder: Path) -> None:
    (folder / "rig.toml").unlink()
    async with Bench(folder) as page:
        assert "rig.toml" in (await page.told("fault"))["text"]


@on_a_loop
async def test_cues_talk_and_checks_are_done(folder: Path) -> None:
    async with Bench(folder) as page:
        await page.told("posed")
        await page.ask(alive=False, scene="chroma")
        await page.ask(cue="cheer")
        first = await page.picture()
        for _ in range(15):
            later = await page.picture()
        assert (np.abs(later - first).max(2) > 40).sum() > 2000
        await page.ask(talk=True)
        await page.socket.send_json({"check": True})
        findings = (await page.told("checked"))["findings"]
        assert all({"level", "place", "fault", "remedy"} == set(row) for row in findings)


@on_a_loop
async def test_nonsense_is_answered_and_survived(folder: Path) -> None:
    async with Bench(folder) as page:
        await page.told("posed")
        for packet in ("{", '{"set": 3}', '{"set": {"ParamNothing": 1}}', '{"cue": "moonwalk"}'):
            await page.socket.send_str(packet)
        assert "not understood" in (await page.told("fault"))["text"]
        await page.socket.send_json({"scene": "beach"})
        while "beach" not in (await page.told("fault"))["text"]:
            pass  # the others before it
        await page.picture()


@on_a_loop
async def test_a_foreign_page_is_refused(folder: Path) -> None:
    bench = Workbench(folder, port=0)
    address = await bench.start()
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{address}ws", headers={"Origin": "http://evil.example"}) as answer,
        ):
            assert answer.status == 403
    finally:
        await bench.stop()


@pytest.mark.chromium
@pytest.mark.skipif(
    chromium.find() is None, reason="no Chromium here; install the package `chromium`"
)
@on_a_loop
async def test_the_page_works_in_chromium(folder: Path) -> None:
    bench = Workbench(folder, port=0)
    address = await bench.start()
    try:
        async with chromium.Chromium(sound=False) as browser:
            await _use(await browser.page(address))
    finally:
        await bench.stop()


async def _use(page: chromium.Page) -> None:
    await page.until("document.querySelectorAll('.slider').length > 30", WAIT_S)
    await page.until("parseInt(document.getElementById('pace').textContent) > 2", WAIT_S)
    await page.click("#talk")
    await page.evaluate(
        "(() => { const i = document.getElementById('slider-ParamAngleX');"
        " i.value = 20; i.oninput(); })()"
    )
    await page.until("document.querySelector('.slider.moved output').textContent > 19", WAIT_S)
    await page.click("#reset")
    await page.until("!document.querySelector('.slider.moved')", WAIT_S)
    assert page.errors == []
