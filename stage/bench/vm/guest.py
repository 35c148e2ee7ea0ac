"""What runs inside the virtual machine: our sinks on a real kernel, others reading them back.

`python -m stage.bench.vm.guest` finds in `/out` the pictures (`frames.npy`, BGRA) and the sound
(`sound.npy`) of a show that a body drew and mixed before, and leaves there what other programs
got: `capture.nut`, one file a format (`I420.raw`), and `report.json`, what was seen on the way.
Nothing is judged here.

Runs on: one emulated core. The show goes the body's way, with its clock, pacing, conversion, `Air`
and sinks, tick by tick; pictures and sound are looked up, since drawing one would take a second.
"""

import contextlib
import faulthandler
import gc
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dialogue import plugins
from dialogue.plugins import EngineError
from dialogue.ticks import TICKS_PER_S, Ticks
from render import v4l2
from render.air import Air
from render.clock import MonotonicClock
from render.convert import to_i420
from render.frames import Pixels, VideoFrame
from render.pacing import Lead, Pacer
from render.sinks.camera import PACKERS, CameraSink
from voice.speech import Samples

OUT = Path("/out")
FAST = Path("/dev/shm")
CAMERA = Path("/dev/video0")
"""With `exclusive_caps=1`, as browsers need it."""
OPEN_CAMERA = Path("/dev/video1")
"""With `exclusive_caps=0`."""
SOUND = "Loopback: PCM (hw:0,0)"
"""PortAudio's name of the side of the looped card that is played on."""
HEARD = "plughw:0,1"
"""ALSA's name of its other side."""
FFMPEG_FORMATS = {
    "I420": "yuv420p", "NV12": "nv12", "YUYV": "yuyv422", "UYVY": "uyvy422", "RGB": "rgb24",
    "BGR": "bgr24", "GRAY": "gray",
}  # fmt: skip
SETTLE_S = 8.0
"""The sound finds its place in silence meanwhile, as it does at the beginning of any show."""
START_S = 30.0
"""Both devices are open and read by then."""
PART_S = 90.0
"""A part that takes longer is stuck: where, is shown on the console."""


