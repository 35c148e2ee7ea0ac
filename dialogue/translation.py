"""Translates what was said, for captions: asked of the language model when nobody waits for it.

A translation is wanted for seconds and then not any more, and nothing may wait for it: it begins
when a reply has been written and the model has read ahead for the next one, it is given up when the
turn is cancelled or the model is wanted again, and what comes late is dropped (`LATE_S`, by
whoever shows it). What the model writes is shown only if it looks like a translation (`checked`).
Runs on: the mind's asyncio loop.
"""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from dialogue import language as scripts
from dialogue import prompt
from dialogue.character import Character
from dialogue.engine import Line, Prompt
from dialogue.guard import Budget, Guard
from dialogue.messages import Utterance
from dialogue.plugins import EngineError, EngineUnavailable
from dialogue.pump import Relay
from dialogue.turn import Turn, When

_log = logging.getLogger(__name__)

LATE_S = 4.0
"""A translation that comes later than this after the last word of what it translates is dropped:
about what a viewer's memory, and the lag of a live interpreter, allow."""
ASK_S = 12.0
"""The model is not waited for longer than this, in seconds, for one utterance."""
_WIDE = 2.5
"""How many Latin letters a Chinese or Japanese sign, or a Korean one, stands for."""


@dataclass(frozen=True, slots=True)
class Target:
    """A language that captions can be translated into."""

    code: str
    """ISO 639-1."""
    long_code: str
    """ISO 639-2/T, as films tag their tracks."""
    name: str
    """In English, as the model is told."""
    signs: str
    """What it is written with, as the inside of a character class."""
    examples: tuple[str, str]
    """`_SOURCES` in this language."""


_MARKS = r" !?.,:;'%$€£°&+=/~…—–’‘“”\"-"
_EXAMPLES = {
    "en": ("Good evening, Mika! The tea is still warm.", "I counted the lamps, and one is gone."),
    "zh": ("晚上好，Mika！茶还热着呢。", "我数了数灯，少了一盏。"),
    "ja": ("こんばんは、Mika！お茶はまだ温かいよ。", "ランプを数えたら、一つ足りなかったの。"),
    "ko": ("안녕, Mika! 차가 아직 따뜻해.", "등을 세어 봤는데 하나가 없어졌어."),
    "es": ("¡Buenas noches, Mika! El té aún está caliente.", "Conté las lámparas y falta una."),
    "fr": ("Bonsoir, Mika ! Le thé est encore chaud.", "J'ai compté les lampes, il en manque une."),
    "de": ("Guten Abend, Mika! Der Tee ist noch warm.", "Ich habe die Lampen gezählt, eine fehlt."),
    "pt": ("Boa noite, Mika! O chá ainda está quente.", "Contei as lâmpadas e falta uma."),
}
_LATIN = "A-Za-zÀ-ÖØ-öø-ÿŒœ¡¿«»"
_HAN = "一-鿿，。！？、；：《》「」『』"
_KANA = "ぁ-ゖゝ-ゞァ-ヺー一-鿿々、。！？～〜・「」『』"
TARGETS = {
    code: Target(code, long_code, name, signs, _EXAMPLES[code])
    for code, long_code, name, signs in (
        ("en", "eng", "English", _LATIN),
        ("zh", "zho", "simplified Chinese", _HAN),
        ("ja", "jpn", "Japanese", _KANA),
        ("ko", "kor", "Korean", "가-힣"),
        ("es", "spa", "Spanish", _LATIN),
        ("fr", "fra", "French", _LATIN),
        ("de", "deu", "German", _LATIN),
        ("pt", "por", "Portuguese", _LATIN),
    )
}
"""What `captions.translate` may name."""

_SOURCES = ("en", "zh", "ja")
"""Languages that hosts speak."""
_PREAMBLE = re.compile(
    r"^\W*(?:here(?:'s| is)|sure|translation|the translation|翻译|翻訳|訳)\b", re.I
)
_CUE_OR_MARKUP = re.compile(r"[\[\]{}<>|*_`#]|（[^）]{1,8}）\s*$")
_QUOTES = (("“", "”"), ("「", "」"), ("『", "』"), ('"', '"'), ("«", "»"))


def start(code: str) -> Prompt:
    """Return what every prompt for a translation into `code` begins with: one for all sources."""
    target = TARGETS[code]
    lines = [
        Line(
            "system",
            f"You translate subtitles of a live show into {target.name}. Each line is something "
            "the host says aloud. Answer with its translation alone: short, spoken, natural; keep "
            "names as they are; add nothing.",
        )
    ]
    others = [c for c in _SOURCES if c != code]
    for number, answer in enumerate(target.examples):
        source = others[number % len(others)]
        lines.append(Line("user", _EXAMPLES[source][number]))
        lines.append(Line("assistant", answer))
    return Prompt(tuple(lines), len(lines))


