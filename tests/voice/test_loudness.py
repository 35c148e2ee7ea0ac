"""The meter against what BS.1770 and EBU Tech 3341 say of tones."""

import numpy as np
import pytest

from dialogue.ticks import TICKS_PER_S
from voice import loudness
from voice.speech import Samples


def tone(seconds: float, level_db: float, hz: float = 997.0) -> Samples:
    at = np.arange(round(seconds * TICKS_PER_S))
    return (10 ** (level_db / 20) * np.sin(2 * np.pi * hz / TICKS_PER_S * at)).astype(np.float32)


@pytest.mark.parametrize("level_db", [-3.0, -20.0, -40.0])
def test_a_tone_of_997_hz_reads_three_decibels_below_its_peak(level_db: float) -> None:
    assert loudness.integrated(tone(20, level_db)) == pytest.approx(level_db - 3.01, abs=0.02)


def test_lows_count_less_and_highs_more() -> None:
    middle = loudness.integrated(tone(5, -20.0))
    assert loudness.integrated(tone(5, -20.0, 40.0)) < middle - 5
    assert loudness.integrated(tone(5, -20.0, 8000.0)) == pytest.approx(middle + 3.3, abs=0.3)


def test_silence_and_what_is_ten_units_quieter_do_not_count() -> None:
    loud = tone(20, -23.0)
    with_pauses = np.concatenate([np.zeros(10 * TICKS_PER_S, np.float32), tone(10, -36.0), loud])
    assert loudness.integrated(with_pauses) == pytest.approx(loudness.integrated(loud), abs=0.1)


def test_a_long_sound_reads_as_a_short_one() -> None:
    """It is weighted in pieces of 20 s: nothing is lost between them."""
    noise = np.random.default_rng(1).standard_normal(50 * TICKS_PER_S).astype(np.float32) * 0.1
    assert loudness.integrated(noise) == pytest.approx(
        loudness.integrated(noise[: 8 * TICKS_PER_S]), abs=0.05
    )


def test_silence_has_a_floor() -> None:
    assert loudness.integrated(np.zeros(TICKS_PER_S, np.float32)) == loudness.SILENT_LUFS
    assert loudness.integrated(np.zeros(0, np.float32)) == loudness.SILENT_LUFS


def test_a_peak_between_two_samples_is_found() -> None:
    at = np.arange(TICKS_PER_S)
    sound = np.sin(np.pi / 2 * at + np.pi / 4).astype(np.float32)  # 12 kHz, never sampled higher
    sound *= np.hanning(len(sound)).astype(np.float32)
    assert np.abs(sound).max() == pytest.approx(0.7071, abs=1e-3)
    assert loudness.true_peak(sound) == pytest.approx(0.0, abs=0.01)
