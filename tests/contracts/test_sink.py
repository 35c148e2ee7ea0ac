"""Every registered sink keeps the contract; a new one gets these tests free."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dialogue.plugins import EngineError, EngineUnavailable, create, load, options, registered
from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S
from render.contracts import Sink
from render.frames import VideoFrame

WIDTH, HEIGHT, FPS = 160, 96, 30
STEP = TICKS_PER_S // FPS

every_sink = pytest.mark.parametrize("name", list(registered("sink")))


def make(name: str, folder: Path) -> Sink:
    """Make the sink with its defaults; skip where this machine lacks what it needs."""
    table: dict[str, Any] = {}
    refused = ""
    if "path" in options(load("sink", name)):
        table["path"] = folder / "film.mp4"
    if "folder" in options(load("sink", name)):
        table["folder"] = str(folder)
    try:
        sink: Sink = create("sink", name, table)
        sink.open(width=WIDTH, height=HEIGHT, fps=FPS)
    except (EngineUnavailable, EngineError) as error:
        refused = str(error)
    if refused:
        assert "\n" not in refused
        assert refused.startswith(name)
        pytest.skip(refused)
    return sink


def feed(sink: Sink, frames: int) -> None:
    sound_at = 0
    for k in range(frames):
        until = (k + 1) * STEP + 40 * TICKS_PER_MS
        sound = (0.1 * np.sin(np.arange(sound_at, until) * 0.05)).astype(np.float32)
        sound.flags.writeable = False
        sink.audio(sound_at, sound)
        sound_at = until
        pixels = np.full((HEIGHT, WIDTH, 4), k % 256, np.uint8)
        i420 = np.full((HEIGHT * 3 // 2, WIDTH), 16 + k % 200, np.uint8)
        pixels.flags.writeable = i420.flags.writeable = False
        sink.video(VideoFrame(k * STEP, k, pixels, i420))


def test_our_sinks_are_registered() -> None:
    ours = {"file", "webrtc", "camera", "device", "stream", "hls", "whip"}
    assert ours <= set(registered("sink"))


@every_sink
def test_it_has_the_methods_and_no_needs(name: str) -> None:
    engine: Any = load("sink", name)
    assert dict(engine.needs) == {}
    for method in ("open", "video", "audio", "close"):
        wanted = inspect.signature(getattr(Sink, method)).parameters
        assert list(inspect.signature(getattr(engine, method)).parameters) == list(wanted)


@every_sink
def test_its_options_have_defaults_and_are_keywords_only(name: str) -> None:
    for key, parameter in options(load("sink", name)).items():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, key
        assert key == "path" or parameter.default is not inspect.Parameter.empty, key


@every_sink
def test_an_unknown_key_is_refused_with_the_nearest(name: str) -> None:
    with pytest.raises(EngineUnavailable, match=f"sink engine '{name}' has no key"):
        create("sink", name, {"bit_rat": 1})


@every_sink
def test_it_takes_a_second_of_show_and_ends_cleanly(name: str, tmp_path: Path) -> None:
    sink = make(name, tmp_path)
    assert isinstance(sink, Sink)
    feed(sink, FPS)
    sink.close()
    sink.close()


@every_sink
def test_it_can_be_closed_before_anything_was_sent(name: str, tmp_path: Path) -> None:
    make(name, tmp_path).close()
    assert list(tmp_path.iterdir()) == []
