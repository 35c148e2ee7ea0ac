"""Estimated phoneme times."""

import time

import numpy as np
import pytest

from tests.fakes import PHONEME_S, ToneVoice
from voice import align
from voice.resample import Resampler
from voice.speech import Phoneme, Phrase, Samples, SpokenWord


def words(text: str) -> tuple[SpokenWord, ...]:
    found, at = [], 0
    for word in text.split():
        start = text.index(word, at)
        at = start + len(word)
        found.append(SpokenWord(word, start, at))
    return tuple(found)


def tone(text: str) -> Samples:
    voice = ToneVoice(sample_rate=48_000)
    return np.concatenate([s.samples for s in voice.synthesize(Phrase(words(text), "en"))])


def lay(text: str, sound: Samples, piece: int | None = None) -> list[Phoneme]:
    aligner = align.Aligner(align.plan(words(text), "en", align.letters))
    found: list[Phoneme] = []
    size = piece or max(len(sound), 1)
    for at in range(0, len(sound), size):
        new, safe = aligner.push(sound[at : at + size])
        found += new
        if found:
            assert found[-1].stop >= safe
    return [*found, *aligner.finish()]


@pytest.mark.parametrize("piece", [None, 4800, 960])
def test_times_rise_and_stay_inside_the_sound(piece: int | None) -> None:
    sound = tone("papa baba tata banana")
    found = lay("papa baba tata banana", sound, piece)
    assert found[0].start >= 0
    assert all(a.stop <= b.start < b.stop for a, b in zip(found, found[1:], strict=False))
    assert found[-1].stop == len(sound)


def test_each_vowel_lies_on_its_tone() -> None:
    found = [p for p in lay("papata kapata", tone("papata kapata")) if p.ipa == "a"]
    length = round(PHONEME_S * 48_000)
    assert len(found) == 6
    for number, vowel in enumerate(found):
        middle = (2 * number + 1.5) * length
        assert abs((vowel.start + vowel.stop) / 2 - middle) < 0.03 * 48_000


def test_a_pause_in_the_sound_is_found_where_the_text_has_one() -> None:
    gap = np.zeros(24_000, np.float32)
    sound = np.concatenate([tone("papa"), gap, tone("tata")])
    found = lay("papa, tata", sound)
    pause = max((p for p in found if not p.ipa), key=lambda p: p.stop - p.start)
    assert abs(pause.start - len(tone("papa"))) < 0.04 * 48_000
    # The t after it is itself 80 ms of near silence.
    assert abs(pause.stop - pause.start - 24_000) < PHONEME_S * 48_000


def test_silence_and_nothing_do_no_harm() -> None:
    assert lay("papa", np.zeros(0, np.float32)) == []
    assert lay("papa", np.zeros(48_000, np.float32))[-1].stop == 48_000
    assert lay("", tone("papa"))


def test_too_little_sound_for_all_phonemes_is_shared_out() -> None:
    found = lay("a very long line of text indeed", tone("ab"))
    assert found[-1].stop == len(tone("ab"))


def test_stress_marks_and_length_marks_belong_to_their_vowel() -> None:
    def phonemise(asked: object, language: str) -> list[align.Letters]:
        return [align.Letters("hˈɑːpi", ".", 0)]

    planned = [p for p in align.plan(words("happy"), "en", phonemise) if p.kind != "pause"]
    assert [p.ipa for p in planned] == ["h", "ɑː", "p", "i"]
    assert [p.stress for p in planned] == [0, 1, 0, 0]
    assert planned[1].usual_s > 1.5 * planned[3].usual_s / align._FINAL


def test_it_is_cheap() -> None:
    sound = np.concatenate([Resampler(48_000).push(tone("banana bandana"))] * 3)
    begun = time.process_time()
    lay("banana bandana " * 3, sound)
    assert time.process_time() - begun < len(sound) / 48_000
