"""The ring behind the loudspeaker: in time with the pictures, on a device that drifts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S, Ticks, to_ms
from render.sinks.device import FLOOR, PREFILL, Ring
from voice.speech import Samples

DEVICE_BLOCK = 480
STEP = TICKS_PER_S // 30


def test_nothing_is_played_before_80_ms_are_there() -> None:
    ring = Ring()
    out = np.ones(DEVICE_BLOCK, np.float32)
    ring.write(0, np.full(PREFILL - 1, 0.5, np.float32))
    ring.read(out, 0)
    assert not out.any()
    ring.write(PREFILL - 1, np.full(1, 0.5, np.float32))
    ring.read(out, 0)
    assert (out == 0.5).all()
    assert ring.underruns == 0


def test_playing_begins_at_the_sample_that_is_due() -> None:
    ring = Ring()
    ring.write(7000, np.arange(1, 9601, dtype=np.float32))
    out = np.zeros(DEVICE_BLOCK, np.float32)
    ring.read(out, -DEVICE_BLOCK)  # too early by a whole block
    assert not out.any()
    ring.read(out, -100)
    assert not out[:100].any()
    np.testing.assert_array_equal(out[100:], np.arange(1, DEVICE_BLOCK - 99))
    assert ring.pts == 7000 + DEVICE_BLOCK - 100


def test_sound_that_is_late_from_the_start_is_skipped_down_to_the_prefill() -> None:
    ring = Ring()
    ring.write(0, np.arange(PREFILL + 1000, dtype=np.float32))
    out = np.zeros(DEVICE_BLOCK, np.float32)
    ring.read(out, 5000)
    assert out[0] == 1000


def test_an_empty_ring_is_silence_and_counted() -> None:
    ring = Ring()
    ring.write(0, np.full(PREFILL, 0.5, np.float32))
    out = np.ones(PREFILL + 10, np.float32)
    ring.read(out, 0)
    assert not out[PREFILL:].any()
    assert ring.underruns == 1


def test_what_finds_no_room_is_counted_and_the_time_stays_right() -> None:
    ring = Ring(size=8000)
    ring.write(0, np.zeros(7000, np.float32))
    ring.write(7000, np.full(2000, 0.5, np.float32))
    assert (ring.held, ring.refused) == (8000, 1000)
    out = np.zeros(8000, np.float32)
    ring.read(out, 0)
    ring.write(9000, np.full(100, 0.5, np.float32))
    assert ring.pts == 9000


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 3000)), max_size=40))
def test_samples_come_out_once_and_in_order(steps: list[tuple[int, int]]) -> None:
    ring = Ring(prefill=0)
    sent, heard = 0, []
    for more, want in steps:
        ring.write(sent, np.arange(sent + 1, sent + more + 1, dtype=np.float32))
        sent += more
        out = np.full(want, -1, np.float32)
        ring.read(out, 0)
        heard.append(out[out > 0])
    played = np.concatenate(heard) if heard else np.zeros(0)
    np.testing.assert_array_equal(played, np.arange(1, len(played) + 1))


def play(ppm: float, seconds: int, latency: Ticks) -> tuple[Ring, list[float], Samples]:
    """Run a show of one-second sentences on a device whose crystal is off by `ppm`.

    The body mixes 40 ms past the frame being drawn; its pictures leave 20 ms after their time.
    Returns the ring, how late the sound left each time it spoke (ms), and all that was played.
    """
    ring = Ring()
    late_ms: list[float] = []
    played: list[Samples] = []
    mixed = 0
    device_at = 1000.0  # in ticks of the stage's clock
    for k in range(seconds * 30):
        until = (k + 1) * STEP + 40 * TICKS_PER_MS
        at = np.arange(mixed, until)
        voice = np.where(at % (4 * TICKS_PER_S) < 3 * TICKS_PER_S, 0.5, 0.0).astype(np.float32)
        ring.write(mixed, voice)
        mixed = until
        while device_at < (k + 1) * STEP:
            out = np.zeros(DEVICE_BLOCK, np.float32)
            late = round(device_at) + latency - (ring.pts + 20 * TICKS_PER_MS)
            ring.read(out, late)
            if out.all():
                late_ms.append(to_ms(late))
            played.append(out)
            device_at += DEVICE_BLOCK * (1 - ppm / 1e6)
    return ring, late_ms, np.concatenate(played)


@pytest.mark.parametrize("ppm", [-300.0, 0.0, 300.0])
def test_a_drifting_device_is_held_to_the_pictures_in_silence(ppm: float) -> None:
    ring, late_ms, played = play(ppm, 120, latency=15 * TICKS_PER_MS)
    settled = late_ms[len(late_ms) // 4 :]
    assert max(abs(ms) for ms in settled) < 8
    assert ring.underruns == ring.refused == 0
    # Corrections are made in silence only: each sentence is whole.
    edges = np.flatnonzero(np.diff((played > 0).astype(int)))
    spoken = np.diff(edges)[0::2] if played[edges[0] + 1] else np.diff(edges)[1::2]
    assert len(spoken) > 25
    assert set(spoken[1:-1].tolist()) == {3 * TICKS_PER_S}


def test_a_device_too_slow_for_the_picture_plays_late_but_does_not_stutter() -> None:
    ring, late_ms, _ = play(0.0, 60, latency=120 * TICKS_PER_MS)
    assert ring.underruns == 0
    assert min(late_ms) > 0
    assert ring.held >= FLOOR // 2
