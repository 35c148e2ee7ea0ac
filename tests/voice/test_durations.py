"""Durations of a model, moved to when its sounds are heard."""

import numpy as np
import pytest

from voice import durations
from voice.speech import Phoneme, Samples

RATE = 24_000


def sound(onset_s: float, length_s: float = 0.4) -> Samples:
    """Return silence with a tone from `onset_s` on."""
    t = np.arange(round(length_s * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * 200 * t) * (t >= onset_s)).astype(np.float32)


def spans(*items: tuple[str, float, float]) -> tuple[Phoneme, ...]:
    return tuple(Phoneme(ipa, round(a * RATE), round(b * RATE), 0) for ipa, a, b in items)


def seconds(phonemes: tuple[Phoneme, ...]) -> list[tuple[str, float, float]]:
    return [(p.ipa, round(p.start / RATE, 3), round(p.stop / RATE, 3)) for p in phonemes]


@pytest.mark.parametrize("onset", [0.0, 0.03, 0.05])
def test_a_vowel_starts_with_its_sound(onset: float) -> None:
    found = durations.settled(
        spans(("", 0, 0.02), ("a", 0.02, 0.2), ("m", 0.2, 0.3)), sound(onset), sample_rate=RATE
    )
    first = next(p for p in found if p.ipa)
    assert first.start / RATE == pytest.approx(onset, abs=0.003)
    assert seconds(found)[-2:] == [("a", seconds(found)[-2][1], 0.2), ("m", 0.2, 0.3)]
    assert found[0].start == 0
    assert all(a.stop == b.start for a, b in zip(found, found[1:], strict=False))


def test_a_stop_is_closed_until_its_sound() -> None:
    found = durations.settled(
        spans(("p", 0, 0.02), ("a", 0.02, 0.3)), sound(0.08), sample_rate=RATE
    )
    assert seconds(found) == [("", 0.0, 0.02), ("p", 0.02, 0.09), ("a", 0.09, 0.3)]


@pytest.mark.parametrize(
    "heard",
    [sound(0.3), np.zeros(RATE // 4, np.float32), np.zeros(0, np.float32)],
    ids=["too far", "silence", "nothing"],
)
def test_what_the_sound_does_not_tell_stays(heard: Samples) -> None:
    given = spans(("", 0, 0.02), ("a", 0.02, 0.35), ("m", 0.35, 0.4))
    assert durations.settled(given, heard, sample_rate=RATE) == given


def test_a_first_phoneme_too_short_for_its_sound_stays() -> None:
    given = spans(("h", 0, 0.02), ("a", 0.02, 0.2))
    assert durations.settled(given, sound(0.05), sample_rate=RATE) == given


def test_corrected_moves_everything_and_ends_the_last_sound() -> None:
    found = durations.corrected(
        spans(("", 0, 0.1), ("a", 0.1, 0.2), ("n", 0.2, 0.9)), early=round(0.06 * RATE),
        sample_rate=RATE,
    )  # fmt: skip
    assert seconds(found) == [
        ("", 0.0, 0.04), ("a", 0.04, 0.14), ("n", 0.14, 0.32), ("", 0.32, 0.9),
    ]  # fmt: skip
