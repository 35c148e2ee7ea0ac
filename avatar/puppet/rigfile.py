"""The rig file: how a drawing's layers move, as checked data.

`rig.toml` beside the drawing names its layers and what moves them. Lengths are in units of the
drawing, angles in degrees, clockwise as seen by the viewer.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from avatar.rig import CharacterError

XY = tuple[float, float]
"""A place in the drawing."""
Keys = Annotated[tuple[tuple[float, float], ...], Meta(min_length=1)]
"""(parameter value, result) pairs, values rising; between them a straight line."""


class FrameSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the drawing the camera sees."""

    wide: tuple[float, float, float]
    """Centre x, top y and height of the view when the picture is 16:9 or wider."""
    tall: tuple[float, float, float]
    """The same for a 9:16 picture; shapes between are interpolated."""


class HeadSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The head as a curved thing that turns, nods and leans."""

    pivot: XY
    """It leans about this point, the base of the skull."""
    centre: XY
    """Middle of the skull."""
    radii: XY
    """Half width and half height of the skull."""
    turn_deg: float
    """Turn about the vertical at ParamAngleX = 30."""
    nod_deg: float
    """Turn about the horizontal at ParamAngleY = 30."""
    lean: float = 1.0
    """Degrees of lean for one of ParamAngleZ."""


class BodySpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The torso's bending."""

    hip: XY
    """It leans about this point."""
    shoulder_y: float
    """Height of the shoulders."""
    lean: float = 0.5
    """Degrees for one of ParamBodyAngleZ."""
    shift: float = 2.2
    """Sideways shift of the shoulders for one of ParamBodyAngleX."""
    bow: float = 1.6
    """Rise of the shoulders for one of ParamBodyAngleY."""
    breath: float = 7.0
    """Rise of the shoulders at ParamBreath = 1."""
    shrug: float = 18.0
    """Rise of the shoulders' ends at ParamShoulderY = 1."""
    shrug_from: XY = (110.0, 330.0)
    """Distance from the middle at which the shrug begins and is full."""


class MouthSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Corners of the mouth."""

    group: str
    """Group of the mouth."""
    centre: XY
    """Middle of the lip line at rest."""
    half_width: float
    """From the middle to a corner."""
    smile: float
    """Rise of the corners at ParamMouthForm = 1."""
    frown: float
    """Fall of the corners at ParamMouthForm = -1."""
    widen: float = 0.06
    """Share by which it widens at ParamMouthForm = 1."""


class LayerSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A top-level layer of the drawing."""

    name: str
    """Its id."""
    live: bool = False
    """Drawn path by path in each frame, for what changes shape; else its picture is warped."""
    head: float | XY = 0.0
    """Share of the head's motion, or the heights at which it is 1 and 0."""
    depth: float = 0.0
    """How far in front of the head's axis it lies."""
    bulge: float = 0.0
    """How much further in front its middle is than its rim."""
    cell: Annotated[float, Meta(gt=0)] = 64.0
    """Mesh size of its warp."""
    under: tuple[str, ...] = ()
    """Layers that cover parts of it whatever the pose; those parts are not drawn."""
    margin: float = 40.0
    """How far inside the cover it may show nevertheless, by their relative motion."""
    stamps: tuple[str, ...] = ()
    """Groups inside a live layer that move but do not bend: drawn as pictures."""


class KeyformSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Alternative drawings of a group, blended by parameters, node by node."""

    group: str
    """The drawing at rest."""
    by: dict[str, str] = {}
    """Parameter -> group that shows it at 1; their weights add up."""
    axes: tuple[tuple[str, tuple[float, ...]], ...] = ()
    """(parameter, its keys) of a grid."""
    grid: tuple[tuple[str, ...], ...] = ()
    """Groups at the grid's crossings: a row for each key of the first axis."""


class SlideSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A shift by a parameter."""

    groups: tuple[str, ...]
    """What moves."""
    parameter: str
    """Which parameter."""
    keys: Keys
    """Parameter value to share of the way."""
    by: XY
    """The way."""


class TurnSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rotation by a parameter."""

    groups: tuple[str, ...]
    """What turns."""
    parameter: str
    """Which parameter."""
    keys: Keys
    """Parameter value to degrees, clockwise."""
    pivot: XY
    """About which point."""


class FadeSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Opacity by a parameter; several of one group multiply, also with a swap."""

    groups: tuple[str, ...]
    """Layers, or groups inside live layers."""
    parameter: str
    """Which parameter."""
    keys: Keys
    """Parameter value to opacity 0..1."""


class SwapSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of several drawings is shown: for pictures, which cannot be blended node by node."""

    groups: dict[str, tuple[str, ...]]
    """Group -> parameters whose values add up; the group with the most is shown, the first one
    where none has any."""


class SpringSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something soft that hangs on and follows late."""

    name: str
    """For messages."""
    layers: tuple[str, ...]
    """What it moves."""
    root: XY
    """Where it is fixed."""
    tip: XY
    """Its free end at rest."""
    frequency_hz: Annotated[float, Meta(gt=0)]
    """Its own swing."""
    damping: Annotated[float, Meta(ge=0)]
    """Share of critical damping; 1 never swings over."""
    start: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    """Share of the way from root to tip where it begins to give."""
    power: float = 1.4
    """How late along its length it bends: 1 evenly, more towards the tip."""
    hang: float = 0.0
    """1 hangs plumb when the head leans, 0 keeps its place on the head."""
    drag: float = 0.6
    """Share of damping against still air, so that it trails a moving head."""
    limit: Annotated[float, Meta(gt=0)] = 60.0
    """Farthest that its tip goes from its place."""
    gain: float = 1.0
    """How much of its swing is shown."""
    sway: bool = False
    """Shifted, for what hangs side by side; else bent about the root."""


class RigSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    art: str
    """Name of the drawing beside it."""
    frame: FrameSpec
    head: HeadSpec
    body: BodySpec
    mouth: MouthSpec
    layer: tuple[LayerSpec, ...]
    keyform: tuple[KeyformSpec, ...] = ()
    slide: tuple[SlideSpec, ...] = ()
    turn: tuple[TurnSpec, ...] = ()
    fade: tuple[FadeSpec, ...] = ()
    swap: tuple[SwapSpec, ...] = ()
    spring: tuple[SpringSpec, ...] = ()
    rest: dict[str, float] = {}
    """Parameters whose rest differs from the standard one."""


TABLES: Mapping[str, type[msgspec.Struct]] = {
    "frame": FrameSpec,
    "head": HeadSpec,
    "body": BodySpec,
    "mouth": MouthSpec,
    "layer": LayerSpec,
    "keyform": KeyformSpec,
    "slide": SlideSpec,
    "turn": TurnSpec,
    "fade": FadeSpec,
    "swap": SwapSpec,
    "spring": SpringSpec,
}
"""Name of a table to what it may hold."""


class RigFile:
    """A rig file with the lines its tables stand on.

    Raises:
        CharacterError: missing, not TOML, or a key that is unknown, missing or of a wrong type.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            self.text = file.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise CharacterError(file, None, "there is no such file", "write one") from None
        try:
            self.spec = msgspec.toml.decode(self.text, type=RigSpec)
        except msgspec.ValidationError as error:
            fault, _, place = str(error).partition(" - at `$")
            line = self._place_line(place.rstrip("`"), fault)
            fault, remedy = self._told(place.rstrip("`"), fault)
            raise CharacterError(file, line, fault, remedy) from None
        except msgspec.DecodeError as error:
            found = re.search(r"line (\d+)", str(error))
            line = int(found[1]) if found else None
            raise CharacterError(file, line, f"not TOML ({error})", "correct it there") from None

    def _told(self, place: str, fault: str) -> tuple[str, str]:
        """Return what the decoder found at a place such as ".layer[3]", and what to do."""
        table = re.match(r"\.(\w+)(\[\d+\])?", place)
        named, keys = "the rig", RigSpec.__struct_fields__
        if table:
            named = f"[[{table[1]}]]" if table[2] else f"[{table[1]}]"
            keys = TABLES[table[1]].__struct_fields__ if table[1] in TABLES else ()
        if missing := re.search(r"required field `(\w+)`", fault):
            return f"{named} has no {missing[1]}", f"write {missing[1]} = ... there"
        if unknown := re.search(r"unknown field `(\w+)`", fault):
            near = get_close_matches(unknown[1], keys, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"it may have {', '.join(keys)}"
            return f"{named} has no key {unknown[1]!r}", remedy
        inner = place[table.end() :].lstrip(".") if table else ""
        return f"{named} {inner}: {fault}".replace(" :", ":"), "correct it there"

    def _place_line(self, place: str, fault: str) -> int | None:
        """Return the line of a place such as ".layer[3].depth"."""
        found = re.match(r"\.(\w+)(?:\[(\d+)\])?(?:\.(\w+))?", place)
        named = re.search(r"field `(\w+)`", fault)
        key = (found[3] if found else None) or (named[1] if named else None)
        if found is None:
            return self.line(rf"\s*(?:\[\[?)?{key}\b") if key else None
        line = self.table_line(found[1], int(found[2] or 0))
        if line is None:
            return self.line(rf"\s*{found[1]}\b")
        for offset, text in enumerate(self.text.splitlines()[line:]):
            if text.startswith("["):
                break
            if key and re.match(rf"\s*{key}\s*=", text):
                return line + offset + 1
        return line

    def line(self, pattern: str) -> int | None:
        """Return the first line that begins with `pattern`."""
        for number, text in enumerate(self.text.splitlines(), 1):
            if re.match(pattern, text):
                return number
        return None

    def table_line(self, table: str, index: int) -> int | None:
        """Return the line of the `index`-th `[[table]]`, or of `[table]`."""
        for number, text in enumerate(self.text.splitlines(), 1):
            if re.match(rf"\[\[?{table}\]", text):
                if index == 0:
                    return number
                index -= 1
        return None

    def fault(self, table: str, index: int, fault: str, remedy: str) -> CharacterError:
        """Return the error for the `index`-th `[[table]]`."""
        return CharacterError(self.file, self.table_line(table, index), fault, remedy)
