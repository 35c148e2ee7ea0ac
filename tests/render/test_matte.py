import cv2
import numpy as np
import numpy.typing as npt
import pytest

from render.frames import Pixels
from render.matte import GAP, HEADROOM, Packer, matte_size

WIDTH, HEIGHT = 160, 96
BACKGROUNDS = [(0, 0, 0), (255, 255, 255), (0, 255, 0), (255, 0, 255)]


def disc(x: float, y: float, radius: float, colour: tuple[int, int, int]) -> Pixels:
    """Return a soft-edged disc of one colour, premultiplied."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    alpha = np.clip(radius - np.hypot(columns - x, rows - y) + 0.5, 0, 1)
    straight = np.empty((HEIGHT, WIDTH, 4))
    straight[..., :3], straight[..., 3] = colour, 255
    return np.round(straight * alpha[..., None]).astype(np.uint8)


def shown(packed: Pixels, background: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    """Put a packed picture together over a background, as the page does."""
    bgr = cv2.cvtColor(packed, cv2.COLOR_YUV2BGR_I420).astype(float)
    alpha = bgr[HEIGHT + GAP :, :, 1:2] / 255
    made: npt.NDArray[np.float64] = bgr[:HEIGHT] * alpha + np.array(background) * (1 - alpha)
    return made


def test_the_size_leaves_a_gap() -> None:
    assert matte_size(1280, 720) == (1280, 1456)
    assert Packer(WIDTH, HEIGHT).i420.shape == ((2 * HEIGHT + GAP) * 3 // 2, WIDTH)


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("colour", [(30, 120, 240), (250, 250, 250), (20, 10, 30), (170, 160, 40)])
def test_a_host_over_any_background_looks_as_if_it_had_been_drawn_there(
    colour: tuple[int, int, int], background: tuple[int, int, int]
) -> None:
    host = disc(80.3, 47.8, 30.0, colour)
    alpha = host[..., 3:] / 255
    wanted = host[..., :3] + np.array(background) * (1 - alpha)
    wrong = np.abs(shown(Packer(WIDTH, HEIGHT).pack(host), background) - wanted).max(-1)
    assert wrong[host[..., 3] == 0].max() == 0
    assert wrong.max() <= 4  # what limited range rounds away: edges are no worse than the inside


def test_nothing_and_everything_keep_their_distance_from_noise() -> None:
    host = disc(80, 48, 30, (10, 20, 30))
    matte = Packer(WIDTH, HEIGHT).pack(host)[HEIGHT + GAP : 2 * HEIGHT + GAP]
    assert set(matte[host[..., 3] == 0]) == {16 - HEADROOM}
    assert set(matte[host[..., 3] == 255]) == {235 + HEADROOM}
    soft = (host[..., 3] > 0) & (host[..., 3] < 255)
    assert matte[soft].min() >= 16
    assert matte[soft].max() <= 235


def test_colour_goes_on_beyond_the_edge_and_far_away_all_is_grey() -> None:
    packed = Packer(WIDTH, HEIGHT).pack(disc(40, 48, 20, (30, 120, 240)))
    bgr = cv2.cvtColor(packed, cv2.COLOR_YUV2BGR_I420)[:HEIGHT].astype(int)
    assert np.abs(bgr[48, 62] - (30, 120, 240)).max() <= 8
    assert np.abs(bgr[48, 159] - 128).max() <= 2


def test_a_host_that_moves_leaves_nothing_behind() -> None:
    packer = Packer(WIDTH, HEIGHT)
    packer.pack(disc(30, 30, 20, (30, 120, 240)))
    there = disc(120, 60, 20, (90, 20, 40))
    assert np.array_equal(packer.pack(there), Packer(WIDTH, HEIGHT).pack(there))
    nobody = np.zeros_like(there)
    assert np.array_equal(packer.pack(nobody), Packer(WIDTH, HEIGHT).pack(nobody))


def test_an_empty_picture_is_empty_at_once() -> None:
    nobody: Pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    assert np.array_equal(Packer(WIDTH, HEIGHT).pack(nobody), Packer(WIDTH, HEIGHT).i420)
