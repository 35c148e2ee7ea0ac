"""Words to sounds, three languages."""

import pytest

from voice.g2p import kana_sounds, phonemise
from voice.text import normalise


def sounds(text: str, language: str) -> list[str]:
    return [s.symbols for s in phonemise(normalise(text, language), language)]


def test_english_words_are_read_in_their_sentence() -> None:
    first, *_ = sounds("Read this.", "en")
    assert first == "ɹˈid"
    assert sounds("I have read it.", "en")[2].replace("ˈ", "") == "ɹɛd"
    assert sounds("It costs $5.", "en")[-1] == "fˈIvdˈɑləɹz"


def test_chinese_has_its_tones() -> None:
    (hello,) = sounds("你好", "zh")
    assert hello.count("↓") + hello.count("↗") >= 1
    assert sounds("三", "zh") == ["san→"] or sounds("三", "zh") == ["sa→n"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("会いましょうか", "aimaɕoːka"),
        ("ありがとう", "aɾʲiɡatoː"),
        ("東京", "toːkʲoː"),
        ("きっと", "kʲiʔto"),
    ],
)
def test_japanese_long_vowels_and_stops(text: str, expected: str) -> None:
    assert "".join(sounds(text, "ja")) == expected


@pytest.mark.parametrize(
    ("kana", "expected"),
    [("シンパイ", "ɕimpai"), ("ファン", "ɸaɴ"), ("キャ", "kʲa"), ("ー", ""), ("？", "")],
)
def test_kana(kana: str, expected: str) -> None:
    assert kana_sounds(kana) == expected


def test_pauses_stay_with_the_word_before_them() -> None:
    found = phonemise(normalise("Well, yes!", "en"), "en")
    assert [s.pause for s in found] == [",", "!"]
