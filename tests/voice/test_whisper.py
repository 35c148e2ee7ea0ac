"""Whisper's features, guard and word times."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soxr

from dialogue.plugins import EngineUnavailable
from voice.engines.piper import PiperVoice
from voice.engines.whisper import BANDS, N_FFT, WhisperRecogniser, _mel_bank, _repeats
from voice.speech import Phrase
from voice.text import normalise


@pytest.mark.parametrize(
    ("ids", "going_round"),
    [
        ([1, 2, 3, 4, 5], False),
        ([1, 2, 1, 2, 1, 2], True),
        ([7, 7, 8, 9], False),
        ([1, 2, 3, 4, 5, 6, 1, 2, 3, 4], True),
        ([1, 2, 3, 9, 1, 2, 3], False),
        ([], False),
    ],
)
def test_going_round_in_circles_is_noticed(ids: list[int], going_round: bool) -> None:
    assert _repeats(ids) is going_round


def test_each_mel_band_is_a_triangle_of_its_own() -> None:
    bank = _mel_bank()
    assert bank.shape == (BANDS, N_FFT // 2 + 1)
    peaks = bank.argmax(axis=1)
    assert (np.diff(peaks) >= 0).all()
    assert (bank >= 0).all()
    assert (bank.sum(axis=1) > 0).all()


def test_a_folder_without_a_model_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="bunraku models fetch whisper-base"):
        WhisperRecogniser(model=tmp_path)


@pytest.mark.models
def test_words_are_timed_where_the_voice_said_them(
    models: Callable[[str], Path], tmp_path: Path
) -> None:
    voice = PiperVoice(model=models("piper-joe"), cache=tmp_path)
    text = "Please bring me the blue book from the table"
    pieces = list(voice.synthesize(Phrase(normalise(text, "en"), "en")))
    rate = voice.sample_rate
    said: dict[int, float] = {}
    for phoneme in pieces[0].phonemes or ():
        if phoneme.word >= 0:
            said.setdefault(phoneme.word, phoneme.start / rate)
    sound = soxr.resample(np.concatenate([p.samples for p in pieces]), rate, 16_000)
    ears = WhisperRecogniser(model=models("whisper-base"), languages=("en", "zh", "ja"))
    heard = ears.transcribe(sound)
    ears.close()
    assert heard.language == "en"
    assert " ".join(word.text for word in heard.words) == heard.text
    if [w.text.strip(".,").lower() for w in heard.words] == text.lower().split():
        late = [w.start_s - said[i] for i, w in enumerate(heard.words)]
        assert np.median(np.abs(late)) < 0.15
