"""How loud a voice is, as a viewer hears it: 0 silence, 1 the voice at its loudest."""

import numpy as np
import numpy.typing as npt

from avatar.tracks import LOUDNESS_HZ
from dialogue.ticks import TICKS_PER_S
from voice.speech import Samples

HOP = TICKS_PER_S // LOUDNESS_HZ
RANGE_DB = 36.0
"""This far below the voice's usual loud level counts as silence."""
FIRST_LEVEL_DB = -17.0
"""Taken for a loud syllable's level until the voice has been heard."""


class LoudnessMeter:
    """Turns sound into loudness at 100 Hz against the level that this voice usually has.

    The level is learned over seconds of speech, not over a sentence, so that a quiet sentence
    stays quiet. Results do not depend on how the sound is cut into chunks.
    """

    def __init__(self) -> None:
        self.level_db = FIRST_LEVEL_DB
        """Root mean square of a loud syllable, dB below full scale."""

    def measure(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Return one value for each 10 ms; what is left over at the end is not measured.

        Args:
            samples: at 48 kHz, shape (n,).
        """
        n = len(samples) // HOP
        blocks = np.asarray(samples[: n * HOP], np.float64).reshape(n, HOP)
        db = 10.0 * np.log10((blocks**2).mean(axis=1) + 1e-10)
        out = np.empty(n, np.float32)
        for i, value in enumerate(db.tolist()):
            over = value - self.level_db
            if over > 0.0:
                self.level_db += 0.06 * over
            elif over > -14.0:
                self.level_db += 0.004 * over
            self.level_db = min(-6.0, max(-38.0, self.level_db))
            out[i] = min(1.0, max(0.0, 1.0 + (value - self.level_db) / RANGE_DB))
        return out


def dilate(loudness: npt.NDArray[np.float32], before: int, after: int) -> npt.NDArray[np.float32]:
    """Return the largest value within `before` steps ahead and `after` steps behind each step."""
    out = loudness.copy()
    for k in range(1, before + 1):
        np.maximum(out[:-k], loudness[k:], out=out[:-k])
    for k in range(1, after + 1):
        np.maximum(out[k:], loudness[:-k], out=out[k:])
    return out


def smooth(values: npt.NDArray[np.float32], half: int) -> npt.NDArray[np.float32]:
    """Return `values` averaged with a triangle of half width `half` steps; ends are repeated."""
    if len(values) == 0:
        return values
    kernel = np.concatenate((np.arange(1, half + 1), np.arange(half - 1, 0, -1)))
    padded = np.pad(values, half - 1, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), "valid").astype(np.float32)
