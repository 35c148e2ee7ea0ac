"""Captions: what was said, in blocks of two lines, with the time of each word.

Pure functions of an utterance's text and its timed words; `render.captioner` follows a show with
them, `Transcript` writes them to files. Runs on: the body's thread makes them when an utterance
begins (a millisecond each), a sink's thread writes.

A line has at most 42 columns, in which a Chinese or Japanese sign counts two (Netflix, Timed Text
Style Guide: 42 letters of English; its 16 signs of Chinese and 13 of Japanese a line leave room for
larger type than ours). Lines break after marks rather than inside a phrase, not between an article
and its noun, never inside a word, and by the rules of kinsoku shori (JIS X 4051) never before a
closing mark or a small kana, nor after an opening one. A block stays as long as it takes to read,
while nothing follows.
"""

import itertools
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S, Ticks

COLUMNS = 42
LINES = 2
LINGER: Ticks = 3 * TICKS_PER_S // 2
"""A block stays at most so long after its last word."""
LEAST: Ticks = TICKS_PER_S
"""A block is seen for this long where nothing follows sooner."""
TRANSLATED = 1000
"""Number of the first block of a translation."""
READ_A_SECOND = {"zh": 9.0, "ja": 4.0}
READ_LATIN_A_SECOND = 20.0
"""Letters or signs that people read in a second (Netflix, Timed Text Style Guide)."""

_MARKS = ".!?…。！？,;:，、；：—–"
_ENDS = ".!?…。！？"
_NOT_FIRST = (
    "、。，．・：；？！゛゜ヽヾゝゞ々ー」』）】〉》〕］｝…‥〜～!?.,:;)]}\"'”’%"
    "ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ"
)
_NOT_LAST = "「『（【〈《〔［｛([{“‘$¥￥"
_CLINGING = frozenset(  # words that no line should end with
    {"a", "an", "the", "of", "to", "in", "on", "at", "for", "by", "my", "your", "his", "her", "our",
     "their", "its", "and", "or", "but", "i", "i'm", "is", "not", "no", "with", "from", "very"}
)  # fmt: skip

_OPENING = frozenset(
    {"and", "but", "or", "because", "when", "while", "if", "that", "who", "which", "with", "to",
     "in", "on", "at", "for", "from", "of", "so", "than", "until", "after", "before", "like"}
)  # fmt: skip
"""Words that a new line may well begin with."""

Word = tuple[int, int, Ticks, Ticks]
"""First and last+1 character in the text, begin and end on the stage clock."""


Line = tuple[int, int]
"""First and last+1 character of a line in the text."""


@dataclass(frozen=True, slots=True)
class Caption:
    """One block on screen."""

    start: Ticks
    """When its first word begins, on the stage clock."""
    stop: Ticks
    """When it goes."""
    lines: tuple[str, ...]
    """One or two lines of at most 42 columns; none takes back what was announced before."""
    language: str
    """ISO 639-1 code."""
    words: tuple[tuple[Ticks, int, int], ...]
    """When each word begins, its line, and its first character in it."""
    key: tuple[int, int, int] = (0, 0, 0)
    """Turn, utterance and number of the block in it: the same for the same block. The blocks of a
    translation are numbered from `TRANSLATED` on."""
    said: Ticks = 0
    """When its last word ends; after that it stays to be read."""
    final: bool = True
    """False while its words, times or end may still be corrected."""
    came: Ticks = 0
    """A translation's: nobody could see it before, though it belongs to words said earlier."""

    @property
    def translated(self) -> bool:
        """True where it is a translation of what is said, without times of words."""
        return self.key[2] >= TRANSLATED

    @property
    def live(self) -> tuple[Ticks, Ticks]:
        """From when to when it is seen live: one that came late stays to be read all the same."""
        if self.came <= self.start:
            return self.start, self.stop
        return self.came, max(self.stop, self.came + reading("".join(self.lines), self.language))


def captions(text: str, words: Sequence[Word], language: str) -> list[Caption]:
    """Cut what was said into blocks.

    Args:
        text: what was said; empty gives none.
        words: in order; none gives none.
        language: ISO 639-1 code of the text.
    """
    if not words or not text.strip():
        return []
    return place(text, lay_out(text, words), words, language)


