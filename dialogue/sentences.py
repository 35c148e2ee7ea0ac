"""Cuts a reply, while it is still being written, into utterances that can be spoken.

The first utterance is a short clause, so that sound starts early; later ones are sentences. Stage
directions (`[nod]`, `*waves*`, `（笑）`) and Markdown never reach a caption or a voice. Everything
works character by character, so how the model's text was cut into deltas changes nothing.
"""

import re
from collections.abc import Collection
from dataclasses import replace

from dialogue import cues, language
from dialogue.messages import Cue, ReplyChunk, Utterance

MAX_CHARS = 200
"""Longest utterance, about 12 s of speech."""
MAX_CHARS_CJK = 60
"""The same for Chinese and Japanese."""

_TERMINAL = ".!?。！？．…‼⁉｡"
_FULL_STOP_CJK = "。！？．｡"
_PAUSE = ",;:，、；：—–､"
_PAUSE_CJK = "，、；：—–､"
CLOSERS = "\"'”’」』）)]】》"
"""Marks that may follow the end of a sentence and belong to it."""
_WAVES = "~～♪〜"
_ABBREVIATIONS = frozenset(
    {"mr", "mrs", "ms", "dr", "prof", "st", "sr", "jr", "vs", "etc", "e.g", "i.e", "a.m", "p.m",
     "u.s", "u.k", "no", "vol", "ca", "approx", "fig", "inc", "ltd", "ph.d", "mt"}
)  # fmt: skip
_NUMBER_WORDS = frozenset({"no", "vol", "fig"})  # abbreviations only before a number
# Words before which a long English opening may be cut with the least harm to its melody.
_JOINTS = frozenset({"but", "so", "because", "when", "while", "if", "since", "though", "until"})
_PARTICLES = "はがをにでもてとねよ的了呢吧啊"

_FIRST_WORDS = 2  # an English clause of this many words may be spoken at a comma
_FIRST_LETTERS = 9  # or of this many characters
_FIRST_CJK = 4  # a Chinese or Japanese one of this many characters
_RUN_ON_WORDS = 9  # no comma in sight: cut before a joint
_RUN_ON_CJK = 22
_LONG = 120  # later utterances are cut at a pause beyond this
_LONG_CJK = 36
_LONG_BRIEF = 40  # or this, where the voice is slow
_LONG_BRIEF_CJK = 14

_CUE_LIMIT = 32
_ASIDE_LIMIT = 60
_PAIRS = {"[": "]", "【": "】", "(": ")", "（": "）", "*": "*", "<": ">"}


