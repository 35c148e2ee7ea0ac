"""The catalogue: what models there are, where they come from, and what their bytes must be."""

import threading
import tomllib
from functools import cache
from importlib.resources import files

import msgspec


class Hub(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file in a repository of the model hub."""

    repo: str
    path: str
    revision: str = "main"


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file inside a registry package, or a piece of one."""

    package: str
    """`name==version`."""
    member: str
    """Path inside the wheel."""


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a model."""

    name: str
    size: int
    """In bytes."""
    sha256: str
    hub: Hub | None = None
    parts: tuple[Part, ...] = ()
    """Joined in order they are the file."""


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry."""

    title: str
    kind: str
    """"llm", "tts" or "asr"."""
    licence: str
    note: str
    folder: bool
    """Whether engines are given the folder, or the one file in it."""
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """Of all files, in bytes."""
        return sum(file.size for file in self.files)


_reading = threading.Lock()


def catalogue() -> dict[str, Model]:
    """Return every entry by name. Any thread may ask."""
    # Model and voices are made side by side, and two threads that make msgspec learn a type at once
    # end the process (msgspec 0.22: a null pointer, three starts in forty).
    with _reading:
        return _read()


@cache
def _read() -> dict[str, Model]:
    text = files("stage.models").joinpath("catalogue.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, Model])
