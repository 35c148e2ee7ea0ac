"""The first word of an answer: the viewer's name or a small sound, said before the model has one.

People answer within a fifth of a second, if only with "Mika, ..."; a model on a small machine needs
seconds for its first clause. So where the answer will take long the host turns to the viewer at
once, by name where it can be said, and the model goes on from there: it is told that the answer has
begun like that, and where it names the viewer again in its first sentence that is taken out.
Openers come in turn, so that no two in a row are alike. Pure; no clock.
"""

import re
from collections import Counter
from dataclasses import dataclass

from dialogue.character import Character

_NAME = re.compile(r"[A-Za-zÀ-ɏ]{2,12}(?:[ '’-][A-Za-zÀ-ɏ]{1,12})?|[぀-ヿ一-鿿]{1,8}")
"""Names that a voice says well: no digits, no underscores, one or two words."""
_WEIGHT = 0.4
"""Of the newest wait in what is expected of the next."""

_HONORIFICS = ("さん", "ちゃん", "くん", "君", "酱", "先生", "小姐")
_HONORIFIC = rf"(?:{'|'.join(_HONORIFICS)})?"
_CALL = (
    r"(?:hi|hello|hey|hiya|oh|ah|aww*|hmm+|well|thanks|thank you|yes|yeah|no|sure|okay|ok|bye|"
    r"welcome|good (?:morning|evening|night)|of course|"
    r"你好|嗨|嘿嘿?|哎呀|谢谢|晚安|是呀|是的|当然啦?|"
    r"こんばんは|こんにちは|ありがとう|おやすみ|もちろん|うん)"
)
"""What may stand before a name without a comma."""
_COMMAS = ",，、"
_ENDS = ".!?。！？…"
_MARKS = f"{_COMMAS}{_ENDS}~～:："
_OPENING_CHARS = 40
"""No mark in so many characters: the reply does not begin with a name."""
_LONGEST = 100
"""Characters in which a second naming is looked for, where no sentence ends sooner."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How an answer begins."""

    text: str
    """What is said at once, such as "Oh, Mika,"."""
    lead: str
    """What the model is told it has begun with ("Mika,"); "" where it begins afresh."""
    name: str
    """The viewer's name in it, or ""."""


class Opener:
    """Decides whether and how an answer is opened."""

    def __init__(self, character: Character, after_s: float) -> None:
        """Expect nothing yet: the first answer is never opened.

        Args:
            character: whose words are used.
            after_s: an answer is opened when its first clause is expected later than this; 0 opens
                none.
        """
        self._character = character
        self._after_s = after_s
        self._expected_s = 0.0
        self._used: Counter[tuple[str, bool]] = Counter()

    def learn(self, wait_s: float) -> None:
        """Note how long a line has waited for the model's first clause."""
        weight = _WEIGHT if self._expected_s else 1.0
        self._expected_s += (wait_s - self._expected_s) * weight

    @property
    def wanted(self) -> bool:
        """Whether the next answer would be long in coming."""
        return 0 < self._after_s < self._expected_s

    def choose(self, author: str, code: str) -> Opening | None:
        """Return how to open an answer to `author` in language `code`; None where there is no way.

        Args:
            author: name as the model sees it; may be empty.
            code: ISO 639-1.
        """
        name = author if _NAME.fullmatch(author) else ""
        known = self._character.openers(code)
        fitting = [text for text in known if ("{name}" in text) == bool(name)]
        if not fitting:
            return None
        key = (code, bool(name))
        chosen = fitting[self._used[key] % len(fitting)]
        self._used[key] += 1
        lead = chosen[chosen.index("{name}") :] if name else ""
        return Opening(chosen.replace("{name}", name), lead.replace("{name}", name), name)


class NamedBefore:
    """Passes on the text of a reply without the name that was said just before it.

    "Mika, I do!" becomes "I do!", "Hi Mika, I do!" becomes "Hi, I do!", and "I do, Mika!" becomes
    "I do!", all in the first sentence only.
    """

    def __init__(self, name: str) -> None:
        """Watch one reply for `name`; "" changes nothing."""
        called = re.escape(name) + _HONORIFIC
        self._alone = re.compile(rf"\s*{called}\s*", re.I)
        self._greeted = re.compile(rf"(\s*{_CALL})\s*{called}\s*", re.I)
        self._name = name.lower()
        self._held = ""
        self._passed = 0
        self._begun = False  # the first clause has gone
        self._skipping = False  # marks and space after a name that was dropped
        self._over = not name

    def push(self, delta: str) -> str:
        """Return what may go on; what may become the name waits."""
        return delta if self._over else "".join(map(self._take, delta))

    def finish(self) -> str:
        """The reply has ended: return what was held back."""
        held, self._held = self._held, ""
        return "" if self._alone.fullmatch(held.strip(_MARKS)) and held and not self._over else held

    def _take(self, character: str) -> str:
        if self._over:
            return character
        if self._skipping and (character in _MARKS or character.isspace()):
            return ""
        self._skipping = False
        self._held += character
        return self._note(self._flow(character) if self._begun else self._first(character))

    def _first(self, character: str) -> str:
        """Hold the first clause until it ends."""
        if character not in _MARKS:
            if len(self._held) < _OPENING_CHARS:
                return ""
            return self._let_go()
        body = self._held[:-1]
        greeted = self._greeted.fullmatch(body)
        if self._alone.fullmatch(body):
            self._held, self._begun, self._skipping = "", True, True
            return ""
        if greeted:
            self._held = greeted[1] + character
        if character in _COMMAS:
            self._begun = True
            out, self._held = self._held[:-1], character
            return out
        return self._let_go()

    def _flow(self, character: str) -> str:
        """Hold a comma, and what follows it while that may be the name."""
        if self._held[0] not in _COMMAS:
            if character not in _COMMAS:
                return self._let_go()
            out, self._held = self._held[:-1], character
            return out
        tail = self._held[1:].lstrip().lower()
        if character in _MARKS and len(self._held) > 1:
            if self._alone.fullmatch(tail[:-1]):
                self._held = ""
                if character in _COMMAS:
                    self._held = character
                    return ""
                return character
            if character in _COMMAS:
                out, self._held = self._held[:-1], character
                return out
            return self._let_go()
        whole = tail.rstrip()
        if self._name.startswith(whole) or (
            whole.startswith(self._name)
            and any(h.startswith(whole[len(self._name) :]) for h in _HONORIFICS)
        ):
            return ""
        return self._let_go()

    def _let_go(self) -> str:
        out, self._held, self._begun = self._held, "", True
        return out

    def _note(self, out: str) -> str:
        self._passed += len(out)
        if any(mark in out for mark in _ENDS) or self._passed > _LONGEST:
            self._over = True
            out, self._held = out + self._held, ""
        return out
