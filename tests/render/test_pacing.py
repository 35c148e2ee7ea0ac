"""Frames stay on the grid; lateness is counted and skips pictures, never sound."""

import pytest

from dialogue.ticks import TICKS_PER_S
from render.clock import VirtualClock
from render.pacing import Lateness, Lead, Pacer

STEP = TICKS_PER_S // 30


def test_frames_follow_on_the_grid_from_the_next_frame_time() -> None:
    pacer = Pacer(VirtualClock(STEP * 3 + 5), 30)
    assert [pacer.next() for _ in range(3)] == [STEP * 4, STEP * 5, STEP * 6]
    assert (pacer.frames, pacer.late, pacer.dropped) == (3, 0, 0)


def test_a_slow_frame_is_late_but_still_shown() -> None:
    clock = VirtualClock()
    pacer = Pacer(clock, 30)
    pacer.next()
    clock.wait_until(STEP + STEP * 3 // 4)
    assert pacer.next() == STEP
    assert (pacer.late, pacer.dropped) == (1, 0)


def test_more_than_two_frames_late_skips_to_the_present() -> None:
    clock = VirtualClock()
    pacer = Pacer(clock, 30)
    pacer.next()
    clock.wait_until(STEP * 10 + 7)
    assert pacer.next() == STEP * 10
    assert pacer.next() == STEP * 11
    assert (pacer.late, pacer.dropped) == (0, 9)


def test_frames_begun_ahead_have_more_time() -> None:
    clock = VirtualClock(STEP)
    pacer = Pacer(clock, 30, ahead=STEP)
    assert pacer.due() == 0
    assert pacer.next() == STEP
    assert pacer.due() == STEP
    clock.wait_until(2 * STEP + STEP // 3)  # a frame that took more than two frames' time
    assert pacer.next() == 2 * STEP
    assert (pacer.late, pacer.dropped) == (0, 0)


def test_hours_do_not_move_the_grid() -> None:
    clock = VirtualClock()
    pacer = Pacer(clock, 24)
    for _ in range(24 * 3600 * 2):
        last = pacer.next()
    assert last == 2 * 3600 * TICKS_PER_S - 2000
    assert pacer.late == pacer.dropped == 0


def test_intervals_are_measured_between_the_beginnings_of_frames() -> None:
    clock = VirtualClock()
    pacer = Pacer(clock, 30)
    assert pacer.intervals_ms() == (0.0, 0.0)
    for _ in range(4):
        pacer.next()
    clock.wait_until(STEP * 4 + 480)
    pacer.next()
    median, longest = pacer.intervals_ms()
    assert median == pytest.approx(1000 / 30, abs=0.1)
    assert longest == pytest.approx(1000 / 30 + 10, abs=0.1)


def test_a_rate_that_is_not_whole_ticks_is_refused() -> None:
    with pytest.raises(ValueError, match="use 24, 25, 30, 50 or 60"):
        Pacer(VirtualClock(), 29)


def test_sound_is_due_as_late_as_pictures_usually_are() -> None:
    late = Lateness()
    assert late.due_ns(0) is None
    for k in range(40):
        late.note(k * STEP, k * STEP * 1_000_000_000 // TICKS_PER_S + 20_000_000)
    late.note(40 * STEP, 90_000_000_000)  # one picture that hung
    due = late.due_ns(TICKS_PER_S)
    assert due == pytest.approx(1_020_000_000, abs=50)


def test_sound_is_mixed_further_ahead_where_a_device_needs_it_and_never_less() -> None:
    lead = Lead(1000)
    for pts in range(0, Lead.EVERY, 1600):
        lead.note(pts, 500)
    assert lead.ticks == 1000  # the effect of the last change is waited for
    lead.note(Lead.EVERY, 500)
    assert lead.ticks == 1500
    lead.note(2 * Lead.EVERY, 0)
    assert lead.ticks == 1500
    lead.note(3 * Lead.EVERY, 10**6)
    assert lead.ticks == Lead.MOST


def test_lateness_is_settled_after_a_second_of_pictures() -> None:
    late = Lateness()
    for k in range(31):
        assert not late.settled
        late.note(k * 1600, 0)
    assert late.settled
