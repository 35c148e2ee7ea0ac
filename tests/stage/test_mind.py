"""How long a slow voice is waited for."""

import numpy as np
import pytest

from dialogue.ticks import TICKS_PER_S, to_s
from stage.mind import LONGEST_HEAD_START_S, head_start
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
