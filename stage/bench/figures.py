"""What a measurement is, and how a list of them is printed."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec


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
        row = msgspec.to_builtins(figure)
        row["met"] = figure.met
        rows.append({k: row[k] for k in ("area", "name", "value", "unit", "target", "met", "how")})
    return json.dumps(rows, ensure_ascii=False, indent=1)


def as_table(figures: Sequence[Figure]) -> str:
    """Return a table for people: figure, value, target, and whether it is met."""
    rows = [("figure", "measured", "target", "", "how")]
    for figure in figures:
        value = "not measured" if figure.value is None else f"{figure.value:.4g} {figure.unit}"
        target = "" if figure.target == "report" else f"{figure.target} {figure.unit}"
        mark = {True: "met", False: "MISSED", None: ""}[figure.met]
        rows.append((figure.name, value, target, mark, figure.how))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)
