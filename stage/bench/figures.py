"""What a measurement is, and how a list of them is printed and read again."""

import contextlib
import datetime
import json
import os
import platform
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec


@cache
def machine() -> str:
    """Return what this machine is, in words: cores, processor, memory, system, Python."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, IndexError):  # no Linux
        cpus = Path("/proc/cpuinfo").read_text("utf-8", "replace")
        name = re.findall(r"^model name\s*:\s*(.+)$", cpus, re.M)[0]
    cores = os.cpu_count() or 1
    memory = ""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # Windows
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        memory = f", {total / 2**30:.0f} GB"
    return (
        f"{cores} core{'s' * (cores > 1)} of {name.strip()}{memory}, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


class Figure(msgspec.Struct, frozen=True):
    """One measured figure."""

    area: str
    """Which issue claims it: "loop", later "host", "air" and so on."""
    name: str
    """What was measured."""
    value: float | None
    """The figure; None when it could not be measured (`how` says why)."""
    unit: str
    """Of value and target."""
    target: str
    """Such as "<= 150"; "report" where only the figure is wanted."""
    how: str
    """One line: method, sample size, machine state."""
    cell: tuple[str, str] = ("", "")
    """Where it stands in the area's grid: row and column (`stage.bench.grid`)."""
    when: str = msgspec.field(default_factory=lambda: datetime.date.today().isoformat())
    """The day on which it was measured."""
    machine: str = msgspec.field(default_factory=machine)
    """On what."""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none, False where nothing was measured."""
        if self.target == "report":
            return None
        if self.value is None:
            return False
        word, _, bound = self.target.partition(" ")
        limit = float(bound)
        match word:
            case "<=":
                return self.value <= limit
            case ">=":
                return self.value >= limit
            case "|x|<=":
                return abs(self.value) <= limit
        raise ValueError(f"target {self.target!r}: write it as '<= 5', '>= 5', '|x|<= 5' or report")


def as_json(figures: Sequence[Figure]) -> str:
    """Return the list that `bunraku bench --json` prints."""
    rows: list[dict[str, Any]] = []
    for figure in figures:
        row = msgspec.to_builtins(figure, enc_hook=float)  # numpy's numbers
        row["met"] = None if figure.met is None else bool(figure.met)
        order = ("area", "name", "value", "unit", "target", "met", "how", "cell", "when", "machine")
        rows.append({key: row[key] for key in order})
    return json.dumps(rows, ensure_ascii=False, indent=1)


def from_json(text: str | bytes) -> list[Figure]:
    """Return the figures that `as_json` wrote.

    Raises:
        ValueError: it did not.
    """
    return msgspec.json.decode(text, type=list[Figure])


def as_table(figures: Sequence[Figure], *, markdown: bool = False) -> str:
    """Return a table for people: figure, value, target, and whether it is met.

    In Markdown "how", which is long, is left out, and a missed target is set in bold.
    """
    rows = [("figure", "measured", "target", "", "how")]
    for figure in figures:
        value = "not measured" if figure.value is None else f"{figure.value:.4g} {figure.unit}"
        target = "" if figure.target == "report" else f"{figure.target} {figure.unit}"
        mark = {True: "met", False: "MISSED", None: ""}[figure.met]
        rows.append((figure.name, value.strip(), target.strip(), mark, figure.how))
    if markdown:
        cells = [row[:4] for row in rows]
        cells.insert(1, ("---",) * 4)
        return "\n".join(
            f"| {' | '.join(cell.replace('MISSED', '**missed**') for cell in row)} |"
            for row in (tuple(_plain(cell) for cell in row) for row in cells)
        )
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def _plain(cell: str) -> str:
    """Return the cell with targets as docs/figures.md writes them, and nothing that ends it."""
    for word, sign in (("|x|<=", "within ±"), ("<=", "≤"), (">=", "≥")):
        cell = cell.replace(word, sign)
    return cell.replace("|", "\\|")
