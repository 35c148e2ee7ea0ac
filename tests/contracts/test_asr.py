"""What every recogniser keeps."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dialogue import plugins
from dialogue.plugins import EngineError, EngineUnavailable
from tests.contracts.test_tts import assert_excused, assert_remedy
from voice.engine import Recogniser, Transcript, Voice
from voice.speech import Phrase, Samples
from voice.text import normalise

MUST_WORK = {"whisper"}
SAID = "Good evening everyone. Please bring me the blue book from the table."

pytestmark = pytest.mark.models


@pytest.fixture(scope="module", params=plugins.registered("asr"))
def recogniser(
    request: pytest.FixtureRequest, models: Callable[[str], Path]
) -> Iterator[Recogniser | None]:
    """Make the engine; None once it has said properly why it cannot be made here."""
    name: str = request.param
    engine = plugins.load("asr", name)
    table: dict[str, Any] = {key: models(entry) for key, entry in engine.needs.items()}
    try:
        made: Recogniser = plugins.create("asr", name, table)
    except EngineUnavailable as error:
        assert_excused(name in MUST_WORK, error)
        yield None
        return
    yield made
    made.close()


@pytest.fixture(scope="module")
def speech(models: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """Return `SAID` in the English voice, at 16 kHz."""
    import soxr

    table = {"model": models("piper-joe"), "cache": tmp_path_factory.getbasetemp() / "derived"}
    voice: Voice = plugins.create("tts", "piper", table)
    pieces = voice.synthesize(Phrase(normalise(SAID, "en"), "en"))
    sound = np.concatenate([piece.samples for piece in pieces])
    rate = voice.sample_rate
    voice.close()
    heard: Samples = soxr.resample(sound, rate, 16_000)
    return heard


def at_rate(recogniser: Recogniser, sound: Samples) -> Samples:
    import soxr

    heard: Samples = soxr.resample(sound, 16_000, recogniser.sample_rate)
    return heard


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def errors(heard: list[str], said: list[str]) -> int:
    """Return the least number of words to add, drop or change."""

    @cache
    def distance(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        change = distance(i - 1, j - 1) + (heard[i - 1] != said[j - 1])
        return min(change, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    return distance(len(heard), len(said))


def test_it_is_a_recogniser(recogniser: Recogniser | None) -> None:
    if recogniser is None:
        return
    assert isinstance(recogniser, Recogniser)
    assert 8_000 <= recogniser.sample_rate <= 48_000


@pytest.mark.parametrize("language", [None, "en"])
def test_it_understands_a_clear_sentence(
    recogniser: Recogniser | None, speech: Samples, language: str | None
) -> None:
    if recogniser is None:
        return
    heard = recogniser.transcribe(at_rate(recogniser, speech), language)
    assert isinstance(heard, Transcript)
    assert heard.language == "en"
    assert heard.text == heard.text.strip()
    assert errors(words(heard.text), words(SAID)) <= 2, heard.text
    for word in heard.words:
        assert -1.0 <= word.start_s <= word.stop_s <= len(speech) / 16_000 + 0.1


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_silence_is_nothing(recogniser: Recogniser | None, level: float) -> None:
    if recogniser is None:
        return
    noise = np.random.default_rng(7).normal(0, level, 2 * recogniser.sample_rate)
    assert recogniser.transcribe(noise.astype(np.float32)).text == ""


@pytest.mark.parametrize("length", [0, 1, 100])
def test_a_crumb_of_sound_is_nothing(recogniser: Recogniser | None, length: int) -> None:
    if recogniser is None:
        return
    assert recogniser.transcribe(np.full(length, 0.5, np.float32)).text == ""


def test_a_long_sound_is_refused_in_one_line(recogniser: Recogniser | None) -> None:
    if recogniser is None:
        return
    with pytest.raises(EngineError, match="at most 30 s") as caught:
        recogniser.transcribe(np.zeros(31 * recogniser.sample_rate, np.float32))
    assert "\n" not in str(caught.value)


def test_an_unknown_language_is_refused_in_one_line(
    recogniser: Recogniser | None, speech: Samples
) -> None:
    if recogniser is None:
        return
    with pytest.raises(EngineError, match="'tlh'"):
        recogniser.transcribe(at_rate(recogniser, speech), "tlh")


@pytest.mark.parametrize("name", plugins.registered("asr"))
def test_a_missing_model_is_said_with_its_remedy(name: str, tmp_path: Path) -> None:
    needs = plugins.load("asr", name).needs
    if needs:
        with pytest.raises(EngineUnavailable) as caught:
            plugins.create("asr", name, {key: tmp_path / "absent" for key in needs})
        assert_remedy(caught.value)
