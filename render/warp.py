"""Pictures of layers, drawn once and then bent like cloth over each frame's mesh.

Redrawing 500 anti-aliased paths costs five frames' worth of time; bending their picture costs a
tenth. Each layer's picture is kept finer than the screen, so that it looks equally sharp wherever
it lands.
"""

import copy
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from avatar.puppet.puppet import Layer
from avatar.puppet.svg import Drawing, Points
from render import raster
from render.frames import Pixels
from render.vector import Brush, surface

FINENESS = 1.25
"""Texture pixels for a screen pixel, each way."""


class Sprite:
    """One layer's picture."""

    def __init__(self, drawing: Drawing, layer: Layer, scale: float) -> None:
        self.fine = scale * FINENESS
        self.layer = layer
        x, y = layer.origin
        wide = layer.cell[0] * (layer.columns - 1)
        high = layer.cell[1] * (layer.rows - 1)
        self.texture: Pixels = np.zeros(
            (
                int(np.ceil(high * self.fine)) + 2 * raster.PAD,
                int(np.ceil(wide * self.fine)) + 2 * raster.PAD,
                4,
            ),
            np.uint8,
        )
        canvas = surface(self.texture).getCanvas()
        canvas.translate(raster.PAD, raster.PAD)
        canvas.scale(self.fine, self.fine)
        canvas.translate(-x, -y)
        Brush(drawing, layer.shapes).draw(canvas, drawing.points)

    def smaller(self, share: float) -> "Sprite":
        """Return it for pictures of that share of the width and height; drawn from its texture."""
        made = copy.copy(self)
        made.fine = self.fine * share
        inner = self.texture[raster.PAD : -raster.PAD, raster.PAD : -raster.PAD]
        high, wide = (max(1, round(length * share)) for length in inner.shape[:2])
        made.texture = np.zeros((high + 2 * raster.PAD, wide + 2 * raster.PAD, 4), np.uint8)
        made.texture[raster.PAD : -raster.PAD, raster.PAD : -raster.PAD] = cv2.resize(
            inner, (wide, high), interpolation=cv2.INTER_AREA
        )
        return made

    def hide(self, covers: Sequence["Sprite"]) -> None:
        """Empty the texture where `covers` hide it in any pose (`LayerSpec.under`, `margin`)."""
        high, wide = self.texture.shape[:2]
        cover = np.zeros((high, wide), np.uint8)
        for sprite in covers:
            # Both textures have the same fineness, and paddings cancel out.
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


class Warp:
    """All warped layers of a puppet.

    Args:
        drawing: the puppet's drawing.
        layers: its layers; live ones are left out.
        scale: pixels for a unit of the drawing.
        offset: the drawing's point at the picture's top left corner.
    """

    def __init__(
        self,
        drawing: Drawing,
        layers: Sequence[Layer],
        scale: float,
        offset: tuple[float, float],
    ) -> None:
        sprites = [Sprite(drawing, layer, scale) for layer in layers if layer.columns]
        self.sprites = {sprite.layer.spec.name: sprite for sprite in sprites}
        for sprite in sprites:
            if sprite.layer.spec.under:
                sprite.hide([self.sprites[name] for name in sprite.layer.spec.under])
        self._arrange(sprites)
        self._scale, self._offset = scale, np.array(offset)
        self._mesh = np.zeros((0, 2))

    def smaller(self, share: float) -> "Warp":
        """Return it for pictures of that share of the width and height.

        Its textures are made of those that are there, which takes a tenth of drawing them.

        Args:
            share: above 0, below 1.
        """
        made = copy.copy(self)
        sprites = [sprite.smaller(share) for sprite in self.sprites.values()]
        made.sprites = {sprite.layer.spec.name: sprite for sprite in sprites}
        made._arrange(sprites)
        made._scale = self._scale * share
        made._mesh = np.zeros((0, 2))
        return made

    def _arrange(self, sprites: Sequence[Sprite]) -> None:
        """Lay the textures and what is known of their cells one behind the other."""
        self._numbers = {sprite.layer.spec.name: i for i, sprite in enumerate(sprites)}
        self._layout = np.zeros((len(sprites), 8), np.int64)
        self._sizes = np.zeros((len(sprites), 2))
        kinds, seen, texels = [], [], []
        cell = row = texel = 0
        for i, sprite in enumerate(sprites):
            layer, texture = sprite.layer, sprite.texture
            size = (layer.cell[0] * sprite.fine, layer.cell[1] * sprite.fine)
            columns, rows = layer.columns, layer.rows
            kind, sight, tall = raster.survey(texture[..., 3], columns - 1, rows - 1, size)
            self._sizes[i] = size
            self._layout[i] = (
                layer.lattice.start, columns, rows, texel, texture.shape[1], cell, row, tall
            )  # fmt: skip
            kinds.append(kind)
            seen.append(sight)
            texels.append(texture.view(np.uint32).ravel())
            cell, row, texel = cell + len(kind), row + len(sight), texel + len(texels[-1])
        self._kinds, self._seen = np.concatenate(kinds), np.concatenate(seen)
        self._texels = np.concatenate(texels)

    def kinds(self, name: str) -> npt.NDArray[np.uint8]:
        """Return the kind of each cell of a layer, row by row (`raster.survey`)."""
        number = self._numbers[name]
        layer = self.sprites[name].layer
        first = int(self._layout[number, 5])
        return self._kinds[first : first + (layer.columns - 1) * (layer.rows - 1)]

    def update(self, mesh: Points) -> None:
        """Take the posed mesh points of the puppet; `Layer.lattice` says whose is which."""
        posed = (mesh - self._offset) * self._scale
        if np.isfinite(posed).all():  # the compiled code asks no questions
            self._mesh = posed

    def draw(
        self, out: Pixels, names: Sequence[str], fades: Mapping[str, float], floor: int
    ) -> None:
        """Paint layers that lie on each other.

        Args:
            out: where to, BGRA, premultiplied.
            names: the layers, back to front.
            fades: opacity of layers by name; others are opaque.
            floor: rows of pixels from here down are not painted.
        """
        if not len(self._mesh):
            return
        order = np.array([self._numbers[name] for name in names], np.int64)
        shares = np.array([round(256 * fades.get(name, 1.0)) for name in names], np.int64)
        raster.paint(
            out.view(np.uint32)[..., 0], floor, self._mesh, order, np.clip(shares, 0, 256),
            self._layout, self._sizes, self._kinds, self._seen, self._texels,
        )  # fmt: skip
