"""Sound out of this machine's loudspeaker, or into a virtual audio cable (PortAudio).

Runs on: PortAudio's callback reads a ring of 1 s that the sink's thread fills; the callback does
not lock, wait or log. Sound leaves the device when the picture of its own tick leaves the body. The
device's crystal and ours differ by some ten parts in a million: the growing difference is taken
out in silence, where nobody hears it.
"""

import time
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from dialogue.plugins import EngineError, EngineUnavailable
from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S, Ticks, from_ms, to_ms
from render.frames import VideoFrame
from render.pacing import Lateness
from voice.speech import Samples

RING: Ticks = TICKS_PER_S
PREFILL: Ticks = 80 * TICKS_PER_MS
"""Sound that waits in the ring before the first of it is played."""
FLOOR: Ticks = 20 * TICKS_PER_MS
"""No silence is left out that would let the ring fall below this."""
SLACK: Ticks = 4 * TICKS_PER_MS
"""Differences between sound and picture smaller than this are left alone."""
SILENT = 1e-4
"""A block without a louder sample (-80 dBFS) may be shortened or lengthened."""


class Ring:
    """A ring of timed samples for one writer and one reader, without locks.

    Each of its numbers is changed by one side only, and Python changes an int at once.
    """

    def __init__(self, *, prefill: Ticks = PREFILL, size: int = RING) -> None:
        """Be empty.

        Args:
            prefill: sound to gather before playing.
            size: room, in samples.
        """
        self.underruns = 0
        """How often the reader found too little."""
        self.left_out = 0
        """Silent samples left out to catch up with the picture."""
        self.put_in = 0
        """Silent samples put in to wait for it."""
        self.refused = 0
        """Samples that found no room."""
        self._prefill = prefill
        self._data = np.zeros(size, np.float32)
        self._written = 0  # positions; only the writer changes it
        self._read = 0  # only the reader changes it
        self._base: Ticks = 0  # pts of position 0, as seen from what was written last
        self._playing = False
        self.late: Ticks = 0
        """How much later than its picture the sound left, as the reader saw it last."""
        self._lowest = size  # least sound found by the reader since the writer looked

    @property
    def held(self) -> Ticks:
        """Sound that waits."""
        return self._written - self._read

    @property
    def pts(self) -> Ticks:
        """Stage time of the next sample to be read."""
        return self._base + self._read

    def write(self, pts: Ticks, samples: Samples) -> None:
        """Append a block; a silent one is first cut or stretched to keep time. The writer's."""
        if self._written == 0:
            self._base = pts
        end = pts + len(samples)
        if self._playing and len(samples) and float(np.abs(samples).max()) < SILENT:
            samples = self._trim(samples)
        self._base = end - len(samples) - self._written
        size = len(self._data)
        n = min(len(samples), size - self.held)
        self.refused += len(samples) - n
        at = self._written % size
        first = min(n, size - at)
        self._data[at : at + first] = samples[:first]
        self._data[: n - first] = samples[first:n]
        self._written += n

    def _trim(self, samples: Samples) -> Samples:
        lowest, self._lowest = self._lowest, len(self._data)
        if self.late > SLACK:
            cut = min(self.late, lowest - FLOOR, len(samples))
            if cut > 0:
                self.left_out += cut
                return samples[cut:]
        elif self.late < -SLACK:
            more = min(-self.late, len(self._data) // 4)
            self.put_in += more
            return np.concatenate([np.zeros(more, np.float32), samples])
        return samples

    def read(self, out: Samples, late: Ticks) -> None:
        """Fill `out`. The reader's.

        Args:
            out: what the device plays next; what is missing becomes silence and is counted.
            late: how much later than its picture the next sample would leave.
        """
        held = self.held
        skip = 0
        if not self._playing:
            if held < self._prefill or -late >= len(out):
                out.fill(0.0)
                return
            self._playing = True
            skip = max(0, -late)
            self._read += max(0, min(late, held - self._prefill))
            out[:skip] = 0.0
        self.late = late
        self._lowest = min(self._lowest, held)
        size, n = len(self._data), min(len(out) - skip, self._written - self._read)
        at = self._read % size
        first = min(n, size - at)
        out[skip : skip + first] = self._data[at : at + first]
        out[skip + first : skip + n] = self._data[: n - first]
        if skip + n < len(out):
            out[skip + n :] = 0.0
            self.underruns += 1
        self._read += n


class DeviceSink:
    """Plays the show's sound on a device."""

    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self, *, device: str | int | None = None, latency_ms: float = 30.0, offset_ms: float = 0.0
    ) -> None:
        """Look for PortAudio.

        Args:
            device: name or number from `bunraku doctor`; None for the system's own.
            latency_ms: asked of the device; it may take more.
            offset_ms: how much later than the pictures the sound leaves, to make up for what shows
                them being slow; negative for earlier.

        Raises:
            EngineUnavailable: PortAudio is missing.
        """
        try:
            import sounddevice
        except OSError:
            raise EngineUnavailable(
                "device: PortAudio is missing; run `sudo apt install libportaudio2`"
            ) from None
        except ModuleNotFoundError:
            raise EngineUnavailable(
                "device: sounddevice is missing; run `pip install sounddevice`"
            ) from None
        self._library = sounddevice
        self._device, self._latency_s = device, latency_ms / 1e3
        self._offset = from_ms(offset_ms)
        self._ring = Ring()
        self._pictures = Lateness()
        self._stream: Any = None
        self._anchor: tuple[Ticks, int] | None = None

    @property
    def watched(self) -> bool:
        """It has no picture, only takes its time from it."""
        return False

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

    def anchor(self) -> tuple[Ticks, int] | None:
        """Return the last known (tick heard, `monotonic_ns`), for `DeviceClock`; any thread."""
        return self._anchor

    @property
    def underruns(self) -> int:
        """How often the device found too little sound."""
        return self._ring.underruns

    @property
    def late_ms(self) -> float:
        """How much later than its picture the sound leaves now."""
        return to_ms(self._ring.late)

    def video(self, frame: VideoFrame) -> None:
        """Loudspeakers show no pictures, but their sound keeps time with them."""
        self._pictures.note(frame.pts, time.monotonic_ns())

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Append a block to the ring.

        Raises:
            EngineError: the device has gone.
        """
        if self._stream is not None and not self._stream.active:
            raise EngineError("device: the sound device has gone; it is tried again")
        self._ring.write(pts, samples)

    def close(self) -> None:
        """Give the device back."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _fill(self, out: Any, frames: int, when: Any, status: Any) -> None:
        now_ns = time.monotonic_ns()
        ahead_s = when.outputBufferDacTime - when.currentTime
        if not 0.0 < ahead_s < 2.0:  # some systems tell nothing
            ahead_s = self._latency_s
        heard_ns = now_ns + int(ahead_s * 1e9)
        pts = self._ring.pts
        due_ns = self._pictures.due_ns(pts + self._offset)
        late = 0 if due_ns is None else (heard_ns - due_ns) * TICKS_PER_S // 1_000_000_000
        self._ring.read(out[:, 0], late)
        self._anchor = (pts, heard_ns)
