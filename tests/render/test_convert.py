"""The colours that sinks get are the BT.601 limited range that they are tagged with."""

import numpy as np
import pytest

from render.convert import to_i420


@pytest.mark.parametrize(
    ("rgb", "yuv"),
    [
        ((0, 0, 0), (16, 128, 128)),
        ((255, 255, 255), (235, 128, 128)),
        ((255, 0, 0), (81, 90, 240)),  # ITU-R BT.601: Y = 65.5 + 16, Cb = 90, Cr = 240
        ((0, 255, 0), (145, 54, 34)),
        ((0, 0, 255), (41, 240, 110)),
    ],
)
def test_primary_colours_become_those_of_the_standard(
    rgb: tuple[int, int, int], yuv: tuple[int, int, int]
) -> None:
    height, width = 36, 64
    pixels = np.full((height, width, 4), (*rgb[::-1], 255), np.uint8)
    out = np.zeros((height * 3 // 2, width), np.uint8)
    to_i420(pixels, out)
    planes = out.reshape(-1)
    size = height * width
    got = planes[:size], planes[size : size * 5 // 4], planes[size * 5 // 4 :]
    for plane, value in zip(got, yuv, strict=True):
        assert np.abs(plane.astype(int) - value).max() <= 1


def test_alpha_is_ignored_and_the_picture_keeps_its_place() -> None:
    pixels = np.zeros((20, 40, 4), np.uint8)
    pixels[:10, :20, :3] = 255
    out = np.zeros((30, 40), np.uint8)
    to_i420(pixels, out)
    assert (out[:10, :20] == 235).all()
    assert (out[10:20] == 16).all()
    assert (out[:10, 20:] == 16).all()
