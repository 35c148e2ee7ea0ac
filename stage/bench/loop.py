"""Area `loop`: the figures of First light, from a real show and from finished films."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dialogue.messages import Utterance
from dialogue.ticks import TICKS_PER_S, to_s
from stage.bench import lines
from stage.bench.figures import Figure
from stage.config import Show, SinkTable

AREA = "loop"


def _figure(name: str, value: float | None, unit: str, target: str, how: str) -> Figure:
    return Figure(AREA, name, value, unit, target, how)


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="bunraku-bench-"))


@cache
def _speaker() -> Any:
    from dialogue.character import load_character
    from stage import engines, folders

    show = Show()
    speaker = engines.make_speaker(show, load_character(folders.character(show.character)))
    speaker.warm()
    return speaker


@cache
def _recogniser() -> Any:
    from stage import engines

    return engines.make_recogniser()


# The show ---------------------------------------------------------------------------------------


class _Watch:
    """Takes notes of a running show."""

    def __init__(self) -> None:
        self.marks: list[tuple[str, dict[str, float], float]] = []
        self.pulses: list[Any] = []
        self.received: dict[str, float] = {}
        self.turns: dict[int, str] = {}
        self.ready_s: dict[str, float] = {}
        self.begun = time.monotonic()

    def __call__(self, message: Any) -> None:
        from stage import wire

        match message:
            case wire.Line():
                self.received[message.id] = message.received_at
            case wire.Ready():
                self.ready_s[message.role] = time.monotonic() - self.begun
            case wire.Chosen():
                self.turns[message.turn] = message.id
            case wire.Done():
                received = self.received.get(self.turns.get(message.turn, ""), 0.0)
                self.marks.append((message.heard, message.marks, received))
            case wire.Pulse():
                self.pulses.append(message)


@cache
def _show() -> tuple[_Watch, Path]:
    """Run a show of twenty chat lines and film it."""
    from stage.house import House

    film = _folder() / "show.mp4"
    show = Show(sinks={"record": SinkTable("file", {"path": str(film)})})
    watch = _Watch()

    async def run() -> None:
        house = House(show, title="bench", theme={}, watch=watch, page=False)
        await house.start()
        try:
            await asyncio.wait_for(house.ready("body"), 60)
            await asyncio.wait_for(house.ready("mind"), 300)
            for author, text in lines.CHAT:
                _, done = house.line(text, author=author, source="bench")
                await asyncio.wait((done,), timeout=90)
                await asyncio.sleep(0.6)
        finally:
            await house.close()

    asyncio.run(run())
    return watch, film


@cache
def _floor() -> list[float]:
    """Return, for each chat line, the model times alone: first clause plus first sound, in s."""
    from dialogue.character import load_character
    from dialogue.conversation import Conversation
    from dialogue.messages import AudienceMessage
    from stage import engines, folders

    show = Show()
    character = load_character(folders.character(show.character))
    models = engines.make_models(show)
    speaker = _speaker()
    floors: list[float] = []

    async def run() -> None:
        conversation = Conversation(
            character, models, temperature=show.llm.temperature, max_tokens=show.llm.max_tokens
        )
        await conversation.warm()
        for number, (author, text) in enumerate(lines.CHAT):
            message = AudienceMessage(str(number), "bench", author, text, time.monotonic())
            turn = conversation.turn(number + 1, message)
            begun, first, said = time.perf_counter(), 0.0, []
            async for utterance in conversation.answer(turn):
                if utterance.text and not first:
                    first = time.perf_counter() - begun
                    said.append(utterance)
            conversation.close_turn(turn, " ".join(u.text for u in said))
            if said:
                begun = time.perf_counter()
                next(c for c in speaker.speak(said[0]) if len(c.samples))
                floors.append(first + time.perf_counter() - begun)
        await conversation.aclose()

    asyncio.run(run())
    return floors


def latency() -> list[Figure]:
    """Chat line received to first sound, over the floor; the model's pace; frames on time."""
    watch, _ = _show()
    waits = [marks["heard"] - received for _, marks, received in watch.marks if "heard" in marks]
    median = statistics.median(waits) if waits else None
    floor = statistics.median(_floor()) if _floor() else None
    answered = len([heard for heard, _, _ in watch.marks if heard])
    how = f"{len(waits)} lines in three languages, whole show running, from the mind's time marks"
    paces = [
        marks["last_token"] - marks["first_token"]
        for _, marks, _ in watch.marks
        if "last_token" in marks and "first_token" in marks
    ]
    last = watch.pulses[-1]
    shown = last.frames + last.dropped
    bad = 100.0 * (last.late + last.dropped) / max(1, shown)
    return [
        _figure("chat line → first sound, median", median, "s", "report", how),
        _figure(
            "the same, 95th percentile",
            float(np.percentile(waits, 95)) if waits else None,
            "s", "report", how,
        ),
        _figure(
            "the floor: model times alone, median", floor, "s", "report",
            "the same lines, no show: first clause of the model, then first sound of the voice",
        ),
        _figure(
            "chat line → first sound, divided by the floor",
            median / floor if median and floor else None, "", "<= 1.10", "the two above",
        ),
        _figure("lines answered aloud", float(answered), "of 20", ">= 20", how),
        _figure(
            "the model writes an answer in, median", statistics.median(paces) if paces else None,
            "s", "report", "first to last token while the show runs",
        ),
        _figure(
            "late or dropped frames at 720p30", bad, "%", "<= 0.5",
            f"{last.late} late and {last.dropped} dropped of {shown}, model and voice working, "
            "a film being encoded",
        ),
        _figure(
            "start → first frame", watch.ready_s.get("body"), "s", "<= 3", "second start, this run"
        ),
        _figure(
            "start → ready to answer", watch.ready_s.get("mind"), "s", "<= 8",
            "second start, persona from the disk",
        ),
        _figure(
            "audio underruns in the show", float(last.underruns), "", "<= 0",
            "sound that was not there when its time came",
        ),
    ]  # fmt: skip


