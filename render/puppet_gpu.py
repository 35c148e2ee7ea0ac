"""The vector puppet on a graphics card: the same pictures, bent and laid together there.

What it shares with the renderer that it comes from: the puppet, the layers' textures, the scene.
Only the last step differs: layers are drawn as textured meshes, everything through one Skia canvas
on the card, and the finished picture is read back. Runs on: the render thread of the body.
"""

import time
from typing import Any

import cv2
import numpy as np
import skia

from avatar.pose import Pose
from render import raster
from render.frames import Pixels
from render.gpu import Gpu, GpuUnavailable, present
from render.puppet import PuppetRenderer
from render.vector import image
from render.warp import Sprite

TRIALS = 12
"""Pictures that each way draws to show which is faster."""
WARM = 4
"""Pictures before those: the card takes its textures in."""


class _Sheet:
    """One layer as a mesh with a texture."""

    def __init__(self, sprite: Sprite, kinds: Any) -> None:
        layer = sprite.layer
        columns, rows = layer.columns, layer.rows
        self.points = slice(layer.lattice.start, layer.lattice.start + columns * rows)
        wide, high = layer.cell[0] * sprite.fine, layer.cell[1] * sprite.fine
        self._texture = image(sprite.texture)
        self.where = [
            skia.Point(raster.PAD + i * wide, raster.PAD + j * high)
            for j in range(rows)
            for i in range(columns)
        ]
        self.corners: list[int] = []
        for number in np.flatnonzero(kinds != raster.EMPTY).tolist():
            j, i = divmod(number, columns - 1)
            a = j * columns + i
            self.corners += [a, a + 1, a + columns, a + 1, a + columns + 1, a + columns]
        smooth = skia.SamplingOptions(skia.FilterMode.kLinear)
        self._paint = skia.Paint(Shader=self._texture.makeShader(samplingOptions=smooth))

    def draw(self, canvas: skia.Canvas, points: list[skia.Point], fade: float) -> None:
        """Draw it with its mesh at `points`."""
        if not self.corners or fade <= 0:
            return
        self._paint.setAlphaf(min(1.0, fade))
        mesh = skia.Vertices(
            skia.Vertices.kTriangles_VertexMode, points, self.where, None, self.corners
        )
        canvas.drawVertices(mesh, self._paint)


class GpuPuppetRenderer(PuppetRenderer):
    """Draws the puppet of another renderer on a graphics card.

    The host alone, for transparent overlays, and smaller pictures are drawn as that one does.

    Args:
        renderer: what it draws, and how large.
        gpu: where to.
    """

    def __init__(self, renderer: PuppetRenderer, gpu: Gpu) -> None:
        self.__dict__.update(renderer.__dict__)
        warp = renderer._warp
        if warp is None:
            raise GpuUnavailable("a renderer of single paths has no textures")
        self._gpu: Gpu | None = gpu
        self._sheets = {name: _Sheet(warp.sprites[name], warp.kinds(name)) for name in warp.sprites}
        width, height = self.size
        info = skia.ImageInfo.Make(
            width, height, skia.kRGBA_8888_ColorType, skia.AlphaType.kPremul_AlphaType
        )
        self._read = skia.ImageInfo.Make(
            width, height, skia.kBGRA_8888_ColorType, skia.AlphaType.kPremul_AlphaType
        )
        with gpu.current():
            self._surface = skia.Surface.MakeRenderTarget(gpu.skia, skia.Budgeted.kNo, info)
        if self._surface is None:
            raise GpuUnavailable(f"{gpu.name} draws no pictures of {width} x {height}")

    def smaller(self, share: float) -> PuppetRenderer:
        """Return a renderer for smaller pictures that needs no graphics card."""
        made = super().smaller(share)
        assert isinstance(made, GpuPuppetRenderer)
        made._gpu = None
        return made

    def _draw(self, pose: Pose, out: Pixels, host: Pixels | None) -> None:
        if self._gpu is None or host is not None:
            super()._draw(pose, out, host)
            return
        target = out if self._scene.opaque else self._own
        with self._gpu.current():
            canvas = self._surface.getCanvas()
            canvas.clear(skia.ColorTRANSPARENT)
            lean = float(pose.values[self.table.index["ParamBodyAngleX"]])
            self._scene.behind(None, canvas, pose.pts, lean)
            if self._scene.host:
                self._draw_layers(canvas)
            self._scene.before(canvas, pose.pts, lean)
            self._surface.readPixels(self._read, target, target.strides[0], 0, 0)
        if not self._scene.opaque:
            cv2.cvtColor(self._own, cv2.COLOR_mRGBA2RGBA, out)

    def _draw_layers(self, canvas: skia.Canvas) -> None:
        fades = self.puppet.fades()
        posed = ((self.puppet.mesh - np.array(self._offset)) * self._scale).tolist()
        points = [skia.Point(x, y) for x, y in posed]
        canvas.save()
        canvas.clipRect(skia.Rect.MakeWH(self.size[0], self._scene.floor))
        for live, names in self._runs:
            if not live:
                for name in names:
                    sheet = self._sheets[name]
                    sheet.draw(canvas, points[sheet.points], fades.get(name, 1.0))
                continue
            canvas.save()
            canvas.scale(self._scale, self._scale)
            canvas.translate(-self._offset[0], -self._offset[1])
            for name in names:
                self._brushes[name].draw(canvas, self.puppet.points, fades)
            canvas.restore()
        canvas.restore()


def quickest(renderer: PuppetRenderer) -> tuple[PuppetRenderer, str]:
    """Return the faster of `renderer` and the same on a graphics card, and a line that says why.

    Without a card nothing is tried, and the line is "".
    """
    if not present():
        return renderer, ""
    try:
        on_card = GpuPuppetRenderer(renderer, Gpu())
        without, with_card = took_ms(renderer), took_ms(on_card)
    except GpuUnavailable as error:
        return renderer, f"drawn without a graphics card: {error}"
    assert on_card._gpu is not None
    text = f"{on_card._gpu.name}: {with_card:.1f} ms a picture, {without:.1f} without"
    if with_card < without:
        return on_card, f"drawn on {text}"
    return renderer, f"drawn without a graphics card, which is slower ({text})"


def took_ms(renderer: PuppetRenderer) -> float:
    """Return how long a picture takes with `renderer`: median of twelve, of a moving head."""
    width, height = renderer.size
    out: Pixels = np.zeros((height, width, 4), np.uint8)
    took = []
    for number in range(WARM + TRIALS):
        turn = {"ParamAngleX": 3.0 * number, "Viseme_aa": number % 3 / 3}
        pose = renderer.pose(turn, pts=number * 1600)
        begun = time.perf_counter()
        renderer.draw(pose, out)
        took.append((time.perf_counter() - begun) * 1e3)
    return sorted(took[WARM:])[TRIALS // 2]
