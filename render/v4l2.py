"""Video4Linux's side of a virtual camera: find the devices, say who holds them, write pictures.

Written against the kernel's own interface (`linux/videodev2.h`): a dozen bytes a call. A writer
announces itself (`STREAMON`) before it writes, and `v4l2loopback` takes note when it has gone. A
writer that does not, as most programs, leaves a device with `exclusive_caps=1` behind that is
neither an output nor a camera any more until the module is loaded anew; such a device is announced
to, opened once more and asked again, which revives it (version 0.12.7, `make vm`).

Runs on: the sink's thread. Linux only; nothing here is imported elsewhere.
"""

import contextlib
import errno
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from render.frames import Pixels

DRIVER = "v4l2 loopback"
"""What a virtual camera's driver calls itself; any other is a camera with a lens."""

FOURCC = {
    "I420": b"YU12", "NV12": b"NV12", "YUYV": b"YUYV", "UYVY": b"UYVY",
    "RGB": b"RGB3", "BGR": b"BGR3", "GRAY": b"GREY",
}  # fmt: skip
"""Our names of the formats (those of pyvirtualcam) -> Video4Linux's."""

CAPTURE = 0x1
"""V4L2_CAP_VIDEO_CAPTURE: the device says that it can be looked at."""
OUTPUT = 0x2
"""V4L2_CAP_VIDEO_OUTPUT: the device says that it can be fed."""

_TYPE_OUTPUT = 2  # V4L2_BUF_TYPE_VIDEO_OUTPUT
_FIELD_NONE = 1
_SRGB = 8  # V4L2_COLORSPACE_SRGB
_ENC_601, _LIMITED, _FULL, _XFER_SRGB = 1, 2, 1, 2

# A `v4l2_format` holds pointers in one of its variants, which aligns all of them.
_PAD = 4 if struct.calcsize("P") == 8 else 0
_CAPABILITY, _FORMAT, _PARM = 104, 204 + _PAD, 204


def _code(way: int, number: int, size: int) -> int:
    """Return the number of an ioctl of group 'V'; way 1 writes to the driver, 2 reads, 3 both."""
    return way << 30 | size << 16 | ord("V") << 8 | number


QUERYCAP = _code(2, 0, _CAPABILITY)
S_FMT = _code(3, 5, _FORMAT)
STREAMON = _code(1, 18, 4)
S_PARM = _code(3, 22, _PARM)

Ioctl = Callable[[int, int, bytearray], Any]
"""As `fcntl.ioctl`: what the driver answers stands in the buffer."""


class DeviceError(RuntimeError):
    """A device cannot be used; one line with the remedy, without its sink's name."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A program that has a device open."""

    pid: int
    """Its process."""
    name: str
    """As `ps` shows it."""
    writes: bool
    """It opened the device for writing only, as programs do that feed it and none that look."""


@dataclass(frozen=True, slots=True)
class Device:
    """A virtual camera as told by `/sys`."""

    path: Path
    """Such as `/dev/video2`."""
    label: str
    """The name that applications show; "" where the system does not say."""
    format: str
    """What it was fed with last, such as "YU12:640x360@30/1"; "" when fresh, or untold."""


class System(Protocol):
    """What is asked of the operating system; another one in tests."""

    def open(self, path: Path) -> int:
        """Open a device for writing and return its descriptor."""

    def ioctl(self, descriptor: int, code: int, buffer: bytearray) -> Any:
        """Call the driver."""

    def write(self, descriptor: int, data: Pixels) -> int:
        """Write one picture and return how many bytes were taken."""

    def close(self, descriptor: int) -> None:
        """Close it."""


class Kernel:
    """The running one."""

    def open(self, path: Path) -> int:
        """Open a device for writing and return its descriptor."""
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC)

    def ioctl(self, descriptor: int, code: int, buffer: bytearray) -> Any:
        """Call the driver."""
        import fcntl

        return fcntl.ioctl(descriptor, code, buffer)

    def write(self, descriptor: int, data: Pixels) -> int:
        """Write one picture and return how many bytes were taken."""
        return os.write(descriptor, data.data)

    def close(self, descriptor: int) -> None:
        """Close it."""
        os.close(descriptor)


def devices(root: Path = Path("/")) -> list[Device]:
    """Return the virtual cameras of the system whose `/sys` and `/dev` are in `root`."""
    folder = root / "sys" / "devices" / "virtual" / "video4linux"
    nodes = sorted(folder.glob("video*"), key=lambda node: int(node.name[5:] or 0))
    return [
        Device(root / "dev" / node.name, read(node / "name"), read(node / "format"))
        for node in nodes
    ]


def read(path: Path) -> str:
    """Return what a small file of the system says; "" where it says nothing."""
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def holders(device: Path, root: Path = Path("/")) -> list[Holder]:
    """Return the other programs that have `device` open, as far as this user may know."""
    found = []
    for process in (root / "proc").glob("[0-9]*"):
        pid = int(process.name)
        if pid == os.getpid():
            continue
        modes = []
        with contextlib.suppress(OSError):  # of another user, or gone meanwhile
            for link in (process / "fd").iterdir():
                if link.readlink() == device:
                    modes.append(_write_only(read(process / "fdinfo" / link.name)))
        if modes:
            found.append(Holder(pid, read(process / "comm") or "?", any(modes)))
    return sorted(found, key=lambda holder: holder.pid)


def _write_only(text: str) -> bool:
    flags = next((line.split()[1] for line in text.splitlines() if line.startswith("flags")), "0")
    return int(flags, 8) & os.O_ACCMODE == os.O_WRONLY


