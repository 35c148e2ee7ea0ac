from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from render import raster

HEIGHT, WIDTH = 90, 120
GREY = 0xFF808080

Mesh = npt.NDArray[np.float64]
Texture = npt.NDArray[np.uint8]


def texture(wide: int, high: int, seed: int = 0) -> Texture:
    """A smooth, opaque, random picture with its padding, BGRA."""
    chance = np.random.default_rng(seed)
    small = chance.integers(0, 256, (high // 6 + 2, wide // 6 + 2, 3), np.uint8)
    made = np.zeros((high + 2 * raster.PAD, wide + 2 * raster.PAD, 4), np.uint8)
    inner = made[raster.PAD : -raster.PAD, raster.PAD : -raster.PAD]
    inner[..., :3] = cv2.resize(small, (wide, high), interpolation=cv2.INTER_CUBIC)
    inner[..., 3] = 255
    return made


def grid(columns: int, rows: int, left: float, top: float, wide: float, high: float) -> Mesh:
    """A straight mesh of so many points that covers a box."""
    x = left + np.arange(columns) * wide / (columns - 1)
    y = top + np.arange(rows) * high / (rows - 1)
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)


def painted(
    picture: Texture, mesh: Mesh, columns: int, *, fade: int = 256, floor: int = HEIGHT,
    ground: int = GREY,
) -> npt.NDArray[np.uint8]:  # fmt: skip
    """Paint one layer over a plain ground; returns BGRA."""
    rows = len(mesh) // columns
    wide, high = (length - 2 * raster.PAD for length in picture.shape[1::-1])
    size = (wide / (columns - 1), high / (rows - 1))
    kinds, seen, tall = raster.survey(picture[..., 3], columns - 1, rows - 1, size)
    layout: Any = np.array([[0, columns, rows, 0, picture.shape[1], 0, 0, tall]], np.int64)
    out = np.full((HEIGHT, WIDTH), ground, np.uint32)
    raster.paint(
        out, floor, mesh, np.zeros(1, np.int64), np.array([fade], np.int64), layout,
        np.array([size]), kinds, seen, picture.view(np.uint32).ravel(),
    )  # fmt: skip
    return out.view(np.uint8).reshape(HEIGHT, WIDTH, 4)


def test_a_mesh_at_rest_shows_the_texture_as_it_is() -> None:
    picture = texture(60, 48)
    out = painted(picture, grid(5, 4, 20, 10, 60, 48), 5)
    inner = picture[raster.PAD : -raster.PAD, raster.PAD : -raster.PAD]
    assert np.array_equal(out[10:58, 20:80], inner)
    out[10:58, 20:80] = 0x80
    assert (out[..., :3] == 0x80).all()


def test_a_turned_and_stretched_mesh_shows_what_opencv_shows() -> None:
    picture = texture(60, 48)
    turn = np.array([[0.9, -0.5, 40.0], [0.45, 1.1, -4.0]])
    mesh = grid(6, 5, 0, 0, 60, 48) @ turn[:, :2].T + turn[:, 2]
    out = painted(picture, mesh, 6).astype(int)
    # From texels' corners to their centres, and past the padding.
    shift = np.array([[1, 0, 0.5 - raster.PAD], [0, 1, 0.5 - raster.PAD], [0, 0, 1]])
    matrix = np.vstack([turn, [0, 0, 1]]) @ shift
    matrix[:2, 2] -= 0.5
    there = cv2.warpAffine(picture, matrix[:2], (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
    inside = cv2.erode((there[..., 3] == 255).astype(np.uint8), np.ones((5, 5))) == 1
    assert inside.sum() > 2000
    # OpenCV weighs in steps of 1/32.
    assert np.abs(out - there)[inside].max() <= 8


@pytest.mark.parametrize("seed", range(12))
def test_every_pixel_of_a_crumpled_mesh_is_painted_once(seed: int) -> None:
    chance = np.random.default_rng(seed)
    picture = np.zeros((48 + 2 * raster.PAD, 60 + 2 * raster.PAD, 4), np.uint8)
    picture[:] = (0, 0, 0, 255)
    mesh = grid(7, 6, 15, 10, 84, 66)
    mesh += chance.uniform(-4, 4, mesh.shape)
    out = painted(picture, mesh, 7, fade=128, ground=0xFFFFFFFF)
    # Half of black over white; twice would be a quarter.
    values = out[..., 0]
    assert set(np.unique(values)) <= {127, 128, 255}
    rim = mesh.reshape(6, 7, 2)
    outline = np.concatenate([rim[0], rim[1:, -1], rim[-1, -2::-1], rim[-2:0:-1, 0]])
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    fixed = np.round(outline * 4096).astype(np.int64)
    inside = _inside(fixed / 4096, x, y)
    assert (inside != (values < 255)).mean() < 1e-3  # pixels whose centre lies on the outline


def _inside(outline: Mesh, x: Any, y: Any) -> npt.NDArray[np.bool_]:
    """Whether points lie inside a polygon: a ray crosses its outline an odd number of times."""
    crossed = np.zeros(x.shape, bool)
    for (ax, ay), (bx, by) in zip(outline, np.roll(outline, -1, 0), strict=True):
        if ay != by:
            there = ax + (y - ay) * (bx - ax) / (by - ay)
            crossed ^= ((ay <= y) != (by <= y)) & (there > x)
    return crossed


@pytest.mark.parametrize("fade", [256, 200, 90, 1])
def test_layers_are_laid_over_as_premultiplied_colours_are(fade: int) -> None:
    chance = np.random.default_rng(3)
    picture = np.zeros((48 + 2 * raster.PAD, 60 + 2 * raster.PAD, 4), np.uint8)
    alpha = chance.integers(0, 256, (48, 60, 1))
    inner = np.concatenate([alpha * chance.random((48, 60, 3)), alpha], -1).astype(np.uint8)
    picture[raster.PAD : -raster.PAD, raster.PAD : -raster.PAD] = inner
    for ground in (0xFF000000, 0xFFFFFFFF, 0xFF40C080, 0):
        out = painted(picture, grid(5, 4, 20, 10, 60, 48), 5, fade=fade, ground=ground)
        under = np.array([ground], np.uint32).view(np.uint8).astype(float)
        share = fade / 256
        expected = inner * share + under * (1 - inner[..., 3:] * share / 255)
        assert np.abs(out[10:58, 20:80] - expected).max() <= 2


def test_nothing_is_painted_below_the_floor_or_outside_the_picture() -> None:
    picture = texture(60, 48)
    out = painted(picture, grid(5, 4, -30, -20, 200, 150), 5, floor=40)
    assert (out[:40] != 0x80).any(-1).all()
    assert (out[40:, :, :3] == 0x80).all()
    away = painted(picture, grid(5, 4, 500, -900, 60, 48), 5)
    assert (away[..., :3] == 0x80).all()


@pytest.mark.parametrize("seed", range(8))
def test_a_wild_mesh_never_leads_out_of_its_texture(seed: int) -> None:
    chance = np.random.default_rng(seed)
    picture = texture(60, 48)
    picture[..., :3] //= 2
    for _ in range(20):
        mesh = grid(5, 4, 20, 10, 60, 48)
        mesh += chance.normal(0, 10 ** chance.uniform(-1, 3), mesh.shape)
        if chance.random() < 0.5:
            mesh[:, 0] = mesh[:, 0].mean() + (mesh[:, 0] - mesh[:, 0].mean()) * 1e-4
        out = painted(picture, mesh, 5)
        assert (out[..., :3] <= 129).all()  # the ground is 128


def test_survey_tells_empty_mixed_and_solid_cells() -> None:
    alpha = np.zeros((10 + 2 * raster.PAD, 30 + 2 * raster.PAD), np.uint8)
    alpha[:, 17:] = 255
    kinds, seen, tall = raster.survey(alpha, 3, 1, (10.0, 10.0))
    assert kinds.tolist() == [raster.EMPTY, raster.MIXED, raster.SOLID]
    assert len(seen) == 3 * tall
    assert (seen[:tall, 1] == -1).all()
    assert (seen[tall : tall + 10] == (17, 25)).all(-1).all()
