"""Holes: where the room is seen through the figure because layers part, or one comes off.

A hole is a spot of background that the figure closes in. Most are meant: between an arm and the
waist, under a hand at the cheek. One that is not gives itself away when each layer at its edge is
asked what lay there at rest, moved back as that layer moves: if all say "the figure", they lay on
each other and have come apart.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from avatar.motions import read_motions
from avatar.performer import Performer
from avatar.pose import ParameterTable
from avatar.puppet.puppet import Layer
from avatar.puppet.rigfile import SlideSpec, TurnSpec
from avatar.puppet.svg import Points
from avatar.rig import CharacterError
from dialogue.ticks import TICKS_PER_S, from_s, to_s
from render.frames import Pixels
from render.vector import Brush, surface
from stage.checks.finding import Finding
from stage.looking import Look

OFF_PX = 100
"""The least part that is told, in pixels of 720p."""
HOLE_PX = 40
"""The least hole that is told, in pixels of 720p."""
THICK_PX = 16.0
"""Radius of the largest circle in a crack; what is wider has been opened on purpose."""
COVERED = 0.5
"""Share of a hole that must have been covered at rest, as seen from every layer at its edge."""
AT_EDGE = 0.1
"""Share of the edge that makes a layer one of those about a hole."""
ALONE = 0.85
"""Share of the edge from which on a hole lies within one layer: between fingers or locks."""
FRAMES = 3
"""Moments at which a gesture is looked at."""
SKULL = 0.68
"""The skull in the head's box, which is 1.3 times as wide: (1.07 / 1.3) squared."""
LIFTED = ("ParamHat", "ParamPropR")
"""Parameters that take something off."""
_SOLID = 215
_TURNS = [(x, y) for x in (-30.0, 0.0, 30.0) for y in (-30.0, 0.0, 30.0) if x or y]
_STILL: tuple[dict[str, float], ...] = (
    *({"ParamAngleX": x, "ParamAngleY": y} for x, y in _TURNS),
    *({"ParamAngleZ": z, name: value}
      for z in (-30.0, 30.0) for name, value in (("ParamAngleX", -25.0), ("ParamAngleX", 25.0),
                                                 ("ParamAngleY", -25.0), ("ParamAngleY", 25.0))),
    *({f"ParamBodyAngle{axis}": value, "ParamAngleZ": -2 * value}
      for axis in "XYZ" for value in (-10.0, 10.0)),
    {"ParamShoulderY": 1.0}, {"ParamShoulderY": -1.0},
)  # fmt: skip


_Places = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Hole:
    area: int
    """Pixels."""
    x: int
    y: int
    """Its middle in the picture."""
    where: str
    """The pose."""
    layers: tuple[str, ...]
    """Those at its edge, the longest share first."""


def look_for_holes(look: Look, folder: Path) -> list[Finding]:
    """Return the holes that turns, leans and gestures open, the largest of each pair of layers.

    Args:
        look: at the host in a transparent scene, in 720p.
        folder: of the character, for its gestures.
    """
    seen = _Seen(look)
    worst: dict[frozenset[str], _Hole] = {}
    off: dict[str, str] = {}
    for where, turned, picture in _poses(look, folder):
        for hole in seen.holes(where, picture[..., 3], turned=turned):
            pair = frozenset(hole.layers[:2])
            if pair not in worst or hole.area > worst[pair].area:
                worst[pair] = hole
        for name in seen.off(picture[..., 3]):
            off.setdefault(name, where)
    return [
        *(_finding(look, hole) for hole in worst.values()),
        *(_comes_off(look, name, where) for name, where in off.items()),
    ]


