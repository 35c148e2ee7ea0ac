"""Contact sheets: a host's faces, mouths and gestures on one picture each, to be looked at.

The same poses, drawn by the same code as on air. Runs on: the thread that calls it; a sheet takes
a few seconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from avatar.motions import Motions, read_motions
from avatar.performer import Performer
from avatar.pose import VISEMES, ParameterTable, Pose
from dialogue.ticks import TICKS_PER_S, Ticks, from_s, to_s
from render.frames import Pixels
from render.puppet import PuppetRenderer
from stage.looking import Look, mouth, over

PAPER = (238, 243, 246)
"""Behind and between the cells, BGR."""
INK = (62, 48, 52)
ANGLES: Sequence[tuple[str, Mapping[str, float]]] = (
    ("left", {"ParamAngleX": -28.0, "ParamBodyAngleX": -4.0}),
    ("down", {"ParamAngleX": -12.0, "ParamAngleY": -20.0}),
    ("front", {}),
    ("up", {"ParamAngleX": 12.0, "ParamAngleY": 20.0}),
    ("right", {"ParamAngleX": 28.0, "ParamBodyAngleX": 4.0}),
    ("leant", {"ParamAngleZ": 15.0, "ParamAngleX": 10.0}),
)
"""Where the head turns in the sheet of expressions."""
FRAMES = 6
"""Pictures of a gesture."""
FILMED = (300, 300)
"""Width and height of each of them: so large that fingers are seen."""
_FPS = 30
_STEP = TICKS_PER_S // _FPS
_CUED: Ticks = from_s(1.0)
_LABEL_PX = 26
_MARGIN_PX = 8


@dataclass(frozen=True, slots=True)
class Sheet:
    """A picture of pictures."""

    name: str
    """Such as "expressions"."""
    pixels: Pixels
    """Shape (height, width, 3), BGR."""


def sheets(folder: Path) -> Iterable[Sheet]:
    """Yield the contact sheets of the character in `folder`.

    Raises:
        CharacterError: it cannot be drawn.
    """
    motions = read_motions(folder / "motions", ParameterTable())
    yield Sheet("expressions", _expressions(folder, motions))
    yield Sheet("visemes", _visemes(folder))
    yield Sheet("gestures", _gestures(folder, motions))


def _expressions(folder: Path, motions: Motions) -> Pixels:
    eye = _Eye(folder, 720, "head")
    rows = []
    for expression in motions.expressions.values():
        cells = []
        for label, angle in ANGLES:
            values = dict(angle)
            for name, offset in expression.offsets.items():
                values[name] = values.get(name, 0.0) + offset
            cells.append((f"{expression.name}, {label}", eye.still(values)))
        rows.append(cells)
    return _grid(rows, (216, 216))


def _visemes(folder: Path) -> Pixels:
    eye = _Eye(folder, 1440, "face")
    cells = [(name, eye.still(mouth(name))) for name in VISEMES]
    return _grid([cells[i : i + 5] for i in range(0, len(cells), 5)], (280, 210))


def _gestures(folder: Path, motions: Motions) -> Pixels:
    eye = _Eye(folder, 2 * FILMED[1], "bust")
    rows = []
    for gesture in motions.gestures.values():
        if gesture.idle_every is not None or gesture.talk_every is not None:
            continue  # a habit, too small for a strip
        performer = Performer(ParameterTable(), seed=3, motions=folder / "motions")
        performer.cue(gesture.name, _CUED)
        last = _CUED + gesture.length
        shown = [_CUED + (gesture.length * (i + 1)) // (FRAMES + 1) for i in range(FRAMES)]
        cells = []
        for pts in range(0, last + _STEP, _STEP):
            seen = eye.see(performer.pose(pts))
            if shown and pts >= shown[0]:
                at_s = to_s(shown.pop(0) - _CUED)
                cells.append((f"{gesture.name} {at_s:.2f} s", seen))
        rows.append(cells)
    return _grid(rows, FILMED)


class _Eye:
    """Looks at a part of the host on paper."""

    def __init__(self, folder: Path, height: int, part: str) -> None:
        width = round(height * 16 / 9)
        renderer = PuppetRenderer(folder, width=width, height=height, scene="transparent")
        self._look = Look(renderer)
        x, y, wide, high = renderer.head_box()
        if part == "face":
            mx, my, mw, mh = renderer.mouth_box()
            # The lower face: what a mouth belongs to.
            wide, high = round(mw * 2.7), round(mw * 2.7 * 0.75)
            x, y = mx + mw // 2 - wide // 2, my + mh // 2 - round(high * 0.6)
        elif part == "head":
            side = max(wide, high)
            x, y, wide, high = x + wide // 2 - side // 2, y + high // 2 - side // 2, side, side
        else:
            x, y, wide, high = x + wide // 2 - height // 2, 0, height, height
        self._box = (max(0, x), max(0, y), wide, high)

    def still(self, offsets: Mapping[str, float]) -> Pixels:
        """Return the picture of offsets from rest, springs at rest; BGR."""
        table = self._look.renderer.table
        known = {}
        for name, offset in offsets.items():
            i = table.index[name]
            value = float(table.default[i]) + offset
            known[name] = float(np.clip(value, table.min[i], table.max[i]))
        return self._part(self._look.at(known))

    def see(self, pose: Pose) -> Pixels:
        """Return the picture of `pose`; BGR."""
        return self._part(self._look.see(pose))

    def _part(self, picture: Pixels) -> Pixels:
        x, y, wide, high = self._box
        return over(picture[y : y + high, x : x + wide], PAPER)


def _grid(rows: Sequence[Sequence[tuple[str, Pixels]]], cell: tuple[int, int]) -> Pixels:
    wide, high = cell
    step_x, step_y = wide + _MARGIN_PX, high + _LABEL_PX + _MARGIN_PX
    columns = max(len(row) for row in rows)
    sheet: Pixels = np.full(
        (len(rows) * step_y + _MARGIN_PX, columns * step_x + _MARGIN_PX, 3), PAPER, np.uint8
    )
    for j, row in enumerate(rows):
        for i, (label, picture) in enumerate(row):
            x, y = _MARGIN_PX + i * step_x, _MARGIN_PX + j * step_y
            small = cv2.resize(picture, cell, interpolation=cv2.INTER_AREA)
            sheet[y : y + high, x : x + wide] = small
            cv2.putText(
                sheet, label, (x + 3, y + high + 18), cv2.FONT_HERSHEY_SIMPLEX, 0.48, INK, 1,
                cv2.LINE_AA,
            )  # fmt: skip
    return sheet
