"""Engines by name: entry points, `file:Class` references, and errors that say what to do.

Lowest floor, so that every package finds its engines the same way.
"""

import importlib
import importlib.metadata
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

KINDS: Mapping[str, str] = {
    "llm": "bunraku.llm",
    "tts": "bunraku.tts",
    "asr": "bunraku.asr",
    "chat": "bunraku.chat",
    "rig": "bunraku.rig",
    "renderer": "bunraku.renderer",
    "sink": "bunraku.sink",
}
"""Kind of engine -> entry-point group."""


class EngineUnavailable(RuntimeError):
    """An engine cannot be made here; the message is one line that ends with the remedy."""


class EngineError(RuntimeError):
    """An engine failed while working; the message is one line that names engine and cause."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        """Say what failed, and for how long the engine asks to be left alone (seconds)."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class EngineEntry:
    """One registered engine."""

    kind: str
    """A key of `KINDS`."""
    name: str
    """The name used in `show.toml`."""
    reference: str
    """`module:Class`."""
    origin: str
    """The distribution that registers it, or "" for a bare reference."""


def registered(kind: str) -> dict[str, EngineEntry]:
    """Return the engines of `kind` by name, ours and those of installed plug-ins."""
    found = {}
    for point in importlib.metadata.entry_points(group=KINDS[kind]):
        origin = point.dist.name if point.dist is not None else ""
        found[point.name] = EngineEntry(kind, point.name, point.value, origin)
    return dict(sorted(found.items()))


def load(kind: str, name: str) -> type[Any]:
    """Return the class of the engine called `name`, or referred to as `module:Class`.

    Raises:
        EngineUnavailable: no such engine, or its file cannot be imported; says which.
    """
    reference = name
    if ":" not in name:
        entries = registered(kind)
        if name not in entries:
            near = get_close_matches(name, entries, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(entries)}"
            raise EngineUnavailable(f"no {kind} engine is called {name!r}; {hint}")
        reference = entries[name].reference
    module_name, _, attribute = reference.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise EngineUnavailable(
                f"{kind} engine {name!r} needs the module {error.name!r}; install it with pip"
            ) from error
        raise EngineUnavailable(
            f"{kind} engine {name!r}: no module {module_name!r}; put its file on PYTHONPATH"
        ) from error
    try:
        engine: type[Any] = getattr(module, attribute)
    except AttributeError as error:
        raise EngineUnavailable(
            f"{kind} engine {name!r}: {module_name} has no class {attribute!r}"
        ) from error
    return engine


def at_hand(kind: str, name: str) -> bool:
    """Return whether `load` answers at once: nothing has to be imported, or there is no engine."""
    if ":" not in name:
        entries = registered(kind)
        if name not in entries:
            return True
        name = entries[name].reference
    return name.partition(":")[0] in sys.modules


def options(engine: type[Any]) -> dict[str, inspect.Parameter]:
    """Return the keyword arguments of an engine's constructor: its table in `show.toml`."""
    parameters = inspect.signature(engine).parameters
    return {
        key: parameter
        for key, parameter in parameters.items()
        if parameter.kind
        in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    }


def create(kind: str, name: str, table: Mapping[str, Any]) -> Any:
    """Make the engine `name` with the keyword arguments in `table`.

    Raises:
        EngineUnavailable: unknown engine, unknown key (lists the known ones), or the engine
            itself cannot be made here.
    """
    engine = load(kind, name)
    known = options(engine)
    for key in table:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"
            raise EngineUnavailable(f"{kind} engine {name!r} has no key {key!r}; {hint}")
    return engine(**table)
