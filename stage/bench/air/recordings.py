"""Recordings: sync, what a kill costs, what a cut loses, and captions against the sound.

Films are decoded and compared with what was put in; captions are read back from the files beside
them. Where pictures are counted they carry their number as a bar code.
"""

import difflib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dialogue.messages import Utterance
from dialogue.ticks import TICKS_PER_S, Ticks, to_s
from render.air import Air
from render.captions import COLUMNS, LINES, Caption, letters, width
from render.frames import VideoFrame
from stage import wire
from stage.bench import lines, offset
from stage.bench.air import figure
from stage.bench.figures import Figure
from stage.config import Show
from voice.speech import Samples

KILLS = 3
"""Recordings killed for each container."""
RECORDED_S = 9.0
"""Each is killed about so long after its first picture."""
SPLIT_S = 40.0
"""Of film cut into parts."""
A_LANGUAGE = 20
"""Lines of each language whose captions are read."""
READ_A_SECOND = {"en": 20.0, "zh": 11.0, "ja": 7.0}
"""Letters or signs a second that captions in the language of the sound may have (as subtitlers'
style guides for the hard of hearing allow)."""

_WIDTH, _HEIGHT, _FPS = 320, 192, 30
_STEP = TICKS_PER_S // _FPS
_BITS, _BIT_PX = 16, 16


# Sync -------------------------------------------------------------------------------------------


def sync() -> list[Figure]:
    """A/V offset of a speaking host in MP4, in Matroska, and after a cut."""
    from stage.bench.loop import _mouth_area, _speaker
    from stage.film import shoot

    found: list[Figure] = []
    utterances = [Utterance(1, i, text, "en") for i, text in enumerate(lines.ONSETS)]
    rests = {i: 0.5 for i in range(1, len(utterances))}
    with tempfile.TemporaryDirectory(prefix="bunraku-recordings-") as name:
        for label, way, file, options in (
            ("MP4", "mp4", "film.mp4", {"crash_safe": True}),
            ("Matroska", "mkv", "film.mkv", {"crash_safe": True}),
            ("the second part", "part", "parts.mp4", {"crash_safe": True, "split_min": 1 / 3}),
        ):
            path = Path(name) / file
            shoot(Show(), _speaker(), utterances, path, rests=rests, options=options)
            film = path if path.exists() else path.with_name("parts-002.mp4")
            measured = offset.measure(film, _mouth_area())
            how = f"{measured.n} words in a finished film, mouth pixels against sound onsets"
            found += [
                figure(f"recording, A/V offset, {label}: median", measured.median_ms, "ms",
                       "|x|<= 10", how, cell=(way, "offset")),
                figure(f"recording, A/V offset, {label}: p99", measured.p99_ms, "ms", "<= 33.4",
                       how, cell=(way, "p99")),
            ]  # fmt: skip
    return found


# A kill -----------------------------------------------------------------------------------------

_CHILD = """
import sys
from pathlib import Path
from stage.bench.air.recordings import record
record(Path(sys.argv[1]))
"""


