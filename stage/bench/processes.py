"""Work in processes of their own, and what processes hold."""

import multiprocessing
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def apart(work: Callable[..., None], *arguments: Any) -> Any:
    """Run `work(connection, *arguments)` in a process of its own; return what it sends."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(theirs, *arguments))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"the show ended with exit code {process.exitcode}") from None
    finally:
        process.join()


def held_mib(pid: int) -> float | None:
    """Return the memory that is the process's own (USS): shared weights count for nobody."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    except OSError:
        return None  # no Linux, or it has ended
    sizes = re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+) kB", rollup, re.M)
    return sum(map(int, sizes)) / 1024


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds."""

    mib: float
    """Its own memory (USS)."""
    threads: int
    """Threads."""
    files: int
    """Open files, pipes and sockets."""


def held(pid: int) -> Held | None:
    """Return what the process holds; None where that cannot be seen."""
    mib = held_mib(pid)
    if mib is None:
        return None
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
        files = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    found = re.search(r"^Threads:\s+(\d+)", status, re.M)
    return Held(mib, int(found[1]) if found else 0, files)
