"""Stage directions: the names the performer knows, and what models write instead of them.

Small models write `*waves happily*`, `(笑)` or `[smiles]` as readily as `[wave]`. All of these
become one cue of the performer's, and none is ever spoken.
"""

import re
from collections.abc import Collection

EXPRESSIONS = frozenset(
    {"neutral", "happy", "amused", "surprised", "sad", "annoyed", "shy", "thinking"}
)
"""Faces."""

GESTURES = frozenset(
    {"wave", "nod", "shake", "tilt", "bow", "laugh", "shrug", "point", "cheer", "think", "clap",
     "look_at_chat"}
)  # fmt: skip
"""Movements."""

CUES = EXPRESSIONS | GESTURES
"""Every name the performer knows."""

# Stem -> cue. Latin stems match at the start of a word, others anywhere in the direction.
_STEMS = {
    "happ": "happy", "smil": "happy", "grin": "happy", "beam": "happy", "joy": "happy",
    "excit": "cheer", "cheer": "cheer", "celebrat": "cheer", "jump": "cheer", "twirl": "cheer",
    "bounc": "cheer", "amus": "amused", "smirk": "amused", "teas": "amused", "wink": "amused",
    "chuckl": "laugh", "giggl": "laugh", "laugh": "laugh", "lol": "laugh", "snicker": "laugh",
    "surpris": "surprised", "gasp": "surprised", "shock": "surprised", "wow": "surprised",
    "sad": "sad", "cry": "sad", "cries": "sad", "sob": "sad", "frown": "sad", "sniff": "sad",
    "annoy": "annoyed", "angr": "annoyed", "pout": "annoyed", "glar": "annoyed",
    "huff": "annoyed", "shy": "shy", "blush": "shy", "embarrass": "shy", "flust": "shy",
    "think": "thinking", "ponder": "thinking", "curious": "thinking", "hmm": "thinking",
    "neutral": "neutral", "calm": "neutral", "wav": "wave", "nod": "nod", "shak": "shake",
    "tilt": "tilt", "bow": "bow", "shrug": "shrug", "point": "point", "clap": "clap",
    "applau": "clap", "look": "look_at_chat", "glanc": "look_at_chat", "sigh": "sad",
    "ears": "tilt", "tail": "happy", "lean": "tilt", "paus": "thinking", "whisper": "shy",
    "大笑": "laugh", "偷笑": "amused", "微笑": "happy", "笑": "laugh", "开心": "happy",
    "高兴": "happy", "嬉": "happy", "喜": "happy", "惊": "surprised", "驚": "surprised",
    "悲": "sad", "难过": "sad", "泣": "sad", "哭": "sad", "怒": "annoyed", "生气": "annoyed",
    "害羞": "shy", "照": "shy", "脸红": "shy", "思考": "thinking", "考え": "thinking",
    "挥手": "wave", "手を振": "wave", "点头": "nod", "うなず": "nod", "頷": "nod",
    "摇头": "shake", "歪头": "tilt", "首をかしげ": "tilt", "鞠躬": "bow", "お辞儀": "bow",
    "耸肩": "shrug", "鼓掌": "clap", "拍手": "clap", "ウインク": "amused", "眨眼": "amused",
}  # fmt: skip
_WORD = re.compile(r"[a-z]+")


def resolve(direction: str, own: Collection[str] = ()) -> str | None:
    """Return the performer's cue for a stage direction, or None where it knows none.

    Args:
        direction: what stood between the brackets, for instance "happy" or "waves shyly".
        own: names that this character's performer knows besides.
    """
    lowered = direction.strip().lower()
    name = re.sub(r"[\s-]+", "_", lowered)
    if name in CUES or name in own:
        return name
    words: list[str] = _WORD.findall(lowered)
    for word in words:
        if word in CUES:
            return word
        for stem, cue in _STEMS.items():
            if len(stem) > 1 and stem.isascii() and word.startswith(stem):
                return cue
    for stem, cue in _STEMS.items():
        if not stem.isascii() and stem in lowered:
            return cue
    return None


# Which face goes with which words, for replies whose first words carry no cue: a cue in front of
# the first word would cost a model four tokens, a quarter of a second, before any sound.
_MOODS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("laugh", re.compile(r"\bhaha|\bhehe|\blol\b|哈哈|嘻嘻|笑死|あはは|ふふ|えへへ|www", re.I)),
    ("sad", re.compile(
        r"\bsorry\b|\boh no\b|\bsad\b|\bmiss(?:ed)? you\b|\bpoor\b|\btough\b|抱歉|难过|可惜|辛苦|"
        r"残念|つらい|悲し|大変だ|ごめん", re.I)),
    ("surprised", re.compile(
        r"\bwow\b|\bwhoa\b|\bwhat\?!|\breally\?|\bno way\b|哇|真的吗|天哪|诶|えっ|わあ|すごい|まじ",
        re.I)),
    ("annoyed", re.compile(
        r"\bhey now\b|\brude\b|\bnope\b|\bno thanks\b|\bnot telling\b|才不|不行|讨厌|哼|だめ|やだ|"
        r"むう|失礼", re.I)),
    ("shy", re.compile(
        r"\baw+\b|\bblush|\byou'?re too kind\b|\bflatter|人家|害羞|不好意思|照れ|恥ずか|もう[、，]",
        re.I)),
    ("thinking", re.compile(
        r"\bhm+\b|\blet me (?:think|see)\b|\bnot sure\b|\bi don'?t know\b|嗯+[，…]|让我想|不知道|"
        r"不清楚|うーん|えっと|わからない|知らない", re.I)),
    ("amused", re.compile(
        r"\bsecret\b|\bmaybe\b|\bguess\b|\bsneaky\b|\btrick|\bfox(?:es|y)?\b|秘密|猜|狐狸|内緒|"
        r"秘密|当ててみ|きつね|狐", re.I)),
    ("happy", re.compile(
        r"!|！|\bwelcome\b|\bthank|\bgood\b|\bgreat\b|\blove\b|\bnice\b|欢迎|谢谢|喜欢|开心|太好了|"
        r"いらっしゃい|ようこそ|ありがとう|嬉し|好き", re.I)),
)  # fmt: skip


def mood_of(text: str) -> str | None:
    """Return the face that goes with `text`, a reply's first words, or None for no change."""
    for cue, pattern in _MOODS:
        if pattern.search(text):
            return cue
    return None
