"""The vector puppet: a drawing, a rig, and all control points moved at once by a pose.

Runs on: the render thread of the body; not safe for two threads. Coordinates are units of the
drawing, x to the viewer's right, y down.

Order of motion for a point: alternative drawings (visemes, lids, brows), corners of the mouth,
slides and turns by parameters, springs, turn of the head as parallax over a curved skull, lean of
the head, body. All later motions are smooth over the whole plane, so that parts that touch in the
drawing never part.
"""

import bisect
import cmath
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avatar.pose import STANDARD, Parameter, ParameterTable, Pose
from avatar.puppet.rigfile import (
    FadeSpec,
    Keys,
    LayerSpec,
    RigFile,
    SlideSpec,
    SpringSpec,
    TurnSpec,
)
from avatar.puppet.springs import Springs
from avatar.puppet.svg import CUBIC, LINE, Drawing, Points, Shape, as_id, read_svg
from avatar.rig import CharacterError

_Floats = npt.NDArray[np.float32]
_Complex = npt.NDArray[np.complex64]
_Where = slice | npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Layer:
    """A top-level layer of the puppet."""

    spec: LayerSpec
    """Its table in the rig file."""
    shapes: tuple[Shape, ...]
    """What is drawn, in order."""
    lattice: slice
    """Its mesh in `Puppet.mesh`, row by row; empty for a live layer."""
    columns: int
    """Points in a row of the mesh."""
    rows: int
    """Rows of the mesh."""
    origin: tuple[float, float]
    """First point of the mesh at rest."""
    cell: tuple[float, float]
    """Distance between points of the mesh at rest."""


def _array(values: npt.ArrayLike) -> _Floats:
    return np.array(values, np.float32)


