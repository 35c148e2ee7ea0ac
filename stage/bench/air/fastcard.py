"""A sound card that is not there, in real time: a sink for a show, with a clock that is off.

Runs on: a thread that asks for sound as PortAudio's would, at the card's own rate. It takes down
when each sound begins at its loudspeaker, and what the mouth looks like in each picture that gets
to it; nothing of ours is asked for either time.
"""

import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S
from render.frames import VideoFrame
from render.sinks.device import DeviceSink
from voice.speech import Samples

BLOCK = 480
LATENCY_S = 0.015
QUIET = 0.15
"""Seconds of silence before a sound that counts as an onset."""
LOUD = 0.02
SMALL = 16
"""The mouth's surroundings are shrunk to so many points each way."""


class FastCard(DeviceSink):
    """Plays on a card whose clock is off by some parts in a million."""

    def __init__(self, *, ppm: float, path: Path, box: list[int]) -> None:
        """Describe the card.

        Args:
            ppm: how much faster than this machine's clock it is.
            path: folder of the notes, a file for each time that the card was opened (`.npz`):
                `onsets_s`, `times_s`, `mouths`, `drift_ppm`, `underruns`, `jolt`.
            box: x, y, width, height of the mouth's surroundings in pixels.
        """
        self._rate = TICKS_PER_S * (1.0 + ppm * 1e-6)
        super().__init__()
        self._path, self._box = path, box
        self._times: list[float] = []
        self._mouths: list[npt.NDArray[np.uint8]] = []

    def _portaudio(self) -> Any:
        """Return a library with one card."""
        return types.SimpleNamespace(
            PortAudioError=OSError, _terminate=lambda: None, _initialize=lambda: None,
            OutputStream=lambda callback, **kind: _Stream(callback, self._rate),
        )  # fmt: skip

    @property
    def watched(self) -> bool:
        """Its pictures are looked at."""
        return True

    def video(self, frame: VideoFrame) -> None:
        """Take down when the picture came, and its mouth."""
        now_s = time.monotonic_ns() / 1e9
        super().video(frame)
        import cv2

        x, y, width, height = self._box
        grey = frame.i420[y : y + height, x : x + width]
        self._times.append(now_s)
        self._mouths.append(cv2.resize(grey, (SMALL, SMALL), interpolation=cv2.INTER_AREA))

    def close(self) -> None:
        """Write the notes."""
        stream = self._stream
        super().close()
        if stream is not None:
            np.savez(
                self._path / f"{self._times[0] if self._times else 0.0:017.6f}.npz",
                onsets_s=np.array(stream.onsets_s), times_s=np.array(self._times),
                mouths=np.array(self._mouths), drift_ppm=self.drift_ppm, underruns=self.underruns,
                jolt=stream.jolt,
            )  # fmt: skip


class _Stream:
    """The card."""

    def __init__(self, callback: Callable[..., None], rate: float) -> None:
        self.active = False
        self.onsets_s: list[float] = []
        self.jolt = 0.0
        self._callback, self._rate = callback, rate
        self._quiet = 0
        self._last = np.zeros(2, np.float32)
        self._thread = threading.Thread(target=self._run, name="card", daemon=True)

    def start(self) -> None:
        self.active = True
        self._thread.start()

    def close(self) -> None:
        self.active = False
        self._thread.join(1.0)

    def _run(self) -> None:
        begun_s = time.monotonic_ns() / 1e9
        asked = 0
        out = np.zeros((BLOCK, 1), np.float32)
        while self.active:
            due_s = begun_s + asked / self._rate
            now_s = time.monotonic_ns() / 1e9
            if due_s > now_s:
                time.sleep(due_s - now_s)
                now_s = time.monotonic_ns() / 1e9
            heard_s = due_s + LATENCY_S  # late or not, a card plays on: its buffer covers for us
            when = types.SimpleNamespace(
                currentTime=100.0, outputBufferDacTime=100.0 + max(0.001, heard_s - now_s)
            )
            self._callback(out, BLOCK, when, None)
            self._listen(out[:, 0], heard_s)
            asked += BLOCK

    def _listen(self, sound: Samples, heard_s: float) -> None:
        near = np.concatenate((self._last, sound))
        self.jolt = max(self.jolt, float(np.abs(np.diff(near, 2)).max()))
        self._last = sound[-2:].copy()
        loud = np.flatnonzero(np.abs(sound) > LOUD)
        if not len(loud):
            self._quiet += len(sound)
            return
        if self._quiet + loud[0] > QUIET * TICKS_PER_S:
            self.onsets_s.append(heard_s + float(loud[0]) / self._rate)
        self._quiet = len(sound) - 1 - int(loud[-1])


def vowel(seconds: float = 0.4) -> Samples:
    """Return a sound for an open mouth, at once loud."""
    at = np.arange(round(seconds * TICKS_PER_S))
    tone = 0.3 * np.sin(2 * np.pi * 220 / TICKS_PER_S * at)
    swing = np.minimum(1.0, np.minimum(at, at[::-1]) / (2.0 * TICKS_PER_MS))
    sound: Samples = (tone * swing).astype(np.float32)
    return sound
