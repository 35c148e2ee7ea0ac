import pytest

from dialogue.language import detect


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello there", "en"),
        ("LOL", "en"),
        ("bonjour tout le monde", "en"),
        ("привет", "en"),
        ("안녕하세요", "en"),
        ("你好", "zh"),
        ("今天天气怎么样？", "zh"),
        ("晚上好", "zh"),
        ("唱首歌吧", "zh"),
        ("Kohaku你今天好可爱", "zh"),
        ("666", "zh"),
        ("哈哈哈", "zh"),
        ("こんばんは", "ja"),
        ("カラオケ！", "ja"),
        ("今日暇？", "ja"),
        ("大丈夫？", "ja"),
        ("最高", "ja"),
        ("本当に可愛い", "ja"),
        ("wwww", "ja"),
        ("草", "ja"),
        ("88888", "ja"),
        ("AI", "en"),
        ("i love the word 猫 so much", "en"),
        ("ｶﾜｲｲ", "ja"),
    ],
)
def test_a_line_is_answered_in_its_language(text: str, expected: str) -> None:
    assert detect(text) == expected


@pytest.mark.parametrize("text", ["!!!", "😂😂", "12345", "", "???"])
def test_a_line_without_words_follows_its_author(text: str) -> None:
    assert detect(text, hint="ja") == "ja"
    assert detect(text) == "en"
    assert detect(text, known=("zh", "en")) == "zh"


def test_characters_of_either_language_follow_the_author() -> None:
    assert detect("東京", hint="ja") == "ja"
    assert detect("東京") == "zh"


def test_an_unknown_language_is_answered_in_english_where_that_is_known() -> None:
    assert detect("hola amigos", known=("ja", "en")) == "en"
    assert detect("привет", known=("ja", "zh")) == "ja"
    assert detect("你好", known=("en",)) == "en"
    assert detect("?", known=("en",), hint="zh") == "en"
