"""Any rate to 48 kHz, piece by piece, with exact bookkeeping."""

import numpy as np

from dialogue.ticks import TICKS_PER_S, Ticks, from_samples
from voice.speech import Samples


class Resampler:
    """Streams one utterance to 48 kHz: what went in and what comes out have the same length.

    The filter is soxr's, which compensates its own delay: sample n of the output is the sound of
    time n / 48000. Sound beyond [-1, 1] is clipped.
    """

    def __init__(self, rate_hz: int) -> None:
        """Start an utterance.

        Args:
            rate_hz: of the pieces that come in.

        Raises:
            ValueError: not a rate.
        """
        if rate_hz <= 0:
            raise ValueError(f"cannot resample from {rate_hz} Hz")
        self._rate = rate_hz
        self._taken = 0
        self._given: Ticks = 0
        self._stream = None
        if rate_hz != TICKS_PER_S:
            import soxr

            self._stream = soxr.ResampleStream(
                rate_hz, TICKS_PER_S, 1, dtype="float32", quality="MQ"
            )

    @property
    def position(self) -> Ticks:
        """Ticks given out so far: where the next piece starts."""
        return self._given

    def push(self, samples: Samples) -> Samples:
        """Return what is ready at 48 kHz after `samples` more have come in.

        Raises:
            ValueError: not mono.
        """
        if samples.ndim != 1:
            raise ValueError(f"sound of shape {samples.shape} is not mono")
        self._taken += len(samples)
        sound = np.ascontiguousarray(samples, np.float32)
        out = sound if self._stream is None else self._stream.resample_chunk(sound)
        self._given += len(out)
        return np.clip(out, -1.0, 1.0)

    def finish(self) -> Samples:
        """Return the rest; the total is then exact to the sample."""
        if self._stream is None:
            return np.zeros(0, np.float32)
        due = from_samples(self._taken, self._rate)
        rest = self._stream.resample_chunk(np.zeros(0, np.float32), last=True)
        out = np.zeros(max(0, due - self._given), np.float32)
        n = min(len(out), len(rest))
        out[:n] = rest[:n]
        self._given = due
        return np.clip(out, -1.0, 1.0)