# Films ------------------------------------------------------------------------------------------


@cache
def _film() -> tuple[Path, Any]:
    from dialogue.sentences import split
    from stage.film import shoot

    path = _folder() / "film.mp4"
    utterances = split(lines.FILM, language="en")
    return path, shoot(Show(), _speaker(), utterances, path)


def film() -> list[Figure]:
    """`bunraku say`: speed, A/V offset, lips from the pixels."""
    path, report = _film()
    figures = [
        _figure(
            "`bunraku say`: seconds of film per second of work", report.film_s / report.work_s,
            "", ">= 2", f"{report.film_s:.0f} s at 720p30, H.264 and AAC, models loaded",
        ),
        _figure(
            "drawing a frame in that film, median", report.draw_ms, "ms", "report",
            "with colour conversion, other threads working",
        ),
    ]  # fmt: skip
    return figures + _offsets(path, "film") + _lips(path, report)


def _offsets(path: Path, name: str) -> list[Figure]:
    from stage.bench.offset import measure

    found = measure(path, _mouth_area())
    how = f"sound onsets against mouth pixels in the finished {name}, {found.n} onsets"
    return [
        _figure(f"A/V offset in the {name}, median", found.median_ms, "ms", "|x|<= 10", how),
        _figure(f"A/V offset in the {name}, p99", found.p99_ms, "ms", "|x|<= 33.4", how),
    ]


def show_film() -> list[Figure]:
    """The recorded show: A/V offset from its pixels and sound."""
    _, path = _show()
    return _offsets(path, "show")


def _mouth_area() -> tuple[int, int, int, int]:
    """Return the mouth's surroundings with room for the head's motion."""
    from render.puppet import PuppetRenderer
    from stage import folders

    show = Show()
    renderer = PuppetRenderer(
        folders.character(show.character), width=show.video.width, height=show.video.height,
        scene="night_room",
    )  # fmt: skip
    x, y, w, h = renderer.mouth_box()
    return x - w // 2, y - h // 4, w * 2, h + h // 2


def _lips(path: Path, report: Any) -> list[Figure]:
    """Count mouths that are closed where they must be, from the film's own pixels."""
    times, dark = _cavity(path)
    closed, total = 0, 0
    from avatar.visemes import targets

    speaking = np.zeros(len(times), bool)
    for utterance in report.utterances:
        for phoneme in utterance["phonemes"]:
            start, stop = phoneme["start_s"], phoneme["stop_s"]
            inside = (times >= start - 0.1) & (times <= stop + 0.15)
            if phoneme["ipa"]:
                speaking |= inside
            if any(t.sound.closure == "PP" for t in targets(phoneme["ipa"])):
                total += 1
                near = (times >= start - 0.02) & (times <= stop + 0.02)
                closed += bool(near.any() and dark[near].min() <= _SHUT)
    still = dark[~speaking]
    quiet = float((still <= _SHUT).mean() * 100) if len(still) else None
    return [
        _figure(
            "mouth closed at p, b, m", 100.0 * closed / max(1, total), "%", ">= 100",
            f"{total} closures, each with a frame whose mouth shows no cavity",
        ),
        _figure(
            "mouth shut in silence", quiet, "%", ">= 100",
            f"{len(still)} frames more than 150 ms away from any phoneme",
        ),
    ]  # fmt: skip