class Play:
    """A body whose pictures and sound were made before."""

    def __init__(self, frames: Pixels, sound: Samples, air: Air, plan: dict[str, Any]) -> None:
        self.base: Ticks | None = None
        """Stage time of the first picture; the host rests before it, and while it is None."""
        self._frames, self._sound, self._air = frames, sound, air
        self._step: Ticks = TICKS_PER_S // plan["fps"]
        self._lead = Lead(plan["audio_lead"])
        self._mixed: Ticks | None = None

    def step(self, pts: Ticks) -> None:
        """Hand the sound up to a little after `pts`, and the picture of `pts`, to the sinks."""
        self._lead.note(pts, self._air.short)
        until = pts + self._step + self._lead.ticks
        mixed = pts if self._mixed is None else self._mixed
        if until > mixed:
            self._air.audio(mixed, self._heard(mixed, until))
            self._mixed = until
        pixels, i420 = self._air.blank()
        k = 0 if self.base is None else (pts - self.base) // self._step
        pixels[:] = self._frames[min(max(k, 0), len(self._frames) - 1)]
        to_i420(pixels, i420)
        self._air.video(VideoFrame(pts, pts // self._step, pixels, i420))

    def _heard(self, start: Ticks, stop: Ticks) -> Samples:
        block = np.zeros(stop - start, np.float32)
        if self.base is None:
            return block
        first, last = max(start, self.base), min(stop, self.base + len(self._sound))
        if first < last:
            block[first - start : last - start] = self._sound[first - self.base : last - self.base]
        return block


def main() -> None:
    """Do everything, in order; what fails is told in the report and ends only its own part."""
    report: dict[str, Any] = {"kernel": os.uname().release}
    plan = json.loads((OUT / "plan.json").read_text("utf-8"))
    frames = np.load(OUT / "frames.npy")
    fps = plan["fps"]
    load("snd-aloop", "pcm_substreams=1")
    parts: dict[str, Callable[[], Any]] = {
        "late": lambda: late(frames, fps),
        "show": lambda: show(frames, plan),
        "formats": lambda: formats(frames, fps),
        "lines": lambda: lines(frames, fps),
        "killed": lambda: killed(frames, fps),
        "library": lambda: library(frames, fps),
    }
    for name in plan["parts"]:
        begun = time.monotonic()
        faulthandler.dump_traceback_later(PART_S, exit=True)  # to the console
        try:
            report[name] = parts[name]()
        except Exception as error:
            report[name] = {"failed": f"{type(error).__name__}: {error}"}
        report[f"{name}_s"] = time.monotonic() - begun
        print(name, f"{time.monotonic() - begun:.1f} s", flush=True)
        (OUT / "report.json").write_text(json.dumps(report, indent=1), "utf-8")


def load(module: str, *options: str) -> None:
    """Load a kernel module."""
    subprocess.run(["insmod", f"/modules/{module}.ko", *options], check=True)


def frame(frames: Pixels, k: int, fps: int) -> VideoFrame:
    """Return picture `k` as the body would hand it over."""
    pixels = np.ascontiguousarray(frames[k])
    i420 = np.empty((pixels.shape[0] * 3 // 2, pixels.shape[1]), np.uint8)
    to_i420(pixels, i420)
    return VideoFrame(k * TICKS_PER_S // fps, k, pixels, i420)


def opened(frames: Pixels, fps: int, path: Path = CAMERA, **options: Any) -> CameraSink:
    """Return our sink, open for pictures of this size."""
    sink = CameraSink(device=str(path), **options)
    sink.open(width=frames.shape[2], height=frames.shape[1], fps=fps)
    return sink


@contextlib.contextmanager
def fed(sink: CameraSink, pictures: list[VideoFrame], fps: int) -> Iterator[None]:
    """Feed `sink` on a thread, the same pictures again and again."""
    end = threading.Event()

    def feed() -> None:
        k = 0
        while not end.is_set():
            sink.video(pictures[k % len(pictures)])
            k += 1
            end.wait(1 / fps)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
        sink.close()


# Parts -------------------------------------------------------------------------------------------


def late(frames: Pixels, fps: int) -> dict[str, Any]:
    """The show begins before the module is loaded: the sink finds its camera by itself."""
    height, width = frames.shape[1:3]
    air = Air(width=width, height=height, fps=fps)
    air.add("camera", lambda: plugins.create("sink", "camera", {}))
    seen: list[str] = []
    picture = frame(frames, 0, fps)
    loaded_s = live_s = 0.0
    for _ in range(12 * fps):
        pixels, i420 = air.blank()
        pixels[:], i420[:] = picture.pixels, picture.i420
        air.video(VideoFrame(0, 0, pixels, i420))
        status = air.status()[0]
        if status.error and status.error not in seen:
            seen.append(status.error)
        if status.state == "off" and not loaded_s:
            options = ("devices=2", "exclusive_caps=1,0", "video_nr=0,1")
            load("v4l2loopback", *options, "card_label=Bunraku,Other")
            loaded_s = time.monotonic()
        if status.sent > 3:
            live_s = time.monotonic() - loaded_s
            break
        time.sleep(1 / fps)
    air.close()
    return {"errors": seen, "live_s": live_s, "sent": air.status()[0].sent}


def show(frames: Pixels, plan: dict[str, Any]) -> dict[str, Any]:
    """The whole way: air, camera and device, read back by FFmpeg in one file."""
    height, width = frames.shape[1:3]
    fps = plan["fps"]
    step = TICKS_PER_S // fps
    air = Air(width=width, height=height, fps=fps)
    play = Play(frames, np.load(OUT / "sound.npy"), air, plan)
    air.add("camera", lambda: plugins.create("sink", "camera", {}))
    device = {"device": SOUND, "latency_ms": 60.0}
    air.add("sound", lambda: plugins.create("sink", "device", device))
    clock = MonotonicClock()
    pacer = Pacer(clock, fps, ahead=plan["ahead"])
    gc.collect()
    gc.freeze()
    reader: subprocess.Popen[bytes] | None = None
    film = FAST / "capture.nut"
    while play.base is None or pacer.peek() < play.base + len(frames) * step:
        play.step(pacer.next())
        if play.base is None and film.exists() and film.stat().st_size > 1 << 20:
            play.base = pacer.peek() + round(SETTLE_S * fps) * step  # both are being read
        if clock.now() > START_S * TICKS_PER_S and play.base is None:
            raise RuntimeError("; ".join(line.error or line.state for line in air.status()))
        if reader is None and all(line.sent > 5 for line in air.status()):
            reader = subprocess.Popen(
                [
                    "ffmpeg", "-v", "warning", "-nostdin", "-y",
                    "-thread_queue_size", "512", "-f", "v4l2", "-ts", "abs", "-i", str(CAMERA),
                    "-thread_queue_size", "512", "-f", "alsa", "-channels", "1",
                    "-sample_rate", str(TICKS_PER_S), "-i", HEARD,
                    "-copyts", "-map", "0", "-map", "1", "-c", "copy", str(film),
                ],
                stderr=(OUT / "ffmpeg.txt").open("wb"),
            )  # fmt: skip
    assert reader is not None
    reader.send_signal(signal.SIGINT)
    for _ in range(10 * fps):  # it waits for one more picture before it looks at signals
        if reader.poll() is not None:
            break
        play.step(pacer.next())
    reader.kill()
    reader.wait()
    status = {s.name: [s.state, s.sent, s.dropped, s.error] for s in air.status()}
    air.close()
    shutil.copy(film, OUT / "capture.nut")
    film.unlink()
    return {"sinks": status, "late": pacer.late, "dropped": pacer.dropped}


def formats(frames: Pixels, fps: int) -> dict[str, Any]:
    """Each format on the same device, one after the other: what others are offered and get."""
    pictures = [frame(frames, k, fps) for k in (0, len(frames) // 2)]
    seen: dict[str, Any] = {}
    for name in PACKERS:
        with fed(opened(frames, fps, format=name), pictures, fps):
            path = FAST / f"{name}.raw"
            told = subprocess.run(
                [
                    "v4l2-ctl", "-d", str(CAMERA), "--get-fmt-video", "--get-parm",
                    "--list-formats-ext", "--stream-mmap=3", "--stream-count=6",
                    f"--stream-to={path}",
                ],
                capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
            seen[name] = {"told": told.stdout, "sysfs": [d.format for d in v4l2.devices()]}
            if path.exists():
                shutil.copy(path, OUT)
            if name in ("I420", "YUYV", "RGB"):
                decoded = subprocess.run(
                    [
                        "ffmpeg", "-v", "error", "-nostdin", "-f", "v4l2", "-input_format",
                        FFMPEG_FORMATS[name], "-i", str(CAMERA), "-frames:v", "4", "-f",
                        "rawvideo", "-pix_fmt", "rgb24", "-y", str(OUT / f"{name}.rgb"),
                    ],
                    capture_output=True, text=True, check=False, timeout=60,
                )  # fmt: skip
                seen[name]["ffmpeg"] = [decoded.returncode, decoded.stderr[-500:]]
    return seen


def lines(frames: Pixels, fps: int) -> dict[str, str]:
    """What the operator is told when the camera cannot be had, from the kernel's own errors."""
    told: dict[str, str] = {}

    def tell(name: str, path: Path) -> None:
        try:
            opened(frames, fps, path).close()
            told[name] = "it was opened"
        except EngineError as error:
            told[name] = str(error)

    tell("missing", Path("/dev/video9"))
    tell("no camera", Path("/dev/null"))
    load("vivid", "n_devs=1", "node_types=0x1", "vid_cap_nr=5")
    tell("real", Path("/dev/video5"))
    with child(lambda: fed_for_ever(frames, fps)):
        wait_for(lambda: any(holder.writes for holder in v4l2.holders(CAMERA)))
        tell("busy", CAMERA)
        picked = CameraSink()  # any free one
        picked.open(width=frames.shape[2], height=frames.shape[1], fps=fps)
        told["next free"] = str(getattr(picked._writer, "path", ""))
        picked.close()
    os.chmod(CAMERA, 0o660)
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        tell("not allowed", CAMERA)
        os.write(write_end, told["not allowed"].encode())
        os._exit(0)
    os.waitpid(pid, 0)
    told["not allowed"] = os.read(read_end, 4096).decode()
    reader = subprocess.Popen(
        ["v4l2-ctl", "-d", str(CAMERA), "--stream-mmap=3", "--stream-count=100000"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) if (sink := opened(frames, fps)) else None  # fmt: skip
    assert reader is not None
    wait_for(lambda: bool(v4l2.holders(CAMERA)))
    sink.close()
    small = frames[:, :90, :160]
    try:
        opened(small, fps).close()
        told["other size"] = "it was opened"
    except EngineError as error:
        told["other size"] = str(error)
    reader.kill()
    reader.wait()
    opened(small, fps).close()
    return told


def killed(frames: Pixels, fps: int) -> dict[str, Any]:
    """A body is killed while somebody looks; the next one goes on where it was."""
    path = FAST / "killed.raw"
    with child(lambda: fed_for_ever(frames, fps)) as first:
        wait_for(lambda: bool(v4l2.holders(CAMERA)))
        time.sleep(0.3)
        reader = subprocess.Popen(
            [
                "v4l2-ctl", "-d", str(CAMERA), "--stream-mmap=3", "--stream-count=60",
                f"--stream-to={path}",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_for(lambda: path.exists() and path.stat().st_size > 0)
        os.kill(first, signal.SIGKILL)
    with child(lambda: fed_for_ever(frames, fps)):
        _, said = reader.communicate(timeout=60)
    size = frames.shape[1] * frames.shape[2] * 3 // 2
    return {
        "frames": path.stat().st_size // size, "whole": path.stat().st_size % size == 0,
        "status": reader.returncode, "said": said[-300:],
    }  # fmt: skip


def library(frames: Pixels, fps: int) -> dict[str, Any]:
    """Use pyvirtualcam in our place: what it leaves behind, and that ours can go on from there."""
    try:
        import pyvirtualcam
    except ImportError:
        return {"missing": "pyvirtualcam is not installed"}
    picture = frame(frames, 0, fps)
    told: dict[str, Any] = {"version": pyvirtualcam.__version__}
    for name in ("I420", "YUYV", "RGB"):
        sink = opened(frames, fps, OPEN_CAMERA, backend="v4l2loopback", format=name)
        for _ in range(3):
            sink.video(picture)
        told[name] = v4l2.devices()[1].format
        sink.close()
    for attempt in ("first", "second"):
        try:
            sink = opened(frames, fps, backend="v4l2loopback")
            sink.video(picture)
            sink.close()
            told[attempt] = "it was opened"
        except EngineError as error:
            told[attempt] = str(error)
    # What it left open cannot be closed from here; ours does not mind.
    for attempt in ("ours", "ours again"):
        sink = opened(frames, fps)
        sink.video(picture)
        told[attempt] = v4l2.devices()[0].format
        sink.close()
    return told


# Helpers -----------------------------------------------------------------------------------------


def fed_for_ever(frames: Pixels, fps: int) -> None:
    """Feed the camera until killed."""
    sink = opened(frames, fps)
    picture = frame(frames, 0, fps)
    while True:
        sink.video(picture)
        time.sleep(1 / fps)


@contextlib.contextmanager
def child(work: Callable[[], None]) -> Iterator[int]:
    """Run `work` in a process that is killed at the end."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(1)
    try:
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def wait_for(there: Callable[[], bool], limit_s: float = 30.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + limit_s
    while not there():
        if time.monotonic() > end:
            raise TimeoutError("it did not come")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
