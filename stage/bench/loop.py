"""Area `loop`: the figures of First light, from a real show and from finished films."""

import asyncio
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dialogue.messages import Utterance
from dialogue.ticks import TICKS_PER_S, Ticks, to_s
from stage import wire
from stage.bench import lines
from stage.bench.figures import Figure
from stage.bench.processes import apart, held_mib
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
def _piper() -> Any:
    from stage import engines
    from stage.models.store import ModelStore
    from voice.speaker import Speaker

    piper = engines.make("tts", "piper", {}, ModelStore())
    piper.warm()
    return Speaker({"en": [piper]})


# The show ---------------------------------------------------------------------------------------

TALK_S = 615.0
"""How long the show goes on: what it holds after a minute and after ten is compared."""
EARLY_S, LATE_S, AROUND_S = 60.0, 600.0, 15.0
"""Memory is averaged for so long from each of the two instants on."""


@dataclass
class _Turn:
    """What is known of one answer."""

    line: str = ""
    received_s: float = 0.0
    done: wire.Done | None = None

    @property
    def wait_s(self) -> float | None:
        """Seconds from the line's arrival to the first sound heard."""
        return self._until("heard")

    @property
    def words_s(self) -> float | None:
        """Seconds from the line's arrival to the first of the model's own words heard."""
        return self._until("words_heard")

    def _until(self, mark: str) -> float | None:
        if self.done is None or mark not in self.done.marks:
            return None
        return self.done.marks[mark] - self.received_s

    @property
    def pace(self) -> float | None:
        """Tokens a second between the first and the last of the answer."""
        return _pace(self.done.marks, self.done.work.deltas) if self.done is not None else None


def _pace(marks: Mapping[str, float], deltas: int) -> float | None:
    took_s = marks.get("last_token", 0.0) - marks.get("first_token", 0.0)
    return (deltas - 1) / took_s if deltas > 8 and took_s > 0 else None


class _Watch:
    """Takes notes of a running show."""

    def __init__(self) -> None:
        self.turns: list[_Turn] = []
        self.last: wire.Pulse | None = None
        self.ready_s: dict[str, float] = {}
        self.held: list[tuple[float, dict[str, float]]] = []
        """Seconds of the show, and MiB of each process."""
        self._lines: dict[str, wire.Line] = {}
        self._chosen: dict[int, _Turn] = {}
        self._begun = time.monotonic()

    def __call__(self, message: Any) -> None:
        match message:
            case wire.Line():
                self._lines[message.id] = message
            case wire.Ready():
                self.ready_s[message.role] = time.monotonic() - self._begun
            case wire.Chosen():
                received_s = self._lines.pop(message.id).received_at
                self._chosen[message.turn] = _Turn(message.text, received_s)
            case wire.Done():
                turn = self._chosen.pop(message.turn)
                turn.done = message
                self.turns.append(turn)
            case wire.Pulse():
                self.last = message

    def memory(self, from_s: float) -> dict[str, float]:
        """Return the mean MiB of each process from that second of the show on."""
        found = [held for at, held in self.held if from_s <= at < from_s + AROUND_S]
        return {name: statistics.mean(h[name] for h in found) for name in found[0]} if found else {}


@cache
def _show() -> tuple[_Watch, Path]:
    """Run a show of at least twenty chat lines and ten minutes, and film it.

    In a process of its own: this one may hold models that other parts have loaded.
    """
    film = _folder() / "show.mp4"
    return apart(_run_show, film), film


