"""A window on this machine's own screen, full screen on any monitor, for kiosks without a browser.

Runs on: its sink thread makes the window (SDL), handles its keys and shows the pictures. A picture
is shown when its time has come, not when it was drawn: quick ones wait for what slow ones take, and
the last step is the screen's own refresh. F11 goes to full screen and back, Esc leaves it. Closing
the window takes the sink off the air; the show goes on unless it was told otherwise.
"""

import sys
import time
import warnings
from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar

from dialogue.plugins import EngineError, EngineUnavailable
from dialogue.ticks import TICKS_PER_S, Ticks
from render.contracts import OffAir
from render.frames import Pixels, VideoFrame
from voice.speech import Samples

PATIENCE_NS = 50_000_000
"""No picture waits longer than this for its time."""
RECENT = 120
"""Pictures (4 s at 30 fps) that say how long drawing takes."""
ROOM = 0.85
"""A window that is not full screen takes at most this share of the monitor."""


class Even:
    """When to show a picture so that the steps between them are even.

    Pictures of whole frames arrive sooner or later after their time, as drawing takes; each is
    shown as late as nine in ten of the recent ones were.
    """

    def __init__(self) -> None:
        self._recent: deque[int] = deque(maxlen=RECENT)
        self._late: int | None = None

    def due_ns(self, pts: Ticks, arrived_ns: int) -> int:
        """Return the `monotonic_ns` at which a picture that has just arrived is to be shown.

        Args:
            pts: its time.
            arrived_ns: the `monotonic_ns` when it came.
        """
        own = pts * 1_000_000_000 // TICKS_PER_S
        self._recent.append(arrived_ns - own)
        ranked = sorted(self._recent)
        late = ranked[(len(ranked) * 9) // 10]
        if self._late is None or abs(late - self._late) > PATIENCE_NS:
            self._late = late
        self._late += (late - self._late) // 32  # itself without steps
        return min(max(arrived_ns, own + self._late), arrived_ns + PATIENCE_NS)


class WindowSink:
    """Shows the pictures in a window; its sound goes out with the `device` sink beside it."""

    needs: ClassVar[Mapping[str, str]] = {}
    silent: ClassVar[bool] = True

    def __init__(
        self,
        *,
        monitor: int = 1,
        fullscreen: bool = False,
        title: str = "Bunraku",
        quit_on_close: bool = False,
        locked: bool = False,
    ) -> None:
        """Look for SDL.

        Args:
            monitor: number of the monitor, from 1.
            fullscreen: fill it, without cursor.
            title: of the window.
            quit_on_close: closing the window ends the show.
            locked: keys and the closing of the window are ignored: for screens in public places.

        Raises:
            EngineUnavailable: SDL is not installed, or this system wants windows elsewhere.
        """
        if sys.platform == "darwin":
            raise EngineUnavailable(
                "window: macOS allows windows on a program's main thread only, which draws the "
                "pictures; open the stage page in a browser in full screen instead"
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it tells which library it has taken
                import sdl2
        except ImportError:
            raise EngineUnavailable(
                "window: SDL is not installed; run `pip install 'bunraku[window]'`"
            ) from None
        if monitor < 1:
            raise EngineUnavailable(f"window: monitor = {monitor}: they are counted from 1")
        self._sdl: Any = sdl2
        self._monitor, self._fullscreen = monitor, fullscreen
        self._title, self._quit, self._locked = title, quit_on_close, locked
        self._size = (0, 0)
        self._window: Any = None
        self._renderer: Any = None
        self._texture: Any = None
        self._even = Even()
        self._full = False

    @property
    def watched(self) -> bool:
        """While there is a window."""
        return self._window is not None

    def open(self, *, width: int, height: int, fps: int) -> None:
        """Open the window.

        Raises:
            EngineError: there is no display or no such monitor; says what to do.
        """
        sdl = self._sdl
        self._size = (width, height)
        for hint, value in (
            (sdl.SDL_HINT_NO_SIGNAL_HANDLERS, b"1"),  # the house decides when to end
            (sdl.SDL_HINT_RENDER_SCALE_QUALITY, b"linear"),
            (sdl.SDL_HINT_VIDEO_MINIMIZE_ON_FOCUS_LOSS, b"0"),
        ):
            sdl.SDL_SetHint(hint, value)
        if sdl.SDL_InitSubSystem(sdl.SDL_INIT_VIDEO):
            raise EngineError(
                f"window: no display ({self._why()}); start it in the session of the screen, or "
                "set DISPLAY (`DISPLAY=:0 bunraku live --window`)"
            )
        count = sdl.SDL_GetNumVideoDisplays()
        if self._monitor > count:
            sdl.SDL_QuitSubSystem(sdl.SDL_INIT_VIDEO)
            have = "there is one" if count == 1 else f"there are {count}"
            raise EngineError(f"window: there is no monitor {self._monitor}; {have}")
        sdl.SDL_DisableScreenSaver()
        bounds = sdl.SDL_Rect()
        if self._fullscreen:  # at its full size from the start: a bare X server has no one to do it
            sdl.SDL_GetDisplayBounds(self._monitor - 1, bounds)
            place = (bounds.x, bounds.y, bounds.w, bounds.h)
        else:
            sdl.SDL_GetDisplayUsableBounds(self._monitor - 1, bounds)
            shrink = min(1.0, ROOM * bounds.w / width, ROOM * bounds.h / height)
            wide, high = round(width * shrink), round(height * shrink)
            place = (
                bounds.x + (bounds.w - wide) // 2,
                bounds.y + (bounds.h - high) // 2,
                wide,
                high,
            )
        self._window = sdl.SDL_CreateWindow(
            self._title.encode(), *place,
            sdl.SDL_WINDOW_RESIZABLE | sdl.SDL_WINDOW_ALLOW_HIGHDPI,
        )  # fmt: skip
        if not self._window:
            raise EngineError(f"window: cannot be opened ({self._why()})")
        # With the screen's own refresh where that can be had; without a GPU SDL draws by itself.
        for flags in (sdl.SDL_RENDERER_PRESENTVSYNC, 0, sdl.SDL_RENDERER_SOFTWARE):
            self._renderer = sdl.SDL_CreateRenderer(self._window, -1, flags)
            if self._renderer:
                break
        if not self._renderer:
            raise EngineError(f"window: nothing can be drawn in it ({self._why()})")
        sdl.SDL_RenderSetLogicalSize(self._renderer, width, height)  # bars where shapes differ
        self._texture = sdl.SDL_CreateTexture(
            self._renderer, sdl.SDL_PIXELFORMAT_BGRA32, sdl.SDL_TEXTUREACCESS_STREAMING,
            width, height,
        )  # fmt: skip
        if not self._texture:
            raise EngineError(f"window: pictures of {width} x {height} do not fit ({self._why()})")
        sdl.SDL_SetTextureBlendMode(self._texture, sdl.SDL_BLENDMODE_NONE)
        self.fill(self._fullscreen)

    def fill(self, full: bool) -> None:
        """Go to full screen, or back to a window. On the sink's thread."""
        sdl = self._sdl
        mode = sdl.SDL_WINDOW_FULLSCREEN_DESKTOP if full else 0
        sdl.SDL_SetWindowFullscreen(self._window, mode)
        sdl.SDL_ShowCursor(sdl.SDL_DISABLE if full else sdl.SDL_ENABLE)
        self._full = full

    def video(self, frame: VideoFrame) -> None:
        """Show one picture when its time has come.

        Raises:
            OffAir: somebody has closed the window.
            EngineError: the display has gone.
        """
        self._keys()
        wait_ns = self._even.due_ns(frame.pts, time.monotonic_ns()) - time.monotonic_ns()
        if wait_ns > 0:
            time.sleep(wait_ns / 1e9)
        if not frame.repeated:
            self._load(frame.pixels)
        sdl = self._sdl
        sdl.SDL_SetRenderDrawColor(self._renderer, 0, 0, 0, 255)
        sdl.SDL_RenderClear(self._renderer)
        sdl.SDL_RenderCopy(self._renderer, self._texture, None, None)
        sdl.SDL_RenderPresent(self._renderer)

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Windows make no sound."""

    def close(self) -> None:
        """Close the window and let the machine sleep again."""
        sdl = self._sdl
        window, self._window = self._window, None
        if self._texture:
            sdl.SDL_DestroyTexture(self._texture)
        if self._renderer:
            sdl.SDL_DestroyRenderer(self._renderer)
        self._texture = self._renderer = None
        if window:
            sdl.SDL_DestroyWindow(window)
            sdl.SDL_EnableScreenSaver()
            sdl.SDL_QuitSubSystem(sdl.SDL_INIT_VIDEO)

    def _load(self, pixels: Pixels) -> None:
        address = pixels.ctypes.data
        if self._sdl.SDL_UpdateTexture(self._texture, None, address, pixels.strides[0]):
            raise EngineError(f"window: the display has gone ({self._why()}); it is tried again")

    def _keys(self) -> None:
        """Do what the keys and the window's own buttons ask for."""
        sdl = self._sdl
        event = sdl.SDL_Event()
        while sdl.SDL_PollEvent(event):
            closed = event.type == sdl.SDL_QUIT or (
                event.type == sdl.SDL_WINDOWEVENT
                and event.window.event == sdl.SDL_WINDOWEVENT_CLOSE
            )
            if self._locked:
                continue
            if closed:
                raise OffAir("window: closed", end_show=self._quit)
            if event.type == sdl.SDL_KEYDOWN and not event.key.repeat:
                key = event.key.keysym.sym
                if key == sdl.SDLK_F11 or (key == sdl.SDLK_ESCAPE and self._full):
                    self.fill(not self._full)

    def _why(self) -> str:
        """Return SDL's last error."""
        return bytes(self._sdl.SDL_GetError()).decode("utf-8", "replace") or "SDL says nothing"
