"""Phonemes to mouth shapes: English, Chinese, Japanese, and any other IPA letter by its features.

Three notations are read: IPA (with misaki's one-letter diphthongs, espeak's and Piper's marks,
Chinese tones), the romaji of pyopenjtalk, and ARPABET. A phoneme becomes one target or several in
a row (a diphthong has two), each a blend of the 15 visemes. The grouping of sounds follows the
OpenXR/Meta viseme chart; lip rounding, jaw height and reach are set from phonetic features
(Ladefoged and Johnson, A Course in Phonetics, chapters 2, 4 and 9).
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

Notation = Literal["ipa", "romaji", "arpabet"]


@dataclass(frozen=True, slots=True)
class Sound:
    """How a kind of sound moves the mouth."""

    shape: Mapping[str, float]
    """Viseme -> weight at full voice; what is missing to 1 stays closed."""
    dominance: float
    """How strongly it asserts itself against its neighbours; 1 is a plain vowel."""
    rise_ms: float
    """How far ahead of it the lips and jaw begin to move."""
    fall_ms: float
    """How long its trace lasts after it."""
    vowel: bool = False
    """True when loudness opens it."""
    closure: str = ""
    """"PP" or "FF" where the lips must close or touch the teeth."""
    voiced_through: bool = False
    """True when the closure lasts as long as the sound (m), not only its first part (p, b)."""


@dataclass(frozen=True, slots=True)
class Target:
    """A sound's part of its phoneme's time."""

    sound: Sound
    """What the mouth does."""
    share: float
    """Of the phoneme's length; the shares of a phoneme sum to 1."""


def _vowel(rise: float, fall: float, dominance: float, **shape: float) -> Sound:
    return Sound(MappingProxyType(shape), dominance, rise, fall, vowel=True)


def _consonant(dominance: float, rise: float, fall: float, **shape: float) -> Sound:
    return Sound(MappingProxyType(shape), dominance, rise, fall)


_PP = MappingProxyType({"PP": 1.0})
_FF = MappingProxyType({"FF": 1.0})

SOUNDS: Mapping[str, Sound] = MappingProxyType({
    # Vowels. Rounded ones begin early: rounding spreads over the consonants before (Lubker and
    # Gay 1982, JASA 71:437).
    "open": _vowel(100, 110, 1.0, aa=1.0),
    "open front": _vowel(95, 105, 1.0, aa=0.62, E=0.38),
    "open-mid back": _vowel(95, 105, 0.95, aa=0.72, E=0.18),
    "open rounded": _vowel(120, 110, 1.05, oh=0.65, aa=0.35),
    "mid front": _vowel(90, 100, 1.0, E=1.0),
    "close-mid front": _vowel(90, 100, 1.0, E=0.66, ih=0.34),
    "close front": _vowel(90, 100, 1.0, ih=1.0),
    "lax front": _vowel(85, 95, 0.9, ih=0.72, E=0.2),
    "central": _vowel(75, 85, 0.55, E=0.5, ih=0.15, aa=0.1),
    "mid-open central": _vowel(85, 95, 0.8, aa=0.42, E=0.36),
    "rhotic": _vowel(95, 100, 0.9, RR=0.6, E=0.3),
    "mid rounded": _vowel(135, 110, 1.1, oh=1.0),
    "close-mid rounded": _vowel(140, 112, 1.1, oh=0.72, ou=0.28),
    "close rounded": _vowel(150, 115, 1.2, ou=1.0),
    "lax rounded": _vowel(130, 105, 1.05, ou=0.66, oh=0.2),
    "front rounded": _vowel(150, 112, 1.15, ou=0.78, ih=0.22),
    "front mid rounded": _vowel(140, 110, 1.1, oh=0.5, ou=0.3, E=0.2),
    "close back unrounded": _vowel(100, 100, 0.85, ih=0.42, ou=0.36),
    "mid back unrounded": _vowel(90, 100, 0.9, E=0.6, oh=0.15, aa=0.1),
    "apical": _vowel(90, 95, 0.9, ih=0.52, SS=0.36),
    # Devoiced: the lips take their place, but hardly open.
    "devoiced spread": _vowel(80, 80, 0.6, ih=0.42),
    "devoiced rounded": _vowel(110, 90, 0.7, ou=0.42, ih=0.08),
    "devoiced open": _vowel(80, 85, 0.6, E=0.25, aa=0.2),
    # Consonants: the lips belong to the neighbours unless the sound needs them.
    "bilabial stop": Sound(_PP, 0.6, 70, 75, closure="PP"),
    "bilabial nasal": Sound(_PP, 0.6, 70, 75, closure="PP", voiced_through=True),
    "bilabial narrow": _consonant(1.1, 100, 80, ou=0.58),
    "labiodental": Sound(_FF, 0.6, 65, 70, closure="FF", voiced_through=True),
    "dental": _consonant(1.3, 75, 80, TH=1.0),
    "alveolar stop": _consonant(1.0, 75, 75, DD=1.0),
    "tap": _consonant(0.6, 60, 60, DD=0.6, nn=0.4),
    "alveolar hiss": _consonant(1.25, 80, 85, SS=1.0),
    "lateral": _consonant(0.9, 75, 80, nn=1.0),
    "nasal": _consonant(0.9, 75, 80, nn=1.0),
    "postalveolar": _consonant(1.3, 120, 90, CH=1.0),
    "alveolopalatal": _consonant(1.2, 90, 85, CH=0.5, SS=0.35, ih=0.15),
    "r": _consonant(1.0, 110, 90, RR=1.0),
    "trill": _consonant(0.8, 75, 75, RR=0.4, DD=0.6),
    "palatal glide": _consonant(0.9, 85, 85, ih=0.9),
    "labial glide": _consonant(1.25, 140, 90, ou=1.0),
    "palatal": _consonant(0.8, 80, 80, kk=0.5, ih=0.4),
    "velar": _consonant(0.65, 75, 80, kk=1.0),
    "breath": _consonant(0.35, 75, 75, E=0.45, aa=0.2),
    "hold": _consonant(0.35, 70, 70, nn=0.3),
})  # fmt: skip
"""Every kind of sound by name."""

