"""Pictures of layers, drawn once and then bent like cloth over each frame's mesh.

Redrawing 500 anti-aliased paths costs three to four frames' worth of time; bending their picture
costs a tenth. Each layer's picture is kept finer than the screen, so that it looks equally sharp
wherever it lands. Its mesh says where each point of the drawing goes; a picture is sampled the
other way round, so the mesh is inverted on a coarse net of screen points (all layers at once, by
Newton's method with one slope for each layer) and filled in between linearly.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import skia

from avatar.puppet.puppet import Layer
from avatar.puppet.svg import Drawing, Points
from render.frames import Pixels
from render.vector import Brush, image, surface

FINENESS = 1.5
"""Texture pixels for a screen pixel, each way."""
NET_PX = 16
"""Distance of the net's points on the screen."""
STILL_PX = 0.06
"""A layer that moved less than this since its last warp keeps its picture."""
NEWTON_STEPS = 3

_Floats = npt.NDArray[np.float32]


class Sprite:
    """One layer's picture and where it lies on the screen."""

    def __init__(self, drawing: Drawing, layer: Layer, scale: float) -> None:
        fine = scale * FINENESS
        x, y = layer.origin
        wide = layer.cell[0] * (layer.columns - 1)
        high = layer.cell[1] * (layer.rows - 1)
        self.texture: Pixels = np.zeros(
            (int(np.ceil(high * fine)) + 2, int(np.ceil(wide * fine)) + 2, 4), np.uint8
        )
        canvas = surface(self.texture).getCanvas()
        canvas.translate(1, 1)
        canvas.scale(fine, fine)
        canvas.translate(-x, -y)
        Brush(drawing, layer.shapes).draw(canvas, drawing.points)
        canvas.flush() if hasattr(canvas, "flush") else None
        self.fine = fine
        self.layer = layer
        self.box = (0, 0, 0, 0)
        self.picture: skia.Image | None = None
        self.pixels: Pixels = np.zeros((0, 0, 4), np.uint8)
        self._store: Pixels = np.zeros(0, np.uint8)
        self.shown: Points | None = None

    def sample(self, net: _Floats, box: tuple[int, int, int, int]) -> None:
        """Bend the texture into `box` (left, top, right, bottom in pixels).

        Args:
            net: shape (rows, columns, 2): where in the drawing the net's points come from; the
                net begins half a cell outside the box.
            box: where on the screen.
        """
        rows, columns = net.shape[:2]
        left, top, right, bottom = box
        source = (net - np.array(self.layer.origin, np.float32)) * np.float32(self.fine)
        source += np.float32(0.5)  # a margin of one pixel, and pixel centres at .5
        full = cv2.resize(source, (columns * NET_PX, rows * NET_PX))
        wide, high = right - left, bottom - top
        size = wide * high * 4
        if size > self._store.size:
            self._store = np.empty(size + size // 4, np.uint8)
        self.pixels = self._store[:size].reshape(high, wide, 4)
        cv2.remap(
            self.texture,
            full[NET_PX : NET_PX + high, NET_PX : NET_PX + wide],
            None,
            cv2.INTER_LINEAR,
            self.pixels,
            cv2.BORDER_CONSTANT,
        )
        self.box = box
        self.picture = image(self.pixels)


class Warp:
    """All warped layers of a puppet.

    Args:
        drawing: the puppet's drawing.
        layers: its layers; live ones are left out.
        scale: pixels for a unit of the drawing.
        offset: the drawing's point at the picture's top left corner.
        size: width and height of the picture in pixels.
    """

    def __init__(
        self,
        drawing: Drawing,
        layers: Sequence[Layer],
        scale: float,
        offset: tuple[float, float],
        size: tuple[int, int],
    ) -> None:
        warped = [layer for layer in layers if layer.columns]
        self.sprites = {layer.spec.name: Sprite(drawing, layer, scale) for layer in warped}
        self._scale = np.float32(scale)
        self._offset = np.array(offset, np.float32)
        self._size = size
        n = len(warped)
        self._origin = np.array([layer.origin for layer in warped], np.float32).reshape(n, 2)
        self._cell = np.array([layer.cell for layer in warped], np.float32).reshape(n, 2)
        shape = [(layer.columns, layer.rows) for layer in warped]
        self._shape = np.array(shape, np.intp).reshape(n, 2)
        self._layers = warped
        # Least squares plane through each mesh: rest -> posed is nearly affine.
        self._solve = []
        for layer in warped:
            x, y = np.meshgrid(np.arange(layer.columns), np.arange(layer.rows))
            rest = np.stack([x.ravel() * layer.cell[0], y.ravel() * layer.cell[1]], 1)
            rest = rest + layer.origin
            ones = np.ones((len(rest), 1))
            self._solve.append(np.linalg.pinv(np.hstack([rest, ones])).astype(np.float32))

    def update(self, mesh: Points) -> None:
        """Bend the layers that moved.

        Args:
            mesh: posed mesh points of the puppet, `Layer.lattice` says whose is which.
        """
        jobs: list[tuple[int, tuple[int, int, int, int], int, int]] = []
        queries: list[_Floats] = []
        owners: list[npt.NDArray[np.intp]] = []
        guesses: list[_Floats] = []
        slopes = np.zeros((len(self._layers), 2, 2), np.float32)
        for k, layer in enumerate(self._layers):
            posed = mesh[layer.lattice]
            sprite = self.sprites[layer.spec.name]
            if sprite.shown is not None:
                moved = float(np.abs(posed - sprite.shown).max()) * float(self._scale)
                if moved < STILL_PX:
                    continue
            low = (posed.min(0) - self._offset) * self._scale
            high = (posed.max(0) - self._offset) * self._scale
            left, top = max(0, int(np.floor(low[0]))), max(0, int(np.floor(low[1])))
            right = min(self._size[0], int(np.ceil(high[0])))
            bottom = min(self._size[1], int(np.ceil(high[1])))
            sprite.shown = posed.copy()
            if right <= left or bottom <= top:
                sprite.picture = None
                continue
            columns = -(-(right - left) // NET_PX) + 2
            rows = -(-(bottom - top) // NET_PX) + 2
            x = (left - NET_PX / 2 + NET_PX * np.arange(columns, dtype=np.float32)) / self._scale
            y = (top - NET_PX / 2 + NET_PX * np.arange(rows, dtype=np.float32)) / self._scale
            net = np.empty((rows, columns, 2), np.float32)
            net[..., 0] = x + self._offset[0]
            net[..., 1] = (y + self._offset[1])[:, None]
            plane = self._solve[k] @ posed  # shape (3, 2)
            slopes[k] = np.linalg.inv(plane[:2])
            flat = net.reshape(-1, 2)
            jobs.append((k, (left, top, right, bottom), rows, columns))
            queries.append(flat)
            guesses.append((flat - plane[2]) @ slopes[k])
            owners.append(np.full(len(flat), k, np.intp))
        if not jobs:
            return
        found = self._invert(
            mesh, np.concatenate(queries), np.concatenate(guesses), np.concatenate(owners), slopes
        )
        start = 0
        for k, box, rows, columns in jobs:
            stop = start + rows * columns
            sprite = self.sprites[self._layers[k].spec.name]
            sprite.sample(found[start:stop].reshape(rows, columns, 2), box)
            start = stop

    def _invert(
        self,
        mesh: Points,
        wanted: _Floats,
        rest: _Floats,
        owner: npt.NDArray[np.intp],
        slopes: _Floats,
    ) -> _Floats:
        """Return the drawing's points that the meshes carry to `wanted`, starting at `rest`."""
        first = np.array([layer.lattice.start for layer in self._layers], np.intp)[owner]
        origin, cell = self._origin[owner], self._cell[owner]
        columns = self._shape[owner, 0]
        last = (self._shape[owner] - 2).astype(np.float32)
        slope = slopes[owner]
        for _ in range(NEWTON_STEPS):
            at = (rest - origin) / cell
            # Outside the mesh its outer cells go on straight.
            corner = np.clip(np.floor(at), 0, last)
            t = at - corner
            c = corner.astype(np.intp)
            i = first + c[:, 1] * columns + c[:, 0]
            a, b, u, v = mesh[i], mesh[i + 1], mesh[i + columns], mesh[i + columns + 1]
            tx, ty = t[:, :1], t[:, 1:]
            upper = a + (b - a) * tx
            miss = wanted - (upper + ((u + (v - u) * tx) - upper) * ty)
            rest = rest + np.einsum("ni,nij->nj", miss, slope)
        return rest