def _run_show(connection: Connection, film: Path) -> None:
    """Run the show and send what was seen of it."""
    from stage.house import House

    show = Show(sinks={"record": SinkTable("file", {"path": str(film)})})
    watch = _Watch()

    async def weigh(house: House, begun: float) -> None:
        while True:
            held = {
                name: size
                for name, pid in (("house", os.getpid()), ("body", house.body.pid),
                                  ("mind", house.mind.pid))
                if pid is not None and (size := held_mib(pid)) is not None
            }  # fmt: skip
            if len(held) == 3:
                watch.held.append((time.monotonic() - begun, held))
            await asyncio.sleep(1.0)

    async def run() -> None:
        house = House(show, title="bench", theme={}, watch=watch, page=False)
        await house.start()
        try:
            await asyncio.wait_for(house.ready("body"), 60)
            await asyncio.wait_for(house.ready("mind"), 300)
            await _settled(house)
            begun = time.monotonic()
            weighing = asyncio.create_task(weigh(house, begun))
            for number, (author, text) in enumerate(itertools.cycle(lines.CHAT)):
                now_s = time.monotonic() - begun
                if number >= len(lines.CHAT) and now_s > TALK_S:
                    break
                _tell(f"{now_s:4.0f} s, line {number + 1}: {author}: {text}")
                _, done = house.line(text, author=author, source="bench")
                await asyncio.wait((done,), timeout=90)
                await asyncio.sleep(0.6)
            weighing.cancel()
        finally:
            await house.close()

    asyncio.run(run())
    connection.send(watch)


async def _settled(house: Any) -> None:
    """Wait for what a show loads in its first calm moments, half a minute at most."""
    for _ in range(30):
        await asyncio.sleep(1.0)
        if house.body.understudy_ready:
            break
    await asyncio.sleep(3.0)


