"""Piper's network (VITS): the fast English voice, with its own phoneme durations.

The model's text side is driven directly: symbols are mapped from our English G2P, so no GPL code
is needed. The graph gets one more output, the durations, and is cut after the latent so that the
waveform decoder runs on windows; the decoder is a plain convolution stack, so windows with enough
context give the very same samples as the whole. Model: Piper `joe` (see the catalogue).
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dialogue.plugins import EngineError, EngineUnavailable
from voice import durations, g2p, network
from voice.speech import Phoneme, Phrase, Speech

HOP = 256
"""Samples a latent frame: 11.6 ms at 22.05 kHz."""

FIRST = 24
"""Frames of the first window: 280 ms."""

GROWTH = 2.5
EARLY_S = 0.031
"""The sound comes this much before the model's own durations: measured with the acoustic aligner
on five lines."""

CONTEXT = 40
"""Frames on both sides of a window; more than the decoder's receptive field."""

_EXPAND = {
    "A": "eɪ", "I": "aɪ", "O": "oʊ", "W": "aʊ", "Y": "ɔɪ", "ʤ": "dʒ", "ʧ": "tʃ", "ᵊ": "ə",
    "T": "ɾ", "ɜ": "ɜː", "Q": "əʊ",
}  # fmt: skip
"""Single characters of our G2P to the espeak spelling that the voice was trained on."""


class PiperVoice:
    """Speaks English."""

    needs: ClassVar[Mapping[str, str]] = {"model": "piper-joe"}
    languages = ("en",)

    def __init__(
        self,
        *,
        model: Path,
        cache: Path | None = None,
        speed: float = 1.0,
        pitch: float = 1.0,
        gain_db: float = 0.0,
        threads: int = 2,
    ) -> None:
        """Load the network.

        Args:
            model: the folder with one `.onnx` and its `.onnx.json`.
            cache: where the split network is kept; None for beside the model.
            speed: of speech, 0.5..2.
            pitch: the voice is raised by this factor, by playing longer sound faster.
            gain_db: constant gain.
            threads: of the network.

        Raises:
            EngineUnavailable: no model in the folder.
        """
        found = sorted(model.glob("*.onnx"))
        if not found or not found[0].with_suffix(".onnx.json").exists():
            raise EngineUnavailable(
                f"piper: {model} holds no voice (.onnx and .onnx.json); "
                "run `bunraku models fetch piper-joe`"
            )
        settings = json.loads(found[0].with_suffix(".onnx.json").read_text("utf-8"))
        self._ids: dict[str, list[int]] = settings["phoneme_id_map"]
        self._scales = settings["inference"]
        self.sample_rate = round(settings["audio"]["sample_rate"] * pitch)
        self._stretch = pitch / speed
        self._gain = 10 ** (gain_db / 20)
        front, back, self._latent = _split(found[0], cache or model / "derived")
        self._front, self._back = network.load(front, threads), network.load(back, threads)
        self._giving_back = network.giving_back()

    def warm(self) -> None:
        """Say a word to nobody."""
        from voice.text import normalise

        for _ in self.synthesize(Phrase(normalise("Hello there.", "en"), "en")):
            pass

    def synthesize(self, phrase: Phrase) -> Iterator[Speech]:
        """Yield windows of sound; the first carries every phoneme."""
        spelled = durations.tokens(g2p.phonemise(phrase.words, "en"))
        symbols: list[durations.Token] = []
        for token in spelled:
            for ch in _EXPAND.get(token.symbol, token.symbol):
                if ch in self._ids:
                    symbols.append(durations.Token(ch, token.word))
        if not symbols:
            return
        ids = [*self._ids["^"], *self._ids["_"]]
        for token in symbols:
            ids += [*self._ids[token.symbol], *self._ids["_"]]
        ids += self._ids["$"]
        scales = np.array(
            [
                self._scales["noise_scale"],
                self._scales["length_scale"] * self._stretch / phrase.pace,
                self._scales["noise_w"],
            ],
            np.float32,
        )
        try:
            lengths, latent = self._front.run(
                None,
                {
                    "input": np.array([ids], np.int64),
                    "input_lengths": np.array([len(ids)], np.int64),
                    "scales": scales,
                },
                self._giving_back,
            )
        except Exception as error:
            raise EngineError(f"piper: {error}") from error
        frames = np.asarray(lengths).reshape(-1).astype(int)
        yield from self._decode(symbols, frames, latent)

    def close(self) -> None:
        """Free the network."""
        del self._front, self._back

    def _decode(self, symbols: list[durations.Token], frames: Any, latent: Any) -> Iterator[Speech]:
        # Ids are ^ _ (symbol _)... $: a symbol's own time is its frames and its blank's.
        head = int(frames[0] + frames[1])
        own = [int(frames[2 + 2 * i] + frames[3 + 2 * i]) for i in range(len(symbols))]
        begin, total = max(0, head - 3), int(frames.sum())
        offset = (head - begin) * HOP
        spoken = durations.phonemes(symbols, [n * HOP for n in own], self.sample_rate, offset)
        stop = offset + sum(own) * HOP
        whole = (total - begin) * HOP
        pending: tuple[Phoneme, ...] = (
            *((Phoneme("", 0, offset),) if offset else ()),
            *spoken,
            *((Phoneme("", stop, whole),) if whole > stop else ()),
        )
        pending = durations.corrected(
            pending, early=round(EARLY_S * self.sample_rate), sample_rate=self.sample_rate
        )
        start, wanted = begin, float(FIRST)
        while start < total:
            until = min(total, start + int(wanted))
            if total - until < FIRST:
                until = total
            left, right = max(0, start - CONTEXT), min(total, until + CONTEXT)
            try:
                (sound,) = self._back.run(
                    None,
                    {self._latent: np.ascontiguousarray(latent[:, :, left:right])},
                    self._giving_back if until == total else None,
                )
            except Exception as error:
                raise EngineError(f"piper: {error}") from error
            piece = np.asarray(sound, np.float32).reshape(-1)
            piece = piece[(start - left) * HOP : (until - left) * HOP] * self._gain
            if start == begin:
                network.ramp(piece, 0.0, 1.0, 110)
            if until == total:
                network.ramp(piece, 1.0, 0.0, 1100)
            if pending:
                pending = durations.settled(pending, piece, sample_rate=self.sample_rate)
            yield Speech(np.clip(piece, -1, 1), pending)
            pending = ()
            start, wanted = until, wanted * GROWTH


