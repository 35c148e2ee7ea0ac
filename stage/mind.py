"""The mind: audience, language model, voices.

Runs on: its own process, niced down so that thinking never makes the picture stutter; one asyncio
loop, one thread for the pipe, one thread an engine. It is told by the body how far the audience
has heard, and keeps what was not heard yet, so that a body that died can go on with it.
"""

import asyncio
import os
import signal
import sys
import threading
import time
from collections import OrderedDict
from contextlib import aclosing, suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from dialogue import plugins
from dialogue.background import return_memory, trim_memory
from dialogue.character import Character, load_character
from dialogue.conversation import Conversation
from dialogue.engine import LanguageModel
from dialogue.history import History
from dialogue.inbox import Inbox
from dialogue.messages import AudienceMessage, Utterance
from dialogue.opener import Opener
from dialogue.ticks import TICKS_PER_S, Ticks, to_s
from dialogue.translation import LATE_S
from dialogue.turn import Turn
from stage import engines, folders, wire
from stage.config import Show
from voice.pace import Pace, head_start
from voice.pump import pump
from voice.speaker import Speaker, read_ahead

AHEAD: Ticks = 2 * TICKS_PER_S
"""Sound sent to the body and not heard yet; synthesis waits beyond it."""

SPARE: Ticks = TICKS_PER_S
"""Sound ahead with which the model may translate while a voice works."""

UTTERANCES_AHEAD = 4
"""Utterances decided and not synthesised yet; the dialogue waits beyond it."""

NICENESS = 5
"""How much the mind steps back behind the body on a busy machine."""

FIRST_TOKEN_S = 45.0
"""A model that says nothing for so long has failed. Long, because on a busy two-core machine an
embedded model may first have to finish a piece of another language's persona."""

HEARD_TIMEOUT_S = 10.0
"""Beyond the sound's own length: then the turn ends though the body has not confirmed it."""


