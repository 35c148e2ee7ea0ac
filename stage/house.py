"""The house: parent of body and mind. Supervises, routes messages, serves the stage page.

Runs on one asyncio loop and does nothing heavy. What a restart needs is kept here: the history
(for a new mind), the unanswered lines (for a new mind), and the sinks (for a new body).
"""

import asyncio
import sys
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dialogue.character import CaptionStyle
from stage import body, mind, screens, wire
from stage.child import Child
from stage.config import Show
from stage.web import DEFAULT_STYLE, Web

HISTORY_LINES = 400
"""Lines of conversation kept for a restarted mind."""

UNANSWERED = 64
"""Lines waiting for an answer that a restarted mind is given again."""

OFFER_S = 8.0
"""How long a viewer waits for the body's answer."""


class House:
    """One show, from start to end."""

    def __init__(
        self,
        show: Show,
        *,
        title: str,
        theme: Mapping[str, str],
        watch: Callable[[wire.Message], None] | None = None,
        say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
        page: bool = True,
        style: CaptionStyle = DEFAULT_STYLE,
    ) -> None:
        """Prepare a show.

        Args:
            show: its settings.
            title: the host's display name, for the page.
            theme: colours of the page, CSS names to values.
            watch: sees every message that the house sees (recorders, the bench).
            say: prints one line for the operator.
            page: False runs without a web server.
            style: how captions look.
        """
        self.show = show
        self.address = ""
        self._detail = ""
        self._watch = watch
        self._say = say
        self._web = (
            Web(
                show.web,
                title=title,
                theme=theme,
                line=self._from_page,
                offer=self._offer,
                screens=screens.folder(show),
                style=style,
                captions=show.captions.show,
                translate=show.captions.translate,
            )  # fmt: skip
            if page
            else None
        )
        self._history: deque[str] = deque(maxlen=HISTORY_LINES)
        self._unanswered: OrderedDict[str, wire.Line] = OrderedDict()
        self._turn_of: dict[int, str] = {}
        self._last_turn = 0
        self._offers: dict[str, asyncio.Future[wire.Answer]] = {}
        self._sinks: dict[str, wire.SinkAdd] = {
            name: wire.SinkAdd(name=name, engine=sink.engine, options=sink.options)
            for name, sink in show.sinks.items()
        }
        self._faults: dict[str, str] = {}
        """Why each sink failed last, as it was said."""
        self._journal: Path | None = Path(show.journal) if show.journal else None
        self._finished: dict[str, asyncio.Future[wire.Done]] = {}
        self._ready = {"body": asyncio.Event(), "mind": asyncio.Event()}
        self.body: Child
        self.mind: Child

    async def start(self) -> None:
        """Start both children and the page; returns at once, `ready` waits."""
        if self._journal is not None and self._journal.exists():
            self._history.extend(self._journal.read_text("utf-8").splitlines())
        self.body = Child(
            "body", body.main, lambda: (self.show,),
            deliver=self._from_body, lost=self._body_lost, silence_s=3.0, understudy=True,
        )  # fmt: skip
        self.mind = Child(
            "mind", mind.main, lambda: (self.show, self._last_turn + 1, tuple(self._history)),
            deliver=self._from_mind, lost=self._mind_lost, silence_s=15.0,
        )  # fmt: skip
        self.body.start()
        self.mind.start()
        if self._web is not None:
            self.address = await self._web.start()
        self._tell_status()
        self._guard = asyncio.create_task(self._watchdog(), name="watchdog")

    async def ready(self, role: str) -> None:
        """Wait until the body is on air or the mind can answer."""
        await self._ready[role].wait()

    async def close(self) -> None:
        """End the show cleanly: sinks are finished, children end."""
        self._guard.cancel()
        await asyncio.gather(self.body.close(15.0), self.mind.close())
        if self._web is not None:
            await self._web.stop()

    def line(
        self, text: str, *, author: str = "", source: str = "console", priority: int = 0
    ) -> tuple[str, "asyncio.Future[wire.Done]"]:
        """Hand an audience line to the mind; returns its id and the future of its end."""
        message = wire.Line(
            id=uuid.uuid4().hex[:12], source=source, author=author, text=text[:500],
            received_at=time.monotonic(), priority=priority,
        )  # fmt: skip
        self._unanswered[message.id] = message
        done: asyncio.Future[wire.Done] = asyncio.get_running_loop().create_future()
        self._finished[message.id] = done
        while len(self._unanswered) > UNANSWERED:
            old, _ = self._unanswered.popitem(last=False)
            self._finished.pop(old, done).cancel()
        self._event("chat", id=message.id, author=author, text=message.text)
        self._see(message)
        self.body.send(wire.Attend(target="chat", hold_s=1.4))
        if self.mind.ready:
            self.mind.send(message)
        return message.id, done

    def add_sink(self, name: str, engine: str, options: dict[str, Any]) -> None:
        """Put one more sink on air, now and after every restart of the body."""
        self._sinks[name] = wire.SinkAdd(name=name, engine=engine, options=options)
        self.body.send(self._sinks[name])

    def remove_sink(self, name: str) -> None:
        """Take a sink off the air."""
        if self._sinks.pop(name, None) is not None:
            self.body.send(wire.SinkRemove(name=name))

    def cancel(self, reason: str) -> None:
        """Silence the host now: model, voice, sound and lips together."""
        message = wire.Cancel(turn=self._last_turn, reason=reason)
        self.mind.send(message)
        self.body.send(message)

    # Messages -----------------------------------------------------------------------------------

    def _from_body(self, message: wire.Message) -> None:
        self._see(message)
        match message:
            case wire.Hello():
                for sink in self._sinks.values():
                    self.body.send(sink)
            case wire.Ready():
                self._ready["body"].set()
                self._tell_status()
                self._event("body", generation=self.body.generation)
                if self.mind.ready:
                    self.mind.send(message)  # it repeats what was not heard
            case wire.Answer():
                future = self._offers.pop(message.viewer, None)
                if future is not None and not future.done():
                    future.set_result(message)
            case wire.Started():
                self.mind.send(message)
                self._event(
                    "caption", turn=message.turn, utterance=message.utterance, text=message.text,
                    language=message.language, at_ms=message.pts / 48,
                    words=_milliseconds(message.words), lines=message.lines,
                )  # fmt: skip
            case wire.Shifted():
                self._event(
                    "shifted", turn=message.turn, utterance=message.utterance,
                    at_ms=message.pts / 48,
                )  # fmt: skip
            case wire.Words():
                self._event(
                    "words", turn=message.turn, utterance=message.utterance,
                    words=_milliseconds(message.words), lines=message.lines,
                )  # fmt: skip
            case wire.Translated():
                self._event(
                    "translation", turn=message.turn, utterance=message.utterance,
                    block=message.block, language=message.language, lines=message.lines,
                    at_ms=message.start / 48, until_ms=message.stop / 48,
                )  # fmt: skip
            case wire.Heard():
                self.mind.send(message)
                self._event(
                    "heard", turn=message.turn, utterance=message.utterance,
                    ms=message.ticks / 48, finished=message.finished, cancelled=message.cancelled,
                )  # fmt: skip
            case wire.Pulse():
                age_ms = (time.monotonic_ns() - message.monotonic_ns) / 1e6
                self._event("clock", stage_ms=message.pts / 48, age_ms=age_ms)
                self._event(
                    "telemetry", frames=message.frames, late=message.late,
                    dropped=message.dropped, underruns=message.underruns,
                    draw_ms=message.draw_ms, cpu=message.cpu, picture=message.picture,
                    card=message.card,
                    sinks=[list(sink) for sink in message.sinks],
                )  # fmt: skip
                self._complain(message)
            case wire.Note():
                self._say(f"{message.role}: {message.text}")

    def _complain(self, pulse: wire.Pulse) -> None:
        """Say once what is wrong with a sink, and when it is well again."""
        for name, state, _, _, last, _ in pulse.sinks:
            known, fault = self._faults.get(name), "" if state == "live" else last
            if fault and fault != known:
                self._say(f"{name}: {fault}")
            elif known and not fault and state == "live":
                self._say(f"{name}: on air")
            self._faults[name] = fault

    def _from_mind(self, message: wire.Message) -> None:
        self._see(message)
        match message:
            case wire.Ready():
                self._ready["mind"].set()
                self._detail = ""
                self._tell_status()
                for line in self._unanswered.values():
                    self.mind.send(line)
            case wire.Say() if not self.body.ready:
                pass  # the mind says it again when there is a body
            case (
                wire.Say()
                | wire.Translation()
                | wire.Cancel()
                | wire.Play()
                | wire.Attend()
                | wire.Mood()
            ):
                self.body.send(message)
            case wire.Chosen():
                self._last_turn = max(self._last_turn, message.turn)
                self._turn_of[message.turn] = message.id
                self._event("thinking", id=message.id, turn=message.turn)
            case wire.Reply():
                self._event(
                    "reply", turn=message.turn, utterance=message.utterance, text=message.text
                )
            case wire.Done():
                identity = self._turn_of.pop(message.turn, "")
                self._unanswered.pop(identity, None)
                future = self._finished.pop(identity, None)
                if future is not None and not future.done():
                    future.set_result(message)
                self._event("done", turn=message.turn, marks=message.marks)
            case wire.Remember():
                self._history.extend(message.lines)
                self._keep(message.lines)
            case wire.Note(level="beat"):
                pass
            case wire.Note(level="status"):
                self._detail = message.text
                self._tell_status()
            case wire.Note():
                self._say(f"{message.role}: {message.text}")

    def _keep(self, lines: tuple[str, ...]) -> None:
        if self._journal is None:
            return
        try:
            with self._journal.open("a", encoding="utf-8") as file:
                file.writelines(line + "\n" for line in lines)
        except OSError as error:
            self._say(
                f"house: cannot write the journal {self._journal} ({error.strerror}); going on"
            )
            self._journal = None

    def _body_lost(self, why: str) -> None:
        self._ready["body"].clear()
        self._say(f"house: {why}")
        for future in self._offers.values():
            if not future.done():
                future.set_exception(ConnectionError("the body is restarting; try again"))
        self._offers.clear()
        self._tell_status()

    def _mind_lost(self, why: str) -> None:
        self._ready["mind"].clear()
        self._detail = ""
        self._say(f"house: {why}")
        self.body.send(wire.Cancel(turn=self._last_turn, reason="mind lost"))
        self.body.send(wire.Mood(state="idle"))
        self._turn_of.clear()
        self._tell_status()

    def _from_page(self, author: str, text: str, viewer: str) -> None:
        self.line(text, author=author, source="page")

    async def _offer(self, offer: wire.Offer) -> wire.Answer:
        await asyncio.wait_for(self._ready["body"].wait(), OFFER_S)
        future: asyncio.Future[wire.Answer] = asyncio.get_running_loop().create_future()
        self._offers[offer.viewer] = future
        self.body.send(offer)
        try:
            return await asyncio.wait_for(future, OFFER_S)
        finally:
            self._offers.pop(offer.viewer, None)

    async def _watchdog(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            self.body.check(calm=self.mind.ready and not self._unanswered)
            self.mind.check()

    def _tell_status(self) -> None:
        self._event("status", mind=_state(self.mind), body=_state(self.body), detail=self._detail)

    def _event(self, kind: str, **fields: Any) -> None:
        if self._web is not None:
            self._web.tell({"type": kind, **fields})

    def _see(self, message: wire.Message) -> None:
        if self._watch is not None:
            self._watch(message)


def _state(child: Child) -> str:
    if child.ready:
        return "ready"
    return "loading" if child.generation <= 1 else "restarting"


def _milliseconds(words: tuple[tuple[int, int, int, int], ...]) -> list[list[float]]:
    return [[a, b, round(start / 48, 1), round(stop / 48, 1)] for a, b, start, stop in words]
