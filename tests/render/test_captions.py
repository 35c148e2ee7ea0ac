"""Captions: two lines of at most 42 columns, broken where a reader would, with word times."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.ticks import TICKS_PER_S
from render.captions import COLUMNS, LINES, Caption, Transcript, Word, captions, width


def timed(text: str, pattern: str = r"\S+", step: int = TICKS_PER_S // 4) -> list[Word]:
    """Return each match as a word of a quarter of a second."""
    return [
        (m.start(), m.end(), i * step, (i + 1) * step)
        for i, m in enumerate(re.finditer(pattern, text))
    ]


def lines(text: str, language: str = "en", pattern: str = r"\S+") -> list[tuple[str, ...]]:
    return [c.lines for c in captions(text, timed(text, pattern), language)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello!", [("Hello!",)]),
        ("Mika, welcome in! Grab a cushion, the rain just started singing.",
         [("Mika, welcome in! Grab a cushion,", "the rain just started singing.")]),
        ("I walked all the way down to the lantern market with the old fox.",
         [("I walked all the way down", "to the lantern market with the old fox.")]),
        ("The road will still be there next week, and so will I.",
         [("The road will still be there next week,", "and so will I.")]),
    ],
)  # fmt: skip
def test_english_breaks_after_marks_and_not_behind_an_article(
    text: str, expected: list[tuple[str, ...]]
) -> None:
    assert lines(text) == expected


def test_japanese_and_chinese_break_between_words_and_never_before_a_mark() -> None:
    japanese = (
        "いちばん好きなのはもちろん油揚げです！甘く煮て、ごはんを詰めたいなり寿司なら十個でも。"
    )
    for block in lines(japanese, "ja", r"いちばん|好きな|油揚げ|いなり寿司|十個|."):
        for line in block:
            assert line[0] not in "、。！ー"
            assert width(line) <= COLUMNS
    joined = "".join("".join(block) for block in lines(japanese, "ja", r"いなり寿司|."))
    assert joined == japanese
    chinese = "我刚才一直在数窗户上的雨滴，外面真的很安静，连猫都睡着了。"
    found = lines(chinese, "zh", r"安静|窗户|雨滴|刚才|一直|外面|真的|.")
    assert found == [("我刚才一直在数窗户上的雨滴，", "外面真的很安静，连猫都睡着了。")]


def test_a_japanese_phrase_keeps_its_particles() -> None:
    text = "甘く煮て、ごはんを詰めたいなり寿司なら十個でも食べられますよ。"
    pattern = r"甘く|煮て|ごはん|を|詰めた|いなり寿司|なら|十個|でも|食べられ|ます|よ"
    assert lines(text, "ja", pattern) == [
        ("甘く煮て、ごはんを詰めたいなり寿司なら", "十個でも食べられますよ。")
    ]


def test_a_word_longer_than_a_line_is_broken_anywhere() -> None:
    found = lines("x" * 100)
    assert "".join("".join(block) for block in found) == "x" * 100
    assert all(len(line) <= COLUMNS for block in found for line in block)


@settings(deadline=None, max_examples=150)
@given(st.text(st.sampled_from("abc de,.!? 、。雨の音ーッ「」猫ｱ😀\u0301"), max_size=160))
def test_any_text_is_shown_whole_in_lines_that_fit(text: str) -> None:
    shown = captions(text, timed(text, r"\S"), "ja")
    squeezed = "".join("".join(c.lines) for c in shown)
    assert re.sub(r"\s", "", squeezed) == re.sub(r"\s", "", text)
    for caption in shown:
        assert 1 <= len(caption.lines) <= LINES
        assert all(width(line) <= COLUMNS for line in caption.lines)
        for _, line, char in caption.words:
            assert char < max(1, len(caption.lines[line]))
    for a, b in zip(shown, shown[1:], strict=False):
        assert a.start < a.stop <= b.start


def test_a_block_stays_as_long_as_it_takes_to_read_but_never_over_the_next() -> None:
    step = TICKS_PER_S // 10
    text = "We ran through the rain and laughed at all the thunder."
    (alone,) = captions(text, timed(text, step=step), "en")
    spoken = 11 * step
    assert spoken < alone.stop <= spoken + 3 * TICKS_PER_S // 2
    long = f"{text} {text}"
    first, second = captions(long, timed(long, step=step), "en")
    assert first.stop == second.start


def test_nothing_heard_gives_no_caption() -> None:
    assert captions("Hello there.", [], "en") == []
    assert captions("  ", [(0, 1, 0, 10)], "en") == []


def test_a_transcript_has_the_time_of_each_word_and_is_escaped(tmp_path: Path) -> None:
    text = "Tom & Ivy <3 rain."
    made = captions(text, timed(text), "en")
    transcript = Transcript(tmp_path / "show.mp4")
    late = [
        Caption(c.start + TICKS_PER_S, c.stop + TICKS_PER_S, c.lines, c.language,
                tuple((at + TICKS_PER_S, line, char) for at, line, char in c.words))
        for c in made
    ]  # fmt: skip
    transcript.write(late, zero=TICKS_PER_S)
    # A show that is killed now has what was said so far.
    vtt = (tmp_path / "show.vtt").read_text("utf-8")
    assert vtt == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.250\n"
        "Tom <00:00:00.250>&amp; <00:00:00.500>Ivy <00:00:00.750>&lt;3 <00:00:01.000>rain.\n"
    )
    transcript.close()
    srt = (tmp_path / "show.srt").read_text("utf-8")
    assert srt == "1\n00:00:00,000 --> 00:00:01,250\nTom & Ivy <3 rain.\n\n"


def test_what_was_said_before_the_film_began_is_left_out(tmp_path: Path) -> None:
    text = "Hello!"
    transcript = Transcript(tmp_path / "late.mp4")
    transcript.write(captions(text, timed(text), "en"), zero=60 * TICKS_PER_S)
    transcript.close()
    assert (tmp_path / "late.vtt").read_text("utf-8") == "WEBVTT\n"
