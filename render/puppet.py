"""The Skia renderer of vector puppets: a pose to pixels.

Layers that only move (hair, clothes, skull) are pictures bent over the puppet's mesh (`warp`);
layers that change shape (eyes, mouth, brows) are drawn path by path in every frame; the scene is
a picture. Runs on: the render thread of the body, which alone may call it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import skia

from avatar.pose import VISEMES, ParameterTable, Pose
from avatar.puppet.puppet import Puppet
from dialogue.ticks import TICKS_PER_S
from render.frames import Pixels
from render.scene import Scene
from render.vector import Brush, surface
from render.warp import FINENESS, Warp

_WIDE, _TALL = 16 / 9, 9 / 16


class PuppetRenderer:
    """Draws a vector puppet in a scene.

    Args:
        folder: the character's folder.
        width: of the picture in pixels.
        height: of the picture in pixels.
        scene: as for `Scene`.
        exact: draw every path of the puppet in every frame; slow, the measure of the fast way.

    Raises:
        CharacterError: the folder cannot be used; file, line and remedy.
    """

    table: ParameterTable
    """The parameters its poses must have."""

    def __init__(
        self, folder: Path, *, width: int, height: int, scene: str, exact: bool = False
    ) -> None:
        self._puppet = Puppet(folder)
        self.table = self._puppet.table
        self._size = (width, height)
        self._exact = exact
        drawing = self._puppet.drawing
        x, top, view = self._view(width / height)
        self._scale = height / view
        self._offset = (x - width / self._scale / 2, top)
        self._scene = Scene(folder, scene, width, height)
        self._brushes = {
            layer.spec.name: Brush(
                drawing,
                layer.shapes,
                stamps=() if exact else layer.spec.stamps,
                scale=self._scale * FINENESS,
            )
            for layer in self._puppet.layers
            if exact or layer.spec.live
        }
        self._warp = None
        if not exact:
            layers = self._puppet.layers
            self._warp = Warp(drawing, layers, self._scale, self._offset, self._scene.floor)
        self._runs: list[tuple[bool, list[str]]] = []
        for layer in self._puppet.layers:
            live = exact or layer.spec.live
            if not self._runs or self._runs[-1][0] != live:
                self._runs.append((live, []))
            self._runs[-1][1].append(layer.spec.name)
        self._own: Pixels = np.zeros((0, 0, 4), np.uint8)
        if not self._scene.opaque:
            self._own = np.zeros((height, width, 4), np.uint8)

    def _view(self, shape: float) -> tuple[float, float, float]:
        """Return centre x, top and height of what a picture of `shape` (width/height) sees."""
        frame = self._puppet.spec.frame
        t = float(np.clip((_WIDE - shape) / (_WIDE - _TALL), 0, 1))
        x, top, view = (a + (b - a) * t for a, b in zip(frame.wide, frame.tall, strict=True))
        return x, top, view

    def draw(self, pose: Pose, out: Pixels) -> None:
        """Paint the whole picture of `pose` into `out`, shape (height, width, 4).

        Raises:
            ValueError: `out` or the pose's values have the wrong shape.
        """
        width, height = self._size
        if out.shape != (height, width, 4) or out.dtype != np.uint8 or not out.flags.c_contiguous:
            raise ValueError(
                f"out must be contiguous uint8 of shape {(height, width, 4)}, "
                f"not {out.dtype} {out.shape}"
            )
        if pose.values.shape != (len(self.table),):
            raise ValueError(f"a pose needs {len(self.table)} values, not {pose.values.shape}")
        target = out if self._scene.opaque else self._own
        canvas = surface(target, opaque=self._scene.opaque).getCanvas()
        self._puppet.move(pose)
        lean = float(pose.values[self.table.index["ParamBodyAngleX"]])
        self._scene.behind(target, canvas, pose.pts, lean)
        if self._scene.host:
            self._draw_host(target, canvas)
        self._scene.before(canvas, pose.pts, lean)
        if not self._scene.opaque:
            cv2.cvtColor(self._own, cv2.COLOR_mRGBA2RGBA, out)

    def _draw_host(self, target: Pixels, canvas: skia.Canvas) -> None:
        width = self._size[0]
        fades = self._puppet.fades()
        points = self._puppet.exact() if self._exact else self._puppet.points
        if self._warp is not None:
            self._warp.update(self._puppet.mesh)
        canvas.save()
        canvas.clipRect(skia.Rect.MakeWH(width, self._scene.floor))
        for live, names in self._runs:
            if not live and self._warp is not None:
                self._warp.draw(target, names, fades)
                continue
            canvas.save()
            canvas.scale(self._scale, self._scale)
            canvas.translate(-self._offset[0], -self._offset[1])
            for name in names:
                self._brushes[name].draw(canvas, points, fades)
            canvas.restore()
        canvas.restore()

    def mouth_box(self) -> tuple[int, int, int, int]:
        """Return x, y, width, height of the mouth's surroundings at rest, in pixels."""
        mouth = self._puppet.spec.mouth
        x = (mouth.centre[0] - self._offset[0]) * self._scale
        y = (mouth.centre[1] - self._offset[1]) * self._scale
        half = mouth.half_width * self._scale * 1.5
        left, top = max(0, round(x - half)), max(0, round(y - half * 0.6))
        right = min(self._size[0], round(x + half))
        bottom = min(self._size[1], round(y + half * 1.3))
        return left, top, right - left, bottom - top

    def head_box(self) -> tuple[int, int, int, int]:
        """Return x, y, width, height of the skull's surroundings at rest, in pixels."""
        head = self._puppet.spec.head
        x = (head.centre[0] - self._offset[0]) * self._scale
        y = (head.centre[1] - self._offset[1]) * self._scale
        half = [radius * 1.3 * self._scale for radius in head.radii]
        left, top = max(0, round(x - half[0])), max(0, round(y - half[1]))
        right = min(self._size[0], round(x + half[0]))
        bottom = min(self._size[1], round(y + half[1]))
        return left, top, right - left, bottom - top

    def pose(self, values: Mapping[str, float], pts: int = 0) -> Pose:
        """Return a pose with `values` by parameter id, everything else at rest.

        `Viseme_sil` takes what the other visemes leave.
        """
        made = self.table.default.copy()
        for name, value in values.items():
            made[self.table.index[name]] = value
        spoken = sum(values.get(f"Viseme_{name}", 0.0) for name in VISEMES[1:])
        made[self.table.index["Viseme_sil"]] = max(0.0, 1.0 - spoken)
        return Pose(pts, made)


