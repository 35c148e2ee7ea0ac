"""The virtual camera: which one is taken, what it is fed with, and a line where there is none."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from dialogue.plugins import EngineError, EngineUnavailable
from render.convert import to_i420
from render.frames import Pixels, VideoFrame
from render.sinks.camera import MODPROBE, PACKERS, REMEDIES, CameraSink, open_free, size
from render.v4l2 import DeviceError, Output
from tests.render.kernel import FakeKernel, camera, process

WIDTH, HEIGHT = 320, 180

linux = pytest.mark.skipif(sys.platform != "linux", reason="Video4Linux is of Linux")


def picture(bgr: tuple[int, int, int] = (40, 120, 200)) -> VideoFrame:
    pixels = np.full((HEIGHT, WIDTH, 4), 255, np.uint8)
    pixels[..., :3] = bgr
    i420 = np.empty((HEIGHT * 3 // 2, WIDTH), np.uint8)
    to_i420(pixels, i420)
    return VideoFrame(0, 0, pixels, i420)


def free(root: Path, kernel: FakeKernel, name: str | None = None) -> Output:
    return open_free(
        name, width=WIDTH, height=HEIGHT, fps=30, format="I420", system=kernel, root=root
    )


# Which one ----------------------------------------------------------------------------------------


@linux
def test_a_camera_called_bunraku_is_taken_before_others(tmp_path: Path) -> None:
    camera(tmp_path, 0, "OBS Virtual Camera")
    ours = camera(tmp_path, 4, "Bunraku")
    assert free(tmp_path, FakeKernel()).path == ours


@linux
def test_a_second_show_takes_the_next_camera(tmp_path: Path) -> None:
    process(tmp_path, 41, "bunraku", camera(tmp_path, 0, "Bunraku"), flags=1)
    second = camera(tmp_path, 1, "Bunraku 2")
    assert free(tmp_path, FakeKernel()).path == second


@linux
def test_a_camera_can_be_named_by_a_part_of_its_label(tmp_path: Path) -> None:
    camera(tmp_path, 0, "Bunraku")
    other = camera(tmp_path, 1, "OBS Virtual Camera")
    assert free(tmp_path, FakeKernel(), "OBS").path == other
    with pytest.raises(DeviceError, match=r"no virtual camera is called 'Zoom'; there is Bunraku"):
        free(tmp_path, FakeKernel(), "Zoom")


@linux
def test_a_path_is_taken_at_its_word(tmp_path: Path) -> None:
    camera(tmp_path, 0, "Bunraku")
    other = camera(tmp_path, 1, "Other")
    assert free(tmp_path, FakeKernel(), str(other)).path == other


@linux
def test_without_any_camera_the_command_that_makes_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(DeviceError) as caught:
        free(tmp_path, FakeKernel())
    assert str(caught.value).startswith("there is no virtual camera; run `sudo modprobe")
    assert MODPROBE in str(caught.value)


@linux
@pytest.mark.skipif(
    any(Path("/sys/devices/virtual/video4linux").glob("video*")), reason="there is a camera"
)
def test_a_missing_device_says_what_to_do() -> None:
    sink = CameraSink()
    with pytest.raises(EngineError) as caught:
        sink.open(width=WIDTH, height=HEIGHT, fps=30)
    line = str(caught.value)
    assert line.startswith("camera: ")
    assert REMEDIES[sys.platform] in line
    assert "\n" not in line
    sink.close()


# What it is fed with ------------------------------------------------------------------------------

BACK = {
    "I420": cv2.COLOR_YUV2BGR_I420, "NV12": cv2.COLOR_YUV2BGR_NV12,
    "YUYV": cv2.COLOR_YUV2BGR_YUY2, "UYVY": cv2.COLOR_YUV2BGR_UYVY,
    "RGB": cv2.COLOR_RGB2BGR, "BGR": None, "GRAY": cv2.COLOR_GRAY2BGR,
}  # fmt: skip
SHAPE = {
    "I420": (HEIGHT * 3 // 2, WIDTH), "NV12": (HEIGHT * 3 // 2, WIDTH),
    "YUYV": (HEIGHT, WIDTH, 2), "UYVY": (HEIGHT, WIDTH, 2),
    "RGB": (HEIGHT, WIDTH, 3), "BGR": (HEIGHT, WIDTH, 3), "GRAY": (HEIGHT, WIDTH),
}  # fmt: skip


@pytest.mark.parametrize("name", list(PACKERS))
def test_every_format_decodes_to_the_picture(name: str) -> None:
    frame = picture()
    frame.pixels[: HEIGHT // 2, :, :3] = (200, 60, 20)
    to_i420(frame.pixels, frame.i420)
    frame.pixels.flags.writeable = frame.i420.flags.writeable = False
    packed = PACKERS[name](frame, np.empty(size(name, WIDTH, HEIGHT), np.uint8))
    assert packed.size == size(name, WIDTH, HEIGHT)
    shown: Pixels = packed.reshape(SHAPE[name])
    if BACK[name] is not None:
        shown = cv2.cvtColor(shown, BACK[name])
    wanted = frame.pixels[..., :3].astype(int)
    if name == "GRAY":
        wanted = np.repeat(wanted @ [[0.114], [0.587], [0.299]], 3, axis=2)
    for row in (10, HEIGHT - 10):
        assert np.abs(shown[row].astype(int) - wanted[row]).max() <= 3


def test_an_unknown_format_or_backend_lists_the_known() -> None:
    with pytest.raises(EngineUnavailable, match="no format 'MJPG'; known: auto, I420, NV12"):
        CameraSink(format="MJPG")
    with pytest.raises(EngineUnavailable, match="no backend 'v4l'; known: v4l2, v4l2loopback"):
        CameraSink(backend="v4l")


# pyvirtualcam -------------------------------------------------------------------------------------


def test_without_pyvirtualcam_the_remedy_is_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(EngineUnavailable, match=r"pip install 'bunraku\[camera\]'"):
        CameraSink(backend="obs")


@linux
def test_linux_needs_no_pyvirtualcam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    CameraSink()


class Library(ModuleType):
    """Stands in for pyvirtualcam, which is not everywhere and needs a device."""

    PixelFormat: Any = {name: name for name in PACKERS}

    def __init__(self, fails: str = "") -> None:
        super().__init__("pyvirtualcam")
        self.sent: list[tuple[str, tuple[int, ...]]] = []
        self._fails = fails

    def Camera(self, width: int, height: int, fps: int, **options: Any) -> Any:
        if self._fails:
            raise RuntimeError(self._fails)
        assert options["device"] is None
        name = options["fmt"]
        return SimpleNamespace(
            send=lambda data: self.sent.append((name, data.shape)), close=lambda: None
        )


@pytest.mark.parametrize("name", list(PACKERS))
def test_pyvirtualcam_gets_each_format_in_the_shape_it_wants(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    library = Library()
    monkeypatch.setitem(sys.modules, "pyvirtualcam", library)
    sink = CameraSink(backend="obs", format=name)
    sink.open(width=WIDTH, height=HEIGHT, fps=30)
    sink.video(picture())
    sink.close()
    sink.close()
    shape = SHAPE[name] if name in ("RGB", "BGR", "GRAY") else (size(name, WIDTH, HEIGHT),)
    assert library.sent == [(name, shape)]


def test_a_camera_that_pyvirtualcam_cannot_use_again_names_both_ways_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fails = "'v4l2loopback' backend: Device /dev/video0 is not a video output device.\nmore"
    monkeypatch.setitem(sys.modules, "pyvirtualcam", Library(fails))
    sink = CameraSink(backend="v4l2loopback")
    with pytest.raises(EngineError) as caught:
        sink.open(width=WIDTH, height=HEIGHT, fps=30)
    line = str(caught.value)
    assert "leave `backend` out" in line
    assert "modprobe -r v4l2loopback" in line
    assert "\n" not in line


@pytest.mark.camera
def test_pictures_go_to_a_real_virtual_camera() -> None:
    sink = CameraSink()
    sink.open(width=WIDTH, height=HEIGHT, fps=30)
    for _ in range(10):
        sink.video(picture())
    sink.close()
    sink.close()
