"""The host and its matte packed in one opaque picture, which any video codec carries.

Above stands the colour, below it, `GAP` rows apart, the matte as grey. The colour is not
premultiplied and goes on beyond the host's edge: nearby as it is at the edge, then ever more grey.
So nothing dark or green bleeds into the edge where the codec halves the resolution of colour or
rounds, and the unseen surroundings take few bits. The matte keeps `HEADROOM` between nothing and
almost nothing, and between full and almost full, outside the range that video is limited to: what
a codec's noise adds there is cut off when a player turns it into 0 and 255.
"""

from typing import Any

import cv2
import numba
import numpy as np

from render.frames import Pixels
from render.raster import kept

GAP = 16
"""Rows between colour and matte, so that neither is smoothed into the other."""
HEADROOM = 8
"""Levels of luma below black and above white for what is quite empty or quite opaque."""
_GREY = 128
_PRIOR = 24.0  # opacity, of 255, that far surroundings need to be coloured half-way
_REACH = 8  # pixels for a sample of the far surroundings
_MARGIN = 4  # such samples: beyond them all is grey
FAINT = 4
"""Opacity, of 255, below which a pixel has no colour of its own any more: rounding took it."""


def matte_size(width: int, height: int) -> tuple[int, int]:
    """Return width and height of the packed picture."""
    return width, 2 * height + GAP