def _split(model: Path, cache: Path) -> tuple[Path, Path, str]:
    """Cut the network before the waveform decoder, once; returns front, back and the cut's name."""
    import onnx

    state = model.stat()
    mark = hashlib.sha256(f"1:{state.st_size}:{state.st_mtime_ns}".encode()).hexdigest()[:12]
    front, back = cache / f"piper-{mark}-front.onnx", cache / f"piper-{mark}-back.onnx"
    name = cache / f"piper-{mark}.txt"
    if front.exists() and back.exists() and name.exists():
        return front, back, name.read_text("utf-8")
    from onnx import helper

    graph = onnx.load(str(model))
    counts = [n.output[0] for n in graph.graph.node if n.op_type == "Ceil"]
    entry = next(n for n in graph.graph.node if n.name.startswith("/dec/conv_pre"))
    latent = entry.input[0]
    known = {value.name for value in graph.graph.value_info}
    for value, shape in ((counts[0], [1, 1, "n"]), (latent, [1, "c", "t"])):
        if value not in known:
            graph.graph.value_info.append(helper.make_tensor_value_info(value, 1, shape))
    extractor = onnx.utils.Extractor(graph)
    cache.mkdir(parents=True, exist_ok=True)
    for path, inputs, outputs in (
        (front, ["input", "input_lengths", "scales"], [counts[0], latent]),
        (back, [latent], [graph.graph.output[0].name]),
    ):
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        onnx.save(extractor.extract_model(inputs, outputs), str(part))
        part.replace(path)
    name.write_text(latent, "utf-8")
    return front, back, latent