def _tell(text: str) -> None:
    """Show what is going on where somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K  {text}"[:100], end="", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class _Floor:
    """Model times alone."""

    waits_s: list[float]
    paces: list[float]


@cache
def _floor() -> _Floor:
    """Measure, for each chat line, the model times alone: first clause plus first sound."""
    from dialogue.character import load_character
    from dialogue.conversation import Conversation
    from dialogue.messages import AudienceMessage
    from stage import engines, folders

    show = Show()
    character = load_character(folders.character(show.character))
    models = engines.make_models(show)
    speaker = _speaker()
    waits: list[float] = []
    paces: list[float] = []

    async def run() -> None:
        conversation = Conversation(
            character, models, temperature=show.llm.temperature, max_tokens=show.llm.max_tokens
        )
        for code in character.languages:
            await conversation.prepare(code)
        for number, (author, text) in enumerate(lines.CHAT):
            message = AudienceMessage(str(number), "bench", author, text, time.monotonic())
            turn = conversation.turn(number + 1, message)
            begun, first, said = time.perf_counter(), 0.0, []
            async for utterance in conversation.answer(turn):
                if utterance.text and not first:
                    first = time.perf_counter() - begun
                said.append(utterance)
            conversation.close_turn(turn, " ".join(u.text for u in said))
            spoken = [u for u in said if u.text]
            if spoken:
                begun = time.perf_counter()
                next(c for c in speaker.speak(spoken[0]) if len(c.samples))
                waits.append(first + time.perf_counter() - begun)
            if (pace := _pace(turn.marks, turn.deltas)) is not None:
                paces.append(pace)
            await conversation.prepare(turn.language)
        await conversation.aclose()

    asyncio.run(run())
    return _Floor(waits, paces)


def latency() -> list[Figure]:
    """Chat line received to first sound, over the floor; the paces; frames on time."""
    watch, _ = _show()
    first = watch.turns[: len(lines.CHAT)]
    waits = [wait for turn in first if (wait := turn.wait_s) is not None]
    how = f"{len(waits)} lines in three languages, whole show running and filmed"
    words = [wait for turn in first if (wait := turn.words_s) is not None]
    opened = sum(1 for turn in first if turn.done is not None and "opened" in turn.done.marks)
    median, own = _median(waits), _median(words)
    floor = _median(_floor().waits_s)
    answered = sum(1 for turn in first if turn.done is not None and turn.done.heard)
    works = [turn.done.work for turn in watch.turns if turn.done is not None]
    sound_s = sum(work.sound_s for work in works)
    pulse = watch.last
    if pulse is None:
        raise RuntimeError("the body of the show has said nothing")
    bad = 100.0 * (pulse.late + pulse.dropped) / max(1, pulse.frames + pulse.dropped)
    return [
        _figure(
            "chat line → first sound, median", median, "s", "report",
            f"{how}; {opened} of them opened with the viewer's name or a small word",
        ),
        _figure(
            "the same, 95th percentile", float(np.percentile(waits, 95)) if waits else None,
            "s", "report", how,
        ),
        _figure(
            "the floor: model times alone, median", floor, "s", "report",
            "the same lines without a show: first clause of the model, then first sound of the "
            "voice",
        ),
        _figure(
            "chat line → the model's own first words, median", own, "s", "report",
            "without the opener",
        ),
        _figure(
            "chat line → first sound, divided by the floor",
            median / floor if median and floor else None, "", "<= 1.10", "same run",
        ),
        _figure(
            "chat line → the model's own first words, divided by the floor",
            own / floor if own and floor else None, "", "<= 1.10", "same run",
        ),
        _figure("lines answered aloud", float(answered), "of 20", ">= 20", how),
        _figure(
            "the model's pace alone, median", _median(_floor().paces), "tokens/s", "report",
            "answers of more than 8 tokens, first to last",
        ),
        _figure(
            "the model's pace during the show, median",
            _median([pace for turn in watch.turns if (pace := turn.pace) is not None]),
            "tokens/s", "report", f"the same, {len(watch.turns)} answers",
        ),
        _figure(
            "synthesis real-time factor during the show",
            sum(work.voice_s for work in works) / sound_s if sound_s else None, "", "report",
            f"all voices, {sound_s:.0f} s of sound",
        ),
        *_firsts(works),
        _figure(
            "late or dropped frames at 720p30", bad, "%", "<= 0.5",
            f"{pulse.late} late and {pulse.dropped} dropped of {pulse.frames + pulse.dropped}, "
            "model and voice working, a film being encoded",
        ),
        _figure(
            "audio underruns in the show", float(pulse.underruns), "", "<= 0",
            "sound that was not there when its time came",
        ),
    ]  # fmt: skip


def _firsts(works: Sequence[wire.Work]) -> list[Figure]:
    """Return how soon the voices sounded during the show, short and long utterances."""
    figures = []
    every = [(code, text, s) for work in works for code, text, s in work.firsts]
    for code in ("en", "zh", "ja"):
        for label, short in (("up to 6 words", True), ("longer", False)):
            found = [s * 1e3 for c, t, s in every if c == code and _is_short(t, c) is short]
            figures.append(
                _figure(
                    f"utterance → first sound during the show, {label}, {code}, median",
                    _median(found), "ms", "<= 350" if found else "report",
                    f"{len(found)} utterances, default voice, model writing and film encoding",
                )
            )  # fmt: skip
    return figures


def _is_short(text: str, code: str) -> bool:
    return len(text.split()) <= 6 if code == "en" else len(text) <= 10


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


# Starts -----------------------------------------------------------------------------------------


def starts() -> list[Figure]:
    """Seconds from the start of a show to its first frame, and until it can answer."""
    took = apart(_run_starts)
    how = f"median of {len(took)} starts after a first one, persona from the disk"
    return [
        _figure("start → first frame", _median([t["body"] for t in took]), "s", "<= 3", how),
        _figure("start → ready to answer", _median([t["mind"] for t in took]), "s", "<= 8", how),
    ]


def _run_starts(connection: Connection) -> None:
    """Start a show four times and send how long the last three took."""
    from stage.house import House

    async def once() -> dict[str, float]:
        watch = _Watch()
        house = House(Show(), title="bench", theme={}, watch=watch, page=False)
        await house.start()
        try:
            await asyncio.wait_for(house.ready("body"), 60)
            await asyncio.wait_for(house.ready("mind"), 300)
        finally:
            await house.close()
        return watch.ready_s

    connection.send([asyncio.run(once()) for _ in range(4)][1:])


# Memory -----------------------------------------------------------------------------------------


def memory() -> list[Figure]:
    """Memory after ten minutes of talk against after one, house, body and mind."""
    watch, _ = _show()
    early, late = watch.memory(EARLY_S), watch.memory(LATE_S)
    how = "its own pages (USS), mean of 15 s, not measured outside Linux"
    figures = []
    for name in ("house", "body", "mind"):
        size = f"{early.get(name, 0):.0f} MiB, then {late.get(name, 0):.0f} MiB; {how}"
        growth = 100.0 * (late[name] / early[name] - 1) if early and late else None
        figures.append(
            _figure(f"memory of the {name} after 10 minutes", growth, "%", "report", size)
        )
    total = 100.0 * (sum(late.values()) / sum(early.values()) - 1) if early and late else None
    figures.append(
        _figure(
            "memory after 10 minutes of talk, against after 1",
            total,
            "%",
            "<= 2",
            f"{sum(early.values()):.0f} MiB, then {sum(late.values()):.0f} MiB, all three; {how}",
        )
    )
    return figures


# Falls ------------------------------------------------------------------------------------------


def falls() -> list[Figure]:
    """`kill -9` of the body and of the mind while the host speaks."""
    from stage.house import House

    took: dict[str, float] = {}
    alone: dict[str, float] = {}
    loaded: dict[str, float] = {}
    frames: list[tuple[float, int]] = []
    ready = {"body": asyncio.Event(), "mind": asyncio.Event()}
    speaking = asyncio.Event()

    def watch(message: Any) -> None:
        match message:
            case wire.Ready():
                loaded.setdefault(message.role, message.took_s)
                ready[message.role].set()
            case wire.Started():
                speaking.set()
            case wire.Pulse():
                frames.append((time.monotonic(), message.frames))

    async def run() -> None:
        show = Show(sinks={"record": SinkTable("file", {"path": str(_folder() / "falls.mp4")})})
        house = House(show, title="bench", theme={}, watch=watch, page=False, say=_tell)
        await house.start()
        try:
            for event in ready.values():
                await asyncio.wait_for(event.wait(), 300)
            ready["body"].clear()
            begun = time.monotonic()
            house.body.kill()  # before there is an understudy
            await asyncio.wait_for(ready["body"].wait(), 60)
            alone["body"] = time.monotonic() - begun
            await _settled(house)
            for role, child in (("body", house.body), ("mind", house.mind)):
                speaking.clear()
                _, done = house.line(lines.CHAT[2][1], author="Mika", source="bench")
                await asyncio.wait_for(speaking.wait(), 90)
                await asyncio.sleep(0.7)
                ready[role].clear()
                speaking.clear()
                begun = time.monotonic()
                child.kill()
                await asyncio.wait_for(ready[role].wait(), 120)
                took[role] = time.monotonic() - begun
                await asyncio.wait_for(speaking.wait(), 120)
                took[role + " speaks"] = time.monotonic() - begun
                if role == "mind":
                    seen = [n for at, n in frames if begun <= at <= begun + took[role]]
                    took["frames"] = (seen[-1] - seen[0]) / took[role]
                await asyncio.wait((done,), timeout=90)
        finally:
            await house.close()

    asyncio.run(run())
    return [
        _figure(
            "body killed in speech → on air again", took["body"], "s", "<= 2",
            "kill -9, until its understudy's first frame; a film being recorded",
        ),
        _figure(
            "body killed before there is an understudy → on air again", alone["body"], "s",
            "report", "in the first seconds of a show",
        ),
        _figure(
            "body killed in speech → the sentence goes on", took["body speaks"], "s", "report",
            "the utterance that broke is said again",
        ),
        _figure(
            "mind killed in speech → ready again, divided by its load time",
            took["mind"] / loaded["mind"], "", "<= 1.5",
            f"kill -9; {took['mind']:.1f} s of {loaded['mind']:.1f} s at the start of the show",
        ),
        _figure(
            "mind killed in speech → answers aloud", took["mind speaks"], "s", "report",
            "the line that was being answered",
        ),
        _figure(
            "frames a second while there is no mind", took["frames"], "", ">= 29",
            "the host keeps moving",
        ),
    ]  # fmt: skip


# Films ------------------------------------------------------------------------------------------


@cache
def _film(speaker: Any, name: str = "film") -> tuple[Path, Any]:
    from dialogue.sentences import split
    from stage.film import shoot

    path = _folder() / f"{name}.mp4"
    utterances = split(lines.FILM, language="en")
    return path, shoot(Show(), speaker, utterances, path)


def film() -> list[Figure]:
    """`bunraku say`: speed, A/V offset, lips from the pixels."""
    path, report = _film(_speaker())
    _, quick = _film(_piper(), "quick")
    figures = [
        _figure(
            "`bunraku say`: seconds of film per second of work", report.film_s / report.work_s,
            "", ">= 2", f"{report.film_s:.0f} s at 720p30, H.264 and AAC, models loaded",
        ),
        _figure(
            "the same with Piper's network", quick.film_s / quick.work_s,
            "", "report", f"{quick.film_s:.0f} s of the same text",
        ),
        _figure(
            "drawing a frame in that film, median", report.draw_ms, "ms", "report",
            "with colour conversion, other threads working",
        ),
    ]  # fmt: skip
    return figures + _offset() + _lips(path, report)


def _offset() -> list[Figure]:
    """A/V offset of a film of words that begin with vowels, from its pixels and sound."""
    from stage.bench.offset import measure
    from stage.film import shoot

    path = _folder() / "onsets.mp4"
    last = len(lines.ONSETS) - 1
    words = [
        Utterance(1, index, word, "en", final=index == last)
        for index, word in enumerate(lines.ONSETS)
    ]
    shoot(Show(), _speaker(), words, path)
    found = measure(path, _mouth_area())
    how = (
        f"{found.n} words that begin with a vowel: sound onset against mouth pixels in the "
        f"finished MP4; {found.missed} not seen"
    )
    return [
        _figure("A/V offset, median", found.median_ms, "ms", "|x|<= 10", how),
        _figure("A/V offset, 99 % of onsets within", found.p99_ms, "ms", "<= 33.4", how),
    ]


def show_film() -> list[Figure]:
    """The recorded show: A/V offset from its pixels and sound."""
    from stage.bench.offset import measure

    _, path = _show()
    found = measure(path, _mouth_area())
    return [
        _figure(
            "A/V offset in the recorded show, median", found.median_ms, "ms", "|x|<= 10",
            f"all {found.n} onsets after a silence, also of consonants with shut lips",
        )
    ]  # fmt: skip


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
    closed, total, opened, vowels = 0, 0, 0, 0
    from avatar.visemes import targets

    speaking = np.zeros(len(times), bool)
    for utterance in report.utterances:
        for phoneme in utterance["phonemes"]:
            start, stop = phoneme["start_s"], phoneme["stop_s"]
            inside = (times >= start - 0.1) & (times <= stop + 0.15)
            if phoneme["ipa"]:
                speaking |= inside
            near = (times >= start - 0.02) & (times <= stop + 0.02)
            if any(t.sound.closure == "PP" for t in targets(phoneme["ipa"])):
                total += 1
                closed += bool(near.any() and dark[near].min() <= _SHUT)
            elif phoneme["ipa"] and phoneme["ipa"][0] in _VOWELS:
                vowels += 1
                opened += bool(near.any() and dark[near].max() > _SHUT)
    still = dark[~speaking]
    quiet = float((still <= _SHUT).mean() * 100) if len(still) else None
    return [
        _figure(
            "mouth closed at p, b, m", 100.0 * closed / max(1, total), "%", ">= 100",
            f"{total} closures, each with a frame whose mouth shows no cavity",
        ),
        _figure(
            "mouth open at vowels", 100.0 * opened / max(1, vowels), "%", "report",
            f"{vowels} vowels, each with a frame that shows the inside: the detector is not blind",
        ),
        _figure(
            "mouth shut in silence", quiet, "%", ">= 100",
            f"{len(still)} frames more than 150 ms away from any phoneme",
        ),
    ]  # fmt: skip


_VOWELS = "aeiouæɑɐəɚɛɜɝɪɔʊʌAIOWY"

_SHUT = 0.0005
"""Share of the mouth's box (six pixels of 720p) that may show the inside of a shut mouth."""
SLIT_PX = 4
"""Less high than this, the dark between the lips is their line."""


