"""The limiter: what is quiet leaves as it came, what is loud stays below the ceiling."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue.ticks import TICKS_PER_S
from render.limiter import CEILING_DB, LATENCY, Limiter
from voice.loudness import true_peak
from voice.speech import Samples


def noise(seconds: float, level: float, cut_hz: float = 18_000.0, seed: int = 1) -> Samples:
    n = round(seconds * TICKS_PER_S)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n))
    spectrum[round(cut_hz * seconds) :] = 0
    return (level * np.fft.irfft(spectrum, n)).astype(np.float32)


def test_what_is_quiet_leaves_bit_for_bit_and_late_by_the_latency() -> None:
    sound = noise(0.5, 0.1)
    out = Limiter().push(sound)
    np.testing.assert_array_equal(out[LATENCY:], sound[:-LATENCY])
    assert not out[:LATENCY].any()


@pytest.mark.parametrize("cut_hz", [2000.0, 8000.0, 18_000.0])
def test_nothing_passes_the_ceiling_even_between_the_samples(cut_hz: float) -> None:
    out = Limiter().push(noise(4.0, 0.8, cut_hz))
    assert true_peak(out) <= CEILING_DB + 0.05


def test_the_quiet_after_a_peak_is_itself_again() -> None:
    sound = noise(2.0, 0.05)
    sound[4800] = 3.0
    out = Limiter().push(sound)
    np.testing.assert_array_equal(out[-24_000:], sound[-24_000 - LATENCY : -LATENCY])
    assert np.abs(out).max() <= 10 ** (CEILING_DB / 20) + 1e-3


def test_a_sudden_loud_tone_is_held_without_a_click() -> None:
    at = np.arange(TICKS_PER_S)
    wave = np.sin(2 * np.pi * 220 / TICKS_PER_S * at)
    tone = (wave * np.where(at < 24_000, 0.2, 2.0)).astype(np.float32)  # it rises at a zero
    out = Limiter().push(tone)
    assert np.abs(np.diff(out, 2)).max() <= np.abs(np.diff(tone, 2)).max()


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=12))
def test_block_sizes_do_not_change_the_sound(sizes: list[int]) -> None:
    sound = noise(0.5, 0.7)[: sum(sizes)]
    limiter, parts, at = Limiter(), [], 0
    for n in sizes:
        parts.append(limiter.push(sound[at : at + n]))
        at += n
    np.testing.assert_array_equal(np.concatenate(parts), Limiter().push(sound))
