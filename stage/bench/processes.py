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
    sizes = _rollup(pid)
    return None if sizes is None else (sizes["Private_Clean"] + sizes["Private_Dirty"]) / 1024


def _rollup(pid: int) -> dict[str, int] | None:
    """Return the kernel's sums over the process's memory, in kB."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    except OSError:
        return None  # no Linux, or it has ended
    return {name: int(kb) for name, kb in re.findall(r"^(\w+):\s+(\d+) kB", rollup, re.M)}


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds."""

    mib: float
    """Its own memory (USS)."""
    threads: int
    """Threads."""
    files: int
    """Open files, pipes and sockets."""
    file_mib: float = 0.0
    """Of its memory, pages of mapped files: the system takes them back when it wants them."""


def held(pid: int) -> Held | None:
    """Return what the process holds; None where that cannot be seen."""
    sizes = _rollup(pid)
    if sizes is None:
        return None
    own = sizes["Private_Clean"] + sizes["Private_Dirty"]
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
        files = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    found = re.search(r"^Threads:\s+(\d+)", status, re.M)
    file_kb = max(0, own - sizes["Anonymous"])
    return Held(own / 1024, int(found[1]) if found else 0, files, file_kb / 1024)
