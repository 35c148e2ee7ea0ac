"""The place behind and before the host: a layered SVG drawn once, with a little cheap life.

A scene is an SVG with top-level groups `depth_0` (farthest) to `depth_N`. The host stands before
the last but one, so `depth_N` is in front (a desk); `depth_2`, where there are more than three, is
what stands free between the walls and the host. `vignette` is drawn behind the host wherever it
stands. Some groups inside live, by the beginning of their ids:

- `fairy_light`, `flame`, `shaft`: glow again over themselves; of the first two only the first path
  does. `fairy_light` breathes, `flame` flickers, `shaft` comes and goes with the clouds.
- `dust`, `leaf`, `steam`: each path drifts, falls and turns, or rises and fades. Leaves of
  `depth_0` and `depth_1` fall behind `depth_2`; those of `depth_N` before the host.
- `rain`: its paths fall where nothing stands before them; it belongs in `depth_0`.

As the host leans, and very slowly by itself, the place shifts like a picture from a camera that
breathes: `depth_N` most, `depth_2` less, the rest stays. Groups in them whose ids end in `_glow`
are light: they shine on what moves but stay where they are.

A hidden top-level group `light_NAME` holds another hour of the day: translucent washes drawn over
everything when the scene is asked for as "gallery@night" (there: `light_night`). Groups in it
whose ids end in `_sky` are drawn right after `depth_0` instead, those that end in `_behind` (dark
windows) over all that stays where it is. Its attribute `data-hides` lists beginnings of ids of
groups that are absent then ("shaft dust").

`data-light="#f0e0d0"` on the root, or on a `light_NAME` for that hour, is the colour that white has
in this place: the host is drawn in that light. A scene whose root has `data-host="hidden"` is a
card: no host is drawn.
"""

import copy
import functools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import skia

from avatar.puppet.svg import Drawing, Shape, read_svg
from avatar.rig import CharacterError
from dialogue.ticks import TICKS_PER_S, Ticks
from render.frames import Pixels
from render.vector import Brush, Colour, Outline, image, surface

CHROMA = (0, 255, 0, 255)
"""The green of "chroma", BGRA."""
FRONT_SHIFT = 12.0
"""Farthest shift of what stands before the host, in units of the scene (8 pixels at 720p)."""
MIDDLE_SHIFT = 4.5
"""Farthest shift of `depth_2`."""
_LEAN_DEG = 10.0  # ParamBodyAngleX from which nothing shifts farther
_DRIFT_S = 20.0
_RAIN_SPEED = 620.0  # units of the scene a second
_LIGHTS_BREATHE_S = 3.7
_SHAFTS_PASS_S = 13.0
_STEAM_RISES_S = 4.6
_PHASES = 4  # places between two pixels for which what shifts is drawn
_BAND = 48  # rows of pixels of a piece of a picture
_GAP = 100  # empty columns that part two pieces
_FULL = 64  # columns without a hole that are worth a piece of their own
_FAINT = 8  # opacity of a glow, of 255, that is not worth drawing

Rhythm = Callable[[float], float]
"""How much of a glow is added, 0..1, at a time in seconds."""


def _breathing(seed: int) -> Rhythm:
    phase = (seed * 0.618034) % 1.0
    rate = 0.7 + 0.6 * ((seed * 0.414214) % 1.0)

    def strength(t_s: float) -> float:
        swing = math.sin(2 * math.pi * (t_s * rate / _LIGHTS_BREATHE_S + phase))
        return max(0.0, swing) ** 2 * 0.6

    return strength


def _flickering(seed: int) -> Rhythm:
    phase = seed * 2.399963

    def strength(t_s: float) -> float:
        quick = math.sin(9.1 * t_s + phase) * math.sin(5.3 * t_s + 2 * phase)
        return 0.3 + 0.16 * math.sin(2.1 * t_s + 3 * phase) + 0.14 * quick

    return strength


