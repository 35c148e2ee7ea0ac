"""A kernel with v4l2loopback in it: the driver's answers, byte by byte, and a tree of /sys."""

import errno
import os
import struct
from pathlib import Path

from render import v4l2
from render.frames import Pixels

PAD = 4 if struct.calcsize("P") == 8 else 0


class FakeKernel:
    """Answers as version 0.12.7 does: formats stay while somebody has the device open."""

    def __init__(self, driver: str = "v4l2 loopback") -> None:
        self.driver = driver
        self.refuses: dict[str, int] = {}
        """"open", "write" or an ioctl's number as text -> errno."""
        self.format: tuple[int, int, bytes] | None = None
        self.held_by_others = False
        self.fps = 0
        self.announced = False
        self.capabilities = 3
        self._looked = 0  # the capabilities that it knew when it was asked last
        self.written: list[bytes] = []
        self.open_now = 0

    def _may(self, what: str) -> None:
        if what in self.refuses:
            raise OSError(self.refuses[what], os.strerror(self.refuses[what]))

    def open(self, path: Path) -> int:
        self._may("open")
        self.open_now += 1
        return 7

    def ioctl(self, descriptor: int, code: int, buffer: bytearray) -> int:
        self._may(str(code))
        assert len(buffer) == code >> 16 & 0x3FFF
        if code == v4l2.QUERYCAP:
            struct.pack_into("16s32s", buffer, 0, self.driver.encode(), b"Integrated Camera")
            self._looked = self.capabilities
            struct.pack_into("=I", buffer, 84, self.capabilities)
        elif code == v4l2.S_FMT:
            if not self._looked & 3:
                raise OSError(errno.EINVAL, "neither camera nor output")
            if self.format is None or not self.held_by_others:
                self.format = struct.unpack_from("=II4s", buffer, 4 + PAD)
            struct.pack_into("=II4s", buffer, 4 + PAD, *self.format)
        elif code == v4l2.S_PARM:
            one, self.fps = struct.unpack_from("=II", buffer, 12)
            assert one == 1
        elif code == v4l2.STREAMON:
            self.announced = True
        else:
            raise OSError(errno.ENOTTY, "no such call")
        return 0

    def write(self, descriptor: int, data: Pixels) -> int:
        self._may("write")
        self.written.append(data.tobytes())
        return data.size

    def close(self, descriptor: int) -> None:
        self.open_now -= 1
        if self.announced:
            self.capabilities |= v4l2.OUTPUT


def camera(root: Path, number: int, label: str, *, form: str = "") -> Path:
    """Add a virtual camera to the tree below `root` and return its device."""
    folder = root / "sys" / "devices" / "virtual" / "video4linux" / f"video{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(label + "\n")
    (folder / "format").write_text(form + "\n")
    (root / "sys" / "module" / "v4l2loopback").mkdir(parents=True, exist_ok=True)
    device = root / "dev" / f"video{number}"
    device.parent.mkdir(exist_ok=True)
    device.touch()
    return device


def process(root: Path, pid: int, name: str, device: Path, *, flags: int) -> None:
    """Add a process that has `device` open."""
    folder = root / "proc" / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "fdinfo").mkdir()
    (folder / "comm").write_text(name + "\n")
    (folder / "fd" / "5").symlink_to(device)
    (folder / "fdinfo" / "5").write_text(f"pos:\t0\nflags:\t0{flags:o}\nmnt_id:\t27\n")
