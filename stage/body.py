"""The body: media clock, audio mix, pose, drawing and every sink.

Runs on: its own process; `main` is its render thread. One step a frame: take messages, mix the
sound up to a little after the frame, draw the pose of the frame's own instant, hand both to the
sinks. It never waits for the mind. Offline (`bunraku say`) the same `Body` is stepped on a
virtual clock as fast as it goes.
"""

import gc
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from avatar.performer import Performer
from dialogue import plugins
from dialogue.background import LOWEST, apart, go_first
from dialogue.character import CaptionStyle
from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S, Ticks
from render import mix
from render.adapt import Adapter, ladder
from render.air import Air
from render.captioner import Captioner
from render.captions import Caption
from render.clock import Clock, DeviceClock, Follower
from render.contracts import CaptionSink, CardRenderer, Renderer
from render.frames import VideoFrame
from render.mix import Duck, Mixer
from render.music import Music, pieces
from render.pacing import Lead, Pacer
from render.painter import Painter
from render.playout import Playout
from stage import folders, wire
from stage.config import Show

AUDIO_LEAD: Ticks = 25 * TICKS_PER_MS
"""Sound is mixed this far past the frame being drawn, so that one slow frame is not heard."""

AHEAD: Ticks = 33 * TICKS_PER_MS
"""Frames are begun this long before their time: slow ones are still in time."""

FAREWELL: Ticks = TICKS_PER_S // 2
"""Music goes out over this at the end of a show."""

HEAR: Ticks = 4 * TICKS_PER_MS
"""A frame that is due waits so long for messages, when many wait; a few are taken all the same."""

SWITCH_S = 0.001
"""A thread that holds Python's lock gives it up after so long: the picture waits for it."""

PULSE_TICKS: Ticks = TICKS_PER_S // 10
"""How often the body tells its clock and counters."""


