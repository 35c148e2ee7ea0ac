"""Sound fit for broadcast: loudness, peaks, clicks, drift, and what mixing costs."""

import multiprocessing
import os
import re
import shutil
import subprocess
import tempfile
import time
import wave
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dialogue.character import load_character
from dialogue.messages import Utterance
from dialogue.ticks import TICKS_PER_S, Ticks, to_ms
from render import drift as resampling
from render import mix
from render.frames import VideoFrame
from render.limiter import LATENCY
from render.mix import Duck, Mixer
from render.music import Music
from render.playout import Playout
from render.sinks.file import FileSink
from stage import engines, folders, wire
from stage.bench import lines, offset
from stage.bench.air import card, fastcard, figure
from stage.bench.figures import Figure
from stage.bench.hearing import heard
from stage.config import Show, SinkTable, Video
from voice.loudness import TARGET_LUFS, integrated
from voice.speech import AudioChunk, PhonemeSpan, Samples

PROGRAMME_S = float(os.environ.get("BUNRAKU_BENCH_PROGRAMME_S", "120"))
"""How long each host talks in each language."""
HOURS = float(os.environ.get("BUNRAKU_BENCH_HOURS", "8"))
"""Virtual hours on a card that is off."""
DRIFT_MIN = float(os.environ.get("BUNRAKU_BENCH_DRIFT_MIN", "30"))
"""Real minutes beside one."""
FAST_PPM = 200.0
FPS = 30
STEP: Ticks = TICKS_PER_S // FPS
EVERY_S = 3.0
"""A sound and a mouth this often in the real run."""
SETTLED_S = 120.0
"""The loop has found the card's rate by then."""


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="bunraku-sound-"))


# Loudness ----------------------------------------------------------------------------------------


@cache
def _speaker(name: str) -> Any:
    character = load_character(folders.character(name))
    speaker = engines.make_speaker(Show(character=name), character)
    speaker.warm()
    return speaker


def _talk(name: str, language: str, seconds: float) -> Iterator[AudioChunk]:
    """Yield a host's talk of about `seconds`, of the bench's lines."""
    said: Ticks = 0
    index = 0
    while said < seconds * TICKS_PER_S:
        texts = lines.SPOKEN[language]
        for chunk in _speaker(name).speak(Utterance(1, index, texts[index % len(texts)], language)):
            said += len(chunk.samples)
            yield chunk
        index += 1


def _air(chunks: Iterator[AudioChunk], music: Music | None = None) -> Iterator[Samples]:
    """Yield the programme, frame by frame, until all is said."""
    playout = Playout()
    mixer = Mixer(playout, music)
    at: Ticks = 0
    over = False
    while not over or playout.speaking:
        while not over and playout.ahead() < TICKS_PER_S:
            chunk = next(chunks, None)
            over = chunk is None
            if chunk is not None:
                playout.push(chunk)
        yield mixer.mix(at, STEP).samples
        at += STEP
    for _ in range(5):
        yield mixer.mix(at, STEP).samples
        at += STEP
    mixer.close()


def _film(path: Path, sound: Iterator[Samples]) -> None:
    """Write the programme as the file sink does, with AAC; the picture is grey."""
    sink = FileSink(path=path)
    sink.open(width=160, height=96, fps=FPS)
    pixels, i420 = np.full((96, 160, 4), 128, np.uint8), np.full((144, 160), 128, np.uint8)
    for k, block in enumerate(sound):
        sink.audio(k * STEP, block)
        sink.video(VideoFrame(k * STEP, k, pixels, i420))
    sink.close()


def _judged(path: Path) -> tuple[float, float]:
    """Return integrated loudness (LUFS) and true peak (dBTP) of a file, by FFmpeg's ebur128."""
    told = subprocess.run(
        ["ffmpeg", "-hide_banner", "-nostats", "-i", str(path), "-vn", "-af",
         "ebur128=peak=true:framelog=verbose", "-f", "null", "-"],
        capture_output=True, text=True, check=True, timeout=300,
    ).stderr  # fmt: skip
    end = told[told.rindex("Summary:") :]
    loud, peak = (re.search(rf"{word}:\s+(-?[\d.]+)", end) for word in ("I", "Peak"))
    if loud is None or peak is None:
        raise RuntimeError("ffmpeg's ebur128 said nothing of loudness and peak")
    return float(loud[1]), float(peak[1])


