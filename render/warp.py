"""Pictures of layers, drawn once and then bent like cloth over each frame's mesh.

Redrawing 500 anti-aliased paths costs three to four frames' worth of time; bending their picture
costs a tenth. Each layer's picture is kept finer than the screen, so that it looks equally sharp
wherever it lands. Its mesh says where each point of the drawing goes; a picture is sampled the
other way round, so the mesh is inverted on a coarse net of screen points (all layers at once, by
Newton's method with one slope for each layer) and filled in between linearly.
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt
import skia

from avatar.puppet.puppet import Layer
from avatar.puppet.svg import Drawing, Points
from render.frames import Pixels
from render.vector import Brush, image, surface

FINENESS = 1.25
"""Texture pixels for a screen pixel, each way."""
NEWTON_STEPS = 3
NET_ROWS = 4
"""Height of a band in cells of the net. A layer is bent band by band, each piece as wide as what
it shows; pieces of a few ten kilobytes stay in the processor's cache on their way."""

CALM_PX = 0.5
"""Layers that may stay still for so much (`LayerSpec.still`) are bent in every other frame, ..."""
HASTE = 4.0
"""... unless they have moved by this many times as much."""

_Floats = npt.NDArray[np.float32]
_Complex = npt.NDArray[np.complex64]
_Indices = npt.NDArray[np.intp]
_Box = tuple[int, int, int, int]


_buffer: _Floats = np.empty(0, np.float32)


def _scratch(size: int) -> _Floats:
    """Return `size` floats to work in, valid until the next call."""
    global _buffer
    if _buffer.size < size:
        _buffer = np.empty(size * 2, np.float32)
    return _buffer[:size]


