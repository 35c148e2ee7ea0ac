"""The grid of area `air`: what was measured of each way out, in one table.

A figure says itself in which cell it stands (`Figure.cell`). Where several stand in one (three ways
to break a sink, two sound cards) the worst is shown.
"""

from collections.abc import Sequence

from stage.bench.figures import Figure

WAYS: dict[str, str] = {
    "mp4": "film, MP4",
    "mkv": "film, Matroska",
    "part": "film, the second part",
    "hour": "film of an hour's show",
    "page": "stage page, WebRTC in Chromium",
    "overlay": "overlay, WebRTC in Chromium",
    "camera": "camera and sound device, in a virtual machine",
    "rtmp": "RTMP",
    "srt": "SRT",
    "hls": "HLS",
    "obs": "RTMP as a source of OBS, as OBS streams it",
    "whip": "WHIP",
    "card": "sound card of ±200 ppm, in real time",
    "hours": "sound card of ±200 ppm, eight virtual hours",
    "probe": "a sink that only counts",
}
"""The rows: each way out."""

COLUMNS: dict[str, str] = {
    "offset": "A/V offset, median",
    "p99": "99 % within",
    "drift": "drift",
    "late": "late or lost, model working",
    "others": "lost by the others when it breaks",
    "gap": "longest gap, server restarted",
    "after": "offset after it",
    "cpu": "CPU at 720p30",
}
"""What is known of it."""


def as_grid(figures: Sequence[Figure], *, markdown: bool = False) -> str:
    """Return the grid with those rows and columns that have figures, "" where there are none.

    A missed target is marked "!", or set in bold in Markdown. Below it stand the days and machines
    of the measurements.
    """
    cells: dict[tuple[str, str], list[Figure]] = {}
    for figure in figures:
        if all(figure.cell):
            cells.setdefault(figure.cell, []).append(figure)
    ways = [way for way in WAYS if any((way, column) in cells for column in COLUMNS)]
    columns = [column for column in COLUMNS if any((way, column) in cells for way in WAYS)]
    if not ways:
        return ""
    rows = [["way out", *(COLUMNS[column] for column in columns)]]
    for way in ways:
        found = (cells.get((way, column), []) for column in columns)
        rows.append([WAYS[way], *(_cell(several, markdown=markdown) for several in found)])
    placed = [figure for several in cells.values() for figure in several]
    days = sorted({figure.when for figure in placed})
    machines = sorted({figure.machine for figure in placed})
    origin = f"Measured {' and '.join(sorted({days[0], days[-1]}))} on {'; '.join(machines)}."
    if markdown:
        rows.insert(1, ["---"] * len(rows[0]))
        lines = [f"| {' | '.join(row)} |" for row in rows]
    else:
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
    return "\n".join([*lines, "", origin])


def _cell(figures: Sequence[Figure], *, markdown: bool) -> str:
    if not figures:
        return ""
    worst = max(figures, key=_badness)
    if worst.value is None:
        return "not measured"
    value = round(worst.value, 4) + 0.0  # no dust of arithmetic, and no -0
    number = f"{value:.1f}" if abs(value) >= 1 else f"{value:.2g}"
    shown = f"{number.removesuffix('.0')} {worst.unit}".strip()
    if worst.met is False:
        return f"**{shown}**" if markdown else f"{shown} !"
    return shown


def _badness(figure: Figure) -> tuple[bool, float]:
    return figure.value is None, abs(figure.value or 0.0)
