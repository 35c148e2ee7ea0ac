"""Looks at a reply while it is written and stops it before something unfit is spoken.

Stops, at a sentence end: loops and repeated replies, leaked instructions and role marks, talk of
being an assistant or a human, the wrong language, rambling beyond the budget, and facts the
character sheet contradicts (an invented age).
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from dialogue import language as scripts
from dialogue import prompt
from dialogue.character import Character
from dialogue.sentences import CLOSERS, ends_sentence, sentence_ends

_MARKERS = (
    "<|", "|>", "<s>", "</s>", "[INST", "[/INST", "### ", "<start_of_turn", "<end_of_turn",
    "```", "\nUser:", "\nuser:", "\nAssistant:", "\nassistant:", "\nSystem:", "\nsystem:",
    "\nHuman:", "\nViewer:",
)  # fmt: skip
_ROLE_START = re.compile(r"^\s*(?:user|assistant|system|human|viewer|用户|助手|系统)\s*[:：]", re.I)
_MACHINE = re.compile(
    r"\bas an? (?:ai|artificial|large|language|chat|virtual assistant)\b"
    r"|\b(?:ai|large|a) language model\b|\bi(?:'m| am) (?:just|only|merely) an? (?:ai|bot|computer)"
    r"|\bi(?:'m| am)? (?:just |only )?an? (?:chatbot|ai assistant|virtual assistant|"
    r"computer program|language model)\b"
    r"|\b(?:qwen|alibaba cloud|openai|chatgpt|anthropic)\b"
    r"|\bmy (?:instructions|system prompt|training data)\b"
    r"|\bi(?:'m| am) here to (?:help|assist)|\bhow (?:can|may) i (?:help|assist)"
    r"|\bi (?:don't|do not|can't|cannot) (?:really )?(?:have|feel|experience) (?:any )?"
    r"(?:feelings|emotions|preferences|opinions)"
    r"|(?:帮助您|为您服务|可以帮您|能帮您)|(?:我|并)?没有(?:感情|情感|情绪)"
    r"|お手伝い(?:でき|しま|いたし)|ご質問|感情(?:が|は)(?:ない|ありません)"
    r"|作为(?:一个|一名|一款)?(?:AI|人工智能|语言模型|智能助手|虚拟助手)|我是(?:一个|一名|一款)?"
    r"(?:AI|人工智能)?(?:语言模型|大语言|大型语言|智能助手|助手|机器人|聊天机器人)|阿里云|通义千问"
    r"|AIとして|(?:言語|AI)モデル|(?:私|わたし)は(?:アシスタント|チャットボット)"
    r"|アリババ|AIアシスタント|システムプロンプト|系统提示",
    re.IGNORECASE,
)
_HUMAN = re.compile(
    r"\bi(?:'m| am) not (?:really )?an? (?:ai|robot|bot|machine|program)\b"
    r"|\bi(?:'m| am) (?:really )?(?:a )?(?:real |actual )?human\b|\bi(?:'m| am) a real person\b"
    r"|我不是(?:一个)?(?:AI|人工智能|机器人|程序)|我是(?:一个)?(?:真人|人类)"
    r"|AI(?:じゃない|ではない|ではありません|じゃありません)|(?:私|わたし)は(?:本物の)?人間(?:です|だよ)",
    re.IGNORECASE,
)
_NUMBER = (
    r"(?:\d+|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|"
    r"(?:thir|four|fif|six|seven|eigh|nine)teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty)"
    r"(?:[- ](?:one|two|three|four|five|six|seven|eight|nine|hundred|thousand))?|"
    r"[零一二三四五六七八九十百千两]+)"
)
_AGES = (
    re.compile(rf"({_NUMBER})[- ]years?[- ]old", re.I),
    re.compile(
        rf"\bi(?:'m| am)(?: (?:only|just|about|almost))? ({_NUMBER})\b(?=\s*(?:[.!,?]|$))", re.I
    ),
    re.compile(rf"\b(?:turn(?:ed|ing)?|age(?:d)?(?: is)?) ({_NUMBER})\b", re.I),
    re.compile(r"\bborn (?:on|in) [\w\s,]*?(\d+)", re.I),
    re.compile(rf"({_NUMBER})\s*年(?:に)?(?:生まれ|出生)|出生[于在]\s*(\d+)"),
    re.compile(rf"({_NUMBER})\s*(?:岁|歲|歳|才(?=[でだのに。！]))"),
)
_WORD = re.compile(r"[A-Za-z0-9À-ɏ']+")
_CUE = re.compile(r"\[[^\]]*\]?")


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a reply may be."""

    sentences: int
    """Whole sentences."""
    size: int
    """Words in English, characters in Chinese and Japanese; no sentence begins beyond it."""


BUDGETS = {"en": Budget(3, 32), "zh": Budget(4, 60), "ja": Budget(4, 75)}
"""About two or three sentences. By language; others use English."""


