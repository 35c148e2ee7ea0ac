"""One thing that is wrong with a character."""

import re
from dataclasses import dataclass
from pathlib import Path

from avatar.rig import CharacterError

LEVELS = ("error", "warning", "note")
"""Worst first: it will not run; it will be seen or heard; it could be better."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault with its place and the way to mend it."""

    level: str
    """A member of `LEVELS`."""
    file: Path
    """Where it stands."""
    line: int | None
    """Line of the file, from 1; None where it concerns the whole of it."""
    fault: str
    """What is wrong."""
    remedy: str
    """What to do."""

    @property
    def rank(self) -> int:
        """Place of the level in `LEVELS`."""
        return LEVELS.index(self.level)

    @property
    def place(self) -> str:
        """File and line as editors understand them, from the character's folder on."""
        deep = self.file.parent.name in ("motions", "scenes")
        name = "/".join(self.file.parts[-3 if deep else -2 :])
        return f"{name}:{self.line}" if self.line is not None else name


def from_error(error: CharacterError, level: str = "error") -> Finding:
    """Return what a rig or a scene complains about as a finding."""
    text = str(error).split(": ", 1)[-1]
    fault, _, remedy = text.rpartition("; ")
    return Finding(level, error.file, error.line, fault or text, remedy)


def from_line(folder: Path, message: str) -> Finding:
    """Return an error told as "path:line: fault; remedy" as a finding."""
    found = re.match(r"(?P<path>.*?\.(?:toml|md|svg))(?::(?P<line>\d+))?: (?P<text>.*)$", message)
    if found is None:
        return Finding("error", folder / "character.toml", None, message, "")
    fault, _, remedy = found["text"].rpartition("; ")
    line = int(found["line"]) if found["line"] else None
    return Finding("error", Path(found["path"]), line, fault or found["text"], remedy)
