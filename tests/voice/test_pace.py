"""How long a slow voice is waited for."""

import numpy as np
import pytest

from dialogue.ticks import TICKS_PER_S, to_s
from voice.pace import LONGEST_HEAD_START_S, Pace, head_start
from voice.speech import AudioChunk, PhonemeSpan


def first(length_s: float, first_s: float = 0.2) -> AudioChunk:
    sound = np.zeros(round(first_s * TICKS_PER_S), np.float32)
    span = PhonemeSpan("a", 0, round(length_s * TICKS_PER_S))
    return AudioChunk(1, 0, 0, sound, (span,))


def test_a_fast_voice_needs_none() -> None:
    assert head_start(0.0, first(5.0)) == 0  # nothing is known yet
    assert head_start(0.5, first(5.0)) == 0
    assert head_start(0.8, first(5.0)) == 0


def test_a_short_utterance_needs_none() -> None:
    assert head_start(1.5, first(0.2)) == 0


@pytest.mark.parametrize("factor", [1.0, 1.2, 1.4])
@pytest.mark.parametrize("length_s", [1.0, 2.0, 4.0])
def test_playing_ends_when_the_voice_is_done(factor: float, length_s: float) -> None:
    held_s = to_s(head_start(factor, first(length_s)))
    begun_s = (held_s - 0.2) * factor  # after the first piece
    done_s = (length_s - 0.2) * factor
    assert begun_s <= LONGEST_HEAD_START_S + 1e-3
    if begun_s < LONGEST_HEAD_START_S - 1e-3:
        assert begun_s + length_s >= done_s


def test_nothing_is_known_of_a_voice_that_has_said_nothing() -> None:
    pace = Pace()
    pace.add(9.0, 0.4)  # too short to tell
    assert pace.factor == 0.0
    assert not pace.slow


def test_a_pace_that_varies_is_relied_upon_less_than_a_steady_one_of_the_same_mean() -> None:
    steady, unsteady = Pace(), Pace()
    for k in range(30):
        steady.add(2.0, 2.0)
        unsteady.add(2.0 + (0.8 if k % 2 else -0.8), 2.0)
    assert steady.factor == pytest.approx(1.0, abs=0.01)
    assert unsteady.factor > steady.factor + 0.2


def test_a_voice_that_recovers_is_trusted_again() -> None:
    pace = Pace()
    for _ in range(5):
        pace.add(3.0, 2.0)
    assert pace.slow
    for _ in range(12):
        pace.add(0.6, 2.0)
    assert not pace.slow
    assert head_start(pace.factor, first(5.0)) == 0
