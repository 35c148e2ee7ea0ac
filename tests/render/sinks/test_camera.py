"""The virtual camera where there is none: one line that says what to do."""

import sys
from pathlib import Path

import numpy as np
import pytest

from dialogue.plugins import EngineError, EngineUnavailable
from render.frames import VideoFrame
from render.sinks.camera import REMEDIES, CameraSink

WIDTH, HEIGHT = 320, 180


def test_without_pyvirtualcam_the_remedy_is_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(EngineUnavailable, match=r"pip install 'bunraku\[camera\]'"):
        CameraSink()


@pytest.mark.skipif(
    any(Path("/sys/devices/virtual/video4linux").glob("video*")), reason="there is a camera"
)
def test_a_missing_device_says_what_to_do() -> None:
    pytest.importorskip("pyvirtualcam", reason="an extra")
    sink = CameraSink()
    with pytest.raises(EngineError) as caught:
        sink.open(width=WIDTH, height=HEIGHT, fps=30)
    line = str(caught.value)
    assert line.startswith("camera: ")
    assert REMEDIES[sys.platform] in line
    assert "\n" not in line
    sink.close()


@pytest.mark.camera
def test_pictures_go_to_a_real_virtual_camera() -> None:
    sink = CameraSink()
    sink.open(width=WIDTH, height=HEIGHT, fps=30)
    i420 = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    for k in range(10):
        sink.video(VideoFrame(k * 1600, k, np.zeros((HEIGHT, WIDTH, 4), np.uint8), i420))
    sink.close()
    sink.close()
