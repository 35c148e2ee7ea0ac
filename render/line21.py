"""Captions inside the picture's own stream (CEA-608), which viewers switch on in their player.

Text is painted on word by word, each when it is said: nothing is known too late, and nothing has to
be taken back but what comes next. Two signs go with a picture, four times as fast as speech. The
standard has rows of 32 columns and Latin letters only, so blocks are laid out anew, and what is
said in Chinese or Japanese is left out. Runs on: the thread of the sink that sends.

Sources: ANSI/CTA-608-E (control codes, tables of signs, odd parity; also 47 CFR 15.119), ATSC A/53
part 4, 6.2.3 (cc_data in user data), ITU-T H.264 D.1.6 and ITU-T T.35 (the message that holds it).
"""

from collections import deque

from dialogue.ticks import TICKS_PER_S, Ticks
from render.captions import Caption

COLUMNS, ROWS = 32, 4
"""Of a block on screen; the standard allows four rows at a time."""
_LAST_ROW = 15
_KEPT = 16
"""Blocks known at a time; more are dropped, oldest first."""
_PAIRS_A_SECOND = 30
"""Of field 1; faster pictures carry one in every second."""

_PAINT, _ERASE = (0x14, 0x29), (0x14, 0x2C)
"""Resume Direct Captioning; Erase Displayed Memory."""
_PLACES = (
    (0x11, 0x40), (0x11, 0x60), (0x12, 0x40), (0x12, 0x60), (0x15, 0x40), (0x15, 0x60),
    (0x16, 0x40), (0x16, 0x60), (0x17, 0x40), (0x17, 0x60), (0x10, 0x40), (0x13, 0x40),
    (0x13, 0x60), (0x14, 0x40), (0x14, 0x60),
)  # fmt: skip
"""Preamble of rows 1 to 15, on channel 1."""
_INDENT = 0x10
"""In a preamble: white, and indented by four columns for each 2 that are added."""
_NOTHING = (0x00, 0x00)

_ODD = {"á": 0x2A, "é": 0x5C, "í": 0x5E, "ó": 0x5F, "ú": 0x60, "ç": 0x7B, "÷": 0x7C, "Ñ": 0x7D,
        "ñ": 0x7E}  # fmt: skip
