"""Every figure of area `air`."""

import importlib
from collections.abc import Callable

from stage.bench.figures import Figure

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


PARTS: dict[str, tuple[str, Callable[[], list[Figure]]]] = {
    name: part
    for module in MODULES
    for name, part in importlib.import_module(f"stage.bench.air.{module}").PARTS.items()
}
"""Every figure of this area."""
