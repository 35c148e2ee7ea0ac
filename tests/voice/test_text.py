"""What is written, as it is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.text import LIMIT, normalise


def said(text: str, language: str) -> list[str]:
    return [word.text for word in normalise(text, language)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there!", ["Hello", "there!"]),
        ("lol, ok", ["haha,", "okay"]),
        ("5km at 10:30", ["5 kilometers", "at", "10 30"]),
        ("at 8:00", ["at", "8 o'clock"]),
        ("see https://www.a-b.com/x?y=1", ["see", "a b dot com"]),
        ("write to me@home.org.", ["write", "to", "an email address."]),
        ("xX_d4rk_Xx says sooooo", ["dark", "says", "soo"]),
        ("😀😀", []),
        ("nice 😀!", ["nice!"]),
        ("Dr. Smith", ["doctor", "Smith"]),
        ("you & me", ["you", "and", "me"]),
        ("**bold** `code`", ["bold", "code"]),
    ],
)
def test_english(text: str, expected: list[str]) -> None:
    assert said(text, "en") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("今天3.5元", "今天三点五元"),
        ("50%，2024年，10:30见", "百分之五十,二零二四年,十点三十分见"),
        ("1,234个，好吗？", "一千二百三十四个,好吗?"),
        ("$5！8:00", "五美元!八点"),
        ("哈哈哈哈", "哈哈"),
        ("ok的", "okay的"),
        ("😀", ""),
    ],
)
def test_chinese(text: str, expected: str) -> None:
    assert "".join(said(text, "zh")) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("お茶ｗｗ", ["お茶", "ハハ"]),
        ("いい(笑)", ["いい", "ハハ"]),
        ("25円", ["二", "十", "五", "円"]),
        ("😀", []),
    ],
)
def test_japanese(text: str, expected: list[str]) -> None:
    assert said(text, "ja") == expected


@given(st.text(max_size=60), st.sampled_from(["en", "zh", "ja", "xx"]))
def test_any_text_becomes_words_within_its_bounds(text: str, language: str) -> None:
    at = 0
    for word in normalise(text, language):
        assert word.text.strip()
        assert 0 <= word.start_char <= word.stop_char <= len(text)
        assert word.start_char >= at or language == "ja"
        at = word.start_char


def test_a_novel_is_cut() -> None:
    words = normalise("word " * 5000, "en")
    assert words[-1].stop_char <= LIMIT
