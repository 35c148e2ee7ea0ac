"""The virtual camera: proven in a virtual machine with a real kernel, and what feeding it costs."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from render import v4l2
from render.convert import to_i420
from render.frames import Pixels, VideoFrame
from render.sinks.camera import PACKERS
from stage.bench.air import figure
from stage.bench.figures import Figure

WIDTH, HEIGHT, FPS = 1280, 720, 30
FRAMES = 300


def virtual_machine() -> list[Figure]:
    """What other programs got from the two devices."""
    from stage.bench.vm import machine, proof

    names = (
        ("camera: A/V offset against the sound device, median", "ms", "|x|<= 10", ""),
        ("camera: A/V offset, 99 % within", "ms", "<= 33.4", ""),
        ("camera: offset that the two sinks add, median", "ms", "|x|<= 10", "offset"),
        ("camera: offset that the two sinks add, 99 % within", "ms", "<= 33.4", "p99"),
        ("camera: pictures of the film not seen", "%", "report", ""),
        ("camera: interval of pictures, 99 %", "ms", "report", ""),
        ("camera: sound against what was mixed", "dB", "|x|<= 0.5", ""),
        ("camera: formats negotiated and right to the byte", "", f">= {len(PACKERS)}", ""),
    )
    if line := machine.missing():
        return [
            figure(name, None, unit, "report", f"not measured: {line}")
            for name, unit, _, _ in names
        ]
    proven = proof.prove(("late", "show", "formats"))
    got = proven.captured
    assert got is not None
    good = [name for name, seen in proven.formats.items() if seen.exact]
    size = f"{proof.WIDTH}x{proof.HEIGHT} at {proof.FPS}"
    own = got.drawn
    pictures = got.frames + got.lost
    values: tuple[tuple[float, str], ...] = (
        (
            got.offsets.median_ms,
            f"{got.offsets.n} words by mouth pixels and onsets in FFmpeg's capture of both, "
            f"{size}; {proven.versions()}; the film itself, as drawn: {own.median_ms:+.1f} ms",
        ),
        (got.offsets.p99_ms, f"the same words; the film itself, as drawn: {own.p99_ms:.1f} ms"),
        (
            got.exact_ms[0],
            f"{got.exact_ms[2]} pictures, each known by its bytes, against the samples of their "
            f"word; 99 % of the sound's own times are within {got.jitter_ms:.1f} ms of a line",
        ),
        (got.exact_ms[1], "the same pictures; the emulated core's own unevenness is in it"),
        (
            100.0 * got.lost / max(1, pictures),
            f"{got.lost} of {pictures}, with those that the emulated body never began: it skipped "
            f"{proven.report['show']['dropped']} from start to end; {got.foreign} that were not "
            "drawn",
        ),
        (
            got.intervals_ms[1],
            f"median {got.intervals_ms[0]:.1f}, longest {got.intervals_ms[2]:.1f} ms; says nothing "
            "about speed on a real machine",
        ),
        (got.level_db, f"median of the words, correlation {got.likeness:.4f}"),
        (len(good), f"{', '.join(good)}, one after the other on one device, exclusive_caps=1"),
    )
    return [
        figure(name, value, unit, target, how, cell=("camera" * bool(column), column))
        for (name, unit, target, column), (value, how) in zip(names, values, strict=True)
    ]


class _Swallows:
    """A kernel that only does what costs time there: it copies the picture."""

    def __init__(self, size: int) -> None:
        self._buffer = np.empty(size, np.uint8)

    def open(self, path: Path) -> int:
        """Be a device."""
        return -1

    def ioctl(self, descriptor: int, code: int, buffer: bytearray) -> None:
        """Agree."""
        if code == v4l2.QUERYCAP:
            buffer[: len(v4l2.DRIVER)] = v4l2.DRIVER.encode()

    def write(self, descriptor: int, data: Pixels) -> int:
        """Copy."""
        self._buffer[: data.size] = data
        return data.size

    def close(self, descriptor: int) -> None:
        """Be gone."""


def cost() -> list[Figure]:
    """CPU of packing and handing over pictures, the kernel's copy stood in for."""
    rng = np.random.default_rng(7)
    pixels = rng.integers(0, 255, (HEIGHT, WIDTH, 4), np.uint8)
    i420 = np.empty((HEIGHT * 3 // 2, WIDTH), np.uint8)
    to_i420(pixels, i420)
    frame = VideoFrame(0, 0, pixels, i420)
    return [
        figure(
            f"camera: CPU at 720p30, {name}", 100.0 * _seconds(name, frame) * FPS, "% of a core",
            target, f"process CPU of {FRAMES} pictures; {what}",
            cell=("camera", "cpu") if name == "I420" else ("", ""),
        )
        for name, target, what in (
            ("I420", "<= 2", "the default: as the show has it, one copy by a stand-in kernel"),
            ("NV12", "report", "packed, and copied by a stand-in kernel"),
            ("YUYV", "report", "packed, and copied by a stand-in kernel"),
            ("RGB", "report", "converted by OpenCV, and copied by a stand-in kernel"),
        )
    ]  # fmt: skip


def _seconds(name: str, frame: VideoFrame) -> float:
    """Return the CPU seconds that one picture costs."""
    import cv2

    cv2.setNumThreads(1)  # as in the body
    out = np.empty(WIDTH * HEIGHT * 4, np.uint8)
    size = PACKERS[name](frame, _room(name, out)).size
    with tempfile.TemporaryDirectory() as folder:
        output = v4l2.Output(
            Path(folder) / "video0", width=WIDTH, height=HEIGHT, fps=FPS, format=name,
            system=_Swallows(size), root=Path(folder),
        )  # fmt: skip
        begun = time.process_time()
        for _ in range(FRAMES):
            output.write(PACKERS[name](frame, _room(name, out)))
        used = time.process_time() - begun
        output.close()
    return used / FRAMES


def _room(name: str, out: Pixels) -> Pixels:
    from render.sinks.camera import size

    return out[: size(name, WIDTH, HEIGHT)]


PARTS: dict[str, tuple[str, Callable[[], list[Figure]]]] = {
    "camera": ("the virtual camera and a sound card in a virtual machine", virtual_machine),
    "camera-cpu": ("what feeding a virtual camera costs", cost),
}
