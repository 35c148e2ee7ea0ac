"""Work that must not take cores or memory from the rest, and the thread that goes first."""

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_MALLOPT = {-8: 1, -3: 1 << 20, -1: 4 << 20}
"""M_ARENA_MAX, M_MMAP_THRESHOLD and M_TRIM_THRESHOLD in bytes: mallopt(3)."""

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


def return_memory() -> bool:
    """Let this process hand freed memory back to the system; returns whether that is so now.

    For a process that lives for weeks and asks for large pieces of ever other sizes, from many
    threads: glibc keeps a heap for each thread, and what is freed in the middle of one stays (100
    MiB in ten minutes of talk). Each large piece costs page faults, so it is not for one that asks
    for pictures all the time. Call it before other threads are there. Only glibc can do it.
    """
    mallopt = _glibc("mallopt")
    return mallopt is not None and all(mallopt(*pair) == 1 for pair in _MALLOPT.items())


def trim_memory() -> bool:
    """Hand whole free pages inside the heap back to the system; returns whether it could be done.

    Small things of many lives leave holes. Nobody gets memory meanwhile (0.2 ms where there is
    little to hand back): call it when nothing is going on. Only glibc can do it.
    """
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)
    return trim is not None


def _glibc(name: str) -> Any:
    """Return a function of the C library; None outside Linux, and where it has none (musl)."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
