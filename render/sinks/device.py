"""Sound out of this machine's loudspeaker, or into a virtual audio cable (PortAudio).

Runs on: PortAudio's callback reads a ring of 0.5 s that the sink's thread fills; the callback does
not lock, allocate or log. The ring is pre-filled by 80 ms; an empty ring is silence and counted.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from dialogue.plugins import EngineError, EngineUnavailable
from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S, Ticks
from render.frames import VideoFrame
from voice.speech import Samples

RING: Ticks = TICKS_PER_S // 2
PREFILL: Ticks = 80 * TICKS_PER_MS


class Ring:
    """A ring of samples for one writer and one reader, without locks."""

    def __init__(self, size: int = RING) -> None:
        self._data = np.zeros(size, np.float32)
        self._written = 0  # only the writer changes it
        self._read = 0  # only the reader changes it
        self.underruns = 0

    @property
    def held(self) -> int:
        """Samples that wait."""
        return self._written - self._read

    def write(self, samples: Samples) -> int:
        """Append what fits; returns how much that was."""
        size = len(self._data)
        n = min(len(samples), size - self.held)
        at = self._written % size
        first = min(n, size - at)
        self._data[at : at + first] = samples[:first]
        self._data[: n - first] = samples[first:n]
        self._written += n
        return n

    def read(self, out: Samples) -> None:
        """Fill `out`; what is missing is silence, and counts as an underrun."""
        size, n = len(self._data), min(len(out), self.held)
        at = self._read % size
        first = min(n, size - at)
        out[:first] = self._data[at : at + first]
        out[first:n] = self._data[: n - first]
        if n < len(out):
            out[n:] = 0.0
            self.underruns += 1
        self._read += n


class DeviceSink:
    """Plays the show's sound on a device."""

    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *, device: str | int | None = None, latency_ms: float = 60.0) -> None:
        """Look for PortAudio.

        Args:
            device: name or number from `bunraku doctor`; None for the system's own.
            latency_ms: asked of the device.

        Raises:
            EngineUnavailable: PortAudio is missing.
        """
        try:
            import sounddevice
        except OSError:
            raise EngineUnavailable(
                "device: PortAudio is missing; run `sudo apt install libportaudio2`"
            ) from None
        self._library = sounddevice
        self._device, self._latency_s = device, latency_ms / 1e3
        self._ring = Ring()
        self._stream: Any = None
        self._playing = False

    def open(self, *, width: int, height: int, fps: int) -> None:
        """Open the device.

        Raises:
            EngineError: there is none, or it cannot play 48 kHz; says what to do.
        """
        try:
            self._stream = self._library.OutputStream(
                samplerate=TICKS_PER_S, channels=1, dtype="float32", device=self._device,
                latency=self._latency_s, callback=self._fill,
            )  # fmt: skip
            self._stream.start()
        except (self._library.PortAudioError, ValueError) as error:
            name = "the default device" if self._device is None else repr(self._device)
            raise EngineError(
                f"device: cannot play on {name} ({error}); `bunraku doctor` lists the devices"
            ) from None

    def video(self, frame: VideoFrame) -> None:
        """Loudspeakers show no pictures."""

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Append to the ring; what does not fit is left out, so that no delay builds up."""
        self._ring.write(samples)
        if not self._playing and self._ring.held >= PREFILL:
            self._playing = True
        if self._stream is not None and not self._stream.active:
            raise EngineError("device: the sound device has gone; it is tried again")

    def close(self) -> None:
        """Give the device back."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _fill(self, out: Any, frames: int, when: Any, status: Any) -> None:
        if self._playing:
            self._ring.read(out[:, 0])
        else:
            out.fill(0)
