"""Captions of a show as it goes: announced early, corrected, final when they are over."""

import re

from dialogue.ticks import TICKS_PER_S, Ticks
from render.captioner import LATE, Captioner
from render.captions import COLUMNS, LEAST, LINGER, Caption, Word, reading, width

WORD: Ticks = TICKS_PER_S // 4
LONG = (
    "I walked all the way down to the lantern market with the old fox. "
    "We ran through the rain and laughed at all the thunder that night."
)
KEY = (3, 1)


def timed(text: str, pattern: str = r"\S+") -> list[Word]:
    return [
        (m.start(), m.end(), i * WORD, (i + 1) * WORD)
        for i, m in enumerate(re.finditer(pattern, text))
    ]


def shown(found: list[Caption], now: Ticks) -> list[str]:
    """Return the lines of what a live sink would show."""
    newest = {c.key: c for c in found}
    return [" / ".join(c.lines) for c in newest.values() if c.start <= now < c.stop and c.lines]


def test_blocks_are_known_when_an_utterance_begins_and_each_is_final_when_it_is_over() -> None:
    captioner = Captioner()
    words = timed(LONG)
    captioner.know(KEY, LONG, "en", words, complete=True)
    assert captioner.take(0) == []
    captioner.begin(KEY, 1000)
    first, second = captioner.take(1000)
    assert (first.key, second.key) == ((3, 1, 0), (3, 1, 1))
    assert not first.final
    assert not second.final
    assert first.start == 1000
    assert first.stop == second.start == 1000 + words[14][2]
    assert captioner.take(second.start - 1) == []
    (over,) = captioner.take(second.start)
    assert over.final
    assert over.key == first.key
    captioner.end(KEY, len(words) * WORD)
    (last,) = captioner.take(second.stop)
    assert last.final
    assert captioner.take(second.stop + 1) == []


def test_words_that_come_later_correct_a_block_without_moving_its_lines() -> None:
    captioner = Captioner()
    words = timed(LONG)
    captioner.know(KEY, LONG, "en", words[:3], complete=False)
    captioner.begin(KEY, 0)
    (early,) = captioner.take(0)
    assert early.lines == ("I walked all the way down", "to the lantern market with the old fox.")
    assert len(early.words) == 3
    captioner.know(KEY, "", "en", words[3:], complete=True)
    first, second = captioner.take(WORD)
    assert first.lines == early.lines
    assert len(first.words) == 14
    assert second.lines[0].startswith("We ran")


def test_japanese_lines_not_begun_yet_are_broken_anew_when_their_words_are_known() -> None:
    text = (
        "雨の音がする。" + "あたたかいお茶をいれて、窓ぎわで静かに本を読みながら待っていましたよ。"
    )
    pattern = (
        "雨|の|音|が|する|あたたかい|お茶|を|いれて|窓ぎわ|で|静かに|本|読み|ながら|待って|"
        "いました|よ"
    )
    words = timed(text, pattern)
    captioner = Captioner()
    captioner.know(KEY, text, "ja", words[:2], complete=False)
    captioner.begin(KEY, 0)
    captioner.take(0)
    before = captioner.lines(KEY)
    captioner.know(KEY, "", "ja", words[2:], complete=True)
    after = captioner.lines(KEY)
    assert after[:2] == before[:2]
    starts = {a for a, _ in after[2:]}
    assert not any(a < start < b for a, b, *_ in words for start in starts)


def test_a_voice_that_ran_dry_moves_only_the_words_that_were_not_spoken() -> None:
    captioner = Captioner()
    words = timed(LONG)
    captioner.know(KEY, LONG, "en", words, complete=True)
    captioner.begin(KEY, 0)
    captioner.take(0)
    captioner.shift(KEY, TICKS_PER_S, 5 * WORD)
    first, second = captioner.take(6 * WORD)
    starts = [at for at, _, _ in first.words]
    assert starts[:5] == [i * WORD for i in range(5)]
    assert starts[5:] == [i * WORD + TICKS_PER_S for i in range(5, 14)]
    assert second.start == 14 * WORD + TICKS_PER_S


def test_what_was_not_heard_of_a_cancelled_utterance_is_taken_back() -> None:
    captioner = Captioner()
    words = timed(LONG)
    captioner.know(KEY, LONG, "en", words, complete=True)
    captioner.begin(KEY, 0)
    found = captioner.take(0)
    heard = 8 * WORD + 100
    captioner.end(KEY, heard)
    found += captioner.take(heard)
    assert shown(found, heard - 1) == ["I walked all the way down / to the lantern"]
    first, second = (c for c in found[2:])
    assert first.stop == heard
    assert (second.lines, second.final) == ((), True)
    assert shown(found, heard + TICKS_PER_S) == []


def test_a_word_cut_off_at_once_is_still_seen_for_a_second_and_silence_shows_nothing() -> None:
    captioner = Captioner()
    captioner.know(KEY, LONG, "en", timed(LONG), complete=True)
    captioner.begin(KEY, 0)
    captioner.take(0)
    captioner.end(KEY, 100)
    first = next(c for c in captioner.take(200) if c.key[2] == 0)
    assert (first.lines, first.stop) == (("I",), LEAST)
    captioner.know((4, 0), LONG, "en", timed(LONG), complete=True)
    captioner.end((4, 0), 0)  # never begun
    captioner.begin((4, 0), 500)
    assert all(c.key[0] == 3 for c in captioner.take(10 * TICKS_PER_S))


