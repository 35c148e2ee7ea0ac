"""Kokoro 82M: a neural voice for English, Chinese and Japanese, with its own phoneme durations.

The network is split in two on disk: a *front* (text encoder, durations, pitch: about a tenth of
the work) runs once an utterance, and a *back* (the vocoder) runs on windows, so that the first
sound is there before the rest is decoded. Windows are cut where the voice is silent or unvoiced,
because there the vocoder's sine source has no phase to keep; each is decoded with context on both
sides that is thrown away. Model: StyleTTS 2 with an iSTFTNet decoder (Kokoro-82M, Apache-2.0).
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dialogue.plugins import EngineError, EngineUnavailable
from voice import durations, g2p
from voice.speech import Phoneme, Phrase, Samples, Speech

FRAME = 600
"""Samples a frame of the duration model: 25 ms at 24 kHz."""

CONTEXT = 8
"""Frames decoded before and after a window and thrown away."""

FIRST = 12
"""Frames of the first window, at least: 300 ms."""

GROWTH = 2.0
"""Each window may be this much longer than the one before it."""

LONGEST = 64
"""Frames of a window, at most, before it is cut in a voiced sound too."""

MOST_TOKENS = 500
"""The model's limit is 510 with its two ends."""

_ASR = "/encoder/MatMul_1_output_0"
_F0 = "/encoder/Reshape_output_0"
_N = "/encoder/Reshape_1_output_0"
_DURATIONS = "/encoder/Clip_output_0"

EARLY = 1416
"""Samples (59 ms) by which the sound comes before the model's own durations: measured with the
acoustic aligner on nine lines (-59 ms en, -62 zh, -65 ja) and with the energy dips of stops."""


class KokoroVoice:
    """Speaks with one voice pack, or a blend of several, a language."""

    needs: ClassVar[Mapping[str, str]] = {"model": "kokoro-82m"}
    sample_rate = 24_000
    languages = ("ja", "en", "zh")

    def __init__(
        self,
        *,
        model: Path,
        cache: Path | None = None,
        voices: Mapping[str, str] | None = None,
        speed: float = 1.0,
        gain_db: float = 0.0,
        threads: int = 2,
    ) -> None:
        """Load the network.

        Args:
            model: the folder with `model.onnx`, `vocab.json` and `voices_ja.npz`.
            cache: where the split network is kept; None for beside the model.
            voices: language to voice pack, or to a blend such as
                "jf_tebukuro:0.6+jf_alpha:0.4".
            speed: of speech, 0.5..2.
            gain_db: constant gain.
            threads: of the network.

        Raises:
            EngineUnavailable: a file is missing, or a voice pack has another name.
        """
        try:
            self._vocab: dict[str, int] = json.loads((model / "vocab.json").read_text("utf-8"))[
                "vocab"
            ]
            packs = np.load(model / "voices_ja.npz")
        except OSError as error:
            raise EngineUnavailable(
                f"kokoro: {error.filename} is missing; run `bunraku models fetch kokoro-82m`"
            ) from None
        chosen = {"en": "jf_tebukuro", "zh": "jf_tebukuro", "ja": "jf_alpha", **(voices or {})}
        self._styles = {language: _blend(packs, recipe) for language, recipe in chosen.items()}
        self._speed = speed
        self._gain = 10 ** (gain_db / 20)
        front, back = _split(model / "model.onnx", cache or model / "derived")
        self._front = _session(front, threads)
        self._back = _session(back, threads)

    def warm(self) -> None:
        """Say a word to nobody."""
        from voice.text import normalise

        for _ in self.synthesize(Phrase(normalise("Hello there.", "en"), "en")):
            pass

    def synthesize(self, phrase: Phrase) -> Iterator[Speech]:
        """Yield windows of sound; the first carries every phoneme."""
        symbols = [
            token
            for token in durations.tokens(g2p.phonemise(phrase.words, phrase.language))
            if token.symbol in self._vocab
        ][:MOST_TOKENS]
        if not symbols:
            return
        ids = [self._vocab[token.symbol] for token in symbols]
        style = self._styles.get(phrase.language, self._styles["en"])[len(ids)]
        try:
            lengths, asr, f0, noise = self._front.run(
                [_DURATIONS, _ASR, _F0, _N],
                {
                    "tokens": np.array([[0, *ids, 0]], np.int64),
                    "style": style,
                    "speed": np.array([self._speed * phrase.pace], np.float32),
                },
            )
        except Exception as error:
            raise EngineError(f"kokoro: {error}") from error
        frames = np.asarray(lengths).reshape(-1).round().astype(int)
        total = int(frames.sum())
        # The model brackets an utterance with silence: a little stays, so that it starts early.
        lead, tail = max(0, int(frames[0]) - 1), max(0, int(frames[-1]) - 4)
        yield from self._decode(symbols, frames, lead, total - tail, asr, f0, noise, style)

    def close(self) -> None:
        """Free the network."""
        del self._front, self._back

    def _decode(
        self, symbols: list[durations.Token], frames: Any, begin: int, end: int,
        asr: Any, f0: Any, noise: Any, style: Any,
    ) -> Iterator[Speech]:  # fmt: skip
        edges = np.concatenate(([0], np.cumsum(frames)))
        lengths = [int(n) * FRAME for n in frames[1:-1]]
        offset = (int(edges[1]) - begin) * FRAME
        spoken = durations.phonemes(symbols, lengths, self.sample_rate, offset)
        stop = offset + sum(lengths)
        whole = (end - begin) * FRAME
        phonemes = (
            *((Phoneme("", 0, offset),) if offset else ()),
            *spoken,
            *((Phoneme("", stop, whole),) if whole > stop else ()),
        )
        pending: tuple[Phoneme, ...] | None = durations.corrected(
            phonemes, early=EARLY, sample_rate=self.sample_rate
        )
        quiet = _cuts(f0.reshape(-1), begin, end)
        for start, until in _windows(quiet, begin, end):
            left, right = max(0, start - CONTEXT), min(asr.shape[2], until + CONTEXT)
            try:
                (sound,) = self._back.run(
                    None,
                    {
                        _ASR: np.ascontiguousarray(asr[:, :, left:right]),
                        _F0: np.ascontiguousarray(f0[:, 2 * left : 2 * right]),
                        _N: np.ascontiguousarray(noise[:, 2 * left : 2 * right]),
                        "style": style,
                    },
                )
            except Exception as error:
                raise EngineError(f"kokoro: {error}") from error
            piece = np.asarray(sound, np.float32).reshape(-1)
            piece = piece[(start - left) * FRAME : (until - left) * FRAME] * self._gain
            if start == begin:
                _ramp(piece, 0.0, 1.0, 120)
            if until == end:
                _ramp(piece, 1.0, 0.0, 1200)
            yield Speech(np.clip(piece, -1, 1), pending or ())
            pending = None