def place(text: str, lines: Sequence[Line], words: Sequence[Word], language: str) -> list[Caption]:
    """Return blocks of two lines each, in time; one without any timed word is left out.

    Args:
        text: what was said.
        lines: where it breaks, from `lay_out`.
        words: those with a time, in order.
        language: ISO 639-1 code of the text.
    """
    words = [part for word in words for part in _parts(word, [stop for _, stop in lines])]
    made = []
    for number, i in enumerate(range(0, len(lines), LINES)):
        block = lines[i : i + LINES]
        first, last = block[0][0], block[-1][1]
        own = [w for w in words if first <= w[0] < last]
        if not own:
            continue
        later = [w for w in words if w[0] >= last]
        stop = max(own[-1][3], min(own[0][2] + reading(text[first:last], language),
                                   own[-1][3] + LINGER))  # fmt: skip
        if later:
            stop = min(stop, later[0][2])
        marks = []
        for begin, _, at, _ in own:
            line = next(i for i, (a, b) in enumerate(block) if a <= begin < b)
            marks.append((at, line, begin - block[line][0]))
        shown = tuple(text[a:b].rstrip() for a, b in block)
        key = (0, 0, number)
        made.append(Caption(own[0][2], stop, shown, language, tuple(marks), key, own[-1][3]))
    return made


def reading(text: str, language: str) -> Ticks:
    """Return how long it takes to read `text`, at least `LEAST`."""
    pace = READ_A_SECOND.get(language, READ_LATIN_A_SECOND)
    return max(LEAST, int(letters(text) * TICKS_PER_S / pace))


