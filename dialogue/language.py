"""Which language a chat line is in: English, Chinese or Japanese, from script and small words.

Chat lines are short, so statistics have little to hold on to; script decides most of them, and a
hint (what the same person wrote before) decides the rest.
"""

import re
import unicodedata
from collections.abc import Collection

_KANA = re.compile(r"[\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fd-\u30ff\uff66-\uff9d]")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3005]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f]{2,}")

# Characters that only one of the two languages uses today: simplified forms and Chinese function
# words on one side, Japan's post-war forms and words on the other.
_CHINESE = frozenset(
    "你您们吗呢吧啊呀哦哪谁啥怎么这那的很没还给让说话谢请问师觉爱见对时为会来个买卖书东车马鸟鱼门间"
    "开关长电语读写听学习经过边远进运动热题头发现实听欢应该认识讲谈试钱铁银钟错难风飞饭饮馆样"
)
_JAPANESE = frozenset("円気駅図広発売読続帰択沢浜桜楽変応対実験済総単労働込畑峠辻枠匂々")
_JAPANESE_WORDS = re.compile(
    "大丈夫|今日|明日|昨日|元気|最高|可愛|了解|残念|面白|勉強|仕事|天気|配信|初見|乙|本当|何時|何歳|"
    "誕生日|好物|趣味|自己紹介|一緒|電話|映画|料理|感謝|応援|正解|無理|意味不明|草"
)
_CHINESE_WORDS = re.compile(
    "什么|怎样|晚上好|早上好|下午好|主播|哈哈|多少|可以|喜欢|不是|是不是|有没有|为什么|知道|天气怎|加油|"
    "今天|明天|昨天|名字|生日快|再见|好看|厉害|可爱|唱歌|聊天|晚安|早安|我"
)
_NET_JAPANESE = re.compile(r"^(?:[wｗ]{2,}|草+|8{4,}|[８]{3,}|乙+|kwsk)$")
_NET_CHINESE = re.compile(r"^(?:6{2,}|2333+|520|1314|hhh+|xswl|yyds|awsl)$", re.IGNORECASE)


def is_han(character: str) -> bool:
    """Say whether `character` is a Chinese character."""
    return _HAN.match(character) is not None


def is_kana(character: str) -> bool:
    """Say whether `character` is hiragana or katakana."""
    return _KANA.match(character) is not None


def is_cjk(character: str) -> bool:
    """Say whether `character` is a Chinese character or kana."""
    return is_han(character) or is_kana(character)


def is_emoji(character: str) -> bool:
    """Say whether `character` is an emoji, a part of one, or a dingbat."""
    point = ord(character)
    return (
        0x1F000 <= point <= 0x1FAFF
        or 0x2600 <= point <= 0x27BF
        or 0x2B00 <= point <= 0x2BFF
        or point in (0x200D, 0xFE0F, 0x20E3, 0x2764)
        or 0xE0020 <= point <= 0xE007F
    )


def counts(text: str) -> tuple[int, int, int]:
    """Return how many Chinese characters, kana and Latin letters `text` has."""
    return len(_HAN.findall(text)), len(_KANA.findall(text)), len(_LATIN.findall(text))


def detect(text: str, known: Collection[str] = ("en", "zh", "ja"), hint: str | None = None) -> str:
    """Return the language in which `text` is best answered.

    Args:
        text: a chat line.
        known: ISO 639-1 codes to choose from, the preferred one first. A line in a language
            that is not among them is answered in English where that is known, else in the first.
        hint: what the same author used last; decides lines without words ("!!", "888", an emoji)
            and Chinese characters that either language could have written.

    Returns:
        A member of `known`.
    """
    order = tuple(known)
    fallback = "en" if "en" in order else order[0]
    found = _guess(unicodedata.normalize("NFC", text), hint if hint in order else None)
    if found is None:
        return hint if hint in order and hint is not None else order[0]
    return found if found in order else fallback


def _guess(text: str, hint: str | None) -> str | None:
    bare = re.sub(r"\s+", "", text)
    if _NET_JAPANESE.match(bare):
        return "ja"
    if _NET_CHINESE.match(bare):
        return "zh"
    han, kana, latin = counts(text)
    words = len(_LATIN_WORD.findall(text))
    if kana and (kana + han) * 2 >= words:
        return "ja"
    if han:
        if words > han:  # a name or a quotation inside an English line
            return "en"
        return _chinese_or_japanese(text, hint)
    if latin:
        return "en"
    if any(c.isalpha() for c in text):
        return "other"
    return None


def _chinese_or_japanese(text: str, hint: str | None) -> str:
    chinese = sum(c in _CHINESE for c in text) + 2 * len(_CHINESE_WORDS.findall(text))
    japanese = sum(c in _JAPANESE for c in text) + 2 * len(_JAPANESE_WORDS.findall(text))
    if chinese != japanese:
        return "zh" if chinese > japanese else "ja"
    return "ja" if hint == "ja" else "zh"
