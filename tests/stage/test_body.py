"""The body on virtual time: real playout, performer and air; a renderer that only takes notes."""

import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest

from avatar.performer import Performer
from avatar.pose import ParameterTable, Pose
from dialogue.character import CaptionStyle
from dialogue.ticks import TICKS_PER_S, Ticks
from render.adapt import Level
from render.air import Air
from render.burn import BurnedSink
from render.captions import Caption
from render.clock import VirtualClock
from render.frames import Pixels, VideoFrame
from render.limiter import LATENCY
from render.mix import Mixer
from render.music import Music
from render.pacing import Pacer
from stage import wire
from stage.body import AHEAD, AUDIO_LEAD, HEAR, Body, _farewell, _hear, make_music
from stage.config import MusicTable, Show
from voice.speech import AudioChunk, PhonemeSpan, Samples, WordSpan

FPS = 30
FRAME: Ticks = TICKS_PER_S // FPS


class Notes:
    """A renderer that keeps the poses it was asked to draw."""

    def __init__(self) -> None:
        self.table = ParameterTable()
        self.poses: list[Pose] = []

    def draw(self, pose: Pose, out: Pixels) -> None:
        self.poses.append(pose)


class Apart(Notes):
    """A renderer that can also draw the host alone."""

    light = (1.0, 1.0, 1.0)

    def __init__(self) -> None:
        super().__init__()
        self.alone: list[bool] = []  # for each host: whether the whole picture was drawn too

    def draw_host(self, pose: Pose, host: Pixels, out: Pixels | None = None) -> None:
        self.alone.append(out is not None)


class Tape(Air):
    """An air that keeps what it was given."""

    def __init__(self) -> None:
        super().__init__(width=16, height=16, fps=FPS)
        self.sound: list[tuple[Ticks, Samples]] = []
        self.stems: list[tuple[Samples, Samples]] = []
        self.frames: list[Ticks] = []
        self.captions: list[Caption] = []
        self.seen = True
        self.mirrored = False
        self.hosts = 0

    @property
    def watched(self) -> bool:
        return self.seen

    @property
    def wants_host(self) -> bool:
        return self.mirrored

    @property
    def wants_pixels(self) -> bool:
        return self.seen

    def video(self, frame: VideoFrame) -> None:
        self.frames.append(frame.pts)
        self.hosts += frame.host is not None

    def audio(
        self,
        pts: Ticks,
        samples: Samples,
        voice: Samples | None = None,
        music: Samples | None = None,
    ) -> None:
        self.sound.append((pts, samples.copy()))
        if voice is not None and music is not None:
            self.stems.append((voice.copy(), music.copy()))

    def caption(self, caption: Caption) -> None:
        self.captions.append(caption)


class Scene:
    """A body, its clock and everything it told."""

    def __init__(self, notes: Notes | None = None) -> None:
        self.notes, self.tape = notes or Notes(), Tape()
        self.told: list[wire.Message] = []
        self.body = Body(
            self.notes,  # type: ignore[arg-type]
            Performer(self.notes.table, seed=1),
            self.tape,
            fps=FPS,
            pause_ms=100,
            tell=self.told.append,
        )
        self.body.start_at(0)
        self.pts: Ticks = 0

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * FPS)):
            self.body.step(self.pts)
            self.pts += FRAME

    def say(
        self, turn: int = 1, utterance: int = 0, *, seconds: float = 1.0, **about: object
    ) -> None:
        """Say "ama" as a tone: open, shut, open."""
        n = round(seconds * TICKS_PER_S)
        third = n // 3
        spans = tuple(
            PhonemeSpan(p, k * third, (k + 1) * third) for k, p in enumerate(("a", "m", "a"))
        )
        tone = (0.3 * np.sin(np.arange(third * 3) * 0.05)).astype(np.float32)
        chunk = AudioChunk(
            turn, utterance, 0, tone, spans, (WordSpan(0, 3, 0, third * 3),), final=True
        )
        fields = {"text": "ama", "last": True, **about}
        self.body.receive(wire.say(chunk, **fields), self.pts)

    def heard(self) -> Samples:
        return np.concatenate([samples for _, samples in self.tape.sound])

    def open_at(self, pts: Ticks) -> float:
        pose = min(self.notes.poses, key=lambda p: abs(p.pts - pts))
        closed = [self.notes.table.index[f"Viseme_{name}"] for name in ("sil", "PP")]
        return 1.0 - float(pose.values[closed].sum())

    def messages(self, kind: type) -> list[wire.Message]:
        return [message for message in self.told if isinstance(message, kind)]