def ask(text: str, code: str) -> Prompt:
    """Return the prompt that asks for `text` in language `code`.

    Args:
        text: what was said, without cues.
        code: one of `TARGETS`.
    """
    begun = start(code)
    signs = TARGETS[code].signs
    tokens = min(160, 16 + round(size(text) * 0.75))
    return Prompt(
        (*begun.lines, Line("user", prompt.clean(text))), begun.prefix, tokens, 0.0,
        grammar=f"root ::= [A-Za-z0-9{signs}] char*\nchar ::= [A-Za-z0-9{signs}{_MARKS}]\n",
    )  # fmt: skip


def size(text: str) -> float:
    """Return about how many Latin letters `text` has, or its translation into a Latin script."""
    return sum(_WIDE if ord(c) >= 0x1100 else 1.0 for c in text if c.isalnum())


def checked(character: Character, source: str, written: str, code: str) -> str | None:
    """Return what `written` has of a translation; None where it is none that can be shown.

    It is one where it is a line of the right script and about the right length, with neither cues
    nor markup, is not the text itself nor an example of the prompt, and passes the guard of
    replies (leaks, talk of being a machine, loops).

    Args:
        character: whose words they are.
        source: what was said.
        written: what the model answered.
        code: one of `TARGETS`.
    """
    line = written.strip().split("\n", 1)[0].strip()
    for opening, closing in _QUOTES:
        if line.startswith(opening) and line.endswith(closing) and not source.startswith(opening):
            line = line[1:-1].strip()
    if not _key(line) or _key(line) == _key(source):
        return None
    if _PREAMBLE.match(line) and not _PREAMBLE.match(source) or _CUE_OR_MARKUP.search(line):
        return None
    if _key(line) in {_key(example) for example in TARGETS[code].examples}:
        return None
    was, came = size(source), size(line)
    if came > 24 + 3 * was or came * 5 < was:
        return None
    # Names are kept as they are.
    own = re.sub(r"[A-Za-zÀ-ÿ']+", lambda word: "" if word[0] in source else word[0], line)
    letters = [c for c in own if c.isalpha()]
    fit = sum(bool(re.match(f"[{TARGETS[code].signs}]", c)) for c in letters)
    if not letters or fit * 2 < len(letters):
        return None
    if code == "ja" and scripts.counts(line)[1] == 0 and scripts.counts(line)[0] >= 8:
        return None  # Chinese
    if code == "zh" and scripts.counts(line)[1]:
        return None  # Japanese
    guard = Guard(character, code, given=[source], budget=Budget(8, 400))
    passed = guard.push(line) + guard.finish()
    return passed.strip() if guard.stopped is None else None


def _key(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower()


class Translator:
    """Asks a relay of models for translations, one at a time, until somebody else wants it."""

    def __init__(self, character: Character, relay: Relay, code: str) -> None:
        """Translate what `character` says into `code`, one of `TARGETS`."""
        self._character = character
        self._relay = relay
        self.code = code
        """ISO 639-1 code of the translations."""
        self._run: object = None
        self._asking: asyncio.Task[str | None] | None = None

    @property
    def offered(self) -> bool:
        """True where a model offers to translate."""
        return self._relay.translates

    async def follow(
        self,
        turn: Turn,
        utterances: Sequence[Utterance],
        wanted: Callable[[Utterance], Awaitable[bool]],
    ) -> AsyncGenerator[tuple[Utterance, str], None]:
        """Yield the translations of what a turn says, in order; those that failed are left out.

        Ends early when the turn is cancelled, or the model is wanted for something else (`stop`).

        Args:
            turn: whose reply has been written.
            utterances: all of it.
            wanted: asked before each; may wait until there is time, says whether it still matters.
        """
        self._run = run = object()
        turn.on_cancel(lambda: self._quit() if turn.cancelled is When.NOW else None)
        for utterance in utterances:
            if utterance.language == self.code or not _key(utterance.text):
                continue
            if not self.offered or not await wanted(utterance):
                continue
            if self._run is not run or turn.cancelled is not None:
                return
            task = self._asking = asyncio.create_task(self._ask(utterance.text))
            try:
                await asyncio.wait({task})
            finally:
                task.cancel()
            if task.cancelled():
                return
            text = task.result()
            if text is not None:
                yield utterance, text

    def give_way(self) -> None:
        """Begin to end what runs; `stop` waits for it."""
        self._run = None
        self._quit()

    async def stop(self) -> None:
        """End what runs: the model is wanted."""
        self.give_way()
        if self._asking is not None:
            await asyncio.wait({self._asking})
            self._asking = None

    def _quit(self) -> None:
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self, text: str) -> str | None:
        request = ask(text, self.code)
        deltas: list[str] = []
        try:
            async with asyncio.timeout(ASK_S), aclosing(self._relay.aside(request)) as stream:
                async for delta in stream:
                    deltas.append(delta)
                    if "\n" in "".join(deltas).strip():
                        break
        except TimeoutError:
            _log.info("no translation within %g s", ASK_S)
            return None
        except (EngineError, EngineUnavailable) as error:
            _log.info("no translation: %s", error)
            return None
        if len(deltas) >= request.max_tokens:
            return None  # it was cut in the middle
        found = checked(self._character, text, "".join(deltas), self.code)
        if found is None:
            _log.info("not shown as a translation of %r: %r", text, "".join(deltas))
        return found