def _ramp(y: _Floats, start: float, stop: float) -> _Floats:
    """Return a smooth step from 0 at `start` to 1 at `stop`."""
    t = np.clip((y - start) / (stop - start), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _at(keys: Keys, value: float) -> float:
    """Return the value of a broken line."""
    low, start = keys[0]
    for high, stop in keys:
        if value <= high:
            return start + (stop - start) * (value - low) / (high - low) if value > low else start
        low, start = high, stop
    return start


def _hats(keys: Sequence[float], value: float) -> _Floats:
    """Return the weights of the keys around `value`; they sum to 1."""
    weights = np.zeros(len(keys), np.float32)
    i = min(max(bisect.bisect_right(keys, value) - 1, 0), len(keys) - 2)
    t = min(max((value - keys[i]) / (keys[i + 1] - keys[i]), 0.0), 1.0)
    weights[i], weights[i + 1] = 1 - t, t
    return weights


def _share(layer: LayerSpec, y: _Floats) -> _Floats | float:
    """Return a layer's share of the head's motion at heights `y`."""
    return 1 - _ramp(y, *layer.head) if isinstance(layer.head, tuple) else layer.head


class _Cloud:
    """A set of points with all that moves them, each looked up once."""

    def __init__(self, puppet: "Puppet", exact: bool) -> None:
        """Collect points: those of live layers and the meshes, or (`exact`) every drawn point."""
        drawing, spec = puppet.drawing, puppet.spec
        self._puppet = puppet
        self._position: dict[int, int] = {}
        rest: list[Points] = []
        indices: list[int] = []
        spans: dict[str, slice] = {}
        count = 0
        for layer in puppet.layers:
            start = count
            if layer.spec.live or exact:
                for index in puppet.indices(layer.shapes):
                    self._position[index] = count
                    indices.append(index)
                    count += 1
                rest.append(drawing.points[indices[len(indices) - (count - start) :]])
            else:
                x = layer.origin[0] + layer.cell[0] * np.arange(layer.columns, dtype=np.float32)
                y = layer.origin[1] + layer.cell[1] * np.arange(layer.rows, dtype=np.float32)
                grid = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2).astype(np.float32)
                rest.append(grid)
                count += len(grid)
            spans[layer.spec.name] = slice(start, count)
        self.spans = spans
        self.indices = np.array(indices, np.intp)
        """Places of the drawn points in the drawing's array."""
        self.drawn = np.array([self._position[i] for i in indices], np.intp)
        """Places of the same points in this cloud."""
        self.rest = np.concatenate(rest).astype(np.float32)
        share, depth, bulge = np.zeros((3, count), np.float32)
        for spec_layer in spec.layer:
            span = spans[spec_layer.name]
            share[span] = _share(spec_layer, self.rest[span, 1])
            depth[span], bulge[span] = spec_layer.depth, spec_layer.bulge
        self._weigh(share, depth, bulge)

        self._keyforms = []
        for form in puppet.keyforms:
            where = self._where([int(i) for i in form.indices])
            if where is not None:
                self._keyforms.append((form, where))
        self._mouth = self._group(spec.mouth.group)
        self._slides = [(s, w) for s in spec.slide if (w := self._groups(s.groups)) is not None]
        self._turns = [(t, w) for t in spec.turn if (w := self._groups(t.groups)) is not None]
        self._springs: list[tuple[int, SpringSpec, slice, _Floats]] = []
        for i, spring in enumerate(puppet.springs):
            axis = np.subtract(spring.tip, spring.root).astype(np.float32)
            for name in spring.layers:
                span = spans[name]
                along = (self.rest[span] - _array(spring.root)) @ axis / float(axis @ axis)
                give = np.clip((along - spring.start) / (1 - spring.start), 0, 1.15)
                weight = (give**spring.power * spring.gain).astype(np.float32)
                self._springs.append((i, spring, span, weight))

    def _weigh(self, share: _Floats, depth: _Floats, bulge: _Floats) -> None:
        """Work out what of the head's and the body's motion each point takes.

        Args:
            share: of the head's motion, each point's, 0..1.
            depth: in front of the head's axis.
            bulge: how much further in front the middle is.
        """
        spec = self._puppet.spec
        x, y = self.rest[:, 0], self.rest[:, 1]
        q = ((self.rest - _array(spec.head.centre)) / _array(spec.head.radii)) ** 2 @ _array(
            [1.0, 0.35]
        )
        found = np.flatnonzero(share)
        whole = len(found) > 0 and len(found) == found[-1] - found[0] + 1
        self._on_head: _Where = slice(int(found[0]), int(found[-1]) + 1) if whole else found
        self._head = share[self._on_head]
        self._depth = (depth + bulge / (1 + q))[self._on_head].astype(np.float32)
        body = spec.body
        height = (body.hip[1] - y) / (body.hip[1] - body.shoulder_y)
        self._height = np.clip(height, 0, 1.35).astype(np.float32)
        rise = _ramp(-y, -body.hip[1], -body.shoulder_y)
        aside = np.abs(x - body.hip[0])
        chest = np.exp(-(((y - body.shoulder_y - 220) / 260) ** 2))
        wider = (x - body.hip[0]) * 0.011 * chest * (1 - share)
        self._breath = (wider - 1j * body.breath * rise).astype(np.complex64)
        shrug = _ramp(aside, *body.shrug_from) * rise * (1 - share)
        self._shrug = (-body.shrug * shrug).astype(np.float32)

    def _where(self, indices: Sequence[int]) -> _Where | None:
        """Return the places of drawn points in this cloud; None where it has none of them."""
        found = [self._position[i] for i in indices if i in self._position]
        if not found:
            return None
        if found == list(range(found[0], found[-1] + 1)):
            return slice(found[0], found[-1] + 1)
        return np.array(found, np.intp)

    def _group(self, name: str) -> _Where | None:
        if name in self.spans:
            return self.spans[name]
        return self._where(self._puppet.indices(self._puppet.drawing.group(name)))

    def _groups(self, names: Sequence[str]) -> _Where | None:
        parts = [w for name in names if (w := self._group(name)) is not None]
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return None
        every = np.arange(len(self.rest))
        return np.concatenate([every[part] for part in parts])

    def moved(self, values: "_Values", tips: npt.NDArray[np.float64]) -> Points:
        """Return all points under the parameter values and the springs' tips (head space)."""
        p = self.rest.copy()
        for form, where in self._keyforms:
            weights = form.weights(values)
            used = weights.nonzero()[0]
            if len(used):
                p[where] += (weights[used] @ form.flat[used]).reshape(-1, 2)
        self._smile(p, values["ParamMouthForm"])
        # From here on a point is one complex number, x + iy: half the work, and turns multiply.
        z = p.view(np.complex64)[:, 0]
        for slide, where in self._slides:
            share = _at(slide.keys, values[slide.parameter])
            if share:
                z[where] += np.complex64(complex(*slide.by) * share)
        for turn, where in self._turns:
            angle = math.radians(_at(turn.keys, values[turn.parameter]))
            if angle:
                pivot = np.complex64(complex(*turn.pivot))
                z[where] = (z[where] - pivot) * np.complex64(cmath.rect(1, angle)) + pivot
        for i, spring, span, weight in self._springs:
            if spring.sway:
                away = complex(*tips[i].tolist()) - complex(*spring.tip)
                z[span] += weight * np.complex64(away)
            else:
                self._bend(z[span], spring, weight, complex(*tips[i].tolist()))
        self.carried(z, values)
        return p

    @staticmethod
    def _bend(z: _Complex, spring: SpringSpec, weight: _Floats, tip: complex) -> None:
        """Bend the points `z` about the root, in place, so that the tip points at `tip`."""
        root = complex(*spring.root)
        turned = (tip - root) / (complex(*spring.tip) - root)
        # Stretched or squeezed a little along its length by motion along its axis.
        longer, angle = 0.5 * (abs(turned) - 1), cmath.phase(turned)
        z -= np.complex64(root)
        z *= np.exp(weight * np.complex64(complex(longer, angle)))
        z += np.complex64(root)

    def _smile(self, p: Points, form: float) -> None:
        mouth = self._puppet.spec.mouth
        if self._mouth is None or form == 0:
            return
        part = p[self._mouth]
        reach = (part[:, 0] - np.float32(mouth.centre[0])) / np.float32(mouth.half_width)
        # Corners move most; the middle gives way a little, and far lower parts less.
        lift = np.minimum(reach**2, 1.4) - 0.3
        deep = np.clip((part[:, 1] - np.float32(mouth.centre[1])) / 60, 0, 1)
        amount = mouth.smile * form if form > 0 else mouth.frown * form
        part[:, 1] -= np.float32(amount) * lift * (1 - 0.55 * deep)
        part[:, 0] += reach * np.float32(mouth.half_width * mouth.widen * form)
        p[self._mouth] = part

    def carried(self, z: _Complex, values: "_Values") -> None:
        """Carry points `z` (one for each of this cloud) with head and body, in place."""
        spec = self._puppet.spec
        head, body = spec.head, spec.body
        yaw = math.radians(values["ParamAngleX"] / 30 * head.turn_deg)
        nod = math.radians(values["ParamAngleY"] / 30 * head.nod_deg)
        lean = math.radians(values["ParamAngleZ"] * head.lean)
        if yaw or nod or lean:
            on = self._on_head
            h = z[on]
            away = h - np.complex64(complex(*head.centre))
            turned = np.empty_like(away)
            turned.real = away.real * np.float32(math.cos(yaw))
            turned.imag = away.imag * np.float32(math.cos(nod))
            turned += self._depth * np.complex64(complex(math.sin(yaw), -math.sin(nod)))
            turned += np.complex64(complex(*head.centre) - complex(*head.pivot))
            turned *= np.complex64(cmath.rect(1, lean))
            turned += np.complex64(complex(*head.pivot))
            turned -= h
            turned *= self._head
            z[on] = h + turned
        z += self._breath * np.float32(values["ParamBreath"])
        shift = complex(
            body.shift * values["ParamBodyAngleX"], -body.bow * values["ParamBodyAngleY"]
        )
        z += self._height * np.complex64(shift)
        shrug = values["ParamShoulderY"]
        if shrug:
            z += self._shrug * np.complex64(complex(0, shrug))
        tilt = math.radians(values["ParamBodyAngleZ"] * body.lean)
        if tilt:
            hip = np.complex64(complex(*body.hip))
            z -= hip
            z *= np.complex64(cmath.rect(1, tilt))
            z += hip


