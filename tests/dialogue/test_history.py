import logging

import pytest

from dialogue.history import History, PastTurn, last_whole_word


def talk(history: History, count: int, language: str = "en", start: int = 1) -> None:
    for turn in range(start, start + count):
        history.begin(turn, f"viewer{turn}", f"line {turn}", language)
        history.said(turn, f"[nod] answer {turn}", f"answer {turn}")


def test_what_was_said_is_kept_with_its_cues() -> None:
    history = History()
    talk(history, 1)
    assert list(history) == [PastTurn(1, "viewer1", "line 1", "en", "[nod] answer 1")]


def test_a_reply_is_cut_at_the_last_word_heard() -> None:
    history = History()
    history.begin(1, "Ann", "hi", "en")
    history.said(1, "[wave] Hello there my friend", "Hello there my friend")
    history.heard(1, 13)
    assert list(history)[0].reply == "Hello there"
    assert list(history)[0].cut


def test_a_reply_heard_to_its_end_is_not_cut() -> None:
    history = History()
    history.begin(1, "Ann", "hi", "en")
    history.said(1, "[wave] Hello.", "Hello. ")
    history.heard(1, history.position(1, "Hello."))
    assert list(history)[0].reply == "[wave] Hello."


def test_space_does_not_count_when_heard_words_are_placed() -> None:
    history = History()
    history.begin(1, "A", "x", "zh")
    history.said(1, "你好。今天很好。", "你好。今天很好。")
    assert history.position(1, "你好。 今天") == 5
    assert history.position(1, "") == 0
    assert history.position(9, "anything") == 0


@pytest.mark.parametrize(
    ("text", "chars", "kept"),
    [
        ("Hello there", 11, "Hello there"),
        ("Hello there", 99, "Hello there"),
        ("Hello there", 8, "Hello"),
        ("Hello there", 5, "Hello"),
        ("Hello there", 3, ""),
        ("Hello there", 0, ""),
        ("It's don't-care", 8, "It's"),
        ("你好世界", 2, "你好"),
        ("你好Ann吧", 3, "你好"),
    ],
)
def test_only_whole_words_count_as_heard(text: str, chars: int, kept: str) -> None:
    assert last_whole_word(text, chars) == kept


def test_a_turn_that_nobody_heard_is_not_remembered_to_the_model() -> None:
    history = History()
    talk(history, 2)
    history.heard(2, 0)
    assert [t.turn for t in history.window("en")] == [1]


def test_history_is_bounded() -> None:
    history = History(bound=5)
    talk(history, 50)
    assert [t.turn for t in history] == [46, 47, 48, 49, 50]


def test_the_window_holds_one_language_and_moves_in_steps() -> None:
    history = History()
    talk(history, 8)
    talk(history, 1, "ja", start=9)
    assert [t.turn for t in history.window("en", 8)] == [1, 2, 3, 4, 5, 6, 7, 8]
    talk(history, 1, start=10)
    assert [t.turn for t in history.window("en", 8)] == [5, 6, 7, 8, 10]
    talk(history, 3, start=11)
    assert [t.turn for t in history.window("en", 8)] == [5, 6, 7, 8, 10, 11, 12, 13]
    assert [t.turn for t in history.window("ja", 8)] == [9]


def test_a_journal_brings_everything_back() -> None:
    history = History()
    talk(history, 3)
    history.heard(2, 3)
    lines = [line for turn in (1, 2, 3) for line in history.journal(turn)]
    assert all("\n" not in line for line in lines)
    again = History()
    again.restore(lines)
    assert list(again) == list(history)
    assert history.journal(77) == []


def test_a_line_cut_by_a_crash_is_skipped_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    history = History()
    talk(history, 2)
    lines = history.journal(1) + [history.journal(2)[0][:20], ""]
    again = History()
    with caplog.at_level(logging.WARNING):
        again.restore(lines)
    assert [t.turn for t in again] == [1]
    assert "line 2" in caplog.text


def test_a_later_line_replaces_the_same_turn() -> None:
    history = History()
    talk(history, 1)
    first = history.journal(1)
    history.heard(1, 0)
    again = History()
    again.restore(first + history.journal(1))
    assert [t.reply for t in again] == [""]


def test_the_last_turn_of_an_author_is_found() -> None:
    history = History()
    talk(history, 2)
    found = history.last_of("viewer1")
    assert found is not None
    assert found.turn == 1
    assert history.last_of("nobody") is None
    assert history.recent_replies(1) == ("[nod] answer 2",)
