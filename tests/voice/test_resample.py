"""Resampling keeps time exactly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.ticks import from_samples
from voice.resample import Resampler
from voice.speech import Samples


def run(rate_hz: int, pieces: list[Samples]) -> list[Samples]:
    resampler = Resampler(rate_hz)
    out, at = [], 0
    for piece in pieces:
        assert resampler.position == at
        out.append(resampler.push(piece))
        at += len(out[-1])
    out.append(resampler.finish())
    return out


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([8000, 16000, 22050, 24000, 44100, 48000]),
    st.lists(st.integers(0, 5000), max_size=8),
)
def test_the_length_is_exact_however_it_is_cut(rate_hz: int, lengths: list[int]) -> None:
    pieces = run(rate_hz, [np.zeros(n, np.float32) for n in lengths])
    assert sum(map(len, pieces)) == from_samples(sum(lengths), rate_hz)


@pytest.mark.parametrize("rate_hz", [16000, 22050, 24000, 48000])
def test_a_click_stays_where_it_is(rate_hz: int) -> None:
    sound = np.zeros(rate_hz, np.float32)
    sound[rate_hz // 2] = 0.9
    out = np.concatenate(run(rate_hz, np.array_split(sound, 7)))
    assert abs(int(np.argmax(np.abs(out))) - 24_000) <= 1


def test_cutting_changes_nothing_that_is_heard() -> None:
    sound = np.sin(np.arange(22050) * 0.05).astype(np.float32) * 0.5
    whole = np.concatenate(run(22050, [sound]))
    cut = np.concatenate(run(22050, np.array_split(sound, 13)))
    assert np.abs(whole - cut).max() < 1e-4


def test_most_of_a_first_piece_comes_at_once() -> None:
    first = Resampler(24000).push(np.zeros(4800, np.float32))
    assert len(first) > 9600 - 48 * 40


def test_too_loud_sound_is_clipped_and_stereo_refused() -> None:
    assert np.abs(Resampler(48000).push(np.full(10, 3.0, np.float32))).max() == 1.0
    with pytest.raises(ValueError, match="not mono"):
        Resampler(48000).push(np.zeros((10, 2), np.float32))
    with pytest.raises(ValueError, match="0 Hz"):
        Resampler(0)
