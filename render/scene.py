"""The place behind and before the host: a layered SVG drawn once, with a little cheap life.

A scene is an SVG with top-level groups `depth_0` (farthest) to `depth_N`; the host stands before
the last but one, so `depth_N` is in front (a desk). Three kinds of groups are not drawn with the
rest but live, by the beginning of their ids: `fairy_light` (their first path, the glow, breathes),
`dust` (each path drifts) and `rain` (their paths fall, where nothing stands before them; they
belong in `depth_0`). `vignette` is drawn behind the host wherever it stands.
"""

import math
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import skia

from avatar.puppet.svg import Drawing, Shape, read_svg
from avatar.rig import CharacterError
from dialogue.ticks import TICKS_PER_S, Ticks
from render.frames import Pixels
from render.vector import Brush, image, surface

CHROMA = (0, 255, 0, 255)
"""The green of "chroma", BGRA."""
_RAIN_SPEED = 620.0  # units of the scene a second
_LIGHTS_BREATHE_S = 3.7


class _Light:
    """The glow of a fairy light, drawn again over itself by its own slow rhythm."""

    def __init__(self, drawing: Drawing, shape: Shape, matrix: skia.Matrix, seed: int) -> None:
        points = drawing.points[shape.start : shape.stop]
        low = matrix.mapXY(*points.min(0).astype(float).tolist())
        high = matrix.mapXY(*points.max(0).astype(float).tolist())
        self.x, self.y = math.floor(low.x()), math.floor(low.y())
        wide, high_px = math.ceil(high.x()) - self.x, math.ceil(high.y()) - self.y
        self.pixels: Pixels = np.zeros((max(high_px, 1), max(wide, 1), 4), np.uint8)
        canvas = surface(self.pixels).getCanvas()
        canvas.translate(-self.x, -self.y)
        canvas.concat(matrix)
        Brush(drawing, [shape]).draw(canvas, drawing.points)
        self.picture = image(self.pixels)
        self.phase = (seed * 0.618034) % 1.0
        self.rate = 0.7 + 0.6 * ((seed * 0.414214) % 1.0)

    def strength(self, t_s: float) -> float:
        """Return how much of the glow is added, 0..1, at `t_s` seconds."""
        swing = math.sin(2 * math.pi * (t_s * self.rate / _LIGHTS_BREATHE_S + self.phase))
        return max(0.0, swing) ** 2 * 0.6


