"""The virtual camera proven on a real kernel: draws a show, has the guest play it, and measures.

Everything is found in what other programs read from the devices: each captured picture is looked
up among those that were drawn (equal to the byte, or it does not count), the sound is laid over
the one that was mixed, and the A/V offset comes from mouth pixels and onsets, as of any film. The
times are those of the guest's kernel: of a picture when the camera took it, of sound as FFmpeg
gets it from ALSA. What this does not tell is speed: the guest's core is not a real one.
"""

import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dialogue.messages import Utterance
from dialogue.ticks import TICKS_PER_S, Ticks, from_s
from render.air import Air
from render.convert import to_i420
from render.frames import Pixels, VideoFrame
from render.sinks.camera import PACKERS, size
from stage import body, wire
from stage.bench import lines, offset
from stage.bench.vm import machine
from stage.config import Show, Video
from voice.speech import Samples

WIDTH, HEIGHT, FPS = 480, 270, 30
WORDS = 12
"""Words of `lines.ONSETS` that are said."""
TAIL_S = 0.8
LIMIT_S = 1500.0
"""Of real time, for boot and all parts: two minutes on a quiet machine, ten on a busy one."""
PARTS = ("late", "show", "formats", "lines", "killed", "library")
"""What the guest does, in its order; `late` loads the camera, so it comes first."""
FOURCC = {
    "I420": "YU12", "NV12": "NV12", "YUYV": "YUYV", "UYVY": "UYVY", "RGB": "RGB3", "BGR": "BGR3",
    "GRAY": "GREY",
}  # fmt: skip
"""What `v4l2-ctl` must show; written down again here, since this is the check."""


@dataclass
class Film:
    """A show that was drawn and mixed beforehand."""

    frames: Pixels
    """BGRA, shape (n, height, width, 4)."""
    sound: Samples
    """What was mixed, from the first picture on."""
    started: list[Ticks]
    """When each utterance began."""
    mouth_box: tuple[int, int, int, int]
    """x, y, width, height of the mouth's surroundings, with room for the head's motion."""


@dataclass(frozen=True, slots=True)
class Captured:
    """What FFmpeg got from the two devices during the show."""

    frames: int
    """Pictures got while the film ran."""
    lost: int
    """Pictures of the film that were not among them."""
    foreign: int
    """Pictures that are none of the film's to the byte."""
    intervals_ms: tuple[float, float, float]
    """Between pictures: median, 99 %, longest."""
    level_db: float
    """Loudness of the words against what was mixed, median."""
    likeness: float
    """Correlation of the two, 1 for the same; median of the words."""
    jitter_ms: float
    """99 % of the sound's own times are off the straight line by less."""
    exact_ms: tuple[float, float, int]
    """A/V offset from each picture of a word and the samples of that word: median, what 99 % are
    within, and the number of pictures. Positive is sound early, as everywhere."""
    offsets: offset.Offsets
    """Camera against sound device, by mouth pixels and onsets."""
    drawn: offset.Offsets
    """The same for the film before it was played: what drawing and detector add by themselves."""


@dataclass
class Proof:
    """All that came out of one run."""

    machine: machine.Machine
    """What was booted."""
    report: dict[str, Any]
    """What the guest saw, part by part."""
    wall_s: float
    """Real time from boot to end."""
    captured: Captured | None = None
    """The show; None where it was not asked for."""
    formats: dict[str, "Negotiated"] = field(default_factory=dict)
    """Format -> what others were told and got."""

    def versions(self) -> str:
        """Return one line for the record."""
        qemu = _first_line("qemu-system-x86_64", "--version")
        ffmpeg = " ".join(_first_line("ffmpeg", "-version").split()[:3])
        kernel, loopback = self.machine.release, self.machine.loopback
        return f"Debian kernel {kernel}, v4l2loopback {loopback}, {qemu}, {ffmpeg}"


@dataclass(frozen=True, slots=True)
class Negotiated:
    """One format of the camera as others see it."""

    fourcc: str
    """As `v4l2-ctl` names it."""
    size: tuple[int, int]
    """Width and height that it says."""
    fps: float
    """Rate that it says."""
    offered: tuple[str, ...]
    """Formats that it may choose from."""
    frames: int
    """Pictures got."""
    exact: bool
    """Each of them is to the byte what was sent."""
    colour_error: float | None
    """Mean difference of FFmpeg's RGB from the drawn picture, in levels of 255; None: not asked."""


