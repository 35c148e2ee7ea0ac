"""Area `air`: what comes out of each way on air, measured from the outside.

Each module measures one family of sinks and has a `PARTS` of its own, name -> (description,
measure() -> list[Figure]); `stage.bench.air.parts` joins them. This one imports none of them: a
sink that measures is imported by a body that is on air.
"""

from stage.bench.figures import Figure
from stage.bench.grid import COLUMNS, WAYS

AREA = "air"


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