def _poses(look: Look, folder: Path) -> Iterable[tuple[str, bool, Pixels]]:
    """Yield what is seen of the host: how it is posed, whether but the head turns, the picture."""
    for values in _STILL:
        where = "at " + ", ".join(f"{name} {value:.0f}" for name, value in values.items())
        yield where, values.keys() == {"ParamAngleX", "ParamAngleY"}, look.at(values)
    motions = folder / "motions"
    step = TICKS_PER_S // 30
    cued = from_s(1.0)
    try:
        gestures = read_motions(motions, ParameterTable()).gestures.values()
    except CharacterError:  # told with the texts
        return
    for gesture in gestures:
        if gesture.idle_every is not None or gesture.talk_every is not None:
            continue  # a habit is small
        performer = Performer(ParameterTable(), seed=3, motions=motions)
        performer.cue(gesture.name, cued)
        moments = [cued + gesture.length * (i + 1) // (FRAMES + 1) for i in range(FRAMES)]
        for pts in range(0, cued + gesture.length + step, step):
            pose = performer.pose(pts)
            if moments and pts >= moments[0]:
                moments.pop(0)
                yield f"{to_s(pts - cued):.1f} s into [{gesture.name}]", False, look.see(pose)


def _finding(look: Look, hole: _Hole) -> Finding:
    puppet = look.renderer.puppet
    order = [layer.spec.name for layer in puppet.layers]
    behind, front = sorted(hole.layers[:2], key=order.index)
    number = [spec.name for spec in puppet.spec.layer].index(behind)
    return Finding(
        "warning", puppet.file.file, puppet.file.table_line("layer", number),
        f"{hole.where} a hole of {hole.area} pixels opens between {behind!r} and {front!r}, "
        f"{hole.x} right and {hole.y} down in a 720p picture",
        f"draw {behind!r} further behind {front!r}, or let the two move more alike: head, depth "
        "and bulge, or pivot",
    )  # fmt: skip


def _comes_off(look: Look, name: str, where: str) -> Finding:
    puppet = look.renderer.puppet
    turns = [i for i, turn in enumerate(puppet.spec.turn) if name in turn.groups]
    number = [spec.name for spec in puppet.spec.layer].index(name)
    table = ("turn", turns[0]) if turns else ("layer", number)
    return Finding(
        "warning", puppet.file.file, puppet.file.table_line(*table),
        f"{where} {name!r} comes off the figure",
        "set its pivot to the joint, which both parts cover" if turns
        else "let it move as what it is fixed to does: head, depth and bulge",
    )  # fmt: skip


class _Seen:
    """Knows the host at rest, and tells holes from gaps."""

    def __init__(self, look: Look) -> None:
        self._renderer = look.renderer
        puppet = look.renderer.puppet
        self._puppet = puppet
        self._rest = look.at({})[..., 3] >= _SOLID
        self._rest_points = puppet.exact()
        self._brushes = [(layer, Brush(puppet.drawing, layer.shapes)) for layer in puppet.layers]
        self._swinging = {name for spring in puppet.spec.spring for name in spring.layers}
        moves: list[SlideSpec | TurnSpec] = [*puppet.spec.slide, *puppet.spec.turn]
        lifted = {name for move in moves if move.parameter in LIFTED for name in move.groups}
        self._loose = self._swinging | lifted
        self._loose |= set(self.off(look.at({})[..., 3]))

    def holes(self, where: str, alpha: Pixels, *, turned: bool) -> Iterable[_Hole]:
        """Yield the holes of the host under the puppet's last pose.

        Args:
            where: the pose in words.
            alpha: of its picture.
            turned: the pose but turns the head, so that the skull is where it was at rest.
        """
        points: Points | None = None
        count, labels, stats, centres = cv2.connectedComponentsWithStats(
            (alpha < _SOLID).astype(np.uint8), connectivity=4
        )
        high, wide = alpha.shape
        for i in range(1, count):
            left, top, across, down, area = (int(n) for n in stats[i])
            edge = left < 3 or top < 3 or left + across > wide - 3 or top + down > high - 3
            if edge or area < HOLE_PX:
                continue
            # With a margin of three pixels, in which lies what closes it in.
            left, top, across, down = left - 3, top - 3, across + 6, down + 6
            spot = (labels[top : top + down, left : left + across] == i).astype(np.uint8)
            if cv2.distanceTransform(spot, cv2.DIST_L2, 3).max() > THICK_PX:
                continue
            points = self._puppet.exact() if points is None else points
            shares = self._about(spot, left, top, points)
            if not self._apart(shares, spot, (left, top), points, turned=turned):
                continue
            x, y = (round(float(n)) for n in centres[i])
            yield _Hole(area, x, y, where, tuple(layer.spec.name for layer, _ in shares))

    def off(self, alpha: Pixels) -> list[str]:
        """Return the layers that the last pose, whose picture has this `alpha`, takes off."""
        count, labels, stats, _ = cv2.connectedComponentsWithStats(
            (alpha >= _SOLID).astype(np.uint8), connectivity=8
        )
        parts = sorted(range(1, count), key=lambda i: -int(stats[i][4]))
        found = []
        for i in parts[1:]:
            left, top, wide, high, area = (int(n) for n in stats[i])
            beyond = left + wide == alpha.shape[1] or top + high == alpha.shape[0]
            if area < OFF_PX or left == 0 or top == 0 or beyond:
                continue  # what holds it may be outside the picture
            spot = labels[top : top + high, left : left + wide] == i
            owners = self._on(spot, left, top, self._puppet.exact())
            if owners and owners[0][0].spec.name not in self._loose:
                found.append(owners[0][0].spec.name)
        return found

    def _about(
        self, spot: Pixels, left: int, top: int, points: Points
    ) -> list[tuple[Layer, float]]:
        """Return the layers at the edge of a spot with their shares of it, the largest first."""
        ring = cv2.dilate(spot, np.ones((5, 5), np.uint8)).astype(bool) & (spot == 0)
        return self._on(ring, left, top, points)

    def _on(
        self, where: npt.NDArray[np.bool_], left: int, top: int, points: Points
    ) -> list[tuple[Layer, float]]:
        """Return the layers seen there with their shares of it, the largest first."""
        nearest = np.full(where.shape, -1)
        fades = self._puppet.fades()
        for k, (_, brush) in enumerate(self._brushes):
            drawn: Pixels = np.zeros((*where.shape, 4), np.uint8)
            canvas = surface(drawn).getCanvas()
            canvas.translate(-left, -top)
            self._renderer.place(canvas)
            brush.draw(canvas, points, fades)
            nearest[drawn[..., 3] >= _SOLID] = k
        found, counts = np.unique(nearest[where], return_counts=True)
        shares = [
            (self._brushes[k][0], float(n) / int(where.sum()))
            for k, n in zip(found.tolist(), counts.tolist(), strict=True) if k >= 0
        ]  # fmt: skip
        return sorted(shares, key=lambda share: -share[1])

    def _apart(
        self,
        shares: list[tuple[Layer, float]],
        spot: Pixels,
        corner: tuple[int, int],
        points: Points,
        *,
        turned: bool,
    ) -> bool:
        """Return whether the layers about a spot lay on each other at rest."""
        about = [(layer, share) for layer, share in shares if share >= AT_EDGE]
        if len(about) < 2 or about[0][1] > ALONE:
            return False
        y, x = np.nonzero(spot)
        pixels = np.stack([x, y], 1) + np.array(corner) + 0.5
        # What dangles may swing away from what it hung before, but no hair from a skull.
        dangling = sum(share for layer, share in shares if layer.spec.name in self._swinging)
        if dangling >= AT_EDGE and not (turned and self._in_skull(*pixels.mean(0))):
            return False
        place = self._renderer.to_units(pixels)
        return all(self._covered(layer, place, points) >= COVERED for layer, _ in about)

    def _in_skull(self, x: float, y: float) -> bool:
        left, top, wide, high = self._renderer.head_box()
        across, down = 2 * (x - left) / wide - 1, 2 * (y - top) / high - 1
        return across**2 + down**2 < SKULL

    def _covered(self, layer: Layer, place: _Places, points: Points) -> float:
        """Return the share of a hole that the figure covered at rest, as `layer` sees it.

        Args:
            layer: one at its edge.
            place: the hole's pixels, in units of the drawing, shape (n, 2).
            points: control points of the drawing in this pose.
        """
        drawn = self._puppet.indices([shape for shape in layer.shapes if not shape.hidden])
        now, rest = points[drawn].astype(float), self._rest_points[drawn].astype(float)
        middle = place.mean(0)
        # The turn and stretch that brings the layer's nearest points back.
        weight = 1 / (((now - middle) ** 2).sum(1) + 400.0)
        weight /= weight.sum()
        now_middle, rest_middle = weight @ now, weight @ rest
        z, w = ((each @ np.array([1, 1j])) for each in (now - now_middle, rest - rest_middle))
        turn = (weight * w * z.conj()).sum() / max(float((weight * np.abs(z) ** 2).sum()), 1e-9)
        back = ((place - now_middle) @ np.array([1, 1j])) * turn
        pixel = self._renderer.to_pixels(np.stack([back.real, back.imag], 1) + rest_middle)
        column, row = np.floor(pixel).astype(int).T
        high, wide = self._rest.shape
        inside = (column >= 0) & (column < wide) & (row >= 0) & (row < high)
        # What the picture does not show may be anything: it is no witness against the host.
        return float((self._rest[row[inside], column[inside]]).sum()) / len(place)