def _passing(seed: int) -> Rhythm:
    phase = (seed * 0.618034) % 1.0

    def strength(t_s: float) -> float:
        slow = math.sin(2 * math.pi * (t_s / _SHAFTS_PASS_S + phase))
        return max(0.0, 0.35 + 0.35 * slow + 0.1 * math.sin(0.31 * t_s + seed))

    return strength


_RHYTHMS: dict[str, Callable[[int], Rhythm]] = {
    "fairy_light": _breathing, "flame": _flickering, "shaft": _passing,
}  # fmt: skip
_DRIFTING = ("leaf", "steam")


class _Stamp:
    """Some shapes as a picture."""

    def __init__(self, drawing: Drawing, shapes: Sequence[Shape], matrix: skia.Matrix) -> None:
        points = np.concatenate([drawing.points[s.start : s.stop] for s in shapes])
        low = matrix.mapXY(*points.min(0).astype(float).tolist())
        high = matrix.mapXY(*points.max(0).astype(float).tolist())
        self.x, self.y = math.floor(low.x()), math.floor(low.y())
        self.wide = max(math.ceil(high.x()) - self.x, 1)
        self.high = max(math.ceil(high.y()) - self.y, 1)
        self.pixels: Pixels = np.zeros((self.high, self.wide, 4), np.uint8)
        canvas = surface(self.pixels).getCanvas()
        canvas.translate(-self.x, -self.y)
        canvas.concat(matrix)
        Brush(drawing, shapes).draw(canvas, drawing.points)
        self.picture = image(self.pixels)

    def smaller(self, share: float) -> "_Stamp":
        made = copy.copy(self)
        made.x, made.y = round(self.x * share), round(self.y * share)
        made.wide, made.high = max(1, round(self.wide * share)), max(1, round(self.high * share))
        size = (made.wide, made.high)
        made.pixels = cv2.resize(self.pixels, size, interpolation=cv2.INTER_AREA)
        made.picture = image(made.pixels)
        return made


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of what shifts, as it looks at each place between two pixels."""

    x: int
    y: int
    phases: tuple[tuple[skia.Image, Pixels], ...]


class _Light:
    """A glow, drawn again over itself by its own rhythm."""

    def __init__(self, stamp: _Stamp, strength: Rhythm, size: tuple[int, int]) -> None:
        self.strength = strength
        # What lies outside the picture, or is hardly seen, costs time and shows nothing.
        left, top = max(0, -stamp.x), max(0, -stamp.y)
        stop = (max(left, size[0] - stamp.x), max(top, size[1] - stamp.y))
        inside = stamp.pixels[top : stop[1], left : stop[0]]
        inside[inside[..., 3] < _FAINT] = 0
        self.pieces = _cut([inside], stamp.x + left, stamp.y + top, 4 * _BAND)

    def smaller(self, size: tuple[int, int], small: tuple[int, int]) -> "_Light":
        """Return it for a picture of size `small` instead of `size`."""
        made = copy.copy(self)
        look = _laid(self.pieces, 0, (0, 0), size)
        made.pieces = _cut([cv2.resize(look, small, interpolation=cv2.INTER_AREA)], 0, 0, 4 * _BAND)
        return made

    def draw(self, canvas: skia.Canvas, t_s: float, paint: skia.Paint) -> None:
        strength = self.strength(t_s)
        if strength > 0.02:
            paint.setAlphaf(strength)
            for piece in self.pieces:
                picture = piece.phases[0][0]
                canvas.drawImage(picture, piece.x, piece.y, skia.SamplingOptions(), paint)


class _Leaf:
    """A leaf that falls and turns, over and over; one plain colour."""

    def __init__(self, drawing: Drawing, shape: Shape, seed: int, scale: float) -> None:
        points = drawing.points[shape.start : shape.stop]
        middle = (points.min(0) + points.max(0)) / 2
        self.path = skia.Path(Outline(shape, drawing.points).path)
        self.path.transform(skia.Matrix.Translate(*(-middle).astype(float).tolist()))
        self.colour = skia.Color4f(*shape.paints[0].colour)
        self.seed = seed
        self.scale = scale

    def smaller(self, share: float) -> "_Leaf":
        made = copy.copy(self)
        made.scale = self.scale * share
        return made

    def chance(self, salt: float) -> float:
        """Return a number 0..1 of its own."""
        return (self.seed * 0.618034 + salt * (1 + self.seed % 7) * 0.7548777) % 1.0

    def draw(
        self, canvas: skia.Canvas, t_s: float, paint: skia.Paint, size: tuple[int, int]
    ) -> None:
        pad = 60 * self.scale
        run = size[1] + 2 * pad
        speed = (52 + 46 * self.chance(1)) * self.scale
        # Each fall begins at another place; the count of falls chooses it.
        falls, fallen = divmod(self.chance(2) * run + speed * t_s, run)
        across = (self.chance(3) + falls * 0.618034) % 1.0 * (size[0] + 4 * pad)
        sway = math.sin(t_s * (0.7 + 0.5 * self.chance(4)) + self.seed)
        x = across - 0.3 * fallen + 46 * self.scale * sway
        tumble = t_s * (0.9 + 0.9 * self.chance(5)) + 2 * self.seed
        thin = self.scale * (0.35 + 0.65 * abs(math.cos(tumble)))
        turn = 0.8 * sway + 0.35 * t_s
        c, s = math.cos(turn), math.sin(turn)
        matrix = skia.Matrix()
        matrix.setAll(c * self.scale, -s * thin, x, s * self.scale, c * thin, fallen - pad, 0, 0, 1)
        path = skia.Path()
        self.path.transform(matrix, path)
        paint.setColor4f(self.colour)
        canvas.drawPath(path, paint)


class _Wisp:
    """Steam that rises and fades, over and over."""

    def __init__(self, stamp: _Stamp, seed: int, scale: float) -> None:
        self.stamp = stamp
        self.seed = seed
        self.scale = scale

    def smaller(self, share: float) -> "_Wisp":
        return _Wisp(self.stamp.smaller(share), self.seed, self.scale * share)

    def draw(
        self, canvas: skia.Canvas, t_s: float, paint: skia.Paint, size: tuple[int, int]
    ) -> None:
        age = (t_s / _STEAM_RISES_S + self.seed * 0.618034) % 1.0
        paint.setAlphaf(math.sin(math.pi * age) ** 2)
        x = self.stamp.x + 6 * self.scale * math.sin(1.3 * t_s + 2.4 * self.seed)
        y = self.stamp.y - 46 * self.scale * (age - 0.3)
        # At whole pixels: what is so soft shows no steps, and it takes a fifth of the time.
        canvas.drawImage(self.stamp.picture, round(x), round(y), skia.SamplingOptions(), paint)


class _Plate:
    """Shapes that shift sideways as one.

    They are drawn for four places between two pixels when the scene is loaded: in a frame they
    are only laid at whole pixels, which is quick, and no edge softens as it moves.
    """

    def __init__(
        self,
        drawing: Drawing,
        runs: Sequence[tuple[bool, list[Shape]]],
        matrix: skia.Matrix,
        size: tuple[int, int],
        reach: float,
    ) -> None:
        width, height = size
        self.reach = reach
        margin = math.ceil(reach) + 2
        looks: list[Pixels] = []
        brushes = [(solid, Brush(drawing, shapes)) for solid, shapes in runs]
        onto = skia.Paint(BlendMode=skia.BlendMode.kSrcATop)
        for phase in range(_PHASES):
            look: Pixels = np.zeros((height, width + 2 * margin, 4), np.uint8)
            canvas = surface(look).getCanvas()
            for solid, brush in brushes:
                canvas.save()
                canvas.translate(margin + phase / _PHASES * solid, 0)
                canvas.concat(matrix)
                if not solid:
                    canvas.saveLayer(None, onto)
                brush.draw(canvas, drawing.points)
                canvas.restoreToCount(1)
            looks.append(look)
        open_rows = np.flatnonzero((looks[0][..., 3] < 255).any(1))
        self.floor = int(open_rows[-1]) + 1 if len(open_rows) else 0
        self.pieces = _cut(looks, -margin, 0, _BAND)

    def smaller(self, size: tuple[int, int], share: float) -> "_Plate":
        """Return it for a picture of that share of `size`; it need not be drawn again."""
        made = copy.copy(self)
        made.reach = self.reach * share
        margin = math.ceil(made.reach) + 2
        wide, high = (round(length * share) for length in size)
        around = math.ceil(margin / share)
        # A little wider than what is wanted, so that no row of texels is left out at an edge.
        box = (size[0] + 2 * around, size[1])
        small = round(box[0] * share)
        looks = []
        for phase in range(_PHASES):
            # A quarter of a small pixel is more than that of a large one.
            whole, part = divmod(round(phase / share), _PHASES)
            look = _laid(self.pieces, part, (around + whole, 0), box)
            look = cv2.resize(look, (small, high), interpolation=cv2.INTER_AREA)
            left = (small - wide) // 2 - margin
            looks.append(np.ascontiguousarray(look[:, left : left + wide + 2 * margin]))
        made.floor = math.ceil(self.floor * share)
        made.pieces = _cut(looks, -margin, 0, _BAND)
        return made

    def draw(self, canvas: skia.Canvas, shift: float) -> None:
        """Draw it shifted by the share `shift` of its reach, -1..1."""
        whole, phase = divmod(round(shift * self.reach * _PHASES), _PHASES)
        for piece in self.pieces:
            canvas.drawImage(piece.phases[phase][0], piece.x + whole, piece.y)


def _cut(looks: Sequence[Pixels], x: int, y: int, high: int) -> list[_Piece]:
    """Return what is not empty in pictures of one size whose corner is at `x`, `y`.

    Full pieces are told to Skia as such: it copies them, seven times faster than it blends.
    """
    least = np.minimum.reduce([look[..., 3] for look in looks])
    most = np.maximum.reduce([look[..., 3] for look in looks])
    found: list[_Piece] = []
    for top in range(0, len(least), high):
        band = slice(top, top + high)
        full = np.zeros(least.shape[1], bool)
        solid = [(a, b) for a, b in _spans((least[band] == 255).all(0), 0) if b - a >= _FULL]
        for left, right in solid:
            full[left:right] = True
        rest = _spans((most[band] > 0).any(0) & ~full, _GAP)
        # Gaps were joined across what is full: take it out again.
        parts = [part for left, right in rest for part in _without(left, right, solid)]
        for left, right, whole in [(a, b, True) for a, b in solid] + [(*p, False) for p in parts]:
            rows = np.flatnonzero((most[band, left:right] > 0).any(1))
            if not len(rows):
                continue
            y0, y1 = top + int(rows[0]), top + int(rows[-1]) + 1
            cuts = [np.ascontiguousarray(look[y0:y1, left:right]) for look in looks]
            phases = tuple((image(cut, opaque=whole), cut) for cut in cuts)
            found.append(_Piece(x + left, y + y0, phases))
    return found


def _laid(
    pieces: Sequence[_Piece], phase: int, at: tuple[int, int], size: tuple[int, int]
) -> Pixels:
    """Return the picture that `pieces` were cut from, its corner at `at`, on nothing."""
    look: Pixels = np.zeros((size[1], size[0], 4), np.uint8)
    for piece in pieces:
        cut = piece.phases[phase][1]
        x, y = piece.x + at[0], piece.y + at[1]
        left, top = max(0, -x), max(0, -y)
        part = cut[top : size[1] - y, left : size[0] - x]
        look[y + top : y + top + part.shape[0], x + left : x + left + part.shape[1]] = part
    return look


def _spans(columns: npt.NDArray[np.bool_], gap: int) -> list[tuple[int, int]]:
    """Return first and last+1 of the runs of true columns; less than `gap` apart is one."""
    found: list[tuple[int, int]] = []
    edges = np.flatnonzero(np.diff(np.concatenate([[False], columns, [False]])))
    for left, right in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if found and left - found[-1][1] < gap:
            found[-1] = (found[-1][0], right)
        else:
            found.append((left, right))
    return found


def _without(left: int, right: int, taken: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return what `taken` leaves of left..right."""
    parts = []
    for a, b in taken:
        if a >= right or b <= left:
            continue
        if a > left:
            parts.append((left, a))
        left = b
    return [*parts, (left, right)] if left < right else parts