def _cavity(path: Path) -> tuple[Any, Any]:
    """Return frame times and the share of pixels in the mouth's box that show its inside.

    The inside is dark crimson amid skin, unlike strands of hair and the neck's outline, and higher
    than the line of shut lips.
    """
    import av
    import cv2

    from render.scene import Scene
    from stage import folders

    x, y, w, h = _mouth_area()
    show = Show()
    # As in white light: the colours below are those of the drawing.
    light = np.array(Scene(folders.character(show.character), "night_room", 320, 180).light)
    slit = np.ones((SLIT_PX, 1), np.uint8)
    times, shares = [], []
    with av.open(str(path)) as film_:
        for frame in film_.decode(video=0):
            box = frame.to_ndarray(format="rgb24")[y : y + h, x : x + w] / light
            red, green, blue = box[..., 0], box[..., 1], box[..., 2]
            dark = (green < 60) & (red - green > 70) & (blue - green > 8)
            skin = (red > 205) & (green > 150) & (blue > 130)
            tall = cv2.morphologyEx(dark.astype(np.uint8), cv2.MORPH_OPEN, slit)
            outlines, _ = cv2.findContours(
                skin.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
            )
            face = np.zeros(dark.shape, np.uint8)
            if outlines:  # the largest patch of skin, its holes filled: the mouth is one
                cv2.drawContours(face, [max(outlines, key=cv2.contourArea)], -1, 1, cv2.FILLED)
            area = int((tall & cv2.erode(face, np.ones((5, 5), np.uint8))).sum())
            times.append(float(frame.pts * frame.time_base))
            shares.append(area / dark.size)
    return np.array(times), np.array(shares)