class _Markup:
    """Takes stage directions and Markdown out of a stream of characters.

    Yields characters, and cues as `(name,)` tuples, in order.
    """

    def __init__(self, own_cues: Collection[str]) -> None:
        self._own = own_cues
        self._opener = ""
        self._inside = ""
        self._line_start = True
        self._last = ""

    def push(self, character: str) -> list[str | tuple[str]]:
        if self._opener:
            return self._collect(character)
        if character in "[【(（<" and not (character == "<" and not self._line_start):
            self._opener = character
            return []
        if character == "*":
            self._opener = character
            return []
        return self._plain(character)

    def finish(self) -> list[str | tuple[str]]:
        """Settle what was left open: a cut-off direction is dropped, cut-off text is kept."""
        opener, inside = self._opener, self._inside
        self._opener = self._inside = ""
        if not opener or opener == "*":
            return list(inside) if opener and inside and not _is_action(inside) else []
        if opener in "[【<":
            return [] if _like_a_cue(inside) else [opener, *inside]
        if cues.resolve(inside):
            return []
        return [opener, *inside]

    def _plain(self, character: str) -> list[str | tuple[str]]:
        start, self._line_start = self._line_start, False
        if character == "\n":
            self._line_start = True
            return ["\n"]
        if start and character in " \t":
            self._line_start = True
            return [character]
        if start and character in "#>•-":
            self._line_start = True
            return []
        if character == "`":
            return []
        return [character]

    def _collect(self, character: str) -> list[str | tuple[str]]:
        opener = self._opener
        if opener == "*":
            return self._collect_action(character)
        if character == _PAIRS[opener]:
            inside, self._inside, self._opener = self._inside, "", ""
            return self._closed(opener, inside)
        limit = _ASIDE_LIMIT if opener in "(（" else _CUE_LIMIT
        if character == "\n" or len(self._inside) >= limit or character == opener:
            flushed = self._flush()
            return [*flushed, *self.push(character)]
        self._inside += character
        return []

    def _collect_action(self, character: str) -> list[str | tuple[str]]:
        if character == "*":
            inside, self._inside, self._opener = self._inside, "", ""
            if not inside:  # "**" opens or closes bold
                return []
            if _is_action(inside):
                name = cues.resolve(inside)
                return [(name,)] if name else []
            self._line_start = False
            return list(inside)
        if not self._inside and character in " \t":  # a bullet or a lone star
            self._opener = ""
            return [character]
        if character == "\n" or len(self._inside) >= _ASIDE_LIMIT:
            inside, self._inside, self._opener = self._inside, "", ""
            return [*inside, *self._plain(character)]
        self._inside += character
        return []

    def _flush(self) -> list[str | tuple[str]]:
        opener, inside = self._opener, self._inside
        self._opener = self._inside = ""
        self._line_start = False
        return [opener, *inside]

    def _closed(self, opener: str, inside: str) -> list[str | tuple[str]]:
        self._line_start = False
        if opener in "[【<":
            name = cues.resolve(inside, self._own)
            if name:
                return [(name,)]
            if _like_a_cue(inside) or inside.strip().isdigit():
                return []  # a direction nobody knows, or a footnote mark
            return [opener, *inside, _PAIRS[opener]]
        if inside.lstrip().startswith(("http:", "https:", "www.")):
            return []
        name = cues.resolve(inside)
        if name and _is_direction(inside):
            return [(name,)]
        return [opener, *inside, _PAIRS[opener]]


def _like_a_cue(inside: str) -> bool:
    return re.fullmatch(r"[a-z][a-z _-]*", inside.strip()) is not None or (
        0 < len(inside.strip()) <= 6 and all(language.is_cjk(c) for c in inside.strip())
    )


def _is_action(inside: str) -> bool:
    """Tell `*waves her tail*` from `*really*`."""
    words = inside.split()
    if not words:
        return True
    if cues.resolve(words[0]) or any(language.is_cjk(c) for c in inside) and cues.resolve(inside):
        return True
    return len(words) > 1 and words[0].islower() and words[0].endswith(("s", "ing"))


def _is_direction(inside: str) -> bool:
    """Tell `(laughs)` and `（笑）` from an ordinary aside."""
    words = inside.split()
    if any(language.is_cjk(c) for c in inside):
        return len(inside.strip()) <= 6
    return len(words) <= 4 and words[0].islower() and cues.resolve(words[0]) is not None


def ends_sentence(text: str, following: str) -> bool:
    """Say whether a sentence ends between `text` and `following`.

    Args:
        text: everything up to the place, trailing space included.
        following: the next character, or "" at the end of the reply.
    """
    body = text.rstrip()
    gap = len(body) < len(text) or not following
    if "\n" in text[len(body) :]:
        return True
    core = _core(body)
    if body.endswith("♪") and language.is_cjk(core[-1:] or " "):
        return gap or language.is_cjk(following)
    if not core or core[-1] not in _TERMINAL:
        return False
    if following and following in CLOSERS + _TERMINAL + _WAVES and not (gap and following in "\"'"):
        return False
    last = core[-1]
    if last in _FULL_STOP_CJK or last in "‼⁉":
        return True
    near = gap or (following != "" and language.is_cjk(following))
    if not near:
        return False
    if last == "…" or core.endswith(".."):
        return not following or not following.islower()
    if last == ".":
        return not _is_abbreviation(core, following)
    return True