class Scene:
    """What is behind and before the host.

    Args:
        folder: the character's folder.
        name: file in `scenes/` without suffix, also "NAME@LIGHT"; "transparent" or "chroma".
        width: of the picture in pixels.
        height: of the picture in pixels.

    Raises:
        CharacterError: no such scene or light, or it cannot be drawn.
    """

    def __init__(self, folder: Path, name: str, width: int, height: int) -> None:
        self.opaque = name != "transparent"
        """Whether every pixel is covered."""
        self.host = True
        """Whether a host is to be drawn: not on a card."""
        self.light: Colour = (1.0, 1.0, 1.0)
        """What white looks like here."""
        self.floor = height
        """The host is hidden from this row of pixels down."""
        self._back: Pixels = np.zeros((height, width, 4), np.uint8)
        self._size = (width, height)
        self._scale = 1.0
        self._middle: _Plate | None = None
        self._front: _Plate | None = None
        self._lights: list[_Light] = []
        self._far: list[_Leaf | _Wisp] = []
        self._near: list[_Leaf | _Wisp] = []
        self._before: list[_Leaf | _Wisp] = []
        self._dust: list[tuple[float, float, float, float]] = []
        self._drops: npt.NDArray[np.float32] = np.zeros((0, 4), np.float32)
        if name == "transparent":
            return
        if name == "chroma":
            self._back[:] = CHROMA
            return
        name, at, light = name.partition("@")
        file = folder / "scenes" / f"{name}.svg"
        if not file.exists():
            known = sorted(path.stem for path in file.parent.glob("*.svg"))
            raise CharacterError(
                file, None, "there is no such scene", f"known: {', '.join(known)}, "
                "transparent, chroma",
            )  # fmt: skip
        drawing = read_svg(file)
        tops = dict.fromkeys(shape.groups[0] for shape in drawing.shapes if shape.groups)
        lights = [group for group in tops if group.startswith("light_")]
        if at and f"light_{light}" not in lights:
            known = [f"{name}@{group.removeprefix('light_')}" for group in lights]
            raise CharacterError(
                file, None, f"the scene has no light {light!r}",
                f"known: {', '.join([name, *known])}",
            )  # fmt: skip
        self._load(drawing, f"light_{light}" if at else "", width, height)

    def _load(self, drawing: Drawing, light: str, width: int, height: int) -> None:
        depths = sorted({s.groups[0] for s in drawing.shapes if s.groups} & {
            f"depth_{i}" for i in range(10)
        })  # fmt: skip
        if len(depths) < 2:
            raise CharacterError(
                drawing.file, None, "no depth groups", "group it into depth_0, depth_1, ..."
            )
        self.host = drawing.data.get("", {}).get("data-host") != "hidden"
        hour = drawing.data.get(light, {}) if light else {}
        hides = tuple(hour.get("data-hides", "").split())
        if told := {**drawing.data.get("", {}), **hour}.get("data-light"):
            self.light = _colour(drawing, told)
        scale = max(width / drawing.size[0], height / drawing.size[1])
        self._scale = scale
        matrix = skia.Matrix()
        matrix.setScale(scale, scale)
        matrix.postTranslate(
            (width - drawing.size[0] * scale) / 2, (height - drawing.size[1] * scale) / 2
        )
        self._matrix = matrix
        middle = depths[2] if len(depths) > 3 else ""
        back: list[Shape] = []
        vignette: list[Shape] = []
        rain: list[Shape] = []
        lights: dict[str, list[Shape]] = {}
        before_rain: list[Shape] = []
        moving: list[tuple[bool, list[Shape]]] = []  # whether solid; else light upon it
        front: list[tuple[bool, list[Shape]]] = []
        for shape in drawing.shapes:
            depth = shape.groups[0] if shape.groups else ""
            kind = shape.groups[1] if len(shape.groups) > 1 else ""
            if (
                shape.hidden
                or depth not in depths
                or (hides and any(group.startswith(hides) for group in shape.groups))
            ):
                continue
            solid = not kind.endswith("_glow")
            if kind == "vignette":
                vignette.append(shape)
            elif kind == "rain":
                rain.append(shape)
            elif kind == "dust":
                self._dust.append(self._mote(drawing, shape))
            elif kind.startswith(_DRIFTING):
                self._drift(drawing, shape, depths)
            elif depth == depths[-1] and solid:
                _append(front, True, shape)
            elif depth == middle and solid:
                _append(moving, True, shape)
            else:
                back.append(shape)
                if depth >= middle:
                    _append(moving, False, shape)
                if kind.startswith(tuple(_RHYTHMS)):
                    lights.setdefault(kind, []).append(shape)
                if depth != depths[0] and kind != "window_reflection":
                    before_rain.append(shape)
        washes = [s for s in drawing.shapes if light and s.groups and s.groups[0] == light]
        # The group is hidden; what is in it is shown now.
        washes = [replace(shape, hidden=False) for shape in washes]
        sky = [s for s in washes if any(group.endswith("_sky") for group in s.groups)]
        behind = [s for s in washes if any(group.endswith("_behind") for group in s.groups)]
        washes = [s for s in washes if s not in sky and s not in behind]
        far = sum(shape.groups[0] == depths[0] for shape in back)
        over = vignette + washes
        canvas = surface(self._back).getCanvas()
        canvas.clear(skia.ColorBLACK)
        canvas.concat(matrix)
        back[far:far] = sky
        Brush(drawing, back + vignette + behind + washes).draw(canvas, drawing.points)
        if any(solid for solid, _ in moving):
            runs = [*moving, (False, over)]
            self._middle = _Plate(drawing, runs, matrix, self._size, MIDDLE_SHIFT * scale)
        if front:
            runs = [*front, (False, washes)]
            self._front = _Plate(drawing, runs, matrix, self._size, FRONT_SHIFT * scale)
            self.floor = self._front.floor
        for i, (kind, shapes) in enumerate(lights.items()):
            rhythm = next(make for start, make in _RHYTHMS.items() if kind.startswith(start))
            own = shapes if kind.startswith("shaft") else shapes[:1]
            made = _Light(_Stamp(drawing, own, matrix), rhythm(i + 1), self._size)
            if made.pieces:
                self._lights.append(made)
        if rain:
            solids = [s for is_solid, shapes in moving if is_solid for s in shapes]
            self._open_sky(drawing, before_rain + solids, rain, width, height)

    def _drift(self, drawing: Drawing, shape: Shape, depths: list[str]) -> None:
        """Keep a leaf or a wisp of steam where it belongs."""
        if shape.groups[0] == depths[-1]:
            place = self._before
        else:
            place = self._far if shape.groups[0] in depths[:2] else self._near
        seed = len(place) + 1
        if shape.groups[1].startswith("leaf"):
            place.append(_Leaf(drawing, shape, seed, self._scale))
        else:
            place.append(_Wisp(_Stamp(drawing, [shape], self._matrix), seed, self._scale))

    def _mote(self, drawing: Drawing, shape: Shape) -> tuple[float, float, float, float]:
        points = drawing.points[shape.start : shape.stop].astype(float)
        centre = self._matrix.mapXY(*points.mean(0).tolist())
        radius = float(np.ptp(points[:, 0])) / 2 * self._scale
        return centre.x(), centre.y(), radius, shape.paints[0].colour[3]

    def _open_sky(
        self, drawing: Drawing, before: list[Shape], rain: list[Shape], width: int, height: int
    ) -> None:
        """Find where rain is seen, and make its drops."""
        cover: Pixels = np.zeros((height, width, 4), np.uint8)
        canvas = surface(cover).getCanvas()
        canvas.concat(self._matrix)
        Brush(drawing, before).draw(canvas, drawing.points)
        self._sky = cover[..., 3] < 100
        low = np.min([drawing.points[s.start : s.stop].min(0) for s in rain], 0).astype(float)
        high = np.max([drawing.points[s.start : s.stop].max(0) for s in rain], 0).astype(float)
        a, b = self._matrix.mapXY(*low.tolist()), self._matrix.mapXY(*high.tolist())
        self._rain_box = (a.x(), a.y(), b.x() - a.x(), b.y() - a.y())
        chance = np.random.default_rng(7)
        self._drops = chance.random((22, 4)).astype(np.float32)

    def smaller(self, width: int, height: int) -> "Scene":
        """Return the scene for a smaller picture of the same shape.

        It is made of the pictures that are there, in a tenth of the time that drawing them took.
        """
        made = copy.copy(self)
        size = (self._back.shape[1], self._back.shape[0])
        share = height / size[1]
        small = (width, height)
        made.__dict__.pop("_backdrop", None)  # it is of this size
        made._back = cv2.resize(self._back, small, interpolation=cv2.INTER_AREA)
        made.floor = height
        made._size = small
        made._scale = self._scale * share
        if self._middle is not None:
            made._middle = self._middle.smaller(size, share)
        if self._front is not None:
            made._front = self._front.smaller(size, share)
            made.floor = made._front.floor
        made._lights = [light.smaller(size, small) for light in self._lights]
        made._far, made._near, made._before = (
            [each.smaller(share) for each in group]
            for group in (self._far, self._near, self._before)
        )
        made._dust = [(x * share, y * share, r * share, o) for x, y, r, o in self._dust]
        if len(self._drops):
            sky = cv2.resize(self._sky.astype(np.uint8), small, interpolation=cv2.INTER_NEAREST)
            made._sky = sky > 0
            x, y, wide, high = self._rain_box
            made._rain_box = (x * share, y * share, wide * share, high * share)
        return made

    @functools.cached_property
    def _backdrop(self) -> skia.Image:
        """What stays where it is, for a canvas that draws elsewhere than into memory."""
        return image(self._back, opaque=self.opaque)

    def behind(
        self, out: Pixels | None, canvas: skia.Canvas, pts: Ticks, lean: float = 0.0
    ) -> None:
        """Paint everything behind the host, covering all of `out`, on which `canvas` draws.

        Args:
            out: the picture, BGRA; None where it cannot be written to but by `canvas`.
            canvas: draws on `out`.
            pts: the frame's time.
            lean: the host's ParamBodyAngleX in degrees.
        """
        if out is not None:
            np.copyto(out, self._back)
        else:
            canvas.drawImage(self._backdrop, 0, 0)
        t_s = pts / TICKS_PER_S
        paint = skia.Paint(AntiAlias=True)
        if len(self._drops):
            self._rain(canvas, t_s)
        for each in self._far:
            each.draw(canvas, t_s, paint, self._size)
        if self._middle is not None:
            self._middle.draw(canvas, _shift(t_s, lean))
        for light in self._lights:
            light.draw(canvas, t_s, paint)
        for each in self._near:
            each.draw(canvas, t_s, paint, self._size)
        for i, (x, y, radius, opacity) in enumerate(self._dust):
            phase = i * 2.399963  # golden angle: no two alike
            dx = 26 * self._scale * math.sin(t_s * 0.23 + phase)
            dy = 20 * self._scale * math.sin(t_s * 0.17 + 1.7 * phase)
            glint = 0.65 + 0.35 * math.sin(t_s * 0.9 + 3 * phase)
            paint.setColor4f(skia.Color4f(1.0, 0.878, 0.682, opacity * glint))
            canvas.drawCircle(x + dx, y + dy, max(radius, 0.7), paint)

    def _rain(self, canvas: skia.Canvas, t_s: float) -> None:
        """Draw the drops whose way is free."""
        x0, y0, wide, high = self._rain_box
        d = self._drops
        speed = _RAIN_SPEED * self._scale * (0.8 + 0.4 * d[:, 2])
        run = high + 60 * self._scale
        fallen = (d[:, 1] * run + speed * t_s) % run
        # Each fall begins at another place; the count of falls chooses it.
        count = np.floor((d[:, 1] * run + speed * t_s) / run)
        x = x0 + ((d[:, 0] + count * 0.618034) % 1.0) * wide - fallen * 0.16
        y = y0 + fallen
        length = (26 + 26 * d[:, 3]) * self._scale
        height, width = self._sky.shape
        ends = ((x, y), (x - 0.16 * length, y + length))
        free = np.ones(len(d), bool)
        for ex, ey in ends:
            i, j = ey.astype(np.intp), ex.astype(np.intp)
            inside = (i >= 0) & (i < height) & (j >= 0) & (j < width)
            free &= inside
            free[inside] &= self._sky[i[inside], j[inside]]
        points = []
        for k in np.flatnonzero(free):
            points.append(skia.Point(float(ends[0][0][k]), float(ends[0][1][k])))
            points.append(skia.Point(float(ends[1][0][k]), float(ends[1][1][k])))
        paint = skia.Paint(AntiAlias=True, Color4f=skia.Color4f(0.875, 0.894, 1.0, 0.4))
        paint.setStrokeWidth(max(1.0, 1.5 * self._scale))
        canvas.drawPoints(skia.Canvas.kLines_PointMode, points, paint)

    def before(self, canvas: skia.Canvas, pts: Ticks, lean: float = 0.0) -> None:
        """Paint what stands before the host; arguments as for `behind`."""
        t_s = pts / TICKS_PER_S
        if self._front is not None:
            self._front.draw(canvas, _shift(t_s, lean))
        if self._before:
            paint = skia.Paint(AntiAlias=True)
            for each in self._before:
                each.draw(canvas, t_s, paint, self._size)


def _colour(drawing: Drawing, text: str) -> Colour:
    found = re.fullmatch(r"#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})", text.strip().lower())
    if found is None:
        raise CharacterError(
            drawing.file, None, f"data-light={text!r} is no colour", 'write it as "#f0e0d0"'
        )
    r, g, b = (int(part, 16) / 255 for part in found.groups())
    return r, g, b


def _shift(t_s: float, lean: float) -> float:
    """Return the share of its reach, -1..1, by which a plate is shifted; 0 at time and lean 0."""
    drift = math.sin(2 * math.pi * t_s / _DRIFT_S) * (0.75 + 0.25 * math.cos(0.13 * t_s))
    return 0.35 * drift - 0.65 * max(-1.0, min(1.0, lean / _LEAN_DEG))


def _append(runs: list[tuple[bool, list[Shape]]], solid: bool, shape: Shape) -> None:
    """Add `shape` to the last run if it is of that kind, else begin one."""
    if not runs or runs[-1][0] != solid:
        runs.append((solid, []))
    runs[-1][1].append(shape)