_IPA_LETTERS = {
    # close vowels
    "i": "close front", "ɪ": "lax front", "y": "front rounded", "ʏ": "front rounded",
    "ɨ": "apical", "ᵻ": "lax front", "ʉ": "close rounded", "ɯ": "close back unrounded",
    "u": "close rounded", "ʊ": "lax rounded", "ᵝ": "",
    # mid vowels
    "e": "close-mid front", "ø": "front mid rounded", "ɘ": "central", "ɵ": "lax rounded",
    "ɤ": "mid back unrounded", "o": "close-mid rounded", "ə": "central", "ᵊ": "central",
    "ɛ": "mid front", "ε": "mid front", "œ": "front mid rounded", "ɜ": "rhotic",
    "ɞ": "front mid rounded", "ʌ": "open-mid back", "ɔ": "mid rounded", "ɚ": "rhotic",
    "ɝ": "rhotic",
    # open vowels
    "æ": "open front", "ɐ": "mid-open central", "a": "open", "ɶ": "open rounded", "ɑ": "open",
    "ɒ": "open rounded",
    # lips
    "p": "bilabial stop", "b": "bilabial stop", "ɓ": "bilabial stop", "ʘ": "bilabial stop",
    "m": "bilabial nasal", "ʙ": "bilabial nasal", "ɸ": "bilabial narrow",
    "β": "bilabial narrow", "f": "labiodental", "v": "labiodental", "ʋ": "labiodental",
    "ⱱ": "labiodental", "ɱ": "labiodental",
    # tongue tip
    "θ": "dental", "ð": "dental", "t": "alveolar stop", "d": "alveolar stop",
    "ɗ": "alveolar stop", "ǀ": "dental", "ǃ": "alveolar stop", "ǂ": "palatal",
    "ǁ": "lateral", "n": "nasal", "ɳ": "nasal", "l": "lateral", "ɫ": "lateral", "ɭ": "lateral",
    "ɮ": "lateral", "ɬ": "lateral", "ʟ": "velar", "ɾ": "tap", "ɽ": "tap", "ɺ": "tap",
    "r": "trill", "ɹ": "r", "ɻ": "r", "s": "alveolar hiss", "z": "alveolar hiss",
    "ʦ": "alveolar hiss", "ʣ": "alveolar hiss", "c": "palatal", "ɟ": "palatal",
    "ʈ": "alveolar stop", "ɖ": "alveolar stop",
    # behind the teeth ridge
    "ʃ": "postalveolar", "ʒ": "postalveolar", "ʧ": "postalveolar", "ʤ": "postalveolar",
    "ʂ": "postalveolar", "ʐ": "postalveolar", "ꭧ": "postalveolar", "ꭦ": "postalveolar",
    "ɧ": "postalveolar", "ɕ": "alveolopalatal", "ʑ": "alveolopalatal", "ʨ": "alveolopalatal",
    "ʥ": "alveolopalatal", "ç": "palatal", "ʝ": "palatal", "ɲ": "palatal", "ʎ": "palatal",
    "ʄ": "palatal",
    # back of the tongue, throat
    "k": "velar", "ɡ": "velar", "g": "velar", "ɠ": "velar", "ŋ": "velar", "x": "velar",
    "ɣ": "velar", "ɰ": "velar", "q": "velar", "ɢ": "velar", "ʛ": "velar", "ɴ": "velar",
    "χ": "velar", "ʁ": "velar", "ʀ": "velar", "h": "breath", "ɦ": "breath", "ħ": "breath",
    "ʕ": "breath", "ʜ": "breath", "ʢ": "breath", "ʔ": "hold", "ʡ": "hold",
    # glides
    "j": "palatal glide", "ɥ": "front rounded", "w": "labial glide", "ʍ": "labial glide",
}  # fmt: skip

