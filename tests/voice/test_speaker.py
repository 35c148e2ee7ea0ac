"""The speaker: chunks without gaps, spans in time, and a successor for every failing voice."""

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from dialogue.messages import Utterance
from dialogue.plugins import EngineError
from tests.fakes import (
    PHONEME_S,
    BrokenVoice,
    RaisingVoice,
    SilentVoice,
    SlowVoice,
    ToneVoice,
    WrongRateVoice,
)
from voice.engine import Voice
from voice.speaker import KEPT, LONGEST, SHORTEST, Speaker
from voice.speech import AudioChunk, Phoneme, Phrase, Speech

LINE = Utterance(7, 2, "papa bought $5 bananas, okay?")


def say(voice: Voice | Sequence[Voice], line: Utterance = LINE) -> list[AudioChunk]:
    voices = voice if isinstance(voice, Sequence) else [voice]
    return list(Speaker({"en": voices}).speak(line))


def sound(chunks: Sequence[AudioChunk]) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    return np.concatenate([chunk.samples for chunk in chunks])


@pytest.mark.parametrize(
    "voice",
    [ToneVoice(), ToneVoice(sample_rate=48_000), WrongRateVoice(), ToneVoice(timed=False)],
    ids=["24k", "48k", "odd rate", "untimed"],
)
def test_chunks_follow_without_gaps_and_carry_each_span_in_time(voice: Voice) -> None:
    chunks = say(voice)
    at, last = 0, 0
    for chunk in chunks:
        assert (chunk.turn_id, chunk.utterance, chunk.start) == (7, 2, at)
        assert chunk.samples.dtype == np.float32
        assert len(chunk.samples) <= LONGEST
        assert chunk.final or len(chunk.samples) >= SHORTEST
        for span in chunk.phonemes:
            assert span.start >= max(last, at)
            assert span.stop > span.start
            last = span.stop
        at += len(chunk.samples)
    assert [chunk.final for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert last <= at + 1


def test_phoneme_times_are_the_voice_s_own_to_the_tick() -> None:
    spans = [span for chunk in say(ToneVoice()) for span in chunk.phonemes]
    length = round(PHONEME_S * 48_000)
    assert [span.start for span in spans] == [i * length for i in range(len(spans))]
    assert "".join(span.phoneme for span in spans).startswith("papabought")
    assert not any(span.estimated for span in spans)


def test_caption_words_are_timed_and_five_dollars_is_one_of_them() -> None:
    words = [word for chunk in say(ToneVoice()) for word in chunk.words]
    assert [LINE.text[w.start_char : w.stop_char] for w in words] == [
        "papa", "bought", "$5", "bananas,", "okay?",
    ]  # fmt: skip
    assert all(a.stop <= b.start for a, b in zip(words, words[1:], strict=False))


class _SwallowingVoice(ToneVoice):
    """Reads the second word as part of the third, as dictionaries do."""

    def synthesize(self, phrase: Phrase) -> Iterator[Speech]:
        for piece in super().synthesize(phrase):
            yield Speech(
                piece.samples,
                tuple(
                    Phoneme(p.ipa, p.start, p.stop, 2 if p.word == 1 else p.word)
                    for p in piece.phonemes or ()
                ),
            )


def test_a_word_without_sounds_of_its_own_is_shown_with_the_next_one() -> None:
    chunks = say(_SwallowingVoice(), Utterance(1, 0, "one of those days"))
    words = [word for chunk in chunks for word in chunk.words]
    shown = ["one of those days"[w.start_char : w.stop_char] for w in words]
    assert "".join(shown).replace(" ", "") == "oneofthosedays"
    assert all(a.start < b.start for a, b in zip(words, words[1:], strict=False))


def test_a_voice_without_times_gets_estimated_ones_that_close_at_p() -> None:
    chunks = say(ToneVoice(timed=False), Utterance(1, 0, "papa papa papa"))
    spans = [span for chunk in chunks for span in chunk.phonemes]
    assert spans
    assert all(span.estimated for span in spans)
    loud = np.abs(sound(chunks))
    for span in spans:
        if span.phoneme == "p":
            middle = (span.start + span.stop) // 2
            assert loud[middle - 240 : middle + 240].mean() < 0.1


def test_a_voice_that_fails_at_once_is_replaced_and_said_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    successor = ToneVoice()
    chunks = say([RaisingVoice(), successor])
    assert len(sound(chunks)) > 48_000
    assert successor.spoken
    assert [r.getMessage() for r in caplog.records] == [
        "raising voice: out of breath; the next voice takes over"
    ]
    assert "papa" not in caplog.text


def test_any_exception_of_a_plug_in_counts_as_its_failure() -> None:
    assert len(sound(say([RaisingVoice(error=ZeroDivisionError), ToneVoice()]))) > 48_000


def test_a_voice_that_fails_later_ends_the_utterance_and_is_rested(
    caplog: pytest.LogCaptureFixture,
) -> None:
    successor = ToneVoice()
    speaker = Speaker({"en": [RaisingVoice(after=2), successor]})
    chunks = list(speaker.speak(LINE))
    assert chunks[-1].final
    assert not successor.spoken
    assert "utterance 2 ends early" in caplog.text
    list(speaker.speak(LINE))
    assert successor.spoken


def test_a_voice_that_yields_nothing_is_replaced() -> None:
    assert len(sound(say([SilentVoice(), ToneVoice()]))) > 48_000


def test_a_hanging_voice_is_given_up_and_passed_over_while_it_hangs() -> None:
    slow, successor = SlowVoice(), ToneVoice()
    speaker = Speaker({"en": [slow, successor]}, deadline_s=0.05, busy_s=0.05)
    line = Utterance(1, 0, "hi")
    assert len(sound(list(speaker.speak(line)))) > 0
    assert len(sound(list(speaker.speak(line)))) > 0
    assert len(successor.spoken) == 2
    assert len(slow.spoken) <= 1
    slow.let_go.set()


def test_no_voice_at_all_is_an_error_that_names_every_reason() -> None:
    with pytest.raises(EngineError, match="out of breath; silent: yielded no sound"):
        say([RaisingVoice(), SilentVoice()])


def test_a_language_goes_to_a_voice_that_speaks_it_and_is_never_spelled() -> None:
    english, any_language = ToneVoice(languages=("en",)), ToneVoice()
    speaker = Speaker({"en": [english], "zh": [english, any_language]})
    list(speaker.speak(Utterance(1, 0, "你好", "zh")))
    assert not english.spoken
    assert any_language.spoken == ["你好"]


def test_a_language_nobody_planned_for_finds_a_voice_too() -> None:
    japanese = ToneVoice(languages=("ja",))
    speaker = Speaker({"en": [ToneVoice(languages=("en",))], "ja": [japanese]})
    list(speaker.speak(Utterance(1, 0, "こんばんは", "ja")))
    assert japanese.spoken
    with pytest.raises(EngineError, match="the voices speak en, ja"):
        list(speaker.speak(Utterance(1, 0, "bonjour", "fr")))


def test_an_utterance_of_nothing_but_emoji_is_one_empty_final_chunk() -> None:
    (chunk,) = say(ToneVoice(), Utterance(1, 0, "🎉🎉"))
    assert chunk.final
    assert not len(chunk.samples)


def test_closing_the_generator_closes_the_voice_and_frees_it() -> None:
    voice = ToneVoice()
    speaker = Speaker({"en": [voice]})
    stream = speaker.speak(LINE)
    next(iter(stream))
    stream.close()  # type: ignore[attr-defined]
    assert list(speaker.speak(LINE))[-1].final
    assert voice.closed == 2


def test_warming_needs_one_voice_a_language() -> None:
    Speaker({"en": [BrokenVoice(), ToneVoice()]}).warm()
    with pytest.raises(EngineError, match="no voice for 'en' works: broken voice"):
        Speaker({"en": [BrokenVoice()]}).warm()


def test_a_word_that_comes_again_is_made_once_and_belongs_to_its_new_turn() -> None:
    voice = ToneVoice()
    speaker = Speaker({"en": [voice]})
    first = list(speaker.speak(Utterance(1, 0, "Mika,"), keep=True))
    again = list(speaker.speak(Utterance(7, 2, "Mika,"), keep=True))
    assert len(voice.spoken) == 1
    assert {(c.turn_id, c.utterance) for c in again} == {(7, 2)}
    assert [c.start for c in again] == [c.start for c in first]
    assert again[-1].final
    np.testing.assert_allclose(  # it is kept in 16 bits
        np.concatenate([c.samples for c in again]), np.concatenate([c.samples for c in first]),
        atol=2**-15,
    )  # fmt: skip
    list(speaker.speak(Utterance(8, 0, "Mika,")))  # nobody asked for what was kept
    assert len(voice.spoken) == 2


def test_what_a_stand_in_has_said_is_not_kept() -> None:
    stand_in = ToneVoice()
    speaker = Speaker({"en": [BrokenVoice(), stand_in]})
    for turn in (1, 2):
        assert list(speaker.speak(Utterance(turn, 0, "Mika,"), keep=True))[-1].final
    assert len(stand_in.spoken) == 2


def test_no_more_than_so_many_words_are_kept() -> None:
    voice = ToneVoice()
    speaker = Speaker({"en": [voice]})
    for number in range(KEPT + 1):
        list(speaker.speak(Utterance(number, 0, f"word {number}"), keep=True))
    list(speaker.speak(Utterance(99, 0, "word 0"), keep=True))  # the oldest has gone
    assert len(voice.spoken) == KEPT + 2
