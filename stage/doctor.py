"""Looks a machine over: what works, what does not, and the remedy of each in one line.

Nothing is loaded, opened for long or changed: modules are looked for without importing them,
devices are listed, ports tried and let go.
"""

import ast
import errno
import importlib.util
import inspect
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dialogue import plugins
from dialogue.plugins import EngineEntry
from stage.config import Show
from stage.models.store import ModelError, ModelStore, default_names
from stage.terminal import megabytes

State = Literal["ok", "warn", "bad"]

LEAST_MEMORY = 3 << 30
"""Below this a show with the small model and two voices does not fit."""

ON_AIR = (("renderer", "puppet"), ("sink", "webrtc"))
"""Engines without which no show is seen."""

ONLY_FOR_HEAR = ("asr",)
"""Kinds of models that `bunraku live` does without."""

LICENCES = {
    ("tts", "coqui"): "each model has its own licence; XTTS is for non-commercial use only",
    ("tts", "espeak"): "espeak-ng is GPL-3.0; it runs as a program of its own",
    ("tts", "openai-speech"): "as the server says",
    ("llm", "openai"): "as the server says",
    ("llm", "transformers"): "as the model says",
}
"""What an engine's catalogue models do not say already."""

_CHEAP = (("tts", "espeak"),)
"""Made to find out: their constructors only look for a program."""

_DEVICES = (("sink", "camera"), ("sink", "device"), ("sink", "window"))
"""They need more than software."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report."""

    area: str
    """What was looked at."""
    state: State
    """"warn": something does not work here; "bad": `bunraku live` could not run."""
    text: str
    """What was found."""
    remedy: str = ""
    """What to do, where there is something to do."""


@dataclass(frozen=True, slots=True)
class EngineState:
    """One engine and whether it could be made."""

    entry: EngineEntry
    """Where it is registered."""
    state: State
    """"ok" or "warn"."""
    why: str
    """What is missing, with the remedy; "" when ready."""
    languages: tuple[str, ...]
    """What it speaks; empty where it says nothing about it."""
    needs: Mapping[str, str]
    """Constructor keyword -> model of the catalogue."""
    licence: str
    """Of its models and services, in short."""


def engines(kinds: Iterable[str], store: ModelStore | None = None) -> list[EngineState]:
    """Return the state of every registered engine of `kinds`."""
    models = store if store is not None else ModelStore()
    return [look(entry, models) for kind in kinds for entry in plugins.registered(kind).values()]


def look(entry: EngineEntry, store: ModelStore) -> EngineState:
    """Return whether the engine of `entry` could be made, without making it."""
    note = LICENCES.get((entry.kind, entry.name), "")
    try:
        engine = plugins.load(entry.kind, entry.name)
    except plugins.EngineUnavailable as error:
        return EngineState(entry, "warn", str(error), (), {}, note)
    except Exception as error:  # a plug-in's module may raise anything
        why = f"its module fails to load: {type(error).__name__}: {error}"
        return EngineState(entry, "warn", why, (), {}, note)
    needs: Mapping[str, str] = getattr(engine, "needs", {})
    known = [store.entries[name] for name in needs.values() if name in store.entries]
    licence = "; ".join([model.licence for model in known] + [note] * bool(note))
    spoken = getattr(engine, "languages", ())
    languages = tuple(spoken) if isinstance(spoken, tuple | list) else ()
    why = _why_not(entry, engine, needs, store)
    return EngineState(entry, "warn" if why else "ok", why, languages, needs, licence)


def _why_not(
    entry: EngineEntry, engine: type[Any], needs: Mapping[str, str], store: ModelStore
) -> str:
    missing = [name for name in late_imports(engine) if not _installed(name)]
    if missing or (entry.kind, entry.name) in _CHEAP:
        # It fails at its first import, before anything heavy, and knows its remedy best.
        try:
            table = {key: Path(os.devnull) for key in _required(engine)}
            made = engine(**table)
        except plugins.EngineUnavailable as error:
            return str(error)
        except Exception:
            if missing:
                return f"needs the module {missing[0]!r}; install it with pip"
        else:
            if hasattr(made, "close"):
                made.close()
    for name in needs.values():
        try:
            store.path(name)
        except ModelError as error:
            return str(error)
    if (entry.kind, entry.name) in _DEVICES:
        check = {"camera": camera, "device": sound, "window": display}[entry.name]()[0]
        return "" if check.state == "ok" else f"{check.text}; {check.remedy}"
    wanted = [key for key in _required(engine) if key not in needs]
    if wanted and entry.kind in ("llm", "tts", "asr"):
        return f"set {', '.join(wanted)} in show.toml"
    return ""


