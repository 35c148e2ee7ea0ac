"""The error rates of the bench: what counts as the same, and what as wrong."""

import pytest

from stage.bench.hearing import distance, units


@pytest.mark.parametrize(
    ("a", "b", "steps"),
    [
        ("", "", 0),
        ("abc", "abc", 0),
        ("abc", "ac", 1),
        ("abc", "axc", 1),
        ("abc", "", 3),
        ("ab", "ba", 2),
    ],
)
def test_a_distance_counts_what_is_missing_wrong_or_too_much(a: str, b: str, steps: int) -> None:
    assert distance(a, b) == distance(b, a) == steps


def test_spelling_is_no_error_but_another_sound_is() -> None:
    assert units("It's 3 o'clock!", "en") == units("its three oclock", "en")
    assert units("雨の音", "ja") == units("あめのおと", "ja")
    assert units("他在家", "zh") == units("她在家。", "zh")
    assert units("妈妈", "zh") != units("奶奶", "zh")
