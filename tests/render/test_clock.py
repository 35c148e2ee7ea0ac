"""Clocks never go back, and follow the device without a jump."""

import time

from hypothesis import given
from hypothesis import strategies as st

from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S
from render.clock import DeviceClock, Follower, MonotonicClock, VirtualClock


def test_a_virtual_clock_jumps_to_what_is_waited_for_and_never_back() -> None:
    clock = VirtualClock(100)
    clock.wait_until(5000)
    clock.wait_until(3000)
    assert clock.now() == 5000


def test_the_monotonic_clock_waits_for_its_tick() -> None:
    clock = MonotonicClock()
    due = clock.now() + 5 * TICKS_PER_MS
    clock.wait_until(due)
    assert clock.now() >= due


def test_without_anchors_the_device_clock_runs_free() -> None:
    clock = DeviceClock()
    due = clock.now() + 5 * TICKS_PER_MS
    clock.wait_until(due)
    assert clock.now() >= due


@given(st.lists(st.integers(-TICKS_PER_S, TICKS_PER_S), max_size=8))
def test_the_device_clock_never_goes_back_whatever_the_anchors_say(errors: list[int]) -> None:
    clock = DeviceClock()
    last = clock.now()
    for error in errors:
        clock.anchor(last + error, time.monotonic_ns())
        for _ in range(3):
            now = clock.now()
            assert now >= last
            last = now


def test_the_device_clock_closes_in_on_its_anchors() -> None:
    told_ns = [0]
    clock = DeviceClock(lambda: told_ns[0])
    clock.anchor(10 * TICKS_PER_MS, 0)  # the device is 10 ms ahead
    told_ns[0] = 1_000_000_000  # at 2 % it takes half a second
    assert abs(clock.now() - (TICKS_PER_S + 10 * TICKS_PER_MS)) <= 1


def test_an_anchor_bends_the_device_clock_by_two_percent_at_most() -> None:
    told_ns = [0]
    clock = DeviceClock(lambda: told_ns[0])
    clock.anchor(TICKS_PER_S, 0)
    told_ns[0] = 100_000_000
    assert clock.now() == round(TICKS_PER_S * 0.1 * 1.02)


def test_a_show_that_follows_a_device_shows_each_picture_when_its_sound_is_heard() -> None:
    """The device runs 1 % fast, to be seen soon; pictures leave 20 ms before their time."""
    told_ns = [0]
    clock = DeviceClock(lambda: told_ns[0])
    follower = Follower(clock)
    lead = 20 * TICKS_PER_MS
    for k in range(900):
        told_ns[0] = k * 33_000_000
        heard = round(told_ns[0] * 1.01 * TICKS_PER_S / 1e9) - 100 * TICKS_PER_MS
        follower.note(clock.now() + lead)
        follower.anchor((heard, told_ns[0]))
        follower.anchor(None)
    assert abs(clock.now() + lead - heard) < TICKS_PER_MS


def test_nothing_is_followed_before_the_first_picture() -> None:
    told_ns = [0]
    clock = DeviceClock(lambda: told_ns[0])
    Follower(clock).anchor((TICKS_PER_S, 0))
    told_ns[0] = 1_000_000_000
    assert clock.now() == TICKS_PER_S