class Packer:
    """Packs pictures of one size; `width` and `height` in pixels, both even."""

    def __init__(self, width: int, height: int) -> None:
        self._half = (width // 2, height // 2)
        self._far = (max(1, width // _REACH), max(1, height // _REACH))
        wide, high = matte_size(width, height)
        self.i420: Pixels = np.zeros((high * 3 // 2, wide), np.uint8)
        """The packed picture: planar YUV 4:2:0, BT.601 limited range; replaced by the next."""
        luma, chroma = self.i420[:high], self.i420[high:].reshape(2, high // 2, wide // 2)
        luma[: height + GAP // 2] = np.round(16 + _GREY * 219 / 255)
        luma[height + GAP // 2 :] = 16 - HEADROOM
        chroma[:] = _GREY
        self._colour, self._edge = luma[:height], luma[height : height + GAP // 2]
        self._matte, self._matte_edge = luma[height + GAP :], luma[height + GAP // 2 :][: GAP // 2]
        self._chroma = chroma[:, : height // 2]
        self._chroma_edge = chroma[:, height // 2 :][:, : GAP // 4]
        self._levels = _levels()
        self._shares = _shares()
        self._box = (0, height // 2, 0, width // 2)

    def pack(self, host: Pixels) -> Pixels:
        """Return `i420` with the picture of a host.

        Args:
            host: BGRA, premultiplied, shape (height, width, 4).
        """
        host = host.view()
        host.flags.writeable = False  # as sinks get it: compiled for one kind of array only
        half = cv2.resize(host, self._half, interpolation=cv2.INTER_AREA)
        near = cv2.blur(half, (3, 3))
        far = cv2.resize(half, self._far, interpolation=cv2.INTER_AREA)
        around = cv2.blur(far, (5, 5)).astype(np.float32)
        around = (around[..., :3] * 255 + _PRIOR * _GREY) / (around[..., 3:] + _PRIOR)
        wide = cv2.resize(np.minimum(around, 255).astype(np.uint8), self._half)
        box = self._seen(far[..., 3])
        last, self._box = self._box, box
        top, left = min(box[0], last[0]), min(box[2], last[2])
        bottom, right = max(box[1], last[1]), max(box[3], last[3])
        _pack(
            host, half, near, wide, (top, bottom, left, right), self._levels, self._shares,
            self._colour, self._matte, self._chroma[0], self._chroma[1],
        )  # fmt: skip
        self._edge[:] = self._colour[-1]
        self._matte_edge[:] = self._matte[0]
        self._chroma_edge[:] = self._chroma[:, -1:]
        return self.i420

    def _seen(self, far: Pixels) -> tuple[int, int, int, int]:
        """Return first and last+1 row and column of `half` in which anything is not grey."""
        rows, columns = np.flatnonzero(far.any(1)), np.flatnonzero(far.any(0))
        if not len(rows):
            return 0, 0, 0, 0
        step = _REACH // 2
        return (
            max(0, (int(rows[0]) - _MARGIN) * step),
            min(self._half[1], (int(rows[-1]) + 1 + _MARGIN) * step),
            max(0, (int(columns[0]) - _MARGIN) * step),
            min(self._half[0], (int(columns[-1]) + 1 + _MARGIN) * step),
        )


def _levels() -> Pixels:
    """Return the luma of each opacity."""
    levels = np.round(16 + np.arange(256) * 219 / 255).astype(np.uint8)
    levels[0] -= HEADROOM
    levels[255] += HEADROOM
    return levels


def _shares() -> Any:
    """Return 65536 * 255 / opacity: what undoes premultiplying."""
    opacity = np.maximum(np.arange(256), 1)
    return np.minimum(np.round(65536 * 255 / opacity), 2**31 // 256 - 256).astype(np.int32)


@numba.njit(nogil=True, error_model="numpy", inline="always")  # type: ignore[untyped-decorator]
def _luma(b: Any, g: Any, r: Any) -> Any:
    return np.uint8((6416 * b + 33039 * g + 16829 * r + (16 << 16) + 32768) >> 16)


@numba.njit(nogil=True, error_model="numpy", inline="always")  # type: ignore[untyped-decorator]
def _blue(b: Any, g: Any, r: Any) -> Any:
    return np.uint8((28784 * b - 19071 * g - 9713 * r + (128 << 16) + 32768) >> 16)


@numba.njit(nogil=True, error_model="numpy", inline="always")  # type: ignore[untyped-decorator]
def _red(b: Any, g: Any, r: Any) -> Any:
    return np.uint8((-4681 * b - 24103 * g + 28784 * r + (128 << 16) + 32768) >> 16)


@numba.njit(nogil=True, error_model="numpy", inline="always")  # type: ignore[untyped-decorator]
def _freed(channel: Any, share: Any) -> Any:
    """Return a premultiplied channel as it was before."""
    return min((np.int32(channel) * share + 32768) >> 16, 255)


@kept
def _pack(host, half, near, wide, box, levels, shares, colour, matte, blue, red):  # type: ignore[no-untyped-def]
    """Fill `colour`, `matte`, `blue` and `red`, two by two pixels at a time.

    Args:
        host: (height, width, 4) uint8, premultiplied.
        half: (height / 2, width / 2, 4) uint8: its means of two by two pixels.
        near: the same, blurred.
        wide: (height / 2, width / 2, 3) uint8: the colour of the surroundings.
        box: first and last+1 row and column of `half` to be filled.
        levels: luma of each opacity.
        shares: int32, 65536 * 255 / opacity.
        colour: (height, width) uint8, luma.
        matte: (height, width) uint8, luma.
        blue: (height / 2, width / 2) uint8, chroma.
        red: the same.
    """
    for i in range(box[0], box[1]):
        for j in range(box[2], box[3]):
            opacity = half[i, j, 3]
            if opacity == 255:
                b, g, r = np.int32(half[i, j, 0]), np.int32(half[i, j, 1]), np.int32(half[i, j, 2])
                blue[i, j], red[i, j] = _blue(b, g, r), _red(b, g, r)
                for y in range(2 * i, 2 * i + 2):
                    for x in range(2 * j, 2 * j + 2):
                        b, g, r = host[y, x, 0], host[y, x, 1], host[y, x, 2]
                        colour[y, x] = _luma(np.int32(b), np.int32(g), np.int32(r))
                        matte[y, x] = levels[255]
                continue
            if opacity >= FAINT:
                share = shares[opacity]
                b = _freed(half[i, j, 0], share)
                g = _freed(half[i, j, 1], share)
                r = _freed(half[i, j, 2], share)
            elif near[i, j, 3] >= FAINT:
                share = shares[near[i, j, 3]]
                b = _freed(near[i, j, 0], share)
                g = _freed(near[i, j, 1], share)
                r = _freed(near[i, j, 2], share)
            else:
                b, g, r = np.int32(wide[i, j, 0]), np.int32(wide[i, j, 1]), np.int32(wide[i, j, 2])
            blue[i, j], red[i, j] = _blue(b, g, r), _red(b, g, r)
            mean = _luma(b, g, r)
            for y in range(2 * i, 2 * i + 2):
                for x in range(2 * j, 2 * j + 2):
                    alpha = host[y, x, 3]
                    matte[y, x] = levels[alpha]
                    if alpha < FAINT:
                        colour[y, x] = mean
                    else:
                        share = shares[alpha]
                        colour[y, x] = _luma(
                            _freed(host[y, x, 0], share),
                            _freed(host[y, x, 1], share),
                            _freed(host[y, x, 2], share),
                        )


def ready() -> None:
    """Compile what is missing, by packing nothing."""
    Packer(16, 16).pack(np.zeros((16, 16, 4), np.uint8))