class _Values:
    """Parameter values by id."""

    def __init__(self, table: ParameterTable, values: _Floats) -> None:
        self._index = table.index
        self._values: list[float] = values.tolist()

    def __getitem__(self, name: str) -> float:
        return self._values[self._index[name]]


class _Keyform:
    """Alternative drawings of one group as differences from the drawing at rest."""

    def __init__(self, puppet: "Puppet", number: int) -> None:
        spec = puppet.spec.keyform[number]
        file = puppet.file
        self._by = tuple(spec.by)
        self._axes = spec.axes
        base = puppet.group(spec.group, "keyform", number)
        if bool(spec.by) == bool(spec.grid):
            raise file.fault("keyform", number, "needs either by or grid", "give one of them")
        if spec.grid:
            sizes = [len(keys) for _, keys in spec.axes] + [1] * (2 - len(spec.axes))
            if len(spec.axes) not in (1, 2) or [len(spec.grid), len(spec.grid[0])] != sizes:
                raise file.fault(
                    "keyform", number, "grid and axes do not match",
                    "give a row for each key of the first axis, a column for each of the second",
                )  # fmt: skip
            names = [name for row in spec.grid for name in row]
        else:
            names = list(spec.by.values())
        for parameter in (*self._by, *(name for name, _ in spec.axes)):
            puppet.check_parameter(parameter, "keyform", number)
        labels = {shape.label: shape for shape in base if shape.label}
        changed: dict[int, None] = {}
        moves: list[dict[int, tuple[float, float]]] = []
        points = puppet.drawing.points
        for name in names:
            move: dict[int, tuple[float, float]] = {}
            moves.append(move)
            if name == spec.group:
                continue
            for shape in puppet.group(name, "keyform", number):
                if shape.label not in labels:
                    raise file.fault(
                        "keyform", number,
                        f"{name} has a path {shape.label!r} (line {shape.line} of the drawing), "
                        f"{spec.group} has none",
                        "give both the same label",
                    )  # fmt: skip
                rest = labels[shape.label]
                if shape.verbs != rest.verbs:
                    if bent := _bent(spec.group, rest, name, shape):
                        raise file.fault("keyform", number, bent, "make it a curve again")
                    raise file.fault(
                        "keyform", number,
                        f"path {shape.label!r} has {len(shape.verbs)} nodes in {name} "
                        f"(line {shape.line} of the drawing) but {len(rest.verbs)} in "
                        f"{spec.group} (line {rest.line})",
                        "draw it by moving the nodes of a copy",
                    )  # fmt: skip
                for i in range(shape.stop - shape.start):
                    way = points[shape.start + i] - points[rest.start + i]
                    changed[rest.start + i] = None
                    move[rest.start + i] = (float(way[0]), float(way[1]))
        self.indices = sorted(changed)
        place = {index: k for k, index in enumerate(self.indices)}
        self.deltas = np.zeros((len(names), len(place), 2), np.float32)
        for k, move in enumerate(moves):
            for index, way in move.items():
                self.deltas[k, place[index]] = way
        self.flat = self.deltas.reshape(len(names), -1)

    def weights(self, values: _Values) -> _Floats:
        """Return the weight of each drawing."""
        if self._by:
            return np.array([values[name] for name in self._by], np.float32)
        name, keys = self._axes[0]
        weights = _hats(keys, values[name])
        for name, keys in self._axes[1:]:
            weights = np.outer(weights, _hats(keys, values[name])).ravel()
        return weights


