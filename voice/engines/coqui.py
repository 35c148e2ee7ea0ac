"""Coqui TTS (package `coqui-tts`, extra `coqui`): many open models behind one Python interface.

Heavy (torch) and not installed by default. VITS models tell the length of each input symbol, which
gives exact phoneme times where the model's symbols are IPA; of others the times are estimated.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from dialogue.plugins import EngineError, EngineUnavailable
from voice.speech import Phoneme, Phrase, Samples, Speech

PIECE_S = 0.2
"""Length of a yielded piece."""

REMEDY = "run `pip install 'bunraku[coqui]'`"

_MODIFIERS = "ːˑʰʲ̩̯̃"
_PUNCTUATION = frozenset(",.!?;:…—")
_STRESS = {"ˈ": 1, "ˌ": 2}


class CoquiVoice:
    """Speaks with one model of Coqui's catalogue, or with files of your own."""

    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        *,
        model: str = "tts_models/en/ljspeech/vits",
        model_path: str = "",
        config_path: str = "",
        speaker: str = "",
        speaker_wav: str = "",
        languages: Sequence[str] = (),
        speed: float = 1.0,
        gain_db: float = 0.0,
        gpu: bool = False,
    ) -> None:
        """Load the model; the package downloads it the first time.

        Args:
            model: name in Coqui's catalogue.
            model_path: a checkpoint of your own instead.
            config_path: its configuration.
            speaker: name, for models with several.
            speaker_wav: sound to clone, for models that can; only voices you may use.
            languages: ISO 639-1 codes; empty for what the model's name or the model says.
            speed: of speech, 0.5..2, where the model can.
            gain_db: constant gain.
            gpu: run on CUDA.

        Raises:
            EngineUnavailable: the package is missing or broken, or has no such model.
        """
        try:
            from TTS.api import TTS
        except Exception as error:  # its own imports fail in many ways
            raise EngineUnavailable(
                f"coqui: the package coqui-tts cannot be used ({_line(error)}); {REMEDY}"
            ) from error
        try:
            if model_path:
                self._tts = TTS(model_path=model_path, config_path=config_path, progress_bar=False)
            else:
                self._tts = TTS(model_name=model, progress_bar=False)
            if gpu:
                self._tts.to("cuda")
        except Exception as error:
            raise EngineUnavailable(
                f"coqui: cannot load {model_path or model} ({_line(error)}); check its name with "
                "`tts --list_models` and the network"
            ) from error
        synthesizer = self._tts.synthesizer
        self.sample_rate = int(synthesizer.output_sample_rate)
        own = [str(code).split("-")[0] for code in (getattr(self._tts, "languages", None) or ())]
        named = model.split("/")[1].split("-")[0] if not model_path and "/" in model else "en"
        self.languages = tuple(languages) or tuple(own) or (named,)
        self._many = len(own) > 1
        self._hop = _hop(synthesizer)
        self._last: tuple[list[str], Any] | None = None
        """Symbols and their lengths in frames, of the last run of a model that tells them."""
        self._listen(synthesizer.tts_model)
        self._speaker, self._speaker_wav = speaker, speaker_wav
        self._speed = speed
        self._gain = np.float32(10 ** (gain_db / 20))

    def warm(self) -> None:
        """Say a word to nobody."""
        self._sound("Hello.", self.languages[0], 1.0)

    def synthesize(self, phrase: Phrase) -> Iterator[Speech]:
        """Yield the phrase in pieces of 200 ms, once all of it is made."""
        sound = self._sound(phrase.text, phrase.language, phrase.pace)
        phonemes = self._times(len(phrase.words), len(sound))
        step = round(PIECE_S * self.sample_rate)
        for start in range(0, len(sound), step):
            yield Speech(sound[start : start + step], phonemes)
            phonemes = () if phonemes is not None else None

    def close(self) -> None:
        """Free the model."""
        del self._tts

    def _listen(self, model: Any) -> None:
        """Keep what the model's inference tells about lengths, which its callers throw away."""
        inference = getattr(model, "inference", None)
        tokenizer: Any = getattr(model, "tokenizer", None)
        if inference is None or not getattr(tokenizer, "use_phonemes", False):
            return

        def listening(ids: Any, *arguments: Any, **named: Any) -> Any:
            made = inference(ids, *arguments, **named)
            lengths = made.get("durations") if isinstance(made, dict) else None
            if lengths is not None:
                symbols = [_symbol(tokenizer.characters, int(i)) for i in _flat(ids)]
                self._last = symbols, _flat(lengths)
            return made

        model.inference = listening

    def _sound(self, text: str, language: str, pace: float) -> Samples:
        options: dict[str, Any] = {"split_sentences": False}
        if self._many:
            options["language"] = language
        if self._speaker:
            options["speaker"] = self._speaker
        if self._speaker_wav:
            options["speaker_wav"] = self._speaker_wav
        speed = self._speed * pace
        model = self._tts.synthesizer.tts_model
        if hasattr(model, "length_scale"):
            model.length_scale = 1.0 / speed
        elif speed != 1.0:
            options["speed"] = speed
        self._last = None
        try:
            made = self._tts.tts(text=text, **options)
        except Exception as error:
            raise EngineError(f"coqui: {_line(error)}") from error
        sound: Samples = np.asarray(made, np.float32).reshape(-1)
        heard = np.flatnonzero(sound)  # the package appends zeros for a pause; pauses are ours
        sound = sound[: int(heard[-1]) + 1 if len(heard) else 0]
        clipped: Samples = np.clip(sound * self._gain, -1.0, 1.0)
        return clipped

    def _times(self, words: int, length: int) -> tuple[Phoneme, ...] | None:
        """Return exact times if the model told its lengths and they fit the sound, else None."""
        if self._last is None or not self._hop:
            return None
        symbols, frames = self._last
        edges = np.concatenate([[0], np.cumsum(frames)]) * self._hop
        if len(symbols) != len(frames) or abs(int(edges[-1]) - length) > 4 * self._hop:
            return None
        edges = np.minimum(edges, length).astype(int)
        edges[-1] = length
        return timed(symbols, edges.tolist(), words)


