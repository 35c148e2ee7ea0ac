"""A graphics card to draw on, without a window: OpenGL through EGL (Linux), for Skia.

Runs on: whichever thread enters `current`; one at a time. Software that plays a graphics card
(llvmpipe and others) is refused unless it is asked for: it is slower than drawing without one.
"""

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from ctypes import c_char_p, c_int, c_uint, c_void_p
from pathlib import Path
from typing import Any

import skia

SOFTWARE = ("llvmpipe", "softpipe", "swrast", "swiftshader", "software")
"""In lower case: in the names of renderers that run on the processor."""

# From the EGL and GLES headers of Khronos.
_SURFACELESS, _OPENGL_ES_API, _NONE = 0x31DD, 0x30A0, 0x3038
_CONFIG = (
    0x3033,
    0x0001,
    0x3040,
    0x0004,
    0x3024,
    8,
    0x3023,
    8,
    0x3022,
    8,
    0x3021,
    8,
    _NONE,
)  # off screen, GLES, RGBA8
_CONTEXT = (0x3098, 3, _NONE)  # version 3
_GL_RENDERER = 0x1F01


class GpuUnavailable(RuntimeError):
    """There is no graphics card to draw on; one line says why."""


def present(root: Path = Path("/")) -> bool:
    """Return whether this machine seems to have a graphics card; costs nothing."""
    if sys.platform != "linux":
        return False  # EGL is not the system's own there
    nodes = (root / "dev" / "dri").glob("renderD*")
    return any(nodes) or (root / "dev" / "nvidiactl").exists()


class Gpu:
    """A graphics card and Skia's context on it."""

    def __init__(self, *, software: bool = False) -> None:
        """Open the system's first one.

        Args:
            software: take one that is only played by the processor, too; for tests.

        Raises:
            GpuUnavailable: there is none, or the driver cannot serve.
        """
        try:
            egl = ctypes.CDLL("libEGL.so.1")
        except OSError:
            raise GpuUnavailable("EGL is missing (Debian: libegl1)") from None
        egl.eglGetPlatformDisplay.restype = egl.eglCreateContext.restype = c_void_p
        egl.eglGetProcAddress.restype = c_void_p
        egl.eglGetPlatformDisplay.argtypes = [c_uint, c_void_p, c_void_p]
        egl.eglInitialize.argtypes = [c_void_p, c_void_p, c_void_p]
        egl.eglChooseConfig.argtypes = [c_void_p, c_void_p, c_void_p, c_int, c_void_p]
        egl.eglCreateContext.argtypes = [c_void_p, c_void_p, c_void_p, c_void_p]
        egl.eglMakeCurrent.argtypes = [c_void_p] * 4
        egl.eglGetProcAddress.argtypes = [c_char_p]
        self._egl: Any = egl
        self._display = egl.eglGetPlatformDisplay(_SURFACELESS, None, None)
        if not self._display or not egl.eglInitialize(self._display, None, None):
            raise GpuUnavailable("EGL knows no display without a window")
        egl.eglBindAPI(_OPENGL_ES_API)
        config, count = (c_void_p * 1)(), c_int()
        wanted = (c_int * len(_CONFIG))(*_CONFIG)
        egl.eglChooseConfig(self._display, wanted, config, 1, ctypes.byref(count))
        version = (c_int * len(_CONTEXT))(*_CONTEXT)
        self._context = None
        if count.value:
            self._context = egl.eglCreateContext(self._display, config[0], None, version)
        if not self._context:
            raise GpuUnavailable("the driver offers no OpenGL ES 3")
        with self.current():
            self.name = self._renderer_name()
            """What the driver calls it."""
            if not software and any(word in self.name.lower() for word in SOFTWARE):
                raise GpuUnavailable(f"{self.name} runs on the processor")
            interface = skia.GrGLInterface.MakeEGL()
            self.skia = skia.GrDirectContext.MakeGL(interface) if interface else None
            """To make surfaces with."""
        if self.skia is None:
            raise GpuUnavailable(f"Skia cannot use {self.name}")

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """Draw on it from this thread, inside."""
        made = self._egl.eglMakeCurrent(self._display, None, None, self._context)
        if not made:
            raise GpuUnavailable("the graphics card has gone, or is in use by another thread")
        try:
            yield
        finally:
            self._egl.eglMakeCurrent(self._display, None, None, None)

    def _renderer_name(self) -> str:
        address = self._egl.eglGetProcAddress(b"glGetString")
        if not address:
            raise GpuUnavailable("the driver does not say what it is")
        get_string = ctypes.CFUNCTYPE(c_char_p, c_uint)(address)
        return (get_string(_GL_RENDERER) or b"").decode("ascii", "replace")