class Scene:
    """What is behind and before the host.

    Args:
        folder: the character's folder.
        name: file in `scenes/` without suffix, "transparent" or "chroma".
        width: of the picture in pixels.
        height: of the picture in pixels.

    Raises:
        CharacterError: no such scene, or it cannot be drawn.
    """

    def __init__(self, folder: Path, name: str, width: int, height: int) -> None:
        self.opaque = name != "transparent"
        """Whether every pixel is covered."""
        self._back: Pixels = np.zeros((height, width, 4), np.uint8)
        self._front: list[tuple[skia.Image, int, int, Pixels]] = []
        self.floor = height
        """The host is hidden from this row of pixels down."""
        self._lights: list[_Light] = []
        self._dust: list[tuple[float, float, float, float]] = []
        self._drops: npt.NDArray[np.float32] = np.zeros((0, 4), np.float32)
        if name == "transparent":
            return
        if name == "chroma":
            self._back[:] = CHROMA
            return
        file = folder / "scenes" / f"{name}.svg"
        if not file.exists():
            known = sorted(path.stem for path in file.parent.glob("*.svg"))
            raise CharacterError(
                file, None, "there is no such scene", f"known: {', '.join(known)}, "
                "transparent, chroma",
            )  # fmt: skip
        self._load(read_svg(file), width, height)

    def _load(self, drawing: Drawing, width: int, height: int) -> None:
        depths = sorted({s.groups[0] for s in drawing.shapes if s.groups} & {
            f"depth_{i}" for i in range(10)
        })  # fmt: skip
        if len(depths) < 2:
            raise CharacterError(
                drawing.file, None, "no depth groups", "group it into depth_0, depth_1, ..."
            )
        scale = max(width / drawing.size[0], height / drawing.size[1])
        self._scale = scale
        matrix = skia.Matrix()
        matrix.setScale(scale, scale)
        matrix.postTranslate(
            (width - drawing.size[0] * scale) / 2, (height - drawing.size[1] * scale) / 2
        )
        self._matrix = matrix
        back: list[Shape] = []
        front: list[Shape] = []
        vignette: list[Shape] = []
        before_rain: list[Shape] = []
        rain: list[Shape] = []
        lights: dict[str, Shape] = {}
        for shape in drawing.shapes:
            if shape.hidden or not shape.groups:
                continue
            kind = shape.groups[1] if len(shape.groups) > 1 else ""
            if kind == "vignette":
                vignette.append(shape)
            elif kind == "rain":
                rain.append(shape)
            elif kind == "dust":
                self._dust.append(self._mote(drawing, shape))
            elif shape.groups[0] == depths[-1]:
                front.append(shape)
            else:
                back.append(shape)
                if kind.startswith("fairy_light"):
                    lights.setdefault(kind, shape)
                if shape.groups[0] != depths[0] and kind not in ("window_reflection",):
                    before_rain.append(shape)
        canvas = surface(self._back).getCanvas()
        canvas.clear(skia.ColorBLACK)
        canvas.concat(matrix)
        Brush(drawing, back + vignette).draw(canvas, drawing.points)
        if front:
            self._cut(drawing, front, canvas)
        for i, shape in enumerate(lights.values()):
            self._lights.append(_Light(drawing, shape, matrix, i + 1))
        if rain:
            self._open_sky(drawing, before_rain, rain, width, height)

    def _cut(self, drawing: Drawing, shapes: list[Shape], canvas: skia.Canvas) -> None:
        """Keep apart what can hide the host; paint the rest of the front onto the back."""
        whole: Pixels = np.zeros_like(self._back)
        front = surface(whole).getCanvas()
        front.concat(self._matrix)
        Brush(drawing, shapes).draw(front, drawing.points)
        open_rows = np.flatnonzero((whole[..., 3] < 255).any(1))
        self.floor = int(open_rows[-1]) + 1 if len(open_rows) else 0
        # Things that stand on a desk would be one with its edge: the edge is a piece of its own.
        edge = max(0, self.floor - 8)
        above = np.ascontiguousarray((whole[:edge, :, 3] > 96).astype(np.uint8))
        boxes = [(0, edge, whole.shape[1], self.floor - edge)]
        if above.any():
            found = cv2.connectedComponentsWithStats(above)[2]
            boxes += [(int(b[0]), int(b[1]), int(b[2]), int(b[3])) for b in found[1:]]
        canvas.resetMatrix()
        for left, top, wide, high in boxes:
            canvas.clipRect(skia.Rect.MakeXYWH(left, top, wide, high), skia.ClipOp.kDifference)
        canvas.drawImage(image(whole), 0, 0)
        for left, top, wide, high in boxes:
            cut: Pixels = np.ascontiguousarray(whole[top : top + high, left : left + wide])
            if cut.any():
                self._front.append((image(cut), left, top, cut))

    def _mote(self, drawing: Drawing, shape: Shape) -> tuple[float, float, float, float]:
        points = drawing.points[shape.start : shape.stop].astype(float)
        centre = self._matrix.mapXY(*points.mean(0).tolist())
        radius = float(np.ptp(points[:, 0])) / 2 * self._scale
        return centre.x(), centre.y(), radius, shape.paints[0].colour[3]

    def _open_sky(
        self, drawing: Drawing, before: list[Shape], rain: list[Shape], width: int, height: int
    ) -> None:
        """Find where rain is seen, and make its drops."""
        cover: Pixels = np.zeros((height, width, 4), np.uint8)
        canvas = surface(cover).getCanvas()
        canvas.concat(self._matrix)
        Brush(drawing, before).draw(canvas, drawing.points)
        self._sky = cover[..., 3] < 100
        low = np.min([drawing.points[s.start : s.stop].min(0) for s in rain], 0).astype(float)
        high = np.max([drawing.points[s.start : s.stop].max(0) for s in rain], 0).astype(float)
        a, b = self._matrix.mapXY(*low.tolist()), self._matrix.mapXY(*high.tolist())
        self._rain_box = (a.x(), a.y(), b.x() - a.x(), b.y() - a.y())
        chance = np.random.default_rng(7)
        self._drops = chance.random((22, 4)).astype(np.float32)

    def behind(self, out: Pixels, canvas: skia.Canvas, pts: Ticks) -> None:
        """Paint everything behind the host, covering all of `out`, on which `canvas` draws."""
        np.copyto(out, self._back)
        if not self._lights and not len(self._drops) and not self._dust:
            return
        t_s = pts / TICKS_PER_S
        paint = skia.Paint(AntiAlias=True)
        for light in self._lights:
            strength = light.strength(t_s)
            if strength > 0.02:
                paint.setAlphaf(strength)
                canvas.drawImage(light.picture, light.x, light.y, skia.SamplingOptions(), paint)
        if len(self._drops):
            self._rain(canvas, t_s)
        for i, (x, y, radius, opacity) in enumerate(self._dust):
            phase = i * 2.399963  # golden angle: no two alike
            dx = 26 * self._scale * math.sin(t_s * 0.23 + phase)
            dy = 20 * self._scale * math.sin(t_s * 0.17 + 1.7 * phase)
            glint = 0.65 + 0.35 * math.sin(t_s * 0.9 + 3 * phase)
            paint.setColor4f(skia.Color4f(1.0, 0.878, 0.682, opacity * glint))
            canvas.drawCircle(x + dx, y + dy, max(radius, 0.7), paint)

    def _rain(self, canvas: skia.Canvas, t_s: float) -> None:
        """Draw the drops whose way is free."""
        x0, y0, wide, high = self._rain_box
        d = self._drops
        speed = _RAIN_SPEED * self._scale * (0.8 + 0.4 * d[:, 2])
        run = high + 60 * self._scale
        fallen = (d[:, 1] * run + speed * t_s) % run
        # Each fall begins at another place; the count of falls chooses it.
        count = np.floor((d[:, 1] * run + speed * t_s) / run)
        x = x0 + ((d[:, 0] + count * 0.618034) % 1.0) * wide - fallen * 0.16
        y = y0 + fallen
        length = (26 + 26 * d[:, 3]) * self._scale
        height, width = self._sky.shape
        ends = ((x, y), (x - 0.16 * length, y + length))
        free = np.ones(len(d), bool)
        for ex, ey in ends:
            i, j = ey.astype(np.intp), ex.astype(np.intp)
            inside = (i >= 0) & (i < height) & (j >= 0) & (j < width)
            free &= inside
            free[inside] &= self._sky[i[inside], j[inside]]
        points = []
        for k in np.flatnonzero(free):
            points.append(skia.Point(float(ends[0][0][k]), float(ends[0][1][k])))
            points.append(skia.Point(float(ends[1][0][k]), float(ends[1][1][k])))
        paint = skia.Paint(AntiAlias=True, Color4f=skia.Color4f(0.875, 0.894, 1.0, 0.4))
        paint.setStrokeWidth(max(1.0, 1.5 * self._scale))
        canvas.drawPoints(skia.Canvas.kLines_PointMode, points, paint)

    def before(self, canvas: skia.Canvas) -> None:
        """Paint what stands before the host."""
        for picture, x, y, _ in self._front:
            canvas.drawImage(picture, x, y)