def _core(body: str) -> str:
    """Return `body` without the quotes, tildes and emoji that may follow its last mark."""
    end = len(body)
    while end and (body[end - 1] in CLOSERS + _WAVES + " " or language.is_emoji(body[end - 1])):
        end -= 1
    return body[:end]


def _is_abbreviation(core: str, following: str) -> bool:
    word = re.split(r"[\s(\"'“‘]", core[:-1])[-1].lower()
    if word in _NUMBER_WORDS:
        return following.isdigit()
    if word in _ABBREVIATIONS:
        return following != "" and (word not in ("etc", "a.m", "p.m") or not following.isupper())
    if len(word) == 1 and word.isalpha() and word != "i":
        return following.isupper()
    # "1. First" at the start of a line or sentence is a list, not a sentence.
    before = core[: -1 - len(word)]
    listed = not before.strip() or before.endswith("\n") or before.rstrip()[-1] in _TERMINAL
    return word.isdigit() and len(word) <= 2 and listed and following != ""


class Splitter:
    """Turns the chunks of one reply into utterances."""

    def __init__(
        self, turn_id: int, language: str, own_cues: Collection[str] = (), *, brief: bool = False
    ) -> None:
        """Start a reply.

        Args:
            turn_id: the turn it belongs to.
            language: ISO 639-1 code.
            own_cues: names of the character's own expressions and gestures.
            brief: cut sentences at every good pause, for a voice that would run dry in long ones.
        """
        self._long, self._long_cjk = (_LONG_BRIEF, _LONG_BRIEF_CJK) if brief else (_LONG, _LONG_CJK)
        self._turn_id = turn_id
        self._language = language
        self._markup = _Markup(own_cues)
        self._text = ""
        self._cues: list[tuple[str, int]] = []
        self._after_cue = False
        self._index = 0
        self._finished = False

    @property
    def pending(self) -> str:
        """Text that is not part of an utterance yet."""
        return self._text

    def push(self, chunk: ReplyChunk) -> list[Utterance]:
        """Take a delta and return the utterances that it completes.

        The last chunk always yields an utterance marked `final`; its text is empty where
        everything had been handed out before.
        """
        done: list[Utterance] = []
        if self._finished:
            return done
        for character in chunk.text:
            self._feed(self._markup.push(character), done)
        if chunk.final:
            self._feed(self._markup.finish(), done)
            self._finished = True
            done.append(replace(self._take(len(self._text)), final=True))
        return done

    def cut(self) -> list[Utterance]:
        """End the reply early: whole sentences that wait are spoken, the unfinished rest is not."""
        if self._finished:
            return []
        self._finished = True
        keep = max((e for e in sentence_ends(self._text) if e <= len(self._text)), default=0)
        self._text = self._text[:keep]
        self._cues = [(name, at) for name, at in self._cues if at <= keep]
        return [replace(self._take(keep), final=True)]

    def _feed(self, pieces: list[str | tuple[str]], done: list[Utterance]) -> None:
        for piece in pieces:
            if isinstance(piece, tuple):
                self._cues.append((piece[0], len(self._text)))
                self._after_cue = True
                continue
            if piece.isspace():
                self._space(piece)
                continue
            if self._text:
                if self._after_cue and piece in ",.!?;:，。！？、":
                    self._text = self._text.rstrip()
                while (at := self._boundary(piece)) > 0:
                    done.append(self._take(at))
            self._after_cue = False
            self._text += piece

    def _space(self, piece: str) -> None:
        if not self._text:
            return
        if piece == "\n":
            self._text = self._text.rstrip(" ") + ("" if self._text.endswith("\n") else "\n")
        elif not self._text[-1].isspace():
            self._text += " "

    def _boundary(self, following: str) -> int:
        """Return where the waiting text is to be cut before `following`, or 0 for nowhere."""
        text = self._text
        if language.is_emoji(following):
            return 0  # an emoji belongs to what it follows
        if not text.strip():
            return 0
        wide = self._wide()
        words = len(text.split())
        letters = len(text.strip())
        if ends_sentence(text, following):
            enough = letters >= 3 if wide else words >= 2 or letters >= 6
            return len(text) if enough or "\n" in text else 0
        gap = text[-1].isspace()
        body = _core(text.rstrip())
        trailing = following in CLOSERS + _TERMINAL + _PAUSE + _WAVES
        at_pause = bool(body) and (
            body[-1] in _PAUSE_CJK or (body[-1] in _PAUSE + "…" or body.endswith("..")) and gap
        )
        if at_pause and not trailing:
            if self._index == 0 and (
                letters > _FIRST_CJK if wide else words >= _FIRST_WORDS or letters >= _FIRST_LETTERS
            ):
                return len(text)
            if letters > (self._long_cjk if wide else self._long):
                return len(text)
        if self._index == 0 and not trailing:
            if wide:
                if letters >= _RUN_ON_CJK and body and body[-1] in _PARTICLES:
                    return len(text)
            elif gap and words >= _RUN_ON_WORDS:
                return self._joint()
        if letters >= (MAX_CHARS_CJK if wide else MAX_CHARS) - 1 and not trailing:
            return self._last_resort(wide)
        return 0

    def _wide(self) -> bool:
        han, kana, latin = language.counts(self._text)
        return (han + kana) * 2 > latin if han + kana else self._language in ("zh", "ja")

    def _joint(self) -> int:
        """Return the start of the last joint word after the fourth, or 0."""
        found = 0
        for index, match in enumerate(re.finditer(r"\S+", self._text)):
            if index >= 4 and match[0].lower() in _JOINTS:
                found = match.start()
        return found

    def _last_resort(self, wide: bool) -> int:
        pauses = _PAUSE_CJK if wide else _PAUSE
        half = len(self._text) // 2
        for marks in (pauses, " "):
            at = max(self._text.rfind(mark) for mark in marks)
            if at > half:
                return at + 1
        return len(self._text)

    def _take(self, at: int) -> Utterance:
        """Make an utterance of the waiting text up to `at`, with the cues that stand in it."""
        spoken = self._text[:at].strip()
        rest = self._text[at:].lstrip()
        skipped = len(self._text) - len(rest)
        everything = not rest
        mine, later = [], []
        for name, position in self._cues:
            if position < at or position <= len(spoken) or everything and self._finished:
                mine.append(Cue(name, min(position, len(spoken))))
            else:
                later.append((name, max(0, position - skipped)))
        # Newlines end sentences, so those that are left stand for a space.
        spoken = spoken.replace("\n", " ")
        self._text, self._cues = rest, later
        utterance = Utterance(self._turn_id, self._index, spoken, self._language, tuple(mine))
        self._index += 1
        return utterance