# The body alone ---------------------------------------------------------------------------------


def body() -> list[Figure]:
    """CPU of the body while the host speaks, without an encoder and with H.264."""
    plain = _body_cpu(None)
    encoded = _body_cpu(_folder() / "body.mp4")
    how = "process CPU of 300 frames of speech on the virtual clock, times 30 a second"
    drawn, naive = _redraw_ms()
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
    """Return milliseconds of drawing a turning head as we do, and of drawing every path anew."""
    from avatar.pose import ParameterTable, Pose
    from stage import folders
    from stage.bench.host import redraw_ms

    table = ParameterTable()

    def turning(pts: Ticks) -> Pose:
        values = table.default.copy()
        at_s = pts / TICKS_PER_S
        values[table.index["ParamAngleX"]] = 20.0 * np.sin(5.0 * at_s)
        values[table.index["ParamBreath"]] = at_s % 1.0
        return Pose(pts, values)

    return redraw_ms(folders.character(Show().character), "night_room", turning)


def _body_cpu(path: Path | None) -> float:
    from render.air import Air
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
    figures += _piper_figures()
    return figures


def _first_sound(speaker: Any, language: str, text: str) -> tuple[float, float]:
    firsts, factors = [], []
    for _ in speaker.speak(Utterance(0, 0, text, language)):
        pass  # dictionaries and memory that only a first time needs
    for number in range(7):
        begun, first, length = time.perf_counter(), 0.0, 0
        for chunk in speaker.speak(Utterance(number, 0, text, language)):
            if len(chunk.samples) and not first:
                first = time.perf_counter() - begun
            length += len(chunk.samples)
        firsts.append(first * 1e3)
        factors.append((time.perf_counter() - begun) / to_s(length))
    return statistics.median(firsts), statistics.median(factors)


def _piper_figures() -> list[Figure]:
    with_piper = _piper()
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
    from stage.bench.hearing import heard

    figures = []
    for language, texts in lines.SPOKEN.items():
        target = "<= 8" if language == "en" else "report"
        unit = "word" if language == "en" else "character (by sound)"
        figures.append(
            _figure(
                f"{unit} error rate, {language}", heard(_speaker(), language, texts).wrong, "%",
                target, f"{len(texts)} lines through the default voice, heard by Whisper base",
            )
        )  # fmt: skip
    return figures


PARTS: dict[str, tuple[str, Callable[[], list[Figure]]]] = {
    "starts": ("four starts of a show", starts),
    "voices": ("first sound and pace of each voice", voices),
    "words": ("30 lines a language, heard by an independent recogniser", words),
    "film": ("a film by `bunraku say`: speed, offset, lips", film),
    "body": ("the body's CPU while speaking", body),
    "latency": ("a show of ten minutes and twenty chat lines or more, and the floor", latency),
    "memory": ("what that show holds after one minute and after ten", memory),
    "show": ("A/V offset of the recorded show", show_film),
    "falls": ("kill -9 of body and mind in mid-speech", falls),
}