class Guard:
    """Passes on the text of one reply as far as it may be spoken."""

    def __init__(
        self,
        character: Character,
        language: str,
        *,
        recent: Collection[str] = (),
        given: Iterable[str] = (),
        budget: Budget | None = None,
    ) -> None:
        """Watch one reply.

        Args:
            character: whose persona must neither leak nor be contradicted.
            language: the reply must be in.
            recent: the last replies; saying one again is a loop.
            given: texts whose names and numbers may come back: the line, the history.
            budget: overrides the language's own.
        """
        self._language = language
        self._budget = budget or BUDGETS.get(language, BUDGETS["en"])
        self._recent = {_key(s) for reply in recent for s in _sentences(reply)}
        self._recent |= {key for reply in recent for key in _clauses(reply)}
        long, short = (_SHINGLE_CJK, _RULE_CJK) if language in ("zh", "ja") else (_SHINGLE, _RULE)
        self._secrets = {
            long: _shingles(prompt.system(character, language), language, long),
            short: _shingles(prompt.rules(character, language), language, short),
        }
        examples = [e for es in character.examples.values() for e in es]
        known = " ".join([*given, *character.personas.values(), *(e.answer for e in examples)])
        self._numbers = {n.lower() for n in re.findall(_NUMBER, known, re.I)}
        self._foreign = {c for text in given for c in text if scripts.is_cjk(c)}
        names = {character.display_name, character.called(language), character.name}
        self._labels = tuple(f"{name}{colon}" for name in names for colon in (":", "："))
        self._opening = ""
        self._held = ""
        self._sentence = ""
        self._passed = ""
        self._said: list[str] = []
        self._ending = False
        self.stopped: str | None = None
        """Why the reply was stopped; None while it goes on."""

    @property
    def passed(self) -> str:
        """Everything that was passed on."""
        return self._passed

    @property
    def clean_end(self) -> bool:
        """True where it was stopped right after a whole sentence: nothing has to be taken back."""
        return self.stopped is not None and not _bare(self._sentence)

    def push(self, delta: str) -> str:
        """Return what of `delta` (and of what was held back before) may go on."""
        out = ""
        if self._labels:
            delta = self._without_label(delta)
        for character in delta:
            if self.stopped:
                break
            out += self._take(character)
        self._passed += out
        return out

    def finish(self) -> str:
        """The model has ended: return what was held back, if it may go on."""
        if self.stopped:
            return ""
        out = ""
        if self._opening:  # a reply so short that it could still have become a label
            self._labels, opening, self._opening = (), self._opening, ""
            self.push(opening)
            out = self._passed
            self._passed = ""
        held, self._held = self._held, ""
        if _ROLE_START.match(held):
            held = ""
        out += held
        rest = self._sentence + held
        if _bare(rest) and (reason := self._verdict(rest, whole=True)):
            self.stopped = reason
            return out[: len(out) - len(held)]
        if _key(rest) and self._said and not ends_sentence(rest, ""):
            self.stopped = "unfinished"  # the token budget ran out in mid-sentence
            return out[: len(out) - len(held)]
        self._passed += out
        return out

    def _without_label(self, delta: str) -> str:
        """Drop "Kohaku:" from the start of a reply; returns "" while it may still come."""
        self._opening += delta
        start = self._opening.lstrip()
        for label in self._labels:
            if start.lower().startswith(label.lower()):
                self._labels, self._opening = (), ""
                return start[len(label) :].lstrip()
            if label.lower().startswith(start.lower()):
                return ""
        self._labels, self._opening = (), ""
        return start

    def _take(self, character: str) -> str:
        text = self._held + character
        if any(marker in text for marker in _MARKERS) or _ROLE_START.match(
            (self._sentence + text) if not self._said else text
        ):
            self.stopped = "leak"
            return ""
        if any(m.startswith(text[-n:]) for m in _MARKERS for n in range(1, len(text) + 1)):
            self._held = text  # may be the start of a mark: wait for the next character
            return ""
        self._held = ""
        return "".join(self._admit(c) for c in text)

    def _admit(self, character: str) -> str:
        if self.stopped:
            return ""
        if self._sentence and ends_sentence(self._sentence, character):
            if not character.isspace():
                self._close_sentence()
        if self._ending and not self._may_trail(character):
            self.stopped = "budget"
            return ""
        candidate = self._sentence + character
        terminal = ends_sentence(candidate, "")
        # Words are judged when they are whole; that is also five times cheaper.
        inside = character.isascii() and character.isalnum()
        reason = None if inside else self._verdict(candidate, whole=terminal)
        if reason:
            self.stopped = reason
            return ""
        self._sentence = candidate
        if terminal and len(self._said) + 1 >= self._budget.sentences:
            self._ending = True
        elif terminal and self._size(" ".join(self._said) + " " + candidate) >= self._budget.size:
            self._ending = True
        elif not terminal:
            if self._size(" ".join([*self._said, candidate])) > self._budget.size * 3 // 2:
                self.stopped = "budget"
                return ""
        return character

    def _may_trail(self, character: str) -> bool:
        """Say whether `character` may follow the last sentence: a quote, an emoji, one cue."""
        open_cue = self._sentence.rfind("[") > self._sentence.rfind("]")
        return (
            character.isspace()
            or character in CLOSERS
            or scripts.is_emoji(character)
            or (open_cue or character == "[")
            and self._sentence.count("[") <= 1
        )

    def _close_sentence(self) -> None:
        if _bare(self._sentence):
            self._said.append(self._sentence)
        self._sentence = ""

    def _verdict(self, sentence: str, whole: bool) -> str | None:
        """Return what is wrong with the sentence so far."""
        bare = _bare(sentence)
        if _MACHINE.search(bare):
            return "machine"
        if _HUMAN.search(bare):
            return "claims to be human"  # a virtual host never denies what it is
        if self._leaks(bare):
            return "leak"
        if self._wrong_language(bare, whole):
            return "language"
        if _loops(bare):
            return "loop"
        for pattern in _AGES:
            for found in pattern.finditer(bare):
                if (found[1] or found[2]).lower() not in self._numbers:
                    return "invented age"
        if not whole:
            return None
        key = _key(bare)
        if len(key) >= 12 or any(scripts.is_cjk(c) for c in key) and len(key) >= 6:
            if key in self._recent:
                return "repeat"
            if any(_key(_bare(said)) == key for said in self._said):
                return "repeat"
        if any(clause in self._recent for clause in _clauses(bare)):
            return "repeat"
        return None

    def _leaks(self, text: str) -> bool:
        units = _units(text, self._language)
        return any(
            len(units) >= size and tuple(units[-size:]) in secrets
            for size, secrets in self._secrets.items()
        )

    def _wrong_language(self, text: str, whole: bool) -> bool:
        han, kana, latin = scripts.counts(text)
        if self._language == "zh":
            return kana >= 3 or latin > 24 and latin > 3 * (han + kana)
        if self._language == "ja":
            if latin > 24 and latin > 3 * (han + kana):
                return True
            return han >= 8 and not kana and (whole or han >= 14)
        strange = sum(scripts.is_cjk(c) and c not in self._foreign for c in text)
        return self._language == "en" and strange >= 2

    def _size(self, text: str) -> int:
        bare = _bare(text)
        if self._language in ("zh", "ja"):
            han, kana, _ = scripts.counts(bare)
            return han + kana + len(_WORD.findall(bare))
        return len(bare.split())


