"""A progress bar for films: one line on a terminal, a line each quarter elsewhere."""

import sys
import time
from types import TracebackType
from typing import TextIO


class Bar:
    """Shows how much of a film is done. A context manager."""

    WIDTH = 28

    def __init__(self, title: str, *, quiet: bool = False, stream: TextIO = sys.stderr) -> None:
        self._title = title
        self._quiet = quiet
        self._stream = stream
        self._live = stream.isatty()
        self._begun = time.monotonic()
        self._shown = 0.0
        self._quarter = -1

    def __enter__(self) -> "Bar":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live and not self._quiet:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def seconds(self, done_s: float, known_s: float) -> None:
        """Show that `done_s` of `known_s` seconds are filmed (what is known may still grow)."""
        if self._quiet:
            return
        share = min(1.0, done_s / max(known_s, done_s, 1e-6))
        now = time.monotonic()
        if self._live and now - self._shown > 0.1:
            self._shown = now
            full = round(share * self.WIDTH)
            speed = done_s / max(now - self._begun, 1e-3)
            bar = "█" * full + "·" * (self.WIDTH - full)
            self._stream.write(
                f"\r\x1b[K{self._title} {bar} {done_s:5.1f} s of film, {speed:.1f} x real time"
            )
            self._stream.flush()
        elif not self._live and int(share * 4) > self._quarter:
            self._quarter = int(share * 4)
            self._stream.write(f"{self._title}: {done_s:.1f} of {known_s:.1f} s filmed\n")