class Puppet:
    """A character's drawing under its rig.

    Args:
        folder: the character's folder, with `rig.toml` and the drawing it names.
        faults: takes what does not fit, one by one, instead of the first being raised; a puppet
            with faults is to be looked at, not to be moved.

    Raises:
        CharacterError: unreadable, or rig and drawing do not fit; file, line and remedy.
    """

    table: ParameterTable
    """The parameters of its poses."""

    def __init__(self, folder: Path, *, faults: list[CharacterError] | None = None) -> None:
        self._faults = faults
        self.file = RigFile(folder / "rig.toml")
        self.spec = self.file.spec
        self.drawing: Drawing = read_svg(folder / self.spec.art)
        self.table = self._table()
        self.layers = self._layers()
        self.keyforms: list[_Keyform] = []
        for i in range(len(self.spec.keyform)):
            with self._judged():
                self.keyforms.append(_Keyform(self, i))
        self.springs: list[SpringSpec] = []
        """Those of the rig that swing something."""
        self._check()
        self._cloud = _Cloud(self, exact=False)
        self._every: _Cloud | None = None
        self._springs = Springs(self.springs)
        self._anchors = _Anchors(self)
        self._tips = np.array([s.tip for s in self.springs], float).reshape(-1, 2)
        self._values = _Values(self.table, self.table.default)
        self.points: Points = self.drawing.points.copy()
        """Control points of the drawing as posed; up to date for live layers only."""
        self.mesh: Points = self._cloud.rest.copy()
        """Points of the layers' meshes as posed (`Layer.lattice`)."""
        self.mesh_rest: Points = self._cloud.rest
        """The same at rest."""

    def _table(self) -> ParameterTable:
        rest = self.spec.rest
        for name in rest:
            if name not in {parameter.id for parameter in STANDARD}:
                line = self.file.line(rf"\s*{name}\b")
                fault = f"no parameter is called {name!r}"
                raise CharacterError(self.file.file, line, fault, _near_parameter(name))
        return ParameterTable(
            Parameter(p.id, p.min, p.max, float(np.clip(rest.get(p.id, p.default), p.min, p.max)))
            for p in STANDARD
        )

    def _layers(self) -> tuple[Layer, ...]:
        made: list[Layer] = []
        specs = {}
        for i, spec in enumerate(self.spec.layer):
            if spec.name in specs:
                raise self.file.fault("layer", i, f"layer {spec.name!r} twice", "remove one")
            specs[spec.name] = spec
        start = 0
        seen: dict[str, Shape] = {}
        for shape in self.drawing.shapes:
            if not shape.hidden:
                seen.setdefault(shape.groups[0] if shape.groups else "", shape)
        self._check_layers(seen)
        for name in seen:
            spec = specs[name]
            shapes = tuple(s for s in self.drawing.group(name) if not s.hidden)
            if spec.live:
                made.append(Layer(spec, shapes, slice(0, 0), 0, 0, (0, 0), (0, 0)))
                start += len(self.indices(shapes))
                continue
            low, high = self._bounds(shapes)
            columns, rows = (int(n) for n in np.ceil((high - low) / spec.cell) + 1)
            columns, rows = max(columns, 3), max(rows, 3)
            cell = (high - low) / (columns - 1, rows - 1)
            stop = start + columns * rows
            made.append(
                Layer(spec, shapes, slice(start, stop), columns, rows,
                      (float(low[0]), float(low[1])), (float(cell[0]), float(cell[1])))
            )  # fmt: skip
            start = stop
        return tuple(made)

    def _check_layers(self, seen: Mapping[str, Shape]) -> None:
        """Check the rig's layers against those that are `seen`, by the first shape of each.

        Raises:
            CharacterError: the first that does not fit; the others go where faults are collected.
        """
        wrong = []
        waited: set[str | None] = set()
        for i, layer in enumerate(self.spec.layer):
            if layer.name in seen:
                continue
            try:
                shape = self.group(layer.name, "layer", i)[0]
            except CharacterError as fault:
                wrong.append(fault)
                waited.add(self.drawing.labelled(layer.name))
                continue
            hidden = shape.groups[0] == layer.name
            how = "hidden" if hidden else f"no layer of its own: it lies inside {shape.groups[0]!r}"
            wrong.append(
                self.file.fault(
                    "layer", i, f"{layer.name!r} is {how} (line {shape.line} of the drawing)",
                    ("show it" if hidden else "move it to the top") + ", or take its tables away",
                )
            )  # fmt: skip
        known = {layer.name for layer in self.spec.layer}
        wrong += [
            _drawing_fault(self.drawing, shape, top)
            for top, shape in seen.items()
            if top not in known | waited
        ]
        if wrong:
            if self._faults is not None:
                self._faults += wrong[1:]
            raise wrong[0]

    def _bounds(self, shapes: Sequence[Shape]) -> tuple[_Floats, _Floats]:
        """Return the least and greatest corner of what is seen of `shapes`, with a margin."""
        points, clips = self.drawing.points, self.drawing.clips
        lows, highs = [], []
        for shape in shapes:
            low = points[shape.start : shape.stop].min(0)
            high = points[shape.start : shape.stop].max(0)
            for name in shape.clips:
                outline = np.concatenate([points[c.start : c.stop] for c in clips[name]])
                low, high = np.maximum(low, outline.min(0)), np.minimum(high, outline.max(0))
            lows.append(low)
            highs.append(high)
        return np.min(lows, 0) - 6, np.max(highs, 0) + 6

    @contextmanager
    def _judged(self) -> Iterator[None]:
        """Raise what is wrong inside, or keep it where faults are collected."""
        try:
            yield
        except CharacterError as fault:
            if self._faults is None:
                raise
            self._faults.append(fault)

    def _check(self) -> None:
        with self._judged():
            self.group(self.spec.mouth.group, "mouth", 0)
        tables: tuple[tuple[str, tuple[SlideSpec | TurnSpec | FadeSpec, ...]], ...] = (
            ("slide", self.spec.slide),
            ("turn", self.spec.turn),
            ("fade", self.spec.fade),
        )
        for table, entries in tables:
            for i, entry in enumerate(entries):
                with self._judged():
                    self._check_entry(table, i, entry)
        for i, swap in enumerate(self.spec.swap):
            for name, parameters in swap.groups.items():
                with self._judged():
                    self._check_shown(i, name)
                    for parameter in parameters:
                        self.check_parameter(parameter, "swap", i)
        layers = {layer.spec.name for layer in self.layers}
        warped = {layer.spec.name for layer in self.layers if not layer.spec.live}
        for i, layer in enumerate(self.spec.layer):
            for name in layer.under:
                with self._judged():
                    if name not in warped:
                        raise self.file.fault(
                            "layer", i, f"{name!r} cannot cover it: no warped layer",
                            "correct under",
                        )  # fmt: skip
        for i, spring in enumerate(self.spec.spring):
            with self._judged():
                self._check_spring(i, spring, layers)
                self.springs.append(spring)

    def _check_spring(self, i: int, spring: SpringSpec, layers: Collection[str]) -> None:
        told = f"spring {spring.name!r}"
        if not spring.layers:
            remedy = 'write layers = ["..."], or take it away'
            raise self.file.fault("spring", i, f"{told} names no layers", remedy)
        for name in spring.layers:
            if name not in layers:
                near = get_close_matches(name, layers, n=1)
                raise self.file.fault(
                    "spring", i,
                    f"{told} swings layer {name!r}, but there is no [[layer]] of that name",
                    f"did you mean {near[0]}?" if near else "correct layers",
                )  # fmt: skip
        if spring.root == spring.tip:
            remedy = "root is where it hangs, tip its free end"
            raise self.file.fault("spring", i, f"{told} has no length", remedy)

    def _check_entry(self, table: str, i: int, entry: SlideSpec | TurnSpec | FadeSpec) -> None:
        self.check_parameter(entry.parameter, table, i)
        for name in entry.groups:
            self._check_apart(self.group(name, table, i), name, table, i)

    def _check_shown(self, i: int, name: str) -> None:
        shapes = self.group(name, "swap", i)
        for shape in shapes:
            if shape.hidden:
                raise self.file.fault(
                    "swap", i, f"{name!r} is hidden in the drawing (line {shape.line})",
                    "display it: what is not chosen is hidden here",
                )  # fmt: skip
        self._check_apart(shapes, name, "swap", i)

    def _check_apart(self, shapes: Sequence[Shape], name: str, table: str, i: int) -> None:
        """Raise CharacterError where group `name` is a part of what is bent as one picture."""
        warped = {layer.spec.name for layer in self.layers if not layer.spec.live}
        for shape in shapes:
            if shape.groups[0] in warped and shape.groups[0] != name:
                raise self.file.fault(
                    table, i, f"{name!r} lies inside a warped layer, {shape.groups[0]!r}",
                    "make it a layer of its own, or that layer live",
                )  # fmt: skip

    def group(self, name: str, table: str, number: int) -> tuple[Shape, ...]:
        """Return the shapes of group `name`, which the `number`-th `[[table]]` asks for.

        Raises:
            CharacterError: the drawing has no such group, or it is empty.
        """
        shapes = self.drawing.group(name)
        if not shapes:
            remedy = "name the group in the drawing (Object Properties, id) or correct it here"
            other = self.drawing.labelled(name)
            if name in self.drawing.group_lines:
                remedy = f"it is empty (line {self.drawing.group_lines[name]}): draw in it"
            elif other is not None:
                kind = "layer" if table == "layer" else "group"
                remedy = (
                    f'a {kind} labelled "{self.drawing.labels[other]}" has the id {other} '
                    f"(line {self.drawing.group_lines[other]}): set its id in Object Properties"
                )
            raise self.file.fault(table, number, f"{self.spec.art} has no group {name!r}", remedy)
        return shapes

    def check_parameter(self, name: str, table: str, number: int) -> None:
        """Raise CharacterError unless there is a parameter `name`."""
        if name not in self.table.index:
            raise self.file.fault(
                table, number, f"no parameter is called {name!r}", _near_parameter(name)
            )

    def indices(self, shapes: Sequence[Shape]) -> list[int]:
        """Return the indices of all points that belong to `shapes`, rising."""
        found: set[int] = set()
        for shape in shapes:
            found.update(range(shape.start, shape.stop))
            for paint in shape.paints:
                if paint.gradient is not None:
                    found.update(range(*paint.gradient.frame))
            for name in shape.clips:
                for outline in self.drawing.clips[name]:
                    if outline.hidden:
                        found.update(range(outline.start, outline.stop))
        return sorted(found)

    def move(self, pose: Pose) -> None:
        """Take `pose`: sets `points` of live layers and `mesh`."""
        self._values = _Values(self.table, np.clip(pose.values, self.table.min, self.table.max))
        self._tips = self._anchors.tips(pose.pts, self._values, self._springs)
        p = self._cloud.moved(self._values, self._tips)
        self.mesh = p
        self.points[self._cloud.indices] = p[self._cloud.drawn]

    def exact(self) -> Points:
        """Return all control points of the drawing under the last pose (slow)."""
        if self._every is None:
            self._every = _Cloud(self, exact=True)
        p = self._every.moved(self._values, self._tips)
        points = self.drawing.points.copy()
        points[self._every.indices] = p[self._every.drawn]
        return points

    def fades(self) -> dict[str, float]:
        """Return the opacity of groups that are not opaque under the last pose."""
        found: dict[str, float] = {}
        for fade in self.spec.fade:
            share = _at(fade.keys, self._values[fade.parameter])
            for name in fade.groups:
                found[name] = found.get(name, 1.0) * share
        for swap in self.spec.swap:
            sums = {
                group: sum(self._values[parameter] for parameter in parameters)
                for group, parameters in swap.groups.items()
            }
            shown = max(sums, key=sums.__getitem__)
            for group in sums:
                found[group] = found.get(group, 1.0) * (group == shown)
        return found