class Body:
    """Draws and mixes one frame at a time. Knows no process and no clock."""

    def __init__(
        self,
        renderer: Renderer,
        performer: Performer,
        air: Air,
        *,
        fps: int,
        pause_ms: int,
        tell: Callable[[wire.Message], None],
        music: Music | None = None,
        duck: Duck | None = None,
        clock: Literal["auto", "device", "machine"] = "auto",
        translate: str = "",
    ) -> None:
        """Put the parts together.

        Args:
            renderer: draws pictures of the air's size.
            performer: moves the host.
            air: where pictures and sound go.
            fps: frames a second; divides 48000.
            pause_ms: silence between utterances.
            tell: takes the body's messages.
            music: what plays behind the voice; None for nothing.
            duck: how it steps back.
            clock: who leads, as in show.toml.
            translate: language of the translations that captions come with; "" for none.
        """
        self.lead = Lead(AUDIO_LEAD)
        self.playout = Playout(pause_ticks=pause_ms * TICKS_PER_MS)
        self.mixer = Mixer(self.playout, music, duck)
        self.performer = performer
        self.captioner = Captioner(translated=bool(translate))
        self._translate = translate
        self.burn: CaptionStyle | None = None
        """How captions look in the picture of sinks that have no text; None: not at all."""
        self.painter = Painter(renderer)
        self.air = air
        self.frame_ticks: Ticks = TICKS_PER_S // fps
        self.draw_ms: deque[float] = deque(maxlen=300)
        self.frames = 0
        self.hosts = 0
        """Pictures of the host alone that were drawn."""
        levels = ladder(resizable=self.painter.resizable)
        self._adapter = Adapter(levels, self.frame_ticks)
        self._shown = (False, False, False)  # whether picture, host, pixels were drawn last
        self._tell = tell
        self._mixed: Ticks = 0
        self._now: Ticks = 0
        self._about: dict[tuple[int, int], wire.Say] = {}
        self._cues: dict[tuple[int, int], list[tuple[Ticks, str]]] = {}
        self._words: dict[tuple[int, int], list[tuple[int, int, int, int]]] = {}
        self._origins: dict[tuple[int, int], Ticks] = {}
        self._clock = clock
        self._carriers: dict[str, bool] = {}  # sinks that carry sound: has it a clock of its own?
        self._talking = False
        self._awaited: dict[str, wire.SinkAdd] = {}  # whose modules are being imported
        self._imported: deque[wire.SinkAdd] = deque()

    def start_at(self, pts: Ticks) -> None:
        """Begin the sound at `pts`: called once before the first step."""
        self._mixed = pts

    def rehearse(self) -> None:
        """Draw one picture for nobody, so that the first one on air is not slow."""
        self.painter.draw(self.performer.pose(0), *self.air.blank())

    def receive(self, message: wire.Message, pts: Ticks) -> None:
        """Take one message at stage time `pts`."""
        match message:
            case wire.Say():
                self._say(message)
            case wire.Translation():
                key = (message.turn, message.utterance)
                self.captioner.translate(key, message.text, message.language, self._mixed)
            case wire.Cancel():
                self._cancel(message, pts)
            case wire.Play():
                self.performer.cue(message.cue, pts)
            case wire.Attend():
                self.performer.attend(message.target, pts, message.hold_s)
            case wire.Mood():
                self.mixer.expecting = message.state == "thinking"
                self.performer.state(message.state, pts)
            case wire.SinkAdd():
                # One that is being imported just now looks as if it were at hand.
                if not self._awaited and plugins.at_hand("sink", message.engine):
                    self._add_sink(message)
                else:
                    self._awaited[message.name] = message
                    threading.Thread(target=self._import, args=(message,), daemon=True).start()
            case wire.SinkRemove():
                self._awaited.pop(message.name, None)
                self.air.remove(message.name)
                self._follow(message.name, None)

    def step(self, pts: Ticks, now: Ticks | None = None) -> None:
        """Mix and draw the frame at `pts` and hand it to the sinks.

        Args:
            pts: of the frame.
            now: the stage clock; None where there is none (films).
        """
        self._now = pts if now is None else now
        while self._imported:
            message = self._imported.popleft()
            if self._awaited.get(message.name) is message:  # not removed meanwhile
                del self._awaited[message.name]
                self._add_sink(message)
        self.lead.note(pts, self.air.short)
        until = pts + self.frame_ticks + self.lead.ticks
        if until > self._mixed:
            block = self.mixer.mix(self._mixed, until - self._mixed)
            self._events()
            for caption in self.captioner.take(until):
                self.air.caption(caption)
                if caption.translated:
                    self._tell(_translated(caption))
            self.air.audio(self._mixed, block.samples, block.voice, block.music)
            self._mixed = until
        self._perform(pts)
        index = pts // self.frame_ticks
        watched = self.air.watched
        wanted = (
            watched,
            self.air.wants_host and self.painter.light is not None,
            watched and self.air.wants_pixels,
        )
        if any(wanted) and self._shown == wanted and not self.painter.fresh():
            self.air.again(pts, index)
        else:
            self._draw(pts, index, *wanted)
            self._shown = wanted
        self.frames += 1

    def _draw(self, pts: Ticks, index: int, watched: bool, alone: bool, plain: bool) -> None:
        begun = time.perf_counter()
        pose = self.performer.pose(pts)
        pixels, i420 = self.air.blank()
        host = self.air.blank_host() if alone else None
        if watched or alone:
            self.painter.draw(
                pose, pixels if watched else None, i420 if watched else None, host, plain=plain
            )
            self.draw_ms.append((time.perf_counter() - begun) * 1e3)
            self.hosts += alone
        self.air.video(VideoFrame(pts, index, pixels, i420, host=host))

    def adapt(self, worked: Ticks, missed: int) -> None:
        """Draw less carefully where the machine cannot keep up, and well again later.

        Args:
            worked: how long the last step took.
            missed: frames late or lost since the one before.
        """
        level = self._adapter.note(worked, missed)
        if level is None:
            return
        self.painter.want(level)
        text = (
            f"drawing at {level}, this machine is overloaded" if str(level)
            else "drawing in full again"
        )  # fmt: skip
        self._tell(wire.Note(role="picture", level="warning", text=text))

    def _add_sink(self, message: wire.SinkAdd) -> None:
        try:
            self.air.add(message.name, lambda: self._make_sink(message))
            self._follow(message.name, plugins.load("sink", message.engine))
        except plugins.EngineUnavailable as error:
            self._tell(wire.Note(role="body", level="error", text=str(error)))
        except Exception as error:  # somebody's module is broken
            text = f"sink {message.name}: {message.engine}: {type(error).__name__}: {error}"
            self._tell(wire.Note(role="body", level="error", text=text))

    def _import(self, message: wire.SinkAdd) -> None:
        """Import a sink's module, for which no picture waits; on a thread of its own."""
        with suppress(Exception):  # it is said when the sink is added
            plugins.load("sink", message.engine)
        self._imported.append(message)

    def _make_sink(self, message: wire.SinkAdd) -> Any:
        options = message.options
        if self._translate and "translation" in plugins.options(
            plugins.load("sink", message.engine)
        ):
            options = {"translation": self._translate, **options}
        sink = make_sink(message.engine, options)
        seen = isinstance(sink, CaptionSink) and not getattr(sink, "captions_hidden", False)
        if self.burn is None or seen:
            return sink
        from render.burn import BurnedSink

        return BurnedSink(sink, self.burn, translated=bool(self._translate))

    @property
    def idle(self) -> bool:
        """True when nothing is left to say and the last sound has been drawn."""
        return not self._about and not self._talking

    def _follow(self, name: str, sink: type[Any] | None) -> None:
        """Take note of a sink that comes or goes, and choose who leads the clock."""
        self._carriers.pop(name, None)
        if sink is not None and not getattr(sink, "silent", False):
            self._carriers[name] = hasattr(sink, "anchor")
        devices = [name for name, device in self._carriers.items() if device]
        alone = len(self._carriers) == 1
        wanted = self._clock == "device" or (self._clock == "auto" and alone)
        self.air.follow(devices[0] if devices and wanted else None)

    def _say(self, message: wire.Say) -> None:
        key = (message.turn, message.utterance)
        chunk = wire.chunk(message)
        if not self.playout.push(chunk, head_start=message.head_start):
            return  # stale: its turn was cancelled
        if key not in self._about:
            self._about[key] = message
            self._words[key] = []
            self._cues[key] = []
        self._words[key].extend(message.words)
        text, language = self._about[key].text, self._about[key].language
        self.captioner.know(key, text, language, message.words, complete=chunk.final)
        origin = self._origins.get(key)
        if origin is not None and message.words:
            lines = self.captioner.lines(key)
            self._tell(wire.Words(turn=key[0], utterance=key[1], words=message.words, lines=lines))
        self.performer.speech(
            message.turn, message.utterance, origin, chunk.phonemes, chunk.samples, chunk.start,
            complete=chunk.final,
        )  # fmt: skip

    def _events(self) -> None:
        """Pass on what mixing has decided: starts, shifts, ends."""
        for event in self.playout.events():
            key = (event.turn_id, event.utterance)
            about = self._about.get(key)
            if event.kind == "started" and about is not None:
                self._origins[key] = event.pts
                self.performer.shift(*key, event.pts)
                if not self._talking:
                    self._talking = True
                    self.mixer.expecting = False
                    self.performer.state("speaking", event.pts)
                words = tuple(self._words[key])
                self.captioner.begin(key, event.pts)
                self._cues[key] = _place_cues(about, words, event.pts)
                lead_ns = (event.pts - self._now) * 1_000_000 // TICKS_PER_MS
                self._tell(
                    wire.Started(
                        turn=key[0], utterance=key[1], pts=event.pts,
                        monotonic_ns=time.monotonic_ns() + lead_ns,
                        text=about.text, words=words, language=about.language,
                        lines=self.captioner.lines(key),
                    )
                )  # fmt: skip
            elif event.kind == "shifted":
                self._origins[key] = event.pts
                self.performer.shift(*key, event.pts)
                self.captioner.shift(key, event.pts, event.heard)
                self._tell(wire.Shifted(turn=key[0], utterance=key[1], pts=event.pts))
            elif event.kind == "finished":
                self._end(key, event.heard, cancelled=False)

    def _end(self, key: tuple[int, int], heard: Ticks, *, cancelled: bool) -> None:
        about = self._about.pop(key, None)
        self._words.pop(key, None)
        self.captioner.end(key, heard)
        origin = self._origins.pop(key, None)
        self._tell(
            wire.Heard(
                turn=key[0], utterance=key[1], ticks=heard, finished=True, cancelled=cancelled
            )
        )
        last = about is not None and about.last
        if last or not self._about:
            self._talking = False
            if origin is not None:
                # More of the answer is to come, which the model has yet to find.
                waits = not (last or cancelled)
                self.mixer.expecting = waits
                self.performer.state("thinking" if waits else "idle", self._mixed)

    def _cancel(self, message: wire.Cancel, pts: Ticks) -> None:
        if message.after_utterance:
            self.playout.cancel_after_utterance(message.turn)
            return
        heard = self.playout.cancel(message.turn)
        self.performer.cancel(max(pts, self.mixer.ahead or self._mixed), message.turn)
        self._cues.clear()
        for key in [k for k in self._about if k[0] <= message.turn]:
            position = heard.ticks if heard is not None and key == heard.key else 0
            self._end(key, position, cancelled=True)
        self._talking = False

    def _perform(self, pts: Ticks) -> None:
        for key, cues in list(self._cues.items()):
            while cues and cues[0][0] <= pts + self.frame_ticks:
                at, name = cues.pop(0)
                self.performer.cue(name, max(at, pts))
            if not cues and key not in self._about:
                del self._cues[key]


