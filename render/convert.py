"""BGRA to planar YUV, once a frame for all sinks."""

import numpy as np

from render.frames import Pixels


def to_i420(pixels: Pixels, out: Pixels) -> None:
    """Convert BGRA (height, width, 4) into I420 (height * 3 // 2, width), in place of `out`.

    The matrix is ITU-R BT.601, limited range, which is what OpenCV's BGR to I420 gives; sinks tag
    their streams with it. Alpha is ignored: opaque scenes only.
    """
    import cv2

    result = cv2.cvtColor(pixels, cv2.COLOR_BGRA2YUV_I420, dst=out)
    if result is not out:
        np.copyto(out, result)


def planes(i420: Pixels) -> tuple[Pixels, Pixels, Pixels]:
    """Return Y, U and V of an I420 picture, shape (height * 3 // 2, width), without a copy."""
    width = i420.shape[1]
    height = i420.shape[0] * 2 // 3
    flat, area = i420.reshape(-1), width * height
    half = (height // 2, width // 2)
    u, v = flat[area : area * 5 // 4], flat[area * 5 // 4 :]
    return i420[:height], u.reshape(half), v.reshape(half)