def _ramp(sound: Samples, start: float, stop: float, length: int) -> None:
    """Fade the first (rising) or last (falling) `length` samples in place."""
    n = min(length, len(sound))
    curve = np.linspace(start, stop, n, dtype=np.float32)
    if stop > start:
        sound[:n] *= curve
    elif n:
        sound[-n:] *= curve


def _cuts(f0: Any, begin: int, end: int) -> list[int]:
    """Return frames at which nothing voiced sounds: there a window may end.

    `f0` has two values a frame, in hertz, near or below zero where unvoiced.
    """
    voiced = f0 > 20.0
    return [k for k in range(begin + 1, end) if not voiced[max(0, 2 * k - 1) : 2 * k + 1].any()]


def _windows(cuts: list[int], begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield windows that cover begin..end, growing, ending at cuts where there are any."""
    start, wanted = begin, float(FIRST)
    while start < end:
        earliest = start + int(wanted)
        if end - earliest < CONTEXT:
            yield start, end
            return
        later = [k for k in cuts if earliest <= k <= start + int(wanted) * 2]
        earlier = [k for k in cuts if start + FIRST // 2 <= k < earliest]
        stop = later[0] if later else earlier[-1] if earlier else earliest
        yield start, stop
        start, wanted = stop, min(LONGEST, wanted * GROWTH)


def _blend(packs: Any, recipe: str) -> Any:
    total: Any = 0.0
    for part in recipe.split("+"):
        name, _, weight = part.strip().partition(":")
        if name not in packs:
            raise EngineUnavailable(
                f"kokoro: no voice pack {name!r}; known: {', '.join(sorted(packs))}"
            )
        total = total + packs[name] * np.float32(weight or 1.0)
    return np.asarray(total, np.float32)


def _session(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # A waiting thread that spins would take the cores from the picture.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _split(model: Path, cache: Path) -> tuple[Path, Path]:
    """Cut the network after the encoder, once; returns front and back."""
    state = model.stat()
    mark = hashlib.sha256(f"2:{state.st_size}:{state.st_mtime_ns}".encode()).hexdigest()[:12]
    front, back = cache / f"kokoro-{mark}-front.onnx", cache / f"kokoro-{mark}-back.onnx"
    if front.exists() and back.exists():
        return front, back
    import onnx
    from onnx import helper

    graph = onnx.load(str(model))
    known = {value.name for value in graph.graph.value_info}
    for name, shape in ((_ASR, [1, 512, "t"]), (_F0, [1, "t2"]), (_N, [1, "t2"]),
                        (_DURATIONS, [1, "n"])):  # fmt: skip
        if name not in known:
            graph.graph.value_info.append(helper.make_tensor_value_info(name, 1, shape))
    extractor = onnx.utils.Extractor(graph)
    cache.mkdir(parents=True, exist_ok=True)
    for path, inputs, outputs in (
        (front, ["tokens", "style", "speed"], [_DURATIONS, _ASR, _F0, _N]),
        (back, [_ASR, _F0, _N, "style"], ["audio"]),
    ):
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        onnx.save(extractor.extract_model(inputs, outputs), str(part))
        part.replace(path)
    return front, back