def test_a_block_goes_when_the_next_utterance_has_its_first_word() -> None:
    captioner = Captioner()
    captioner.know((1, 0), "Welcome home everybody!", "en", timed("a b c"), complete=True)
    captioner.begin((1, 0), 0)
    (early,) = captioner.take(0)
    assert early.stop > 3 * WORD
    captioner.end((1, 0), 3 * WORD)
    captioner.know((1, 1), "And you?", "en", [(0, 3, 960, WORD), (4, 8, WORD, 2 * WORD)],
                   complete=True)  # fmt: skip
    captioner.begin((1, 1), 3 * WORD + 4800)
    found = captioner.take(3 * WORD + 4800)
    assert [(c.key, c.start, c.stop) for c in found if c.key == (1, 0, 0)] == [
        ((1, 0, 0), 0, 3 * WORD + 5760)
    ]
    assert [c.key for c in captioner.take(3 * WORD + 5760) if c.final] == [(1, 0, 0)]


def test_text_without_words_or_letters_gives_no_caption() -> None:
    captioner = Captioner()
    captioner.know(KEY, " ", "en", [], complete=True)
    captioner.begin(KEY, 0)
    assert captioner.take(0) == []
    assert captioner.lines(KEY) == ()
    captioner.end(KEY, 0)
    assert captioner.take(1) == []


ZH = (
    "我从灯市一路走了下来，跟老狐狸一起穿过了雨。"
    "那天晚上我们笑着听雷声响了一夜又一夜，谁也不想回家。"
)
"""Of three lines: two blocks."""


def translations(found: list[Caption]) -> list[Caption]:
    return [c for c in found if c.translated]


def test_a_translation_stands_as_long_as_what_it_translates_in_blocks_of_its_own() -> None:
    captioner = Captioner(translated=True)
    words = timed(LONG)
    captioner.know(KEY, LONG, "en", words, complete=True)
    assert captioner.translate(KEY, ZH, "zh", 0)
    captioner.begin(KEY, 1000)
    found = captioner.take(1000)
    first, second = translations(found)
    spoken = [c for c in found if not c.translated]
    assert [c.key for c in (first, second)] == [(3, 1, 1000), (3, 1, 1001)]
    assert "".join((*first.lines, *second.lines)) == ZH
    assert all(width(line) <= COLUMNS for c in (first, second) for line in c.lines)
    assert first.start == spoken[0].start
    assert first.stop == second.start
    assert second.start in {1000 + w[2] for w in words}
    assert second.stop >= 1000 + words[-1][3]
    assert first.words == ()
    assert first.language == "zh"
    assert first.live == (first.start, first.stop)
    captioner.end(KEY, len(words) * WORD)
    over = captioner.take(second.stop + TICKS_PER_S)
    assert {c.key for c in over if c.final} >= {first.key, second.key}


def test_one_that_comes_late_is_seen_late_and_written_where_it_belongs() -> None:
    captioner = Captioner(translated=True)
    words = timed("The rain sings.")
    captioner.know(KEY, "The rain sings.", "en", words, complete=True)
    captioner.begin(KEY, 0)
    captioner.take(0)
    end = len(words) * WORD
    captioner.end(KEY, end)
    assert captioner.take(end + 2 * TICKS_PER_S)[0].final
    now = end + LATE - 1
    assert captioner.take(now) == []  # it still waits
    assert captioner.translate(KEY, "雨在唱歌。", "zh", now)
    (late,) = captioner.take(now)
    assert late.final
    assert (late.start, late.stop) == (0, end + LINGER) or late.stop <= end + LINGER
    assert late.live[0] == now
    assert late.live[1] == now + reading("雨在唱歌。", "zh")
    assert captioner.take(now + 1) == []


def test_one_that_comes_too_late_is_dropped() -> None:
    captioner = Captioner(translated=True)
    words = timed("The rain sings.")
    captioner.know(KEY, "The rain sings.", "en", words, complete=True)
    captioner.begin(KEY, 0)
    end = len(words) * WORD
    captioner.end(KEY, end)
    assert not captioner.translate(KEY, "雨在唱歌。", "zh", end + LATE + 1)
    captioner.take(end + LATE + 1)
    assert captioner.lines(KEY) == ()  # forgotten
    assert not captioner.translate((9, 9), "雨在唱歌。", "zh", 0)


def test_a_translation_of_words_that_were_never_said_is_taken_back() -> None:
    captioner = Captioner(translated=True)
    words = timed(LONG)
    captioner.know(KEY, LONG, "en", words, complete=True)
    captioner.begin(KEY, 0)
    captioner.translate(KEY, ZH, "zh", 0)
    assert len(translations(captioner.take(0))) == 2
    captioner.end(KEY, 3 * WORD)
    taken = translations(captioner.take(3 * WORD))
    assert [(c.lines, c.final) for c in taken] == [((), True), ((), True)]
    assert not captioner.translate(KEY, ZH, "zh", 3 * WORD)
