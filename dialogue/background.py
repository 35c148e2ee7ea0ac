"""Work that must not take the cores from picture and voice."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

LOWEST = 19
"""The niceness of work that only takes what nobody else wants."""


def apart(work: Callable[[], T], niceness: int) -> T:
    """Return what `work` returns, done on a thread that is `niceness` nicer than this one.

    Threads that it starts inherit that. Where threads have no niceness of their own (outside
    Linux) nothing changes but the thread.
    """

    def run() -> T:
        be_nicer(niceness)
        return work()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()


def be_nicer(niceness: int) -> None:
    """Make this thread, and those it starts, that much nicer."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            own = threading.get_native_id()
            now = os.getpriority(os.PRIO_PROCESS, own)
            os.setpriority(os.PRIO_PROCESS, own, min(now + niceness, LOWEST))


def go_first() -> bool:
    """Let this thread go before all ordinary ones; returns whether that is so now.

    Linux allows it to root and to those with a limit on `rtprio`. What the thread starts is
    ordinary again. It is for a thread that rests a part of the time, since all others wait for it;
    on a machine with one core nothing is changed.
    """
    if sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2:
        return False
    try:
        policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(1))  # 0: this thread
    except OSError:
        return False
    return True
