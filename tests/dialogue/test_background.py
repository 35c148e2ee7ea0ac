"""Threads that step back, and the one that goes first."""

import os
import sys
import threading

import pytest

from dialogue.background import LOWEST, apart, be_nicer, go_first

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness on Linux")


def _niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_work_apart_is_nicer_and_leaves_this_thread_as_it_was() -> None:
    mine = _niceness()
    assert apart(_niceness, 3) == min(LOWEST, mine + 3)
    assert _niceness() == mine


def test_nobody_is_nicer_than_the_lowest() -> None:
    def work() -> int:
        be_nicer(50)
        return _niceness()

    assert apart(work, 0) == LOWEST


def test_who_goes_first_is_so_or_is_told_and_what_it_starts_is_ordinary() -> None:
    def work() -> tuple[bool, int, int]:
        first = go_first()
        child: list[int] = []
        thread = threading.Thread(target=lambda: child.append(os.sched_getscheduler(0)))
        thread.start()
        thread.join()
        return first, os.sched_getscheduler(0), child[0]

    first, own, child = apart(work, 0)
    policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK if first else os.SCHED_OTHER
    assert (own, child) == (policy, os.SCHED_OTHER)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