_IPA_GROUPS: Mapping[str, tuple[tuple[str, float], ...]] = {
    # misaki's one-letter diphthongs
    "A": (("mid front", 0.55), ("lax front", 0.45)),
    "I": (("open", 0.6), ("lax front", 0.4)),
    "O": (("mid rounded", 0.5), ("close rounded", 0.5)),
    "Q": (("central", 0.4), ("lax rounded", 0.6)),
    "W": (("open", 0.58), ("lax rounded", 0.42)),
    "Y": (("mid rounded", 0.58), ("lax front", 0.42)),
    "S": (("postalveolar", 1.0),),  # a Kokoro token beside ʃ
    "T": (("tap", 1.0),),  # misaki's flap
    "R": (("rhotic", 1.0),),  # erhua in misaki's Chinese
    # spelt-out diphthongs: the first part is longer
    **{
        first + second: ((_IPA_LETTERS[first], 0.58), (_IPA_LETTERS[second], 0.42))
        for first in "aɑæɛeəɔoɒʌɐ"
        for second in "ɪiʊu"
    },
    "ju": (("palatal glide", 0.35), ("close rounded", 0.65)),
    # affricates are one gesture
    "tʃ": (("postalveolar", 1.0),), "dʒ": (("postalveolar", 1.0),),
    "ts": (("alveolar hiss", 1.0),), "dz": (("alveolar hiss", 1.0),),
    "tɕ": (("alveolopalatal", 1.0),), "dʑ": (("alveolopalatal", 1.0),),
    "tʂ": (("postalveolar", 1.0),), "dʐ": (("postalveolar", 1.0),),
    "ʈʂ": (("postalveolar", 1.0),), "ɖʐ": (("postalveolar", 1.0),),
    # syllabic consonants of Chinese (shi, si)
    "ɻ̩": (("apical", 1.0),), "ɹ̩": (("apical", 1.0),), "ʐ̩": (("apical", 1.0),),
    "z̩": (("apical", 1.0),),
    # palatalised letters of misaki's Japanese
    "ᶀ": (("bilabial stop", 0.86), ("palatal glide", 0.14)),
    "ᶁ": (("alveolar stop", 0.7), ("palatal glide", 0.3)),
    "ᶃ": (("velar", 0.6), ("palatal glide", 0.4)),
    "ᶄ": (("velar", 0.6), ("palatal glide", 0.4)),
    "ᶆ": (("bilabial nasal", 0.86), ("palatal glide", 0.14)),
    "ᶈ": (("bilabial stop", 0.86), ("palatal glide", 0.14)),
    "ᶉ": (("tap", 0.6), ("palatal glide", 0.4)),
    "ƫ": (("alveolar stop", 0.7), ("palatal glide", 0.3)),
    "K": (("velar", 0.5), ("labial glide", 0.5)),
    "G": (("velar", 0.5), ("labial glide", 0.5)),
    # bopomofo and the syllable letters of misaki's newer Chinese front end
    **{letter: ((_IPA_LETTERS[ipa], 1.0),) for letter, ipa in zip(
        "ㄅㄆㄇㄈㄉㄊㄋㄌㄍㄎㄏㄐㄑㄒㄓㄔㄕㄖㄗㄘㄙ", "ppmfttnlkkxʨʨɕꭧꭧʂʐʦʦs", strict=True)},
    **{letter: ((_IPA_LETTERS[ipa], 1.0),) for letter, ipa in zip(
        "ㄚㄛㄜㄝㄧㄨㄩㄦㄭ十", "aoɤɛiuyɚɨɨ", strict=True)},
    "ㄞ": (("open", 0.58), ("lax front", 0.42)),
    "ㄟ": (("close-mid front", 0.58), ("lax front", 0.42)),
    "ㄠ": (("open", 0.58), ("lax rounded", 0.42)),
    "ㄡ": (("close-mid rounded", 0.55), ("close rounded", 0.45)),
    "ㄢ": (("open", 0.65), ("nasal", 0.35)), "ㄣ": (("central", 0.6), ("nasal", 0.4)),
    "ㄤ": (("open", 0.65), ("velar", 0.35)), "ㄥ": (("central", 0.6), ("velar", 0.4)),
    "月": (("front rounded", 0.4), ("mid front", 0.6)),
    "压": (("palatal glide", 0.3), ("open", 0.7)),
    "言": (("palatal glide", 0.25), ("mid front", 0.45), ("nasal", 0.3)),
    "阳": (("palatal glide", 0.25), ("open", 0.45), ("velar", 0.3)),
    "要": (("palatal glide", 0.25), ("open", 0.4), ("lax rounded", 0.35)),
    "阴": (("close front", 0.6), ("nasal", 0.4)), "应": (("close front", 0.6), ("velar", 0.4)),
    "用": (("palatal glide", 0.3), ("lax rounded", 0.4), ("velar", 0.3)),
    "又": (("palatal glide", 0.3), ("close-mid rounded", 0.35), ("close rounded", 0.35)),
    "中": (("lax rounded", 0.6), ("velar", 0.4)),
    "穵": (("labial glide", 0.35), ("open", 0.65)),
    "外": (("labial glide", 0.3), ("open", 0.4), ("lax front", 0.3)),
    "万": (("labial glide", 0.3), ("open", 0.4), ("nasal", 0.3)),
    "王": (("labial glide", 0.3), ("open", 0.4), ("velar", 0.3)),
    "为": (("labial glide", 0.35), ("close-mid front", 0.35), ("lax front", 0.3)),
    "文": (("labial glide", 0.35), ("central", 0.35), ("nasal", 0.3)),
    "瓮": (("labial glide", 0.35), ("central", 0.35), ("velar", 0.3)),
    "我": (("labial glide", 0.35), ("close-mid rounded", 0.65)),
    "元": (("front rounded", 0.35), ("mid front", 0.4), ("nasal", 0.25)),
    "云": (("front rounded", 0.6), ("nasal", 0.4)),
}  # fmt: skip