def _place_cues(
    about: wire.Say, words: tuple[tuple[int, int, int, int], ...], origin: Ticks
) -> list[tuple[Ticks, str]]:
    """Return stage times of the cues: each stands before the word that follows it in the text."""
    placed = []
    for name, at_char in about.cues:
        after = [w for w in words if w[0] >= at_char]
        placed.append((origin + (after[0][2] if after else 0), name))
    return sorted(placed)


def _translated(caption: Caption) -> wire.Translated:
    start, stop = caption.live
    turn, utterance, number = caption.key
    return wire.Translated(
        turn=turn, utterance=utterance, block=number, start=start, stop=stop,
        lines=caption.lines, language=caption.language,
    )  # fmt: skip


def make_sink(engine: str, options: dict[str, Any]) -> Any:
    """Make a sink; paths in the table are paths."""
    table = {key: Path(v) if key == "path" else v for key, v in options.items()}
    return plugins.create("sink", engine, table)


def make_body(show: Show, air: Air, tell: Callable[[wire.Message], None]) -> Body:
    """Load the character of `show` and return a body for it.

    Raises:
        CharacterError: a file of the character is broken.
    """
    from dialogue.character import load_character

    folder = folders.character(show.character)
    character = load_character(folder)
    video = show.video
    import cv2

    cv2.setNumThreads(1)  # the other core is the mind's
    maker = plugins.load("renderer", character.renderer)
    renderer: Renderer = maker(
        folder, width=video.width, height=video.height, scene=show.scene or character.scene
    )
    if video.gpu and isinstance(renderer, CardRenderer):
        renderer, why = renderer.quickest()
        if why:
            tell(wire.Note(role="picture", level="info", text=why))
    motions = folder / "motions"
    performer = Performer(
        renderer.table,
        seed=show.seed,
        motions=motions if motions.is_dir() else None,
        temperament=character.temperament,
    )
    mix.ready()
    music = make_music(show, tell, waits=air.blocking) if show.music.path else None
    body = Body(
        renderer, performer, air,
        fps=video.fps, pause_ms=show.voice.pause_ms, tell=tell, music=music,
        clock=show.clock,
        translate=show.captions.translate,
        duck=Duck(
            depth_db=show.music.duck_db, attack_ms=show.music.attack_ms,
            release_ms=show.music.release_ms,
        ),
    )  # fmt: skip
    body.burn = character.captions if show.captions.burn else None
    return body


