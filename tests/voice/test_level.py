"""Every voice is brought to one loudness, by a constant that is measured once."""

from pathlib import Path

import numpy as np
import pytest

from dialogue.messages import Utterance
from dialogue.plugins import EngineError
from tests.fakes import BrokenVoice, ToneVoice
from voice import level, loudness
from voice.level import Levels
from voice.speaker import Speaker

LINE = Utterance(1, 0, "Banana papaya, a boa, an iguana.", "en")


def test_two_voices_of_different_strength_are_heard_alike(tmp_path: Path) -> None:
    class Faint(ToneVoice):
        def _tone(self, letter: str, length: int) -> np.ndarray:
            return super()._tone(letter, length) * np.float32(0.1)

    measured = []
    for number, voice in enumerate((ToneVoice(), Faint())):
        levels = Levels(tmp_path / "levels.json")
        speaker = Speaker({"en": [voice]}, levels=levels, names={id(voice): f"tone {number}"})
        speaker.warm()
        chunks = list(speaker.speak(LINE))
        assert len({chunk.gain for chunk in chunks}) == 1  # one constant, no pumping
        heard = np.concatenate([chunk.samples * chunk.gain for chunk in chunks])
        measured.append(loudness.integrated(heard))
    assert measured[0] == pytest.approx(measured[1], abs=0.1)
    assert measured[0] == pytest.approx(loudness.TARGET_LUFS, abs=2)  # by other words than these


def test_a_voice_is_measured_once_and_the_result_kept(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "levels.json"
    asked: list[int] = []

    def work() -> float:
        asked.append(1)
        return -22.0

    Levels(path).learn("mine", "en", work)
    again = Levels(path)
    again.learn("mine", "en", work)
    assert asked == [1]
    assert again.gain("mine", "en") == pytest.approx(10 ** (6 / 20))
    assert again.gain("mine", "ja") == 1.0
    assert again.gain("other", "en") == 1.0


def test_a_kept_file_that_is_broken_is_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / "levels.json"
    path.write_text('["nonsense"', "utf-8")
    assert Levels(path).gain("mine", "en") == 1.0


def test_a_voice_that_cannot_be_measured_speaks_as_it_is(tmp_path: Path) -> None:
    levels = Levels(tmp_path / "levels.json")

    def work() -> float:
        raise EngineError("no")

    levels.learn("mine", "en", work)
    assert levels.gain("mine", "en") == 1.0
    with pytest.raises(EngineError):
        level.measure(BrokenVoice(), "en")


def test_no_voice_is_made_louder_without_end(tmp_path: Path) -> None:
    levels = Levels()
    levels.learn("whisper", "en", lambda: -65.0)
    assert levels.gain("whisper", "en") == pytest.approx(10 ** (level.MOST_DB / 20))
    levels.learn("nobody", "en", lambda: loudness.SILENT_LUFS)
    assert levels.gain("nobody", "en") == 1.0


def test_a_voice_is_known_by_its_engine_and_what_it_was_told() -> None:
    assert level.key("kokoro", {}) == "kokoro"
    assert level.key("kokoro", {"b": 1, "a": "日"}) == 'kokoro {"a": "日", "b": 1}'


def test_the_default_voices_are_measured_already() -> None:
    levels = Levels()
    for language in ("en", "zh", "ja"):
        assert levels.gain("kokoro", language) != 1.0