_SHUT = 0.0035
"""Share of the mouth's box that a shut mouth's line and fang may darken."""


def _cavity(path: Path) -> tuple[Any, Any]:
    """Return frame times and the share of mouth-red pixels in the mouth's box.

    The inside of the mouth and the tongue are saturated reds that the face has nowhere else.
    """
    import av

    x, y, w, h = _mouth_area()
    times, shares = [], []
    with av.open(str(path)) as film_:
        for frame in film_.decode(video=0):
            box = frame.to_ndarray(format="rgb24")[y : y + h, x : x + w].astype(int)
            red, green, blue = box[..., 0], box[..., 1], box[..., 2]
            inside = (red - green > 70) & (red - blue > 30) & (red < 215) & (green < 110)
            times.append(float(frame.pts * frame.time_base))
            shares.append(float(inside.mean()))
    return np.array(times), np.array(shares)


# The body alone ---------------------------------------------------------------------------------


def body() -> list[Figure]:
    """CPU of the body while the host speaks, without an encoder and with H.264."""
    plain = _body_cpu(None)
    encoded = _body_cpu(_folder() / "body.mp4")
    how = "process CPU of 300 frames of speech on the virtual clock, times 30 a second"
    naive, drawn = _redraw_ms()
    return [
        _figure("body's CPU at 720p30, speaking, no encoder", plain, "% of a core", "<= 40", how),
        _figure("body's CPU at 720p30, speaking, H.264", encoded, "% of a core", "<= 65", how),
        _figure(
            "drawing a frame of a turning head, against redrawing every path", drawn / naive,
            "", "<= 0.42",
            f"same run, 60 frames each: {drawn:.1f} of {naive:.1f} ms; 40 % of 95 % of a core "
            "(the two CPU targets) is 0.42 and does not depend on the machine's speed",
        ),
    ]  # fmt: skip


class _Eye:
    """A sink that looks and does nothing."""

    needs: ClassVar[Mapping[str, str]] = {}
    watched = True

    def open(self, *, width: int, height: int, fps: int) -> None:
        """Get ready."""

    def video(self, frame: Any) -> None:
        """Look."""

    def audio(self, pts: int, samples: Any) -> None:
        """Listen."""

    def close(self) -> None:
        """Leave."""