def _parts(word: Word, breaks: Sequence[int]) -> list[Word]:
    """Return a word in one piece, or, where it is longer than a line, in several."""
    start, stop, begin, end = word
    cuts = [start, *(b for b in breaks if start < b < stop), stop]
    times = [begin + (end - begin) * (cut - start) // (stop - start) for cut in cuts]
    return list(zip(cuts, cuts[1:], times, times[1:], strict=False))


def width(text: str) -> int:
    """Return the columns that `text` takes: wide signs take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(ch) else 2 if unicodedata.east_asian_width(ch) in "WF" else 1
        for ch in text
    )


def letters(text: str) -> int:
    """Return how many signs there are to read."""
    return sum(not ch.isspace() for ch in text)


def lay_out(text: str, words: Sequence[Word]) -> list[Line]:
    """Return where each line begins and ends in `text`: the cheapest way to break it.

    Args:
        text: what is said; at least one letter.
        words: which no line breaks, as far as they are known; their times do not matter.
    """
    places = _places(text, words)
    columns = list(itertools.accumulate(map(width, text), initial=0))
    first = [i + len(text[i:]) - len(text[i:].lstrip()) for i in places]
    best: dict[tuple[int, int], tuple[float, list[tuple[int, int]]]] = {(0, 0): (0.0, [])}
    # Lines are counted, so that a break between two blocks costs more than one inside a block.
    for j, stop in enumerate(places[1:], 1):
        end = len(text[:stop].rstrip())
        breaks = [_end_cost(text, stop, parity) for parity in range(LINES)]
        found: dict[int, tuple[float, int]] = {}
        for i in range(j - 1, -1, -1):
            wide = max(0, columns[end] - columns[min(first[i], end)])
            if wide > COLUMNS and i < j - 1:
                break
            line = _line_cost(wide, first=i == 0, last=stop == len(text))
            for parity in range(LINES):
                before = best.get((i, (parity - 1) % LINES))
                if before is None:
                    continue
                cost = before[0] + line + breaks[parity] if wide or stop == len(text) else before[0]
                if parity not in found or cost < found[parity][0]:
                    found[parity] = cost, i
        for parity, (cost, i) in found.items():
            best[j, parity] = (
                cost, [*best[i, (parity - 1) % LINES][1], (places[i], stop)],
            )  # fmt: skip
    last = len(places) - 1
    ends = [best[last, parity] for parity in range(LINES) if (last, parity) in best]
    return [_trimmed(text, *line) for line in min(ends)[1]]


def _trimmed(text: str, start: int, stop: int) -> tuple[int, int]:
    while start < stop and text[start].isspace():
        start += 1
    return start, stop


def _line_cost(wide: int, *, first: bool, last: bool) -> float:
    """Return what a line of so many columns costs, wherever it breaks."""
    if last:  # a word alone on it looks lost
        return 14.0 if wide < 10 and not first else 0.0
    return 16.0 * (1 - min(wide, COLUMNS) / COLUMNS) ** 2


def _end_cost(text: str, stop: int, parity: int) -> float:
    """Return what it costs to break before `stop`; parity 0: a block ends there."""
    if stop == len(text):
        return 10.0
    before = text[:stop].rstrip()
    if not before:
        return 10.0
    if before[-1] in _ENDS:
        return 4.0
    if before[-1] in _MARKS:
        return 7.0
    cost = 14.0
    if parity == 0:  # a break in mid-phrase is worse here
        cost += 10.0
    if _is_kana(text[stop]) and text[stop - 1] == before[-1]:
        # A Japanese phrase ends in hiragana: what follows a kanji in kana still belongs to it.
        cost += 3.0 if _is_kana(before[-1]) else 12.0
    elif _is_kana(before[-1]):
        cost -= 4.0
    if before[-24:].split()[-1].lower() in _CLINGING:
        cost += 14.0
    following = text[stop : stop + 24].split(maxsplit=1)
    if following and following[0].lower() in _OPENING:
        cost -= 4.0
    return cost


def _places(text: str, words: Sequence[Word]) -> list[int]:
    """Return where a line may begin, and the end."""
    inside = {i for start, stop, *_ in words for i in range(start + 1, stop)}
    found = [0]
    for i in range(1, len(text)):
        before, after = text[i - 1], text[i]
        if i in inside or after.isspace() or after in _NOT_FIRST or before in _NOT_LAST:
            continue
        if before.isspace() or _is_wide(before) or _is_wide(after):
            found.append(i)
    found.append(len(text))
    # What has no place to break and is longer than a line is broken anywhere.
    whole = [found[0]]
    for stop in found[1:]:
        while width(text[whole[-1] : stop].strip()) > COLUMNS:
            cut = whole[-1] + 1
            while width(text[whole[-1] : cut + 1]) <= COLUMNS:
                cut += 1
            whole.append(cut)
        whole.append(stop)
    return whole


def _is_kana(ch: str) -> bool:
    return "\u3041" <= ch <= "\u309f"


def _is_wide(ch: str) -> bool:
    return unicodedata.east_asian_width(ch) in "WF"


class Transcript:
    """Writes captions beside a film as they come: WebVTT (with the time of each word) and SRT.

    Sources: W3C, WebVTT: The Web Video Text Tracks Format; SubRip as FFmpeg reads it.
    """

    def __init__(self, film: Path, language: str = "") -> None:
        """Create `NAME.vtt` and `NAME.srt` beside `film`.

        Args:
            film: what they belong to.
            language: ISO 639-1 code of a translation: they are `NAME.en.vtt` and `NAME.en.srt`.

        Raises:
            OSError: they cannot be written there.
        """
        code = f".{language}" if language else ""
        self.files = (film.with_suffix(f"{code}.vtt"), film.with_suffix(f"{code}.srt"))
        self._vtt: TextIO = self.files[0].open("w", encoding="utf-8")
        self._srt: TextIO = self.files[1].open("w", encoding="utf-8")
        self._vtt.write("WEBVTT\n")
        self._number = 0

    def write(self, made: Iterable[Caption], zero: Ticks, end: Ticks | None = None) -> None:
        """Append blocks.

        Args:
            made: in order of time; what was over before the film began is left out.
            zero: stage time of the film's beginning.
            end: stage time of its end, where that is known.
        """
        for caption in made:
            start, stop = max(0, caption.start - zero), caption.stop - zero
            if end is not None:
                stop = min(stop, end - zero)
            if stop <= 0:
                continue
            self._number += 1
            lines = "\n".join(_escaped(line) for line in _timed(caption, zero))
            self._vtt.write(f"\n{_clock(start, '.')} --> {_clock(stop, '.')}\n{lines}\n")
            plain = "\n".join(caption.lines)
            self._srt.write(
                f"{self._number}\n{_clock(start, ',')} --> {_clock(stop, ',')}\n{plain}\n\n"
            )
        self._vtt.flush()
        self._srt.flush()

    def close(self) -> None:
        """Finish both files."""
        self._vtt.close()
        self._srt.close()


_OPEN, _SHUT = "\ue000", "\ue001"  # stand for < and > of a time stamp until the text is escaped


def _timed(caption: Caption, zero: Ticks) -> list[str]:
    """Return the lines with a time stamp before each word but the first."""
    lines = list(caption.lines)
    for at, line, char in sorted(caption.words, key=lambda word: (word[1], -word[2])):
        inside = caption.start < at < caption.stop and at > zero
        if inside and char < len(lines[line]):
            stamp = f"{_OPEN}{_clock(at - zero, '.')}{_SHUT}"
            lines[line] = f"{lines[line][:char]}{stamp}{lines[line][char:]}"
    return lines


def _escaped(text: str) -> str:
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return plain.replace(_OPEN, "<").replace(_SHUT, ">")


def _clock(ticks: Ticks, point: str) -> str:
    ms = round(ticks / TICKS_PER_MS)
    return (
        f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}{point}{ms % 1000:03d}"
    )
