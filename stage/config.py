"""The show's settings: one `show.toml`, every key with a default, unknown keys an error.

The reference in `docs/configuration.md` is generated from this file (`python -m stage.config`).
Secrets never stand here: engines take the *name* of an environment variable.
"""

import os
import sys
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from dialogue.translation import TARGETS

FPS = (24, 25, 30, 50, 60)
"""Frame rates whose frames are whole ticks."""


SIZES: dict[str, tuple[int, int]] = {
    "720p": (1280, 720),
    "1080p": (1920, 1080),
    "1440p": (2560, 1440),
    "portrait": (1080, 1920),
    "portrait-720": (720, 1280),
    "square": (1080, 1080),
}
"""Names of picture sizes: width and height in pixels."""


class ConfigError(ValueError):
    """`show.toml` cannot be used; the message is one line with file, key and remedy."""


class Video(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Picture size and rate."""

    size: Annotated[
        str,
        Meta(
            description="Picture size by name instead of `width` and `height`: "
            + ", ".join(f"`{name}`" for name in SIZES)
            + ", or such as `1280x720`."
        ),
    ] = ""
    width: Annotated[int, Meta(ge=160, le=3840, description="Picture width in pixels.")] = 1280
    height: Annotated[int, Meta(ge=90, le=3840, description="Picture height in pixels.")] = 720
    fps: Annotated[int, Meta(description="Frames a second: 24, 25, 30, 50 or 60.")] = 30
    gpu: Annotated[
        bool,
        Meta(description="Draw on a graphics card where there is one and it is faster (Linux)."),
    ] = True


class Web(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The stage page."""

    host: Annotated[
        str, Meta(description="Address to listen on; the loopback keeps strangers out.")
    ] = "127.0.0.1"
    port: Annotated[
        int,
        Meta(ge=0, le=65535, description="Port; the next free one is taken if it is in use."),
    ] = 8008
    ice_servers: Annotated[
        tuple[str, ...],
        Meta(description="STUN/TURN addresses for viewers on other networks; none needed here."),
    ] = ()


class LLM(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who thinks of the answers."""

    engine: Annotated[
        str, Meta(description="A name from `bunraku engines`, or `module:Class` of your own.")
    ] = "llama"
    options: Annotated[
        dict[str, Any],
        Meta(description="Keywords of the engine, for instance `model` (a catalogue name or file)"),
    ] = {}
    successors: Annotated[
        tuple[str, ...], Meta(description="Engines tried in turn when the first one fails.")
    ] = ()
    temperature: Annotated[
        float, Meta(ge=0, le=2, description="How adventurous the wording is.")
    ] = 0.4
    opener_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000,
            description="An answer expected later than this is opened at once, with the viewer's "
            "name or a small word; 0 never.",
        ),
    ] = 800
    max_tokens: Annotated[
        int, Meta(ge=8, le=1024, description="Longest answer, in the model's tokens.")
    ] = 80


class Voices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who speaks."""

    engines: Annotated[
        dict[str, tuple[str, ...]],
        Meta(
            description="Language code (or `*`) to engines in order of preference; "
            "empty: the character's choice."
        ),
    ] = {}
    options: Annotated[
        dict[str, dict[str, Any]], Meta(description="Engine name to its keywords.")
    ] = {}
    pause_ms: Annotated[int, Meta(ge=0, le=2000, description="Silence between two utterances.")] = (
        120
    )


class MusicTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Music behind the voice."""

    path: Annotated[
        str, Meta(description="A file of music, or a folder of them; empty: no music.")
    ] = ""
    gain_db: Annotated[
        float,
        Meta(ge=-60, le=6, description="Loudness against the voice's, each piece measured."),
    ] = -12.0
    duck_db: Annotated[
        float, Meta(ge=0, le=60, description="How much it steps back while the host speaks.")
    ] = 12.0
    attack_ms: Annotated[
        float, Meta(ge=10, le=5000, description="It takes this long to step back.")
    ] = 150.0
    release_ms: Annotated[
        float, Meta(ge=10, le=20000, description="And this long to come back.")
    ] = 900.0
    shuffle: Annotated[bool, Meta(description="Another order each time round.")] = False
    loop: Annotated[bool, Meta(description="Begin again after the last piece.")] = True


class CaptionsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is written of what is said. How it looks is the character's `[captions]`."""

    show: Annotated[
        bool, Meta(description="On the stage page and the overlay; viewers may choose otherwise.")
    ] = True
    burn: Annotated[
        bool,
        Meta(
            description="Drawn into the picture of outputs that have no text of their own, such as "
            "the camera and streams."
        ),
    ] = False
    translate: Annotated[
        str,
        Meta(
            description="A second, smaller line in this language under what is said in another, "
            "and a second file and text track beside films: `en`, `zh`, `ja`, `ko`, `es`, `fr`, "
            "`de` or `pt`; empty: none. The language model translates when nobody waits for it."
        ),
    ] = ""


class SinkTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One more way on air, beside the stage page."""

    engine: Annotated[
        str,
        Meta(description="`file`, `camera`, `device`, `stream`, `whip`, `hls`, or `module:Class`."),
    ]
    options: Annotated[dict[str, Any], Meta(description="Keywords of the sink.")] = {}


class Show(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a show can be told."""

    character: Annotated[
        str, Meta(description="Name of a folder in `characters/`, or a path to one.")
    ] = "kohaku"
    scene: Annotated[
        str,
        Meta(description="A scene of the character, `transparent` or `chroma`; empty: its own."),
    ] = ""
    seed: Annotated[int, Meta(description="Seed of the host's idle motion.")] = 7
    clock: Annotated[
        Literal["auto", "device", "machine"],
        Meta(
            description="Who leads: a sound card (`device`), this machine (`machine`), or a card "
            "where nothing else carries the sound but the stage page (`auto`)."
        ),
    ] = "auto"
    journal: Annotated[
        str, Meta(description="File that keeps the conversation over restarts; empty: none.")
    ] = ""
    video: Video = Video()
    web: Web = Web()
    llm: LLM = LLM()
    voice: Voices = Voices()
    captions: CaptionsTable = CaptionsTable()
    music: MusicTable = MusicTable()
    sinks: Annotated[dict[str, SinkTable], Meta(description="Name to sink.")] = {}


def load(path: Path | None) -> Show:
    """Read `show.toml`.

    Args:
        path: the file, or None for the defaults.

    Raises:
        ConfigError: one line with file, key and remedy.
    """
    if path is None:
        return Show()
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot read it ({error.strerror}); give --config FILE"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    return build(tree, str(path))


def build(tree: dict[str, Any], where: str) -> Show:
    """Make a `Show` of a parsed tree; `where` names it in errors."""
    _reject_unknown(tree, Show, where, "")
    try:
        show = msgspec.convert(tree, Show)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}; see docs/configuration.md") from None
    if show.video.size:
        show = _sized(tree, show, where)
    if show.video.fps not in FPS:
        near = min(FPS, key=lambda rate: abs(rate - show.video.fps))
        raise ConfigError(f"{where}: video.fps = {show.video.fps} is not offered; try {near}")
    target = show.captions.translate
    if target and target not in TARGETS:
        known = ", ".join(TARGETS)
        raise ConfigError(f"{where}: captions.translate = {target!r} is not offered; try {known}")
    if show.video.width % 2 or show.video.height % 2:
        raise ConfigError(f"{where}: video.width and video.height must be even numbers")
    return show


def picture_size(text: str, where: str) -> tuple[int, int]:
    """Return width and height of a size by name or of one such as "1280x720".

    Raises:
        ConfigError: it is neither; `where` names it.
    """
    if text in SIZES:
        return SIZES[text]
    width, cross, height = text.partition("x")
    if cross and width.isdecimal() and height.isdecimal():
        return int(width), int(height)
    near = get_close_matches(text, SIZES, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(SIZES)}"
    raise ConfigError(f"{where}: there is no size {text!r}; {hint} or write it as 1280x720")


def _sized(tree: dict[str, Any], show: Show, where: str) -> Show:
    """Return `show` with the width and height that `video.size` names."""
    if {"width", "height"} & set(tree["video"]):
        raise ConfigError(
            f"{where}: video.size and video.width, video.height say the same twice; keep one"
        )
    width, height = picture_size(show.video.size, f"{where}: video.size")
    video = {**tree["video"], "size": "", "width": width, "height": height}
    return build({**tree, "video": video}, where)


def _reject_unknown(tree: dict[str, Any], kind: type[Any], where: str, prefix: str) -> None:
    fields = get_type_hints(kind)
    for key, value in tree.items():
        if key not in fields:
            near = get_close_matches(key, fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(fields)}"
            raise ConfigError(f"{where}: unknown key {prefix}{key!r}; {hint}")
        inner = fields[key]
        if (
            isinstance(value, dict)
            and isinstance(inner, type)
            and issubclass(inner, msgspec.Struct)
        ):
            _reject_unknown(value, inner, where, f"{key}.")


def cache_folder() -> Path:
    """Return the folder for what can be made again: `$BUNRAKU_CACHE` or the user's cache."""
    named = os.environ.get("BUNRAKU_CACHE")
    if named:
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "bunraku"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "bunraku"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "bunraku"


def reference() -> str:
    """Return `docs/configuration.md`."""
    lines = [
        "# Configuration",
        "",
        "One file, `show.toml`, given with `--config`. Every key has a default; an unknown key is",
        "an error that suggests the nearest. This page is generated: `python -m stage.config`.",
        "",
    ]
    for table, kind in (
        ("", Show),
        ("video", Video),
        ("web", Web),
        ("llm", LLM),
        ("voice", Voices),
        ("music", MusicTable),
        ("captions", CaptionsTable),
        ("sinks.NAME", SinkTable),
    ):
        lines += [f"## `[{table}]`" if table else "## Top level", "", kind.__doc__ or "", ""]
        lines += ["| key | default | meaning |", "|---|---|---|"]
        hints = get_type_hints(kind, include_extras=True)
        for field in msgspec.structs.fields(kind):
            hint = hints[field.name]
            if get_origin(hint) is not Annotated:
                continue
            meta = next(m for m in get_args(hint) if isinstance(m, Meta))
            default = field.default
            if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
                default = field.default_factory()
            shown = "required" if default is msgspec.NODEFAULT else f"`{_toml(default)}`"
            lines.append(f"| `{field.name}` | {shown} | {meta.description} |")
        lines.append("")
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, dict):
        return "{}"
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    sys.stdout.write(reference())