def _redraw_ms() -> tuple[float, float]:
    """Return milliseconds of drawing every path anew, and of drawing as we do, a frame."""
    from render.puppet import PuppetRenderer
    from stage import folders

    show, took = Show(), []
    video = show.video
    out = np.zeros((video.height, video.width, 4), np.uint8)
    for exact in (True, False):
        drawer = PuppetRenderer(
            folders.character(show.character),
            width=video.width, height=video.height, scene="night_room", exact=exact,
        )  # fmt: skip
        begun = time.thread_time()
        for k in range(60):
            turn = {"ParamAngleX": 20.0 * np.sin(k / 6), "ParamBreath": k % 30 / 30}
            drawer.draw(drawer.pose(turn, k * TICKS_PER_S // video.fps), out)
        took.append((time.thread_time() - begun) * 1e3 / 60)
    return took[0], took[1]


def _body_cpu(path: Path | None) -> float:
    from render.air import Air
    from stage import wire
    from stage.body import make_body, make_sink

    show = Show()
    packets = [
        wire.say(chunk, text="x", last=True)
        for chunk in _speaker().speak(Utterance(1, 0, lines.FILM, "en"))
    ]
    air = Air(width=1280, height=720, fps=30, blocking=True)
    made = make_body(show, air, lambda message: None)
    if path is None:
        air.add("eye", _Eye)
    else:
        air.add("film", lambda: make_sink("file", {"path": str(path)}))
    made.start_at(0)
    for packet in packets:
        made.receive(packet, 0)
    for k in range(30):
        made.step(k * made.frame_ticks)
    before, frames = time.process_time(), 300
    for k in range(30, 30 + frames):
        made.step(k * made.frame_ticks)
    used = time.process_time() - before
    air.close()
    return 100.0 * used / frames * show.video.fps


# Voices -----------------------------------------------------------------------------------------


def voices() -> list[Figure]:
    """Sentence to first sound, real-time factor and recognised words, each default voice."""
    figures: list[Figure] = []
    speaker = _speaker()
    for language in ("en", "zh", "ja"):
        for label, text, limit in (
            ("4 words", lines.SHORT[language], "<= 350"),
            ("12 words", lines.LONG[language], "<= 350"),
        ):
            first, factor = _first_sound(speaker, language, text)
            figures.append(
                _figure(
                    f"sentence → first sound, {label}, {language}", first, "ms", limit,
                    "median of 7, default voice, alone",
                )
            )  # fmt: skip
        figures.append(
            _figure(
                f"synthesis real-time factor, {language}", factor, "", "report", "12 words, alone"
            )
        )
    figures += _piper()
    return figures


def _first_sound(speaker: Any, language: str, text: str) -> tuple[float, float]:
    firsts, factors = [], []
    for number in range(7):
        begun, first, length = time.perf_counter(), 0.0, 0
        for chunk in speaker.speak(Utterance(number, 0, text, language)):
            if len(chunk.samples) and not first:
                first = time.perf_counter() - begun
            length += len(chunk.samples)
        firsts.append(first * 1e3)
        factors.append((time.perf_counter() - begun) / to_s(length))
    return statistics.median(firsts), statistics.median(factors)


def _piper() -> list[Figure]:
    from stage import engines
    from stage.models.store import ModelStore
    from voice.speaker import Speaker

    piper = engines.make("tts", "piper", {}, ModelStore())
    piper.warm()
    with_piper = Speaker({"en": [piper]})
    figures = []
    for label, text, limit in (
        ("4 words", lines.SHORT["en"], "<= 150"),
        ("12 words", lines.LONG["en"], "<= 200"),
    ):
        first, factor = _first_sound(with_piper, "en", text)
        figures.append(
            _figure(
                f"sentence → first sound, {label}, Piper's network", first, "ms", limit,
                "median of 7, alone",
            )
        )  # fmt: skip
    figures.append(
        _figure("synthesis real-time factor, Piper", factor, "", "report", "12 words, alone")
    )
    return figures


def words() -> list[Figure]:
    """Speech recognised from what the default voices say."""
    import soxr

    figures = []
    for language, texts in lines.SPOKEN.items():
        wrong = total = 0
        for number, text in enumerate(texts):
            sound = np.concatenate(
                [c.samples for c in _speaker().speak(Utterance(number, 0, text, language))]
            )
            heard = _recogniser().transcribe(soxr.resample(sound, TICKS_PER_S, 16_000), language)
            expected, got = _units(text, language), _units(heard.text, language)
            wrong += _distance(expected, got)
            total += len(expected)
        target = "<= 8" if language == "en" else "report"
        unit = "word" if language == "en" else "character (by sound)"
        figures.append(
            _figure(
                f"{unit} error rate, {language}", 100.0 * wrong / total, "%", target,
                f"{len(texts)} lines through the default voice, heard by Whisper base",
            )
        )  # fmt: skip
    return figures


def _units(text: str, language: str) -> list[str]:
    """Return what is compared: English words; Chinese and Japanese by sound, not by spelling."""
    kept = "".join(ch.lower() if ch.isalnum() or ch in " '" else " " for ch in text)
    if language == "zh":
        from pypinyin import lazy_pinyin

        return [p for p in lazy_pinyin(kept.replace(" ", "")) if p.strip()]
    if language == "ja":
        import pyopenjtalk

        return [p.lower() for p in pyopenjtalk.g2p(kept.replace(" ", "")).split() if p != "pau"]
    return kept.split()


def _distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Return the edit distance."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


PARTS: dict[str, tuple[str, Callable[[], list[Figure]]]] = {
    "voices": ("first sound and pace of each voice", voices),
    "words": ("30 lines a language, heard by an independent recogniser", words),
    "film": ("a film by `bunraku say`: speed, offset, lips", film),
    "body": ("the body's CPU while speaking", body),
    "latency": ("a show of twenty chat lines, and the floor", latency),
    "show": ("A/V offset of the recorded show", show_film),
}
