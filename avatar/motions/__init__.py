"""Expressions, gestures and postures as data: reading, checking and overriding.

Three files, each a table per name; a character's own `motions/` folder adds entries or overrides
ours by name. Values are offsets from rest in the parameter's own unit, times are seconds.

- `expressions.toml`: `[happy]` with parameter = offset; `also` other names for it, `ease_s`
  (0.35) to get there, `hold_s` (2.5) how long it outlasts the last word. `Viseme_oh = 0.3` opens
  the mouth where it is silent: what the voice says takes its place.
- `gestures.toml`: `[wave]` with parameter = [[second, offset], ...], 0 at both ends; `also`,
  `face` an expression that comes with it, `idle_every_s` = [shortest, longest] for small habits
  that happen by themselves when nothing else does, `talk_every_s` for those of a speaker.
- `postures.toml`: `[listening]` with parameter = offset; held while the host is listening,
  thinking, speaking or attending (looking at something it was told to look at); `ease_s`.

The mouth's shapes belong to the voice: nothing else may move a viseme, and nothing at all
ParamMouthOpenY.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from avatar.curves import KeyedCurve
from avatar.pose import STANDARD, ParameterTable
from avatar.rig import CharacterError
from dialogue.ticks import TICKS_PER_S, Ticks, from_s

HERE = Path(__file__).parent
POSTURES = ("idle", "listening", "thinking", "speaking", "attending")


@dataclass(frozen=True, slots=True)
class Expression:
    """A face, or a posture: offsets that are eased into and held."""

    name: str
    """The name it is cued by."""
    offsets: Mapping[str, float]
    """Parameter -> offset from rest."""
    ease: Ticks
    """Time to get there."""
    hold: Ticks
    """How long it outlasts the last word."""


@dataclass(frozen=True, slots=True)
class Gesture:
    """A movement that ends where it began."""

    name: str
    """The name it is cued by."""
    curves: Mapping[str, KeyedCurve]
    """Parameter -> offset over time in ticks, 0 at both ends."""
    length: Ticks
    """From start to end."""
    face: str
    """Expression that comes with it; "" for none."""
    idle_every: tuple[Ticks, Ticks] | None
    """Shortest and longest time between two by themselves in silence; None for never."""
    talk_every: tuple[Ticks, Ticks] | None = None
    """The same while speaking."""


@dataclass(frozen=True, slots=True)
class Motions:
    """Everything that a host can be told to do."""

    expressions: Mapping[str, Expression]
    """By name."""
    gestures: Mapping[str, Gesture]
    """By name."""
    postures: Mapping[str, Expression]
    """By state, see `POSTURES`."""
    synonyms: Mapping[str, str]
    """Other names -> names."""

    def resolve(self, cue: str) -> str | None:
        """Return the name that `cue` stands for, or None."""
        name = re.sub(r"[\s-]+", "_", cue.strip().lower())
        for tried in (name, *_stems(name)):
            tried = self.synonyms.get(tried, tried)
            if tried in self.expressions or tried in self.gestures:
                return tried
        return None


def _stems(name: str) -> tuple[str, ...]:
    """Return what `name` may be a form of: waves, waving, nodded, laughing."""
    out = []
    for ending in ("s", "es", "ing", "ed", "ly"):
        if name.endswith(ending) and len(name) > len(ending) + 2:
            stem = name[: -len(ending)]
            out += [stem, stem + "e"]
            if len(stem) > 3 and stem[-1] == stem[-2]:
                out.append(stem[:-1])
    return tuple(out)


class _File:
    """One motion file with the lines that its entries stand on."""

    def __init__(self, path: Path, table: ParameterTable) -> None:
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.known = {p.id for p in STANDARD} | set(table.index)
        try:
            self.tree = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            found = re.search(r"line (\d+)", str(error))
            line = int(found[1]) if found else None
            raise CharacterError(path, line, f"not TOML ({error})", "correct it there") from None
        for name, entry in self.tree.items():
            if not isinstance(entry, dict):
                raise self.fault(name, "", "stands outside a table", "put it under a [name]")

    def fault(self, table: str, key: str, fault: str, remedy: str) -> CharacterError:
        line = None
        for number, text in enumerate(self.text.splitlines(), 1):
            if line is None and re.match(rf"\s*\[?\s*\"?{re.escape(table)}\"?\s*[\]=]", text):
                line = number
                if not key:
                    break
            elif line is not None and re.match(rf"\s*{re.escape(key)}\s*=", text):
                line = number
                break
        place = f"[{table}] {key}".strip()
        return CharacterError(self.path, line, f"{place}: {fault}", remedy)

    def parameters(
        self, name: str, entry: Mapping[str, Any], keys: tuple[str, ...], *, mouth: bool = False
    ) -> list[str]:
        """Return the parameters of an entry; anything else must be one of `keys`.

        Args:
            name: of the entry.
            entry: what it holds.
            keys: what else it may hold.
            mouth: visemes are allowed.
        """
        found = []
        for key in entry:
            if key in keys:
                continue
            spoken = key == "Viseme_sil" or (key.startswith("Viseme_") and not mouth)
            if spoken or key == "ParamMouthOpenY":
                raise self.fault(name, key, "the voice moves this", "use ParamMouthForm")
            if key not in self.known:
                near = get_close_matches(key, [*self.known, *keys], n=1)
                hint = (
                    f"did you mean {near[0]}?" if near else "docs/draw-your-own-host.md lists them"
                )
                raise self.fault(name, key, "there is no such parameter or key", hint)
            found.append(key)
        return found

    def number(self, name: str, entry: Mapping[str, Any], key: str, default: float) -> float:
        value = entry.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise self.fault(name, key, f"{value!r} is no length of time", "write seconds >= 0")
        return float(value)

    def also(self, name: str, entry: Mapping[str, Any]) -> list[str]:
        value = entry.get("also", [])
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise self.fault(name, "also", "is no list of names", 'write also = ["smile", ...]')
        return value

    def expression(self, name: str, entry: Mapping[str, Any], *, mouth: bool = False) -> Expression:
        """Return a face, or a posture; `mouth` where it may open the silent mouth."""
        offsets = {}
        for key in self.parameters(name, entry, ("also", "ease_s", "hold_s"), mouth=mouth):
            value = entry[key]
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise self.fault(name, key, f"{value!r} is no number", "write an offset")
            offsets[key] = float(value)
        shapes = [value for key, value in offsets.items() if key.startswith("Viseme_")]
        if shapes and (min(shapes) < 0 or sum(shapes) > 1):
            raise self.fault(
                name, "", "its visemes are no shares of a mouth", "write 0 to 1 in all"
            )
        ease = max(0.12, self.number(name, entry, "ease_s", 0.35))
        hold = self.number(name, entry, "hold_s", 2.5)
        return Expression(name, offsets, from_s(ease), from_s(hold))

    def gesture(self, name: str, entry: Mapping[str, Any]) -> Gesture:
        curves = {}
        for key in self.parameters(name, entry, ("also", "face", "idle_every_s", "talk_every_s")):
            curves[key] = self._curve(name, key, entry[key])
        if not curves:
            raise self.fault(name, "", "moves nothing", "give it a parameter's curve")
        return Gesture(
            name, curves, max(round(curve.stop) for curve in curves.values()),
            str(entry.get("face", "")),
            self.every(name, entry, "idle_every_s"), self.every(name, entry, "talk_every_s"),
        )  # fmt: skip

    def every(self, name: str, entry: Mapping[str, Any], key: str) -> tuple[Ticks, Ticks] | None:
        every = entry.get(key)
        if every is None:
            return None
        if not isinstance(every, list) or len(every) != 2 or not 0.5 <= every[0] <= every[1]:
            raise self.fault(name, key, f"{every!r} is no range", "write [shortest, longest], s")
        return from_s(every[0]), from_s(every[1])

    def _curve(self, name: str, key: str, keys: Any) -> KeyedCurve:
        try:
            pairs = [(float(t), float(v)) for t, v in keys]
        except (TypeError, ValueError):
            raise self.fault(name, key, "is no curve", "write [[second, offset], ...]") from None
        if len(pairs) < 3 or any(b[0] <= a[0] for a, b in zip(pairs, pairs[1:], strict=False)):
            raise self.fault(name, key, "its seconds must rise", "give three keys or more in order")
        if pairs[0] != (0.0, 0.0) or pairs[-1][1] != 0.0:
            raise self.fault(
                name, key, "does not begin and end at rest", "begin with [0, 0], end with [.., 0]"
            )
        return KeyedCurve([(t * TICKS_PER_S, v) for t, v in pairs])


def read_motions(folder: Path | None, table: ParameterTable) -> Motions:
    """Return our motions, with those of a character's `motions/` folder on top.

    Raises:
        CharacterError: a file is broken; says which, its line and the remedy.
    """
    expressions: dict[str, Expression] = {}
    gestures: dict[str, Gesture] = {}
    postures: dict[str, Expression] = {}
    synonyms: dict[str, str] = {}
    for place in (HERE, folder):
        if place is None:
            continue
        for path in sorted(place.glob("*.toml")):
            file = _File(path, table)
            for name, entry in file.tree.items():
                if path.stem == "expressions":
                    expressions[name] = file.expression(name, entry, mouth=True)
                elif path.stem == "gestures":
                    gestures[name] = file.gesture(name, entry)
                elif path.stem == "postures":
                    if name not in POSTURES:
                        raise file.fault(name, "", "no such state", f"use {', '.join(POSTURES)}")
                    postures[name] = file.expression(name, entry)
                else:
                    raise CharacterError(
                        path, None, "is none of our motion files",
                        "use expressions.toml, gestures.toml or postures.toml",
                    )  # fmt: skip
                for other in file.also(name, entry):
                    synonyms[other] = name
            for name, gesture in gestures.items():
                if gesture.face and gesture.face not in expressions:
                    raise file.fault(
                        name, "face", f"there is no expression {gesture.face!r}", "correct it"
                    )
    return Motions(expressions, gestures, postures, synonyms)
