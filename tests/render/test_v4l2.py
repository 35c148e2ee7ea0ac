"""A virtual camera's kernel side, against a driver that answers byte by byte."""

import errno
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from render import v4l2
from render.v4l2 import DeviceError, Holder, Output
from tests.render.kernel import FakeKernel, camera, process

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Video4Linux is of Linux")

WIDTH, HEIGHT, FPS = 320, 180, 25


def output(path: Path, kernel: FakeKernel, root: Path, form: str = "I420") -> Output:
    return Output(
        path, width=WIDTH, height=HEIGHT, fps=FPS, format=form, system=kernel, root=root
    )  # fmt: skip


def test_the_calls_have_the_kernels_numbers() -> None:
    assert v4l2.QUERYCAP == 0x80685600
    assert v4l2.STREAMON == 0x40045612
    assert v4l2.S_PARM == 0xC0CC5616
    assert v4l2.S_FMT in (0xC0D05605, 0xC0CC5605)  # 64 and 32 bits


def test_format_rate_and_pictures_reach_the_driver(tmp_path: Path) -> None:
    kernel = FakeKernel()
    camera_ = output(camera(tmp_path, 0, "Bunraku"), kernel, tmp_path, "YUYV")
    assert kernel.format == (WIDTH, HEIGHT, b"YUYV")
    assert (kernel.fps, kernel.announced) == (FPS, True)
    camera_.write(np.arange(6, dtype=np.uint8))
    assert kernel.written == [bytes(range(6))]
    camera_.close()
    camera_.close()
    assert kernel.open_now == 0


def test_a_newer_driver_that_refuses_to_be_told_is_written_to_all_the_same(tmp_path: Path) -> None:
    kernel = FakeKernel()
    kernel.refuses = {str(v4l2.STREAMON): errno.EINVAL, str(v4l2.S_PARM): errno.EINVAL}
    output(camera(tmp_path, 0, "Bunraku"), kernel, tmp_path).write(np.zeros(3, np.uint8))
    assert len(kernel.written) == 1


def test_a_device_that_a_writer_left_as_nothing_is_revived(tmp_path: Path) -> None:
    kernel = FakeKernel()
    kernel.capabilities = 0
    camera_ = output(camera(tmp_path, 0, "Bunraku"), kernel, tmp_path)
    camera_.write(np.zeros(3, np.uint8))
    assert kernel.open_now == 1
    camera_.close()
    assert kernel.open_now == 0


def test_somebody_who_still_looks_in_another_size_is_told_of(tmp_path: Path) -> None:
    kernel = FakeKernel()
    kernel.format, kernel.held_by_others = (640, 480, b"YUYV"), True
    with pytest.raises(DeviceError, match=r"open in another program as 640x480 YUYV, not 320x180"):
        output(camera(tmp_path, 0, "Bunraku"), kernel, tmp_path)
    assert kernel.open_now == 0


def test_a_camera_with_a_lens_is_named_and_let_go(tmp_path: Path) -> None:
    kernel = FakeKernel(driver="uvcvideo")
    device = camera(tmp_path, 0, "x")
    with pytest.raises(DeviceError, match=r"real camera \(Integrated Camera, driver uvcvideo\)"):
        output(device, kernel, tmp_path)
    assert kernel.open_now == 0
    assert kernel.format is None


@pytest.mark.parametrize(
    ("where", "number", "words"),
    [
        ("open", errno.EACCES, "usermod -aG video"),
        ("open", errno.ENOENT, "is not there (any more); `bunraku doctor`"),
        ("open", errno.EBUSY, "is busy"),
        (str(v4l2.QUERYCAP), errno.ENOTTY, "is no camera"),
        (str(v4l2.S_FMT), errno.EBUSY, "is busy"),
        (str(v4l2.S_FMT), errno.EIO, "Input/output error"),
    ],
)
def test_what_the_kernel_refuses_is_one_line_with_the_device_and_the_remedy(
    tmp_path: Path, where: str, number: int, words: str
) -> None:
    kernel = FakeKernel()
    kernel.refuses = {where: number}
    device = camera(tmp_path, 3, "Bunraku")
    with pytest.raises(DeviceError) as caught:
        output(device, kernel, tmp_path)
    line = str(caught.value)
    assert str(device) in line
    assert words in line
    assert "\n" not in line
    assert kernel.open_now == 0


def test_a_camera_that_goes_while_it_is_fed_is_an_error(tmp_path: Path) -> None:
    kernel = FakeKernel()
    camera_ = output(camera(tmp_path, 0, "Bunraku"), kernel, tmp_path)
    kernel.refuses = {"write": errno.ENODEV}
    with pytest.raises(DeviceError, match="not there"):
        camera_.write(np.zeros(3, np.uint8))


def test_two_programs_never_feed_one_camera(tmp_path: Path) -> None:
    device = camera(tmp_path, 0, "Bunraku")
    process(tmp_path, 41, "ffmpeg", device, flags=os.O_WRONLY)
    kernel = FakeKernel()
    with pytest.raises(DeviceError, match=r"is fed by ffmpeg already \(process 41\)"):
        output(device, kernel, tmp_path)
    assert kernel.open_now == 0


def test_programs_that_only_look_do_not_stand_in_the_way(tmp_path: Path) -> None:
    device = camera(tmp_path, 0, "Bunraku")
    other = camera(tmp_path, 1, "Other")
    process(tmp_path, 40, "zoom", device, flags=os.O_RDWR)
    process(tmp_path, 41, "ffmpeg", other, flags=os.O_WRONLY)
    output(device, FakeKernel(), tmp_path).close()
    assert v4l2.holders(device, tmp_path) == [Holder(40, "zoom", writes=False)]


def test_cameras_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 2):
        camera(tmp_path, number, f"number {number}", form="YU12:640x360@30")
    found = v4l2.devices(tmp_path)
    assert [device.label for device in found] == ["number 2", "number 10"]
    assert found[0].format == "YU12:640x360@30"
    assert v4l2.devices(tmp_path / "nowhere") == []