_ROMAJI: Mapping[str, tuple[tuple[str, float], ...]] = {
    **{c: ((kind, 1.0),) for c, kind in {
        "a": "open", "i": "close front", "u": "close back unrounded", "e": "mid front",
        "o": "mid rounded", "A": "devoiced open", "I": "devoiced spread",
        "U": "devoiced rounded", "E": "devoiced open", "O": "devoiced rounded", "N": "velar",
        "cl": "hold", "q": "hold", "Q": "hold", "k": "velar", "g": "velar", "s": "alveolar hiss",
        "z": "alveolar hiss", "t": "alveolar stop", "d": "alveolar stop", "n": "nasal",
        "h": "breath", "f": "bilabial narrow", "v": "labiodental", "b": "bilabial stop",
        "p": "bilabial stop", "m": "bilabial nasal", "y": "palatal glide", "r": "tap",
        "w": "labial glide", "j": "alveolopalatal", "sh": "alveolopalatal",
        "ch": "alveolopalatal", "ts": "alveolar hiss", "hy": "palatal", "ny": "palatal",
    }.items()},
    **{c + "y": ((kind, 0.65), ("palatal glide", 0.35)) for c, kind in {
        "k": "velar", "g": "velar", "r": "tap", "t": "alveolar stop", "d": "alveolar stop",
        "f": "bilabial narrow",
    }.items()},
    **{c + "y": ((kind, 0.86), ("palatal glide", 0.14)) for c, kind in {
        "b": "bilabial stop", "p": "bilabial stop", "m": "bilabial nasal", "v": "labiodental",
    }.items()},
    "kw": (("velar", 0.5), ("labial glide", 0.5)),
    "gw": (("velar", 0.5), ("labial glide", 0.5)),
    "pau": (), "sil": (),
}  # fmt: skip

