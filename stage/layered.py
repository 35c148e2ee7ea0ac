"""A puppet from painted layers: a PSD file, or PNG files of one size, and a rig by their names.

Runs on: the thread of `bunraku new`. Names are read without regard for case, spaces and dashes;
`_l` and `_r` are the character's own left and right. docs/draw-your-own-host.md has the table of
names; what is none of them moves with the head if it lies there, else with the body.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import cv2
import numpy as np

from avatar.pose import VISEMES
from render.frames import Pixels
from stage.config import ConfigError

_IN_EYE = ("iris", "pupil", "highlight", "lash")
LARGEST_PX = 6000
"""Wider or higher art than this is shrunk: no picture shows more."""

_MOUTHS: dict[str, tuple[str, ...]] = {
    "sil": (), "PP": (), "FF": ("ih", "E"), "TH": ("nn", "DD", "ih", "E"),
    "DD": ("nn", "TH", "ih", "E"), "kk": ("E", "ih"), "CH": ("SS", "ou", "ih"),
    "SS": ("CH", "ih", "E"), "nn": ("DD", "TH", "ih", "E"), "RR": ("ou", "oh"),
    "aa": ("oh", "E"), "E": ("aa", "ih"), "ih": ("E", "SS"), "oh": ("ou", "aa"), "ou": ("oh",),
}  # fmt: skip
"""Viseme -> whose picture stands in where it has none, best first; at last the open or shut one."""
_OTHER_NAMES = {
    "a": "aa", "i": "ih", "u": "ou", "e": "E", "o": "oh", "n": "nn", "closed": "sil", "shut": "sil",
    "open": "aa", "neutral": "sil", "rest": "sil", "smile": "sil",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Painted:
    """A layer of the art."""

    name: str
    """In lower case, words joined by "_"."""
    pixels: Pixels
    """Shape (height, width, 4), BGRA, not premultiplied, cut to what is painted."""
    x: int
    """Left edge on the canvas."""
    y: int
    """Top edge on the canvas."""
    hidden: bool
    """Switched off in the art: an alternative."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        height, width = self.pixels.shape[:2]
        return self.x, self.y, self.x + width, self.y + height

    @property
    def middle(self) -> tuple[float, float]:
        """Centre."""
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2


def read(path: Path) -> tuple[list[Painted], tuple[int, int]]:
    """Return the layers in `path`, farthest first, and width and height of the canvas.

    Args:
        path: a PSD or PSB file, or a folder of PNG files of one size; those are sorted by name, so
            that numbers before the names ("01 hair_back.png") give the order.

    Raises:
        ConfigError: it cannot be read, or nothing is painted there.
    """
    layers, size = _read_folder(path) if path.is_dir() else _read_psd(path)
    if not layers:
        raise ConfigError(f"{path}: no layer with anything painted on it")
    names = [layer.name for layer in layers]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"{path}: two layers are called {twice!r}; rename one")
    return layers, size


def _plain(name: str) -> str:
    name = re.sub(r"^\d+[\s._-]+", "", name.strip())
    return re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_") or "layer"


def _cut(name: str, pixels: Pixels, x: int, y: int, hidden: bool) -> Painted | None:
    """Return the layer without its empty margin; None where nothing is painted."""
    painted = pixels[..., 3] > 4
    if not painted.any():
        return None
    rows, columns = np.flatnonzero(painted.any(1)), np.flatnonzero(painted.any(0))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    cut = np.ascontiguousarray(pixels[top:bottom, left:right])
    return Painted(name, cut, x + left, y + top, hidden)


def _read_folder(path: Path) -> tuple[list[Painted], tuple[int, int]]:
    layers: list[Painted] = []
    size: tuple[int, int] | None = None
    for file in sorted(path.glob("*.png")):
        pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        if pixels is None or pixels.dtype != np.uint8:
            raise ConfigError(f"{file}: no PNG of 8 bits a channel; save it again")
        if pixels.ndim != 3 or pixels.shape[2] != 4:
            raise ConfigError(f"{file}: has no transparency; save it with an alpha channel")
        here = (int(pixels.shape[1]), int(pixels.shape[0]))
        if size is not None and here != size:
            raise ConfigError(
                f"{file}: {here[0]}x{here[1]}, the others are {size[0]}x{size[1]}; "
                "export all layers at the size of the canvas"
            )
        size = here
        name = _plain(file.stem)
        layer = _cut(name, pixels.astype(np.uint8), 0, 0, _is_alternative(name))
        if layer is not None:
            layers.append(layer)
    if size is None:
        raise ConfigError(f"{path}: no PNG file in it")
    return layers, size


