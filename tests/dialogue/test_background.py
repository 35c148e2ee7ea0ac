"""Threads that step back, the one that goes first, and memory that is given back."""

import os
import subprocess
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


_LIBC = """
import ctypes, os, sys
from dialogue.background import return_memory, trim_memory
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
def mib():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE") / (1 << 20)
"""
_HOARD = """
if sys.argv[1] == "return" and not return_memory():
    sys.exit(3)
libc.free(libc.malloc(8 << 20))  # from now on glibc takes 8 MiB for an ordinary size
before = mib()
pieces = [libc.malloc(4 << 20) for _ in range(20)]
for piece in pieces:
    libc.memset(piece, 1, 4 << 20)
pin = libc.malloc(600 << 10)  # lies on top of them
for piece in pieces:
    libc.free(piece)
print(mib() - before)
"""


def _kept(how: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _LIBC + _HOARD, how],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_freed_memory_goes_back_to_the_system() -> None:
    returned = _kept("return")
    if returned.returncode == 3:
        pytest.skip("no mallopt here: another C library than glibc")
    assert float(_kept("keep").stdout) > 60, "glibc does it by itself now: the option is needless"
    assert float(returned.stdout) < 8


_HOLES = """
before = mib()
pieces = [libc.malloc(16 << 10) for _ in range(3000)]
for piece in pieces:
    libc.memset(piece, 1, 16 << 10)
for number, piece in enumerate(pieces):
    if number % 16:
        libc.free(piece)
held = mib() - before
done = trim_memory()
print(done, held, mib() - before)
"""


def test_holes_in_the_heap_go_back_to_the_system() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _LIBC + _HOLES],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    done, held, after = run.stdout.split()
    if done == "False":
        pytest.skip("no malloc_trim here: another C library than glibc")
    assert float(held) > 40, "glibc does it by itself now: trimming is needless"
    assert float(after) < 10
