"""What is seen of a character: mouths told apart, lids that shut, holes."""

from pathlib import Path

import cv2
import numpy as np

from avatar.pose import VISEMES
from avatar.puppet.puppet import Puppet
from render.puppet import PuppetRenderer
from stage.checks.finding import Finding
from stage.checks.holes import look_for_holes
from stage.looking import Look, changed, difference, mouth, mouths

SIZE = (1280, 720)
LEAST = {"aa": 12.0, "E": 8.0, "oh": 8.0}
"""Share of the mouth's box, in percent, that must change from the mouth at rest."""
LEAST_OTHER = 4.0
APART = 2.0
"""Share of the box by which any two mouths must differ."""
OPEN_AT_PP = 6.0
"""Opening at p, b, m in percent of the one at aa: more, and the lips do not meet."""
SHINES_THROUGH = 4.0
"""Share of an open eye's moving pixels that may still move when the lid is shut, in percent."""


def look_at_pictures(folder: Path) -> list[Finding]:
    """Return what is wrong with the pictures of the character in `folder`, whose rig is sound."""
    width, height = SIZE
    look = Look(PuppetRenderer(folder, width=width, height=height, scene="transparent"))
    puppet = look.renderer.puppet
    return [
        *(Finding(*each) for each in _mouths(look, puppet)),
        *_lids(look, puppet),
        *look_for_holes(look, folder),
    ]


def _mouths(look: Look, puppet: Puppet) -> list[tuple[str, Path, int | None, str, str]]:
    found = []
    file, line = puppet.file.file, puppet.file.line(r"\[mouth\]")
    pictures = mouths(look)

    def differ(a: str, b: str) -> float:
        return difference(pictures[a], pictures[b])

    for name in VISEMES[2:]:
        least = LEAST.get(name, LEAST_OTHER)
        if (share := differ(name, "sil")) < least:
            found.append((
                "warning", file, line,
                f"the mouth of {name} moves {share:.1f} % of its box, fewer than {least:.0f} %",
                "draw it bolder: it must be read at the size of a phone",
            ))  # fmt: skip
    alike = sorted(
        (share, b, a)
        for i, a in enumerate(VISEMES) for b in VISEMES[:i]
        if b != "sil" and (share := differ(a, b)) < APART
    )  # fmt: skip
    if alike:
        share, a, b = alike[0]
        others = f" ({len(alike)} pairs are that alike)" if len(alike) > 1 else ""
        # Pictures that stand in for one another are meant to.
        level = "note" if puppet.spec.swap else "warning"
        found.append((
            level, file, line,
            f"the mouths of {a} and {b} differ in {share:.1f} % of their box only{others}",
            "make one wider, rounder or show more of teeth or tongue",
        ))  # fmt: skip
    areas = _openings(look, puppet)
    share = 100 * areas["PP"] / max(areas["aa"], 1.0) if areas else 0.0
    if share > OPEN_AT_PP:
        found.append((
            "error", file, line, f"the lips do not meet at p, b, m: {share:.0f} % as open as aa",
            "draw Viseme_PP with the edges of the cavity on each other",
        ))  # fmt: skip
    return found


def _openings(look: Look, puppet: Puppet) -> dict[str, float]:
    """Return the area inside the mouth's clip path at PP and aa; empty where it has none."""
    shapes = puppet.drawing.group(puppet.spec.mouth.group)
    names = [name for shape in shapes for name in shape.clips if not shape.hidden]
    if not names:
        return {}
    outline = puppet.drawing.clips[names[0]][0]
    areas = {}
    for name in ("PP", "aa"):
        look.at(mouth(name))
        edge = puppet.points[outline.start : outline.stop].astype(np.float32)
        areas[name] = float(cv2.contourArea(edge.reshape(-1, 1, 2)))
    return areas


def _lids(look: Look, puppet: Puppet) -> list[Finding]:
    found = []

    def moving(**lids: float) -> int:
        left, right = (look.at({"ParamEyeBallX": x, **lids}).copy() for x in (-1.0, 1.0))
        return int(changed(left, right).sum())

    opened = moving()
    rig = puppet.file
    if opened < 60:
        return [
            Finding(
                "warning", rig.file, rig.table_line("slide", 0),
                f"a glance from side to side changes {opened} pixels of 720p only",
                "let iris and pupil slide further by ParamEyeBallX, and clip them by the white",
            )
        ]  # fmt: skip
    for smile in (0.0, 1.0):
        shut = moving(
            ParamEyeLOpen=0.0, ParamEyeROpen=0.0, ParamEyeLSmile=smile, ParamEyeRSmile=smile
        )
        if 100 * shut > SHINES_THROUGH * opened:
            found.append(
                Finding(
                    "warning", rig.file, _lid_line(puppet),
                    f"the iris shows through the shut lid ({shut} pixels"
                    f"{', smiling' if smile else ''})",
                    "draw the white of the shut eye as a line: it clips what is inside",
                )
            )  # fmt: skip
    return found


def _lid_line(puppet: Puppet) -> int | None:
    for i, form in enumerate(puppet.spec.keyform):
        if any(name.startswith("ParamEye") for name, _ in form.axes):
            return puppet.file.table_line("keyform", i)
    return None
