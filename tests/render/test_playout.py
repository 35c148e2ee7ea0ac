"""The timeline of utterances, sample by sample."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S
from render.playout import (
    CAP,
    DRY_FADE,
    EDGE,
    FADE,
    PATIENCE,
    PREFILL,
    REFILL,
    HeardPosition,
    Playout,
)
from voice.speech import AudioChunk, Samples

BLOCK = 1600
PAUSE = 120 * TICKS_PER_MS


def chunk(
    turn: int, utterance: int, start: int, n: int, *, level: float = 0.5, final: bool = False
) -> AudioChunk:
    return AudioChunk(turn, utterance, start, np.full(n, level, np.float32), final=final)


def mix(playout: Playout, blocks: int, at: int = 0, block: int = BLOCK) -> Samples:
    return np.concatenate([playout.mix(at + i * block, block) for i in range(blocks)])


def shaped(n: int, level: float = 0.5) -> Samples:
    """Return what is heard of a whole utterance of `n` samples at `level`."""
    from_start, from_end = np.arange(1, n + 1), np.arange(n - 1, -1, -1)
    rise, fall = (
        0.5 - 0.5 * np.cos(np.pi * np.minimum(x, EDGE) / EDGE) for x in (from_start, from_end)
    )
    return (level * rise * fall).astype(np.float32)


def kinds(playout: Playout) -> list[tuple[str, int, int, int]]:
    return [(e.kind, e.turn_id, e.utterance, e.pts) for e in playout.events()]


def test_silence_is_endless_when_nobody_speaks() -> None:
    playout = Playout()
    assert not mix(playout, 5).any()
    assert playout.events() == []
    assert playout.position() is None


def test_an_utterance_starts_when_its_first_60_ms_are_there() -> None:
    playout = Playout()
    playout.push(chunk(1, 0, 0, PREFILL - 1))
    assert not mix(playout, 1).any()
    playout.push(chunk(1, 0, PREFILL - 1, BLOCK * 4))
    sound = playout.mix(BLOCK, BLOCK)
    np.testing.assert_allclose(sound, shaped(9600)[:BLOCK], atol=1e-6)
    assert kinds(playout) == [("started", 1, 0, BLOCK)]


def test_a_slow_voice_starts_with_its_head_start_and_goes_on_with_a_smaller_one() -> None:
    playout = Playout()
    playout.push(chunk(1, 0, 0, 20_000), head_start=30_000)
    assert not mix(playout, 3).any()
    playout.push(chunk(1, 0, 20_000, 10_000), head_start=0)
    sound = mix(playout, 20, at=3 * BLOCK)
    assert kinds(playout)[0] == ("started", 1, 0, 3 * BLOCK)
    assert playout.underruns == 1
    assert not sound[30_000:].any()
    playout.push(chunk(1, 0, 30_000, REFILL - 1))
    assert not playout.mix(23 * BLOCK, BLOCK).any()
    playout.push(chunk(1, 0, 30_000 + REFILL - 1, BLOCK, final=True))
    assert playout.mix(24 * BLOCK, BLOCK).any()


def test_a_head_start_is_not_waited_for_when_the_utterance_is_complete() -> None:
    playout = Playout()
    playout.push(chunk(1, 0, 0, 5000, final=True), head_start=40_000)
    assert playout.mix(0, BLOCK).any()


def test_the_rest_of_an_utterance_without_its_start_is_refused() -> None:
    playout = Playout()
    assert not playout.push(chunk(1, 0, 9600, 4800))
    assert playout.refused == 1
    assert playout.push(chunk(1, 0, 0, 9600))  # said again from its start
    assert playout.push(chunk(1, 0, 9600, 4800, final=True))
    np.testing.assert_allclose(mix(playout, 9)[:14_400], shaped(14_400), atol=1e-6)


def test_a_short_utterance_starts_when_it_is_complete() -> None:
    playout = Playout()
    playout.push(chunk(1, 0, 0, 100, final=True))
    sound = playout.mix(0, BLOCK)
    np.testing.assert_allclose(sound[:100], shaped(100), atol=1e-6)
    assert not sound[100:].any()
    assert kinds(playout) == [("started", 1, 0, 0), ("finished", 1, 0, 100)]


def test_utterances_follow_in_order_with_the_pause_between_them() -> None:
    playout = Playout(pause_ticks=PAUSE)
    playout.push(chunk(1, 0, 0, 5000, final=True))
    playout.push(chunk(1, 2, 0, 4000, level=0.3, final=True))
    playout.push(chunk(1, 1, 0, 5000, level=0.4, final=True))
    sound = mix(playout, 30)
    expected = np.zeros_like(sound)
    expected[:5000] = shaped(5000)
    expected[5000 + PAUSE : 10_000 + PAUSE] = shaped(5000, 0.4)
    expected[10_000 + 2 * PAUSE : 14_000 + 2 * PAUSE] = shaped(4000, 0.3)
    np.testing.assert_allclose(sound, expected, atol=1e-6)
    starts = [(u, pts) for kind, _, u, pts in kinds(playout) if kind == "started"]
    assert starts == [(0, 0), (1, 5000 + PAUSE), (2, 10_000 + 2 * PAUSE)]


def test_an_utterance_that_runs_dry_fades_waits_and_goes_on_with_its_origin_shifted() -> None:
    playout = Playout()
    playout.push(chunk(1, 0, 0, 4000))
    sound = mix(playout, 4)
    assert (sound[EDGE : 4000 - DRY_FADE] == 0.5).all()
    assert sound[3999] == 0
    assert not sound[4000:].any()
    assert playout.underruns == 1
    playout.push(chunk(1, 0, 4000, 6000, final=True))
    more = mix(playout, 5, at=4 * BLOCK)
    assert 0 < more[0] < 0.01
    assert (more[DRY_FADE : 6000 - EDGE] == 0.5).all()
    events = kinds(playout)
    assert events[:2] == [("started", 1, 0, 0), ("shifted", 1, 0, 4 * BLOCK - 4000)]
    assert events[2] == ("finished", 1, 0, 4 * BLOCK + 6000)


def test_a_late_end_without_sound_finishes_without_a_shift() -> None:
    playout = Playout()
    playout.push(chunk(1, 0, 0, 4000))
    mix(playout, 4)
    playout.push(chunk(1, 0, 4000, 0, final=True))
    assert not mix(playout, 1, at=4 * BLOCK).any()
    assert [kind for kind, *_ in kinds(playout)] == ["started", "finished"]


def test_cancel_fades_in_15_ms_and_keeps_only_what_was_heard() -> None:
    playout = Playout()
    playout.push(chunk(3, 0, 0, 48_000))
    playout.push(chunk(3, 1, 0, 48_000))
    mix(playout, 2)
    assert playout.cancel(3) == HeardPosition((3, 0), 2 * BLOCK)
    sound = mix(playout, 2, at=2 * BLOCK)
    assert (np.diff(sound[:FADE]) < 0).all()
    assert np.abs(np.diff(sound)).max() < 0.5 / FADE * 1.01
    assert not sound[FADE:].any()
    assert playout.ahead() == 0


def test_stale_chunks_are_dropped_after_cancel_and_the_next_turn_speaks() -> None:
    playout = Playout()
    playout.cancel(3)
    assert not playout.push(chunk(3, 5, 0, 4000))
    assert not playout.push(chunk(2, 0, 0, 4000))
    assert playout.push(chunk(4, 0, 0, 4000, final=True))
    assert mix(playout, 3).any()


def test_cancel_of_a_turn_that_is_over_leaves_the_next_one_alone() -> None:
    playout = Playout()
    playout.push(chunk(4, 0, 0, 8000, final=True))
    mix(playout, 1)
    assert playout.cancel(3) is None
    np.testing.assert_allclose(
        mix(playout, 4, at=BLOCK)[: 8000 - BLOCK], shaped(8000)[BLOCK:], atol=1e-6
    )


def test_cancel_after_the_utterance_lets_it_end_and_drops_the_rest() -> None:
    playout = Playout(pause_ticks=0)
    playout.push(chunk(1, 0, 0, 4000))
    playout.push(chunk(1, 1, 0, 4000, final=True))
    mix(playout, 1)
    playout.cancel_after_utterance(1)
    assert playout.push(chunk(1, 0, 4000, 1000, final=True))
    assert not playout.push(chunk(1, 2, 0, 4000))
    sound = mix(playout, 6, at=BLOCK)
    np.testing.assert_allclose(sound[: 5000 - BLOCK], shaped(5000)[BLOCK:], atol=1e-6)
    assert not sound[5000 - BLOCK :].any()


def test_a_gap_ends_the_utterance_and_is_counted() -> None:
    playout = Playout()
    playout.push(chunk(1, 0, 0, 4000))
    assert not playout.push(chunk(1, 0, 4100, 4000))
    assert playout.refused == 1
    assert not playout.push(chunk(1, 0, 8100, 4000))
    sound = mix(playout, 4)
    np.testing.assert_allclose(sound[:4000], shaped(4000), atol=1e-6)
    assert kinds(playout)[-1] == ("finished", 1, 0, 4000)


def test_chunks_that_are_sent_again_are_ignored() -> None:
    playout = Playout()
    first = chunk(1, 0, 0, 4000, final=True)
    assert playout.push(first)
    assert not playout.push(first)
    mix(playout, 4)
    assert not playout.push(first)
    assert not mix(playout, 4, at=4 * BLOCK).any()


def test_more_than_the_cap_is_refused_and_counted() -> None:
    playout = Playout()
    half = CAP // 2
    assert playout.push(chunk(1, 0, 0, half))
    assert playout.push(chunk(1, 0, half, half))
    assert not playout.push(chunk(1, 0, 2 * half, 1))
    assert playout.refused == 1
    assert playout.ahead() == CAP


def test_a_lost_voice_is_given_up_so_that_the_next_one_speaks() -> None:
    playout = Playout(pause_ticks=0)
    playout.push(chunk(1, 0, 0, 4000))
    playout.push(chunk(2, 0, 0, 4000, level=0.3, final=True))
    sound = mix(playout, PATIENCE // BLOCK + 8)
    at = 4000 + int(np.flatnonzero(sound[4000:])[0])
    assert PATIENCE <= at <= PATIENCE + 4000 + BLOCK
    np.testing.assert_allclose(sound[at : at + 4000], shaped(4000, 0.3), atol=1e-6)
    assert [k[:3] for k in kinds(playout)] == [
        ("started", 1, 0), ("finished", 1, 0), ("started", 2, 0), ("finished", 2, 0),
    ]  # fmt: skip
    assert not playout.push(chunk(1, 0, 4000, 100))


def test_the_heard_position_is_exact_at_any_instant() -> None:
    playout = Playout(pause_ticks=PAUSE)
    playout.push(chunk(1, 0, 0, 5000, final=True))
    playout.push(chunk(1, 1, 0, 5000, final=True))
    mix(playout, 2, at=BLOCK)
    assert playout.heard(BLOCK - 1) is None
    assert playout.heard(BLOCK + 1234) == HeardPosition((1, 0), 1234)
    assert playout.position() == HeardPosition((1, 0), 2 * BLOCK)
    mix(playout, 8, at=3 * BLOCK)
    second = BLOCK + 5000 + PAUSE
    assert playout.heard(second - 1) == HeardPosition((1, 0), 5000)
    assert playout.heard(second + 10) == HeardPosition((1, 1), 10)


def test_a_voice_is_brought_to_its_loudness_by_a_constant_gain() -> None:
    playout = Playout()
    first = AudioChunk(1, 0, 0, np.full(4000, 0.2, np.float32), gain=2.5)
    rest = AudioChunk(1, 0, 4000, np.full(4000, 0.2, np.float32), final=True, gain=2.5)
    assert playout.push(first)
    assert playout.push(rest)
    np.testing.assert_allclose(mix(playout, 5), shaped(8000), atol=1e-7)


def jolt(sound: Samples) -> float:
    """Return the greatest change of slope from one sample to the next: a click is one."""
    return float(np.abs(np.diff(sound, 2)).max())


@pytest.mark.parametrize("at", range(0, 4 * BLOCK, 487))
def test_a_cancel_does_not_click_wherever_it_comes(at: int) -> None:
    """A tone whose own slope changes little, cut between any two of its samples."""
    playout = Playout()
    tone = 0.5 * np.sin(np.arange(5 * BLOCK) * 2 * np.pi * 200 / TICKS_PER_S)
    playout.push(AudioChunk(1, 0, 0, tone.astype(np.float32), final=True))
    before = playout.mix(0, at)
    heard = playout.cancel(1)
    sound = np.concatenate([before, playout.mix(at, 2 * BLOCK)])
    assert jolt(np.concatenate([np.zeros(2), sound])) < 2e-3  # a cut: up to 0.5
    assert (heard is None) == (at == 0)
    if at:
        np.testing.assert_allclose(sound[EDGE:at], tone[EDGE:at], atol=1e-7)


@pytest.mark.parametrize("n", [1, 2, 47, 96, 480, 5000])
def test_a_voice_that_begins_and_ends_in_full_swing_does_not_click(n: int) -> None:
    playout = Playout()
    playout.push(chunk(1, 0, 0, n, final=True))
    sound = mix(playout, 5)
    assert jolt(np.concatenate([np.zeros(2), sound])) <= 0.5 * (np.pi / EDGE) ** 2 + 0.51 * (
        n < 2 * EDGE
    )


def test_utterances_without_a_pause_follow_to_the_sample() -> None:
    playout = Playout(pause_ticks=0)
    lengths = [2881, 4801, 3333, 9600]
    for index, n in enumerate(lengths):
        playout.push(chunk(1, index, 0, n, level=0.1 * (index + 1), final=True))
    sound = mix(playout, 20)
    expected = np.concatenate([shaped(n, 0.1 * (i + 1)) for i, n in enumerate(lengths)])
    np.testing.assert_allclose(sound[: sum(lengths)], expected, atol=1e-7)
    assert not sound[sum(lengths) :].any()


@settings(max_examples=60, deadline=None)
@given(
    pieces=st.lists(st.integers(1, 7000), min_size=1, max_size=12),
    blocks=st.lists(st.integers(1, 3000), min_size=1, max_size=20),
    order=st.randoms(use_true_random=False),
)
def test_every_sample_is_played_once_in_order_and_without_a_click(
    pieces: list[int], blocks: list[int], order: random.Random
) -> None:
    """Chunks arrive at any time between blocks of any size: nothing is lost, nothing clicks."""
    total = sum(pieces)
    voice = np.linspace(0.2, 0.6, total, dtype=np.float32)  # each sample is its own mark
    playout = Playout()
    out: list[Samples] = []
    at, sent, mixed = 0, 0, 0
    while True:
        if sent < len(pieces) and order.random() < 0.5:
            n = pieces[sent]
            sent += 1
            final = sent == len(pieces)
            playout.push(AudioChunk(1, 0, at, voice[at : at + n], final=final))
            at += n
        n = blocks[len(out) % len(blocks)]
        out.append(playout.mix(mixed, n))
        mixed += n
        if sent == len(pieces) and playout.ahead() == 0:
            break
        assert mixed < 60 * TICKS_PER_S
    out.append(playout.mix(mixed, 10))
    sound = np.concatenate(out)
    events = playout.events()
    assert [events[0].kind, events[-1].kind] == ["started", "finished"]
    assert events[-1].heard == total
    # Where no fade is at work, each sample stands at the origin that was told for it.
    origin, exact = 0, 0
    for event, then in zip(events, events[1:], strict=False):
        origin = event.pts
        stop = then.heard
        for i in range(event.heard, stop):
            if origin + i < len(sound) and sound[origin + i] == voice[i]:
                exact += 1
    faded = 2 * DRY_FADE * playout.underruns + 2 * EDGE
    assert exact >= total - faded - 2
    inner = sound[events[0].pts + 1 : events[-1].pts]
    if len(inner) > 1:
        assert np.abs(np.diff(inner)).max() <= 0.6 / DRY_FADE + 0.4 / max(1, total - 1) + 1.0 / EDGE


@given(st.integers(1, 4000), st.integers(1, 400))
def test_block_sizes_do_not_change_the_sound(first: int, second: int) -> None:
    one, two = Playout(), Playout()
    for playout in (one, two):
        playout.push(chunk(1, 0, 0, 4800))
        playout.push(chunk(1, 0, 4800, 100, final=True))
        playout.push(chunk(1, 1, 0, 3000, level=0.2, final=True))
    whole = one.mix(0, first + 20 * second)
    parts = [two.mix(0, first)] + [two.mix(first + i * second, second) for i in range(20)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    assert one.events() == two.events()


def test_a_prefill_of_nothing_still_leaves_room_for_the_fades() -> None:
    playout = Playout(prefill_ticks=0)
    playout.push(chunk(1, 0, 0, DRY_FADE))
    assert not playout.mix(0, BLOCK).any()
    assert pytest.approx(0) == playout.ahead() - DRY_FADE
