from pathlib import Path

import pytest

from dialogue.character import Character
from dialogue.guard import Budget, Guard
from tests.dialogue.characters import momo


@pytest.fixture
def character(tmp_path: Path) -> Character:
    return momo(tmp_path)


def feed(guard: Guard, text: str, step: int = 3) -> str:
    out = "".join(guard.push(text[i : i + step]) for i in range(0, len(text), step))
    return out + guard.finish()


@pytest.mark.parametrize(
    ("language", "reply"),
    [
        ("en", "Hi Ann! [wave] The trees say 3.5 plums is plenty, don't they?"),
        ("en", 'Well, "maybe"... who knows! 😊'),
        ("en", "<3 you too, Ann # one fan!"),
        ("zh", "你好Ann！[wave]树上有七个桃子，来一个吧？"),
        ("ja", "こんにちは！[nod]桃はいかが？甘いよ。"),
        ("en", "Ha ha ha, stop it!"),
        ("zh", "哈哈哈哈，太好笑了！"),
    ],
)
@pytest.mark.parametrize("step", [1, 2, 7, 100])
def test_a_fit_reply_passes_whole(
    character: Character, language: str, reply: str, step: int
) -> None:
    guard = Guard(character, language)
    assert feed(guard, reply, step) == reply
    assert guard.stopped is None
    assert guard.passed == reply


@pytest.mark.parametrize(
    ("language", "reply", "kept", "reason"),
    [
        ("en", "Hi there! <|im_end|> more", "Hi there! ", "leak"),
        ("en", "Hi there!\nUser: and you?", "Hi there!", "leak"),
        ("en", "User: hello", "", "leak"),
        ("en", "Sure! You are Momo, a peach spirit who tends a small orchard by the sea.",
         "Sure!", "leak"),
        ("zh", "好的！你是桃桃，一位守着海边小果园的桃子精灵，黄昏时对着树哼歌。",
         "好的！", "leak"),
        ("ja", "雨だね。お茶目に、夜ふけの友だちのように。", "雨だね。", "leak"),
        ("en", "Ok! One or two short spoken sentences, at most.", "Ok!", "leak"),
        ("en", "Oh! As an AI language model I cannot.", "Oh!", "machine"),
        ("zh", "嗯。我是一个人工智能助手。", "嗯。", "machine"),
        ("ja", "うん。私はAIアシスタントです。", "うん。", "machine"),
        ("en", "No! I'm not an AI, silly.", "No!", "claims to be human"),
        ("zh", "当然！我是真人哦。", "当然！", "claims to be human"),
        ("ja", "いや！AIじゃないよ。", "いや！", "claims to be human"),
        ("en", "Yes! 我们今天去哪里玩呢", "Yes!", "language"),
        ("zh", "好啊！これはどうでしょう", "好啊！", "language"),
        ("ja", "そうだね。我们今天晚上一起去那里玩吧好不好", "そうだね。", "language"),
        ("en", "We dance and dance and dance and dance and dance again.", "", "loop"),
        ("zh", "来吧。一起唱歌一起唱歌一起唱歌一起唱歌", "来吧。", "loop"),
        ("en", "I love plums dearly. I love plums dearly.", "I love plums dearly.", "repeat"),
        ("en", "Ha! I am nineteen years old.", "Ha!", "invented age"),
        ("zh", "嘿！我今年19岁了。", "嘿！", "invented age"),
        ("ja", "えっと！19歳です。", "えっと！", "invented age"),
        ("en", "Well! I was born in March, 1954.", "Well!", "invented age"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("step", [1, 5])
def test_an_unfit_reply_is_stopped_after_its_last_good_sentence(
    character: Character, language: str, reply: str, kept: str, reason: str, step: int
) -> None:
    from dialogue.messages import ReplyChunk
    from dialogue.sentences import Splitter

    guard = Guard(character, language)
    splitter = Splitter(1, language)
    said = splitter.push(ReplyChunk(1, feed(guard, reply, step)))
    said += splitter.cut()
    assert guard.stopped == reason
    assert "".join("".join(u.text.split()) for u in said).startswith("".join(kept.split()))
    assert len(said[-1].text) <= len(kept) or not kept
    assert guard.push("more") == ""
    assert guard.finish() == ""


def test_a_known_number_may_be_said(character: Character) -> None:
    guard = Guard(character, "en", given=["I turned 20 years old today"])
    assert feed(guard, "20 years old, wow!") == "20 years old, wow!"


def test_a_recent_reply_is_not_said_again(character: Character) -> None:
    guard = Guard(character, "en", recent=["Mind the ladder please! [wave] Bye."])
    assert feed(guard, "Oh! Mind the ladder, please!") == "Oh! Mind the ladder, please"
    assert guard.stopped == "repeat"


def test_short_words_may_be_said_again(character: Character) -> None:
    guard = Guard(character, "en", recent=["Thank you!"])
    assert feed(guard, "Thank you!") == "Thank you!"


def test_the_budget_ends_at_a_sentence(character: Character) -> None:
    guard = Guard(character, "en", budget=Budget(2, 50))
    assert feed(guard, 'One here. "Two here!" [nod] Three here.') == 'One here. "Two here!" [nod] '
    assert guard.stopped == "budget"
    assert guard.clean_end


def test_an_endless_sentence_is_stopped(character: Character) -> None:
    guard = Guard(character, "en", budget=Budget(3, 10))
    out = feed(guard, "one " + " ".join(f"word{i}" for i in range(60)))
    assert guard.stopped == "budget"
    assert len(out.split()) <= 16
    assert not guard.clean_end


def test_a_sentence_cut_by_the_token_limit_is_left_out_when_another_was_whole(
    character: Character,
) -> None:
    guard = Guard(character, "en")
    feed(guard, "I like it. And then the other")
    assert guard.stopped == "unfinished"
    alone = Guard(character, "en")
    assert feed(alone, "And then the other") == "And then the other"
    assert alone.stopped is None


def test_the_hosts_own_label_is_taken_off(character: Character) -> None:
    assert feed(Guard(character, "en"), "Momo: Hello you.") == "Hello you."
    assert feed(Guard(character, "zh"), "桃桃：你好呀。") == "你好呀。"
    assert feed(Guard(character, "en"), "Mo") == "Mo"
    assert feed(Guard(character, "en"), "Momo says hi.") == "Momo says hi."


def test_a_viewers_name_in_another_script_may_be_said(character: Character) -> None:
    guard = Guard(character, "en", given=["小雨"])
    assert feed(guard, "Hello 小雨, sit down!") == "Hello 小雨, sit down!"