@cache
def prove(parts: Sequence[str] = PARTS) -> Proof:
    """Run the machine and measure; the same run is not done twice in one process.

    Raises:
        MachineError: it cannot be made, did not boot, or its program failed; one line.
    """
    made = machine.make()
    drawn = film()
    folder = Path(tempfile.mkdtemp(prefix="bunraku-vm-"))
    np.save(folder / "frames.npy", drawn.frames)
    np.save(folder / "sound.npy", drawn.sound)
    plan = {"fps": FPS, "ahead": body.AHEAD, "audio_lead": body.AUDIO_LEAD, "parts": list(parts)}
    (folder / "plan.json").write_text(json.dumps(plan), "utf-8")
    begun = time.monotonic()
    machine.run(made, ["-m", "stage.bench.vm.guest"], folder, limit_s=LIMIT_S)
    wall_s = time.monotonic() - begun
    proof = Proof(made, json.loads((folder / "report.json").read_text("utf-8")), wall_s)
    if "show" in parts:
        proof.captured = compare(folder / "capture.nut", drawn)
    if "formats" in parts:
        proof.formats = negotiated(proof.report["formats"], folder, drawn.frames)
    shutil.rmtree(folder)  # kept when anything failed before: the line names the console in it
    return proof


# The film ----------------------------------------------------------------------------------------


class _Keep:
    """A sink that remembers what it gets."""

    needs: ClassVar[Mapping[str, str]] = {}
    watched = True

    def __init__(self) -> None:
        self.frames: list[Pixels] = []
        self.sound: list[Samples] = []

    def open(self, *, width: int, height: int, fps: int) -> None:
        """Get ready."""

    def video(self, frame: VideoFrame) -> None:
        """Keep a copy: the memory is used again."""
        self.frames.append(frame.pixels.copy())

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Keep it."""
        self.sound.append(samples)

    def close(self) -> None:
        """Be done."""


def film() -> Film:
    """Draw a show of words that begin with a vowel, small, on virtual time."""
    from dialogue.character import load_character
    from render.puppet import PuppetRenderer
    from stage import engines, folders
    from stage.film import AHEAD, LEAD_S

    show = Show(video=Video(width=WIDTH, height=HEIGHT, fps=FPS))
    folder = folders.character(show.character)
    character = load_character(folder)
    speaker = engines.make_speaker(show, character)
    words = lines.ONSETS[:WORDS]
    speech = [
        wire.say(chunk, text=word, last=index == len(words) - 1)
        for index, word in enumerate(words)
        for chunk in speaker.speak(Utterance(1, index, word, "en"))
    ]
    keep = _Keep()
    air = Air(width=WIDTH, height=HEIGHT, fps=FPS, blocking=True)
    air.add("keep", lambda: keep)
    told: list[wire.Message] = []
    made = body.make_body(show, air, told.append)
    looks = PuppetRenderer(folder, width=WIDTH, height=HEIGHT, scene=character.scene)
    x, y, w, h = looks.mouth_box()
    made.start_at(0)
    pts: Ticks = 0
    end: Ticks | None = None
    while end is None or pts < end:
        while speech and pts >= from_s(LEAD_S) and made.playout.ahead() < AHEAD:
            made.receive(speech.pop(0), pts)
        made.step(pts)
        pts += made.frame_ticks
        if not speech and made.idle and end is None:
            end = pts + from_s(TAIL_S)
    air.close()
    return Film(
        np.stack(keep.frames), np.concatenate(keep.sound),
        [m.pts for m in told if isinstance(m, wire.Started)],
        (x - w // 2, y - h // 4, w * 2, h + h // 2),
    )  # fmt: skip


# What came out -----------------------------------------------------------------------------------


def compare(path: Path, drawn: Film) -> Captured:
    """Return how the capture at `path` differs from the film."""
    times, mouths = offset.mouths(path, drawn.mouth_box)
    which = _which(path, drawn.frames)
    resting = next((n for n, k in enumerate(which) if k), len(which)) - 1
    times_shown = [(at, k) for at, k in list(zip(times, which, strict=True))[resting:] if k]
    gaps = np.diff([at for at, _ in times_shown]) * 1e3
    sound, first_s, jitter_ms = heard(path)
    lag = _lag(sound, drawn.sound)
    level_db, likeness = _alike(sound, lag, drawn)
    return Captured(
        frames=len(times_shown),
        lost=times_shown[-1][1] - len({k for _, k in times_shown}),
        foreign=sum(k is None for k in which),
        intervals_ms=(
            float(np.median(gaps)), float(np.percentile(gaps, 99)), float(gaps.max()),
        ),
        level_db=level_db, likeness=likeness, jitter_ms=jitter_ms,
        exact_ms=_exact(times_shown, sound, first_s, lag, drawn),
        offsets=offset.compare(sound, first_s, times, mouths),
        drawn=_as_drawn(drawn),
    )  # fmt: skip


WORD: Ticks = TICKS_PER_S // 2
"""So much of each word is laid over its capture."""


def _exact(
    shown: list[tuple[float, int]], sound: Samples, first_s: float, lag: int, drawn: Film
) -> tuple[float, float, int]:
    """Return median, 99 % and number of the offsets of single pictures to their word's sound."""
    offsets: list[float] = []
    for start in drawn.started:
        word = drawn.sound[start : start + WORD]
        heard_s = first_s + _place(sound, lag, word, start) / TICKS_PER_S  # its first sample
        for seen_s, k in shown:
            since = k * TICKS_PER_S // FPS - start
            if 0 <= since < WORD:
                offsets.append((seen_s - since / TICKS_PER_S - heard_s) * 1e3)
    found = np.array(offsets)
    return float(np.median(found)), float(np.percentile(np.abs(found), 99)), len(found)