def _read_psd(path: Path) -> tuple[list[Painted], tuple[int, int]]:
    try:
        from psd_tools import PSDImage
    except ImportError:
        raise ConfigError(
            "reading PSD files needs psd-tools; pip install 'bunraku[psd]', "
            "or export the layers as PNG files into a folder and name that"
        ) from None
    try:
        art: Any = PSDImage.open(path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except Exception as error:  # whatever a reader says of a file that is none of its own
        raise ConfigError(f"{path}: no PSD file that can be read ({error})") from None
    layers = []
    for each in art:  # farthest first
        # Also what is switched off; a group is painted with all that is visible in it.
        picture = each.composite(force=True) if each.is_group() else each.topil()
        if picture is None:
            continue
        pixels = cv2.cvtColor(np.array(picture.convert("RGBA")), cv2.COLOR_RGBA2BGRA)
        layer = _cut(
            _plain(each.name), pixels.astype(np.uint8), int(each.left), int(each.top),
            not each.is_visible() or _is_alternative(_plain(each.name)),
        )  # fmt: skip
        if layer is not None:
            layers.append(layer)
    return layers, (int(art.width), int(art.height))


def _is_alternative(name: str) -> bool:
    return bool(re.fullmatch(r"eye_[lr]_(closed|happy|wide|squint)", name))


def viseme_of(name: str) -> str | None:
    """Return the viseme that a layer called "mouth_..." draws; None for another name."""
    if name == "mouth":
        return "sil"
    if not name.startswith("mouth_"):
        return None
    rest = name.removeprefix("mouth_")
    by_lower = {viseme.lower(): viseme for viseme in VISEMES}
    return by_lower.get(rest) or _OTHER_NAMES.get(rest)


def stand_in(drawn: Iterable[str], viseme: str) -> str:
    """Return whose picture shows `viseme`, of the visemes that are `drawn`."""
    drawn = set(drawn)
    if viseme in drawn:
        return viseme
    closed = next((name for name in ("sil", "PP") if name in drawn), None)
    if viseme in ("sil", "PP", "FF") and closed is not None:
        return closed
    for other in (*_MOUTHS[viseme], "E", "aa", "ih", "oh", "ou"):
        if other in drawn:
            return other
    return sorted(drawn)[0]


# ------------------------------------------------------------------ the puppet


def write(layers: Sequence[Painted], size: tuple[int, int], folder: Path) -> None:
    """Write `puppet.svg`, `rig.toml` and `layers/` into `folder`.

    Raises:
        ConfigError: a layer that every host needs is missing.
    """
    shrink = min(1.0, LARGEST_PX / max(size))
    if shrink < 1:
        layers = [_shrunk(layer, shrink) for layer in layers]
        size = (round(size[0] * shrink), round(size[1] * shrink))
    by_name = {layer.name: layer for layer in layers}
    face = by_name.get("face") or by_name.get("head")
    if face is None:
        known = ", ".join(by_name)
        raise ConfigError(f"no layer is called 'face' (there are: {known}); name the skin of it so")
    mouths = {v: layer for layer in layers if (v := viseme_of(layer.name)) is not None}
    if not mouths:
        raise ConfigError(
            "no layer is called 'mouth'; paint at least 'mouth' (shut) and 'mouth_aa' (open)"
        )
    (folder / "layers").mkdir(parents=True, exist_ok=True)
    for layer in layers:
        cv2.imwrite(str(folder / "layers" / f"{layer.name}.png"), layer.pixels)
    rig = _Rig(face, mouths, size)
    for layer in layers:
        rig.take(layer, by_name)
    (folder / "puppet.svg").write_text(rig.svg(), "utf-8")
    (folder / "rig.toml").write_text(rig.toml(), "utf-8")


def _shrunk(layer: Painted, share: float) -> Painted:
    height, width = layer.pixels.shape[:2]
    small = cv2.resize(
        layer.pixels, (max(1, round(width * share)), max(1, round(height * share))),
        interpolation=cv2.INTER_AREA,
    )  # fmt: skip
    return Painted(
        layer.name, small.astype(np.uint8), round(layer.x * share), round(layer.y * share),
        layer.hidden,
    )  # fmt: skip


class _Rig:
    """Collects the drawing's groups and the rig's tables."""

    def __init__(self, face: Painted, mouths: dict[str, Painted], size: tuple[int, int]) -> None:
        self._size = size
        left, top, right, bottom = face.box
        self._centre = ((left + right) / 2, (top + bottom) / 2)
        self._radii = ((right - left) / 2, (bottom - top) / 2)
        self._face_bottom = bottom
        self._unit = (bottom - top) / 500  # the depths below are those of a face 500 units high
        self._mouths = mouths
        self._shut = mouths.get("sil") or mouths.get("PP") or next(iter(mouths.values()))
        self._groups: list[str] = []
        self._hidden: list[str] = []
        self._layers: list[str] = []
        self._tables: list[str] = []
        self._mouth_done = False

    # What a layer is by its name ----------------------------------------------------------------

    def take(self, layer: Painted, by_name: dict[str, Painted]) -> None:
        """Put `layer` into the drawing and move it by its name."""
        name = layer.name
        if viseme_of(name) is not None:
            self._mouth()
        elif found := re.fullmatch(r"eye_([lr])", name):
            self._eye(layer, found[1], by_name)
        elif found := re.fullmatch(r"(?:eye|iris|pupil|highlight|lash)_([lr])(?:_\w+)?", name):
            if f"eye_{found[1]}" not in by_name and not layer.hidden:
                self._plain(layer, head=1.0, depth=-88, bulge=220)  # else taken with its eye
        elif found := re.fullmatch(r"brow_([lr])", name):
            self._brow(layer, found[1])
        elif found := re.fullmatch(r"ear_([lr])", name):
            self._plain(layer, head=1.0, depth=-40, bulge=60)
            self._turn(name, f"ParamEar{found[1].upper()}", _foot(layer, self._centre),
                       -30.0 if found[1] == "r" else 30.0)  # fmt: skip
        elif found := re.fullmatch(r"(arm|sleeve|hand)_([lr])", name):
            self._arm(layer, found[2], by_name)
        elif layer.hidden:
            self._hide(layer)
        elif name in ("face", "head"):
            self._plain(layer, head=1.0, depth=-90, bulge=215)
        elif name == "nose":
            self._plain(layer, head=1.0, depth=-60, bulge=215)
        elif name in ("blush", "cheek", "cheeks"):
            self._plain(layer, head=1.0, depth=-88, bulge=217)
            self._fade(name, "ParamCheek", [[0.0, 0.25], [1.0, 1.0]])
        elif name == "neck":
            left, top, right, bottom = layer.box
            self._plain(layer, head=(top + 0.2 * (bottom - top), bottom))
        elif re.search(r"hair_?back|back_?hair", name):
            self._plain(layer, head=1.0, depth=-70)
            self._spring(layer, sway=True, hz=1.3, limit=34)
        elif re.search(r"fringe|bangs|hair_?front|front_?hair", name):
            self._plain(layer, head=1.0, depth=-88, bulge=236)
            self._spring(layer, sway=True, hz=2.1, limit=12)
        elif re.search(r"hair|ponytail|braid|twintail|ahoge|antenna", name):
            self._plain(layer, head=1.0, depth=-60, bulge=120)
            self._spring(layer, hz=1.3, limit=50, hang=0.7)
        elif re.search(r"tail|ribbon|scarf|cape|skirt|string|bell|earring|pendant|tie", name):
            on_head = layer.middle[1] < self._face_bottom
            self._plain(layer, head=1.0 if on_head else 0.0, depth=-60 if on_head else 0)
            self._spring(layer, hz=1.4, limit=40, hang=0.5 if on_head else 0.0)
        elif layer.middle[1] < self._face_bottom and "body" not in name:
            self._plain(layer, head=1.0, depth=-60, bulge=180)
        else:
            self._plain(layer)

    def _mouth(self) -> None:
        if self._mouth_done:
            return
        self._mouth_done = True
        pictures = "".join(
            f'  <g id="mouth_{viseme}">\n{_picture(layer, 3)}  </g>\n'
            for viseme, layer in self._mouths.items()
        )
        self._group("mouth", pictures)
        self._layer("mouth", live=True, head=1.0, depth=-86, bulge=218)
        shown: dict[str, list[str]] = {f"mouth_{v}": [] for v in self._mouths}
        for viseme in VISEMES:
            shown[f"mouth_{stand_in(self._mouths, viseme)}"].append(f"Viseme_{viseme}")
        first = f"mouth_{stand_in(self._mouths, 'sil')}"
        order = [first, *(group for group in shown if group != first)]
        lines = [f"{group} = {_list(shown[group])}" for group in order]
        self._tables.append("[[swap]]\n[swap.groups]\n" + "\n".join(lines))

    def _eye(self, layer: Painted, side: str, by_name: dict[str, Painted]) -> None:
        name, big = layer.name, side.upper()
        shut = by_name.get(f"{name}_closed")
        happy = by_name.get(f"{name}_happy")
        lids = [lid for lid in (shut, happy) if lid is not None]
        within = [layer] + [
            part for kind in _IN_EYE if (part := by_name.get(f"{kind}_{side}")) is not None
        ]

        def opened(squeeze: float, *, named: bool) -> str:
            text = ""
            for part in within:
                picture = _picture(part, 4, squeeze=squeeze, over=layer)
                grouped = named and part is not layer
                text += f'   <g id="{part.name}">\n{picture}   </g>\n' if grouped else picture
            return text

        parts = f'  <g id="{name}_open">\n{opened(1.0, named=True)}  </g>\n'
        if lids:
            inner = "".join(f'   <g id="{lid.name}">\n{_picture(lid, 4)}   </g>\n' for lid in lids)
            parts += f'  <g id="{name}_lids">\n{inner}  </g>\n'
        self._group(name, parts)
        self._layer(name, live=True, head=1.0, depth=-88, bulge=219)
        # The lid: the open eye is squeezed towards its lower third, and gives way to the shut one.
        self._hidden.append(
            f'  <g id="{name}_flat">\n{opened(0.12, named=False)}  </g>\n'
            f'  <g id="{name}_tall">\n{opened(1.1, named=False)}  </g>\n'
        )
        width, height = layer.pixels.shape[1], layer.pixels.shape[0]
        for part in within[1:]:
            share = {"lash": 0.0, "highlight": 0.5}.get(part.name[:-2], 1.0)
            if share:
                self._slide(part.name, "ParamEyeBallX", (0.12 * share * width, 0.0))
                self._slide(part.name, "ParamEyeBallY", (0.0, -0.1 * share * height))
        opening = f"ParamEye{big}Open"
        self._tables.append(
            f'[[keyform]]\ngroup = "{name}_open"\n'
            f'axes = [["{opening}", [0.0, 1.0, 1.3]]]\n'
            f'grid = [["{name}_flat"], ["{name}_open"], ["{name}_tall"]]'
        )
        if lids:
            self._fade(f"{name}_open", opening, [[0.22, 0.0], [0.3, 1.0]])
            self._fade(f"{name}_lids", opening, [[0.22, 1.0], [0.3, 0.0]])
        if shut is not None and happy is not None:
            self._tables.append(
                f'[[swap]]\n[swap.groups]\n{shut.name} = []\n{happy.name} = ["ParamEye{big}Smile"]'
            )

    def _brow(self, layer: Painted, side: str) -> None:
        name, big = layer.name, side.upper()
        self._plain(layer, head=1.0, depth=-88, bulge=240, live=True)
        self._slide(name, f"ParamBrow{big}Y", (0.0, -0.035 * 2 * self._radii[1]))
        angle = 16.0 if side == "l" else -16.0
        self._turn(name, f"ParamBrow{big}Angle", layer.middle, angle)

    def _arm(self, layer: Painted, side: str, by_name: dict[str, Painted]) -> None:
        big = side.upper()
        self._plain(layer)
        arm = by_name.get(f"arm_{side}") or by_name.get(f"sleeve_{side}") or layer
        left, top, right, bottom = arm.box
        inner = left + 0.2 * (right - left) if side == "l" else right - 0.2 * (right - left)
        shoulder = (inner, top + 0.12 * (bottom - top))
        self._turn(layer.name, f"ParamArm{big}A", shoulder, -110.0 if side == "l" else 110.0)
        if layer.name.startswith("hand"):
            wrist = (layer.middle[0], layer.box[1] + 0.1 * (layer.box[3] - layer.box[1]))
            self._turn(layer.name, f"ParamHand{big}", wrist, 20.0)
        else:
            self._turn(layer.name, f"ParamHand{big}", shoulder, 10.0)

    # Parts of the files -------------------------------------------------------------------------

    def _plain(
        self, layer: Painted, *, head: float | tuple[float, float] = 0.0, depth: float = 0.0,
        bulge: float = 0.0, live: bool = False,
    ) -> None:  # fmt: skip
        self._group(layer.name, _picture(layer, 2))
        self._layer(layer.name, live=live, head=head, depth=depth, bulge=bulge)

    def _hide(self, layer: Painted) -> None:
        self._hidden.append(f'  <g id="{layer.name}">\n{_picture(layer, 3)}  </g>\n')

    def _group(self, name: str, body: str) -> None:
        self._groups.append(
            f' <g id="{name}" inkscape:groupmode="layer" '
            f"inkscape:label={quoteattr(name.replace('_', ' '))}>\n{body} </g>\n"
        )

    def _layer(
        self, name: str, *, live: bool = False, head: float | tuple[float, float] = 0.0,
        depth: float = 0.0, bulge: float = 0.0,
    ) -> None:  # fmt: skip
        lines = ["[[layer]]", f'name = "{name}"']
        if live:
            lines.append("live = true")
        if head:
            share = [round(h, 1) for h in head] if isinstance(head, tuple) else head
            lines.append(f"head = {share}")
        if depth:
            lines.append(f"depth = {depth * self._unit:.1f}")
        if bulge:
            lines.append(f"bulge = {bulge * self._unit:.1f}")
        self._layers.append("\n".join(lines))

    def _slide(self, name: str, parameter: str, by: tuple[float, float]) -> None:
        self._tables.append(
            f'[[slide]]\ngroups = ["{name}"]\nparameter = "{parameter}"\n'
            f"keys = [[-1.0, -1.0], [1.0, 1.0]]\nby = [{by[0]:.1f}, {by[1]:.1f}]"
        )

    def _turn(self, name: str, parameter: str, pivot: tuple[float, float], angle: float) -> None:
        low, high = -angle, angle
        if "Arm" in parameter:
            low = -0.15 * angle
        elif "Ear" in parameter:  # laid back turns farther than perked
            low, high = angle, -0.35 * angle
        keys = f"[[-1.0, {low:.1f}], [0.0, 0.0], [1.0, {high:.1f}]]"
        self._tables.append(
            f'[[turn]]\ngroups = ["{name}"]\nparameter = "{parameter}"\n'
            f"keys = {keys}\npivot = [{pivot[0]:.1f}, {pivot[1]:.1f}]"
        )

    def _fade(self, name: str, parameter: str, keys: list[list[float]]) -> None:
        self._tables.append(
            f'[[fade]]\ngroups = ["{name}"]\nparameter = "{parameter}"\nkeys = {keys}'
        )

    def _spring(
        self, layer: Painted, *, hz: float, limit: float, sway: bool = False, hang: float = 0.0
    ) -> None:
        left, top, right, bottom = layer.box
        root = ((left + right) / 2, top + 0.25 * (bottom - top))
        tip = ((left + right) / 2, bottom)
        if not sway and layer.middle[1] < self._face_bottom:
            # It hangs from where it is nearest to the head.
            root = _foot(layer, self._centre)
            tip = 2 * layer.middle[0] - root[0], 2 * layer.middle[1] - root[1]
        lines = [
            "[[spring]]", f'name = "{layer.name}"', f'layers = ["{layer.name}"]',
            f"root = [{root[0]:.1f}, {root[1]:.1f}]", f"tip = [{tip[0]:.1f}, {tip[1]:.1f}]",
            f"frequency_hz = {hz}", "damping = 0.3", f"limit = {limit * self._unit:.1f}",
        ]  # fmt: skip
        if hang:
            lines.append(f"hang = {hang}")
        if sway:
            lines.append("sway = true")
        self._tables.append("\n".join(lines))

    # The files ----------------------------------------------------------------------------------

    def svg(self) -> str:
        """Return the drawing: a group a layer, each with its picture."""
        width, height = self._size
        hidden = (
            ' <g id="drawings" inkscape:groupmode="layer" inkscape:label="drawings" '
            f'style="display:none">\n{"".join(self._hidden)} </g>\n'
            if self._hidden else ""
        )  # fmt: skip
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<svg xmlns="http://www.w3.org/2000/svg" '
            'xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape" '
            f'width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n'
            f"{''.join(self._groups)}{hidden}</svg>\n"
        )

    def toml(self) -> str:
        """Return the rig."""
        (x, y), (rx, ry) = self._centre, self._radii
        width, height = self._size
        top = max(0.0, y - 1.75 * ry)
        view = min(height - top, 5.2 * ry)
        mouth = self._shut
        half = max(mouth.pixels.shape[1] / 2, 0.12 * rx)
        hip = max(min(height, y + 4.2 * ry), self._face_bottom + 2 * ry)
        head = (
            "# Made from painted layers by `bunraku new`; every number may be changed.\n"
            "# `bunraku preview` shows each change as soon as you save.\n"
            'art = "puppet.svg"\n\n'
            "[frame] # centre x, top y, height of the view\n"
            f"wide = [{x:.1f}, {top:.1f}, {view:.1f}]\n"
            f"tall = [{x:.1f}, {max(0.0, top - 0.1 * view):.1f}, "
            f"{min(height, view * 1.25):.1f}]\n\n"
            f"[head]\npivot = [{x:.1f}, {self._face_bottom:.1f}]\n"
            f"centre = [{x:.1f}, {y:.1f}]\nradii = [{rx:.1f}, {ry:.1f}]\n"
            "turn_deg = 20.0\nnod_deg = 13.0\n\n"
            f"[body]\nhip = [{x:.1f}, {hip:.1f}]\n"
            f"shoulder_y = {self._face_bottom + 0.25 * ry:.1f}\n"
            f"shrug_from = [{0.45 * rx:.1f}, {1.3 * rx:.1f}]\n"
            f"breath = {7 * self._unit:.1f}\nshrug = {18 * self._unit:.1f}\n"
            f"shift = {2.2 * self._unit:.2f}\nbow = {1.6 * self._unit:.2f}\n\n"
            f'[mouth]\ngroup = "mouth"\n'
            f"centre = [{mouth.middle[0]:.1f}, {mouth.middle[1]:.1f}]\n"
            f"half_width = {half:.1f}\nsmile = 0.0\nfrown = 0.0\n"
        )
        return head + "\n" + "\n\n".join([*self._layers, *self._tables]) + "\n"


def _foot(layer: Painted, centre: tuple[float, float]) -> tuple[float, float]:
    """Return the place in the layer's box that is nearest to `centre`."""
    left, top, right, bottom = layer.box
    return (min(max(centre[0], left), right), min(max(centre[1], top), bottom))


def _picture(layer: Painted, indent: int, squeeze: float = 1.0, over: Painted | None = None) -> str:
    """Return the <image>, squeezed in height towards a line at two thirds of `over` or its own."""
    height, width = layer.pixels.shape[:2]
    base = over if over is not None else layer
    line = base.y + 0.66 * base.pixels.shape[0]
    top = line + (layer.y - line) * squeeze
    return (
        f'{" " * indent}<image inkscape:label="{layer.name}" href="layers/{layer.name}.png" '
        f'x="{layer.x}" y="{top:.1f}" width="{width}" height="{height * squeeze:.1f}" />\n'
    )


def _list(names: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"
