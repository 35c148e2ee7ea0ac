"""What every voice keeps: ours, those of installed plug-ins, and the test doubles.

An engine that cannot be made here must say why and what to do; that is checked instead.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dialogue import plugins
from dialogue.plugins import EngineError, EngineUnavailable
from tests.fake_speech_server import speech_server
from voice.engine import Voice
from voice.speech import Phoneme, Phrase, Samples, Speech, SpokenWord
from voice.text import normalise

LINES = {
    "en": "Hello there! What a lovely evening.",
    "zh": "你好，我们看星星吧。",
    "ja": "こんばんは、何の話をしましょうか。",
}
DOUBLES = ("tests.fakes:ToneVoice", "tests.fakes:WrongRateVoice")
NAMES = (*plugins.registered("tts"), *DOUBLES)
REMEDIES = ("install", "run `", "set ", "write ", "check ", "use ", "download")
MUST_WORK = {"kokoro", "piper", "openai-speech", *DOUBLES} | (
    {"espeak"} if shutil.which("espeak-ng") else set()
)
"""Engines that no missing package or program may excuse here."""

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def speech_address() -> Iterator[str]:
    with speech_server() as server:
        yield server.base_url


@pytest.fixture(scope="module", params=NAMES)
def voice(
    request: pytest.FixtureRequest,
    models: Callable[[str], Path],
    speech_address: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Voice | None]:
    """Make the engine; None once it has said properly why it cannot be made here."""
    name: str = request.param
    engine = plugins.load("tts", name)
    table: dict[str, Any] = {key: models(entry) for key, entry in engine.needs.items()}
    if "cache" in plugins.options(engine):
        table["cache"] = tmp_path_factory.getbasetemp() / "derived"
    if name == "openai-speech":
        table |= {"base_url": speech_address, "key_env": ""}
    try:
        made: Voice = plugins.create("tts", name, table)
    except EngineUnavailable as error:
        assert_excused(name in MUST_WORK, error)
        yield None
        return
    yield made
    _said.clear()
    made.close()


_said: dict[tuple[str, float], list[Speech]] = {}
"""What the current voice has said: networks are slow, and most tests look at the same lines."""


def say(voice: Voice, language: str, pace: float = 1.0) -> list[Speech]:
    if (language, pace) not in _said:
        _said[language, pace] = list(voice.synthesize(phrase(language, pace)))
    return _said[language, pace]


def assert_excused(must_work: bool, error: EngineUnavailable) -> None:
    assert not must_work, error
    assert_remedy(error)


def assert_remedy(error: EngineUnavailable) -> None:
    text = str(error)
    assert "\n" not in text
    assert any(word in text for word in REMEDIES), text


def phrase(language: str, pace: float = 1.0) -> Phrase:
    return Phrase(normalise(LINES[language], language), language, pace)


def languages(voice: Voice) -> list[str]:
    return [code for code in LINES if code in voice.languages or "*" in voice.languages]


def sound(pieces: list[Speech]) -> Samples:
    return np.concatenate([piece.samples for piece in pieces])


def test_it_is_a_voice(voice: Voice | None) -> None:
    if voice is None:
        return
    assert isinstance(voice, Voice)
    assert 8_000 <= voice.sample_rate <= 48_000
    assert voice.languages
    assert all(code == "*" or (code.isalpha() and len(code) <= 3) for code in voice.languages)
    voice.warm()


def test_its_sound_is_float32_mono_in_range_and_of_a_plausible_length(voice: Voice | None) -> None:
    if voice is None:
        return
    for language in languages(voice):
        pieces = say(voice, language)
        for piece in pieces:
            assert piece.samples.dtype == np.float32
            assert piece.samples.ndim == 1
        whole = sound(pieces)
        assert np.isfinite(whole).all()
        assert 0.02 < np.abs(whole).max() <= 1.0, language
        assert 0.4 < len(whole) / voice.sample_rate < 12.0, language


def test_phonemes_are_in_order_cover_the_sound_and_never_come_late(voice: Voice | None) -> None:
    if voice is None:
        return
    for language in languages(voice):
        at, known = 0, list[Phoneme]()
        words = phrase(language).words
        timed = None
        for piece in say(voice, language):
            timed = piece.phonemes is not None if timed is None else timed
            assert (piece.phonemes is not None) == timed
            new = piece.phonemes or ()
            assert all(p.start >= at for p in new), language
            known += new
            at += len(piece.samples)
        if not timed:
            assert not known
            continue
        assert known[0].start <= 1
        assert abs(known[-1].stop - at) <= 1
        for before, after in zip(known, known[1:], strict=False):
            assert before.stop == after.start
        for phoneme in known:
            assert phoneme.stop > phoneme.start
            assert -1 <= phoneme.word < len(words)
            assert (phoneme.word >= 0) == bool(phoneme.ipa)
            assert phoneme.stress in (0, 1, 2)
        spoken = [p.word for p in known if p.word >= 0]
        assert spoken == sorted(spoken)
        # A dictionary may read two words as one; then the second has no sounds of its own.
        assert len(set(spoken)) >= 0.7 * len(words), language


def test_loud_sound_has_a_phoneme_and_long_silence_has_none(voice: Voice | None) -> None:
    if voice is None:
        return
    language = languages(voice)[0]
    pieces = say(voice, language)
    if pieces[0].phonemes is None:
        return
    whole = np.abs(sound(pieces))
    phonemes = [p for piece in pieces for p in piece.phonemes or ()]
    loud = whole > 0.15 * whole.max()
    silent = np.ones(len(whole), bool)
    for phoneme in phonemes:
        if phoneme.ipa:
            silent[phoneme.start : phoneme.stop] = False
    assert (loud & silent).sum() < 0.03 * loud.sum()


def test_the_first_piece_comes_before_the_whole(voice: Voice | None) -> None:
    if voice is None:
        return
    for language in languages(voice):
        pieces = say(voice, language)
        assert len(pieces[0].samples) < 0.7 * len(sound(pieces))


def test_the_same_line_has_nearly_the_same_length_again(voice: Voice | None) -> None:
    if voice is None:
        return
    language = languages(voice)[0]
    once = len(sound(say(voice, language)))
    again = len(sound(list(voice.synthesize(phrase(language)))))
    assert abs(once - again) < 0.2 * max(once, again)  # networks may draw their rhythm


def test_a_quicker_pace_is_quicker(voice: Voice | None) -> None:
    if voice is None:
        return
    language = languages(voice)[0]
    usual = len(sound(say(voice, language)))
    quick = len(sound(say(voice, language, pace=1.5)))
    assert 0.4 * usual < quick < 0.9 * usual


def test_closing_after_the_first_piece_leaves_it_ready_for_the_next_line(
    voice: Voice | None,
) -> None:
    if voice is None:
        return
    language = languages(voice)[0]
    stream = voice.synthesize(phrase(language))
    next(iter(stream))
    stream.close()  # type: ignore[attr-defined]
    short = Phrase(phrase(language).words[:1], language)
    assert len(sound(list(voice.synthesize(short)))) > 0.1 * voice.sample_rate


@pytest.mark.parametrize("text", ["a", "...", "☃", "Ωμέγα", "x" * 9, "5!?", "\u0301"])
def test_odd_words_do_no_harm(voice: Voice | None, text: str) -> None:
    if voice is None:
        return
    word = SpokenWord(text, 0, len(text))
    with suppress(EngineError):  # to refuse is legal; anything else is not
        pieces = list(voice.synthesize(Phrase((word,), languages(voice)[0])))
        assert all(np.isfinite(piece.samples).all() for piece in pieces)


def test_nothing_to_say_is_no_sound_or_silence(voice: Voice | None) -> None:
    if voice is None:
        return
    pieces = list(voice.synthesize(Phrase((), languages(voice)[0])))
    assert sum(len(piece.samples) for piece in pieces) < voice.sample_rate


@pytest.mark.parametrize("name", plugins.registered("tts"))
def test_a_misspelt_key_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(EngineUnavailable, match="has no key 'spede'") as caught:
        plugins.create("tts", name, {"spede": 1})
    assert "did you mean" in str(caught.value) or "known:" in str(caught.value)


@pytest.mark.parametrize("name", plugins.registered("tts"))
def test_a_model_that_is_not_there_is_said_with_its_remedy(name: str, tmp_path: Path) -> None:
    needs = plugins.load("tts", name).needs
    for key in needs:
        with pytest.raises(EngineUnavailable) as caught:
            plugins.create("tts", name, {k: tmp_path / f"no-{k}" for k in needs})
        assert_remedy(caught.value)
        assert f"no-{key}" in str(caught.value)
