"""eSpeak NG, where it is installed; how its answers are read, everywhere."""

import os
import shutil
import signal
from collections.abc import Iterator

import numpy as np
import pytest

from dialogue.plugins import EngineError, EngineUnavailable
from voice.engines.espeak import EspeakVoice, _phonemes, _symbols
from voice.speech import Phoneme, Phrase
from voice.text import normalise

installed = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")


@pytest.fixture
def voice() -> Iterator[EspeakVoice]:
    engine = EspeakVoice()
    yield engine
    engine.close()


def say(voice: EspeakVoice, text: str, language: str) -> tuple[Phoneme, ...]:
    pieces = list(voice.synthesize(Phrase(normalise(text, language), language)))
    phonemes = pieces[0].phonemes
    assert phonemes is not None
    assert phonemes[-1].stop == sum(len(piece.samples) for piece in pieces)
    return phonemes


@installed
def test_phonemes_have_their_words_and_their_times(voice: EspeakVoice) -> None:
    phonemes = say(voice, "hello my friend", "en")
    by_word = ["".join(p.ipa for p in phonemes if p.word == w and p.ipa) for w in range(3)]
    assert by_word == ["həloʊ", "maɪ", "fɹɛnd"]
    assert all(a.stop == b.start for a, b in zip(phonemes, phonemes[1:], strict=False))


@installed
@pytest.mark.parametrize(
    ("text", "language", "start"),
    [("你好", "zh", "ni"), ("今日は", "ja", "k"), ("ça va", "fr", "sa")],
)
def test_nothing_is_spelled_in_other_scripts(
    voice: EspeakVoice, text: str, language: str, start: str
) -> None:
    spoken = "".join(p.ipa for p in say(voice, text, language))
    assert spoken.startswith(start)
    assert len(spoken) < 4 * len(text)


@installed
def test_a_language_it_does_not_have_is_an_engine_error(voice: EspeakVoice) -> None:
    with pytest.raises(EngineError, match="no voice 'xx'"):
        list(voice.synthesize(Phrase(normalise("hi", "en"), "xx")))


@installed
def test_a_killed_worker_is_started_again(voice: EspeakVoice) -> None:
    assert voice._worker is not None
    os.kill(voice._worker.pid, signal.SIGKILL)
    voice._worker.wait(5)
    assert say(voice, "still here", "en")


def test_a_missing_library_names_how_to_install_it() -> None:
    with pytest.raises(EngineUnavailable, match="apt install espeak-ng"):
        EspeakVoice(library="no-such-library.so")


def test_events_become_spans_without_gaps() -> None:
    events = [("h", 100, 0), ("oʊ", 300, 0), ("", 700, 0), ("(en)", 800, 2), ("tʰ", 900, 2)]
    assert _phonemes(events, [0, 0, 1], 1200) == (
        Phoneme("", 0, 100),
        Phoneme("h", 100, 300, 0),
        Phoneme("o", 300, 500, 0),
        Phoneme("ʊ", 500, 700, 0),
        Phoneme("", 700, 900),
        Phoneme("tʰ", 900, 1200, 1),
    )


@pytest.mark.parametrize(
    ("written", "symbols"),
    [("s.", ["ʂ"]), ("aɪ", ["a", "ɪ"]), ("ˈɑː", ["ɑː"]), ("o̞", ["o"]), ("ph", ["pʰ"]), ("", [])],
)
def test_its_spelling_of_sounds_becomes_ipa(written: str, symbols: list[str]) -> None:
    assert _symbols(written) == symbols


def test_sound_is_scaled_by_a_constant() -> None:
    if shutil.which("espeak-ng") is None:
        pytest.skip("needs espeak-ng")
    phrase = Phrase(normalise("one two", "en"), "en")
    loud, soft = EspeakVoice(), EspeakVoice(gain_db=-6.0)
    a, b = (np.concatenate([p.samples for p in v.synthesize(phrase)]) for v in (loud, soft))
    loud.close()
    soft.close()
    assert np.abs(b).max() == pytest.approx(np.abs(a).max() * 10**-0.3, rel=1e-3)