def _drawing_fault(drawing: Drawing, shape: Shape, top: str) -> CharacterError:
    line = drawing.group_lines.get(top, shape.line)
    if not top:
        fault = "a path outside all layers"
        return CharacterError(drawing.file, line, fault, "move it into a layer, or hide it")
    label = drawing.labels.get(top, top)
    name, named, first = top, repr(top), ""
    if as_id(label) != top:
        named = f'"{label}" (id {top})'
    if as_id(label) not in drawing.group_lines:
        name = as_id(label)
        first = f"set its id to {name} in Object Properties and "
    return CharacterError(
        drawing.file, line, f"layer {named} is not in the rig",
        f'{first}add [[layer]] name = "{name}" to rig.toml, or hide it',
    )  # fmt: skip


def _near_parameter(name: str) -> str:
    """Return the remedy for a parameter that there is not."""
    near = get_close_matches(name, [parameter.id for parameter in STANDARD], n=1)
    return f"did you mean {near[0]}?" if near else "docs/draw-your-own-host.md lists them"


def _bent(name: str, rest: Shape, other: str, shape: Shape) -> str:
    """Return what differs if it is but a line in one drawing and a curve in the other, or ""."""
    if len(rest.verbs) != len(shape.verbs):
        return ""
    pairs = list(zip(rest.verbs, shape.verbs, strict=True))
    at = next(i for i, (one, two) in enumerate(pairs) if one != two)
    if {*pairs[at]} != {LINE, CUBIC}:
        return ""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(at if at // 10 != 1 else 0, "th")
    kinds = [(name, rest), (other, shape)]
    if pairs[at][0] == CUBIC:
        kinds.reverse()
    (straight, line), (curved, curve) = kinds
    return (
        f"path {rest.label!r}: its {at}{ending} segment is a line in {straight} "
        f"(line {line.line} of the drawing) but a curve in {curved} (line {curve.line})"
    )


class _Anchors(_Cloud):
    """Roots and tips of the springs, carried by head and body as the drawing carries them."""

    def __init__(self, puppet: Puppet) -> None:
        self._puppet = puppet
        specs = puppet.springs
        self._specs = specs
        rest = [spring.root for spring in specs] + [spring.tip for spring in specs]
        self.rest = np.array(rest, np.float32).reshape(-1, 2)
        layers = {layer.name: layer for layer in puppet.spec.layer}
        own = [layers[spring.layers[0]] for spring in (*specs, *specs)]
        share = _array(
            [float(np.max(_share(la, self.rest[k : k + 1, 1]))) for k, la in enumerate(own)]
        )
        self._weigh(share, _array([la.depth for la in own]), np.zeros(len(own), np.float32))
        self._lean = share[: len(specs)]
        n = len(specs)
        self._turned = [
            (turn, np.array([k for i, s in enumerate(specs) if s.layers[0] in turn.groups
                             for k in (i, n + i)], np.intp))
            for turn in puppet.spec.turn
        ]  # fmt: skip
        self._hang = np.array([spring.hang for spring in specs])

    def tips(self, pts: int, values: _Values, springs: Springs) -> npt.NDArray[np.float64]:
        """Return where the tips are in the drawing's own space, before head and body move it."""
        n = len(self._specs)
        rest = self.rest.copy()
        z = rest.view(np.complex64)[:, 0]
        for turn, where in self._turned:
            angle = math.radians(_at(turn.keys, values[turn.parameter]))
            if angle and len(where):
                pivot = np.complex64(complex(*turn.pivot))
                z[where] = (z[where] - pivot) * np.complex64(cmath.rect(1, angle)) + pivot
        self.carried(z, values)
        carried = rest.astype(float)
        root, tip = carried[:n], carried[n:]
        head = self._puppet.spec.head
        lean = np.radians(values["ParamAngleZ"] * head.lean) * self._lean
        back = -lean * self._hang
        c, s = np.cos(back), np.sin(back)
        arm = tip - root
        plumb = root + np.stack([arm[:, 0] * c - arm[:, 1] * s, arm[:, 0] * s + arm[:, 1] * c], 1)
        shown = springs.advance(pts, plumb)
        # Back into the drawing's space: as far from the carried tip, turned back by the lean.
        away = shown - tip
        c, s = np.cos(-lean), np.sin(-lean)
        local = np.stack([away[:, 0] * c - away[:, 1] * s, away[:, 0] * s + away[:, 1] * c], 1)
        made: npt.NDArray[np.float64] = (
            np.array([s.tip for s in self._specs]).reshape(-1, 2) + local
        )
        return made
