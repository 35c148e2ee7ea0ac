import numpy as np
import numpy.typing as npt
import pytest

from avatar.loudness import LoudnessMeter, dilate, smooth
from avatar.prosody import PitchMeter
from dialogue.ticks import TICKS_PER_S


def tone(hertz: float, seconds: float, level: float = 0.2) -> npt.NDArray[np.float32]:
    t = np.arange(round(seconds * TICKS_PER_S)) / TICKS_PER_S
    waves = [np.sin(2 * np.pi * hertz * k * t) / k for k in (1, 2, 3, 4)]
    return np.asarray(level * np.sum(waves, axis=0), np.float32)


def test_silence_is_nought_and_a_loud_voice_near_one() -> None:
    meter = LoudnessMeter()
    assert meter.measure(np.zeros(4800, np.float32)).max() == 0
    loud = meter.measure(tone(200, 2.0))
    assert loud.shape == (200,)
    assert loud.dtype == np.float32
    assert loud[-50:].min() > 0.85
    assert meter.measure(tone(200, 0.5, 0.01))[-1] < 0.5


def test_a_quiet_microphone_is_learned_within_seconds() -> None:
    meter = LoudnessMeter()
    first = meter.measure(tone(200, 1.0, 0.05))[50]
    meter.measure(tone(200, 20.0, 0.05))
    assert meter.measure(tone(200, 1.0, 0.05))[50] > first + 0.05


def test_chunks_do_not_matter() -> None:
    sound = tone(180, 3.0) * np.repeat([1.0, 0.1, 0.6], TICKS_PER_S).astype(np.float32)
    whole, pieces = LoudnessMeter(), LoudnessMeter()
    expected = whole.measure(sound)
    got = np.concatenate([pieces.measure(sound[i : i + 9600]) for i in range(0, len(sound), 9600)])
    assert np.array_equal(expected, got)


def test_dilating_reaches_both_ways_and_smoothing_keeps_the_mean() -> None:
    values = np.zeros(20, np.float32)
    values[10] = 1.0
    assert np.flatnonzero(dilate(values, 3, 2)).tolist() == [7, 8, 9, 10, 11, 12]
    assert smooth(values, 4).sum() == pytest.approx(1.0)
    assert smooth(values, 4).argmax() == 10
    assert len(smooth(values[:0], 4)) == 0


@pytest.mark.parametrize("hertz", [95.0, 140.0, 220.0, 330.0])
def test_pitch_is_found_within_a_few_percent(hertz: float) -> None:
    meter = PitchMeter()
    sound = tone(hertz, 1.0)
    for i in range(0, len(sound), 7000):
        meter.add(sound[i : i + 7000])
    assert abs(np.median(meter.pitch) / hertz - 1) < 0.05
    assert abs(meter.at(TICKS_PER_S // 2) / hertz - 1) < 0.05
    whole = PitchMeter()
    whole.add(sound)
    assert np.array_equal(whole.pitch, meter.pitch)


def test_noise_and_silence_have_no_pitch() -> None:
    meter = PitchMeter()
    meter.add(np.random.default_rng(1).normal(0, 0.1, TICKS_PER_S).astype(np.float32))
    meter.add(np.zeros(TICKS_PER_S, np.float32))
    assert (meter.pitch > 0).mean() < 0.1
    assert meter.at(10**9) == 0.0