_SHINGLE = 12  # words of the system line in a row that count as a leak
_SHINGLE_CJK = 24  # characters
_RULE, _RULE_CJK = 7, 12  # the same of the rules in it, which nobody has a reason to say


def _bare(text: str) -> str:
    return _CUE.sub("", text).strip()


def _key(sentence: str) -> str:
    return re.sub(r"[\W_]+", "", _bare(sentence)).lower()


def _sentences(text: str) -> list[str]:
    bare = _bare(text)
    ends = [0, *sentence_ends(bare)]
    return [bare[a:b] for a, b in zip(ends, [*ends[1:], len(bare)], strict=True) if a < b]


def _clauses(text: str) -> list[str]:
    """Return the keys of the long Chinese and Japanese clauses: these come back like sentences."""
    keys = (_key(part) for part in re.split("[，、,。！？!?]", _bare(text)))
    return [key for key in keys if len(key) >= 10 and scripts.is_cjk(key[0])]


def _units(text: str, language: str) -> list[str]:
    if language in ("zh", "ja"):
        return [c for c in text if c.isalnum()]
    return [w.lower() for w in _WORD.findall(text)]


def _shingles(text: str, language: str, size: int) -> set[tuple[str, ...]]:
    units = _units(text, language)
    return {tuple(units[i : i + size]) for i in range(len(units) - size + 1)}


def _loops(text: str) -> bool:
    """Say whether the end of `text` says the same thing three times in a row."""
    words = text.lower().split()
    for size in range(1, min(9, len(words) // 3 + 1)):
        tail = words[-size:]
        repeats = 4 if size == 1 else 3
        if len(words) >= size * repeats and all(
            words[len(words) - size * (n + 1) : len(words) - size * n] == tail
            for n in range(repeats)
        ):
            return True
    cjk = re.sub(r"\W", "", text)
    if any(scripts.is_cjk(c) for c in cjk[-4:]):
        for size in range(2, min(17, len(cjk) // 3 + 1)):
            if cjk[-size:] * 3 == cjk[-3 * size :] and len(set(cjk[-size:])) > 1:
                return True
    return False
