"""The programme: voice bit for bit, music behind it, and both in time."""

import numpy as np
import pytest

from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S, Ticks
from render.limiter import CEILING_DB, LATENCY
from render.mix import HOLD, Duck, Mixer
from render.music import Music
from render.playout import EDGE, Playout
from voice.loudness import true_peak
from voice.speech import AudioChunk, Samples

BLOCK = 1600


class Hum(Music):
    """Music that is a constant, so that every gain is seen."""

    def __init__(self, level: float = 0.1) -> None:
        super().__init__([])
        self._constant = level

    def read(self, n: int) -> Samples:
        return np.full(n, self._constant, np.float32)


def speech(n: Ticks, level: float = 0.5) -> AudioChunk:
    at = np.arange(n)
    voice = level * np.sin(2 * np.pi * 300 / TICKS_PER_S * at)
    return AudioChunk(1, 0, 0, voice.astype(np.float32), final=True)


def run(mixer: Mixer, blocks: int, first: int = 0) -> tuple[Samples, Samples, Samples]:
    made = [mixer.mix((first + k) * BLOCK, BLOCK) for k in range(blocks)]
    return (
        np.concatenate([b.samples for b in made]),
        np.concatenate([b.voice for b in made]),
        np.concatenate([b.music for b in made]),
    )


def test_the_voice_leaves_bit_for_bit_at_its_own_pts() -> None:
    plain, playout = Playout(), Playout()
    mixer = Mixer(playout)
    for p in (plain, playout):
        p.push(speech(20_000))
    programme, voice, music = run(mixer, 15)
    np.testing.assert_array_equal(programme, plain.mix(0, 15 * BLOCK))
    np.testing.assert_array_equal(voice, programme)
    assert not music.any()
    (started, _) = playout.events()
    assert started.pts == 0
    assert mixer.ahead == 15 * BLOCK + LATENCY


def test_a_voice_that_comes_later_stands_where_its_event_says() -> None:
    playout = Playout()
    mixer = Mixer(playout)
    before, _, _ = run(mixer, 3)
    playout.push(speech(20_000))
    after, _, _ = run(mixer, 10, first=3)
    sound = np.concatenate([before, after])
    (started,) = (e for e in playout.events() if e.kind == "started")
    assert started.pts == 3 * BLOCK + LATENCY
    heard = speech(20_000).samples
    at = started.pts
    np.testing.assert_array_equal(sound[at + EDGE : at + 9000], heard[EDGE:9000])
    assert not sound[:at].any()


def test_parts_add_up_to_the_programme_while_nothing_is_limited() -> None:
    playout = Playout()
    playout.push(speech(20_000))
    programme, voice, music = run(Mixer(playout, Hum()), 30)
    np.testing.assert_allclose(programme, voice + music, atol=1e-6)
    assert music.max() == pytest.approx(0.1, rel=1e-3)


def test_music_steps_back_under_the_voice_and_comes_back_after_it() -> None:
    playout = Playout()
    mixer = Mixer(playout, Hum(), Duck(depth_db=12, attack_ms=100, release_ms=500))
    _, _, before = run(mixer, 10)
    np.testing.assert_allclose(before, 0.1, rtol=1e-5)
    playout.push(speech(2 * TICKS_PER_S))
    _, _, during = run(mixer, 60, first=10)
    ducked = 0.1 * 10 ** (-12 / 20)
    at = LATENCY + 100 * TICKS_PER_MS
    np.testing.assert_allclose(during[at:], ducked, rtol=1e-4)
    fall = np.diff(20 * np.log10(during[LATENCY : at - 10]))
    np.testing.assert_allclose(fall, -12 / (100 * TICKS_PER_MS), rtol=0.1)  # even, so no step
    _, _, after = run(mixer, 60, first=70)
    np.testing.assert_allclose(after[: HOLD - 4 * BLOCK], ducked, rtol=1e-4)
    np.testing.assert_allclose(after[-10 * BLOCK :], 0.1, rtol=1e-4)
    assert np.abs(np.diff(np.concatenate([during, after]))).max() < 1e-4


def test_music_stays_back_between_two_sentences() -> None:
    playout = Playout(pause_ticks=300 * TICKS_PER_MS)
    mixer = Mixer(playout, Hum())
    for k in range(3):
        tone = speech(TICKS_PER_S // 2).samples
        playout.push(AudioChunk(1, k, 0, tone, final=True))
    _, _, music = run(mixer, 60)
    back = 0.1 * 10 ** (-12 / 20)
    np.testing.assert_allclose(music[12_000 : 60 * BLOCK], back, rtol=1e-4)


def test_music_steps_back_while_the_host_thinks() -> None:
    mixer = Mixer(Playout(), Hum())
    run(mixer, 2)
    mixer.expecting = True
    _, _, music = run(mixer, 10, first=2)
    assert music[-1] == pytest.approx(0.1 * 10 ** (-12 / 20), rel=1e-4)


def test_voice_and_music_together_stay_below_the_ceiling() -> None:
    playout = Playout()
    playout.push(speech(3 * TICKS_PER_S, level=1.4))
    programme, voice, _ = run(Mixer(playout, Hum(0.4)), 100)
    assert true_peak(programme) <= CEILING_DB + 0.05
    assert np.abs(voice).max() == pytest.approx(1.4, abs=0.01)  # the stem is clean