def test_sound_is_continuous_and_ahead_of_the_picture() -> None:
    scene = Scene()
    scene.run(1.0)
    at: Ticks = 0
    for pts, samples in scene.tape.sound:
        assert pts == at
        at += len(samples)
    assert at == scene.pts + AUDIO_LEAD
    assert scene.tape.frames == [k * FRAME for k in range(FPS)]


def test_lips_move_with_the_sound_and_rest_without_it() -> None:
    scene = Scene()
    scene.run(0.5)
    scene.say()
    scene.run(2.0)
    (started,) = scene.messages(wire.Started)
    assert isinstance(started, wire.Started)
    sound = scene.heard()
    onset = int(np.nonzero(np.abs(sound) > 1e-3)[0][0])
    assert abs(onset - started.pts) < 48
    third = TICKS_PER_S // 3
    assert scene.open_at(started.pts + third // 2) > 0.4
    assert scene.open_at(started.pts + third + third // 2) < 0.1  # m
    assert scene.open_at(started.pts + 2 * third + third // 2) > 0.4
    assert scene.open_at(started.pts - TICKS_PER_S // 5) == pytest.approx(0.0, abs=1e-6)
    assert scene.open_at(started.pts + 3 * third + TICKS_PER_S // 4) == pytest.approx(0.0, abs=1e-6)
    (heard,) = scene.messages(wire.Heard)
    assert isinstance(heard, wire.Heard)
    assert (heard.finished, heard.cancelled, heard.ticks) == (True, False, third * 3)
    assert scene.body.idle


def test_cancel_stops_voice_and_lips_together_and_tells_what_was_heard() -> None:
    scene = Scene()
    scene.say(seconds=3.0)
    scene.run(0.6)
    at = scene.pts
    scene.body.receive(wire.Cancel(turn=1, reason="barge-in"), at)
    scene.run(1.0)
    sound = scene.heard()
    last = int(np.nonzero(np.abs(sound) > 1e-4)[0][-1])
    assert last <= at + AUDIO_LEAD + LATENCY + TICKS_PER_S * 15 // 1000
    assert scene.open_at(at + AUDIO_LEAD + TICKS_PER_S // 8) == pytest.approx(0.0, abs=1e-3)
    (heard,) = scene.messages(wire.Heard)
    assert isinstance(heard, wire.Heard)
    assert heard.cancelled
    assert 0.4 * TICKS_PER_S < heard.ticks < 0.8 * TICKS_PER_S
    scene.say(turn=1, utterance=1)  # stale: its turn is over
    scene.run(0.5)
    assert len(scene.messages(wire.Started)) == 1
    scene.say(turn=2)
    scene.run(0.5)
    assert len(scene.messages(wire.Started)) == 2


def test_a_voice_that_ran_dry_goes_on_where_it_was_and_says_so() -> None:
    scene = Scene()
    half = TICKS_PER_S // 2
    tone = (0.3 * np.sin(np.arange(half) * 0.05)).astype(np.float32)

    def piece(start: Ticks, final: bool) -> wire.Say:
        spans = (PhonemeSpan("a", start, start + half),)
        chunk = AudioChunk(1, 0, start, tone, spans, (), final=final)
        return wire.say(chunk, text="aa" if start == 0 else "", last=final)

    scene.body.receive(piece(0, final=False), scene.pts)
    scene.run(1.0)
    scene.body.receive(piece(half, final=True), scene.pts)
    late = scene.pts
    scene.run(1.0)
    (started,) = scene.messages(wire.Started)
    (shifted,) = scene.messages(wire.Shifted)
    assert isinstance(started, wire.Started)
    assert isinstance(shifted, wire.Shifted)
    again = shifted.pts + half  # where the second half begins
    assert late <= again <= late + FRAME + AUDIO_LEAD
    sound = scene.heard()
    assert np.abs(sound[again - 2400 : again - 480]).max() < 1e-3
    assert np.abs(sound[again + 960 : again + half - 960]).max() > 0.2
    assert scene.open_at(again - TICKS_PER_S // 5) == pytest.approx(0.0, abs=1e-3)
    assert scene.open_at(again + half // 2) > 0.4


def test_utterances_follow_each_other_after_the_pause() -> None:
    scene = Scene()
    scene.say(utterance=0, last=False)
    scene.say(utterance=1)
    scene.run(3.0)
    first, second = scene.messages(wire.Started)
    assert isinstance(first, wire.Started)
    assert isinstance(second, wire.Started)
    length = TICKS_PER_S // 3 * 3
    assert second.pts - first.pts == length + TICKS_PER_S // 10


def test_a_cue_is_performed_when_its_word_is_spoken() -> None:
    scene = Scene()
    scene.say(cues=(("wave", 0),))
    scene.run(1.5)
    arm = scene.notes.table.index["ParamHandL"]
    moved = [abs(float(p.values[arm])) for p in scene.notes.poses]
    assert max(moved) > 0.4


def test_a_broken_sink_is_one_line_and_the_show_goes_on() -> None:
    scene = Scene()
    scene.body.receive(wire.SinkAdd(name="x", engine="nosuch", options={}), 0)
    scene.run(0.2)
    assert scene.tape.frames


def test_nothing_is_drawn_while_nobody_watches_and_the_show_goes_on() -> None:
    scene = Scene()
    scene.tape.seen = False
    scene.run(1)
    assert len(scene.tape.frames) == FPS
    assert not scene.notes.poses
    scene.tape.seen = True
    scene.run(1)
    assert len(scene.notes.poses) == FPS


def words_of(scene: Scene, text: str, *, final: bool = True) -> None:
    """Say `text` with a word of a quarter of a second each."""
    quarter = TICKS_PER_S // 4
    spans, at = [], 0
    for index, word in enumerate(text.split()):
        begin = text.index(word, at)
        at = begin + len(word)
        spans.append(WordSpan(begin, at, index * quarter, (index + 1) * quarter))
    tone = (0.3 * np.sin(np.arange(len(spans) * quarter) * 0.05)).astype(np.float32)
    chunk = AudioChunk(1, 0, 0, tone, (), tuple(spans), final=final)
    scene.body.receive(wire.say(chunk, text=text, last=True), scene.pts)


def test_captions_are_announced_when_an_utterance_begins_and_final_when_they_are_over() -> None:
    scene = Scene()
    words_of(scene, "The rain just started singing on the roof. Come in and grab a warm cushion!")
    scene.run(0.1)
    (started,) = scene.messages(wire.Started)
    assert isinstance(started, wire.Started)
    (early,) = scene.tape.captions
    assert not early.final
    assert early.start == started.pts
    assert early.lines == (
        "The rain just started singing on the roof.", "Come in and grab a warm cushion!",
    )  # fmt: skip
    assert [started.text[a:b].strip() for a, b in started.lines] == list(early.lines)
    scene.run(6.0)
    *_, last = scene.tape.captions
    assert last.final
    assert [c.final for c in scene.tape.captions].count(True) == 1
    quarter = TICKS_PER_S // 4
    assert [at for at, _, _ in last.words] == [started.pts + i * quarter for i in range(15)]
    assert last.stop >= started.pts + 15 * quarter


def test_a_cancelled_caption_ends_at_the_last_word_heard() -> None:
    scene = Scene()
    words_of(scene, "One two three four five six seven eight nine ten.")
    scene.run(1.3)
    scene.body.receive(wire.Cancel(turn=1, reason="barge-in"), scene.pts)
    scene.run(2.0)
    (heard,) = scene.messages(wire.Heard)
    assert isinstance(heard, wire.Heard)
    *_, last = scene.tape.captions
    said = int(np.ceil(heard.ticks / (TICKS_PER_S // 4)))
    assert last.final
    assert last.lines == (" ".join("One two three four five six seven eight".split()[:said]),)
    assert last.stop <= scene.tape.captions[0].start + heard.ticks + TICKS_PER_S


def test_music_steps_back_for_the_voice_and_both_reach_the_air_apart(tmp_path: Path) -> None:
    scene = Scene()
    at = np.arange(20 * TICKS_PER_S)
    hum = (0.1 * np.sin(at * 0.02) * 32_767).astype("<i2")
    with wave.open(str(tmp_path / "hum.wav"), "wb") as file:
        file.setparams((1, 2, TICKS_PER_S, 0, "NONE", "NONE"))
        file.writeframes(hum.tobytes())
    music = Music([tmp_path / "hum.wav"], waits=True)
    scene.body.mixer = Mixer(scene.body.playout, music)
    scene.run(4.0)
    scene.say(seconds=2.0)
    scene.run(3.0)
    music.close()
    behind = np.concatenate([m for _, m in scene.tape.stems])
    voice = np.concatenate([v for v, _ in scene.tape.stems])
    begins = int(np.flatnonzero(voice)[0])
    loud = np.abs(behind[begins - 9600 : begins]).max()
    assert np.abs(behind[begins + 9600 : begins + 48_000]).max() < 0.3 * loud
    np.testing.assert_allclose(scene.heard(), voice + behind, atol=1e-6)


def test_a_thinking_host_is_expected_to_speak() -> None:
    scene = Scene()
    scene.body.receive(wire.Mood(state="thinking"), 0)
    assert scene.body.mixer.expecting
    scene.say()
    scene.run(0.2)
    assert not scene.body.mixer.expecting


def looks_aside(scene: Scene) -> bool:
    """Whether the pose is that of somebody who thinks: told from it, since nobody else tells."""
    scene.run(1.5)
    eyes = [scene.notes.table.index[f"ParamEyeBall{axis}"] for axis in "XY"]
    late = scene.notes.poses[-15:]
    return float(np.mean([np.abs(p.values[eyes]).max() for p in late])) > 0.2


def test_between_an_opener_and_the_answer_the_host_thinks() -> None:
    scene = Scene()
    scene.say(last=False, seconds=0.6)
    scene.run(1.0)
    assert scene.body.idle
    assert scene.body.mixer.expecting
    thinking = looks_aside(scene)
    scene.say(utterance=1, seconds=0.6)
    scene.run(1.0)
    assert not scene.body.mixer.expecting
    assert thinking
    assert not looks_aside(scene)


def test_a_show_without_music_at_its_path_says_so_and_goes_on(tmp_path: Path) -> None:
    told: list[wire.Message] = []
    show = Show(music=MusicTable(path=str(tmp_path / "nowhere")))
    assert make_music(show, told.append, waits=False) is None
    (note,) = told
    assert isinstance(note, wire.Note)
    assert "nowhere" in note.text
    assert "music.path" in note.text


class Sized(Notes):
    """A renderer that can make smaller ones, and paints how large it is."""

    def __init__(self, share: float = 1.0) -> None:
        super().__init__()
        self.share = share

    def draw(self, pose: Pose, out: Pixels) -> None:
        super().draw(pose, out)
        out[:] = round(200 * self.share)

    def smaller(self, share: float) -> "Sized":
        return Sized(share)


class Film(Tape):
    """A tape that also keeps the pictures' brightness."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[tuple[Ticks, int, int, bool]] = []

    def video(self, frame: VideoFrame) -> None:
        Air.video(self, frame)
        self._note(frame)

    def again(self, pts: Ticks, index: int) -> None:
        Air.again(self, pts, index)
        assert self._last is not None
        self._note(replace(self._last.frame, pts=pts, index=index, repeated=True))

    def _note(self, frame: VideoFrame) -> None:
        look = (frame.pts, frame.pixels.shape[0], int(frame.pixels[0, 0, 0]), frame.repeated)
        self.pictures.append(look)


def slow_show(worked: float) -> tuple[Body, Film, list[wire.Message], Callable[[float], None]]:
    """Return a body whose steps take `worked` frames, and what runs it for some seconds."""
    renderer, film = Sized(), Film()
    told: list[wire.Message] = []
    body = Body(
        renderer,  # type: ignore[arg-type]
        Performer(renderer.table, seed=1), film, fps=FPS, pause_ms=100, tell=told.append,
    )  # fmt: skip
    body.start_at(0)
    took = [worked]

    def run(seconds: float, now: float | None = None) -> None:
        if now is not None:
            took[0] = now
        for _ in range(round(seconds * FPS)):
            body.step(len(film.pictures) * FRAME)
            body.adapt(round(took[0] * FRAME), 0)
            making = body.painter._making
            if making is not None:
                making.join(10)

    return body, film, told, run


def test_a_body_that_cannot_keep_up_draws_smaller_and_says_so() -> None:
    body, film, told, run = slow_show(1.1)
    run(14)
    assert body.painter.level.share == 0.5
    notes = [m for m in told if isinstance(m, wire.Note)]
    assert [(n.role, n.text) for n in notes] == [
        ("picture", f"drawing at {size}, this machine is overloaded")
        for size in ("3/4 size", "1/2 size")
    ]
    assert {look[1] for look in film.pictures} == {16}  # every sink keeps its size
    assert film.pictures[0][2] == 200
    assert film.pictures[-1][2] == 100


def test_the_times_of_the_pictures_stay_exact_at_half_the_rate() -> None:
    _, film, _, run = slow_show(1.5)
    run(20)
    assert [look[0] for look in film.pictures] == [i * FRAME for i in range(20 * FPS)]
    late = film.pictures[-20:]
    assert [look[3] for look in late] in ([False, True] * 10, [True, False] * 10)


def test_it_draws_in_full_again_when_it_can() -> None:
    body, film, told, run = slow_show(1.1)
    run(14)
    run(60, 0.2)
    assert body.painter.level == Level()
    assert film.pictures[-1][2:] == (200, False)
    notes = [m.text for m in told if isinstance(m, wire.Note)]
    assert notes[-1] == "drawing in full again"


def test_a_picture_that_nobody_saw_is_not_shown_again() -> None:
    body, film, _, run = slow_show(1.5)
    run(20)
    film.seen = False
    run(1)
    film.seen = True
    run(1)
    assert not film.pictures[21 * FPS][3]
    assert film.pictures[21 * FPS][2] == 100


def test_without_an_overlay_no_host_alone_is_drawn_and_with_one_the_host_is_drawn_once() -> None:
    notes = Apart()
    scene = Scene(notes)
    scene.run(1)
    assert (len(notes.poses), notes.alone, scene.body.hosts, scene.tape.hosts) == (FPS, [], 0, 0)
    scene.tape.mirrored = True
    scene.run(1)
    assert (len(notes.poses), notes.alone) == (FPS, [True] * FPS)
    assert (scene.body.hosts, scene.tape.hosts) == (FPS, FPS)
    scene.tape.seen = False  # the overlay alone: no scene is drawn
    scene.run(1)
    assert (len(notes.poses), notes.alone[FPS:]) == (FPS, [False] * FPS)
    scene.tape.mirrored = False
    scene.run(1)
    assert (len(notes.poses), scene.body.hosts, scene.tape.hosts) == (FPS, 2 * FPS, 2 * FPS)


def test_a_renderer_that_cannot_draw_the_host_alone_goes_on_drawing_whole_pictures() -> None:
    scene = Scene()
    scene.tape.mirrored = True
    scene.run(1)
    assert (len(scene.notes.poses), scene.body.hosts, scene.tape.hosts) == (FPS, 0, 0)


class Card:
    """A sink with a clock of its own."""

    needs: ClassVar[Mapping[str, str]] = {}
    master = False

    def anchor(self) -> tuple[Ticks, int] | None:
        return None


class Mirror:
    """A sink that makes nothing of sound."""

    needs: ClassVar[Mapping[str, str]] = {}
    silent: ClassVar[bool] = True


@pytest.mark.parametrize(
    ("clock", "sinks", "leader"),
    [
        ("auto", ["Card"], "0"),
        ("auto", ["Mirror", "Card"], "1"),
        ("auto", ["Card", "Mirror"], "0"),
        ("auto", ["Card", "Card"], None),
        ("auto", ["Mirror"], None),
        ("device", ["Card", "Card"], "0"),
        ("machine", ["Card"], None),
    ],
)
def test_a_sound_card_leads_the_clock_where_it_alone_carries_the_sound(
    clock: Literal["auto", "device", "machine"], sinks: list[str], leader: str | None
) -> None:
    scene = Scene()
    scene.body._clock = clock
    led: list[str | None] = []
    scene.tape.follow = led.append  # type: ignore[method-assign]
    for number, name in enumerate(sinks):
        engine = f"{__name__}:{name}"
        scene.body.receive(wire.SinkAdd(name=str(number), engine=engine, options={}), 0)
    assert led[-1] == leader
    scene.tape.close()


def test_the_clock_has_another_leader_when_the_only_other_sound_goes() -> None:
    scene = Scene()
    led: list[str | None] = []
    scene.tape.follow = led.append  # type: ignore[method-assign]
    for name in ("a", "b"):
        scene.body.receive(wire.SinkAdd(name=name, engine=f"{__name__}:Card", options={}), 0)
    scene.body.receive(wire.SinkRemove(name="a"), 0)
    assert led == ["a", None, "b"]
    scene.tape.close()


def test_the_music_ends_before_the_show_does(tmp_path: Path) -> None:
    scene = Scene()
    with wave.open(str(tmp_path / "hum.wav"), "wb") as file:
        file.setparams((1, 2, TICKS_PER_S, 0, "NONE", "NONE"))
        hum = 0.1 * np.sin(np.arange(20 * TICKS_PER_S) * 0.02) * 32_767
        file.writeframes(hum.astype("<i2").tobytes())
    scene.body.mixer = Mixer(scene.body.playout, Music([tmp_path / "hum.wav"], waits=True))
    scene.run(4.0)
    assert scene.body.mixer.musical
    clock = VirtualClock(scene.pts)
    _farewell(scene.body, Pacer(clock, FPS), clock)  # type: ignore[arg-type]
    sound = scene.heard()
    assert not scene.body.mixer.musical
    assert np.abs(sound[-TICKS_PER_S // 2 : -TICKS_PER_S // 4]).max() > 1e-3
    assert not sound[-480:].any()


def test_a_silence_of_music_is_no_reason_to_wait_at_the_end() -> None:
    scene = Scene()
    clock = VirtualClock(scene.pts)
    _farewell(scene.body, Pacer(clock, FPS), clock)  # type: ignore[arg-type]
    assert not scene.tape.frames


class Flooded:
    """A house that always has something to say; reading takes a millisecond."""

    def __init__(self, clock: VirtualClock, messages: int) -> None:
        self.clock, self.messages = clock, messages

    def poll(self, wait_s: float = 0.0) -> wire.Message | None:
        if not self.messages:
            self.clock.wait_until(self.clock.now() + round(wait_s * TICKS_PER_S))
            return None
        self.messages -= 1
        self.clock.wait_until(self.clock.now() + TICKS_PER_S // 1000)
        return wire.Play(cue="nod")


@pytest.mark.parametrize(("messages", "behind"), [(0, 0), (3, 0), (500, 0), (500, 9600)])
def test_messages_that_wait_hold_up_no_frame(messages: int, behind: Ticks) -> None:
    clock = VirtualClock(TICKS_PER_S)
    pacer = Pacer(clock, 25, ahead=AHEAD)
    pacer.next()
    clock.wait_until(clock.now() + behind)
    begun = clock.now()
    heard = len(list(_hear(Flooded(clock, messages), pacer, clock)))  # type: ignore[arg-type]
    assert 0 <= clock.now() - max(begun, pacer.due()) <= HEAR + TICKS_PER_S // 1000
    assert heard == messages if messages < 500 else heard >= 4


class Shows:
    """A sink whose viewers see its captions."""

    needs: ClassVar[Mapping[str, str]] = {}
    watched = True

    def open(self, *, width: int, height: int, fps: int) -> None:
        """Open nothing."""

    def video(self, frame: VideoFrame) -> None:
        """Show nothing."""

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Play nothing."""

    def caption(self, caption: Caption) -> None:
        """Show it."""

    def close(self) -> None:
        """Close nothing."""


class Hides(Shows):
    """A sink whose viewers must ask for them."""

    captions_hidden = True


@pytest.mark.parametrize(("name", "burned"), [("Shows", False), ("Hides", True)])
def test_captions_are_burned_where_viewers_would_not_see_them(name: str, burned: bool) -> None:
    scene = Scene()
    scene.body.burn = CaptionStyle()
    message = wire.SinkAdd(name="x", engine=f"{__name__}:{name}", options={})
    assert isinstance(scene.body._make_sink(message), BurnedSink) is burned


GATE = threading.Event()
"""A module of a sink that is imported waits for it."""


@pytest.fixture
def heavy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An engine whose module takes long to import; its import ends when the gate opens."""
    GATE.clear()
    (tmp_path / "heavy_sink.py").write_text(
        f"from {__name__} import GATE, Shows\nGATE.wait(20)\nclass Heavy(Shows): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "heavy_sink:Heavy"
    GATE.set()
    sys.modules.pop("heavy_sink", None)


def imported(scene: Scene, sinks: int = 1) -> None:
    GATE.set()
    end = time.monotonic() + 20
    while len(scene.body._imported) < sinks:
        assert time.monotonic() < end
        time.sleep(0.002)


def test_no_picture_waits_for_the_module_of_a_sink(heavy: str) -> None:
    scene = Scene()
    scene.body.receive(wire.SinkAdd(name="x", engine=heavy, options={}), 0)
    scene.run(1)
    assert len(scene.tape.frames) == FPS
    assert scene.tape.status() == []
    imported(scene)
    scene.run(0.1)
    assert [status.name for status in scene.tape.status()] == ["x"]
    scene.tape.close()


def test_no_picture_waits_for_a_module_that_another_sink_is_importing(heavy: str) -> None:
    scene = Scene()
    for name in ("x", "y"):
        scene.body.receive(wire.SinkAdd(name=name, engine=heavy, options={}), 0)
    scene.run(1)
    assert len(scene.tape.frames) == FPS
    imported(scene, 2)
    scene.run(0.1)
    assert {status.name for status in scene.tape.status()} == {"x", "y"}
    scene.tape.close()


def test_a_sink_that_is_removed_while_it_is_imported_is_not_added(heavy: str) -> None:
    scene = Scene()
    scene.body.receive(wire.SinkAdd(name="x", engine=heavy, options={}), 0)
    scene.body.receive(wire.SinkRemove(name="x"), 0)
    imported(scene)
    scene.run(0.1)
    assert scene.tape.status() == []
    scene.tape.close()


def test_a_sink_whose_module_is_broken_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_sink.py").write_text("def open(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    scene = Scene()
    GATE.set()
    scene.body.receive(wire.SinkAdd(name="x", engine="broken_sink:Sink", options={}), 0)
    imported(scene)
    scene.run(0.1)
    (note,) = [m for m in scene.told if isinstance(m, wire.Note)]
    assert note.text.startswith("sink x: broken_sink:Sink: SyntaxError")
    scene.tape.close()
