"""End to end, nothing faked: language model, voice, recogniser, puppet, encoder, pipes, page.

The model is the small one of the tests: what it says is poor, but it is said, heard and seen.
"""

import asyncio
from pathlib import Path

import av
import numpy as np
import pytest

from stage import chromium, engines, wire
from stage.config import LLM, Show, SinkTable, Video, Web
from stage.house import House

pytestmark = pytest.mark.models

PATIENCE_S = 240.0
MODEL = "smollm2-135m"


def settings(film: Path | None = None) -> Show:
    return Show(
        llm=LLM(options={"model": MODEL}, max_tokens=40),
        video=Video(width=640, height=360),
        web=Web(port=0),
        sinks={"film": SinkTable("file", {"path": str(film)})} if film else {},
    )


def sound_of(film: Path) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    """Return the film's sound at 16 kHz."""
    blocks = []
    with av.open(str(film)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
        for frame in container.decode(audio=0):
            blocks += [block.to_ndarray()[0] for block in resampler.resample(frame)]
    return np.concatenate(blocks)


def words(text: str) -> list[str]:
    kept = "".join(c.lower() if c.isalnum() or c.isspace() else " " for c in text)
    return kept.split()


def test_a_line_is_answered_aloud_and_the_film_says_the_same(tmp_path: Path) -> None:
    film = tmp_path / "show.mp4"

    async def run() -> tuple[wire.Done, list[wire.Started]]:
        started: list[wire.Started] = []

        def watch(message: wire.Message) -> None:
            if isinstance(message, wire.Started):
                started.append(message)

        house = House(settings(film), title="Kohaku", theme={}, watch=watch, page=False)
        await house.start()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await house.ready("body")
                await house.ready("mind")
                _, done = house.line("Hello! What do you like best?", author="Mika")
                return await done, started
        finally:
            await house.close()

    done, started = asyncio.run(run())
    assert done.heard
    assert done.heard.startswith(started[0].text)
    marks = done.marks
    order = ["received", "chosen", "first_token", "first_clause", "first_audio", "heard"]
    assert sorted(order, key=lambda name: marks[name]) == order
    assert done.work.deltas > 3
    assert done.work.sound_s > 0.5

    sound = sound_of(film)
    spoken_s = float((np.abs(sound) > 0.01).sum()) / 16_000
    assert spoken_s > 0.2 * done.work.sound_s, "silence where there was speech"
    assert spoken_s < 1.5 * done.work.sound_s, "noise where there was none"
    begin = max(0, int(np.argmax(np.abs(sound) > 0.01)) - 4_800)
    spoken = sound[begin : begin + 28 * 16_000]  # the film is as long as the model took to load
    heard = words(engines.make_recogniser().transcribe(spoken, "en").text)
    said = words(done.heard)
    known = sum(word in heard for word in said)
    assert known >= 0.6 * len(said), f"said {said}, a recogniser heard {heard}"

    with av.open(str(film)) as container:
        pictures = [f.to_ndarray(format="gray") for f in container.decode(video=0)]
    assert len(pictures) > 60
    assert pictures[0].std() > 20, "a picture, not a plain"
    moved = np.abs(pictures[-1].astype(int) - pictures[len(pictures) // 2].astype(int))
    assert moved.max() > 30


@pytest.mark.chromium
@pytest.mark.skipif(chromium.find() is None, reason="no Chromium here; install `chromium`")
def test_a_viewer_types_and_sees_and_hears_the_answer() -> None:
    listen = """
    (() => {
      const audio = new AudioContext();
      const ear = new AnalyserNode(audio, { fftSize: 2048 });
      audio.createMediaStreamSource(document.querySelector("#video").srcObject).connect(ear);
      const wave = new Float32Array(2048);
      window.loudest = 0;
      setInterval(() => {
        ear.getFloatTimeDomainData(wave);
        for (const x of wave) window.loudest = Math.max(window.loudest, Math.abs(x));
      }, 40);
    })()
    """

    async def run() -> None:
        house = House(settings(), title="Kohaku", theme={})
        await house.start()
        try:
            async with asyncio.timeout(PATIENCE_S), chromium.Chromium() as browser:
                await house.ready("body")
                page = await browser.page(house.address)
                await page.until("window.bunraku?.picture === 'live'", 60)
                await page.evaluate(listen)
                assert await page.evaluate("window.loudest") < 0.01
                await house.ready("mind")
                await page.click("#text")
                await page.write("Hello! How are you?")
                await page.press("Enter")
                await page.until("document.querySelector('#caption').innerText.length > 0", 120)
                await page.until("window.loudest > 0.05", 30)
                frames = await page.evaluate("bunraku.frames")
                await page.until(f"bunraku.frames > {frames} + 10", 30)
                chat = await page.evaluate("document.querySelector('#lines').innerText")
                assert "Hello! How are you?" in chat
                assert page.errors == []
        finally:
            await house.close()

    asyncio.run(run())
