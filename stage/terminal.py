"""Plain words on a terminal: marks, columns, colour only where somebody sees it."""

import os
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from typing import TextIO

MARKS = {"ok": ("✓", "32"), "warn": ("!", "33"), "bad": ("✗", "31")}
"""State -> mark and ANSI colour."""


class Terminal:
    """Writes lines to a stream."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to `stream` (standard output); colours only on a terminal without `NO_COLOR`."""
        self._stream = stream if stream is not None else sys.stdout
        self.live = self._stream.isatty()
        self.colour = self.live and not os.environ.get("NO_COLOR")
        self.width = shutil.get_terminal_size().columns if self.live else 0

    def paint(self, text: str, code: str) -> str:
        """Return `text` in the ANSI colour `code`, or as it is."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text

    def faint(self, text: str) -> str:
        """Return `text` so that it steps back."""
        return self.paint(text, "2")

    def mark(self, state: str) -> str:
        """Return the mark of "ok", "warn" or "bad"."""
        sign, code = MARKS[state]
        try:
            sign.encode(self._stream.encoding or "utf-8")
        except UnicodeEncodeError:
            sign = {"ok": "+", "warn": "!", "bad": "x"}[state]
        return self.paint(sign, code)

    def line(self, text: str = "") -> None:
        """Write one line."""
        print(text, file=self._stream)

    def table(self, rows: Sequence[Sequence[str]], *, indent: str = "") -> None:
        """Write `rows` in columns; the last column is as long as it is."""
        widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = [
                cell + " " * (width - _width(cell))
                for cell, width in zip(row[:-1], widths[:-1], strict=True)
            ]
            self.line((indent + "  ".join([*cells, row[-1]])).rstrip())


def _width(text: str) -> int:
    """Return the columns of `text`: colours take none, wide characters two."""
    columns, escape = 0, False
    for character in text:
        if character == "\x1b":
            escape = True
        elif escape:
            escape = character != "m"
        elif not unicodedata.combining(character):
            columns += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return columns


def megabytes(size: int) -> str:
    """Return a number of bytes in MB or GB of a million and a thousand million."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