def _required(engine: type[Any]) -> list[str]:
    return [
        key
        for key, parameter in plugins.options(engine).items()
        if parameter.default is inspect.Parameter.empty
    ]


def late_imports(engine: type[Any]) -> list[str]:
    """Return the top-level modules that the engine's file imports inside its functions.

    Heavy imports stand there. One inside `try` counts only when its failure is raised again: else
    the engine can do without it.
    """
    module = inspect.getmodule(engine)
    try:
        tree = ast.parse(inspect.getsource(module) if module is not None else "")
    except (OSError, TypeError, SyntaxError):
        return []
    names: list[str] = []
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in _needed(function.body):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.append(node.module)
    return list(dict.fromkeys(name.partition(".")[0] for name in names))


def _needed(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of `body` that always run, or whose failure is raised."""
    for node in body:
        yield node
        if isinstance(node, ast.With):
            yield from _needed(node.body)
        elif isinstance(node, ast.Try) and all(
            any(isinstance(inner, ast.Raise) for inner in ast.walk(catch))
            for catch in node.handlers
        ):
            yield from _needed(node.body)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


# The machine -------------------------------------------------------------------------------------


def examine(show: Show) -> list[Check]:
    """Return everything that was found, in the order to read it."""
    store = ModelStore()
    checks = [*python(), *machine(store), *models(show, store)]
    states = engines(list(plugins.KINDS), store)
    checks += [*character(show), *engine_checks(show, states)]
    return [*checks, port(show), *sound(), *cable(), *camera(), *display(), *streams(), *programs()]


def python() -> list[Check]:
    """Return the interpreter's line; pip has seen to it that it is new enough."""
    version = platform.python_version()
    return [Check("python", "ok", f"Python {version} on {platform.system()} {platform.machine()}")]


def machine(store: ModelStore) -> list[Check]:
    """Return cores, memory and disk."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    checks = [
        Check("machine", "ok", f"{cores} cores")
        if (cores or 1) >= 2
        else Check(
            "machine", "warn", "1 core",
            "the picture will stutter while the host thinks; let a server think: "
            "`bunraku live --llm URL --model NAME`",
        )
    ]  # fmt: skip
    total, free = memory()
    if total:
        text = f"{megabytes(total)} of memory, {megabytes(free)} free"
        tight = total < LEAST_MEMORY
        remedy = "use a server: `bunraku live --llm URL --model NAME`" if tight else ""
        checks.append(Check("machine", "warn" if tight else "ok", text, remedy))
    checks.append(disk(store))
    return checks


def memory() -> tuple[int, int]:
    """Return all and available memory in bytes; zeros where the system does not say."""
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total = page * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0, 0
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) << 10 for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration):
        free = total
    return total, free


def disk(store: ModelStore) -> Check:
    """Return whether the models' folder can be written and has room for what is missing."""
    folder = store.root
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    names = default_names()
    need = sum(row.model.size for row in store.status() if row.name in names and not row.path)
    text = f"{megabytes(free)} of disk free for models in {store.root}"
    if not os.access(folder, os.W_OK):
        remedy = f"let this user write to {folder}, or set BUNRAKU_CACHE to a folder of yours"
        return Check("disk", "bad" if need else "warn", f"{folder} is not writable", remedy)
    if need and free < need * 1.1 + (200 << 20):
        remedy = f"{megabytes(need)} are to come; make room, or set BUNRAKU_CACHE to another disk"
        return Check("disk", "bad", text, remedy)
    return Check("disk", "ok", text)


def models(show: Show, store: ModelStore) -> list[Check]:
    """Return the default models' states, and those of half-fetched others."""
    names = list(default_names())
    chosen = show.llm.options.get("model")
    own_llm = show.llm.engine != "llama" or chosen is not None
    checks = []
    if show.llm.engine == "llama" and chosen is not None:
        try:
            checks.append(Check("models", "ok", f"llm: {store.resolve(chosen)}"))
        except ModelError as error:
            text, _, remedy = str(error).partition("; ")
            checks.append(Check("models", "bad", text, remedy))
    for row in store.status():
        kind = row.model.kind
        needed = row.name in names and not (kind == "llm" and own_llm)
        text = f"{row.name} ({megabytes(row.model.size)})"
        remedy = f"`bunraku models fetch {row.name}`"
        if row.state == "ready" and row.name in names:
            checks.append(Check("models", "ok", text))
        elif row.state == "partial":
            state: State = "bad" if needed and kind not in ONLY_FOR_HEAR else "warn"
            checks.append(
                Check("models", state, f"{text} is half fetched", f"{remedy} goes on with it")
            )
        elif row.state == "missing" and needed:
            state = "warn" if kind in ONLY_FOR_HEAR else "bad"
            checks.append(Check("models", state, f"{text} is not here", remedy))
    return checks


def character(show: Show) -> list[Check]:
    """Return whether the show's character can be read."""
    from dialogue.character import load_character
    from stage import folders

    try:
        folder = folders.character(show.character)
        loaded = load_character(folder)
    except (ValueError, RuntimeError, OSError) as error:
        text, _, remedy = str(error).partition("; ")
        return [Check("character", "bad", text, remedy)]
    return [Check("character", "ok", f"{loaded.display_name} in {folder}")]


def engine_checks(show: Show, states: Sequence[EngineState]) -> list[Check]:
    """Return one line for the engines that are ready, and one for each that is not."""
    needed = {*ON_AIR, ("llm", show.llm.engine)}
    ready = [f"{s.entry.kind} {s.entry.name}" for s in states if s.state == "ok"]
    checks = [Check("engines", "ok", f"ready: {', '.join(ready)}")] if ready else []
    spoken = {language for s in states if s.state == "ok" for language in s.languages}
    for state in states:
        key = (state.entry.kind, state.entry.name)
        if state.state == "ok" or key in _DEVICES:  # devices have lines of their own
            continue
        if key in needed and not _configured(show, state):
            checks.append(Check("engines", "bad", f"{key[0]} {key[1]}: {state.why}"))
        elif key not in needed:
            checks.append(Check("engines", "warn", f"{key[0]} {key[1]} (optional): {state.why}"))
    if ":" not in show.llm.engine and show.llm.engine not in plugins.registered("llm"):
        known = ", ".join(plugins.registered("llm"))
        text = f"no llm engine is called {show.llm.engine!r}"
        checks.append(Check("engines", "bad", text, f"set llm.engine to one of {known}"))
    if not spoken:
        text = "no voice is ready: the host would be mute"
        checks.append(Check("engines", "bad", text, "`bunraku models fetch`"))
    return checks


def _configured(show: Show, state: EngineState) -> bool:
    """Return whether the show's own table fills in what an engine lacks."""
    return (
        state.entry.kind == "llm"
        and bool(show.llm.options)
        and (state.why.startswith("set ") or ("model" in show.llm.options and "model" in state.why))
    )


def port(show: Show) -> Check:
    """Return whether the stage page's port is free."""
    host, wanted = show.web.host, show.web.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind((host, wanted))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                text = f"port {wanted} is in use; `bunraku live` takes the next free one"
                return Check("page", "warn", text, f"for a fixed one: --port {wanted + 100}")
            text = f"cannot listen on {host}:{wanted} ({error.strerror})"
            return Check("page", "bad", text, "set web.host to 127.0.0.1 and web.port above 1023")
    return Check("page", "ok", f"port {wanted} on {host} is free; any recent browser will do")


def sound() -> list[Check]:
    """Return whether this machine can play sound; the stage page brings its own."""
    try:
        import sounddevice
    except ImportError as error:
        return [Check("sound", "warn", f"no sounddevice ({error})", "pip install sounddevice")]
    except OSError:
        remedy = {
            "linux": "`sudo apt install libportaudio2`",
            "darwin": "`brew install portaudio`",
        }.get(sys.platform, "reinstall sounddevice: its wheel brings PortAudio")
        return [
            Check(
                "sound", "warn", "PortAudio is not installed: no --speakers",
                f"{remedy}; the stage page and films have their sound without it",
            )
        ]  # fmt: skip
    try:
        devices = [d for d in sounddevice.query_devices() if d["max_output_channels"] > 0]
    except sounddevice.PortAudioError as error:
        return [Check("sound", "warn", f"PortAudio finds no devices ({error})", "plug one in")]
    if not devices:
        return [
            Check(
                "sound", "warn", "no loudspeaker or headset: no --speakers",
                "plug one in; the stage page and films have their sound without it",
            )
        ]  # fmt: skip
    names = ", ".join(str(device["name"]) for device in devices[:4])
    more = f" and {len(devices) - 4} more" if len(devices) > 4 else ""
    return [Check("sound", "ok", f"plays on: {names}{more}")]


def cable(platform: str = sys.platform) -> list[Check]:
    """Return whether there is a virtual audio cable, which only `--cable` needs."""
    from stage import cables

    if not platform.startswith("linux"):
        return [Check("cable", "ok", "a virtual audio cable is a driver: see `bunraku cable`")]
    try:
        there = cables.find()
    except plugins.EngineError as error:
        text, _, remedy = str(error).removeprefix("cable: ").partition("; ")
        return [Check("cable", "warn", f"no virtual audio cable: {text}", remedy)]
    if there:
        text = f"the virtual audio cable {cables.NAME} is there: `bunraku live --cable`"
        return [Check("cable", "ok", text)]
    return [Check("cable", "ok", "no virtual audio cable yet; `bunraku cable` makes it")]


def camera() -> list[Check]:
    """Return whether there is a virtual camera, which only `--camera` needs."""
    from stage import cameras

    return cameras.look()


def display() -> list[Check]:
    """Return whether a window can be shown; without opening one."""
    if sys.platform == "darwin":
        return [Check("display", "ok", "windows are the browser's here: open the stage page")]
    if not _installed("sdl2"):
        text = "a window (optional): SDL is not installed"
        return [Check("display", "warn", text, "`pip install 'bunraku[window]'`")]
    if sys.platform == "linux":
        screens = [name for key in ("WAYLAND_DISPLAY", "DISPLAY") if (name := os.environ.get(key))]
        if not screens:
            text = "a window (optional): this session has no display"
            remedy = "start `bunraku live --window` on the machine's screen, or set DISPLAY (=:0)"
            return [Check("display", "warn", text, remedy)]
        return [Check("display", "ok", f"a window can be shown on {screens[0]}")]
    return [Check("display", "ok", "a window can be shown")]


def streams() -> list[Check]:
    """Return which protocols `--push` can speak; RTMP is ours, SRT needs a library."""
    from render.sinks import srt

    checks = [
        Check("streams", "ok", "--push speaks rtmp, rtmps and https (WHIP); --screens speaks HLS")
    ]
    try:
        version = srt.version()
    except plugins.EngineUnavailable as error:
        remedy = str(error).partition(": ")[2]
        return [*checks, Check("streams", "warn", "no libsrt: no --push srt://", remedy)]
    return [*checks, Check("streams", "ok", f"--push speaks srt (libsrt {version})")]


def programs() -> list[Check]:
    """Return what is often asked about and not needed, and the optional espeak-ng."""
    speaks = shutil.which("espeak-ng") or shutil.which("espeak")
    checks = [
        Check("programs", "ok", "espeak-ng is here: the last resort for other languages")
        if speaks
        else Check(
            "programs", "warn", "no espeak-ng: languages without a voice of their own stay mute",
            "optional: `sudo apt install espeak-ng`, `brew install espeak-ng`, or its installer",
        )
    ]  # fmt: skip
    checks.append(Check("programs", "ok", "ffmpeg and Chromium are not needed"))
    return checks