_ARPABET: Mapping[str, tuple[tuple[str, float], ...]] = {
    **{c: ((kind, 1.0),) for c, kind in {
        "AA": "open", "AE": "open front", "AH": "open-mid back", "AO": "mid rounded",
        "AX": "central", "AXR": "rhotic", "EH": "mid front", "ER": "rhotic", "IH": "lax front",
        "IX": "lax front", "IY": "close front", "UH": "lax rounded", "UW": "close rounded",
        "UX": "close rounded", "B": "bilabial stop", "CH": "postalveolar", "D": "alveolar stop",
        "DH": "dental", "DX": "tap", "EL": "lateral", "EM": "bilabial nasal", "EN": "nasal",
        "F": "labiodental", "G": "velar", "HH": "breath", "H": "breath", "JH": "postalveolar",
        "K": "velar", "L": "lateral", "M": "bilabial nasal", "N": "nasal", "NG": "velar",
        "NX": "tap", "P": "bilabial stop", "Q": "hold", "R": "r", "S": "alveolar hiss",
        "SH": "postalveolar", "T": "alveolar stop", "TH": "dental", "V": "labiodental",
        "W": "labial glide", "WH": "labial glide", "Y": "palatal glide", "Z": "alveolar hiss",
        "ZH": "postalveolar",
    }.items()},
    "AW": (("open", 0.58), ("lax rounded", 0.42)),
    "AY": (("open", 0.6), ("lax front", 0.4)),
    "EY": (("mid front", 0.55), ("lax front", 0.45)),
    "OW": (("mid rounded", 0.5), ("close rounded", 0.5)),
    "OY": (("mid rounded", 0.58), ("lax front", 0.42)),
    "SIL": (), "SP": (), "PAU": (),
}  # fmt: skip

_ONLY_ROMAJI = frozenset(
    "N cl pau ky gy ny hy by my py ry sh ch ty dy kw gw U E".split()
)  # never IPA, nor ARPABET's two capitals
_ARPABET_ONLY = re.compile(r"(?:[A-Z]{2,3}|[AEIOU][A-Z])[0-2]?")
_VOICELESS = "\u0325\u030a"
_PALATAL = "ʲ"
_SYLLABIC = "\u0329"
_NASAL = "\u0303"


def notation(phonemes: Iterable[str]) -> Notation:
    """Return which notation the phonemes of an utterance are written in."""
    for phoneme in phonemes:
        if phoneme in _ONLY_ROMAJI:
            return "romaji"
        if _ARPABET_ONLY.fullmatch(phoneme):
            return "arpabet"
    return "ipa"


def is_pause(phoneme: str) -> bool:
    """Return True for a pause: no letter in it, or a word for silence."""
    if phoneme.lower() in ("pau", "sil", "sp", "^", "$", "#"):
        return True
    return not any(c.isalpha() and unicodedata.category(c) != "Lm" for c in phoneme)


def is_mark(phoneme: str) -> bool:
    """Return True for a span that is only a mark (stress, length, tone) of its neighbour."""
    return bool(phoneme) and all(
        c in "_ˈˌ↓→↗↘" or unicodedata.category(c) in ("Lm", "Mn", "Sk") for c in phoneme
    )


@lru_cache(maxsize=4096)
def targets(phoneme: str, written: Notation = "ipa") -> tuple[Target, ...]:
    """Return what the mouth does for a phoneme, in order; empty for a pause.

    Args:
        phoneme: a symbol with or without marks, or several symbols that share one span.
        written: its notation.
    """
    if is_pause(phoneme):
        return ()
    if written == "romaji" and phoneme in _ROMAJI:
        return _targets(_ROMAJI[phoneme])
    if written == "arpabet":
        bare = phoneme.rstrip("012").upper()
        if bare in _ARPABET:
            if bare == "AH" and phoneme.endswith("0"):
                return _targets((("central", 1.0),))
            return _targets(_ARPABET[bare])
    return _targets(_parse_ipa(phoneme))


