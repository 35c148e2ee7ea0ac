"""Drawing on a graphics card: right on one of software (Mesa's llvmpipe), however slow."""

import functools
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from dialogue.ticks import TICKS_PER_S
from render import puppet_gpu
from render.frames import Pixels
from render.gpu import Gpu, GpuUnavailable, present
from render.puppet import PuppetRenderer
from render.puppet_gpu import GpuPuppetRenderer, quickest
from tests.render.regenerate_golden import HOSTS

WIDTH, HEIGHT = 640, 360
VALUES = {"ParamAngleX": 18.0, "ParamAngleZ": 6.0, "ParamBodyAngleX": 4.0, "Viseme_aa": 0.8}


@pytest.fixture(scope="module")
def gpu() -> Gpu:
    if sys.platform != "linux":
        pytest.skip("EGL is Linux's")
    try:
        return Gpu(software=True)
    except GpuUnavailable as error:
        pytest.skip(f"needs EGL and a driver (Debian: libegl1 libgl1-mesa-dri): {error}")


@functools.cache
def made(host: str, scene: str) -> PuppetRenderer:
    return PuppetRenderer(HOSTS / host, width=WIDTH, height=HEIGHT, scene=scene)


def drawn(renderer: PuppetRenderer, at_s: float = 10.0) -> Pixels:
    out = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    renderer.draw(renderer.pose(VALUES, pts=round(at_s * TICKS_PER_S)), out)
    return out


@pytest.mark.parametrize(
    ("host", "scene"),
    [("kohaku", "night_room"), ("sumire", "garden"), ("pon", "tea_house"), ("kohaku", "soon")],
)
def test_a_card_draws_the_same_picture(gpu: Gpu, host: str, scene: str) -> None:
    renderer = made(host, scene)
    wanted = drawn(renderer)
    seen = drawn(GpuPuppetRenderer(renderer, gpu))
    difference = np.abs(seen.astype(int) - wanted)[..., :3]
    assert difference.mean() < 1.5
    assert (difference.max(-1) <= 16).mean() > 0.97


def test_a_card_keeps_what_is_transparent(gpu: Gpu) -> None:
    renderer = made("sumire", "transparent")
    wanted, seen = drawn(renderer), drawn(GpuPuppetRenderer(renderer, gpu))
    assert np.abs(seen[..., 3].astype(int) - wanted[..., 3]).mean() < 1.0
    assert not seen[0, 0].any()


def test_it_may_be_made_on_one_thread_and_draw_on_another(gpu: Gpu) -> None:
    renderer = GpuPuppetRenderer(made("kohaku", "night_room"), gpu)
    first = drawn(renderer)
    pictures: list[Pixels] = []
    thread = threading.Thread(target=lambda: pictures.append(drawn(renderer, 20.0)))
    thread.start()
    thread.join(20)
    assert np.abs(pictures[0].astype(int) - first).mean() < 12  # rain and lights went on


def test_smaller_pictures_and_the_host_alone_need_no_card(gpu: Gpu) -> None:
    renderer = GpuPuppetRenderer(made("kohaku", "night_room"), gpu)
    small = renderer.smaller(0.5)
    out = np.zeros((HEIGHT // 2, WIDTH // 2, 4), np.uint8)
    small.draw(small.pose(VALUES), out)
    assert out[..., :3].std() > 20
    host, whole = np.zeros((2, HEIGHT, WIDTH, 4), np.uint8)
    renderer.draw_host(renderer.pose(VALUES), host, whole)
    assert 0.1 < (host[..., 3] > 0).mean() < 0.7


def test_software_that_plays_a_card_is_refused(gpu: Gpu) -> None:
    if "llvmpipe" not in gpu.name.lower():
        pytest.skip(f"this machine has a real graphics card: {gpu.name}")
    with pytest.raises(GpuUnavailable, match="runs on the processor"):
        Gpu()


def test_without_a_card_nothing_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not present(tmp_path)
    if sys.platform == "linux":
        (tmp_path / "dev" / "dri").mkdir(parents=True)
        (tmp_path / "dev" / "dri" / "renderD128").touch()
        assert present(tmp_path)
    monkeypatch.setattr(puppet_gpu, "present", lambda: False)
    renderer = made("kohaku", "transparent")
    assert quickest(renderer) == (renderer, "")


@pytest.mark.parametrize("faster", [True, False])
def test_the_faster_way_is_taken(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch, *, faster: bool
) -> None:
    monkeypatch.setattr(puppet_gpu, "present", lambda: True)
    monkeypatch.setattr(puppet_gpu, "Gpu", lambda: gpu)
    monkeypatch.setattr(
        puppet_gpu, "took_ms",
        lambda renderer: 3.0 if isinstance(renderer, GpuPuppetRenderer) is faster else 9.0,
    )  # fmt: skip
    chosen, line = quickest(made("kohaku", "transparent"))
    assert isinstance(chosen, GpuPuppetRenderer) is faster
    assert gpu.name in line