def timed(symbols: Sequence[str], edges: Sequence[int], words: int) -> tuple[Phoneme, ...]:
    """Return phonemes from a model's symbols and the samples between which each lies.

    Args:
        symbols: IPA, stress and length marks, punctuation, spaces, and whatever the model pads
            with.
        edges: one more than symbols; rising.
        words: how many words are spoken; symbols after the last space belong to the last one.
    """
    found: list[Phoneme] = []
    word, stress, begun = 0, 0, False
    for symbol, start, stop in zip(symbols, edges[:-1], edges[1:], strict=True):
        if symbol in _STRESS:
            stress = _STRESS[symbol]
        if symbol == " " and begun:
            word, begun = min(word + 1, words - 1), False
        sounds = symbol.isalpha() and symbol not in _MODIFIERS and symbol not in _STRESS
        last = found[-1] if found else None
        if sounds:
            found.append(Phoneme(symbol, start, stop, word, stress))
            stress, begun = 0, True
        elif last is not None and last.ipa and symbol not in _PUNCTUATION:
            ipa = last.ipa + (symbol if symbol in _MODIFIERS else "")
            found[-1] = Phoneme(ipa, last.start, stop, last.word, last.stress)
        elif last is not None and not last.ipa:
            found[-1] = Phoneme("", last.start, stop)
        else:
            found.append(Phoneme("", start, stop))
    return tuple(p for p in found if p.stop > p.start)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


def _flat(tensor: Any) -> Any:
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu().numpy()
    return np.asarray(tensor).reshape(-1)


def _symbol(characters: Any, index: int) -> str:
    """Return the character with this number; "" for blanks, padding and unknown ones."""
    try:
        symbol = str(characters.id_to_char(index))
    except (KeyError, IndexError):
        return ""
    return symbol if len(symbol) == 1 else ""


def _hop(synthesizer: Any) -> int:
    """Return samples a frame of the model's lengths; 0 where unknown."""
    audio: Any = getattr(getattr(synthesizer, "tts_config", None), "audio", None)
    try:
        return int(audio["hop_length"])
    except (TypeError, KeyError, ValueError):
        return int(getattr(audio, "hop_length", 0) or 0)