def ask(path: Path, system: System | None = None) -> tuple[str, str, int]:
    """Return the driver, the label and the capabilities of a device, and let it go.

    Raises:
        DeviceError: it cannot be opened, or is no camera.
    """
    kernel: System = system if system is not None else Kernel()
    try:
        descriptor = kernel.open(path)
        try:
            return _ask(kernel, descriptor)
        finally:
            kernel.close(descriptor)
    except OSError as error:
        raise DeviceError(_why(path, error)) from None


def _ask(system: System, descriptor: int) -> tuple[str, str, int]:
    buffer = bytearray(_CAPABILITY)
    system.ioctl(descriptor, QUERYCAP, buffer)
    capabilities = struct.unpack_from("=I", buffer, 84)[0]
    return _text(buffer[:16]), _text(buffer[16:48]), capabilities


class Output:
    """One virtual camera, open for pictures."""

    def __init__(
        self,
        path: Path,
        *,
        width: int,
        height: int,
        fps: int,
        format: str,  # noqa: A002 - the word of the show.toml
        system: System | None = None,
        root: Path = Path("/"),
    ) -> None:
        """Open the device and agree on the format.

        Args:
            path: the device.
            width: of the pictures, in pixels.
            height: of the pictures, in pixels.
            fps: frames a second, as programs that look are told.
            format: a key of `FOURCC`.
            system: does the calls; None for the running kernel.
            root: where `proc` is.

        Raises:
            DeviceError: it cannot be had; says who has it or what to do.
        """
        self.path = path
        self._system: System = system if system is not None else Kernel()
        self._descriptor: int | None = None
        for holder in holders(path, root):
            if holder.writes:
                raise DeviceError(
                    f"{path} is fed by {holder.name} already (process {holder.pid}); close that, "
                    "or choose another camera"
                )
        try:
            self._descriptor = self._system.open(path)
            driver, card, capabilities = _ask(self._system, self._descriptor)
            if driver != DRIVER:
                raise DeviceError(
                    f"{path} is a real camera ({card}, driver {driver}), not a virtual one; "
                    "`bunraku doctor` names the virtual ones"
                )
            if not capabilities & (CAPTURE | OUTPUT):
                self._revive(path)
            self._agree(width, height, fps, format)
        except OSError as error:
            self.close()
            raise DeviceError(_why(path, error)) from None
        except DeviceError:
            self.close()
            raise

    def write(self, picture: Pixels) -> None:
        """Send one picture in the format that was agreed on.

        Raises:
            DeviceError: the device has gone.
        """
        assert self._descriptor is not None
        try:
            n = self._system.write(self._descriptor, picture)
        except OSError as error:
            raise DeviceError(_why(self.path, error)) from None
        if n != picture.size:
            raise DeviceError(f"{self.path} took {n} of {picture.size} bytes of a picture")

    def close(self) -> None:
        """Give the device back; safe to call twice."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._system.close(descriptor)

    def _call(self, code: int, buffer: bytearray) -> None:
        assert self._descriptor is not None
        self._system.ioctl(self._descriptor, code, buffer)

    def _revive(self, path: Path) -> None:
        """Open anew a device that the writer before left as nothing at all."""
        assert self._descriptor is not None
        with contextlib.suppress(OSError):  # refused for want of a format, but taken note of
            self._call(STREAMON, bytearray(struct.pack("=i", _TYPE_OUTPUT)))
        descriptor, self._descriptor = self._descriptor, None
        self._system.close(descriptor)
        self._descriptor = self._system.open(path)
        _ask(self._system, self._descriptor)  # only being asked makes it look at itself

    def _agree(self, width: int, height: int, fps: int, name: str) -> None:
        fourcc = FOURCC[name]
        wanted = (width, height, fourcc)
        quantization = _FULL if name in ("RGB", "BGR", "GRAY") else _LIMITED
        buffer = bytearray(_FORMAT)
        struct.pack_into("=I", buffer, 0, _TYPE_OUTPUT)
        struct.pack_into(
            "=II4sIIIIIIIII", buffer, 4 + _PAD, width, height, fourcc, _FIELD_NONE, 0, 0, _SRGB,
            0, 0, _ENC_601, quantization, _XFER_SRGB,
        )  # fmt: skip
        self._call(S_FMT, buffer)
        got = struct.unpack_from("=II4s", buffer, 4 + _PAD)
        if got != wanted:
            raise DeviceError(
                f"{self.path} is still open in another program as {got[0]}x{got[1]} "
                f"{got[2].decode('ascii', 'replace')}, not {width}x{height} {name}; close the "
                "program that shows it, or keep to that size"
            )
        buffer = bytearray(_PARM)
        struct.pack_into("=I", buffer, 0, _TYPE_OUTPUT)
        struct.pack_into("=II", buffer, 12, 1, fps)
        with contextlib.suppress(OSError):  # only told to those who look
            self._call(S_PARM, buffer)
        # From version 0.14 on the first picture does this, and this is refused.
        with contextlib.suppress(OSError):
            self._call(STREAMON, bytearray(struct.pack("=i", _TYPE_OUTPUT)))


def _text(data: bytearray) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "replace")


def _why(path: Path, error: OSError) -> str:
    """Say in one line why the device cannot be used."""
    match error.errno:
        case errno.EACCES | errno.EPERM:
            return (
                f"not allowed to write to {path}; `sudo usermod -aG video $USER`, then log out "
                "and in again"
            )
        case errno.ENOENT | errno.ENXIO | errno.ENODEV:
            return f"{path} is not there (any more); `bunraku doctor` says how to make it"
        case errno.EBUSY:
            return (
                f"{path} is busy: another program feeds it or too many look; `bunraku doctor` "
                "says which"
            )
        case errno.ENOTTY | errno.EINVAL:
            return f"{path} is no camera; `bunraku doctor` names the virtual ones"
    return f"{path}: {error.strerror}; `bunraku doctor` looks at it"
