"""The virtual camera: v4l2loopback on Linux, OBS's camera on Windows and macOS (pyvirtualcam).

On Linux the pictures go to the kernel directly (`render.v4l2`): a device that is missing, busy or
gone is known at once and by name, a sink that is made anew finds it again, and programs that look
are told the true frame rate. pyvirtualcam serves elsewhere, and where `backend` names one of its.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from dialogue.plugins import EngineError, EngineUnavailable
from dialogue.ticks import Ticks
from render import v4l2
from render.frames import Pixels, VideoFrame
from voice.speech import Samples

MODPROBE = 'sudo modprobe v4l2loopback exclusive_caps=1 card_label="Bunraku"'

REMEDIES = {
    "linux": f"run `{MODPROBE}` (Debian and Ubuntu: `sudo apt install v4l2loopback-dkms` first)",
    "win32": "install OBS Studio, start its virtual camera once, and close OBS",
    "darwin": "install OBS Studio, start its virtual camera once, allow it, and close OBS",
}

BACKENDS = ("v4l2", "v4l2loopback", "obs", "unitycapture")
"""Ours (Linux), and pyvirtualcam's three."""

OURS = "Bunraku"
"""A device with this in its label is taken before others."""


class _Writer(Protocol):
    def write(self, picture: Pixels) -> None:
        """Send one picture."""

    def close(self) -> None:
        """Give the device back."""


class CameraSink:
    """Feeds a virtual camera; its sound goes out with the `device` sink beside it."""

    needs: ClassVar[Mapping[str, str]] = {}
    silent: ClassVar[bool] = True

    def __init__(
        self,
        *,
        device: str | None = None,
        backend: str | None = None,
        format: str = "auto",  # noqa: A002 - the word of the show.toml
    ) -> None:
        """Choose a way.

        Args:
            device: such as "/dev/video2", or a part of its label; None for the first free one.
            backend: "v4l2" (ours), or pyvirtualcam's "v4l2loopback", "obs" or "unitycapture";
                None for the system's.
            format: what the device is fed with: "I420", "NV12", "YUYV", "UYVY", "RGB", "BGR" or
                "GRAY"; "auto" for I420, which costs nothing and which all programs take.

        Raises:
            EngineUnavailable: an option is unknown, or pyvirtualcam is not installed.
        """
        self._format = "I420" if format == "auto" else format
        if self._format not in PACKERS:
            known = ", ".join(["auto", *PACKERS])
            raise EngineUnavailable(f"camera: no format {format!r}; known: {known}")
        if backend is not None and backend not in BACKENDS:
            known = ", ".join(BACKENDS)
            raise EngineUnavailable(f"camera: no backend {backend!r}; known: {known}")
        self._device, self._backend = device, backend
        self._library: Any = None
        if backend != "v4l2" and (backend is not None or sys.platform != "linux"):
            try:
                import pyvirtualcam
            except ImportError:
                raise EngineUnavailable(
                    "camera: pyvirtualcam is not installed; run `pip install 'bunraku[camera]'`"
                ) from None
            self._library = pyvirtualcam
        self._writer: _Writer | None = None
        self._packed: Pixels | None = None

    @property
    def takes_pixels(self) -> bool:
        """Two of the formats are made of the I420 picture."""
        return self._format not in ("I420", "NV12")

    @property
    def watched(self) -> bool:
        """Who reads a camera cannot be known."""
        return True

    def open(self, *, width: int, height: int, fps: int) -> None:
        """Open the camera.

        Raises:
            EngineError: there is none, or it is busy; says what to do.
        """
        if self._library is not None:
            self._writer = _Library(
                self._library, width, height, fps, self._format, self._device, self._backend
            )
        else:
            try:
                self._writer = open_free(
                    self._device, width=width, height=height, fps=fps, format=self._format
                )
            except v4l2.DeviceError as error:
                raise EngineError(f"camera: {error}") from None
        self._packed = np.empty(size(self._format, width, height), np.uint8)

    def video(self, frame: VideoFrame) -> None:
        """Send one picture.

        Raises:
            EngineError: the camera has gone.
        """
        assert self._writer is not None
        assert self._packed is not None
        picture = PACKERS[self._format](frame, self._packed)
        try:
            self._writer.write(picture)
        except (v4l2.DeviceError, RuntimeError) as error:
            raise EngineError(f"camera: {error}") from None

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Cameras carry no sound."""

    def close(self) -> None:
        """Give the camera back."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