class Sprite:
    """One layer's picture, and its bent pieces on the screen."""

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
        self.fine = fine
        self.layer = layer
        self.shown: _Complex | None = None
        """Its mesh when it was last bent, in pixels."""
        self.boxes: dict[int, _Box] = {}
        """Piece (2 * band + side) -> where it is: left, top, right, bottom in pixels."""
        self.pieces: dict[int, skia.Image] = {}
        """Piece -> its picture, where it is not stale."""
        self.net: _Floats = np.zeros((2, 0, 0), np.float32)
        """Where in the texture the net's points come from: x and y, shape (2, rows, columns)."""
        self.net_at = (0, 0)
        """Left (pixels) and top (bands) of the net's first whole cell."""
        self._store: Pixels = np.zeros(0, np.uint8)
        self._at: dict[int, int] = {}

    def hide(self, covers: Sequence["Sprite"]) -> None:
        """Empty the texture where `covers` hide it in any pose (`LayerSpec.under`, `margin`)."""
        high, wide = self.texture.shape[:2]
        cover = np.zeros((high, wide), np.uint8)
        for sprite in covers:
            # Both textures have the same fineness; a margin of one pixel each cancels out.
            x, y = (
                round((a - b) * self.fine)
                for a, b in zip(sprite.layer.origin, self.layer.origin, strict=True)
            )
            solid = (sprite.texture[..., 3] == 255).astype(np.uint8)
            left, top = max(x, 0), max(y, 0)
            right = min(x + solid.shape[1], wide)
            bottom = min(y + solid.shape[0], high)
            if right > left and bottom > top:
                cover[top:bottom, left:right] |= solid[top - y : bottom - y, left - x : right - x]
        margin = 2 * round(self.layer.spec.margin * self.fine) + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (margin, margin))
        # What lies outside the texture does not cover.
        inner = cv2.erode(cover, disc, borderType=cv2.BORDER_CONSTANT, borderValue=0)
        self.texture[inner == 1] = 0

    def cells(self) -> _Indices:
        """Return the first corner (index in the mesh) of each cell that is not empty."""
        columns, rows = self.layer.columns, self.layer.rows
        alpha = self.texture[..., 3]
        wide, high = (size * self.fine for size in self.layer.cell)
        return np.array(
            [
                self.layer.lattice.start + j * columns + i
                for j in range(rows - 1)
                for i in range(columns - 1)
                if alpha[
                    int(j * high) : int((j + 1) * high) + 3, int(i * wide) : int((i + 1) * wide) + 3
                ].any()
            ],
            np.intp,
        )

    def sides(self, cells: _Indices) -> _Indices:
        """Return 1 for cells right of the widest gap in their row of the mesh, else 0.

        A layer that is empty in the middle (a fringe's frame, two strings) is bent in two pieces
        a band.
        """
        at = cells - self.layer.lattice.start
        rows, columns = np.divmod(at, self.layer.columns)
        side = np.zeros(len(cells), np.intp)
        for row in np.unique(rows):
            own = columns[rows == row]
            gaps = np.diff(own)
            if len(gaps) and gaps.max() >= 3:
                side[(rows == row) & (columns > own[int(gaps.argmax())])] = 1
        return side

    def room(self) -> None:
        """Make the pictures of all pieces, to be filled by `bend`."""
        self._at = {}
        size = 0
        for piece, (x0, y0, x1, y1) in self.boxes.items():
            self._at[piece] = size
            size += (x1 - x0) * (y1 - y0) * 4
        if size > self._store.size:
            self._store = np.empty(size * 5 // 4, np.uint8)
        self.pieces = {}

    def bend(self, piece: int, net_px: int) -> skia.Image:
        """Return a piece, bent now if it is stale."""
        if piece in self.pieces:
            return self.pieces[piece]
        x0, y0, x1, y1 = self.boxes[piece]
        band = piece // 2
        left, first = self.net_at
        row = (band - first) * NET_ROWS
        part = self.net[:, row : row + NET_ROWS + 2].reshape(-1, self.net.shape[2])
        rows, columns = part.shape[0] * net_px, part.shape[1] * net_px
        # A buffer of our own: fresh memory costs more (page faults) than filling it.
        full = _scratch(rows * columns).reshape(rows, columns)
        cv2.resize(part, (columns, rows), full)
        u, v = x0 - left + net_px, y0 - band * NET_ROWS * net_px + net_px
        start = self._at[piece]
        size = (x1 - x0) * (y1 - y0) * 4
        pixels = self._store[start : start + size].reshape(y1 - y0, x1 - x0, 4)
        # Both maps were filled in at once, x above y; they blur into each other in the margin.
        across = full[v : v + y1 - y0, u : u + x1 - x0]
        v += rows // 2
        down = full[v : v + y1 - y0, u : u + x1 - x0]
        cv2.remap(self.texture, across, down, cv2.INTER_LINEAR, pixels, cv2.BORDER_CONSTANT)
        self.pieces[piece] = image(pixels)
        return self.pieces[piece]


class Warp:
    """All warped layers of a puppet.

    Args:
        drawing: the puppet's drawing.
        layers: its layers; live ones are left out.
        scale: pixels for a unit of the drawing.
        offset: the drawing's point at the picture's top left corner.
        size: width and height in pixels of what is seen.
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
        self._sprites = [Sprite(drawing, layer, scale) for layer in warped]
        self.sprites = {sprite.layer.spec.name: sprite for sprite in self._sprites}
        self._scale = np.float32(scale)
        self._offset = complex(*offset)
        self._size = size
        self._net_px = max(8, 2 * round(scale * 20))
        self._band_px = NET_ROWS * self._net_px
        self._bands = -(-size[1] // self._band_px)
        # Least squares plane through each mesh: rest -> posed is nearly affine.
        self._solve = []
        for layer in warped:
            x, y = np.meshgrid(np.arange(layer.columns), np.arange(layer.rows))
            rest = np.stack([x.ravel() * layer.cell[0], y.ravel() * layer.cell[1]], 1)
            rest = rest + layer.origin
            ones = np.ones((len(rest), 1))
            self._solve.append(np.linalg.pinv(np.hstack([rest, ones])).astype(np.float32))
        for sprite in self._sprites:
            if sprite.layer.spec.under:
                sprite.hide([self.sprites[name] for name in sprite.layer.spec.under])
        cells = [sprite.cells() for sprite in self._sprites]
        c = np.concatenate(cells) if cells else np.zeros(0, np.intp)
        owner = np.repeat(np.arange(len(cells)), [len(each) for each in cells])
        row = np.array([layer.columns for layer in warped], np.intp)[owner]
        side = np.concatenate([s.sides(each) for s, each in zip(self._sprites, cells, strict=True)])
        # Cells of one side of a row of a mesh stand together: a run.
        mesh_row = (c - np.array([layer.lattice.start for layer in warped])[owner]) // row
        order = np.lexsort((mesh_row, side, owner))
        c, row, owner, side, mesh_row = (v[order] for v in (c, row, owner, side, mesh_row))
        self._corners = np.stack([c, c + 1, c + row, c + row + 1])
        new = np.any([np.diff(v, prepend=-1) != 0 for v in (owner, side, mesh_row)], axis=0)
        self._runs = np.flatnonzero(new)
        self._run_slot = ((owner * 2 + side) * self._bands)[self._runs]
        self._lattice = np.concatenate(
            [np.arange(layer.lattice.start, layer.lattice.stop) for layer in warped]
        )
        self._splits = np.cumsum([0, *(layer.columns * layer.rows for layer in warped)])
        self._shown: _Complex | None = None
        self._still = np.array([layer.spec.still for layer in warped])
        self._calm = self._still >= CALM_PX
        self._bent = np.zeros(len(warped), bool)

    def update(self, mesh: Points) -> None:
        """Find the layers that moved and where their pieces come from.

        Args:
            mesh: posed mesh points of the puppet, `Layer.lattice` says whose is which.
        """
        posed = np.empty(len(mesh), np.complex64)
        posed.real, posed.imag = mesh[:, 0], mesh[:, 1]
        posed -= np.complex64(self._offset)
        posed *= self._scale
        lattice = posed[self._lattice]
        if self._shown is None:
            moved = np.ones(len(self._sprites), bool)
            self._shown = lattice
        else:
            far = np.maximum.reduceat(np.abs(lattice - self._shown), self._splits[:-1])
            moved = far >= self._still
            moved &= ~(self._bent & self._calm & (far < HASTE * self._still))
        self._bent = moved
        if not moved.any():
            return
        boxes = self._boxes(posed)
        plans: list[tuple[Sprite, int, int]] = []
        wanted: list[_Complex] = []
        guess: list[_Complex] = []
        slopes: list[tuple[complex, complex]] = []
        px = self._net_px
        for k in np.flatnonzero(moved).tolist():
            sprite = self._sprites[k]
            span = slice(self._splits[k], self._splits[k + 1])
            here = lattice[span]
            self._shown[span] = here
            sprite.boxes = boxes[k]
            sprite.room()
            if not sprite.boxes:
                continue
            left = min(box[0] for box in sprite.boxes.values())
            right = max(box[2] for box in sprite.boxes.values())
            first, last = min(sprite.boxes) // 2, max(sprite.boxes) // 2
            sprite.net_at = (left, first)
            columns = -(-(right - left) // px) + 2
            rows = (last - first + 1) * NET_ROWS + 2
            net = np.empty((rows, columns), np.complex64)
            net.real = left - px / 2 + px * np.arange(columns, dtype=np.float32)
            top = first * self._band_px - px / 2
            net.imag = (top + px * np.arange(rows, dtype=np.float32))[:, None]
            # posed = xc * x + yc * y + c0, as complex numbers; its inverse is
            # z -> alpha * z + beta * conj(z).
            xc, yc, c0 = (self._solve[k] @ here).tolist()
            det = xc.real * yc.imag - xc.imag * yc.real
            ix, iy = complex(yc.imag, -xc.imag) / det, complex(-yc.real, xc.real) / det
            alpha, beta = (ix - 1j * iy) / 2, (ix + 1j * iy) / 2
            flat = net.ravel()
            away = flat - np.complex64(c0)
            guess.append(np.complex64(alpha) * away + np.complex64(beta) * away.conj())
            wanted.append(flat)
            slopes.append((alpha, beta))
            plans.append((sprite, rows, columns))
        if not plans:
            return
        found = self._invert(posed, np.concatenate(wanted), np.concatenate(guess), slopes, plans)
        start = 0
        for sprite, rows, columns in plans:
            part = found[start : start + rows * columns]
            start += rows * columns
            # Texture pixels: a margin of one, and pixel centres at .5.
            part = (part - np.complex64(complex(*sprite.layer.origin))) * np.float32(sprite.fine)
            part += np.complex64(0.5 + 0.5j)
            sprite.net = np.stack([part.real, part.imag]).reshape(2, rows, columns)

    def _boxes(self, posed: _Complex) -> list[dict[int, _Box]]:
        """Return for each layer the boxes, by band, that hold what is seen of it."""
        corners = posed[self._corners]
        x, y = corners.real, corners.imag
        low_x = np.minimum.reduceat(x.min(0), self._runs)
        high_x = np.maximum.reduceat(x.max(0), self._runs)
        low_y = np.minimum.reduceat(y.min(0), self._runs)
        high_y = np.maximum.reduceat(y.max(0), self._runs)
        width, height = self._size
        tall = self._band_px
        first = np.floor(np.maximum(low_y, 0) / tall).astype(np.intp)
        last = np.floor(np.minimum(high_y, height - 1) / tall).astype(np.intp)
        slots = len(self._sprites) * 2 * self._bands
        left, right = np.full(slots, 1e9), np.full(slots, -1e9)
        top, bottom = np.full(slots, 1e9), np.full(slots, -1e9)
        step = 0
        inside = first <= last
        while inside.any():
            slot = (self._run_slot + first + step)[inside]
            np.minimum.at(left, slot, low_x[inside])
            np.maximum.at(right, slot, high_x[inside])
            np.minimum.at(top, slot, low_y[inside])
            np.maximum.at(bottom, slot, high_y[inside])
            step += 1
            inside = first + step <= last
        band = np.tile(np.arange(self._bands), 2 * len(self._sprites))
        x0 = np.clip(left, 0, width).astype(int)
        x1 = np.clip(np.ceil(right), 0, width).astype(int)
        y0 = np.maximum(band * tall, np.floor(np.clip(top, 0, height))).astype(int)
        y1 = np.minimum(np.minimum((band + 1) * tall, height), np.ceil(bottom).clip(0)).astype(int)
        # The right piece begins where the left one ends: no pixel is drawn twice.
        by_side_0, by_side_1 = x1.reshape(-1, 2, self._bands)[:, 0], x0.reshape(-1, 2, self._bands)
        by_side_1[:, 1] = np.maximum(by_side_1[:, 1], by_side_0)
        made: list[dict[int, _Box]] = [{} for _ in self._sprites]
        for slot in np.flatnonzero((x1 > x0) & (y1 > y0)).tolist():
            box = (int(x0[slot]), int(y0[slot]), int(x1[slot]), int(y1[slot]))
            owner, rest = divmod(slot, 2 * self._bands)
            side, row = divmod(rest, self._bands)
            made[owner][2 * row + side] = box
        return made

    def draw(self, canvas: skia.Canvas, names: Sequence[str], fades: Mapping[str, float]) -> None:
        """Draw layers that lie on each other, band by band, so that a band stays in the cache.

        Args:
            canvas: in pixels.
            names: the layers, back to front.
            fades: opacity of layers by name; others are opaque.
        """
        sprites = [self.sprites[name] for name in names]
        paints = [
            None if fades.get(name, 1.0) >= 1 else skia.Paint(Alphaf=fades[name]) for name in names
        ]
        for band in range(self._bands):
            for sprite, paint in zip(sprites, paints, strict=True):
                for piece in (2 * band, 2 * band + 1):
                    box = sprite.boxes.get(piece)
                    if box is not None:
                        bent = sprite.bend(piece, self._net_px)
                        canvas.drawImage(bent, box[0], box[1], skia.SamplingOptions(), paint)

    def _invert(
        self,
        posed: _Complex,
        wanted: _Complex,
        rest: _Complex,
        slopes: list[tuple[complex, complex]],
        plans: list[tuple[Sprite, int, int]],
    ) -> _Complex:
        """Return the drawing's points that the meshes carry to `wanted`, starting at `rest`."""
        layers = [sprite.layer for sprite, _, _ in plans]
        sizes = [rows * columns for _, rows, columns in plans]

        def each(values: list[float]) -> _Floats:
            return np.repeat(np.array(values, np.float32), sizes)

        x0, y0 = each([la.origin[0] for la in layers]), each([la.origin[1] for la in layers])
        sx, sy = each([1 / la.cell[0] for la in layers]), each([1 / la.cell[1] for la in layers])
        last_x, last_y = (
            each([la.columns - 2 for la in layers]),
            each([la.rows - 2 for la in layers]),
        )
        first = np.repeat(np.array([la.lattice.start for la in layers], np.int32), sizes)
        columns = np.repeat(np.array([la.columns for la in layers], np.int32), sizes)
        alpha = np.repeat(np.array([a for a, _ in slopes], np.complex64), sizes)
        beta = np.repeat(np.array([b for _, b in slopes], np.complex64), sizes)
        for _ in range(NEWTON_STEPS):
            tx, ty = (rest.real - x0) * sx, (rest.imag - y0) * sy
            # Outside the mesh its outer cells go on straight.
            cx, cy = np.clip(np.floor(tx), 0, last_x), np.clip(np.floor(ty), 0, last_y)
            tx -= cx
            ty -= cy
            i = first + cy.astype(np.int32) * columns + cx.astype(np.int32)
            j = i + columns
            upper, lower = posed[i], posed[j]
            upper += (posed[i + 1] - upper) * tx
            lower += (posed[j + 1] - lower) * tx
            miss = wanted - (upper + (lower - upper) * ty)
            rest = rest + (alpha * miss + beta * miss.conj())
        return rest
