"""Notes flashes and beeps in a page: what a person would see and hear, and when."""

import json
from typing import Any

from stage.chromium import Page

_NOTE = """
((video, from, heard) => {
  const brush = new OffscreenCanvas(8, 8).getContext("2d", { willReadFrequently: true });
  const seen = window.seen = { white: [], sound: [], frames: 0 };
  const audio = new AudioContext();
  const ear = new AnalyserNode(audio, { fftSize: 256 });
  const source = from === "stream"
    ? audio.createMediaStreamSource(video.srcObject) : audio.createMediaElementSource(video);
  source.connect(ear);
  if (heard) ear.connect(audio.destination);
  const wave = new Float32Array(256);
  let loud = false;
  setInterval(() => {
    ear.getFloatTimeDomainData(wave);
    const now = wave.some((x) => Math.abs(x) > 0.05);
    if (now && !loud) seen.sound.push(performance.now());
    loud = now;
  }, 4);
  let white = false;
  const look = (now, about) => {
    seen.frames += 1;
    brush.drawImage(video, 0, 0, 8, 8);
    const bright = brush.getImageData(4, 4, 1, 1).data[0] > 160;
    if (bright && !white) seen.white.push(about.expectedDisplayTime);
    white = bright;
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
})
"""


def noting(video: str, *, stream: bool, heard: bool) -> str:
    """Return the script that begins to note into `window.seen`: `white`, `sound`, `frames`.

    `white` and `sound` are `performance.now()` when the picture turns white and a beep begins.

    Args:
        video: a JavaScript expression for the element.
        stream: its sound comes from `srcObject`; else from the element itself, which then is
            silent unless `heard`.
        heard: play what is listened to.
    """
    source = json.dumps("stream" if stream else "element")
    return f"{_NOTE}({video}, {source}, {json.dumps(heard)})"


async def offsets(page: Page, most_ms: float = 400.0) -> list[float]:
    """Return how much each flash comes after its beep, in ms; pairs further apart are none."""
    seen: dict[str, Any] = await page.evaluate("seen")
    pairs = [w - s for w in seen["white"] for s in seen["sound"] if abs(w - s) < most_ms]
    return pairs
