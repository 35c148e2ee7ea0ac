"""Follows what is spoken, and tells which captions stand when, as early as it can be known.

Pure and clock-free: time is what `take` is told. A block is announced when its utterance begins,
with the words whose times are known, and again with every correction (more words, a voice that ran
dry, a cancellation). It is final when it is over, which is when nothing of it can change any more:
what writes files waits for that, what shows captions live does not. The lines of a block stay as
they are once a word of it has its place in time, so that nothing jumps before a reader's eyes.
Runs on: the body's thread.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dialogue.ticks import TICKS_PER_S, Ticks
from dialogue.translation import LATE_S
from render.captions import (
    LEAST,
    LINES,
    LINGER,
    TRANSLATED,
    Caption,
    Line,
    Word,
    lay_out,
    place,
    reading,
)

LATE: Ticks = round(LATE_S * TICKS_PER_S)
"""A translation that comes so long after the last word is dropped."""

Key = tuple[int, int]
"""Turn and utterance."""


@dataclass(frozen=True, slots=True)
class _Translation:
    """What an utterance says in another language."""

    text: str
    language: str
    lines: tuple[Line, ...]
    came: Ticks


@dataclass(slots=True)
class _Utterance:
    """One utterance on its way."""

    text: str
    language: str
    words: list[Word] = field(default_factory=list)  # on the utterance's own time
    lines: list[Line] = field(default_factory=list)
    complete: bool = False  # no more words will come
    # Stage time of the utterance's sample 0, for what is spoken from a tick of its own time on.
    origins: list[tuple[Ticks, Ticks]] = field(default_factory=list)
    over: Ticks | None = None  # stage time of its end
    cut: bool = False
    limit: Ticks | None = None  # the next utterance's first word
    stale: bool = False
    told: dict[int, Caption] = field(default_factory=dict)  # as announced last
    translation: _Translation | None = None

    def at(self, ticks: Ticks) -> Ticks:
        """Return the stage time of a time of its own."""
        return ticks + [origin for since, origin in self.origins if since <= ticks][-1]

    def placed(self) -> list[Word]:
        """Return the words on the stage clock."""
        return [
            (a, b, self.at(start), self.at(max(start, stop - 1)) + 1)
            for a, b, start, stop in self.words
        ]

    def know(self, words: Sequence[Word]) -> None:
        """Take more words; what has none yet may be broken elsewhere."""
        known = self.words[-1][0] if self.words else -1
        self.words.extend(words)
        firm = 0
        for i in range(0, len(self.lines), LINES):
            if self.lines[i][0] <= known:
                firm = i + LINES
        if firm < len(self.lines) or not self.lines:
            start = self.lines[firm][0] if self.lines else 0
            rest = [(a - start, b - start, t, u) for a, b, t, u in self.words if a >= start]
            if self.text[start:].strip():
                fresh = [(a + start, b + start) for a, b in lay_out(self.text[start:], rest)]
                self.lines[firm:] = fresh

    def cut_at(self, heard: Ticks) -> None:
        """Keep the words that had begun when `heard` ticks of it were heard."""
        kept = [word for word in self.words if word[2] < heard]
        if len(kept) < len(self.words):
            end = kept[-1][1] if kept else 0
            self.lines = [(a, min(b, end)) for a, b in self.lines if a < end]
            self.cut = True
        self.words = kept

    def blocks(self) -> list[Caption]:
        """Return its captions as they stand now."""
        made = place(self.text, self.lines, self.placed(), self.language)
        if not made:
            return []
        last = made[-1]
        if self.over is None and not self.complete:
            last = replace(last, stop=max(last.stop, self.placed()[-1][3] + LINGER))
        if self.cut and self.over is not None:
            last = replace(last, stop=max(self.over, last.start + LEAST))
        if self.limit is not None:
            last = replace(last, stop=max(last.start, min(last.stop, self.limit)))
        return [*made[:-1], last]

    def translated(self) -> list[Caption]:
        """Return the blocks of its translation as they stand now; of one that was cut, none.

        Its words have no times: a block begins with the word that stands as far into the text.
        """
        known = self.translation
        words = self.placed()
        if known is None or self.cut or not words:
            return []
        made: list[Caption] = []
        came = known.came
        for number, i in enumerate(range(0, len(known.lines), LINES)):
            block = known.lines[i : i + LINES]
            share = block[0][0] / len(known.text)
            start = next((w[2] for w in words if w[0] >= share * len(self.text)), None)
            if start is None and not self.complete:
                break
            start = words[-1][2] if start is None else start
            shown = tuple(known.text[a:b].rstrip() for a, b in block)
            stop = max(words[-1][3], min(start + reading("".join(shown), known.language),
                                         words[-1][3] + LINGER))  # fmt: skip
            if not self.complete:
                stop += LINGER
            if self.limit is not None:
                stop = max(start, min(stop, self.limit))
            if made:
                made[-1] = replace(made[-1], stop=min(made[-1].stop, start))
                came = max(came, made[-1].live[1] if made[-1].came > made[-1].start else 0)
            key = (0, 0, TRANSLATED + number)
            made.append(Caption(start, stop, shown, known.language, (), key, words[-1][3],
                                came=came))  # fmt: skip
        return made


class Captioner:
    """Makes captions of a show."""

    def __init__(self, *, translated: bool = False) -> None:
        """Know nothing yet; `translated`: utterances are kept until no translation is in time."""
        self._known: dict[Key, _Utterance] = {}
        self._patience = LATE if translated else 0

    def know(
        self, key: Key, text: str, language: str, words: Sequence[Word], *, complete: bool
    ) -> None:
        """Take words of an utterance that begins later or has begun.

        Args:
            key: turn and utterance.
            text: the whole of it, at least in the first call.
            language: ISO 639-1 code.
            words: new ones, in order, from the start of the utterance.
            complete: no more will come.
        """
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _Utterance(text, language)
        if words or not known.lines:
            known.know(words)
        known.complete = complete
        known.stale = True

    def begin(self, key: Key, origin: Ticks) -> None:
        """Place an utterance: its first sample is heard at `origin`."""
        known = self._known.get(key)
        if known is None:
            return
        known.origins = [(0, origin)]
        known.stale = True
        first = known.at(known.words[0][2]) if known.words else origin
        for other in self._known.values():
            if other is not known and other.origins and other.over is not None:
                if other.limit is None:
                    other.limit = first
                    other.stale = True

    def shift(self, key: Key, origin: Ticks, played: Ticks) -> None:
        """Move what follows after `played` ticks of an utterance: its sample 0 would be there."""
        known = self._known.get(key)
        if known is not None and known.origins:
            known.origins.append((played, origin))
            known.stale = True

    def end(self, key: Key, heard: Ticks) -> None:
        """End an utterance of which `heard` ticks were heard."""
        known = self._known.get(key)
        if known is None:
            return
        if not known.origins:
            del self._known[key]
            return
        known.over = known.at(max(0, heard - 1)) + min(heard, 1)
        known.complete = True
        known.cut_at(heard)
        known.stale = True

    def translate(self, key: Key, text: str, language: str, now: Ticks) -> bool:
        """Take the translation of an utterance that is to come, is spoken, or was just now.

        Args:
            key: turn and utterance.
            text: all of it; at least one letter.
            language: ISO 639-1 code of `text`.
            now: stage time.

        Returns:
            False where it is too late (`LATE`), or the utterance was cut, and it is dropped.
        """
        known = self._known.get(key)
        if known is None or known.cut or (known.over is not None and now > known.over + LATE):
            return False
        known.translation = _Translation(text, language, tuple(lay_out(text, ())), now)
        known.stale = True
        return True

    def lines(self, key: Key) -> tuple[Line, ...]:
        """Return where the text of an utterance breaks: pairs of lines are its blocks."""
        known = self._known.get(key)
        return tuple(known.lines) if known is not None else ()

    def take(self, now: Ticks) -> list[Caption]:
        """Return what is new at stage time `now`: announced, corrected, or final."""
        found: list[Caption] = []
        for key, known in list(self._known.items()):
            if not known.origins:
                continue
            if known.stale:
                found += self._corrected(key, known)
                known.stale = False
            newest = max((n for n in known.told if n < TRANSLATED), default=0)
            for number, told in known.told.items():
                over = told.stop <= now and (known.complete or number < newest)
                if not told.final and over:
                    known.told[number] = replace(told, final=True)
                    found = [c for c in found if c.key != told.key] + [known.told[number]]
            waits = known.translation is None and not known.cut
            if known.over is None or waits and now <= known.over + self._patience:
                continue
            if all(told.final for told in known.told.values()):
                del self._known[key]
        return sorted(found, key=lambda c: (c.start, c.key))

    @staticmethod
    def _corrected(key: Key, known: _Utterance) -> list[Caption]:
        found = []
        blocks = {
            block.key[2]: replace(block, key=(*key, block.key[2]), final=False)
            for block in (*known.blocks(), *known.translated())
        }
        for number, block in blocks.items():
            told = known.told.get(number)
            if told is None or not told.final and told != block:
                known.told[number] = block
                found.append(block)
        for number in [n for n, told in known.told.items() if n not in blocks and not told.final]:
            told = known.told[number]
            known.told[number] = replace(told, stop=told.start, lines=(), words=(), final=True)
            found.append(known.told[number])
        return found