class Mind:
    """Answers lines, one turn after the other."""

    def __init__(self, link: wire.Link, show: Show, character: Character, first_turn: int) -> None:
        """Prepare to think; `load` makes the engines."""
        self._link = link
        self._show = show
        self._character = character
        self._inbox = Inbox()
        self._arrived = asyncio.Event()
        self._playout = _Heard()
        self._turn = first_turn - 1
        self._cancelled = first_turn - 1
        self._speaking: asyncio.Task[None] | None = None
        self._translating: asyncio.Task[None] | None = None
        self._voiced = asyncio.Event()
        self._reading: asyncio.Task[None]
        self._history = History()
        self._pace = Pace()
        self._firsts: list[tuple[str, str, float]] = []
        self._conversation: Conversation
        self._speaker: Speaker

    async def load(self, remembered: tuple[str, ...]) -> None:
        """Make and warm the engines; the model and the voices load side by side.

        Dictionaries are begun too, so that the first line in another language need not wait for
        them, and so that memory does not jump in the middle of a show (190 MB).
        """
        languages = engines.languages(self._show, self._character)
        self._reading = asyncio.create_task(asyncio.to_thread(read_ahead, languages))
        self._history.restore(remembered)
        models = asyncio.to_thread(engines.make_models, self._show)
        voices = asyncio.to_thread(engines.make_speaker, self._show, self._character)
        made: tuple[list[LanguageModel], Speaker] = tuple(await asyncio.gather(models, voices))  # type: ignore[assignment]
        self._conversation = Conversation(
            self._character,
            made[0],
            history=self._history,
            temperature=self._show.llm.temperature,
            max_tokens=self._show.llm.max_tokens,
            first_token_s=FIRST_TOKEN_S,
            opener=Opener(self._character, self._show.llm.opener_ms / 1000),
            translate=self._show.captions.translate,
        )
        self._speaker = made[1]
        await asyncio.to_thread(self._speaker.warm)
        await self._conversation.warm()
        if self._show.captions.translate and not self._conversation.translates:
            self._note(
                "warning",
                f"captions.translate: {self._show.llm.engine} with this model does not offer "
                "translations, so there are none; choose a larger model or a server in [llm]",
            )

    def receive(self, message: wire.Message) -> None:
        """Take one message of the house; called on the loop."""
        match message:
            case wire.Line():
                self._inbox.put(
                    AudienceMessage(
                        message.id, message.source, message.author, message.text,
                        message.received_at, message.priority,
                    )
                )  # fmt: skip
                self._arrived.set()
            case wire.Heard():
                self._playout.heard(message)
            case wire.Started():
                self._playout.started(message)
            case wire.Cancel():
                self._cancelled = max(self._cancelled, message.turn)
                if not message.after_utterance:
                    if self._translating is not None:
                        self._translating.cancel()
                    if self._speaking is not None:
                        self._speaking.cancel(message.reason)
            case wire.Ready():
                for packet in self._playout.again():
                    self._link.send(packet)

    async def run(self) -> None:
        """Answer lines until cancelled."""
        while True:
            message = self._inbox.next()
            if message is None:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            self._turn += 1
            self._speaking = asyncio.create_task(self._answer(message, self._turn))
            try:
                await self._speaking
            except asyncio.CancelledError:
                if asyncio.current_task().cancelling():  # type: ignore[union-attr]
                    raise
            except Exception as error:
                self._note("error", f"turn {self._turn} failed: {error}")
            finally:
                self._speaking = None

    async def _answer(self, message: AudienceMessage, turn_id: int) -> None:
        self._link.send(
            wire.Chosen(id=message.id, turn=turn_id, author=message.author, text=message.text)
        )
        self._link.send(wire.Mood(state="thinking"))
        if self._translating is not None:
            self._translating.cancel()
        turn = self._conversation.turn(turn_id, message)
        self._voiced.clear()
        self._playout.begin(turn_id)
        self._firsts.clear()
        worked_s, spoken_s = self._speaker.worked_s, self._speaker.spoken_s
        decided: asyncio.Queue[Utterance | None] = asyncio.Queue(UTTERANCES_AHEAD)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._decide(turn, decided))
                group.create_task(self._voice(turn, decided))
            await self._playout.finished(HEARD_TIMEOUT_S)
        except* (plugins.EngineError, plugins.EngineUnavailable) as failures:
            self._note("error", "; ".join(str(e) for e in failures.exceptions))
        finally:
            heard = self._playout.text()
            for name, at_s in self._playout.marks(opened=turn.opened).items():
                turn.mark(name, at_s)
            self._conversation.close_turn(turn, heard)
            lines = tuple(self._history.journal(turn_id))
            if lines:
                self._link.send(wire.Remember(lines=lines))
            self._link.send(wire.Mood(state="idle"))
            work = wire.Work(
                turn.deltas,
                self._speaker.worked_s - worked_s,
                self._speaker.spoken_s - spoken_s,
                tuple(self._firsts),
            )
            self._link.send(wire.Done(turn=turn_id, marks=dict(turn.marks), heard=heard, work=work))
            trim_memory()

    async def _decide(self, turn: Any, decided: "asyncio.Queue[Utterance | None]") -> None:
        said: list[Utterance] = []
        async for utterance in self._conversation.answer(turn):
            said.append(utterance)
            self._link.send(
                wire.Reply(
                    turn=turn.turn_id, utterance=utterance.index, text=utterance.text,
                    final=utterance.final,
                )
            )  # fmt: skip
            await decided.put(utterance)
        await decided.put(None)
        if self._conversation.translates:
            self._translating = asyncio.create_task(self._translate(turn, said))

    async def _translate(self, turn: Turn, said: list[Utterance]) -> None:
        """Translate the captions of a reply that has been written, while it is spoken."""

        async def wanted(utterance: Utterance) -> bool:
            # The voice goes first: while it works, there must be sound ahead of it.
            while not self._voiced.is_set() and self._playout.ahead() < SPARE:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._voiced.wait(), 0.1)
            return self._playout.over_s(utterance.index) < LATE_S

        found = self._conversation.translations(turn, said, wanted)
        async with aclosing(found) as translations:
            async for utterance, text in translations:
                self._link.send(
                    wire.Translation(
                        turn=turn.turn_id, utterance=utterance.index, text=text,
                        language=self._show.captions.translate,
                    )
                )  # fmt: skip

    async def _voice(self, turn: Any, decided: "asyncio.Queue[Utterance | None]") -> None:
        while (utterance := await decided.get()) is not None:
            if not utterance.text.strip():
                for cue in utterance.cues:
                    self._link.send(wire.Play(cue=cue.name))
                continue
            await self._say(turn, utterance)
        self._voiced.set()

    async def _say(self, turn: Any, utterance: Utterance) -> None:
        first = True
        begun = time.perf_counter()
        worked_s, spoken_s = self._speaker.worked_s, self._speaker.spoken_s
        opener = turn.opened and utterance.index == 0
        speak = partial(self._speaker.speak, utterance, keep=opener)
        async with aclosing(pump(speak, ahead_s=0.5)) as pieces:
            async for piece in pieces:
                if first:
                    turn.mark("first_audio")
                    took = time.perf_counter() - begun
                    if not opener:  # its sound may have been kept
                        self._firsts.append((utterance.language, utterance.text, took))
                packet = wire.say(
                    piece,
                    text=utterance.text if first else "",
                    language=utterance.language,
                    cues=tuple((c.name, c.at_char) for c in utterance.cues) if first else (),
                    last=utterance.final,
                    head_start=head_start(self._pace.factor, piece) if first else 0,
                )
                first = False
                self._playout.sent(packet, utterance.text)
                self._link.send(packet)
                await self._playout.room(AHEAD)
        self._pace.add(self._speaker.worked_s - worked_s, self._speaker.spoken_s - spoken_s)
        self._conversation.brief = self._pace.slow

    def _note(self, level: str, text: str) -> None:
        self._link.send(wire.Note(role="mind", level=level, text=text))