def _as_drawn(drawn: Film) -> offset.Offsets:
    """Return the film's own offset, at its own ticks."""
    import cv2

    x, y, w, h = drawn.mouth_box
    small = (min(w, offset.SMALL_PX), min(h, offset.SMALL_PX))
    boxes = [
        cv2.resize(_luma(frame)[y : y + h, x : x + w], small, interpolation=cv2.INTER_AREA)
        for frame in drawn.frames
    ]
    times = np.arange(len(boxes)) / FPS
    return offset.compare(drawn.sound, 0.0, times, np.stack(boxes))


def _luma(frame: Pixels) -> Pixels:
    height, width = frame.shape[:2]
    i420 = np.empty((height * 3 // 2, width), np.uint8)
    to_i420(frame, i420)
    return i420[:height]


def _which(path: Path, frames: Pixels) -> list[int | None]:
    """Return for each captured picture which of the film's it is, to the byte; None for none.

    Pictures that look the same are told apart by their order.
    """
    import av

    known = [_luma(frame).tobytes() for frame in frames]
    found: list[int | None] = []
    at = 0
    with av.open(str(path)) as capture:
        for frame in capture.decode(video=0):
            plane = np.frombuffer(frame.planes[0], np.uint8).reshape(-1, frame.planes[0].line_size)
            shown = plane[:, : frame.width].tobytes()
            later = range(at if at == 0 else at + 1, len(known))
            k = next((k for k in later if known[k] == shown), None)
            if k is None and at == len(known) - 1 and shown == known[-1]:
                k = at
            found.append(k)
            at = k if k is not None else at
    return found


def heard(path: Path) -> tuple[Samples, float, float]:
    """Return the sound of a capture, when its first sample was heard, and how sure that is.

    FFmpeg stamps each block with the wall clock less what still waits in the card; the blocks
    follow without gaps, so that their stamps lie on a straight line but for the reader's jitter.
    """
    import av

    blocks: list[Samples] = []
    starts: list[float] = []
    n = 0
    with av.open(str(path)) as capture:
        for frame in capture.decode(audio=0):
            block = frame.to_ndarray().reshape(-1)
            if block.dtype == np.int16:
                block = block.astype(np.float32) / 32768
            starts.append(float(frame.pts * frame.time_base) - n / TICKS_PER_S)
            blocks.append(block.astype(np.float32))
            n += len(block)
    first_s = statistics.median(starts)
    jitter_ms = float(np.percentile(np.abs(np.array(starts) - first_s), 99)) * 1e3
    return np.concatenate(blocks), first_s, jitter_ms


def _lag(sound: Samples, part: Samples) -> int:
    """Return at which sample of `sound` the `part` begins."""
    room = 1 << int(np.ceil(np.log2(len(sound) + len(part))))
    spectrum = np.fft.rfft(sound, room) * np.conj(np.fft.rfft(part, room))
    return int(np.argmax(np.fft.irfft(spectrum, room)[: len(sound)]))


def _alike(sound: Samples, lag: int, drawn: Film) -> tuple[float, float]:
    """Return the words' level (dB) and correlation against what was mixed; medians.

    Word by word: the device is kept in time by playing faster or slower by what nobody hears.
    """
    levels, likenesses = [0.0], [0.0]
    for start in drawn.started:
        part = drawn.sound[start : start + WORD]
        got = sound[_place(sound, lag, part, start) :][: len(part)].astype(np.float64)
        word = part[: len(got)].astype(np.float64)
        if (power := float(got @ got)) and (wanted := float(word @ word)):
            levels.append(10 * float(np.log10(power / wanted)))
            likenesses.append(float(got @ word) / (power * wanted) ** 0.5)
    return statistics.median(levels[1:] or levels), statistics.median(likenesses[1:] or likenesses)


def _place(sound: Samples, lag: int, word: Samples, start: Ticks) -> int:
    """Return at which sample of `sound` the word is that begins at `start` of the film."""
    first = max(0, lag + start - WORD // 5)
    near = sound[first:][: WORD + 2 * WORD // 5]
    return first + (_lag(near, word) if len(near) else 0)


def negotiated(report: dict[str, Any], folder: Path, frames: Pixels) -> dict[str, Negotiated]:
    """Return what was agreed on in each format, and whether the right bytes came out."""
    found = {}
    for name, seen in report.items():
        told = _told(seen["told"])
        sent = {_packed(name, frames[k]) for k in (0, len(frames) // 2)}
        path = folder / f"{name}.raw"
        data = path.read_bytes() if path.exists() else b""
        whole = len(next(iter(sent)))
        got = [data[at : at + whole] for at in range(0, len(data), whole)]
        found[name] = Negotiated(
            fourcc=told["fourcc"], size=told["size"], fps=told["fps"], offered=told["offered"],
            frames=len(got), exact=bool(got) and all(picture in sent for picture in got),
            colour_error=_colour_error(folder / f"{name}.rgb", frames),
        )  # fmt: skip
    return found


def _packed(name: str, pixels: Pixels) -> bytes:
    height, width = pixels.shape[:2]
    i420 = np.empty((height * 3 // 2, width), np.uint8)
    to_i420(pixels, i420)
    out = np.empty(size(name, width, height), np.uint8)
    return PACKERS[name](VideoFrame(0, 0, pixels, i420), out).tobytes()


def _told(text: str) -> dict[str, Any]:
    """Read what `v4l2-ctl` printed."""
    told: dict[str, Any] = {"fourcc": "", "size": (0, 0), "fps": 0.0, "offered": ()}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        match key.strip():
            case "Width/Height":
                width, _, height = value.strip().partition("/")
                told["size"] = (int(width), int(height))
            case "Pixel Format":
                told["fourcc"] = value.split("'")[1]
            case "Frames per second":
                told["fps"] = float(value.split()[0])
            case key if key.startswith("[") and "'" in value:
                told["offered"] += (value.split("'")[1],)
    return told


def _colour_error(path: Path, frames: Pixels) -> float | None:
    """Return how far FFmpeg's RGB pictures are from the nearer of the two that were sent."""
    if not path.exists():
        return None
    height, width = frames.shape[1:3]
    shown = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, height, width, 3)
    sent = [frames[k][..., 2::-1].astype(np.int16) for k in (0, len(frames) // 2)]
    errors: list[float] = [
        min(float(np.abs(picture.astype(np.int16) - one).mean()) for one in sent)
        for picture in shown
    ]
    return max(errors, default=None)


def _first_line(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.partition("\n")[0]
