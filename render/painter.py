"""Draws at the level of the day: full pictures, smaller ones scaled up, or the last one again.

Runs on: the render thread of the body; a smaller renderer is made on a thread of its own, and is
used when it is there. It is kept only while it is used.
"""

import threading
from typing import Protocol, runtime_checkable

import cv2
import numpy as np

from avatar.pose import Pose
from render.adapt import Level
from render.contracts import HostRenderer, Renderer
from render.convert import planes, to_i420
from render.frames import Pixels


@runtime_checkable
class Resizable(Protocol):
    """A renderer that can make a smaller one of itself, quickly, on another thread."""

    def smaller(self, share: float) -> Renderer:
        """Return a renderer for that share of width and height, which goes on with its puppet."""


class Painter:
    """Draws pictures of one size, with as much care as it is told."""

    def __init__(self, renderer: Renderer) -> None:
        """Draw with `renderer`."""
        self.renderer = renderer
        self.level = Level()
        """How it draws now."""
        self._wanted = Level()
        self._small: Renderer | None = None
        self._pixels: Pixels = np.zeros((2, 0, 0, 4), np.uint8)
        self._i420: Pixels = np.zeros((0, 0), np.uint8)
        self._making: threading.Thread | None = None
        self._made: tuple[float, Renderer | None] | None = None
        self._turn = 0

    @property
    def resizable(self) -> bool:
        """Whether it can draw smaller than it is told."""
        return isinstance(self.renderer, Resizable)

    def want(self, level: Level) -> None:
        """Draw like that as soon as it can."""
        self._wanted = level
        if level.share in (1.0, self.level.share):
            self._settle(self._small if level.share < 1.0 else None)

    def fresh(self) -> bool:
        """Whether a new picture is due; asked once a frame."""
        self._prepare()
        self._turn = (self._turn + 1) % self.level.every
        return self._turn == 0

    @property
    def light(self) -> tuple[float, float, float] | None:
        """What white looks like on the host; None where the host cannot be drawn alone."""
        return self.renderer.light if isinstance(self.renderer, HostRenderer) else None

    def draw(
        self,
        pose: Pose,
        pixels: Pixels | None,
        i420: Pixels | None,
        host: Pixels | None = None,
        *,
        plain: bool = True,
    ) -> None:
        """Paint a picture of `pose`.

        Args:
            pose: of the host.
            pixels: where the whole picture goes, shape (height, width, 4); None where it is not
                wanted.
            i420: where the same goes as I420, shape (height * 3 // 2, width), likewise.
            host: where the host alone goes, premultiplied, shaped as `pixels`, likewise.
            plain: False where nobody looks at `pixels` (but at `i420`): they may stay as they are.
        """
        if self._small is None:
            _draw(self.renderer, pose, pixels, host)
            if pixels is not None and i420 is not None:
                to_i420(pixels, i420)
            return
        full = next(each for each in (pixels, host) if each is not None).shape
        share = self.level.share
        size = (2 * round(full[0] * share / 2), 2 * round(full[1] * share / 2), 4)
        if self._pixels.shape[1:] != size:
            self._pixels = np.zeros((2, *size), np.uint8)
            self._i420 = np.zeros((size[0] * 3 // 2, size[1]), np.uint8)
        picture, alone = self._pixels
        _draw(
            self._small, pose,
            None if pixels is None else picture, None if host is None else alone,
        )  # fmt: skip
        if host is not None:
            _enlarge(alone, host)
        if pixels is not None and (plain or i420 is None):
            _enlarge(picture, pixels)
            if i420 is not None:
                to_i420(pixels, i420)
        elif i420 is not None:  # three eighths of the bytes
            to_i420(picture, self._i420)
            for small, large in zip(planes(self._i420), planes(i420), strict=True):
                _enlarge(small, large)

    def _prepare(self) -> None:
        """Make the renderer that is wanted, or take it when it is there."""
        share = self._wanted.share
        if self._making is not None:
            if self._making.is_alive():
                return
            self._making = None
            made, self._made = self._made, None
            if made is not None and made[0] == share:
                self._settle(made[1])
        elif self._wanted != self.level and share < 1.0:
            self._making = threading.Thread(
                target=self._make, args=(share,), name="smaller-picture", daemon=True
            )
            self._making.start()

    def _make(self, share: float) -> None:
        assert isinstance(self.renderer, Resizable)
        self._made = share, self.renderer.smaller(share)

    def _settle(self, small: Renderer | None) -> None:
        self._small = small
        self.level = self._wanted
        self._turn = self.level.every - 1
        if small is None:
            self._pixels = np.zeros((2, 0, 0, 4), np.uint8)
            self._i420 = np.zeros((0, 0), np.uint8)


def _enlarge(small: Pixels, large: Pixels) -> None:
    shape = (large.shape[1], large.shape[0])
    made = cv2.resize(small, shape, dst=large, interpolation=cv2.INTER_LINEAR)
    if made is not large:
        np.copyto(large, made)


def _draw(renderer: Renderer, pose: Pose, out: Pixels | None, host: Pixels | None) -> None:
    if host is not None and isinstance(renderer, HostRenderer):
        renderer.draw_host(pose, host, out)
    elif out is not None:
        renderer.draw(pose, out)
