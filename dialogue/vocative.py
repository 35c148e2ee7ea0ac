"""Small models echo a greeting: asked "Hi Kohaku!", Kohaku says "Hi Kohaku!".

The host's own name where it addresses somebody ("Hi Kohaku,", "コハクさん、") becomes the viewer's;
where she speaks of herself ("I'm Kohaku!") it stays.
"""

import re
from collections.abc import Iterable

_BEFORE = re.compile(
    r"(?:^|[,，、。.!！?？~～♪…:：;；\]”\"」』]|"
    r"\b(?:hi|hello|hey|hiya|howdy|yo|oh|ah|aw+|well|thanks|you|too|sure|yes|yeah|no|okay|ok|bye|"
    r"welcome|dear|evening|morning|night|afternoon|course|there|luck|see)|"
    r"你好|您好|大家好|嗨|哈喽|晚上好|早上好|晚安|谢谢|再见|是呀|こんばんは|こんにちは|おはよう|やあ|"
    r"ありがとう|おやすみ|ねえ)\s*$",
    re.IGNORECASE,
)
"""What stands before somebody who is addressed."""
_HONORIFIC = re.compile("さん|ちゃん|くん|君|酱|先生|小姐")
_AFTER = re.compile(rf"(?:{_HONORIFIC.pattern})?\s*[,，、。.!！?？~～♪…]")
"""What stands behind; nothing else does, so that "Kohaku's tail" stays hers."""
_LONGEST_AFTER = 6
STRANGERS = {"en": "friend", "zh": "朋友", "ja": "みなさん"}
"""How a viewer without a name is addressed, by language."""


class Vocative:
    """Passes on the text of one reply, with the addressee put right."""

    def __init__(self, own: Iterable[str], viewer: str, language: str = "en") -> None:
        """Watch one reply.

        Args:
            own: names of the host.
            viewer: name of who is answered; "" when it has none.
            language: of the reply, ISO 639-1.
        """
        names = sorted({n for n in own if n}, key=len, reverse=True)
        if viewer.lower() in {n.lower() for n in names}:
            names = []
        self._names = [n.lower() for n in names]
        self._pattern = re.compile("|".join(map(re.escape, names)), re.IGNORECASE)
        self._viewer = viewer
        self._stranger = STRANGERS.get(language, STRANGERS["en"])
        self._passed = ""
        self._held = ""

    def push(self, delta: str) -> str:
        """Return what may go on; the start of a name waits for the rest of it."""
        if not self._names:
            return delta
        return self._release(self._held + delta, ended=False)

    def finish(self) -> str:
        """The reply has ended: return what was held back."""
        return self._release(self._held, ended=True) if self._names else ""

    def _release(self, text: str, *, ended: bool) -> str:
        self._held, out = "", ""
        while found := self._pattern.search(text):
            before, behind = text[: found.start()], text[found.end() :]
            if not ended and len(behind) < _LONGEST_AFTER and not _AFTER.match(behind):
                out += self._note(before)  # what follows decides
                self._held = text[found.start() :]
                return out
            out += self._note(before)
            end = _AFTER.match(behind) or (ended and not behind.strip())
            addressed = bool(end) and bool(_BEFORE.search(self._passed))
            if addressed and not self._viewer:
                honorific = _HONORIFIC.match(behind)
                behind = behind[honorific.end() :] if honorific else behind
            out += self._note((self._viewer or self._stranger) if addressed else found[0])
            text = behind
        if not ended:
            keep = self._partial(text)
            text, self._held = text[: len(text) - keep], text[len(text) - keep :]
        return out + self._note(text)

    def _note(self, text: str) -> str:
        self._passed = (self._passed + text)[-24:]
        return text

    def _partial(self, text: str) -> int:
        """Return how many characters at the end may be the start of a name."""
        lower = text.lower()
        return max(
            (k for name in self._names for k in range(1, len(name)) if lower.endswith(name[:k])),
            default=0,
        )
