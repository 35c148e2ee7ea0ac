"""Kokoro cut in three is Kokoro: same sound in one piece, nearly the same in windows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voice import durations, g2p
from voice.engines import kokoro
from voice.speech import Phrase, Samples
from voice.text import normalise

pytestmark = pytest.mark.models

TEXT = "I was just counting the raindrops on my window."


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("derived")


@pytest.fixture
def voice(models: Callable[[str], Path], cache: Path) -> kokoro.KokoroVoice:
    return kokoro.KokoroVoice(model=models("kokoro-82m"), cache=cache)


def spoken(voice: kokoro.KokoroVoice, text: str = TEXT) -> Samples:
    phrase = Phrase(normalise(text, "en"), "en")
    return np.concatenate([speech.samples for speech in voice.synthesize(phrase)])


def in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kokoro, "_windows", lambda cuts, begin, end: iter([(begin, end)]))


def bands(sound: Samples) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    """Return the logarithmic spectrum in 60 bands, a column each 12.5 ms."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(sound, 512), 1024)[::300]
    power = np.abs(np.fft.rfft(frames * np.hanning(1024))) ** 2
    edges = np.geomspace(4, 400, 61).astype(int)
    pairs = zip(edges[:-1], edges[1:], strict=True)
    return np.log10(np.stack([power[:, a : max(b, a + 1)].mean(1) for a, b in pairs]) + 1e-4)


def test_three_parts_are_the_whole_network(
    voice: kokoro.KokoroVoice, models: Callable[[str], Path]
) -> None:
    import onnxruntime

    whole = onnxruntime.InferenceSession(
        str(models("kokoro-82m") / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    words = normalise(TEXT, "en")
    ids = [voice._vocab[t.symbol] for t in durations.tokens(g2p.phonemise(words, "en"))]
    feeds = {
        "tokens": np.array([[0, *ids, 0]], np.int64),
        "style": voice._styles["en"][len(ids)],
        "speed": np.array([1.0], np.float32),
    }
    (expected,) = whole.run(None, feeds)
    outputs = [kokoro._DURATIONS, kokoro._ASR, kokoro._F0, kokoro._N]
    lengths, asr, f0, noise = voice._front.run(outputs, feeds)
    total = int(lengths.sum())
    given = kokoro._Given(asr, f0, noise, feeds["style"], total)
    features = voice._features(given, 0, total, kokoro._Seen.nothing(voice._middle))
    found = kokoro._Seen.nothing(voice._back).run(
        voice._back, "audio", total,
        {kokoro._FEATURES: features, kokoro._F0: f0, "style": feeds["style"]},
    )  # fmt: skip
    np.testing.assert_allclose(found.reshape(-1), expected.reshape(-1), atol=1e-3)


def test_windows_sound_more_like_the_whole_with_what_was_seen(
    voice: kokoro.KokoroVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = bands(spoken(voice))
    voice.warm()
    known = bands(spoken(voice))
    again = bands(spoken(voice))
    np.testing.assert_array_equal(known, again)  # nothing is remembered between utterances
    voice._seen.clear()
    in_one_piece(monkeypatch)
    whole = bands(spoken(voice))
    assert known.shape == fresh.shape == whole.shape
    assert np.abs(known - whole).mean() < 0.95 * np.abs(fresh - whole).mean()


def test_what_was_learned_is_kept(voice: kokoro.KokoroVoice, cache: Path) -> None:
    voice.warm()
    kept = sorted(cache.glob("*.npz"))
    assert len(kept) == 3
    kept[0].write_bytes(b"broken")
    voice.warm()
    assert len(kept[0].read_bytes()) > 10_000


def test_windows_cover_the_utterance_and_grow() -> None:
    found = list(kokoro._windows([], 3, 200))
    assert found[0] == (3, 3 + kokoro.FIRST)
    assert found[-1][1] == 200
    assert all(a[1] == b[0] for a, b in zip(found, found[1:], strict=False))
    assert max(b - a for a, b in found) <= kokoro.LONGEST + kokoro.TAIL
