"""Area `air`: what comes out of each way on air, measured from the outside.

Each module measures one family of sinks and has a `PARTS` of its own, name -> (description,
measure() -> list[Figure]); this one joins them.
"""

import importlib
from collections.abc import Callable

from stage.bench.figures import Figure

AREA = "air"

MODULES: tuple[str, ...] = (
    "pace",
    "streams",
    "whip",
    "recordings",
    "sound",
    "overlay",
    "camera",
    "soak",
)
"""Modules of this package that measure, in the order in which they are printed."""


def figure(name: str, value: float | None, unit: str, target: str, how: str) -> Figure:
    """Return a figure of this area."""
    return Figure(AREA, name, value, unit, target, how)


PARTS: dict[str, tuple[str, Callable[[], list[Figure]]]] = {
    name: part
    for module in MODULES
    for name, part in importlib.import_module(f"{__name__}.{module}").PARTS.items()
}
"""Every figure of this area."""
