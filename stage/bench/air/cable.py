"""Through the virtual cable for real: our sink plays into PulseAudio, `parec` records it."""

import contextlib
import subprocess
import threading
import time
from dataclasses import dataclass

import numpy as np

from dialogue.plugins import EngineError
from dialogue.ticks import TICKS_PER_S, Ticks
from render.frames import VideoFrame
from render.pacing import Lead
from render.sinks.device import DeviceSink
from stage import cables
from stage.body import AHEAD, AUDIO_LEAD
from voice.speech import Samples

FPS = 30
STEP: Ticks = TICKS_PER_S // FPS
LEVEL = 0.25
HZ = 440.0
EVERY_S, BEEP_S = 1.0, 0.5
REST_S = 6
"""Until the first beep: pictures settle, and the sink asks for as much sound as it needs."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What was recorded at the other end."""

    level_db: float
    """Root mean square inside the beeps (the median of them), dB below full scale."""
    sent_db: float
    """The same as it was sent."""
    hz: float
    """Of the beeps."""
    onsets: int
    """Beeps found."""
    interval_ms: float
    """Greatest error of the time between two beeps."""
    underruns: int
    """As the sink counted."""


def listen(seconds: float) -> Heard:
    """Play beeps into the cable for so long, and record them from its monitor.

    Begins again, twice at most, where the sound server ended the stream, as a show would.

    Raises:
        EngineError: it ends every stream.
    """
    for _ in range(2):
        with contextlib.suppress(EngineError):
            return _listen(seconds)
    return _listen(seconds)


def _listen(seconds: float) -> Heard:
    recorder = subprocess.Popen(
        ["parec", f"--device={cables.SINK}.monitor", "--rate=48000", "--channels=1",
         "--format=float32le", "--latency-msec=20"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    pieces: list[bytes] = []
    assert recorder.stdout is not None
    pipe = recorder.stdout
    reader = threading.Thread(target=lambda: pieces.extend(iter(lambda: pipe.read(9600), b"")))
    reader.start()
    sink = DeviceSink(route=cables.SINK)
    try:
        sink.open(width=16, height=16, fps=FPS)
        _play(sink, seconds)
    finally:
        underruns = sink.underruns
        sink.close()
        recorder.terminate()
        recorder.wait(10)
        reader.join(10)
        pipe.close()
    return _judge(np.frombuffer(b"".join(pieces), np.float32), underruns)


def _play(sink: DeviceSink, seconds: float) -> None:
    """Give the sink pictures and beeps as a body would."""
    at = np.arange(round((seconds + REST_S + 1) * TICKS_PER_S))
    beep = LEVEL * np.sin(2 * np.pi * HZ / TICKS_PER_S * at)
    sound = (beep * (at / TICKS_PER_S % EVERY_S < BEEP_S)).astype(np.float32)
    sound[: REST_S * TICKS_PER_S] = 0.0
    picture = (np.zeros((16, 16, 4), np.uint8), np.zeros((24, 16), np.uint8))
    begun, mixed, lead = time.monotonic(), 0, Lead(AUDIO_LEAD)
    for k in range(round((seconds + REST_S) * FPS)):
        due_s = (k * STEP - AHEAD) / TICKS_PER_S
        time.sleep(max(0.0, begun + due_s - time.monotonic()))
        lead.note(k * STEP, sink.short)
        until = k * STEP + STEP + lead.ticks
        if until > mixed:
            sink.audio(mixed, sound[mixed:until])
            mixed = until
        sink.video(VideoFrame(k * STEP, k, *picture))


def _judge(sound: Samples, underruns: int) -> Heard:
    loud = np.abs(sound) > 0.1 * LEVEL
    at = np.flatnonzero(loud)
    if not len(at):
        return Heard(-200.0, _db(LEVEL / np.sqrt(2)), 0.0, 0, 0.0, underruns)
    starts = at[np.r_[True, np.diff(at) > TICKS_PER_S // 10]]
    whole = [s for s in starts if s + BEEP_S * TICKS_PER_S < len(sound)]
    inner = [sound[s + 2400 : s + round(BEEP_S * TICKS_PER_S) - 2400] for s in whole]
    power = float(np.median([np.mean(np.square(part)) for part in inner]))
    spectrum = np.abs(np.fft.rfft(inner[-1] * np.hanning(len(inner[-1])), 1 << 18))
    steps = np.diff(whole) / TICKS_PER_S
    late = np.abs(steps - np.round(steps / EVERY_S) * EVERY_S)
    return Heard(
        level_db=_db(np.sqrt(power)), sent_db=_db(LEVEL / np.sqrt(2)),
        hz=float(np.argmax(spectrum)) * TICKS_PER_S / (1 << 18), onsets=len(whole),
        interval_ms=float(late.max()) * 1e3 if len(late) else 0.0, underruns=underruns,
    )  # fmt: skip


def _db(level: float) -> float:
    return 20.0 * float(np.log10(max(level, 1e-10)))
