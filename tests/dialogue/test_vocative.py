"""The host addresses the viewer, not herself."""

import pytest

from dialogue.vocative import Vocative

OWN = ("Kohaku", "琥珀", "コハク")


def through(text: str, viewer: str = "Mika", size: int = 1, language: str = "en") -> str:
    vocative = Vocative(OWN, viewer, language)
    return (
        "".join(vocative.push(text[i : i + size]) for i in range(0, len(text), size))
        + vocative.finish()
    )


@pytest.mark.parametrize("size", [1, 3, 200])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hi Kohaku, I'm doing well!", "Hi Mika, I'm doing well!"),
        ("Hi Kohaku! How nice.", "Hi Mika! How nice."),
        ("Kohaku, you made it!", "Mika, you made it!"),
        ("Thank you, kohaku.", "Thank you, Mika."),
        ("Good night Kohaku", "Good night Mika"),
        ("你好，琥珀！今天开心吗？", "你好，Mika！今天开心吗？"),
        ("你好琥珀！", "你好Mika！"),
        ("こんばんは、コハクさん！", "こんばんは、Mikaさん！"),
    ],
)
def test_the_viewer_is_addressed(text: str, expected: str, size: int) -> None:
    assert through(text, size=size) == expected


@pytest.mark.parametrize("size", [1, 3, 200])
@pytest.mark.parametrize(
    "text",
    [
        "I'm Kohaku, and I love rain.",
        "My name is Kohaku!",
        "Kohaku loves chestnuts.",
        "That is Kohaku's tail, hands off!",
        "我是琥珀，一只狐狸。",
        "コハクは雨が好きです。",
        "Koh, Ko, Kohak",
        "",
    ],
)
def test_she_may_speak_of_herself(text: str, size: int) -> None:
    assert through(text, size=size) == text


@pytest.mark.parametrize("size", [1, 3, 200])
@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Hello Kohaku! I'm Kohaku.", "en", "Hello friend! I'm Kohaku."),
        ("你好，琥珀！", "zh", "你好，朋友！"),
        ("こんばんは、コハクちゃん！", "ja", "こんばんは、みなさん！"),
        ("Hallo, Kohaku!", "de", "Hallo, friend!"),
    ],
)
def test_a_viewer_without_a_name(text: str, language: str, expected: str, size: int) -> None:
    assert through(text, viewer="", size=size, language=language) == expected


def test_a_viewer_of_the_same_name() -> None:
    assert through("Hi Kohaku!", viewer="kohaku") == "Hi Kohaku!"


def test_only_a_possible_name_waits() -> None:
    vocative = Vocative(OWN, "Mika")
    assert vocative.push("Hello there") == "Hello there"
    assert vocative.push(" ko") == " "
    assert vocative.push("ala") == "koala"