def make_music(show: Show, tell: Callable[[wire.Message], None], *, waits: bool) -> Music | None:
    """Return the music of `show`; None, and one line, where there is none at its path."""

    def fault(line: str) -> None:
        tell(wire.Note(role="body", level="error", text=line))

    table = show.music
    files = pieces(Path(table.path).expanduser())
    if not files:
        fault(f"music: no music in {table.path}; set music.path to a file or a folder of them")
        return None
    return Music(
        files, level_db=table.gain_db, shuffle=table.shuffle, loop=table.loop, seed=show.seed,
        tell=fault, waits=waits,
    )  # fmt: skip


def main(connection: Connection, show: Show, *, understudy: bool = False) -> None:
    """Run the body until the house says `Quit` or is gone; an understudy waits for `Enter`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the house decides when to end
    born = time.monotonic()
    link = wire.Link(connection)
    if not understudy:
        link.send(wire.Hello(role="body"))
    try:
        _run(link, show, born, understudy)
    except SystemExit:
        raise
    except Exception as error:
        link.send(wire.Note(role="body", level="error", text=f"{type(error).__name__}: {error}"))
        if os.environ.get("BUNRAKU_DEBUG"):
            raise
        sys.exit(1)


def _run(link: wire.Link, show: Show, born: float, understudy: bool) -> None:
    from render.sinks.webrtc import WebRTCSink

    air = Air(width=show.video.width, height=show.video.height, fps=show.video.fps)

    def load() -> Body:
        made = make_body(show, air, link.send)
        if understudy:
            made.rehearse()
        return made

    body = apart(load, LOWEST) if understudy else load()
    viewers = WebRTCSink(ice_servers=show.web.ice_servers)
    air.add("page", lambda: viewers)
    if understudy:
        gc.collect()
        link.send(wire.Hello(role="body"))
        while not isinstance(message := link.poll(3600.0), wire.Enter):
            if isinstance(message, wire.Quit):
                air.close()
                return
        born = time.monotonic()
    go_first()
    sys.setswitchinterval(SWITCH_S)
    clock = DeviceClock()  # this machine's, until a device leads it
    follower = Follower(clock)
    pacer = Pacer(clock, show.video.fps, ahead=AHEAD)
    body.start_at(pacer.peek())
    gc.collect()
    gc.freeze()  # what was loaded stays: collections need not walk it again
    last_pulse: Ticks = -PULSE_TICKS
    cpu = _Cpu()
    announced = False
    missed = 0
    over = False
    while True:
        for message in _hear(link, pacer, clock):
            if isinstance(message, wire.Quit):
                _farewell(body, pacer, clock)
                air.close()
                return
            if isinstance(message, wire.Offer):
                _answer(link, body, viewers, message)
            else:
                body.receive(message, pacer.peek())
        pts = pacer.next()
        begun = clock.now()
        body.step(pts, begun)
        follower.note(pts)
        follower.anchor(air.anchor())
        body.adapt(clock.now() - begun, pacer.late + pacer.dropped - missed)
        missed = pacer.late + pacer.dropped
        if not announced:
            announced = True
            link.send(wire.Ready(role="body", took_s=time.monotonic() - born))
        if pts - last_pulse >= PULSE_TICKS:
            last_pulse = pts
            link.send(_pulse(body, pacer, clock, cpu.read()))
            if air.over and not over:
                over = True
                link.send(wire.Quit())


def _hear(link: wire.Link, pacer: Pacer, clock: Clock) -> Iterator[wire.Message]:
    """Yield what the house says until the next frame is due; then for `HEAR` more at the most."""
    end = max(clock.now(), pacer.due()) + HEAR
    while True:
        message = link.poll(max(0.0, (pacer.due() - clock.now()) / TICKS_PER_S))
        if message is not None:
            yield message
        if clock.now() >= (pacer.due() if message is None else end):
            return


def _farewell(body: Body, pacer: Pacer, clock: DeviceClock) -> None:
    """Let the music, if there is any, end before the show does: half a second."""
    if not body.mixer.musical:
        return
    body.mixer.fade_out(FAREWELL)
    end = pacer.peek() + FAREWELL + body.lead.ticks
    while pacer.peek() < end:
        body.step(pacer.next(), clock.now())
    body.mixer.close()


def _answer(link: wire.Link, body: Body, viewers: Any, offer: wire.Offer) -> None:
    """Let the WebRTC sink answer on its own thread, so that drawing goes on."""
    light = body.painter.light

    def done(sdp: str, kind: str, error: str) -> None:
        link.send(
            wire.Answer(
                viewer=offer.viewer, sdp=sdp, kind=kind, error=error, light=light or (1.0, 1.0, 1.0)
            )
        )

    if offer.view == "overlay" and light is None:
        done("", "", "this character's renderer cannot show the host alone; open / instead")
    else:
        viewers.answer_soon(offer.sdp, offer.kind, done, offer.view)


class _Cpu:
    """This process's CPU use, in cores, between two readings."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._used = time.process_time()

    def read(self) -> float:
        """Return the mean since the last reading."""
        at, used = time.monotonic(), time.process_time()
        share = (used - self._used) / max(at - self._at, 1e-6)
        self._at, self._used = at, used
        return share


def _pulse(body: Body, pacer: Pacer, clock: DeviceClock, cpu: float) -> wire.Pulse:
    recent = sorted(body.draw_ms)
    return wire.Pulse(
        pts=clock.now(),
        monotonic_ns=time.monotonic_ns(),
        ahead=body.playout.ahead(),
        frames=body.frames,
        late=pacer.late,
        dropped=pacer.dropped,
        underruns=body.playout.underruns,
        draw_ms=recent[len(recent) // 2] if recent else 0.0,
        cpu=cpu,
        sinks=tuple(
            (s.name, s.state, s.sent, s.dropped, s.error, s.note) for s in body.air.status()
        ),
        picture=str(body.painter.level),
        card=body.air.card(),
    )
