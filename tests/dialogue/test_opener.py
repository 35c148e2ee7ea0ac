"""The first word of an answer, and the name that is not said twice."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue.character import Character, Texts
from dialogue.opener import NamedBefore, Opener
from tests.dialogue.characters import momo


@pytest.fixture
def character(tmp_path: Path) -> Character:
    return momo(tmp_path)


@pytest.fixture
def slow(character: Character) -> Opener:
    opener = Opener(character, 0.8)
    opener.learn(3.0)
    return opener


def test_nothing_is_opened_before_anything_is_known(character: Character) -> None:
    assert not Opener(character, 0.8).wanted


def test_a_fast_model_needs_no_opener_and_a_slow_one_does(character: Character) -> None:
    opener = Opener(character, 0.8)
    opener.learn(0.3)
    assert not opener.wanted
    for _ in range(4):
        opener.learn(2.5)
    assert opener.wanted
    for _ in range(8):
        opener.learn(0.3)
    assert not opener.wanted


def test_zero_opens_none(character: Character) -> None:
    opener = Opener(character, 0.0)
    opener.learn(9.0)
    assert not opener.wanted


def test_a_viewer_is_called_by_name_and_the_model_goes_on_from_there(slow: Opener) -> None:
    opening = slow.choose("Mika", "en")
    assert opening is not None
    assert "Mika" in opening.text
    assert opening.lead.startswith("Mika")
    assert opening.text.endswith(opening.lead)


@pytest.mark.parametrize("author", ["", "xX_d4rk_Xx", "d4rk_wolf", "7", "😀", "a" * 30, "x: y"])
def test_a_name_that_no_voice_says_well_is_left_out(slow: Opener, author: str) -> None:
    opening = slow.choose(author, "en")
    assert opening is not None
    assert opening.name == opening.lead == ""
    assert "{" not in opening.text


@pytest.mark.parametrize("code", ["en", "zh", "ja"])
@pytest.mark.parametrize("author", ["Mika", "小雨", ""])
def test_no_two_openers_in_a_row_are_alike(slow: Opener, author: str, code: str) -> None:
    texts = [opening.text for _ in range(9) if (opening := slow.choose(author, code))]
    assert len(texts) == 9
    assert all(a != b for a, b in zip(texts, texts[1:], strict=False))


def test_a_character_has_words_of_its_own(character: Character) -> None:
    own = replace(character, texts={"en": Texts(openers=("Dear {name},",))})
    opener = Opener(own, 0.8)
    opening = opener.choose("Ann", "en")
    assert opening is not None
    assert (opening.text, opening.lead) == ("Dear Ann,", "Ann,")
    assert opener.choose("", "en") is None  # it has none without a name


TWICE = [
    ("Mika", " I'm doing well, thanks!", " I'm doing well, thanks!"),
    ("Mika", "Mika, welcome in! Grab a seat.", "welcome in! Grab a seat."),
    ("Mika", "mika! Hello.", "Hello."),
    ("Mika", "Hi Mika, I'm well! Mika, you?", "Hi, I'm well! Mika, you?"),
    ("Tom", "Nice try, Tom, a fox never tells.", "Nice try, a fox never tells."),
    ("Tom", "Yes, Tom: a virtual host", "Yes: a virtual host"),
    ("Ivy", "I do, Ivy! Old songs.", "I do! Old songs."),
    ("juno", "Oh juno, that stings.", "Oh, that stings."),
    ("小雨", "小雨，欢迎欢迎！", "欢迎欢迎！"),
    ("小雨", "当然啦，小雨！狐狸不会忘记。", "当然啦！狐狸不会忘记。"),
    ("ゆき", "こんばんは、ゆきさん！どうぞ。", "こんばんは！どうぞ。"),
    ("ゆき", "ゆきさん、そうだね！", "そうだね！"),
]
KEPT = [
    ("Leo", "Why did the chicken cross, Leon? No."),
    ("Mika", "I like Mika a lot, you know. Mika!"),
    ("Mika", "Hi there, I am here"),
    ("Ann", "Annabel, my cat, says hi."),
    ("", "Ann, hello!"),
]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 99])
@pytest.mark.parametrize(
    ("name", "reply", "expected"), [*TWICE, *((name, text, text) for name, text in KEPT)]
)
def test_a_name_that_was_just_said_is_not_said_again(
    name: str, reply: str, expected: str, step: int
) -> None:
    named = NamedBefore(name)
    out = [named.push(reply[i : i + step]) for i in range(0, len(reply), step)]
    assert "".join(out) + named.finish() == expected


@given(st.text(alphabet="Mika, .!hi小雨、さん", max_size=60), st.integers(1, 9))
def test_what_is_taken_out_depends_on_the_text_alone(text: str, step: int) -> None:
    whole, parts = NamedBefore("Mika"), NamedBefore("Mika")
    expected = whole.push(text) + whole.finish()
    found = [parts.push(text[i : i + step]) for i in range(0, len(text), step)]
    assert "".join(found) + parts.finish() == expected
    assert len(expected) <= len(text)