def record(path: Path) -> None:
    """Record numbered pictures in real time and tell the number of each; runs until killed."""
    from render.clock import MonotonicClock
    from render.pacing import Pacer
    from render.sinks.file import FileSink

    air = Air(width=_WIDTH, height=_HEIGHT, fps=_FPS)
    air.add("record", lambda: FileSink(path=path))
    while air.status()[0].state != "live":
        time.sleep(0.01)
    clock = MonotonicClock()
    pacer = Pacer(clock, _FPS)
    first = pacer.peek() // _STEP
    while True:
        time.sleep(max(0.0, (pacer.due() - clock.now()) / TICKS_PER_S))
        pts = pacer.next()
        air.audio(pts, (0.1 * np.sin(np.arange(pts, pts + _STEP) * 0.03)).astype(np.float32))
        air.video(_numbered(pts, pts // _STEP - first))
        print(pts // _STEP - first, flush=True)


def crash() -> list[Figure]:
    """Seconds of a recording that a kill -9 costs."""
    if not hasattr(signal, "SIGKILL"):
        return [figure("recording killed: seconds lost", None, "s", "<= 2", "no kill -9 here")]
    found = []
    for label, suffix in (("MP4", ".mp4"), ("Matroska", ".mkv")):
        lost = []
        for turn in range(KILLS):
            with tempfile.TemporaryDirectory(prefix="bunraku-kill-") as name:
                path = Path(name) / f"show{suffix}"
                told = _killed(path, RECORDED_S + 0.37 * turn)
                left = path.with_name(f"show.part{suffix}")
                seen, sound_s = _numbers(left), len(_sound(left)) / TICKS_PER_S
                last = min(seen[-1] + 1, round(sound_s * _FPS)) if seen else 0
                lost.append((told + 1 - last) / _FPS)
        found.append(
            figure(f"recording killed, {label}: seconds lost", max(lost), "s", "<= 2",
                   f"worst of {KILLS} real-time recordings of {RECORDED_S:.0f} s, kill -9; "
                   f"pictures told before it against those in the file, sound too")
        )  # fmt: skip
    return found


def _killed(path: Path, after_s: float) -> int:
    """Record into `path`, kill the recorder, and return the last picture's number it told."""
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        last, begun = -1, 0.0
        for line in child.stdout:
            last = int(line)
            begun = begun or time.monotonic()
            if time.monotonic() - begun > after_s:
                os.kill(child.pid, signal.SIGKILL)
                break
        rest = child.stdout.read().split()
    return int(rest[-1]) if rest and rest[-1].isdigit() else last


# Cuts -------------------------------------------------------------------------------------------


def cuts() -> list[Figure]:
    """Pictures and samples lost or doubled where a film is cut into parts."""
    found = []
    for suffix in (".mp4", ".mkv"):
        with tempfile.TemporaryDirectory(prefix="bunraku-parts-") as name:
            whole, parts = Path(name) / f"whole{suffix}", Path(name) / f"show{suffix}"
            _filmed(whole)
            _filmed(parts, split_min=0.05)
            files = sorted(Path(name).glob(f"show-*{suffix}"))
            numbers = [n for file in files for n in _numbers(file)]
            sound = np.concatenate([_sound(file) for file in files])
            expected = _sound(whole)
        n = round(SPLIT_S * _FPS)
        wrong = sum(n != k for k, n in enumerate(numbers)) + abs(len(numbers) - n)
        length = n * _STEP
        shorter = min(length, len(sound), len(expected))
        different = int((np.abs(sound[:shorter] - expected[:shorter]) > 1e-6).sum())
        how = f"{len(files)} parts of {SPLIT_S:.0f} s joined again, against the numbers put in"
        found += [
            figure(f"recording in parts, {suffix[1:]}: pictures lost or doubled", wrong, "",
                   "<= 0", how),
            figure(f"recording in parts, {suffix[1:]}: samples lost, doubled or changed",
                   different + length - shorter, "", "<= 0",
                   f"{len(files)} parts joined again, sample by sample against one film"),
        ]  # fmt: skip
    return found


def _filmed(path: Path, **options: Any) -> None:
    from render.sinks.file import FileSink

    sink = FileSink(path=path, **options)
    sink.open(width=_WIDTH, height=_HEIGHT, fps=_FPS)
    rng = np.random.default_rng(5)
    sound = (0.2 * rng.standard_normal(round(SPLIT_S * TICKS_PER_S))).astype(np.float32)
    for k in range(round(SPLIT_S * _FPS)):
        sink.audio(k * _STEP, sound[k * _STEP : (k + 1) * _STEP])
        sink.video(_numbered(k * _STEP, k))
    sink.close()


def _numbered(pts: Ticks, number: int) -> VideoFrame:
    """Return a picture that carries `number` as a row of bars."""
    i420 = np.full((_HEIGHT * 3 // 2, _WIDTH), 128, np.uint8)
    i420[:_HEIGHT] = 90
    for bit in range(_BITS):
        level = 235 if number >> bit & 1 else 16
        i420[:_BIT_PX, bit * _BIT_PX : (bit + 1) * _BIT_PX] = level
    return VideoFrame(pts, number, np.zeros((_HEIGHT, _WIDTH, 4), np.uint8), i420)


def _numbers(path: Path) -> list[int]:
    import av

    found = []
    with av.open(str(path)) as film:
        for frame in film.decode(video=0):
            row = np.frombuffer(frame.planes[0], np.uint8)
            row = row.reshape(-1, frame.planes[0].line_size)[_BIT_PX // 2]
            bars = row[_BIT_PX // 2 : _BITS * _BIT_PX : _BIT_PX] > 128
            found.append(int(sum(1 << bit for bit in range(_BITS) if bars[bit])))
    return found


def _sound(path: Path) -> npt.NDArray[np.float32]:
    import av

    with av.open(str(path)) as film:
        blocks = [frame.to_ndarray()[0] for frame in film.decode(audio=0)]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


# Captions ---------------------------------------------------------------------------------------


class _Tape(Air):
    """An air that keeps sound and captions, and draws nothing."""

    def __init__(self) -> None:
        super().__init__(width=16, height=16, fps=_FPS)
        self.sound: list[Samples] = []
        self.blocks: list[Caption] = []

    @property
    def watched(self) -> bool:
        return False

    def video(self, frame: VideoFrame) -> None:
        """Nobody looks."""

    def audio(
        self, pts: Ticks, samples: Samples, voice: Samples | None = None,
        music: Samples | None = None,
    ) -> None:  # fmt: skip
        self.sound.append(samples.copy())

    def caption(self, caption: Caption) -> None:
        if caption.final and caption.lines:
            self.blocks.append(caption)


def captions() -> list[Figure]:
    """Captions of sixty lines in three languages: word times, lines, reading speed."""
    from stage.bench.hearing import _recogniser
    from stage.bench.loop import _speaker

    speaker = _speaker()
    first_ms: list[float] = []
    word_ms: list[float] = []
    long = many = fast = blocks = 0
    for language in ("en", "zh", "ja"):
        for number, text in enumerate(lines.SPOKEN[language][:A_LANGUAGE]):
            tape = _said(speaker, Utterance(number, 0, text, language))
            sound = np.concatenate(tape.sound)
            onsets, _ = offset.edges(sound)
            if onsets and tape.blocks:
                first_ms.append((to_s(tape.blocks[0].start) - onsets[0]) * 1e3)
            if language == "en":
                word_ms += _against_ear(sound, tape.blocks, _recogniser())
            for block in tape.blocks:
                blocks += 1
                many += len(block.lines) > LINES
                long += any(width(line) > COLUMNS for line in block.lines)
                pace = sum(map(letters, block.lines)) / to_s(block.stop - block.start)
                fast += pace > READ_A_SECOND[language]
    firsts = np.abs(first_ms)
    heard = np.abs(word_ms)
    about = f"{3 * A_LANGUAGE} lines in English, Chinese and Japanese, {blocks} blocks"
    onset = f"first word's time against the sound's onset, {len(firsts)} lines in three languages"
    ear = f"{len(heard)} English words against Whisper's times of the same words (its own error in)"
    return [
        figure("captions: word time against onset, median", float(np.median(firsts)), "ms",
               "<= 50", onset),
        figure("captions: word time against onset, p95", float(np.percentile(firsts, 95)), "ms",
               "<= 100", onset),
        figure("captions: word time against recogniser, median", float(np.median(heard)), "ms",
               "report", ear),
        figure("captions: word time against recogniser, p95", float(np.percentile(heard, 95)),
               "ms", "report", ear),
        figure("captions: lines over 42 columns, blocks over 2 lines", long + many, "", "<= 0",
               about),
        figure("captions: blocks too fast to read", fast, "", "<= 0",
               f"{about}; over 20 letters (en), 11 signs (zh), 7 signs (ja) a second"),
    ]  # fmt: skip


def _said(speaker: Any, utterance: Utterance) -> _Tape:
    """Let a body say `utterance`, and return what came out."""
    from avatar.performer import Performer
    from avatar.pose import ParameterTable
    from stage.body import Body

    class Blank:
        table = ParameterTable()

    tape = _Tape()
    performer = Performer(Blank.table, seed=1)
    body = Body(Blank(), performer, tape, fps=_FPS, pause_ms=120, tell=lambda _: None)  # type: ignore[arg-type]
    pts: Ticks = 0
    body.start_at(0)
    for _ in range(_FPS // 2):
        body.step(pts)
        pts += _STEP
    for chunk in speaker.speak(utterance):
        about = {"text": utterance.text, "language": utterance.language, "last": True}
        body.receive(wire.say(chunk, **about), pts)
    for _ in range(_FPS * 30):
        body.step(pts)
        pts += _STEP
        if body.idle and tape.blocks and pts > tape.blocks[-1].stop + TICKS_PER_S:
            break
    return tape


def _against_ear(
    sound: npt.NDArray[np.float32], blocks: list[Caption], recogniser: Any
) -> list[float]:
    """Return how much later than heard each word of the captions begins, in milliseconds."""
    import soxr

    told = recogniser.transcribe(soxr.resample(sound, TICKS_PER_S, 16_000), "en")
    heard = [(_bare(word.text), word.start_s) for word in told.words if word.start_s >= 0]
    shown = []
    for block in blocks:
        for at, line, char in block.words:
            text = block.lines[line][char:].split()
            if text:
                shown.append((_bare(text[0]), to_s(at)))
    pairs = difflib.SequenceMatcher(a=[w for w, _ in heard], b=[w for w, _ in shown])
    return [
        (shown[b + i][1] - heard[a + i][1]) * 1e3
        for a, b, size in pairs.get_matching_blocks()
        for i in range(size)
    ]


def _bare(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())


PARTS: dict[str, tuple[str, Callable[[], list[Figure]]]] = {
    "recordings": ("recordings: A/V offset in MP4, Matroska and parts (3 minutes)", sync),
    "killed": ("recordings: seconds that a kill -9 costs (1.5 minutes)", crash),
    "cuts": ("recordings: pictures and samples at a cut", cuts),
    "captions": ("captions: word times, lines and reading speed (3 minutes)", captions),
}