def sentence_ends(text: str) -> list[int]:
    """Return the offsets one past the end of every whole sentence in `text`, ascending."""
    ends = []
    for index in range(1, len(text) + 1):
        if text[index - 1].isspace():
            continue
        rest = text[index:]
        following = rest.lstrip()[:1]
        gap = rest[: len(rest) - len(rest.lstrip())]
        if ends_sentence(text[:index] + gap, following):
            ends.append(index)
    return ends


def split(
    text: str, language: str | None = None, turn_id: int = 0, own_cues: Collection[str] = ()
) -> list[Utterance]:
    """Cut a finished text into utterances.

    Args:
        text: with cues, such as "Hello! [wave] How are you?".
        language: ISO 639-1 code, or None to detect it for every utterance.
        turn_id: for the utterances.
        own_cues: names of the character's own expressions and gestures.

    Returns:
        At least one utterance; the last one is `final`.
    """
    from dialogue.language import detect

    hint = language or detect(text)
    splitter = Splitter(turn_id, hint, own_cues)
    found = splitter.push(ReplyChunk(turn_id, text, final=True))
    if len(found) > 1 and not found[-1].text:
        found[-2:] = [replace(found[-2], cues=found[-2].cues + found[-1].cues, final=True)]
    if language is None:
        found = [replace(u, language=detect(u.text, hint=hint)) for u in found]
    return found
