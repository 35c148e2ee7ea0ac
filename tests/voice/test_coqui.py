"""Coqui's package, played by a module of the same shape: the real one is heavy and optional."""

import sys
import types
from typing import Any

import numpy as np
import pytest

from dialogue.plugins import EngineError, EngineUnavailable
from voice.engines.coqui import CoquiVoice, timed
from voice.speech import Phoneme, Phrase
from voice.text import normalise

HOP, FRAMES = 256, 4
VOCABULARY = "_^$ ,.abcdefghijklmnopqrstuvwxyzˈː"
LINE = Phrase(normalise("papa ran.", "en"), "en")


class _Characters:
    def id_to_char(self, index: int) -> str:
        return "<PAD>" if index == 0 else VOCABULARY[index]


class _Model:
    """Like a VITS of the package: inference tells durations, synthesize throws them away."""

    def __init__(self, ipa: bool) -> None:
        self.length_scale = 1.0
        self.tokenizer = types.SimpleNamespace(use_phonemes=ipa, characters=_Characters())

    def inference(self, ids: Any, aux_input: Any = None) -> dict[str, Any]:
        count = max(1, round(FRAMES * self.length_scale))
        durations = np.full((1, 1, ids.shape[1]), float(count))
        sound = 0.3 * np.ones(ids.shape[1] * count * HOP)
        return {"model_outputs": sound, "durations": durations}


class FakeTTS:
    ipa = True
    fail = False

    def __init__(self, **options: Any) -> None:
        if options.get("model_name") == "tts_models/xx/none/none":
            raise KeyError("no such model")
        model = _Model(self.ipa)
        self.options = options
        self.synthesizer = types.SimpleNamespace(
            tts_model=model,
            output_sample_rate=22_050,
            tts_config=types.SimpleNamespace(audio={"hop_length": HOP}),
        )

    def tts(self, text: str, **options: Any) -> list[float]:
        if self.fail:
            raise RuntimeError("CUDA out of memory")
        ids = np.array([[VOCABULARY.index(ch) for ch in text]])
        made = self.synthesizer.tts_model.inference(ids, aux_input={})
        return [*made["model_outputs"].tolist(), *[0.0] * 10_000]


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> type[FakeTTS]:
    kind = type("TTS", (FakeTTS,), {})
    api = types.ModuleType("TTS.api")
    api.TTS = kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "TTS", types.ModuleType("TTS"))
    monkeypatch.setitem(sys.modules, "TTS.api", api)
    return kind


def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "TTS", None)
    with pytest.raises(EngineUnavailable, match=r"pip install 'bunraku\[coqui\]'"):
        CoquiVoice()


def test_an_unknown_model_is_unavailable(package: type[FakeTTS]) -> None:
    with pytest.raises(EngineUnavailable, match="cannot load tts_models/xx/none/none"):
        CoquiVoice(model="tts_models/xx/none/none")


def test_the_model_s_own_lengths_become_times(package: type[FakeTTS]) -> None:
    voice = CoquiVoice()
    pieces = list(voice.synthesize(LINE))
    length = sum(len(piece.samples) for piece in pieces)
    assert length == len("papa ran.") * FRAMES * HOP  # the package's padding is gone
    phonemes = pieces[0].phonemes
    assert phonemes is not None
    step = FRAMES * HOP
    assert phonemes[0] == Phoneme("p", 0, step, 0)
    assert [p.word for p in phonemes if p.ipa] == [0, 0, 0, 0, 1, 1, 1]
    assert phonemes[-1].stop == length
    assert all(piece.phonemes == () for piece in pieces[1:])


def test_a_model_without_ipa_gives_no_times(package: type[FakeTTS]) -> None:
    package.ipa = False
    assert all(piece.phonemes is None for piece in CoquiVoice().synthesize(LINE))


def test_pace_shortens_and_gain_scales(package: type[FakeTTS]) -> None:
    slow = sum(len(p.samples) for p in CoquiVoice().synthesize(LINE))
    fast = Phrase(LINE.words, "en", 2.0)
    pieces = list(CoquiVoice(gain_db=-6.0).synthesize(fast))
    assert sum(len(p.samples) for p in pieces) == slow / 2
    assert pieces[0].samples.max() == pytest.approx(0.3 * 10**-0.3, rel=1e-3)


def test_its_failure_is_an_engine_error_in_one_line(package: type[FakeTTS]) -> None:
    package.fail = True
    with pytest.raises(EngineError, match="coqui: CUDA out of memory"):
        list(CoquiVoice().synthesize(LINE))


def test_the_language_is_read_off_the_model_s_name(package: type[FakeTTS]) -> None:
    assert CoquiVoice(model="tts_models/zh-CN/baker/tacotron2").languages == ("zh",)
    assert CoquiVoice(languages=("de",)).languages == ("de",)


def test_marks_blanks_and_spaces_find_their_place() -> None:
    symbols = ["", "ˈ", "", "a", "", "ː", "", " ", "", "b", "", ".", ""]
    edges = list(range(0, 10 * (len(symbols) + 1), 10))
    assert timed(symbols, edges, 2) == (
        Phoneme("", 0, 30),
        Phoneme("aː", 30, 90, 0, 1),
        Phoneme("b", 90, 110, 1),
        Phoneme("", 110, 130),
    )
