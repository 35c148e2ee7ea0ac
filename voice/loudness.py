"""How loud a programme is, by ITU-R BS.1770-4 (EBU R128): LUFS and dBTP of 48 kHz mono sound.

For measuring a voice before it speaks and a film after it was made, not for every frame: the
K-weighting is done on the whole sound at once, by its spectrum.
"""

import numpy as np
import numpy.typing as npt

from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S
from voice.speech import Samples

TARGET_LUFS = -16.0
"""What the programme is brought to: the loudness of podcasts and live streams."""
SILENT_LUFS = -70.0
"""Blocks below it do not count; returned where nothing does."""

_BLOCK = 400 * TICKS_PER_MS
_HOP = 100 * TICKS_PER_MS
_RELATIVE_LU = 10.0
# BS.1770-4, tables 1 and 2, for 48 kHz: the head's high shelf, then the low cut.
_SHELF = ((1.53512485958697, -2.69169618940638, 1.19839281085285),
          (1.0, -1.69065929318241, 0.73248077421585))  # fmt: skip
_LOW_CUT = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))
_RINGING = TICKS_PER_S // 2  # the low cut has died away after so long
_PIECE = 20 * TICKS_PER_S  # weighted at once

Levels = npt.NDArray[np.float64]


def integrated(samples: Samples) -> float:
    """Return the integrated loudness of `samples` in LUFS, both gates applied.

    Sound shorter than 400 ms is measured as one block.
    """
    power = _block_power(samples)
    power = power[_lufs(power) > SILENT_LUFS]
    if not len(power):
        return SILENT_LUFS
    gate = float(_lufs(power.mean()[None])[0]) - _RELATIVE_LU
    return float(_lufs(power[_lufs(power) > gate].mean()[None])[0])


def true_peak(samples: Samples) -> float:
    """Return the highest level between and at the samples in dBTP, by four times as many."""
    highest = 0.0
    for at in range(0, len(samples), _PIECE):
        low, high = max(0, at - 256), min(len(samples), at + _PIECE + 256)
        part = np.zeros(high - low + 512)
        part[256:-256] = samples[low:high]
        spectrum = np.fft.rfft(part)
        fine = np.fft.irfft(np.pad(spectrum, (0, 2 * len(part) + 1 - len(spectrum))), 4 * len(part))
        highest = max(highest, 4.0 * float(np.abs(fine).max()))
    return 20.0 * float(np.log10(max(highest, 1e-10)))


def _block_power(samples: Samples) -> Levels:
    """Return the mean square of each weighted block of 400 ms, one every 100 ms."""
    pieces = [_weighted(samples, at) for at in range(0, max(1, len(samples)), _PIECE)]
    square = np.square(np.concatenate(pieces))
    if len(square) < _BLOCK:
        return square.mean()[None] if len(square) else np.zeros(0)
    hops = square[: len(square) // _HOP * _HOP].reshape(-1, _HOP).sum(axis=1)
    return np.convolve(hops, np.ones(_BLOCK // _HOP), "valid") / _BLOCK


def _weighted(samples: Samples, at: int) -> Levels:
    """Return the K-weighted samples `at` to `at + _PIECE`."""
    before = min(at, _RINGING)
    part = np.asarray(samples[at - before : at + _PIECE], np.float64)
    size = len(part) + _RINGING
    z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    response = np.ones(len(z), complex)
    for above, below in (_SHELF, _LOW_CUT):
        response *= np.polyval(above[::-1], z) / np.polyval(below[::-1], z)
    return np.fft.irfft(np.fft.rfft(part, size) * response, size)[before : len(part)]


def _lufs(power: Levels) -> Levels:
    return -0.691 + 10.0 * np.log10(np.maximum(power, 1e-12))
