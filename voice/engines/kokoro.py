"""Kokoro 82M: a neural voice for English, Chinese and Japanese, with its own phoneme durations.

The network is split in three on disk: a *front* (text encoder, durations, pitch) runs once an
utterance, a *middle* (the decoder at frame rate, a tenth of the work) twice, for the beginning and
for the rest, and a *back* (the vocoder) on windows, so that the first sound is there before the
rest is decoded. Windows are cut where the voice is silent or unvoiced, because there the vocoder's
sine source has no phase to keep; each is decoded with context that is thrown away.

Middle and back are full of instance normalisation, which wants the mean and variance of the whole
utterance. A window alone has others, and sounds rougher (8.2 % of English words misheard, against
4.5 % for the whole utterance at once). So each normalisation takes in what it has seen before: of
this utterance, and of a few sample sentences that were measured once (`_Seen`). Model: StyleTTS 2
with an iSTFTNet decoder (Kokoro-82M, Apache-2.0).
"""

import hashlib
import json
import logging
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dialogue.plugins import EngineError, EngineUnavailable
from voice import durations, g2p, network
from voice.speech import Phoneme, Phrase, Speech

_log = logging.getLogger(__name__)

FRAME = 600
"""Samples a frame of the duration model: 25 ms at 24 kHz."""

CONTEXT = 2
"""Frames that the back decodes before and after a window and throws away."""

REACH = 8
"""The same for the middle."""

FIRST = 8
"""Frames of the first window, at least: 200 ms."""

GROWTH = 1.4
"""Each window may be this much longer than the one before it."""

TAIL = 8
"""A window that would leave fewer frames than this takes them too."""

LONGEST = 40
"""Frames of a window, at most, before it is cut in a voiced sound too."""

MOST_TOKENS = 500
"""The model's limit is 510 with its two ends."""

VOICE = "jf_tebukuro:0.7+jf_gongitsune:0.3"
"""One voice for all three languages; of the packs and blends tried, the best understood
(docs/voices.md)."""

MEMORY = 400
"""Frames for which the statistics of the sample sentences count at the start of an utterance."""

_SAMPLES = {
    "en": (
        "Hello there, how are you today?",
        "I was just counting the raindrops on my window, and then the thunder came!",
    ),
    "zh": ("大家好，今天过得怎么样？", "我刚才一直在数窗户上的雨滴，然后就打雷了！"),
    "ja": ("こんにちは、今日はどうでしたか。", "窓の雨粒を数えていたら、急に雷が鳴りました！"),
}

