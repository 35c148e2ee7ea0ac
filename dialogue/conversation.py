"""One line in, utterances out: prompt, model, guard and splitter, turn by turn.

Runs on: the mind's asyncio loop; the models' generators on threads of their own (`pump`). No clock
but the loop's, so that tests run it on virtual time.
"""

import asyncio
import logging
import random
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace

from dialogue import language, prompt
from dialogue.character import Character
from dialogue.cues import mood_of
from dialogue.engine import LanguageModel, Prompt
from dialogue.guard import Guard
from dialogue.history import History
from dialogue.messages import AudienceMessage, Cue, ReplyChunk, Utterance
from dialogue.opener import NamedBefore, Opener, Opening
from dialogue.plugins import EngineError, EngineUnavailable
from dialogue.pump import Relay
from dialogue.sentences import Splitter
from dialogue.translation import Translator
from dialogue.translation import start as translation_start
from dialogue.turn import Turn, When
from dialogue.vocative import Vocative

_log = logging.getLogger(__name__)

TRIES = 2
"""Replies asked for when the first is stopped before its first word."""


class Conversation:
    """A character with models to think with and a memory of the last turns."""

    def __init__(
        self,
        character: Character,
        models: Sequence[LanguageModel],
        *,
        history: History | None = None,
        temperature: float = 0.4,
        max_tokens: int = 80,
        first_token_s: float = 20.0,
        seed: int | None = None,
        opener: Opener | None = None,
        translate: str = "",
    ) -> None:
        """Prepare to talk.

        Args:
            character: who answers.
            models: the preferred engine first; the others answer when it fails.
            history: turns of an earlier process, continued.
            temperature: of the sampling, 0..2.
            max_tokens: hard budget of one reply.
            first_token_s: an engine silent for so long has failed.
            seed: makes the sampling repeatable; None for fresh replies each time.
            opener: says a first word where the model will take long; None for never.
            translate: ISO 639-1 code of `dialogue.translation.TARGETS`; "" for no translations.
        """
        self.character = character
        self.history = history if history is not None else History()
        self._relay = Relay(models, first_token_s=first_token_s)
        self._temperature = temperature
        self._max_tokens = max_tokens
        self._opener = opener
        self._translator = Translator(character, self._relay, translate) if translate else None
        self._warming: asyncio.Task[None] | None = None
        self._answering: Turn | None = None
        self._ahead: asyncio.Task[None] | None = None
        self.brief = False
        """Cut sentences into clauses, because the voice is slower than speech."""
        self._seeds = random.Random(seed) if seed is not None else None
        self._stream: AsyncGenerator[str, None] | None = None
        self._chores: set[asyncio.Task[None]] = set()

    async def warm(self) -> None:
        """Get the models ready: the first language now, the others in the background.

        Raises:
            EngineError: no model can be used.
        """
        first, *rest = self.character.languages
        if self._translator is not None and not self._translator.offered:
            self._translator = None
        await self._relay.warm(self._start(first))
        self._warming = self._chore(self._warm_rest(rest))

    async def prepare(self, code: str) -> None:
        """Let the model read what the next prompt in language `code` begins with.

        Done by itself while an answer is spoken.
        """
        try:
            await self._relay.prepare(self._start(code))
        except (EngineError, EngineUnavailable) as error:
            _log.warning("cannot get ahead: %s", error)

    def turn(self, turn_id: int, message: AudienceMessage) -> Turn:
        """Begin a turn that answers `message`."""
        return Turn(turn_id, message, asyncio.get_running_loop().time)

    async def answer(self, turn: Turn) -> AsyncGenerator[Utterance, None]:
        """Yield the utterances of the answer while the model is still writing it.

        The last one is `final`. Ends early when the turn is cancelled. When no model answers, the
        character apologises in its own words; that is not an error.
        """
        if self._translator is not None:
            self._translator.give_way()
        self._answering = turn
        message = turn.message
        code = self._language(message)
        turn.language = code
        self.history.begin(turn.turn_id, message.author, prompt.clean(message.text), code)
        spoken: list[str] = []
        opening = self._opening(turn, code)
        try:
            if opening is not None:
                turn.opened = True
                turn.mark("opened")
                spoken.append(opening.text)
                self.history.said(turn.turn_id, opening.text, opening.text)
                yield Utterance(turn.turn_id, 0, opening.text, code)
            async with aclosing(self._utterances(turn, code, opening)) as utterances:
                async for utterance, written in utterances:
                    if opening is not None:
                        utterance = replace(utterance, index=utterance.index + 1)
                    if utterance.text:
                        turn.mark("first_clause")
                        spoken.append(utterance.text)
                    said = join(spoken, code)
                    self.history.said(turn.turn_id, written or said, said)
                    yield utterance
                    if turn.cancelled is not None:
                        break
        finally:
            waited_s = turn.since("chosen", "first_clause")
            if self._opener is not None and waited_s is not None:
                self._opener.learn(waited_s)
            await self._stop()
            if spoken:
                self._ahead = self._chore(self.prepare(code))

    @property
    def translates(self) -> bool:
        """True where translations are wanted, and a model offers them; known once it is warm."""
        return self._translator is not None

    async def translations(
        self,
        turn: Turn,
        utterances: Sequence[Utterance],
        wanted: Callable[[Utterance], Awaitable[bool]],
    ) -> AsyncGenerator[tuple[Utterance, str], None]:
        """Yield utterances of an answer that has been written, with their translations.

        Begins when the model has got ahead on the next prompt, and ends when the next answer is
        wanted; not before `warm` has ended in the background either: what the model would have to
        read at once then, the next line would wait for. See `dialogue.translation.Translator`.
        """
        if self._translator is None:
            return
        for chore in (self._warming, self._ahead):
            if chore is not None:
                await asyncio.wait({chore})
        if self._answering is not turn:
            return
        # An opener is a name and a small word: not worth the model's time.
        rest = [u for u in utterances if u.index or not turn.opened]
        async with aclosing(self._translator.follow(turn, rest, wanted)) as found:
            async for utterance, text in found:
                yield utterance, text

    def close_turn(self, turn: Turn, heard: str) -> None:
        """End the turn and keep of it what the audience has heard.

        Args:
            turn: the turn.
            heard: the words heard, as captions show them.
        """
        past = next((t for t in self.history if t.turn == turn.turn_id), None)
        if self._stream is not None:
            self._chore(self._stop())
        if past is None:
            return
        self.history.heard(turn.turn_id, self.history.position(turn.turn_id, heard))

    async def aclose(self) -> None:
        """Stop everything and free the models."""
        await self._stop()
        if self._translator is not None:
            await self._translator.stop()
        for chore in tuple(self._chores):
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        self._relay.close()

    # -- one answer -----------------------------------------------------------------------

    def _opening(self, turn: Turn, code: str) -> Opening | None:
        if self._opener is None or not self._opener.wanted:
            return None
        return self._opener.choose(prompt.viewer_name(turn.message.author), code)

    async def _utterances(
        self, turn: Turn, code: str, opening: Opening | None
    ) -> AsyncGenerator[tuple[Utterance, str], None]:
        """Yield utterances, the last one with the model's own text where all of it was used."""
        lead = opening.lead if opening is not None else ""
        for attempt in range(TRIES):
            splitter = Splitter(turn.turn_id, code, self.character.cues, brief=self.brief)
            guard = self._guard(turn, code)
            count = 0
            try:
                async with aclosing(
                    self._one_try(turn, code, guard, splitter, opening)
                ) as utterances:
                    async for utterance in utterances:
                        if utterance.text or count:
                            whole = utterance.final and (guard.stopped is None or guard.clean_end)
                            written = join([lead, guard.passed.strip()], code) if whole else ""
                            yield self._with_face(utterance, count), written
                            count += 1
            except EngineError as error:
                _log.warning("turn %d: %s", turn.turn_id, error)
                if count:
                    for utterance in splitter.cut():
                        yield utterance, ""
                    return
                yield self._fallback(turn, code, "apology")
                return
            turn.stopped_because = guard.stopped or turn.stopped_because
            if count or turn.cancelled is When.NOW:
                return
            _log.info("turn %d, try %d stopped: %s", turn.turn_id, attempt + 1, guard.stopped)
        yield self._fallback(turn, code, "dodge")

    async def _one_try(
        self, turn: Turn, code: str, guard: Guard, splitter: Splitter, opening: Opening | None
    ) -> AsyncGenerator[Utterance, None]:
        if self._translator is not None:
            await self._translator.stop()
        lead, name = (opening.lead, opening.name) if opening is not None else ("", "")
        stream = self._relay.reply(self._prompt(turn, code, lead))
        self._stream = stream
        viewer = prompt.viewer_name(turn.message.author)
        vocative = Vocative(self.character.names(), viewer, code)
        named = NamedBefore(name)
        async with aclosing(self._until_cancelled(turn, stream)) as deltas:
            async for delta in deltas:
                turn.mark("first_token")
                turn.deltas += 1
                text = guard.push(named.push(vocative.push(delta)))
                for utterance in splitter.push(ReplyChunk(turn.turn_id, text)):
                    yield utterance
                if guard.stopped:
                    break
        if turn.cancelled is When.NOW:
            return
        turn.mark("last_token")
        tail = guard.push(named.push(vocative.finish()) + named.finish()) + guard.finish()
        if guard.stopped and not guard.clean_end:
            for utterance in (*splitter.push(ReplyChunk(turn.turn_id, tail)), *splitter.cut()):
                yield utterance
            return
        for utterance in splitter.push(ReplyChunk(turn.turn_id, tail, final=True)):
            yield utterance

    async def _until_cancelled(
        self, turn: Turn, stream: AsyncGenerator[str, None]
    ) -> AsyncGenerator[str, None]:
        """Pass on the deltas; leave at once when the turn is cancelled, even between two."""
        loop = asyncio.get_running_loop()
        cancelled: asyncio.Future[None] = loop.create_future()

        def note() -> None:
            if turn.cancelled is When.NOW and not cancelled.done():
                cancelled.set_result(None)

        turn.on_cancel(note)
        try:
            while not cancelled.done():
                step = asyncio.ensure_future(anext(stream, None))
                try:
                    await asyncio.wait((step, cancelled), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not step.done():
                        step.cancel()
                        with suppress(asyncio.CancelledError):
                            await step
                if cancelled.done() or (delta := step.result()) is None:
                    return
                yield delta
        finally:
            cancelled.cancel()
            await stream.aclose()

    async def _stop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(RuntimeError):  # it is already being closed where it was left
                await stream.aclose()

    def _fallback(self, turn: Turn, code: str, kind: str) -> tuple[Utterance, str]:
        text = self.character.text(kind, code, turn.turn_id)
        turn.stopped_because = turn.stopped_because or kind
        splitter = Splitter(turn.turn_id, code, self.character.cues)
        found = splitter.push(ReplyChunk(turn.turn_id, text, final=True))
        words = join([u.text for u in found], code)
        cues = tuple(cue for u in found for cue in u.cues)
        return Utterance(turn.turn_id, 0, words, code, cues, final=True), text

    def _with_face(self, utterance: Utterance, index: int) -> Utterance:
        """Give the first utterance a face where the model has given none."""
        if index or utterance.cues:
            return utterance
        mood = mood_of(utterance.text)
        if mood is None:
            return utterance
        return replace(utterance, cues=(Cue(mood, 0), *utterance.cues))

    # -- prompts --------------------------------------------------------------------------

    def _language(self, message: AudienceMessage) -> str:
        last = self.history.last_of(message.author) if message.author else None
        return language.detect(
            message.text, self.character.languages, last.language if last else None
        )

    def _guard(self, turn: Turn, code: str) -> Guard:
        past = self.history.window(code)
        given = [turn.message.author, turn.message.text]
        given += [text for t in past for text in (t.author, t.text)]
        return Guard(self.character, code, recent=self.history.recent_replies(), given=given)

    def _prompt(self, turn: Turn, code: str, lead: str = "") -> Prompt:
        past = [t for t in self.history.window(code) if t.turn != turn.turn_id]
        return prompt.build(
            self.character, code, past, turn.message.author, turn.message.text,
            temperature=self._temperature, max_tokens=self._max_tokens,
            seed=self._seeds.randrange(2**31) if self._seeds is not None else None, lead=lead,
        )  # fmt: skip

    def _start(self, code: str) -> Prompt:
        lines = prompt.prefix(self.character, code)
        lines += tuple(prompt.remembered(self.history.window(code)))
        return Prompt(lines, len(prompt.prefix(self.character, code)))

    async def _warm_rest(self, codes: Sequence[str]) -> None:
        for code in codes:
            try:
                await self._relay.prepare(self._start(code))
            except (EngineError, EngineUnavailable) as error:
                _log.warning("cannot get ready for %s: %s", code, error)
        if self._translator is not None:
            try:
                await self._relay.prepare(translation_start(self._translator.code), aside=True)
            except (EngineError, EngineUnavailable) as error:
                _log.warning("cannot get ready to translate: %s", error)

    def _chore(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
        return task


def join(texts: Sequence[str], code: str) -> str:
    """Join utterances to a reply as it is written in language `code`."""
    texts = [text for text in texts if text]
    if code in ("zh", "ja"):
        return re.sub(r"(?<=[A-Za-z]) ?\0 ?(?=[A-Za-z])", " ", "\0".join(texts)).replace("\0", "")
    return " ".join(texts)