class _Heard:
    """What was sent to the body and how much of it the audience has heard."""

    def __init__(self) -> None:
        self._packets: OrderedDict[tuple[int, int], list[wire.Say]] = OrderedDict()
        self._texts: dict[tuple[int, int], str] = {}
        self._heard: dict[tuple[int, int], str] = {}
        self._sent: Ticks = 0
        self._gone: Ticks = 0
        self._playing: tuple[tuple[int, int], float] | None = None
        self._change = asyncio.Event()
        self._started_s: dict[int, float] = {}
        self._over_s: dict[int, float] = {}

    def begin(self, turn_id: int) -> None:
        """Start a new turn: what was kept of the old one goes."""
        self._packets.clear()
        self._texts.clear()
        self._heard.clear()
        self._sent = self._gone = 0
        self._playing = None
        self._started_s.clear()
        self._over_s.clear()

    def over_s(self, utterance: int) -> float:
        """Return the seconds since the end of an utterance; 0 while it is not over."""
        return time.monotonic() - self._over_s.get(utterance, time.monotonic())

    def sent(self, packet: wire.Say, text: str) -> None:
        """Keep `packet` until its utterance has been heard."""
        key = (packet.turn, packet.utterance)
        self._packets.setdefault(key, []).append(packet)
        self._texts[key] = text
        self._sent += len(packet.samples) // 4

    def started(self, message: wire.Started) -> None:
        """Note that an utterance is being heard from `message.monotonic_ns` on."""
        at_s = message.monotonic_ns / 1e9
        self._playing = ((message.turn, message.utterance), at_s)
        self._started_s.setdefault(message.utterance, at_s)

    def heard(self, message: wire.Heard) -> None:
        """Note that an utterance has ended; a cancelled one is cut at its last heard word."""
        key = (message.turn, message.utterance)
        packets = self._packets.pop(key, None)
        if packets is None or not message.finished:
            return
        self._gone += sum(len(p.samples) // 4 for p in packets)
        text = self._texts.get(key, "")
        if message.cancelled:
            words = [w for p in packets for w in p.words if w[2] < message.ticks]
            text = text[: words[-1][1]] if words else ""
        self._heard[key] = text
        self._over_s[message.utterance] = time.monotonic()
        self._change.set()

    def marks(self, *, opened: bool) -> dict[str, float]:
        """Return when the turn was heard first, and when the model's own words were."""
        own = [at_s for index, at_s in self._started_s.items() if index >= opened]
        found = {"heard": [*self._started_s.values()], "words_heard": own}
        return {name: min(times) for name, times in found.items() if times}

    def again(self) -> list[wire.Say]:
        """Return the packets of every utterance that was not heard to its end."""
        return [packet for packets in self._packets.values() for packet in packets]

    def text(self) -> str:
        """Return what the audience has heard of this turn."""
        return " ".join(t for _, t in sorted(self._heard.items()) if t)

    def ahead(self) -> Ticks:
        """Return the sound that was sent and not heard yet."""
        playing: Ticks = 0
        if self._playing is not None and self._playing[0] in self._packets:
            since = int((time.monotonic() - self._playing[1]) * TICKS_PER_S)
            length = sum(len(p.samples) // 4 for p in self._packets[self._playing[0]])
            playing = max(0, min(since, length))
        return self._sent - self._gone - playing

    async def room(self, bound: Ticks) -> None:
        """Wait until less than `bound` is ahead."""
        while (ahead := self.ahead()) > bound:
            self._change.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._change.wait(), to_s(ahead - bound) + 0.02)

    async def finished(self, timeout_s: float) -> None:
        """Wait until everything was heard, at most `timeout_s` beyond its length."""
        end = time.monotonic() + to_s(self.ahead()) + timeout_s
        while self._packets and time.monotonic() < end:
            self._change.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._change.wait(), 0.5)


