"""Area `air`: what comes out of each way on air, measured from the outside.

Each module measures one family of sinks and has a `PARTS` of its own, name -> (description,
measure() -> list[Figure]); this one joins them.
"""

import importlib
from collections.abc import Callable

from stage.bench.figures import Figure
from stage.bench.grid import COLUMNS, WAYS

AREA = "air"

MODULES: tuple[str, ...] = (
    "pace",
    "streams",
    "whip",
    "recordings",
    "sound",
    "overlay",
    "camera",
    "obs",
    "soak",
)
"""Modules of this package that measure, in the order in which they are printed."""


def figure(
    name: str,
    value: float | None,
    unit: str,
    target: str,
    how: str,
    *,
    cell: tuple[str, str] = ("", ""),
) -> Figure:
    """Return a figure of this area.

    Raises:
        ValueError: the grid has no such `cell`.
    """
    way, column = cell
    if any(cell) and (way not in WAYS or column not in COLUMNS):
        raise ValueError(f"{name}: the grid has no cell {cell}")
    return Figure(AREA, name, value, unit, target, how, cell)


PARTS: dict[str, tuple[str, Callable[[], list[Figure]]]] = {
    name: part
    for module in MODULES
    for name, part in importlib.import_module(f"{__name__}.{module}").PARTS.items()
}
"""Every figure of this area."""
