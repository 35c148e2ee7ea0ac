"""The overlay: what it costs, how clean its edges are, and how far apart voice and lips are there.

Renderer, encoder, WebRTC and pages are the real ones; Chromium watches. Edges are looked at in its
screenshots. For the offset the picture flashes white with every beep: flashes are found in what the
compositor hands out (a screencast, with its own time stamps), beeps in the sound of the connection
as Web Audio gets it, to the sample. Web Audio's own buffers make the beeps some 10 ms late there.
"""

import asyncio
import base64
import contextlib
import datetime
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from avatar.performer import Performer
from dialogue.ticks import TICKS_PER_S, Ticks, to_ms
from render.clock import MonotonicClock
from render.convert import to_i420
from render.frames import Pixels, VideoFrame
from render.matte import Packer, matte_size
from render.pacing import Pacer
from render.puppet import PuppetRenderer
from render.sinks.webrtc import MATTE_BITS, WebRTCSink
from stage import chromium, folders, wire
from stage.bench.air import figure
from stage.bench.figures import Figure
from stage.body import AHEAD, AUDIO_LEAD
from stage.config import Web as Settings
from stage.web import Web

WIDTH, HEIGHT, FPS = 1280, 720, 30
STEP: Ticks = TICKS_PER_S // FPS
SCENE = "night_room"
FRAMES = 150
"""Pictures over which the cost is measured: five seconds with a gesture."""
POSES = 5
"""Poses whose edges are looked at."""
BACKGROUNDS = ((0, 0, 0), (255, 255, 255), (0, 255, 0), (255, 0, 255))  # red, green, blue
EVERY: Ticks = 23 * STEP
"""From one flash to the next: no whole number of any buffer."""
FLASH: Ticks = 3 * STEP
SETTLE_S, WATCH_S = 10.0, 60.0
BEEP_HZ = 1000.0
NEAR_MS = 350.0
LATE_MS = 600.0

_FLOAT = npt.NDArray[np.float64]


def _renderer() -> tuple[PuppetRenderer, Performer]:
    folder = folders.character("kohaku")
    renderer = PuppetRenderer(folder, width=WIDTH, height=HEIGHT, scene=SCENE)
    performer = Performer(renderer.table, seed=3, motions=folder / "motions")
    performer.cue("wave", STEP)
    return renderer, performer


# Cost ---------------------------------------------------------------------------------------------


def _cost() -> list[Figure]:
    """Count the processor's time of each step, on the thread that takes it."""
    from render.sinks.rtc import PictureEncoder

    cv2.setNumThreads(1)
    renderer, performer = _renderer()
    packer = Packer(WIDTH, HEIGHT)
    wide, high = matte_size(WIDTH, HEIGHT)
    encoder = PictureEncoder(
        "H264", width=wide, height=high, fps=FPS, bitrate=4_000_000 * MATTE_BITS, matte=True
    )
    whole, laid, host = np.zeros((3, HEIGHT, WIDTH, 4), np.uint8)
    spent: dict[str, list[float]] = {name: [] for name in ("whole", "both", "host", "pack", "code")}
    bits = 0

    def timed(name: str, work: Callable[..., Any], *about: Any, **options: Any) -> Any:
        begun = time.thread_time()
        result = work(*about, **options)
        spent[name].append(time.thread_time() - begun)
        return result

    for k in range(FRAMES):
        pose = performer.pose(k * STEP)
        timed("whole", renderer.draw, pose, whole)
        timed("host", renderer.draw_host, pose, host)
        timed("both", renderer.draw_host, pose, host, laid)
        packed = timed("pack", packer.pack, host)
        packets = timed("code", encoder.encode, k * STEP, packed, key=False)
        bits += 8 * sum(packet.size for packet in packets)
    core = {name: 100 * FPS * float(np.median(times)) for name, times in spent.items()}
    drawn = core["both"] - core["whole"]
    how = f"thread time, median of {FRAMES} pictures of {WIDTH}x{HEIGHT} at {FPS}/s, Kohaku waving"
    return [
        figure("overlay: cost in all", drawn + core["pack"] + core["code"], "% of a core", "<= 60",
               f"drawing, packing and encoding, against no overlay; {how}",
               cell=("overlay", "cpu")),
        figure("overlay: drawing, more than without", drawn, "% of a core", "report",
               f"the host once, laid into the scene; {how}"),
        figure("overlay: drawing, were the host drawn twice", core["host"], "% of a core",
               "report", how),
        figure("overlay: packing", core["pack"], "% of a core", "report", how),
        figure("overlay: encoding", core["code"], "% of a core", "report", how),
        figure("overlay: rate", bits / FRAMES * FPS / 1e6, "Mbit/s", "report", how),
    ]  # fmt: skip


