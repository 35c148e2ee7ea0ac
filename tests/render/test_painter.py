"""Painting at a level: real scaling, fake renderers."""

import threading

import numpy as np

from avatar.pose import ParameterTable, Pose
from render.adapt import Level
from render.convert import planes, to_i420
from render.frames import Pixels
from render.painter import Painter

POSE = Pose(0, ParameterTable().default)


class Plain:
    """Fills its picture with one grey; can only draw at its own size."""

    table = ParameterTable()

    def __init__(self, grey: int = 200) -> None:
        self.grey = grey
        self.sizes: list[tuple[int, ...]] = []

    def draw(self, pose: Pose, out: Pixels) -> None:
        self.sizes.append(out.shape[:2])
        out[:] = self.grey


class Sizes(Plain):
    """Makes smaller ones of itself when it is let; they are darker."""

    def __init__(self) -> None:
        super().__init__()
        self.let = threading.Event()
        self.made: list[tuple[float, Plain, str]] = []

    def smaller(self, share: float) -> Plain:
        assert self.let.wait(10)
        made = Plain(round(self.grey * share))
        self.made.append((share, made, threading.current_thread().name))
        return made


def settle(painter: Painter) -> None:
    """Wait for the thread that makes a renderer, as many frames would."""
    painter.fresh()
    if painter._making is not None:
        painter._making.join(10)
    painter.fresh()


class Apart(Sizes):
    """Can also draw the host alone, whose opacity is 100."""

    light = (1.0, 0.5, 0.25)

    def draw_host(self, pose: Pose, host: Pixels, out: Pixels | None = None) -> None:
        host[:] = 100
        if out is not None:
            self.draw(pose, out)

    def smaller(self, share: float) -> Plain:
        super().smaller(share)
        return Apart()


def picture() -> Pixels:
    return np.zeros((90, 160, 4), np.uint8)


def test_in_full_it_draws_straight_into_the_picture() -> None:
    renderer, out = Sizes(), picture()
    painter = Painter(renderer)  # type: ignore[arg-type]
    assert painter.resizable
    assert painter.fresh()
    painter.draw(POSE, out, None)
    assert renderer.sizes == [(90, 160)]
    assert (out == 200).all()


def test_a_smaller_renderer_is_made_aside_while_the_show_goes_on() -> None:
    renderer, out = Sizes(), picture()
    painter = Painter(renderer)  # type: ignore[arg-type]
    painter.want(Level(0.5))
    for _ in range(3):  # it is not there yet
        assert painter.fresh()
        painter.draw(POSE, out, None)
    assert len(renderer.sizes) == 3
    assert painter.level == Level()
    renderer.let.set()
    settle(painter)
    assert painter.level == Level(0.5)
    painter.draw(POSE, out, None)
    ((share, small, thread),) = renderer.made
    assert (share, small.sizes, thread) == (0.5, [(44, 80)], "smaller-picture")
    assert (out == 100).all()


def test_it_goes_back_to_full_at_once_and_forgets_the_smaller_one() -> None:
    renderer, out = Sizes(), picture()
    renderer.let.set()
    painter = Painter(renderer)  # type: ignore[arg-type]
    painter.want(Level(0.5))
    settle(painter)
    painter.want(Level())
    painter.draw(POSE, out, None)
    assert (out == 200).all()
    painter.want(Level(0.5))
    settle(painter)
    assert len(renderer.made) == 2


def test_a_change_of_mind_before_it_is_made_is_heeded() -> None:
    renderer = Sizes()
    painter = Painter(renderer)  # type: ignore[arg-type]
    painter.want(Level(0.75))
    painter.fresh()
    painter.want(Level(0.5))
    renderer.let.set()
    settle(painter)
    settle(painter)
    assert painter.level == Level(0.5)
    assert [share for share, _, _ in renderer.made] == [0.75, 0.5]


def test_every_second_picture_is_fresh() -> None:
    painter = Painter(Plain())  # type: ignore[arg-type]
    assert not painter.resizable
    painter.want(Level(1.0, 2))
    assert [painter.fresh() for _ in range(6)] == [True, False, True, False, True, False]
    painter.want(Level())
    assert all(painter.fresh() for _ in range(4))


def test_a_rung_that_only_halves_the_rate_keeps_the_smaller_renderer() -> None:
    renderer, out = Sizes(), picture()
    renderer.let.set()
    painter = Painter(renderer)  # type: ignore[arg-type]
    painter.want(Level(0.5))
    settle(painter)
    painter.want(Level(0.5, 2))
    assert [painter.fresh() for _ in range(4)] == [True, False, True, False]
    painter.draw(POSE, out, None)
    assert len(renderer.made) == 1
    assert (out == 100).all()


def test_the_host_alone_is_drawn_with_the_picture_or_without_it() -> None:
    renderer, out, host = Apart(), picture(), picture()
    painter = Painter(renderer)  # type: ignore[arg-type]
    assert painter.light == (1.0, 0.5, 0.25)
    painter.draw(POSE, out, None, host)
    assert (out.mean(), host.mean()) == (200, 100)
    out[:] = host[:] = 0
    painter.draw(POSE, None, None, host)
    assert (out.mean(), host.mean()) == (0, 100)
    assert Painter(Plain()).light is None  # type: ignore[arg-type]


def test_on_an_overloaded_machine_the_host_alone_is_drawn_smaller_too() -> None:
    renderer, out, host = Apart(), picture(), picture()
    painter = Painter(renderer)  # type: ignore[arg-type]
    renderer.let.set()
    painter.want(Level(0.5))
    settle(painter)
    painter.draw(POSE, out, None, host)
    assert (out.mean(), host.mean()) == (200, 100)
    out[:] = host[:] = 0
    painter.draw(POSE, None, None, host)
    assert (out.mean(), host.mean()) == (0, 100)
    assert renderer.sizes == []


class Ramp(Plain):
    """Paints a smooth picture in colour, the same at any size."""

    def draw(self, pose: Pose, out: Pixels) -> None:
        high, wide = out.shape[:2]
        out[..., 0] = np.linspace(20, 220, wide)
        out[..., 1] = np.linspace(200, 40, high)[:, None]
        out[..., 2:] = 120

    def smaller(self, share: float) -> "Ramp":
        return Ramp()


def test_the_planes_of_an_i420_picture_are_y_u_and_v() -> None:
    grey, i420 = np.full((90, 160, 4), (200, 40, 90, 255), np.uint8), np.zeros((135, 160), np.uint8)
    to_i420(grey, i420)
    y, u, v = planes(i420)
    assert (y.shape, u.shape, v.shape) == ((90, 160), (45, 80), (45, 80))
    assert (y.std(), u.std(), v.std()) == (0, 0, 0)
    assert u.mean() > 150  # it is blue
    y[:], u[:], v[:] = 1, 2, 3
    assert np.bincount(i420.ravel()).tolist() == [0, 90 * 160, 45 * 80, 45 * 80]


def test_where_nobody_looks_at_pixels_only_the_planes_are_enlarged() -> None:
    painter = Painter(Ramp())  # type: ignore[arg-type]
    painter.want(Level(0.5))
    settle(painter)
    out, right, quick = picture(), np.zeros((135, 160), np.uint8), np.zeros((135, 160), np.uint8)
    painter.draw(POSE, out, right)
    assert out.any()
    out[:] = 0
    painter.draw(POSE, out, quick, plain=False)
    assert not out.any()
    assert np.abs(right.astype(int) - quick).max() <= 4
