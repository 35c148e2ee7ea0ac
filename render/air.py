"""On air: every sink on a thread of its own, none able to slow another or the picture.

Runs on: the caller's thread puts frames and sound in; one thread a sink takes them out. A sink's
frame queue holds 4 (when it is full the oldest goes and is counted), its sound 1 s (when it is
full the sink is off the air). A sink that raises is closed and made anew after 1, 2, 4 ... 30 s.
With `blocking=True` (films made offline) the caller waits instead, and nothing is dropped.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dialogue.ticks import TICKS_PER_S, Ticks
from render.contracts import Sink
from render.frames import VideoFrame
from voice.speech import Samples

FRAMES = 4
SOUND: Ticks = TICKS_PER_S
BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
CLOSE_S = 20.0
"""How long a sink may take to finish at the end of a show."""


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """How a sink is doing."""

    name: str
    """As it was added."""
    state: Literal["opening", "live", "off", "closed"]
    """"off": failed, being retried."""
    sent: int
    """Frames sent."""
    dropped: int
    """Frames dropped because the sink was too slow."""
    error: str
    """Why it failed last; one line, or ""."""


class Air:
    """Hands pictures and sound to the sinks."""

    def __init__(self, *, width: int, height: int, fps: int, blocking: bool = False) -> None:
        """Go on air with no sink.

        Args:
            width: picture width in pixels.
            height: picture height in pixels.
            fps: frames a second.
            blocking: wait for slow sinks instead of dropping; for films made offline.
        """
        self._size = (width, height, fps)
        self._blocking = blocking
        self._lines: dict[str, _Line] = {}

    def add(self, name: str, make: Callable[[], Sink]) -> None:
        """Put a sink on air; `make` is called on its thread, again after each failure."""
        self.remove(name)
        self._lines[name] = _Line(name, make, *self._size, blocking=self._blocking)

    def remove(self, name: str) -> None:
        """Take a sink off the air; it finishes by itself."""
        line = self._lines.pop(name, None)
        if line is not None:
            line.end()

    def video(self, frame: VideoFrame) -> None:
        """Give a picture to every sink. The frame's pixels are copied once, for all of them."""
        if not self._lines:
            return
        shared = VideoFrame(frame.pts, frame.index, frame.pixels.copy(), frame.i420.copy())
        for line in self._lines.values():
            line.video(shared)

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Give a block of sound to every sink."""
        block = np.array(samples, np.float32)
        for line in self._lines.values():
            line.audio(pts, block)

    def status(self) -> list[SinkStatus]:
        """Return how each sink is doing."""
        return [line.status() for line in self._lines.values()]

    def close(self) -> None:
        """Finish every sink and wait for it, at most 20 s."""
        for line in self._lines.values():
            line.end()
        end = time.monotonic() + CLOSE_S
        for line in self._lines.values():
            line.join(max(0.0, end - time.monotonic()))


class _Line:
    """One sink, its two queues and its thread."""

    def __init__(
        self, name: str, make: Callable[[], Sink], width: int, height: int, fps: int,
        *, blocking: bool,
    ) -> None:  # fmt: skip
        self._name = name
        self._make = make
        self._open = (width, height, fps)
        self._blocking = blocking
        self._frames: deque[VideoFrame] = deque()
        self._sound: deque[tuple[Ticks, Samples]] = deque()
        self._held: Ticks = 0
        self._change = threading.Condition()
        self._ending = False
        self._overflow = False
        self._state: Literal["opening", "live", "off", "closed"] = "opening"
        self._sent = 0
        self._dropped = 0
        self._error = ""
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}", daemon=True)
        self._thread.start()

    def video(self, frame: VideoFrame) -> None:
        with self._change:
            if self._blocking:
                self._change.wait_for(lambda: len(self._frames) < FRAMES or not self._working())
            if not self._working():
                return
            if len(self._frames) >= FRAMES:
                self._frames.popleft()
                self._dropped += 1
            self._frames.append(frame)
            self._change.notify_all()

    def audio(self, pts: Ticks, samples: Samples) -> None:
        with self._change:
            if self._blocking:
                self._change.wait_for(lambda: self._held < SOUND or not self._working())
            if not self._working():
                return
            if self._held + len(samples) > SOUND and not self._blocking:
                if self._state == "live":
                    self._overflow = True
                self._sound.clear()
                self._held = 0
            self._sound.append((pts, samples))
            self._held += len(samples)
            self._change.notify_all()

    def status(self) -> SinkStatus:
        with self._change:
            return SinkStatus(self._name, self._state, self._sent, self._dropped, self._error)

    def end(self) -> None:
        with self._change:
            self._ending = True
            self._change.notify_all()

    def join(self, wait_s: float) -> None:
        self._thread.join(wait_s)

    def _working(self) -> bool:
        return not self._ending and self._state in ("opening", "live")

    def _run(self) -> None:
        while True:
            sink: Sink | None = None
            try:
                sink = self._make()
                sink.open(width=self._open[0], height=self._open[1], fps=self._open[2])
                with self._change:
                    self._state = "live"
                self._pump(sink)
                sink.close()
                sink = None
                with self._change:
                    self._state = "closed"
                    self._change.notify_all()
                return
            except Exception as error:
                with self._change:
                    self._state = "off"
                    self._error = str(error).splitlines()[0] if str(error) else repr(error)
                    self._frames.clear()
                    self._sound.clear()
                    self._held = 0
                    self._overflow = False
                    self._change.notify_all()
                    ending = self._ending or self._blocking
                if sink is not None:
                    try:
                        sink.close()
                    except Exception:  # it is broken already; the first error is the one to tell
                        ending = ending or False
                if ending:
                    return
                wait_s = BACK_OFF_S[min(self._failures, len(BACK_OFF_S) - 1)]
                self._failures += 1
                with self._change:
                    if self._change.wait_for(lambda: self._ending, wait_s):
                        self._state = "closed"
                        return
                    self._state = "opening"

    def _pump(self, sink: Sink) -> None:
        while True:
            with self._change:
                self._change.wait_for(
                    lambda: self._frames or self._sound or self._ending or self._overflow
                )
                if self._overflow:
                    raise RuntimeError(f"sink {self._name} did not take its sound for 1 s")
                sound = list(self._sound)
                self._sound.clear()
                self._held = 0
                frame = self._frames.popleft() if self._frames else None
                if not sound and frame is None and self._ending:
                    return
                self._change.notify_all()
            for pts, samples in sound:
                sink.audio(pts, samples)
            if frame is not None:
                sink.video(frame)
                with self._change:
                    self._sent += 1
                    self._failures = 0