# A stage ------------------------------------------------------------------------------------------


class _Stage:
    """Feeds the real sink and serves the real pages.

    Args:
        frame: returns whole picture and host (premultiplied) for a time, as BGRA.
        size: width and height in pixels.
        beeps: whether a beep comes with each flash.
    """

    def __init__(
        self, frame: Callable[[Ticks], tuple[Pixels, Pixels]], size: tuple[int, int], beeps: bool
    ) -> None:
        self._frame, self._size, self._beeps = frame, size, beeps
        self.due_ms: list[float] = []
        """Of each flash: the instant of its picture, in milliseconds since the epoch."""
        self._sink = WebRTCSink()
        self._web = Web(
            Settings(port=0), title="Kohaku", theme={}, line=lambda *_: None, offer=self._offer
        )
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bench-stage")

    async def __aenter__(self) -> "_Stage":
        self._sink.open(width=self._size[0], height=self._size[1], fps=FPS)
        self.address = await self._web.start()
        self._web.tell({"type": "status", "mind": "ready", "body": "ready", "detail": ""})
        self._web.tell({"type": "body", "generation": 1})
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._end.set()
        await asyncio.to_thread(self._thread.join)
        await asyncio.to_thread(self._sink.close)
        await self._web.stop()

    async def _offer(self, offer: wire.Offer) -> wire.Answer:
        sdp, kind = await asyncio.to_thread(self._sink.answer, offer.sdp, offer.kind, offer.view)
        return wire.Answer(viewer=offer.viewer, sdp=sdp, kind=kind)

    def _run(self) -> None:
        clock = MonotonicClock()
        pacer = Pacer(clock, FPS, ahead=AHEAD)
        mixed = pacer.peek()
        i420: Pixels = np.zeros((self._size[1] * 3 // 2, self._size[0]), np.uint8)
        while not self._end.is_set():
            pts = pacer.next()
            if pts % EVERY < STEP:
                now_ms = datetime.datetime.now(datetime.UTC).timestamp() * 1e3
                self.due_ms.append(now_ms + to_ms(pts - clock.now()))
            until = pts + STEP + AUDIO_LEAD
            at = np.arange(mixed, until)
            loud = (at % EVERY < FLASH) & self._beeps
            wave = 0.5 * np.sin(at * (2 * np.pi * BEEP_HZ / TICKS_PER_S)) * loud
            self._sink.audio(mixed, wave.astype(np.float32))
            mixed = until
            whole, host = self._frame(pts)
            to_i420(whole, i420)
            self._sink.video(VideoFrame(pts, pts // STEP, whole, i420, host=host))


# Edges --------------------------------------------------------------------------------------------


def _edges() -> list[Figure]:
    if chromium.find() is None:
        why = "no Chromium here; install the package `chromium`"
        return [figure("overlay: edge error, mean", None, "of 255", "<= 6", why)]
    renderer, performer = _renderer()
    whole, host = np.zeros((2, HEIGHT, WIDTH, 4), np.uint8)
    hosts = []
    for k in range(POSES):
        renderer.draw_host(performer.pose((k * 12 + 6) * STEP), host, whole)
        hosts.append((whole.copy(), host.copy()))
    now = [0]

    async def run() -> dict[str, list[_FLOAT]]:
        found: dict[str, list[_FLOAT]] = {"edge": [], "inside": [], "outside": [], "luma": []}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "page.png"
            async with (
                _Stage(lambda _: hosts[now[0]], (WIDTH, HEIGHT), beeps=False) as stage,
                chromium.Chromium() as browser,
            ):
                page = await browser.page(f"{stage.address}overlay")
                await page.until("window.bunraku?.picture === 'live' && bunraku.drawn > 30", 60)
                for k, (_, shown) in enumerate(hosts):
                    now[0] = k
                    drawn = await page.evaluate("bunraku.drawn")
                    await page.until(f"bunraku.drawn > {drawn} + 20", 30)
                    for r, g, b in BACKGROUNDS:
                        await page.send(
                            "Emulation.setDefaultBackgroundColorOverride",
                            color={"r": r, "g": g, "b": b, "a": 255},
                        )
                        await page.screenshot(file)
                        _compare(
                            _read(file.read_bytes(), cv2.IMREAD_COLOR), shown, (b, g, r), found
                        )
        return found

    found = {kind: np.concatenate(all_) for kind, all_ in asyncio.run(run()).items()}
    how = (
        f"Chromium's screenshots, {POSES} poses over black, white, green and magenta, against the "
        f"host drawn there; the worst channel of each pixel, n = {len(found['edge'])}"
    )
    return [
        figure("overlay: edge error, mean", float(found["edge"].mean()), "of 255", "<= 6", how),
        figure("overlay: edge error, p99", float(np.percentile(found["edge"], 99)), "of 255",
               "report", f"{how}; fine lines lose colour in 4:2:0 wherever they are"),
        figure("overlay: edge error in luma, p99", float(np.percentile(found["luma"], 99)),
               "of 255", "<= 12", how),
        figure("overlay: error inside the host, mean", float(found["inside"].mean()), "of 255",
               "report", how),
        figure("overlay: error outside the host, largest", float(found["outside"].max()), "of 255",
               "<= 2", how),
    ]  # fmt: skip


def _read(file: bytes, how: int) -> _FLOAT:
    read = cv2.imdecode(np.frombuffer(file, np.uint8), how)
    if read is None:
        raise chromium.ChromiumError("Chromium gave a picture that cannot be read")
    found: _FLOAT = read.astype(np.float64)
    return found


def _compare(
    seen: _FLOAT, host: Pixels, background: tuple[int, int, int], found: dict[str, list[_FLOAT]]
) -> None:
    """Note how far `seen` (BGR) is from the host over a background (BGR)."""
    alpha = host[..., 3]
    soft = ((alpha > 0) & (alpha < 255)).astype(np.uint8)
    edge = cv2.dilate(soft, np.ones((3, 3), np.uint8)) > 0
    wrong = seen - host[..., :3] - (1 - alpha[..., None] / 255) * np.array(background)
    worst = np.abs(wrong).max(-1)
    found["edge"].append(worst[edge])
    found["inside"].append(worst[(alpha == 255) & ~edge])
    found["outside"].append(worst[(alpha == 0) & ~edge])
    found["luma"].append(np.abs(wrong @ (0.114, 0.587, 0.299))[edge])


# Offset -------------------------------------------------------------------------------------------

_LISTEN = """
(() => {
  window.beeps = [];
  const audio = new AudioContext({ sampleRate: 48000, latencyHint: 0 });
  const ear = new AnalyserNode(audio, { fftSize: 8192 });
  audio.createMediaStreamSource(document.querySelector("#video").srcObject).connect(ear);
  const wave = new Float32Array(8192);
  let last = -1;
  setInterval(() => {
    const now = performance.now(), at = audio.currentTime;
    ear.getFloatTimeDomainData(wave);
    let quiet = 0;
    wave.forEach((x, i) => {
      if (Math.abs(x) < 0.04) { quiet++; return; }
      const when = at - (wave.length - i) / 48000;
      if (quiet > 2400 && when > last + 0.3) {
        last = when;
        beeps.push(performance.timeOrigin + now - (at - when) * 1e3);
      }
      quiet = 0;
    });
  }, 10);
})()
"""


def _sync() -> list[Figure]:
    pages = {"stage page": ("page", ""), "overlay": ("overlay", "overlay")}
    if chromium.find() is None:
        why = "no Chromium here; install the package `chromium`"
        return [
            figure(f"{name}: A/V offset, median", None, "ms", "|x|<= 10", why) for name in pages
        ]
    figures: list[Figure] = []
    for name, (way, path) in pages.items():
        early, late = asyncio.run(_offsets(path))
        offsets = np.array(early)
        how = (
            f"{len(offsets)} flashes and beeps in Chromium, positive: sound early; screencast "
            "against Web Audio (whose buffers make sound about 10 ms late)"
        )
        if len(offsets) < 10:
            figures.append(figure(f"{name}: A/V offset, median", None, "ms", "|x|<= 10", how))
            continue
        figures += [
            figure(f"{name}: A/V offset, median", float(np.median(offsets)), "ms", "|x|<= 10", how,
                   cell=(way, "offset")),
            figure(f"{name}: A/V offset, p99 of its size", float(np.percentile(abs(offsets), 99)),
                   "ms", "<= 33.3", how, cell=(way, "p99")),
            figure(f"{name}: a picture is seen after its instant, median", float(np.median(late)),
                   "ms", "report", f"{len(late)} flashes; encoder, network, Chromium's decoder and "
                   "compositor on the same two cores"),
        ]  # fmt: skip
    return figures


async def _offsets(path: str) -> tuple[list[float], list[float]]:
    """Return, in milliseconds, picture minus sound of each flash, and how late each is seen."""
    size = (640, 360)
    dark, white = (np.full((size[1], size[0], 4), grey, np.uint8) for grey in (60, 250))
    dark[..., 3] = white[..., 3] = 255

    def frame(pts: Ticks) -> tuple[Pixels, Pixels]:
        shown = white if pts % EVERY < FLASH else dark
        return shown, shown

    flashes: list[float] = []
    async with _Stage(frame, size, beeps=True) as stage, chromium.Chromium() as browser:
        page = await browser.page(stage.address + path, width=size[0], height=size[1])
        await page.until("window.bunraku?.picture === 'live'", 60)
        await asyncio.sleep(SETTLE_S)
        await page.evaluate(_LISTEN)
        watching = asyncio.create_task(_flashes(page, flashes))
        await asyncio.sleep(WATCH_S)
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        beeps = np.array(await page.evaluate("beeps"))
    found, late = [], []
    for at_ms in flashes:
        late += [at_ms - due for due in stage.due_ms if 0 <= at_ms - due < LATE_MS]
        near = at_ms - beeps[np.argmin(abs(at_ms - beeps))] if len(beeps) else NEAR_MS
        if abs(near) < NEAR_MS:
            found.append(float(near))
    return found, late


async def _flashes(page: chromium.Page, flashes: list[float]) -> None:
    """Note when the compositor's picture turns white, in milliseconds since the epoch."""
    pictures = page.events("Page.screencastFrame")
    await page.send("Page.startScreencast", format="jpeg", quality=30, maxWidth=64, maxHeight=36)
    bright = True
    async for picture in pictures:
        grey = _read(base64.b64decode(picture["data"]), cv2.IMREAD_GRAYSCALE)
        was, bright = bright, bool(grey[len(grey) // 3, grey.shape[1] // 3] > 150)
        if bright and not was:
            flashes.append(picture["metadata"]["timestamp"] * 1e3)
        await page.send("Page.screencastFrameAck", sessionId=picture["sessionId"])


PARTS: dict[str, tuple[str, Callable[[], list[Figure]]]] = {
    "overlay-cost": ("what the overlay costs while somebody watches it", _cost),
    "overlay-edges": ("its edges in Chromium over four backgrounds", _edges),
    "overlay-sync": ("voice against lips on the stage page and on the overlay", _sync),
}
"""Name -> description and measurement."""
