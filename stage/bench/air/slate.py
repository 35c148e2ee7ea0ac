"""Pictures that say which they are, with a flash and a beep: what comes out can be counted.

Where servers and programs come and go, each picture carries its number as a bar code, so that what
is missing, and how late it is, is read from what was received.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dialogue.ticks import TICKS_PER_S
from render.air import Air
from render.frames import VideoFrame
from stage.bench.air import servers
from stage.bench.air.gaps import gaps

WIDTH, HEIGHT, FPS = 320, 192, 30
STEP = TICKS_PER_S // FPS
_BITS, _BIT_PX = 16, 16
_MARK_EVERY = 20
"""Frames from one flash with its beep to the next."""


class Slate:
    """Pictures with their number as a bar code, a flash, and a beep with it; in real time."""

    def __init__(self, folder: Path, push: Callable[[], Any]) -> None:
        from render.sinks.file import FileSink

        self.film = folder / "beside.mp4"
        self.shown = 0
        self.sink = push()
        self.air = Air(width=WIDTH, height=HEIGHT, fps=FPS)
        self.air.add("film", lambda: FileSink(path=self.film))
        self.air.add("push", lambda: self.sink)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="slate")

    def __enter__(self) -> "Slate":
        servers.until(lambda: all(s.state != "opening" for s in self.air.status()), "sinks open")
        self._thread.start()
        return self

    def __exit__(self, *about: object) -> None:
        self._over.set()
        self._thread.join()
        self.air.close()

    def _run(self) -> None:
        begun = time.monotonic()
        while not self._over.wait(max(0.0, begun + self.shown / FPS - time.monotonic())):
            k = self.shown
            beep = 0.5 * np.sin(np.arange(STEP) * 0.3 + 0.5) * (k % _MARK_EVERY == 10)
            self.air.audio(k * STEP, beep.astype(np.float32))
            pixels, i420 = self.air.blank()
            _draw(k, i420)
            self.air.video(VideoFrame(k * STEP, k, pixels, i420))
            self.shown += 1

    @property
    def sending(self) -> bool:
        """Whether the stream is connected."""
        return not self.sink.trouble

    def lost_by_film(self) -> int:
        """Pictures that the film beside lacks; it is closed."""
        whole = gaps(self.film, FPS)
        return self.shown - whole.frames


def _draw(number: int, i420: npt.NDArray[np.uint8]) -> None:
    i420[:] = 128
    i420[:HEIGHT] = 235 if number % _MARK_EVERY == 10 else 60
    for bit in range(_BITS):
        at = bit * _BIT_PX
        i420[:_BIT_PX, at : at + _BIT_PX] = 235 if number >> bit & 1 else 16


@dataclass(frozen=True, slots=True)
class Seen:
    """What came out of a way on air."""

    numbers: list[int]
    """Of its pictures, in order."""
    times_s: list[float]
    """When each is seen, by the film's own clock."""
    offsets_ms: list[float]
    """How much each beep is before its flash."""


def read(film: Path) -> Seen:
    """Return what is in a film of the slate."""
    import av

    numbers, times, white, before = [], [], [], False
    with av.open(str(film)) as made:
        made.streams.video[0].thread_type = "AUTO"
        for frame in made.decode(video=0):
            grey = np.frombuffer(frame.planes[0], np.uint8).reshape(-1, frame.planes[0].line_size)
            middle = grey[_BIT_PX // 2, _BIT_PX // 2 : _BITS * _BIT_PX : _BIT_PX]
            numbers.append(sum(1 << bit for bit, level in enumerate(middle) if level > 128))
            times.append(float(frame.pts * frame.time_base))
            now = float(grey[HEIGHT // 2 :, :WIDTH].mean()) > 150
            if now and not before:
                white.append(times[-1])
            before = now
    with av.open(str(film)) as made:
        blocks = [(float(f.pts * f.time_base), f.to_ndarray()[0]) for f in made.decode(audio=0)]
    heard = np.abs(np.concatenate([samples for _, samples in blocks]))
    offsets = []
    for at in white:
        near = max(0, round((at - blocks[0][0] - 0.15) * TICKS_PER_S))
        loud = np.flatnonzero(heard[near : near + TICKS_PER_S * 3 // 10] > 0.1)
        if len(loud):
            offsets.append((at - blocks[0][0] - (near + loud[0]) / TICKS_PER_S) * 1e3)
    return Seen(numbers, times, offsets)