_ASR = "/encoder/MatMul_1_output_0"
_F0 = "/encoder/Reshape_output_0"
_N = "/encoder/Reshape_1_output_0"
_FEATURES = "/decoder/decoder/decode.3/Div_4_output_0"
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
        chosen = {**dict.fromkeys(("en", "zh", "ja"), VOICE), **(voices or {})}
        self._styles = {language: _blend(packs, recipe) for language, recipe in chosen.items()}
        self._speed = speed
        self._gain = 10 ** (gain_db / 20)
        self._cache = cache or model / "derived"
        self._parts = _split(model / "model.onnx", self._cache)
        self._front, self._middle, self._back = (
            network.load(part, threads) for part in self._parts
        )
        self._giving_back = network.giving_back()
        self._recipes = chosen
        self._seen: dict[str, tuple[_Seen, _Seen]] = {}

    def warm(self) -> None:
        """Say a word to nobody; the first time on a machine, also the sample sentences."""
        for language in self._styles:
            self._seen[language] = self._known(language) or self._learn(language)
        self._sound("Hello there.", "en")

    def _sound(self, text: str, language: str) -> None:
        from voice.text import normalise

        for _ in self.synthesize(Phrase(normalise(text, language), language)):
            pass

    def _statistics(self, language: str) -> Path:
        """Return where the statistics of a language's voice are kept."""
        mark = hashlib.sha256(f"{self._recipes[language]}:{self._speed}".encode()).hexdigest()[:8]
        stem = self._parts[-1].stem.removesuffix("-back")
        return self._cache / f"{stem}-{language}-{mark}.npz"

    def _known(self, language: str) -> "tuple[_Seen, _Seen] | None":
        try:
            with np.load(self._statistics(language)) as kept:
                return tuple(_Seen(kept[f"mean{i}"], kept[f"var{i}"], MEMORY) for i in (0, 1))  # type: ignore[return-value]
        except (OSError, KeyError, ValueError, zipfile.BadZipFile):
            return None

    def _learn(self, language: str) -> "tuple[_Seen, _Seen]":
        seen = self._seen[language] = (_Seen.nothing(self._middle), _Seen.nothing(self._back))
        for text in _SAMPLES.get(language, _SAMPLES["en"]):
            self._sound(text, language)
        file = self._statistics(language)
        part = file.with_name(f"{file.stem}.{os.getpid()}.npz")
        try:
            np.savez(part, mean0=seen[0].mean, var0=seen[0].var, mean1=seen[1].mean,
                     var1=seen[1].var)  # fmt: skip
            part.replace(file)
        except OSError as error:
            _log.warning("kokoro: cannot keep %s (%s); going on", file, error.strerror)
        for one in seen:
            one.frames = MEMORY
        return seen

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
        language = phrase.language if phrase.language in self._styles else "en"
        style = self._styles[language][len(ids)]
        try:
            lengths, asr, f0, noise = self._front.run(
                [_DURATIONS, _ASR, _F0, _N],
                {
                    "tokens": np.array([[0, *ids, 0]], np.int64),
                    "style": style,
                    "speed": np.array([self._speed * phrase.pace], np.float32),
                },
                self._giving_back,
            )
        except Exception as error:
            raise EngineError(f"kokoro: {error}") from error
        frames = np.asarray(lengths).reshape(-1).round().astype(int)
        total = int(frames.sum())
        # The model brackets an utterance with silence: a little stays, so that it starts early.
        # Three frames of it, because the sound comes `EARLY`.
        lead, tail = max(0, int(frames[0]) - 3), max(0, int(frames[-1]) - 2)
        known = self._seen.get(language)
        if known is None:
            seen = (_Seen.nothing(self._middle), _Seen.nothing(self._back))
        elif known[0].frames < MEMORY:  # it is being learned from this very sentence
            seen = known
        else:
            seen = (known[0].copy(), known[1].copy())
        given = _Given(asr, f0, noise, style, total)
        yield from self._decode(symbols, frames, lead, total - tail, given, seen)

    def close(self) -> None:
        """Free the network."""
        del self._front, self._middle, self._back

    def _decode(
        self, symbols: list[durations.Token], frames: Any, begin: int, end: int,
        given: "_Given", seen: "tuple[_Seen, _Seen]",
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
        windows = _windows(_cuts(given.f0.reshape(-1), begin, end), begin, end)
        features = np.zeros((1, 512, 2 * given.total), np.float32)
        done = max(0, begin - CONTEXT)
        for number, (start, until) in enumerate(windows):
            after = self._giving_back if until == end else None
            left, right = max(0, start - CONTEXT), min(given.total, until + CONTEXT)
            try:
                if right > done:
                    stop_at = right if number == 0 else given.total
                    features[:, :, 2 * done : 2 * stop_at] = self._features(
                        given, done, stop_at, seen[0]
                    )
                    done = stop_at
                sound = seen[1].run(
                    self._back, "audio", right - left,
                    {
                        _FEATURES: np.ascontiguousarray(features[:, :, 2 * left : 2 * right]),
                        _F0: np.ascontiguousarray(given.f0[:, 2 * left : 2 * right]),
                        "style": given.style,
                    },
                    after,
                )  # fmt: skip
            except Exception as error:
                raise EngineError(f"kokoro: {error}") from error
            piece = np.asarray(sound, np.float32).reshape(-1)
            piece = piece[(start - left) * FRAME : (until - left) * FRAME] * self._gain
            if start == begin:
                network.ramp(piece, 0.0, 1.0, 120)
            if until == end:
                network.ramp(piece, 1.0, 0.0, 1200)
            if pending is not None:
                pending = durations.settled(pending, piece, sample_rate=self.sample_rate)
            yield Speech(np.clip(piece, -1, 1), pending or ())
            pending = None

    def _features(self, given: "_Given", start: int, stop: int, seen: "_Seen") -> Any:
        """Return the middle's output for frames start..stop: two columns a frame."""
        left, right = max(0, start - REACH), min(given.total, stop + REACH)
        found = seen.run(
            self._middle, _FEATURES, right - left,
            {
                _ASR: np.ascontiguousarray(given.asr[:, :, left:right]),
                _F0: np.ascontiguousarray(given.f0[:, 2 * left : 2 * right]),
                _N: np.ascontiguousarray(given.noise[:, 2 * left : 2 * right]),
                "style": given.style,
            },
            self._giving_back,
        )  # fmt: skip
        return found[:, :, 2 * (start - left) : 2 * (stop - left)]


@dataclass(frozen=True, slots=True)
class _Given:
    """What the front says of an utterance."""

    asr: Any
    f0: Any
    noise: Any
    style: Any
    total: int
    """Frames."""


@dataclass(slots=True)
class _Seen:
    """Mean and variance at each normalisation of a part, and the frames they come from."""

    mean: Any
    var: Any
    frames: float

    @classmethod
    def nothing(cls, part: Any) -> "_Seen":
        """Return the start: it counts for nothing."""
        size = next(i.shape[1] for i in part.get_inputs() if i.name == "held_mean")
        return cls(np.zeros((1, size, 1), np.float32), np.ones((1, size, 1), np.float32), 0.0)

    def copy(self) -> "_Seen":
        """Return another with the same values, which are never changed in place."""
        return _Seen(self.mean, self.var, self.frames)

    def run(
        self, part: Any, output: str, frames: int, feeds: dict[str, Any], options: Any = None
    ) -> Any:  # fmt: skip
        """Run `part` on so many frames, normalised with all that was seen, these included."""
        weight = np.array(frames / (frames + self.frames), np.float32)
        held = {"held_mean": self.mean, "held_var": self.var, "weight": weight}
        found, self.mean, self.var = part.run([output, "mean", "var"], {**feeds, **held}, options)
        self.frames += frames
        return found


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
        if end - earliest < TAIL:
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


def _split(model: Path, cache: Path) -> tuple[Path, Path, Path]:
    """Cut the network after the encoder and before the vocoder, once; returns the three parts."""
    state = model.stat()
    mark = hashlib.sha256(f"3:{state.st_size}:{state.st_mtime_ns}".encode()).hexdigest()[:12]
    front, middle, back = (
        cache / f"kokoro-{mark}-{part}.onnx" for part in ("front", "middle", "back")
    )
    if front.exists() and middle.exists() and back.exists():
        return front, middle, back
    import onnx
    from onnx import helper

    graph = onnx.load(str(model))
    shapes = {
        _ASR: [1, 512, "t"], _F0: [1, "t2"], _N: [1, "t2"], _FEATURES: [1, 512, "t2"],
        _DURATIONS: [1, "n"],
    }  # fmt: skip
    for value in [v for v in graph.graph.value_info if v.name in shapes]:
        graph.graph.value_info.remove(value)
    for name, shape in shapes.items():
        graph.graph.value_info.append(helper.make_tensor_value_info(name, 1, shape))
    extractor = onnx.utils.Extractor(graph)
    cache.mkdir(parents=True, exist_ok=True)
    for path, inputs, outputs in (
        (front, ["tokens", "style", "speed"], [_DURATIONS, _ASR, _F0, _N]),
        (middle, [_ASR, _F0, _N, "style"], [_FEATURES]),
        (back, [_FEATURES, _F0, "style"], ["audio"]),
    ):
        part = extractor.extract_model(inputs, outputs)
        if path is not front:
            _remember(part)
        file = path.with_name(f"{path.name}.{os.getpid()}.part")
        onnx.save(part, str(file))
        file.replace(path)
    return front, middle, back


def _remember(part: Any) -> None:
    """Let each instance normalisation of `part` mix in the statistics it is given.

    New inputs: `held_mean` and `held_var` (1, channels of all, 1), and `weight`, the share of what
    is seen now. New outputs: `mean` and `var`, the mixture: with w for the weight and h for held,
    mean = w m + (1 - w) m_h and var = w E[(x - mean)^2] + (1 - w) (v_h + (m_h - mean)^2).
    """
    from onnx import helper, numpy_helper

    graph = part.graph
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    # x - ReduceMean(x), squared, ReduceMean, + epsilon, square root.
    norms = []
    for node in graph.node:
        minus = [n for n in readers.get(node.output[0], ()) if n.op_type == "Sub"]
        if node.op_type == "ReduceMean" and minus and minus[0].input[1] == node.output[0]:
            square = next(n for n in readers[minus[0].output[0]] if n.op_type == "Mul")
            spread = readers[square.output[0]][0]
            norms.append((node, minus[0], spread, readers[spread.output[0]][0]))
    sizes = _channels(part, [mean.output[0] for mean, *_ in norms])
    total = sum(sizes)
    graph.initializer.append(numpy_helper.from_array(np.array(sizes, np.int64), "held_sizes"))
    graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), "held_one"))

    def op(kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
        return helper.make_node(kind, inputs, outputs, **attributes)

    each = range(len(norms))
    nodes = [
        op("Split", ["held_mean", "held_sizes"], [f"held_mean_{i}" for i in each], axis=1),
        op("Split", ["held_var", "held_sizes"], [f"held_var_{i}" for i in each], axis=1),
        op("Sub", ["held_one", "weight"], ["held_rest"]),
    ]
    after: dict[str, list[Any]] = {}
    for i, (mean, minus, spread, plus) in enumerate(norms):
        now, mixed, var = mean.output[0], f"mean_{i}", f"var_{i}"
        after[now] = [
            op("Mul", [now, "weight"], [f"mean_now_{i}"]),
            op("Mul", [f"held_mean_{i}", "held_rest"], [f"mean_held_{i}"]),
            op("Add", [f"mean_now_{i}", f"mean_held_{i}"], [mixed]),
        ]
        minus.input[1] = mixed
        after[spread.output[0]] = [
            op("Sub", [f"held_mean_{i}", mixed], [f"off_{i}"]),
            op("Mul", [f"off_{i}", f"off_{i}"], [f"off2_{i}"]),
            op("Add", [f"held_var_{i}", f"off2_{i}"], [f"about_{i}"]),
            op("Mul", [f"about_{i}", "held_rest"], [f"var_held_{i}"]),
            op("Mul", [spread.output[0], "weight"], [f"var_now_{i}"]),
            op("Add", [f"var_now_{i}", f"var_held_{i}"], [var]),
        ]
        plus.input[list(plus.input).index(spread.output[0])] = var
    for node in graph.node:
        nodes += [node, *after.get(node.output[0], ())]
    nodes.append(op("Concat", [f"mean_{i}" for i in each], ["mean"], axis=1))
    nodes.append(op("Concat", [f"var_{i}" for i in each], ["var"], axis=1))
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    for name, shape in (("held_mean", [1, total, 1]), ("held_var", [1, total, 1]), ("weight", [])):
        graph.input.append(helper.make_tensor_value_info(name, 1, shape))
    for name in ("mean", "var"):
        graph.output.append(helper.make_tensor_value_info(name, 1, [1, total, 1]))


def _channels(part: Any, means: list[str]) -> list[int]:
    """Return the channels of each mean, found by running `part` on noise."""
    import onnxruntime
    from onnx import helper

    probe = type(part).FromString(part.SerializeToString())
    for name in means:
        probe.graph.output.append(helper.make_tensor_value_info(name, 1, None))
    feeds = {}
    for value in part.graph.input:
        shape = [d.dim_value or (32 if d.dim_param == "t2" else 16)
                 for d in value.type.tensor_type.shape.dim]  # fmt: skip
        feeds[value.name] = np.full(shape, 0.1, np.float32)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        probe.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [found.shape[1] for found in session.run(means, feeds)]