def main(connection: Connection, show: Show, first_turn: int, remembered: tuple[str, ...]) -> None:
    """Run the mind until the house says `Quit` or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    born = time.monotonic()
    with suppress(AttributeError, OSError):
        os.nice(NICENESS)
    return_memory()
    link = wire.Link(connection)
    link.send(wire.Hello(role="mind"))
    try:
        asyncio.run(_run(link, show, first_turn, remembered, born))
    except (KeyboardInterrupt, SystemExit):
        raise
    except Exception as error:
        link.send(wire.Note(role="mind", level="error", text=_line(error)))
        if os.environ.get("BUNRAKU_DEBUG"):
            raise
        sys.stdout.flush()
        os._exit(1)  # engine threads may be stuck in native code: do not wait for them


def _line(error: BaseException) -> str:
    expected = (plugins.EngineUnavailable, plugins.EngineError, ValueError, RuntimeError)
    return str(error) if isinstance(error, expected) else f"{type(error).__name__}: {error}"


async def _run(
    link: wire.Link, show: Show, first_turn: int, remembered: tuple[str, ...], born: float
) -> None:
    loop = asyncio.get_running_loop()
    character = load_character(folders.character(show.character))
    mind = Mind(link, show, character, first_turn)
    over = asyncio.Event()

    def deliver(message: wire.Message) -> None:
        if isinstance(message, wire.Quit):
            loop.call_soon_threadsafe(over.set)
        else:
            loop.call_soon_threadsafe(mind.receive, message)

    threading.Thread(target=link.listen, args=(deliver,), name="pipe", daemon=True).start()
    link.send(wire.Note(role="mind", level="status", text="loading the model and the voices"))
    await mind.load(remembered)
    link.send(wire.Ready(role="mind", took_s=time.monotonic() - born))
    work = asyncio.create_task(mind.run())
    beat = asyncio.create_task(_beat(link))
    await over.wait()
    beat.cancel()
    work.cancel()
    os._exit(0)  # engines hold nothing that needs saving


async def _beat(link: wire.Link) -> None:
    """Tell the house twice a second that the loop turns."""
    while True:
        link.send(wire.Note(role="mind", level="beat", text=""))
        await asyncio.sleep(0.5)
