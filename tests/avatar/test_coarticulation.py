import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar.coarticulation import CLOSED_AFTER, FF, OPENS_BEFORE, PP, SIL, MouthCurve
from avatar.pose import VISEMES
from avatar.tracks import articulate, viseme_keys
from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S
from voice.speech import PhonemeSpan

MS = TICKS_PER_MS
SYMBOLS = (
    "p b m f v t d k ɡ s z ʃ ʧ n l ɹ w j h θ ð ŋ ʔ A I O W Y i u ə ɛ æ ɑ ʌ ɔ o y ɨ ɯ ɕ pʰ xau↓"
).split()

speech = st.lists(
    st.tuples(st.sampled_from([*SYMBOLS, ""]), st.integers(8, 260), st.sampled_from([0, 0, 1])),
    min_size=1, max_size=24,
)  # fmt: skip


def spans(parts: list[tuple[str, int, int]]) -> list[PhonemeSpan]:
    out, at = [], 0
    for symbol, length_ms, stress in parts:
        out.append(PhonemeSpan(symbol, at, at + length_ms * MS, stress))
        at += length_ms * MS
    return out


def say(text: str, length_ms: int = 80) -> list[PhonemeSpan]:
    return spans([("" if s == "_" else s, 400 if s == "_" else length_ms, 0) for s in text.split()])


def curve(phonemes: list[PhonemeSpan]) -> MouthCurve:
    return MouthCurve(articulate(phonemes))


@given(speech, st.floats(0, 1))
@settings(max_examples=150, deadline=None)
def test_weights_sum_to_one_and_stay_in_range(
    parts: list[tuple[str, int, int]], open_by: float
) -> None:
    mouth = curve(spans(parts))
    for at in range(-9600, mouth.stop + 9600, 611):
        weights = mouth.weights(at, open_by)
        assert weights.sum() == pytest.approx(1.0, abs=1e-9)
        assert weights.min() >= 0
        assert weights.max() <= 1 + 1e-9


@given(speech, st.floats(0, 1), st.integers(0, 1599))
@settings(max_examples=250, deadline=None)
def test_p_b_m_always_close_for_at_least_one_frame_at_30_fps(
    parts: list[tuple[str, int, int]], open_by: float, phase: int
) -> None:
    said = spans(parts)
    mouth = curve(said)
    frames = np.arange(phase - 9600, mouth.stop + 9600, 1600)
    for span in said:
        if span.phoneme not in ("p", "b", "m", "pʰ"):
            continue
        middle = (span.start + span.stop) / 2
        assert mouth.weights(middle, open_by)[PP] > 0.999
        near = frames[np.abs(frames - middle) <= 20 * MS + (span.stop - span.start) / 2]
        assert max(mouth.weights(float(at), open_by)[PP] for at in near) > 0.999


@given(speech, st.floats(0, 1))
@settings(max_examples=150, deadline=None)
def test_f_and_v_reach_the_teeth_unless_lips_are_shut_next_to_them(
    parts: list[tuple[str, int, int]], open_by: float
) -> None:
    said = spans(parts)
    mouth = curve(said)
    for i, span in enumerate(said):
        if span.phoneme not in ("f", "v"):
            continue
        middle = (span.start + span.stop) / 2
        lips = [
            s for s in said
            if s.phoneme in ("p", "b", "m", "pʰ")
            and s.start - 90 * MS < middle < s.stop + 90 * MS
        ]  # fmt: skip
        if not lips:
            assert mouth.weights(middle, open_by)[FF] > 0.9, (i, said)


@pytest.mark.parametrize("phoneme", ["pʲ", "bʲ", "mʲ", "ᶀ", "ᶆ", "ᶈ", "pʰ", "mː", "b̥"])
def test_bilabials_with_marks_close_in_their_middle_too(phoneme: str) -> None:
    for length_ms in (20, 60, 120, 300):
        said = say(f"ɑ {phoneme} ɑ", length_ms)
        middle = (said[1].start + said[1].stop) / 2
        assert curve(said).weights(middle, 1.0)[PP] > 0.999


@pytest.mark.parametrize("phoneme", ["by", "py", "my", "b", "p", "m"])
def test_romaji_bilabials_close_in_their_middle_too(phoneme: str) -> None:
    said = say(f"N a {phoneme} a", 90)
    middle = (said[2].start + said[2].stop) / 2
    assert curve(said).weights(middle, 1.0)[PP] > 0.999


def test_an_f_between_bilabials_of_usual_length_still_reaches_the_teeth() -> None:
    said = say("b ə m f p ə", 90)
    assert curve(said).weights((said[3].start + said[3].stop) / 2, 1.0)[FF] > 0.6


