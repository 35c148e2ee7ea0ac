"""What every rig shares: the error that a broken character folder raises."""

from pathlib import Path


class CharacterError(ValueError):
    """A character's folder cannot be used; the message is one line with file, line and remedy.

    Attributes:
        file: the file at fault.
        line: its line, counted from 1, or None where the fault has no line.
    """

    def __init__(self, file: Path, line: int | None, fault: str, remedy: str) -> None:
        place = f"{file.parent.name}/{file.name}" + (f":{line}" if line is not None else "")
        super().__init__(f"{place}: {fault}; {remedy}")
        self.file = file
        self.line = line
