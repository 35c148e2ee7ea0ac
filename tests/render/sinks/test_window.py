"""A window: on SDL's dummy screen, and for real on a virtual one (Xvfb), as it is seen outside."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dialogue.plugins import EngineError, EngineUnavailable
from dialogue.ticks import TICKS_PER_S
from render.air import Air
from render.contracts import OffAir
from render.frames import Pixels, VideoFrame
from render.sinks.window import PATIENCE_NS, Even, WindowSink

sdl2 = pytest.importorskip("sdl2", reason="needs SDL: pip install 'bunraku[window]'")

WIDTH, HEIGHT, FPS = 320, 180, 30
STEP = TICKS_PER_S // FPS
STEP_NS = 1_000_000_000 // FPS
WAIT_S = 10.0


@pytest.fixture
def dummy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


def picture() -> Pixels:
    """Four fields of plain colours, and a white dot near the top left corner."""
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    pixels[: HEIGHT // 2, : WIDTH // 2] = (255, 0, 0, 255)  # BGRA: blue
    pixels[: HEIGHT // 2, WIDTH // 2 :] = (0, 255, 0, 255)
    pixels[HEIGHT // 2 :, : WIDTH // 2] = (0, 0, 255, 255)
    pixels[HEIGHT // 2 :, WIDTH // 2 :] = (40, 120, 200, 255)
    pixels[10:30, 10:30] = 255
    return pixels


def frame(index: int, pixels: Pixels | None = None, *, repeated: bool = False) -> VideoFrame:
    shown = picture() if pixels is None else pixels
    i420 = np.zeros((HEIGHT * 3 // 2, WIDTH), np.uint8)
    return VideoFrame(index * STEP, index, shown, i420, repeated)


def press(key: int) -> None:
    event: Any = sdl2.SDL_Event()
    event.type = sdl2.SDL_KEYDOWN
    event.key.keysym.sym = key
    sdl2.SDL_PushEvent(event)


def push_close() -> None:
    event: Any = sdl2.SDL_Event()
    event.type = sdl2.SDL_WINDOWEVENT
    event.window.event = sdl2.SDL_WINDOWEVENT_CLOSE
    sdl2.SDL_PushEvent(event)


@pytest.fixture
def window(dummy: None) -> Iterator[WindowSink]:
    sink = WindowSink()
    sink.open(width=WIDTH, height=HEIGHT, fps=FPS)
    yield sink
    sink.close()
    sink.close()  # twice is safe


def test_f11_fills_the_screen_and_escape_leaves_it(window: WindowSink) -> None:
    def full() -> bool:
        flags = sdl2.SDL_GetWindowFlags(window._window)
        return bool(flags & sdl2.SDL_WINDOW_FULLSCREEN)

    window.video(frame(0))
    assert not full()
    press(sdl2.SDLK_ESCAPE)  # says nothing to a window
    window.video(frame(1))
    assert not full()
    press(sdl2.SDLK_F11)
    window.video(frame(2))
    assert full()
    assert sdl2.SDL_ShowCursor(sdl2.SDL_QUERY) == sdl2.SDL_DISABLE
    press(sdl2.SDLK_ESCAPE)
    window.video(frame(3))
    assert not full()
    assert sdl2.SDL_ShowCursor(sdl2.SDL_QUERY) == sdl2.SDL_ENABLE


def test_the_machine_is_kept_awake_while_there_is_a_window(dummy: None) -> None:
    sink = WindowSink(fullscreen=True)
    sink.open(width=WIDTH, height=HEIGHT, fps=FPS)
    assert sink.watched
    assert not sdl2.SDL_IsScreenSaverEnabled()
    sink.close()
    assert not sink.watched


@pytest.mark.parametrize("ends", [False, True])
def test_closing_the_window_takes_it_off_the_air_for_good(dummy: None, ends: bool) -> None:
    air = Air(width=WIDTH, height=HEIGHT, fps=FPS)
    made = []

    def make() -> WindowSink:
        made.append(WindowSink(quit_on_close=ends))
        return made[-1]

    air.add("window", make)
    index = 0

    def until(state: str) -> None:
        nonlocal index
        end = time.monotonic() + WAIT_S
        while air.status()[0].state != state:
            assert time.monotonic() < end
            air.video(frame(index))
            index += 1
            threading.Event().wait(0.01)

    until("live")
    air.video(frame(index))
    push_close()
    until("closed")
    assert air.status()[0].error == "window: closed"
    assert air.over is ends
    assert len(made) == 1
    assert not air.watched
    air.close()


def test_a_locked_window_heeds_nobody(dummy: None) -> None:
    sink = WindowSink(locked=True, fullscreen=True)
    sink.open(width=WIDTH, height=HEIGHT, fps=FPS)
    push_close()
    press(sdl2.SDLK_ESCAPE)
    sink.video(frame(0))
    assert sdl2.SDL_GetWindowFlags(sink._window) & sdl2.SDL_WINDOW_FULLSCREEN
    sink.close()


def test_a_closed_window_says_so(window: WindowSink) -> None:
    push_close()
    with pytest.raises(OffAir, match="window: closed") as caught:
        window.video(frame(0))
    assert not caught.value.end_show


def test_a_monitor_that_is_not_there_is_named(dummy: None) -> None:
    sink = WindowSink(monitor=7)
    with pytest.raises(EngineError, match="no monitor 7; there is one"):
        sink.open(width=WIDTH, height=HEIGHT, fps=FPS)
    with pytest.raises(EngineUnavailable, match="counted from 1"):
        WindowSink(monitor=0)


def test_no_display_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    monkeypatch.setenv("DISPLAY", ":4711")
    with pytest.raises(EngineError, match=r"window: no display .* set DISPLAY"):
        WindowSink().open(width=WIDTH, height=HEIGHT, fps=FPS)


def test_pictures_that_arrive_unevenly_are_shown_evenly() -> None:
    even, jitter = Even(), np.random.default_rng(1).integers(-9_000_000, 9_000_000, 600)
    arrived = [i * STEP_NS + int(jitter[i]) for i in range(600)]
    due = [even.due_ns(i * STEP, at) for i, at in enumerate(arrived)][300:]
    assert all(d >= a for d, a in zip(due, arrived[300:], strict=True))
    before, after = (np.abs(np.diff(row) - STEP_NS) for row in (arrived[300:], due))
    assert np.percentile(after, 80) < 2e5
    assert after.mean() < before.mean() / 5


def test_no_picture_is_held_for_long_after_a_stall() -> None:
    even = Even()
    for i in range(200):
        at = i * STEP_NS + (2_000_000_000 if i < 100 else 0)  # two seconds late, then well
        assert 0 <= even.due_ns(i * STEP, at) - at <= PATIENCE_NS


def _screen() -> Iterator[str]:
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x600x24"]
    server = subprocess.Popen(
        command, pass_fds=(write,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(write)
    with os.fdopen(read) as told:
        number = told.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait(WAIT_S)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for tool in ("Xvfb", "import"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool} (Debian: xvfb, imagemagick)")
    for name in _screen():
        monkeypatch.setenv("DISPLAY", name)
        monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
        yield name


def test_a_real_screen_shows_the_picture_as_it_is(screen: str, tmp_path: Path) -> None:
    sink = WindowSink(fullscreen=True)
    sink.open(width=WIDTH, height=HEIGHT, fps=FPS)
    for index in range(6):
        sink.video(frame(index, repeated=index > 3))
    shot = tmp_path / "screen.png"
    subprocess.run(
        ["import", "-display", screen, "-window", "root", str(shot)], check=True, timeout=WAIT_S
    )
    sink.close()
    seen = cv2.imread(str(shot))
    assert seen.shape == (600, 800, 3)
    # 16:9 on 4:3: bars of 75 rows above and below.
    assert not seen[:70].any()
    assert not seen[530:].any()
    small = cv2.resize(seen[75:525], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    difference = np.abs(small.astype(int) - picture()[..., :3])
    assert difference.mean() < 2.0
    assert (difference.max(-1) <= 16).mean() > 0.97
