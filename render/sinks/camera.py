"""The virtual camera: v4l2loopback on Linux, OBS's camera on Windows and macOS (pyvirtualcam)."""

import sys
from collections.abc import Mapping
from typing import Any, ClassVar

from dialogue.plugins import EngineError, EngineUnavailable
from dialogue.ticks import Ticks
from render.frames import VideoFrame
from voice.speech import Samples

REMEDIES = {
    "linux": "run `sudo modprobe v4l2loopback exclusive_caps=1 card_label=Bunraku` "
    "(Debian and Ubuntu: `sudo apt install v4l2loopback-dkms` first)",
    "win32": "install OBS Studio, start its virtual camera once, and close OBS",
    "darwin": "install OBS Studio, start its virtual camera once, allow it, and close OBS",
}


class CameraSink:
    """Feeds a virtual camera; its sound goes out with the `device` sink beside it."""

    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *, device: str | None = None, backend: str | None = None) -> None:
        """Look for pyvirtualcam.

        Args:
            device: such as "/dev/video2"; None for the first free one.
            backend: "v4l2loopback" or "obs"; None for the system's.

        Raises:
            EngineUnavailable: pyvirtualcam is not installed.
        """
        try:
            import pyvirtualcam
        except ImportError:
            raise EngineUnavailable(
                "camera: pyvirtualcam is not installed; run `pip install 'bunraku[camera]'`"
            ) from None
        self._library = pyvirtualcam
        self._device, self._backend = device, backend
        self._camera: Any = None

    @property
    def watched(self) -> bool:
        """Who reads a camera cannot be known."""
        return True

    def open(self, *, width: int, height: int, fps: int) -> None:
        """Open the camera.

        Raises:
            EngineError: there is none, or it is busy; says what to do.
        """
        try:
            self._camera = self._library.Camera(
                width, height, fps, fmt=self._library.PixelFormat.I420,
                device=self._device, backend=self._backend,
            )  # fmt: skip
        except RuntimeError as error:
            remedy = REMEDIES.get(sys.platform, "see bunraku doctor")
            first = str(error).splitlines()[0]
            raise EngineError(f"camera: {first}; {remedy}") from None

    def video(self, frame: VideoFrame) -> None:
        """Send one picture."""
        try:
            self._camera.send(frame.i420.reshape(-1))
        except RuntimeError as error:
            raise EngineError(f"camera: {error}") from None

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Cameras carry no sound."""

    def close(self) -> None:
        """Give the camera back."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()
