"""Looking at a host: still pictures, mouths told apart, pictures laid on a ground.

Runs on: the thread that calls it; serves the check, the sheets, the workbench and the bench.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from avatar.pose import VISEMES, Pose
from dialogue.ticks import TICKS_PER_S
from render.frames import Pixels
from render.puppet import PuppetRenderer

CHANGED = 40
"""A pixel that changes by fewer levels than this in every colour has not changed."""


class Look:
    """Draws pictures into memory of its own."""

    def __init__(self, renderer: PuppetRenderer) -> None:
        self.renderer = renderer
        width, height = renderer.size
        self._out: Pixels = np.zeros((height, width, 4), np.uint8)
        self._pts = 0

    def at(self, values: Mapping[str, float]) -> Pixels:
        """Return the picture of `values` with springs at rest: so far is it from the one before.

        Args:
            values: by parameter; what is not named is at rest.

        Returns:
            Shape (height, width, 4), BGRA; valid until the next picture.
        """
        self._pts += 10 * TICKS_PER_S
        return self.see(self.renderer.pose(values, pts=self._pts))

    def see(self, pose: Pose) -> Pixels:
        """Return the picture of `pose`, at its own time."""
        self.renderer.draw(pose, self._out)
        return self._out


def mouths(look: Look) -> dict[str, Pixels]:
    """Return each viseme's mouth: the mouth's box of the picture, all four channels."""
    x, y, wide, high = look.renderer.mouth_box()
    return {
        name: look.at(mouth(name))[y : y + high, x : x + wide].copy() for name in VISEMES
    }  # fmt: skip


def mouth(viseme: str) -> dict[str, float]:
    """Return the parameters of a mouth that shows nothing but `viseme`."""
    return {} if viseme == "sil" else {f"Viseme_{viseme}": 1.0}


def changed(a: Pixels, b: Pixels) -> npt.NDArray[np.bool_]:
    """Return where two pictures of one shape differ, shape (height, width)."""
    return np.asarray(np.abs(a.astype(np.int16) - b).max(2) > CHANGED)


def difference(a: Pixels, b: Pixels) -> float:
    """Return the share of pixels that differ, in percent."""
    return 100.0 * float(changed(a, b).mean())


def over(pixels: Pixels, ground: npt.ArrayLike) -> Pixels:
    """Lay a transparent picture on a ground.

    Args:
        pixels: shape (height, width, 4), BGRA, not premultiplied.
        ground: levels 0..255 that broadcast to (height, width, 3).

    Returns:
        Shape (height, width, 3), BGR.
    """
    alpha = pixels[..., 3:].astype(np.float32) / 255
    below = np.asarray(ground, np.float32)
    made: Pixels = (pixels[..., :3] * alpha + below * (1 - alpha)).astype(np.uint8)
    return made
