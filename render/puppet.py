"""The Skia renderer of vector puppets: a pose to pixels.

Layers that only move (hair, clothes, skull) are pictures bent over the puppet's mesh (`warp`);
layers that change shape (eyes, mouth, brows) are drawn path by path in every frame; the scene is
a picture. Runs on: the render thread of the body, which alone may call it.
"""

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import skia

from avatar.pose import VISEMES, ParameterTable, Pose
from avatar.puppet.puppet import Puppet
from render import raster
from render.frames import Pixels
from render.scene import Scene
from render.vector import Brush, lit, surface
from render.warp import FINENESS, Warp

_Places = npt.NDArray[np.float64]
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

    size: tuple[int, int]
    """Width and height of its pictures, in pixels."""
    puppet: Puppet
    """What it draws."""

    def __init__(
        self, folder: Path, *, width: int, height: int, scene: str, exact: bool = False
    ) -> None:
        self.puppet = Puppet(folder)
        self.table = self.puppet.table
        self.size = (width, height)
        self._exact = exact
        drawing = self.puppet.drawing
        x, top, view = self._view(width / height)
        self._scale = height / view
        self._offset = (x - width / self._scale / 2, top)
        self._scene = Scene(folder, scene, width, height)
        layers = [
            replace(layer, shapes=lit(layer.shapes, self._scene.light))
            for layer in self.puppet.layers
        ]
        self._brushes = {
            layer.spec.name: Brush(
                drawing,
                layer.shapes,
                stamps=() if exact else layer.spec.stamps,
                scale=self._scale * FINENESS,
            )
            for layer in layers
            if exact or layer.spec.live
        }
        self._warp = None
        if not exact:
            self._warp = Warp(drawing, layers, self._scale, self._offset)
        self._runs: list[tuple[bool, list[str]]] = []
        for layer in self.puppet.layers:
            live = exact or layer.spec.live
            if not self._runs or self._runs[-1][0] != live:
                self._runs.append((live, []))
            self._runs[-1][1].append(layer.spec.name)
        self._own: Pixels = np.zeros((0, 0, 4), np.uint8)
        if not self._scene.opaque:
            self._own = np.zeros((height, width, 4), np.uint8)

    def _view(self, shape: float) -> tuple[float, float, float]:
        """Return centre x, top and height of what a picture of `shape` (width/height) sees."""
        frame = self.puppet.spec.frame
        t = float(np.clip((_WIDE - shape) / (_WIDE - _TALL), 0, 1))
        x, top, view = (a + (b - a) * t for a, b in zip(frame.wide, frame.tall, strict=True))
        return x, top, view

    def smaller(self, share: float) -> "PuppetRenderer":
        """Return a renderer whose pictures have that share of the width and height, both even.

        It shares the puppet with this one, so that one may go on where the other has stopped, and
        is made of this one's pictures: a tenth of a second, most of it without the interpreter's
        lock.
        """
        made = copy.copy(self)
        width, height = (2 * round(length * share / 2) for length in self.size)
        made.size = (width, height)
        made._scale = self._scale * height / self.size[1]
        made._scene = self._scene.smaller(width, height)
        if self._warp is not None:
            made._warp = self._warp.smaller(height / self.size[1])
        if len(self._own):
            made._own = np.zeros((height, width, 4), np.uint8)
        return made

    def quickest(self) -> tuple["PuppetRenderer", str]:
        """Return what draws fastest here, this or the same on a graphics card, and why."""
        from render import puppet_gpu

        return puppet_gpu.quickest(self)

    def draw(self, pose: Pose, out: Pixels) -> None:
        """Paint the whole picture of `pose` into `out`, shape (height, width, 4).

        Raises:
            ValueError: `out` or the pose's values have the wrong shape.
        """
        self._check(pose, out)
        self.puppet.move(pose)
        self._draw(pose, out, None)

    def draw_host(self, pose: Pose, host: Pixels, out: Pixels | None = None) -> None:
        """Paint the host alone, whole and in the light of the scene, where `draw` shows it.

        With `out` the host is drawn once, and laid into the scene: 1 ms more than `draw`.

        Args:
            pose: of the host.
            host: where to, premultiplied, shape (height, width, 4).
            out: as for `draw`; None where the whole picture is not needed.

        Raises:
            ValueError: an array or the pose's values have the wrong shape.
        """
        self._check(pose, host)
        self.puppet.move(pose)
        host.fill(0)
        if self._scene.host:
            self._draw_host(host, surface(host).getCanvas(), self.size[1])
        if out is not None:
            self._check(pose, out)
            self._draw(pose, out, host)

    @property
    def light(self) -> tuple[float, float, float]:
        """Red, green, blue, 0..1: what white looks like on the host."""
        return self._scene.light

    def _check(self, pose: Pose, out: Pixels) -> None:
        width, height = self.size
        if out.shape != (height, width, 4) or out.dtype != np.uint8 or not out.flags.c_contiguous:
            raise ValueError(
                f"out must be contiguous uint8 of shape {(height, width, 4)}, "
                f"not {out.dtype} {out.shape}"
            )
        if pose.values.shape != (len(self.table),):
            raise ValueError(f"a pose needs {len(self.table)} values, not {pose.values.shape}")

    def _draw(self, pose: Pose, out: Pixels, host: Pixels | None) -> None:
        """Paint the scene and in it the host, who is drawn unless there is a picture of it."""
        target = out if self._scene.opaque else self._own
        canvas = surface(target, opaque=self._scene.opaque).getCanvas()
        lean = float(pose.values[self.table.index["ParamBodyAngleX"]])
        self._scene.behind(target, canvas, pose.pts, lean)
        if host is not None:
            raster.lay(
                target.view(np.uint32)[..., 0], host.view(np.uint32)[..., 0], self._scene.floor
            )
        elif self._scene.host:
            self._draw_host(target, canvas, self._scene.floor)
        self._scene.before(canvas, pose.pts, lean)
        if not self._scene.opaque:
            cv2.cvtColor(self._own, cv2.COLOR_mRGBA2RGBA, out)

    def _draw_host(self, target: Pixels, canvas: skia.Canvas, floor: int) -> None:
        width = self.size[0]
        fades = self.puppet.fades()
        points = self.puppet.exact() if self._exact else self.puppet.points
        if self._warp is not None:
            self._warp.update(self.puppet.mesh)
        canvas.save()
        canvas.clipRect(skia.Rect.MakeWH(width, floor))
        for live, names in self._runs:
            if not live and self._warp is not None:
                self._warp.draw(target, names, fades, floor)
                continue
            canvas.save()
            self.place(canvas)
            for name in names:
                self._brushes[name].draw(canvas, points, fades)
            canvas.restore()
        canvas.restore()

    def place(self, canvas: skia.Canvas) -> None:
        """Let `canvas` take units of the drawing where it took pixels of the picture."""
        canvas.scale(self._scale, self._scale)
        canvas.translate(-self._offset[0], -self._offset[1])

    def to_pixels(self, points: _Places) -> _Places:
        """Return where points of the drawing are in the picture; both shape (n, 2)."""
        return np.asarray((points - np.array(self._offset)) * self._scale, np.float64)

    def to_units(self, pixels: _Places) -> _Places:
        """Return which points of the drawing are at places of the picture; both shape (n, 2)."""
        return np.asarray(pixels / self._scale + np.array(self._offset), np.float64)

    def mouth_box(self) -> tuple[int, int, int, int]:
        """Return x, y, width, height of the mouth's surroundings at rest, in pixels."""
        mouth = self.puppet.spec.mouth
        half = mouth.half_width * 1.5
        return self._box(mouth.centre, half, half * 0.6, half * 1.3)

    def head_box(self) -> tuple[int, int, int, int]:
        """Return x, y, width, height of the skull's surroundings at rest, in pixels."""
        head = self.puppet.spec.head
        wide, high = (radius * 1.3 for radius in head.radii)
        return self._box(head.centre, wide, high, high)

    def _box(
        self, centre: tuple[float, float], aside: float, above: float, below: float
    ) -> tuple[int, int, int, int]:
        """Return x, y, width, height in pixels of what lies about a point of the drawing."""
        x, y = ((c - o) * self._scale for c, o in zip(centre, self._offset, strict=True))
        left = max(0, round(x - aside * self._scale))
        top = max(0, round(y - above * self._scale))
        right = min(self.size[0], round(x + aside * self._scale))
        bottom = min(self.size[1], round(y + below * self._scale))
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
