"""Resampling by parts in a million, and the loop that says by how many."""

import numpy as np
import pytest

from dialogue.ticks import TICKS_PER_S
from render.drift import AFTER, BEFORE, MOST, Lock, bend
from voice.speech import Samples


def tone(hz: float, at: np.ndarray) -> Samples:
    return np.sin(2 * np.pi * hz / TICKS_PER_S * at).astype(np.float32)


@pytest.mark.parametrize("step", [1.0, 1.0 + 200e-6, 1.0 - MOST])
@pytest.mark.parametrize("hz", [100.0, 1000.0, 8000.0, 16_000.0])
def test_a_tone_is_itself_at_any_instant_between_two_samples(hz: float, step: float) -> None:
    n, begin = 20_000, 0.37
    sound = tone(hz, np.arange(-BEFORE, n + 20 + AFTER))
    out = np.empty(n, np.float32)
    after = bend(sound, out, begin, step)
    assert after == pytest.approx(begin + n * step, abs=1e-6)
    wanted = tone(hz, begin + np.arange(n) * step)
    error_db = 10 * np.log10(np.mean((out - wanted) ** 2) / np.mean(wanted**2))
    assert error_db < (-70 if hz > 12_000 else -85)


def test_at_whole_samples_and_its_own_pace_sound_is_copied() -> None:
    sound = np.random.default_rng(1).standard_normal(500).astype(np.float32)
    out = np.empty(400, np.float32)
    assert bend(sound, out, 0.0, 1.0) == 400
    np.testing.assert_array_equal(out, sound[BEFORE : BEFORE + 400])


def test_the_parts_of_a_sound_join_as_if_it_had_been_bent_whole() -> None:
    sound = tone(440.0, np.arange(5000))
    whole = np.empty(4000, np.float32)
    bend(sound, whole, 0.0, 1.0003)
    parts, at = [], 0.0
    for n in (1, 399, 1600, 2000):
        out = np.empty(n, np.float32)
        first = int(at)
        at = first + bend(sound[first:], out, at - first, 1.0003)
        parts.append(out)
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)


@pytest.mark.parametrize("ppm", [-300.0, 0.0, 200.0])
def test_the_loop_finds_the_drift_and_the_difference_goes(ppm: float) -> None:
    lock, late, jitter = Lock(), 0.0, np.random.default_rng(2)
    for _ in range(100 * 600):  # ten minutes, a hundred times a second
        noise = jitter.uniform(-96, 96)  # 2 ms
        faster = lock.step(late + noise, 480)
        late += 480 * (-ppm * 1e-6 - faster)
        assert abs(faster) <= MOST
    assert abs(late) < 24
    assert -lock.drift * 1e6 == pytest.approx(ppm, abs=12)


def test_a_difference_that_is_too_great_to_bend_away_soon_does_not_wind_the_loop_up() -> None:
    lock, late = Lock(), 4800.0  # 100 ms
    low = late
    for _ in range(100 * 600):
        late -= 480 * lock.step(late, 480)
        low = min(low, late)
    assert abs(late) < 5
    assert low > -480  # it goes past by less than 10 ms


def test_the_drift_is_kept_when_playing_begins_anew() -> None:
    lock = Lock()
    lock.drift = -2e-4
    lock.step(1000.0, 480)
    lock.begin()
    assert lock.late is None
    assert lock.step(0.0, 480) == pytest.approx(-2e-4)
