"""Whisper on CTranslate2: speech to text in many languages, with a short context for short clips.

Whisper always looks at 30 s of sound; feeding it only the clip and 4 s of silence is some five
times less work. That makes it repeat itself now and then, so each short result is guarded (tokens a
second, repeated groups of tokens) and decoded again with more silence when it fails. Features
follow the published recipe: log-mel at 16 kHz, 400-point FFT, hop 160, 80 bands (Radford 2022).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dialogue.plugins import EngineError, EngineUnavailable
from voice.engine import HeardWord, Transcript
from voice.speech import Samples

N_FFT = 400
HOP = 160
BANDS = 80
WINDOW_S = 30
FRAMES = WINDOW_S * 16_000 // HOP  # 3000
PADS_S = (4.0, 8.0, 30.0)
"""Silence after a short clip, and after one on which the model repeated itself. Of 20 synthetic
lines it repeated itself on 5 with 2 s, 2 with 3 s, 1 with 4 s, none with 7 s; the word error rate
of the rest was 9.9, 7.6, 5.2 and 4.9 %, and 1.9 % over the full window at five times the work."""

FRAME_S = 0.02
"""One step of the encoder."""

NO_SPACES = ("zh", "ja", "th", "lo", "my", "yue")
"""Languages written without spaces: each token counts as a word."""

QUIET = 10 ** (-55 / 20)
"""Louder than this somewhere, or it is silence and nothing is transcribed."""


class WhisperRecogniser:
    """Transcribes up to 30 s at a time."""

    needs: ClassVar[Mapping[str, str]] = {"model": "whisper-base"}
    sample_rate = 16_000

    def __init__(
        self,
        *,
        model: Path,
        threads: int = 2,
        beam: int = 1,
        languages: Sequence[str] = (),
        word_times: bool = True,
    ) -> None:
        """Load the network.

        Args:
            model: a folder in CTranslate2's format with `tokenizer.json`.
            threads: of the network.
            beam: width of the search; 1 is fastest.
            languages: ISO 639-1 codes that are detected; empty for any that it knows.
            word_times: whether words get their times; costs one more pass of the decoder.

        Raises:
            EngineUnavailable: a file is missing.
        """
        import ctranslate2
        import tokenizers

        vocabulary = model / "tokenizer.json"
        if not vocabulary.exists() or not (model / "model.bin").exists():
            raise EngineUnavailable(
                f"whisper: {model} has no model; run `bunraku models fetch whisper-base`"
            )
        self._tokens = tokenizers.Tokenizer.from_file(str(vocabulary))
        self._network = ctranslate2.models.Whisper(
            str(model), device="cpu", compute_type="int8", intra_threads=threads, inter_threads=1
        )
        self._bank = _mel_bank()
        self._beam = beam
        self._languages = tuple(languages)
        self._word_times = word_times
        self._storage = ctranslate2.StorageView

    def transcribe(self, samples: Samples, language: str | None = None) -> Transcript:
        """Return what is said; see `voice.engine.Recogniser`."""
        sound = np.asarray(samples, np.float32)
        if len(sound) > WINDOW_S * self.sample_rate:
            raise EngineError(f"whisper: {len(sound) / 16_000:.0f} s at once; at most 30 s")
        if len(sound) < 1600 or float(np.abs(sound).max(initial=0.0)) < QUIET:
            return Transcript("", language or "")
        length_s = len(sound) / self.sample_rate
        most = int(7 * length_s + 10)
        try:
            for pad_s in PADS_S:
                frames = min(FRAMES, int((length_s + pad_s) * 100))
                encoded = self._encode(self._features(sound, frames))
                spoken = language or self._detect(encoded)
                ids = self._decode(encoded, spoken, 200 if frames == FRAMES else most)
                if frames == FRAMES or not (len(ids) >= most or _repeats(ids)):
                    break
            words = self._align(encoded, spoken, ids, frames, length_s)
        except RuntimeError as error:
            raise EngineError(f"whisper: {error}") from error
        return Transcript(self._tokens.decode(ids).strip(), spoken, words)

    def close(self) -> None:
        """Free the network."""
        del self._network

    def _encode(self, features: Any) -> Any:
        return self._network.encode(self._storage.from_array(features[None]))

    def _detect(self, encoded: Any) -> str:
        found = [str(name).strip("<|>") for name, _ in self._network.detect_language(encoded)[0]]
        allowed = [name for name in found if not self._languages or name in self._languages]
        if not allowed:
            raise EngineError(
                f"whisper: knows none of the languages {', '.join(self._languages)}; name others"
            )
        return allowed[0]

    def _decode(self, encoded: Any, language: str, most: int) -> list[int]:
        start = self._start(language)
        result = self._network.generate(
            encoded, [start], beam_size=self._beam, max_length=min(448, most + len(start)),
            suppress_blank=True, repetition_penalty=1.0,
        )[0]  # fmt: skip
        end = self._tokens.token_to_id("<|endoftext|>")
        return [token for token in result.sequences_ids[0] if token < end]

    def _start(self, language: str) -> list[int]:
        prompt = ["<|startoftranscript|>", f"<|{language}|>", "<|transcribe|>", "<|notimestamps|>"]
        ids = [self._tokens.token_to_id(token) for token in prompt]
        known = [token for token in ids if token is not None]
        if len(known) < len(ids):
            raise EngineError(f"whisper: does not know the language {language!r}")
        return known

    def _align(
        self, encoded: Any, language: str, ids: list[int], frames: int, length_s: float
    ) -> tuple[HeardWord, ...]:
        """Return the words with their times, from the decoder's attention to the sound."""
        if not self._word_times or not ids:
            return ()
        start = self._start(language)[:3]
        (found,) = self._network.align(encoded, start, [ids], [frames // 2], median_filter_width=7)
        first: dict[int, float] = {}
        for token, frame in found.alignments:
            first.setdefault(token, min(frame * FRAME_S, length_s))
        words: list[HeardWord] = []
        group: list[int] = []
        begun = 0
        for index, token in enumerate([*ids, None]):
            text = self._tokens.decode(group)
            following = "" if token is None else self._tokens.decode([token])
            whole = bool(text.strip()) and "\ufffd" not in text
            if whole and (token is None or following.startswith(" ") or language in NO_SPACES):
                begin = first.get(begun, length_s)
                end = first.get(index, length_s) if token is not None else length_s
                words.append(HeardWord(text.strip(), begin, max(begin, end)))
                group = []
            if not group:
                begun = index
            if token is not None:
                group.append(token)
        return tuple(words)

    def _features(self, sound: Samples, frames: int) -> Any:
        """Return log-mel features, shape (80, frames), silence after the sound."""
        padded = np.zeros(frames * HOP + N_FFT, np.float32)
        n = min(len(sound), frames * HOP)
        padded[N_FFT // 2 : N_FFT // 2 + n] = sound[:n]
        padded[: N_FFT // 2] = sound[1 : N_FFT // 2 + 1][::-1]  # the recipe reflects the edge
        window = np.hanning(N_FFT + 1)[:-1].astype(np.float32)
        pieces = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP][:frames]
        power = np.abs(np.fft.rfft(pieces * window, axis=1)) ** 2
        mel = np.log10(np.maximum(self._bank @ power.T, 1e-10))
        mel = np.maximum(mel, mel.max() - 8.0)
        return np.ascontiguousarray((mel + 4.0) / 4.0, np.float32)


def _mel_bank() -> Any:
    """Return the 80 triangular mel filters over 201 FFT bins (Slaney's scale, area normalised)."""

    def to_mel(hz: Any) -> Any:
        hz = np.asarray(hz, float)
        return np.where(
            hz < 1000, hz * 3 / 200, 15 + np.log(np.maximum(hz, 1) / 1000) * 27 / np.log(6.4)
        )

    def to_hz(mel: Any) -> Any:
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (mel - 15)))

    bins = np.linspace(0, 8000, N_FFT // 2 + 1)
    edges = to_hz(np.linspace(to_mel(0), to_mel(8000), BANDS + 2))
    rise = (bins[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins[None]) / (edges[2:] - edges[1:-1])[:, None]
    bank = np.maximum(0, np.minimum(rise, fall)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    return bank.astype(np.float32)


def _repeats(ids: list[int]) -> bool:
    """Tell whether tokens go round in circles.

    A group of 2 to 6 three times in a row, or any run of 4 that comes back: what is said twice on
    purpose survives the second look over the full window.
    """
    for size in range(2, 7):
        for at in range(len(ids) - 3 * size + 1):
            group = ids[at : at + size]
            if ids[at + size : at + 2 * size] == group == ids[at + 2 * size : at + 3 * size]:
                return True
    runs = [tuple(ids[at : at + 4]) for at in range(len(ids) - 3)]
    return len(set(runs)) < len(runs)
