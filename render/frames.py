"""A drawn picture and the time it shows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dialogue.ticks import Ticks

Pixels = npt.NDArray[np.uint8]
"""BGRA, shape (height, width, 4), not premultiplied."""


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One picture on its way to the sinks."""

    pts: Ticks
    """When it is to be seen, on the stage clock."""
    index: int
    """Frame number: pts = index * ticks per frame."""
    pixels: Pixels
    """Read-only; valid until the sink's `video` returns."""
    i420: Pixels
    """The same picture as planar YUV 4:2:0, BT.601 limited range (what cv2 gives), shape
    (height * 3 // 2, width); converted once for all sinks."""
    repeated: bool = False
    """The very picture of the frame before: the machine is overloaded. It may be left out where
    leaving out is cheaper than sending nothing new."""
    host: Pixels | None = None
    """The host alone, BGRA, premultiplied, of the same shape as `pixels`, whole and in the light
    of the scene; None unless a sink wants it."""