def render_sheet(
    folder: Path,
    rows: Sequence[Sequence[Mapping[str, float]]],
    *,
    scene: str = "chroma",
    cell: tuple[int, int] = (320, 320),
    part: str = "head",
) -> Pixels:
    """Return a contact sheet: a picture for each set of parameter values, in rows.

    Args:
        folder: the character's folder.
        rows: parameter values by id for each cell; what is not named is at rest.
        scene: as for `PuppetRenderer`.
        cell: width and height of a cell in pixels.
        part: "picture", "head" or "mouth": what a cell shows.

    Raises:
        CharacterError: the folder cannot be used.
        ValueError: no such part, or rows of unequal length.
    """
    width, height = cell
    if len({len(row) for row in rows}) != 1:
        raise ValueError("all rows of a sheet need the same number of cells")
    if part == "picture":
        big, left, top = cell, 0, 0
    else:
        rig = Puppet(folder).spec
        if part == "head":
            (x, y), high = rig.head.centre, rig.head.radii[1] * 2.6
        elif part == "mouth":
            (x, y), high = rig.mouth.centre, rig.mouth.half_width * 3.2
        else:
            raise ValueError(f"no part is called {part!r}; known: picture, head, mouth")
        scale = height / high
        big_height = round(rig.frame.wide[2] * scale)
        big = (round(big_height * _WIDE), big_height)
        left = round((x - rig.frame.wide[0]) * scale + big[0] / 2 - width / 2)
        top = round((y - rig.frame.wide[1]) * scale - height / 2)
        left = int(np.clip(left, 0, big[0] - width))
        top = int(np.clip(top, 0, big[1] - height))
    renderer = PuppetRenderer(folder, width=big[0], height=big[1], scene=scene, exact=True)
    out = np.zeros((big[1], big[0], 4), np.uint8)
    sheet = np.zeros((height * len(rows), width * len(rows[0]), 4), np.uint8)
    for j, row in enumerate(rows):
        for i, values in enumerate(row):
            # Far apart in time, so that the springs have come to rest in each.
            renderer.draw(renderer.pose(values, pts=(j * len(row) + i) * 10 * TICKS_PER_S), out)
            cut = out[top : top + height, left : left + width]
            sheet[j * height : (j + 1) * height, i * width : (i + 1) * width] = cut
    return sheet