"""Signs that stand where ASCII has others; those others are extended ones."""
_SPECIAL = {sign: (0x11, 0x30 + at) for at, sign in enumerate("®°½¿™¢£♪à\0èâêîôû") if sign != "\0"}
_EXTENDED = {
    sign: (first, 0x20 + at)
    for first, signs in ((0x12, "ÁÉÓÚÜü\0¡*\0—©℠•\0\0ÀÂÇÈÊËëÎÏïÔÙùÛ«»"),
                         (0x13, "ÃãÍÌìÒòÕõ{}\\^_|~ÄäÖöß¥¤¦ÅåØø\0\0\0\0"))
    for at, sign in enumerate(signs) if sign != "\0"
}  # fmt: skip
_FALLBACK = str.maketrans(
    "ÁÉÓÚÜüÀÂÇÈÊËëÎÏïÔÙùÛÃãÍÌìÒòÕõÄäÖöÅåØø", "AEOUUuAACEEEeIIiOUuUAaIIiOoOoAaOoAaOo"
)
_PLAIN = {"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "…": "...", "\u00a0": " "}
_LATIN = "\u024f"  # the last sign of Latin Extended-B

_SEI, _USER_DATA = 6, 4
_PICTURES = (1, 5)


class Line21:
    """Turns blocks into the pair of bytes that goes with each picture."""

    def __init__(self, fps: int) -> None:
        """Begin with an empty screen; `fps` is the pictures' rate."""
        self._every = max(1, round(fps / _PAIRS_A_SECOND))
        self._count = 0
        self._texts: dict[tuple[int, int, int], Caption] = {}
        self._shown: Caption | None = None
        self._queue: deque[tuple[int, int]] = deque()
        self._said = 0  # words of the block that were painted
        self._rows: list[list[str]] = []
        self._row, self._column = -1, 0

    def caption(self, caption: Caption) -> None:
        """Take a block, or a correction of one."""
        if caption.translated:
            return
        self._texts.pop(caption.key, None)
        if caption.lines and written(" ".join(caption.lines)):
            self._texts[caption.key] = caption
            if len(self._texts) > _KEPT:
                del self._texts[next(iter(self._texts))]

    def pair(self, pts: Ticks) -> tuple[int, int] | None:
        """Return the bytes that go with the picture at `pts`, or None where none do."""
        self._count += 1
        if self._count % self._every:
            return None
        if not self._queue:
            self._follow(pts)
        first, second = self._queue.popleft() if self._queue else _NOTHING
        return _odd(first), _odd(second)

    def said(self, pts: Ticks) -> bytes:
        """Return the message that goes with the picture at `pts`; b"" where none does."""
        pair = self.pair(pts)
        return message(pair) if pair is not None else b""

    def _follow(self, pts: Ticks) -> None:
        """Put into the queue what is to be seen now and is not yet."""
        for key in [c.key for c in self._texts.values() if c.stop < pts - TICKS_PER_S]:
            del self._texts[key]
        begun = [c for c in self._texts.values() if c.start <= pts < c.stop]
        newest = max(begun, key=lambda c: c.start, default=None)
        if newest is None or self._shown is None or newest.key != self._shown.key:
            if self._shown is not None:
                self._control(_ERASE)
            if newest is not None:
                self._begin(newest)
        self._shown = newest
        if newest is not None:
            words = _words(newest)
            due = sum(1 for at, _ in words if at <= pts)
            for _, word in words[self._said : due]:
                self._paint(word)
            self._said = max(self._said, due)

    def _begin(self, caption: Caption) -> None:
        """Lay out the rows of a block, as far as its words are known, and go to the first."""
        self._control(_PAINT)
        self._said, self._row, self._column = 0, -1, 0
        self._rows = _laid_out(written(" ".join(caption.lines)).split())

    def _paint(self, word: str) -> None:
        wide = self._column + bool(self._column) + len(word)
        if self._row < 0 or wide > COLUMNS:
            self._go_on()
        elif self._column:
            word = f" {word}"
        self._signs(word)
        self._column += len(word)

    def _go_on(self) -> None:
        """Go to the next row; where more is said than was laid out the screen is made empty."""
        self._row += 1
        if self._row and self._row >= len(self._rows):
            self._control(_ERASE)
            self._row, self._rows = 0, []
        first, second = _PLACES[_LAST_ROW - max(1, len(self._rows)) + self._row]
        length = len(" ".join(self._rows[self._row])) if self._rows else COLUMNS
        indent = (COLUMNS - length) // 2 // 4
        self._control((first, second | _INDENT | indent << 1))
        self._column = 0

    def _signs(self, text: str) -> None:
        held: list[int] = []
        for sign in text:
            if sign in _SPECIAL:
                self._pairs(held)
                self._control(_SPECIAL[sign])
            elif sign in _EXTENDED:  # it takes the place of the sign before it
                self._pairs([*held, *_codes(sign.translate(_FALLBACK), "?")])
                self._control(_EXTENDED[sign])
                held = []
            else:
                held += _codes(sign, "")
        self._pairs(held)

    def _pairs(self, codes: list[int]) -> None:
        """Send signs, two at a time; leaves `codes` empty."""
        for at in range(0, len(codes), 2):
            self._queue.append((codes[at], codes[at + 1] if at + 1 < len(codes) else 0))
        codes.clear()

    def _control(self, code: tuple[int, int]) -> None:
        """Send a control code, twice, as the standard wants it: one may be lost."""
        if self._queue and self._queue[-1] == code:
            # Another one of the same, not the same once more: this in between changes nothing.
            self._queue.append(_PAINT)
        self._queue += (code, code)


def written(text: str) -> str:
    """Return `text` as CEA-608 can have it; "" where it cannot (Chinese, Japanese)."""
    if any(sign.isalpha() and sign > _LATIN for sign in text):
        return ""
    plain = "".join(_PLAIN.get(sign, sign) for sign in text)
    return " ".join("".join(sign for sign in plain if _known(sign)).split())


def message(pair: tuple[int, int]) -> bytes:
    """Return the H.264 message (a NAL unit with its start code) that carries a pair of field 1."""
    # Country and provider (T.35), "GA94", cc_data with one pair, and the bit that ends the payload.
    data = b"\xb5\x00\x31GA94\x03\x41\xff\xfc" + bytes(pair) + b"\xff"
    return bytes([0, 0, 0, 1, _SEI, _USER_DATA, len(data)]) + data + b"\x80"


def with_message(packet: bytes, said: bytes) -> bytes:
    """Return a picture (Annex B) with the message before its first slice, where it belongs."""
    at = 0
    while (at := packet.find(b"\0\0\1", at)) >= 0:
        if packet[at + 3] & 31 in _PICTURES:
            if at and not packet[at - 1]:
                at -= 1  # the start code has four bytes
            return packet[:at] + said + packet[at:]
        at += 3
    return packet


def _words(caption: Caption) -> list[tuple[Ticks, str]]:
    """Return the words as they can be written, and when each is said."""
    found = []
    for index, (at, line, char) in enumerate(caption.words):
        following = caption.words[index + 1][1:] if index + 1 < len(caption.words) else (-1, 0)
        text = caption.lines[line] if line < len(caption.lines) else ""
        end = following[1] if following[0] == line else len(text)
        found += [(at, part) for part in written(text[char:end]).split()]
    if not caption.words:
        found = [(caption.start, word) for word in written(" ".join(caption.lines)).split()]
    return [(at, word[i : i + COLUMNS]) for at, word in found for i in range(0, len(word), COLUMNS)]


def _laid_out(words: list[str]) -> list[list[str]]:
    rows: list[list[str]] = []
    for word in words:
        if rows and len(" ".join([*rows[-1], word])) <= COLUMNS:
            rows[-1].append(word)
        elif len(rows) < ROWS:
            rows.append([word])
        else:
            break
    return rows


def _codes(sign: str, otherwise: str) -> list[int]:
    """Return the code of a sign of the basic set."""
    if sign in _ODD:
        return [_ODD[sign]]
    return [ord(sign)] if _basic(sign) else [ord(one) for one in otherwise]


def _basic(sign: str) -> bool:
    return " " <= sign <= "z" and sign not in "*\\^_`"


def _known(sign: str) -> bool:
    return sign.isspace() or _basic(sign) or sign in _ODD or sign in _SPECIAL or sign in _EXTENDED


def _odd(code: int) -> int:
    """Return seven bits with the eighth that makes their number odd."""
    return code | (0 if code.bit_count() % 2 else 0x80)