def programme() -> list[Figure]:
    """How loud each host is in each language, as it comes out of the file sink."""
    if shutil.which("ffmpeg") is None:
        return [figure("loudness", None, "LU", "|x|<= 1", "no ffmpeg to judge it")]
    figures = []
    for name in folders.names():
        character = load_character(folders.character(name))
        for language in character.languages:
            path = _folder() / f"{name}-{language}.mp4"
            _film(path, _air(_talk(name, language, PROGRAMME_S)))
            lufs, peak = _judged(path)
            how = f"{PROGRAMME_S:.0f} s of talk in an MP4 (AAC), by ffmpeg's ebur128"
            figures += [
                figure(
                    f"{name}, {language}: loudness against {TARGET_LUFS:.0f} LUFS",
                    lufs - TARGET_LUFS, "LU", "|x|<= 1", how,
                ),
                figure(f"{name}, {language}: true peak", peak, "dBTP", "<= -1", how),
            ]  # fmt: skip
    return figures


# Clicks ------------------------------------------------------------------------------------------


def clicks() -> list[Figure]:
    """Whether anything clicks where a voice begins, ends or is cancelled; and every sample."""
    chunks = list(_talk("kohaku", "en", 6.0))
    whole = np.concatenate(list(_air(iter(chunks))))
    own = float(np.abs(np.diff(whole, 2)).max())
    worst, found, n = 0.0, 0, 0
    for at in range(0, 5 * TICKS_PER_S, 1009):
        playout = Playout()
        for chunk in chunks:
            playout.push(chunk)
        mixer = Mixer(playout)
        before = mixer.mix(0, at).samples if at else np.zeros(0, np.float32)
        playout.cancel(1)
        sound = np.concatenate((before, mixer.mix(at, TICKS_PER_S // 10).samples))
        cut = sound[max(0, at - 200) :]
        around = whole[max(0, at - 2400) : at + 2400]
        bound = 1.1 * float(np.abs(np.diff(around, 2)).max()) + 2e-3
        jolt = float(np.abs(np.diff(cut, 2)).max())
        worst, found, n = max(worst, jolt), found + (jolt > bound), n + 1
    return [
        figure(
            "clicks at cancels", found, "", "<= 0",
            f"{n} cancels all over 5 s of speech; change of slope above that of the speech within "
            f"50 ms; greatest {worst:.3f} (the speech itself {own:.3f}, a cut 0.5)",
        ),
        _concatenation(),
    ]  # fmt: skip


def _concatenation() -> Figure:
    """How many samples between two utterances are not where they belong."""
    playout = Playout(pause_ticks=0)
    mixer = Mixer(playout)
    at, wanted = np.arange(7001), []
    for index in range(20):
        tone = (0.3 * np.sin(at * 0.01 * (index + 1)) * np.hanning(len(at))).astype(np.float32)
        playout.push(AudioChunk(1, index, 0, tone, final=True))
        wanted.append(tone)
    sound = np.concatenate([mixer.mix(k * STEP, STEP).samples for k in range(95)])
    expected = np.concatenate(wanted)
    wrong = int((np.abs(sound[: len(expected)] - expected) > 1e-4).sum())
    return figure(
        "samples out of place", wrong, "", "<= 0",
        f"20 utterances of 7001 samples without a pause, {len(expected)} samples compared",
    )  # fmt: skip


# Drift -------------------------------------------------------------------------------------------


def hours() -> list[Figure]:
    """Offset, drift, pitch and clicks over eight virtual hours on a card that is off."""
    resampling.ready()
    figures = []
    for ppm, leads in ((FAST_PPM, False), (-FAST_PPM, False), (FAST_PPM, True)):
        begun = time.process_time()
        found = card.run(
            ppm=ppm, seconds=HOURS * 3600, master=leads, block=2048, stall_every_s=1200.0
        )
        took_s = time.process_time() - begun
        late = found.at_s > SETTLED_S
        slope = float(np.polyfit(found.at_s[late], found.offset_ms[late], 1)[0]) * 3600
        name = f"{ppm:+.0f} ppm, {'the show follows it' if leads else 'held by resampling'}"
        how = (
            f"{HOURS:g} virtual hours, 2 ms of jitter, the body hangs every 20 minutes "
            f"({found.underruns} underruns); phase of two tones in what was played, "
            f"{len(found.at_s)} windows; {took_s:.0f} s of CPU"
        )
        pitch = np.abs(found.cents[round(SETTLED_S) * 10 :])
        figures += [
            figure(
                f"card {name}: greatest offset", float(np.abs(found.offset_ms).max()), "ms",
                "<= 10", how,
            ),
            figure(f"card {name}: drift of the offset", slope, "ms/h", "|x|<= 0.1", how,
                   cell=("hours", "drift")),
            figure(
                f"card {name}: pitch error, settled", float(pitch.max()), "cent", "<= 1",
                "the greatest over any second",
            ),
            figure(
                f"card {name}: clicks", float(found.jolt > 1.5), "", "<= 0",
                f"greatest change of slope {found.jolt:.2f} times the tones' own",
            ),
        ]  # fmt: skip
    return figures


def drift() -> list[Figure]:
    """A real body beside two real-time cards: one that it follows, one that is slower."""
    from render.puppet import PuppetRenderer

    show = Show(video=Video(width=640, height=360))  # what is measured is time, not drawing
    folder = folders.character(show.character)
    scene = load_character(folder).scene
    box = PuppetRenderer(
        folder, width=show.video.width, height=show.video.height, scene=scene
    ).mouth_box()
    files = {"leader": _folder() / "leader", "slave": _folder() / "slave"}
    for notes_folder in files.values():
        notes_folder.mkdir()
    sinks = {
        name: SinkTable(
            "stage.bench.air.fastcard:FastCard",
            {"ppm": ppm, "path": str(files[name]), "box": list(box)},
        )
        for name, ppm in (("leader", FAST_PPM), ("slave", 0.0))
    }
    _perform(show, sinks, DRIFT_MIN * 60)
    figures = []
    for name, words in (
        ("leader", f"card {FAST_PPM:+.0f} ppm that the show follows"),
        ("slave", f"card {FAST_PPM:.0f} ppm slower than the show, resampled"),
    ):
        kept = [np.load(path) for path in sorted(files[name].glob("*.npz"))]
        at, early = _offsets(kept)
        ten = max(3, len(early) // 10)
        how = (
            f"{DRIFT_MIN:g} minutes of real time, {len(early)} sounds at the loudspeaker against "
            f"the mouth's pixels in the pictures; {sum(int(n['underruns']) for n in kept)} "
            f"underruns, opened {len(kept)} times; "
            f"the sink says {float(kept[-1]['drift_ppm']):+.0f} ppm"
        )
        figures += [
            figure(f"{words}: offset, first tenth", float(np.median(early[:ten])), "ms",
                   "|x|<= 10", how),
            figure(f"{words}: offset, last tenth", float(np.median(early[-ten:])), "ms",
                   "|x|<= 10", how),
            figure(f"{words}: offset, median of all", float(np.median(early)), "ms", "|x|<= 10",
                   how, cell=("card", "offset")),
            figure(f"{words}: greatest offset", float(np.abs(early).max()), "ms", "report",
                   "of a single sound; a mouth is known to half a frame, a late picture counts"),
            figure(f"{words}: drift", float(np.polyfit(at, early, 1)[0]) * 3600, "ms/h",
                   "|x|<= 10", "line through all", cell=("card", "drift")),
        ]  # fmt: skip
    return figures


def _perform(show: Show, sinks: dict[str, SinkTable], seconds: float) -> None:
    """Run a body in a process of its own and let it speak a vowel again and again."""
    import msgspec

    from stage import body

    show = msgspec.structs.replace(show, clock="device")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=body.main, args=(theirs, show))
    process.start()
    theirs.close()
    sound = fastcard.vowel()
    span = (PhonemeSpan("a", 0, len(sound)),)
    turn = 0
    ends_s = next_s = 0.0
    try:
        while not ends_s or time.monotonic() < ends_s:
            if ours.poll(0.05):
                message = wire.decode(ours.recv_bytes())
                if isinstance(message, wire.Ready):
                    for name, sink in sinks.items():
                        ours.send_bytes(
                            wire.encode(
                                wire.SinkAdd(name=name, engine=sink.engine, options=sink.options)
                            )
                        )
                    next_s = time.monotonic() + 12.0
                    ends_s = next_s + seconds
            if ends_s and time.monotonic() >= next_s:
                turn += 1
                # Another instant within the frame each time, so that the mean is exact.
                next_s += EVERY_S + (turn % 7) / 210
                said = AudioChunk(turn, 0, 0, sound, span, final=True)
                ours.send_bytes(wire.encode(wire.say(said, text="a", last=True)))
        ours.send_bytes(wire.encode(wire.Quit()))
        while True:
            ours.recv_bytes()  # until it has finished
    except (EOFError, OSError):
        process.join(30)
    finally:
        if process.is_alive():
            process.terminate()


def _offsets(kept: list[Any]) -> tuple[Any, Any]:
    """Return when each sound began (s), and how early it was against its mouth (ms)."""
    at, early = [], []
    for notes in kept:
        times, mouths = notes["times_s"], notes["mouths"]
        for onset in notes["onsets_s"]:
            moved = offset.change(times, mouths, float(onset), opening=True)
            if moved is not None:
                at.append(float(onset))
                early.append((moved - float(onset)) * 1e3)
    if len(early) < 10:
        raise RuntimeError(f"only {len(early)} mouths moved with a sound")
    return np.array(at), np.array(early)


# The mix -----------------------------------------------------------------------------------------


def tune(path: Path, seconds: float = 20.0) -> Path:
    """Write music of ours: chords, a bass, and a brush on the beat, over all of the spectrum."""
    rng = np.random.default_rng(4)
    n = round(seconds * TICKS_PER_S)
    at = np.arange(n) / TICKS_PER_S
    sound = np.zeros(n)
    for bar, chord in enumerate(
        [(220, 262, 330), (175, 220, 262), (262, 330, 392), (196, 247, 294)]
    ):
        inside = (at.astype(int) // 2) % 4 == bar
        for hz in (*chord, chord[0] / 2):
            for k in range(1, 7):
                sound += inside * np.sin(2 * np.pi * hz * k * at) / k**1.3
    beat = np.exp(-14.0 * (at % 0.5))
    sound = sound * 0.04 + 0.1 * beat * rng.standard_normal(n)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, TICKS_PER_S, 0, "NONE", "NONE"))
        file.writeframes((np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes())
    return path


def cost() -> list[Figure]:
    """What a frame's sound costs: voice, music, ducking, limiter."""
    mix.ready()
    music = Music([tune(_folder() / "tune.wav")], waits=False)
    playout = Playout()
    mixer = Mixer(playout, music)
    voice = np.random.default_rng(0).standard_normal(STEP * 6).astype(np.float32) * 0.2
    mixer.mix(0, STEP)
    time.sleep(1.5)  # the decoder fills its buffer
    took = []
    for k in range(1, 900):
        if k % 6 == 1:
            start = (k // 6) * len(voice)
            playout.push(AudioChunk(1, 0, start, voice, gain=1.8))
        begun = time.perf_counter()
        mixer.mix(k * STEP, STEP)
        took.append((time.perf_counter() - begun) * 1e3)
        time.sleep(0.005)
    mixer.close()
    how = f"{len(took)} frames at {FPS} a second: voice, music, ducking and limiter at work"
    return [
        figure("mix: a frame's sound, median", float(np.median(took)), "ms", "<= 0.5", how),
        figure("mix: a frame's sound, p95", float(np.percentile(took, 95)), "ms", "report", how),
        figure("mix: latency of the limiter", to_ms(LATENCY), "ms", "report",
               "made up for: a sample leaves with the pts that it came with"),
    ]  # fmt: skip


class _OnAir:
    """A speaker whose voice is heard as it goes on air, with music behind it or without."""

    def __init__(self, name: str, music: bool) -> None:
        self._name, self._music = name, music

    def speak(self, utterance: Utterance) -> Iterator[AudioChunk]:
        music = Music([tune(_folder() / "tune.wav")], waits=True) if self._music else None
        chunks = _speaker(self._name).speak(utterance)
        sound = np.concatenate(list(_air(iter(chunks), music)))
        yield AudioChunk(1, 0, 0, sound, final=True)


def ducking() -> list[Figure]:
    """How far music steps back, and whether the voice is understood over it."""
    music = Music([tune(_folder() / "tune.wav")], waits=True)
    playout = Playout()
    mixer = Mixer(playout, music, Duck())
    made = [mixer.mix(k * STEP, STEP).music for k in range(8 * FPS)]
    silence = np.zeros(6 * TICKS_PER_S, np.float32)
    playout.push(AudioChunk(1, 0, 0, silence, final=True))  # only the music is wanted here
    under = [mixer.mix(k * STEP, STEP).music for k in range(8 * FPS, 13 * FPS)]
    mixer.close()
    alone, behind = np.concatenate(made[4 * FPS :]), np.concatenate(under[FPS:])
    depth = integrated(alone) - integrated(behind)
    figures = [
        figure("music steps back by", depth, "dB", ">= 11", "loudness of the music stem, 4 s each"),
        figure("music alone, against the voice", integrated(alone) - TARGET_LUFS, "LU", "report",
               "-12 is asked for"),
    ]  # fmt: skip
    for language in ("en", "zh", "ja"):
        texts = lines.SPOKEN[language][:8]
        plain = heard(_OnAir("kohaku", False), language, texts).wrong  # type: ignore[arg-type]
        over = heard(_OnAir("kohaku", True), language, texts).wrong  # type: ignore[arg-type]
        figures.append(
            figure(
                f"misheard because of the music, {language}", over - plain, "points", "<= 2",
                f"{len(texts)} lines, Whisper base: {over:.1f} % with, {plain:.1f} % without",
            )
        )  # fmt: skip
    return figures


def through_cable() -> list[Figure]:
    """What comes out at the other end of a virtual audio cable."""
    from stage import cables
    from stage.bench.air.cable import listen

    ours = not cables.find()
    if ours:
        cables.make()
    try:
        found = listen(30.0)
    finally:
        if ours:
            cables.remove()
    how = f"{found.onsets} beeps from the device sink, recorded from the cable's monitor by parec"
    return [
        figure("virtual cable: level", found.level_db - found.sent_db, "dB", "|x|<= 0.5", how),
        figure("virtual cable: a beep out of place by", found.interval_ms, "ms", "<= 10",
               f"greatest error of the time between two; {found.underruns} underruns"),
    ]  # fmt: skip


PARTS: dict[str, tuple[str, Callable[[], list[Figure]]]] = {
    "hours": ("eight virtual hours on a sound card that is off", hours),
    "drift": ("a real run beside a sound card that is off", drift),
    "loudness": ("two minutes of each host in each language, judged by ffmpeg", programme),
    "clicks": ("cancels and joins", clicks),
    "mixing": ("what a frame's sound costs", cost),
    "cable": ("through a virtual audio cable", through_cable),
    "ducking": ("music behind the voice", ducking),
}
"""Part -> (description, measure)."""