@given(speech)
@settings(max_examples=120, deadline=None)
def test_in_silence_the_mouth_is_closed_exactly(parts: list[tuple[str, int, int]]) -> None:
    said = spans(parts)
    mouth = curve(said)
    closed = np.eye(len(VISEMES))[SIL]
    quiet = [(-TICKS_PER_S, 0), (mouth.stop, mouth.stop + TICKS_PER_S)]
    start = None
    for span in [*said, PhonemeSpan("x", mouth.stop, mouth.stop)]:
        if span.phoneme == "":
            start = span.start if start is None else start
        elif start is not None:
            quiet.append((start, span.start))
            start = None
    for begin, end in quiet:
        first = begin + (CLOSED_AFTER if begin > -TICKS_PER_S else 0)
        for at in range(first, end - OPENS_BEFORE + 1, 480):
            if end > mouth.stop or at <= end - OPENS_BEFORE:
                assert np.array_equal(mouth.weights(at, 1.0), closed), (at, said)


def test_release_and_onset_are_as_promised() -> None:
    assert CLOSED_AFTER <= 120 * MS
    assert OPENS_BEFORE <= 100 * MS


LARGEST_STEP = 0.5
"""Largest change of a weight in 1/60 s outside closures."""


@given(speech)
@settings(max_examples=150, deadline=None)
def test_weights_change_smoothly_outside_closures(parts: list[tuple[str, int, int]]) -> None:
    said = [(s, max(length, 15), stress) for s, length, stress in parts]
    mouth = curve(spans(said))
    times = np.arange(-9600, mouth.stop + 9600, 800)
    weights = np.array([mouth.weights(float(at), 1.0) for at in times])
    gates = [*mouth._lips, *mouth._teeth]
    shut = np.array([any(gate.value(float(at)) > 0 for gate in gates) for at in times])
    step = np.abs(np.diff(weights, axis=0)).max(axis=1)
    free = ~(shut[1:] | shut[:-1])
    assert step[free].max(initial=0.0) <= LARGEST_STEP


def test_rounding_begins_before_the_consonants_in_front_of_a_rounded_vowel() -> None:
    ou = VISEMES.index("ou")
    rounded, spread = say("_ s t u _"), say("_ s t i _")
    t = rounded[2]
    assert curve(rounded).weights(t.start, 1.0)[ou] > 0.08
    assert curve(spread).weights(t.start, 1.0)[ou] == 0
    u = rounded[3].start
    began = next(a for a in range(u - 9600, u, 48) if curve(rounded).weights(a, 1.0)[ou] > 0.02)
    assert 70 * MS <= u - began <= 150 * MS


def test_lips_begin_to_close_about_seventy_ms_before_a_bilabial() -> None:
    said = say("ɑ b ɑ", 150)
    mouth, b = curve(said), said[1].start
    began = next(a for a in range(b - 9600, b, 48) if mouth.weights(a, 1.0)[PP] > 0.02)
    assert 40 * MS <= b - began <= 90 * MS


def test_quiet_voices_open_vowels_less_and_close_as_firmly() -> None:
    said = say("ɑ p ɑ", 150)
    mouth = curve(said)
    vowel, closure = said[0].stop // 2, (said[1].start + said[1].stop) / 2
    loud, quiet = mouth.weights(vowel, 1.0), mouth.weights(vowel, 0.4)
    aa = VISEMES.index("aa")
    assert loud[aa] > 0.85
    assert 0.3 < quiet[aa] < 0.5
    assert mouth.weights(closure, 0.4)[PP] == pytest.approx(1.0)


def test_a_japanese_moraic_nasal_closes_before_a_bilabial_and_not_elsewhere() -> None:
    sampo, kitsune = say("s a N p o"), say("h o N t o")
    middle = (sampo[2].start + sampo[2].stop) / 2
    assert curve(sampo).weights(middle, 1.0)[PP] > 0.999
    assert curve(kitsune).weights(middle, 1.0)[PP] == 0


def test_long_vowels_are_reached_fully() -> None:
    for symbol, viseme in (("ɑ", "aa"), ("i", "ih"), ("u", "ou"), ("ɛ", "E"), ("ɔ", "oh")):
        said = say(f"k {symbol} k", 160)
        weights = curve(said).weights((said[1].start + said[1].stop) / 2, 1.0)
        assert weights[VISEMES.index(viseme)] > 0.8


def test_marks_and_tiny_gaps_open_no_pause() -> None:
    joined = [
        PhonemeSpan("ˈ", 0, 20 * MS), PhonemeSpan("ɑ", 20 * MS, 120 * MS),
        PhonemeSpan("ː", 120 * MS, 160 * MS), PhonemeSpan("l", 180 * MS, 260 * MS),
    ]  # fmt: skip
    parts = articulate(joined)
    assert [p.target is None for p in parts] == [False, False]
    assert parts[0].start == 0
    assert parts[0].stop == parts[1].start == 180 * MS


def test_keys_name_what_the_mouth_reaches_for() -> None:
    keys = viseme_keys(say("h ə l O _ p"))
    assert [key.viseme for key in keys] == ["E", "E", "nn", "oh", "ou", "sil", "PP"]
    assert all(a.at < b.at for a, b in zip(keys, keys[1:], strict=False))
    assert viseme_keys(()) == ()


def test_nothing_said_is_a_closed_mouth() -> None:
    assert MouthCurve(()).weights(0, 1.0)[SIL] == 1.0