def _targets(parts: Iterable[tuple[str, float]]) -> tuple[Target, ...]:
    kept = [(kind, share) for kind, share in parts if kind]
    total = sum(share for _, share in kept)
    return tuple(Target(SOUNDS[kind], share / total) for kind, share in kept)


_DEVOICED = {
    "close front": "devoiced spread", "lax front": "devoiced spread",
    "apical": "devoiced rounded", "close back unrounded": "devoiced rounded",
    "close rounded": "devoiced rounded", "mid rounded": "devoiced rounded",
    "close-mid rounded": "devoiced rounded",
}  # fmt: skip


def _parse_ipa(phoneme: str) -> list[tuple[str, float]]:
    """Split a run of IPA letters and marks into kinds of sound with their shares of time."""
    text = unicodedata.normalize("NFD", phoneme.replace("ç", "\ue000"))
    text = text.replace("\u0361", "").replace("\u035c", "").replace("^", "")  # ties
    text = text.replace("\u032f", "")  # non-syllabic: the second half of a diphthong
    parts: list[tuple[str, float]] = []
    i = 0
    while i < len(text):
        mark = text[i]
        if parts and (mark in _VOICELESS):
            kind, share = parts[-1]
            if SOUNDS[kind].vowel:
                parts[-1] = (_DEVOICED.get(kind, "devoiced open"), share)
        elif parts and mark == _PALATAL:
            if not SOUNDS[parts[-1][0]].closure:  # shut lips show no tongue
                parts.append(("palatal glide", 0.35))
        elif parts and mark in "ːˑ":
            parts[-1] = (parts[-1][0], parts[-1][1] * 1.4)
        elif parts and mark == "ʷ":
            parts.append(("labial glide", 0.5))
        elif parts and mark == "˞":
            parts[-1] = ("rhotic", parts[-1][1])
        else:
            step, found = _match(text, i)
            parts.extend(found)
            i += step
            continue
        i += 1
    return parts or [("hold", 1.0)]


def _match(text: str, i: int) -> tuple[int, list[tuple[str, float]]]:
    """Return how many characters the sound at `text[i]` takes, and its parts."""
    for length in (2, 1):
        piece = text[i : i + length]
        if len(piece) == length and piece in _IPA_GROUPS:
            return length, list(_IPA_GROUPS[piece])
    letter = text[i].replace("\ue000", "ç")
    if letter in _IPA_LETTERS:
        kind = _IPA_LETTERS[letter]
        return 1, [(kind, 1.0)] if kind else []
    return 1, _by_feature(letter)


_NAMED = (
    ("SCHWA", "central"), ("ALPHA", "open"), ("UPSILON", "close rounded"),
    ("BILABIAL", "bilabial stop"), ("ESH", "postalveolar"), ("EZH", "postalveolar"),
    ("ENG", "velar"), ("ETH", "dental"), ("THETA", "dental"), ("THORN", "dental"),
    ("BETA", "bilabial narrow"), ("PHI", "bilabial narrow"), ("CHI", "velar"),
    ("GAMMA", "velar"), ("CLICK", "alveolar stop"), ("GLOTTAL", "hold"),
    ("PHARYNGEAL", "breath"),
)  # fmt: skip
_LATIN = {
    "a": "open", "e": "mid front", "i": "close front", "o": "mid rounded", "u": "close rounded",
    "y": "palatal glide", "c": "velar", "j": "palatal glide", "q": "velar", "r": "r",
    "w": "labial glide", "x": "velar",
}  # fmt: skip


def _by_feature(letter: str) -> list[tuple[str, float]]:
    """Return the nearest kind of sound for a letter that no table has.

    Marks without a letter give nothing. A letter goes by its Unicode name, which tells the base
    letter or the place of articulation; a letter of another script opens the mouth a little.
    """
    category = unicodedata.category(letter)
    if not category.startswith("L") or category == "Lm":
        return []
    name = unicodedata.name(letter, "")
    for word, kind in _NAMED:
        if word in name:
            return [(kind, 1.0)]
    found = re.search(r"LETTER (?:SMALL |CAPITAL |REVERSED |TURNED |OPEN )*([A-Z])\b", name)
    if found and name.startswith(("LATIN", "MODIFIER")):
        base = found[1].lower()
        return [(_LATIN.get(base) or _IPA_LETTERS.get(base, "central"), 1.0)]
    return [("central", 1.0)]