def open_free(
    name: str | None,
    *,
    width: int,
    height: int,
    fps: int,
    format: str,  # noqa: A002 - the word of the show.toml
    system: v4l2.System | None = None,
    root: Path = Path("/"),
) -> v4l2.Output:
    """Return the device called `name`, or else the first that can be had, open for pictures.

    Args:
        name: a path, or a part of a label; None for any.
        width: of the pictures, in pixels.
        height: of the pictures, in pixels.
        fps: frames a second.
        format: a key of `PACKERS`.
        system: does the calls; None for the running kernel.
        root: where `sys`, `dev` and `proc` are.

    Raises:
        DeviceError: none can be had; says why the first of them cannot.
    """
    found = v4l2.devices(root)
    if name is not None and "/" in name:
        paths = [Path(name)]
    else:
        paths = [device.path for device in found if name is None or name in device.label]
        paths.sort(key=lambda path: OURS not in _label(found, path))  # stable: ours first
    if not paths:
        if found and name is not None:
            labels = ", ".join(f"{device.label} ({device.path})" for device in found)
            raise v4l2.DeviceError(f"no virtual camera is called {name!r}; there is {labels}")
        raise v4l2.DeviceError(f"there is no virtual camera; {REMEDIES['linux']}")
    why: list[v4l2.DeviceError] = []
    for path in paths:
        try:
            return v4l2.Output(
                path, width=width, height=height, fps=fps, format=format, system=system, root=root
            )
        except v4l2.DeviceError as error:
            why.append(error)
    raise why[0]


def _label(found: list[v4l2.Device], path: Path) -> str:
    return next(device.label for device in found if device.path == path)


class _Library:
    """A camera of pyvirtualcam's."""

    def __init__(
        self, library: Any, width: int, height: int, fps: int, name: str, device: str | None,
        backend: str | None,
    ) -> None:  # fmt: skip
        try:
            self._camera = library.Camera(
                width, height, fps, fmt=library.PixelFormat[name], device=device, backend=backend
            )
        except (RuntimeError, KeyError) as error:
            text = str(error)
            first = text.splitlines()[0] if text else "cannot be opened"
            # It tells `exclusive_caps=1` and a writer before it from no camera by this alone.
            used = "not a video output device" in text
            remedy = (
                "leave `backend` out: ours tries to revive it; or `sudo modprobe -r v4l2loopback`, "
                f"then `{MODPROBE}`"
                if used
                else REMEDIES.get(sys.platform, "see `bunraku doctor`")
            )
            raise EngineError(f"camera: {first}; {remedy}") from None
        # OBS's cameras take RGB in their own shape; all others a row of bytes.
        self._shape = {"RGB": (height, width, 3), "BGR": (height, width, 3)}.get(
            name, (height, width) if name == "GRAY" else (-1,)
        )

    def write(self, picture: Pixels) -> None:
        """Send one picture."""
        self._camera.send(picture.reshape(self._shape))

    def close(self) -> None:
        """Give the camera back."""
        self._camera.close()


# What the device is fed with ----------------------------------------------------------------------


def size(name: str, width: int, height: int) -> int:
    """Return the bytes of a picture."""
    halves = {"I420": 3, "NV12": 3, "YUYV": 4, "UYVY": 4, "RGB": 6, "BGR": 6, "GRAY": 2}
    return width * height * halves[name] // 2


def _as_it_is(frame: VideoFrame, out: Pixels) -> Pixels:
    return frame.i420.reshape(-1)


def _nv12(frame: VideoFrame, out: Pixels) -> Pixels:
    """Put the planes of U and V into one, sample by sample."""
    luma = frame.i420.size * 2 // 3
    planes = frame.i420.reshape(-1)
    out[:luma] = planes[:luma]
    half = luma // 4
    out[luma::2] = planes[luma : luma + half]
    out[luma + 1 :: 2] = planes[luma + half :]
    return out


def _interleaved(first: int) -> Callable[[VideoFrame, Pixels], Pixels]:
    """Return a packer into pairs of pixels that share U and V, luma from byte `first` on.

    Made from I420, two rows with the same colours: a fifth of what OpenCV takes from BGRA.
    """

    def pack(frame: VideoFrame, out: Pixels) -> Pixels:
        height, width = frame.pixels.shape[:2]
        pairs = out.reshape(height, width // 2, 4)
        pairs[..., first] = frame.i420[:height, 0::2]
        pairs[..., first + 2] = frame.i420[:height, 1::2]
        colours = frame.i420.reshape(-1)[height * width :].reshape(2, height // 2, width // 2)
        for plane, byte in zip(colours, (1 - first, 3 - first), strict=True):
            pairs[0::2, :, byte] = plane
            pairs[1::2, :, byte] = plane
        return out

    return pack


def _converted(code: str) -> Callable[[VideoFrame, Pixels], Pixels]:
    """Return a packer that lets OpenCV convert from BGRA; same matrix as `convert.to_i420`."""

    def pack(frame: VideoFrame, out: Pixels) -> Pixels:
        import cv2

        height, width = frame.pixels.shape[:2]
        shaped = out.reshape(height, width, -1)
        result = cv2.cvtColor(frame.pixels, getattr(cv2, code), dst=shaped)
        if result.ctypes.data != out.ctypes.data:
            out[:] = result.reshape(-1)
        return out

    return pack


PACKERS: dict[str, Callable[[VideoFrame, Pixels], Pixels]] = {
    "I420": _as_it_is,
    "NV12": _nv12,
    "YUYV": _interleaved(0),
    "UYVY": _interleaved(1),
    "RGB": _converted("COLOR_BGRA2RGB"),
    "BGR": _converted("COLOR_BGRA2BGR"),
    "GRAY": _converted("COLOR_BGRA2GRAY"),
}
"""Format -> what makes one row of bytes of a frame, in memory lent to it."""
