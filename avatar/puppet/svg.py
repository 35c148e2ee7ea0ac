"""Reads a layered SVG drawing into flat arrays: every control point of every path in one array.

Understood: groups and layers, transforms, paths (all commands), basic shapes, fills and strokes,
linear and radial gradients, clip paths (own outlines, or `<use>` of a path in the drawing, which
then clips as it moves), pictures (PNG, JPEG or WebP files beside the drawing, or embedded), opacity
and `display:none`. Text, filters, masks and style sheets are refused with the line they stand on. A
group's opacity is multiplied into its paths.
Source: SVG 1.1 (Second Edition), chapters 7, 8, 11, 13 and 14.
"""

import base64
import binascii
import math
import re
import xml.parsers.expat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from avatar.rig import CharacterError

Points = npt.NDArray[np.float32]
"""Shape (n, 2): x to the viewer's right, y down, in units of the drawing."""

MOVE, LINE, CUBIC, CLOSE = 0, 1, 4, 5
"""Path commands; they take 1, 1, 3 and 0 points (the numbers are Skia's)."""

INKSCAPE = "http://www.inkscape.org/namespaces/inkscape"
_XLINK = "http://www.w3.org/1999/xlink"
_SVG = "http://www.w3.org/2000/svg"


@dataclass(slots=True)
class Node:
    """An element of the file."""

    tag: str
    """Name without its namespace."""
    attributes: dict[str, str]
    """Attributes; those of Inkscape as "inkscape:label", `xlink:href` as "href"."""
    line: int
    """Line in the file, from 1."""
    children: list["Node"] = field(default_factory=list)
    """Elements inside, in drawing order."""


@dataclass(frozen=True, slots=True)
class Gradient:
    """A fill that changes along a line or a circle."""

    radial: bool
    """Radial, else linear."""
    offsets: tuple[float, ...]
    """Where the stops are, 0..1, never falling."""
    colours: tuple[tuple[float, float, float, float], ...]
    """Red, green, blue, opacity of the stops, 0..1."""
    frame: tuple[int, int]
    """First and last+1 of its 3 points: the gradient's origin, and the ends of its x and y axes.
    Linear: it runs from origin to the x end. Radial: the circle of radius 1 in that frame."""


@dataclass(frozen=True, slots=True)
class Paint:
    """How a path is filled or stroked."""

    colour: tuple[float, float, float, float]
    """Red, green, blue, opacity, 0..1; with a gradient only the opacity counts, and a picture is
    multiplied by it."""
    gradient: Gradient | None = None
    """Instead of the colour."""
    stroke_width: float = 0.0
    """Width of the line in drawing units; 0 fills."""
    round_line: bool = False
    """Round caps and joins of a stroke."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One path as it is drawn."""

    id: str
    """Its `id`, or ""."""
    label: str
    """Its `inkscape:label`, or its id."""
    line: int
    """Line in the file."""
    start: int
    """Index of its first control point."""
    stop: int
    """Index after its last control point."""
    verbs: bytes
    """Path commands, see `MOVE`."""
    even_odd: bool
    """Fill rule: even-odd, else non-zero."""
    paints: tuple[Paint, ...]
    """Fill, then stroke."""
    clips: tuple[str, ...]
    """Ids of the clip paths around it, outermost first."""
    groups: tuple[str, ...]
    """Ids of the groups around it, outermost first."""
    hidden: bool
    """Not displayed (a drawing to blend towards)."""
    picture: bytes = b""
    """A PNG, JPEG or WebP file instead of paints; its corners are the control points: top left, top
    right, bottom right, bottom left."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A whole SVG file."""

    file: Path
    """Where it came from."""
    size: tuple[float, float]
    """Width and height of its view box, which starts at 0, 0."""
    points: Points
    """Shape (n, 2): control points of all shapes and clip outlines, and the gradients' frames."""
    shapes: tuple[Shape, ...]
    """In drawing order."""
    clips: Mapping[str, tuple[Shape, ...]]
    """Clip path id -> its outlines (a shape of the drawing where the clip `use`s one)."""
    group_lines: Mapping[str, int]
    """Group id -> its line."""
    labels: Mapping[str, str]
    """Group id -> its `inkscape:label`, of those that have one."""
    data: Mapping[str, Mapping[str, str]]
    """Group id, or "" for the whole drawing -> its `data-` attributes, those that have any."""

    def group(self, name: str) -> tuple[Shape, ...]:
        """Return the shapes inside group `name`, in drawing order."""
        return tuple(shape for shape in self.shapes if name in shape.groups)

    def labelled(self, name: str) -> str | None:
        """Return the id of the group whose label says `name`, though its id does not."""
        return next((own for own, label in self.labels.items() if as_id(label) == name), None)


def as_id(label: str) -> str:
    """Return the id that a label asks for: "hair back" -> "hair_back"."""
    return re.sub(r"\W+", "_", label.strip())


_Matrix = tuple[float, float, float, float, float, float]
_UNIT: _Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


def _times(a: _Matrix, b: _Matrix) -> _Matrix:
    """Return the matrix that does `b` first, then `a`."""
    return (
        a[0] * b[0] + a[2] * b[1],
        a[1] * b[0] + a[3] * b[1],
        a[0] * b[2] + a[2] * b[3],
        a[1] * b[2] + a[3] * b[3],
        a[0] * b[4] + a[2] * b[5] + a[4],
        a[1] * b[4] + a[3] * b[5] + a[5],
    )


_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_TOKEN = re.compile(r"[A-Za-z]|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_ARITY = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7, "Z": 0}
_IGNORED = frozenset({"namedview", "metadata", "title", "desc", "defs", "guide", "grid", "page"})
_NAMED = {
    "black": "#000000", "white": "#ffffff", "red": "#ff0000", "green": "#008000",
    "blue": "#0000ff", "gray": "#808080", "grey": "#808080",
}  # fmt: skip


class _Outline:
    """Collects the commands and points of one path."""

    def __init__(self) -> None:
        self.verbs = bytearray()
        self.points: list[tuple[float, float]] = []

    def move(self, x: float, y: float) -> None:
        self.verbs.append(MOVE)
        self.points.append((x, y))

    def line(self, x: float, y: float) -> None:
        self.verbs.append(LINE)
        self.points.append((x, y))

    def cubic(self, a: float, b: float, c: float, d: float, x: float, y: float) -> None:
        self.verbs.append(CUBIC)
        self.points += ((a, b), (c, d), (x, y))

    def close(self) -> None:
        self.verbs.append(CLOSE)

    def arc(
        self, start: tuple[float, float], values: tuple[float, ...], end: tuple[float, float]
    ) -> None:
        """Add an elliptical arc as cubics (SVG 1.1, appendix F.6)."""
        rx, ry, tilt, large, sweep = values
        (x0, y0), (x1, y1) = start, end
        rx, ry = abs(rx), abs(ry)
        if rx == 0 or ry == 0 or start == end:
            self.line(x1, y1)
            return
        phi = math.radians(tilt)
        c, s = math.cos(phi), math.sin(phi)
        dx, dy = (x0 - x1) / 2, (y0 - y1) / 2
        u, v = c * dx + s * dy, c * dy - s * dx
        grow = math.sqrt(max(1.0, (u / rx) ** 2 + (v / ry) ** 2))
        rx, ry = rx * grow, ry * grow
        over = (rx * ry) ** 2 - (rx * v) ** 2 - (ry * u) ** 2
        under = (rx * v) ** 2 + (ry * u) ** 2
        k = math.sqrt(max(0.0, over / under)) * (1 if bool(large) != bool(sweep) else -1)
        cu, cv = k * rx * v / ry, -k * ry * u / rx
        mx, my = c * cu - s * cv + (x0 + x1) / 2, s * cu + c * cv + (y0 + y1) / 2
        first = math.atan2((v - cv) / ry, (u - cu) / rx)
        span = math.atan2((-v - cv) / ry, (-u - cu) / rx) - first
        if sweep and span < 0:
            span += 2 * math.pi
        elif not sweep and span > 0:
            span -= 2 * math.pi
        pieces = max(1, math.ceil(abs(span) / (math.pi / 2) - 1e-9))
        step = span / pieces
        pull = 4 / 3 * math.tan(step / 4)

        def at(px: float, py: float) -> tuple[float, float]:
            return mx + c * rx * px - s * ry * py, my + s * rx * px + c * ry * py

        for i in range(pieces):
            a, b = first + i * step, first + (i + 1) * step
            p = at(math.cos(a) - pull * math.sin(a), math.sin(a) + pull * math.cos(a))
            q = at(math.cos(b) + pull * math.sin(b), math.sin(b) - pull * math.cos(b))
            self.cubic(*p, *q, *(at(math.cos(b), math.sin(b)) if i < pieces - 1 else (x1, y1)))


def _read_path(data: str) -> _Outline:
    """Return the outline of a path's `d`.

    Raises:
        ValueError: not path data; says where.
    """
    out = _Outline()
    tokens = _TOKEN.findall(data)
    i = 0
    x = y = start_x = start_y = 0.0
    last = (0.0, 0.0)
    command = before = ""
    while i < len(tokens):
        if tokens[i].isalpha():
            command = tokens[i]
            i += 1
        elif command in ("", "Z", "z"):
            raise ValueError(f"a number ({tokens[i]}) where a command should be")
        upper = command.upper()
        if upper not in _ARITY:
            raise ValueError(f"no path command is called {command!r}")
        count = _ARITY[upper]
        if i + count > len(tokens) or any(t.isalpha() for t in tokens[i : i + count]):
            raise ValueError(f"command {command!r} needs {count} numbers")
        n = [float(t) for t in tokens[i : i + count]]
        i += count
        ox, oy = (x, y) if command.islower() else (0.0, 0.0)
        if upper == "M":
            x, y = start_x, start_y = n[0] + ox, n[1] + oy
            out.move(x, y)
            command = "l" if command == "m" else "L"
        elif upper == "Z":
            out.close()
            x, y = start_x, start_y
        elif upper in ("L", "H", "V"):
            x = n[0] + ox if upper != "V" else x
            y = (n[1] + oy if upper == "L" else n[0] + oy) if upper != "H" else y
            out.line(x, y)
        elif upper in ("C", "S"):
            if upper == "C":
                a, b = n[0] + ox, n[1] + oy
            else:
                a, b = (2 * x - last[0], 2 * y - last[1]) if before in ("C", "S") else (x, y)
            c, d = n[-4] + ox, n[-3] + oy
            x, y = n[-2] + ox, n[-1] + oy
            out.cubic(a, b, c, d, x, y)
            last = (c, d)
        elif upper in ("Q", "T"):
            if upper == "Q":
                a, b = n[0] + ox, n[1] + oy
            else:
                a, b = (2 * x - last[0], 2 * y - last[1]) if before in ("Q", "T") else (x, y)
            ex, ey = n[-2] + ox, n[-1] + oy
            out.cubic(
                x + (a - x) * 2 / 3, y + (b - y) * 2 / 3,
                ex + (a - ex) * 2 / 3, ey + (b - ey) * 2 / 3, ex, ey,
            )  # fmt: skip
            last = (a, b)
            x, y = ex, ey
        else:
            end = (n[5] + ox, n[6] + oy)
            out.arc((x, y), (n[0], n[1], n[2], n[3], n[4]), end)
            x, y = end
        before = upper
    return out


def _round_box(x: float, y: float, w: float, h: float, rx: float, ry: float) -> _Outline:
    """Return a box with rounded corners, or an ellipse when the radii fill it."""
    out = _Outline()
    rx, ry = min(rx, w / 2), min(ry, h / 2)
    if rx <= 0 or ry <= 0:
        out.move(x, y)
        out.line(x + w, y)
        out.line(x + w, y + h)
        out.line(x, y + h)
        out.close()
        return out
    k = 0.5522847498  # a quarter circle as one cubic
    a, b = rx * (1 - k), ry * (1 - k)
    r, d = x + w, y + h
    out.move(x + rx, y)
    out.line(r - rx, y)
    out.cubic(r - a, y, r, y + b, r, y + ry)
    out.line(r, d - ry)
    out.cubic(r, d - b, r - a, d, r - rx, d)
    out.line(x + rx, d)
    out.cubic(x + a, d, x, d - b, x, d - ry)
    out.line(x, y + ry)
    out.cubic(x, y + b, x + a, y, x + rx, y)
    out.close()
    return out


@dataclass(frozen=True, slots=True)
class _State:
    """What a group hands down to its children."""

    matrix: _Matrix = _UNIT
    style: Mapping[str, str] = field(default_factory=dict)
    opacity: float = 1.0
    clips: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    hidden: bool = False


class _Reader:
    """Builds a `Drawing` from the file's elements."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.chunks: list[Points] = []
        self.count = 0
        self.shapes: list[Shape] = []
        self.clips: dict[str, tuple[Shape, ...]] = {}
        self.group_lines: dict[str, int] = {}
        self.by_id: dict[str, Node] = {}

    def fail(self, node: Node | int | None, fault: str, remedy: str) -> NoReturn:
        line = node.line if isinstance(node, Node) else node
        raise CharacterError(self.file, line, fault, remedy)

    def parse(self) -> Node:
        """Return the root element with all beneath it."""
        root = Node("", {}, 0)
        stack = [root]
        parser = xml.parsers.expat.ParserCreate(namespace_separator=" ")

        def start(name: str, attributes: dict[str, str]) -> None:
            space, _, tag = name.rpartition(" ")
            kept = {}
            for key, value in attributes.items():
                of, _, local = key.rpartition(" ")
                kept[f"inkscape:{local}" if of == INKSCAPE else local] = value
            node = Node(tag if space == _SVG else "ignored", kept, parser.CurrentLineNumber)
            if tag in _IGNORED and space != _SVG:
                node.tag = "metadata"
            stack[-1].children.append(node)
            stack.append(node)
            if "id" in kept:
                if kept["id"] in self.by_id:
                    self.fail(node, f"two elements have the id {kept['id']!r}", "rename one")
                self.by_id[kept["id"]] = node

        def refuse(*_: object) -> NoReturn:
            self.fail(parser.CurrentLineNumber, "entity declarations are refused", "remove them")

        parser.StartElementHandler = start
        parser.EndElementHandler = lambda name: stack.pop()
        parser.EntityDeclHandler = refuse
        try:
            parser.Parse(self.file.read_bytes(), True)
        except FileNotFoundError:
            self.fail(None, "there is no such file", "put the drawing there")
        except xml.parsers.expat.ExpatError as error:
            self.fail(error.lineno, f"not well-formed XML ({error})", "save it again as plain SVG")
        return root.children[0]

    def read(self) -> Drawing:
        root = self.parse()
        if root.tag != "svg":
            self.fail(root, "this is not an SVG file", "save the drawing as SVG")
        box = [float(t) for t in _NUMBER.findall(root.attributes.get("viewBox", ""))]
        if len(box) != 4 or box[:2] != [0.0, 0.0] or min(box[2:]) <= 0:
            self.fail(root, "viewBox must be '0 0 width height'", "set it in Document Properties")
        self.children(root, _State())
        for name, node in self.by_id.items():
            if node.tag == "clipPath":
                self.clips[name] = self.clip(node)
        points = np.concatenate(self.chunks) if self.chunks else np.zeros((0, 2), np.float32)
        groups = {"": root, **{name: self.by_id[name] for name in self.group_lines}}
        told = {
            name: {k: v for k, v in node.attributes.items() if k.startswith("data-")}
            for name, node in groups.items()
        }
        return Drawing(
            self.file, (box[2], box[3]), points, tuple(self.shapes), self.clips, self.group_lines,
            {name: label for name in self.group_lines
             if (label := self.by_id[name].attributes.get("inkscape:label"))},
            {name: data for name, data in told.items() if data},
        )  # fmt: skip

    def style(self, node: Node) -> dict[str, str]:
        found = dict(node.attributes)
        for item in node.attributes.get("style", "").split(";"):
            key, colon, value = item.partition(":")
            if colon:
                found[key.strip()] = value.strip()
        return found

    def matrix(self, node: Node, text: str) -> _Matrix:
        made = _UNIT
        for name, numbers in re.findall(r"(\w+)\s*\(([^)]*)\)", text):
            n = [float(t) for t in _NUMBER.findall(numbers)]
            if name == "matrix" and len(n) == 6:
                step: _Matrix = (n[0], n[1], n[2], n[3], n[4], n[5])
            elif name == "translate" and len(n) in (1, 2):
                step = (1, 0, 0, 1, n[0], n[1] if len(n) == 2 else 0)
            elif name == "scale" and len(n) in (1, 2):
                step = (n[0], 0, 0, n[-1], 0, 0)
            elif name == "rotate" and len(n) in (1, 3):
                c, s = math.cos(math.radians(n[0])), math.sin(math.radians(n[0]))
                x, y = (n[1], n[2]) if len(n) == 3 else (0.0, 0.0)
                step = (c, s, -s, c, x - c * x + s * y, y - s * x - c * y)
            elif name in ("skewX", "skewY") and len(n) == 1:
                t = math.tan(math.radians(n[0]))
                step = (1, 0, t, 1, 0, 0) if name == "skewX" else (1, t, 0, 1, 0, 0)
            else:
                self.fail(node, f"transform {name}({numbers}) is unknown", "apply it to the paths")
            made = _times(made, step)
        return made

    def add(self, points: list[tuple[float, float]], m: _Matrix) -> tuple[int, int]:
        """Append `points`, transformed; return where they are."""
        raw = np.array(points, np.float64).reshape(-1, 2)
        x, y = raw[:, 0], raw[:, 1]
        moved = np.stack([m[0] * x + m[2] * y + m[4], m[1] * x + m[3] * y + m[5]], 1)
        start = self.count
        self.chunks.append(moved.astype(np.float32))
        self.count += len(moved)
        return start, self.count

    def children(self, node: Node, state: _State) -> None:
        for child in node.children:
            self.element(child, state)

    def element(self, node: Node, state: _State) -> None:
        if node.tag in _IGNORED or node.tag in ("metadata", "ignored"):
            return
        style = self.style(node)
        inherited: dict[str, str] = {
            key: style[key]
            for key in ("fill", "fill-opacity", "fill-rule", "stroke", "stroke-width",
                        "stroke-opacity", "stroke-linecap", "stroke-linejoin", "color")
            if key in style
        }  # fmt: skip
        clips = state.clips
        if style.get("clip-path", "none") != "none":
            clips = (*clips, self.reference(node, style["clip-path"], "clipPath"))
        for key in ("mask", "filter"):
            if style.get(key, "none") != "none":
                self.fail(node, f"{key} is not supported", "use a clip path or a gradient instead")
        inner = _State(
            _times(state.matrix, self.matrix(node, style.get("transform", ""))),
            {**state.style, **inherited},
            state.opacity * float(style.get("opacity", 1)),
            clips,
            state.groups,
            state.hidden or style.get("display") == "none" or style.get("visibility") == "hidden",
        )
        if node.tag in ("g", "a"):
            name = node.attributes.get("id", "")
            if name:
                self.group_lines[name] = node.line
                inner = _State(
                    inner.matrix, inner.style, inner.opacity, inner.clips,
                    (*inner.groups, name), inner.hidden,
                )  # fmt: skip
            self.children(node, inner)
            return
        if node.tag == "image":
            self.shapes.append(self.picture(node, style, inner))
            return
        outline = self.outline(node, style)
        if outline.points:
            self.shapes.append(self.shape(node, outline, inner))

    def outline(self, node: Node, style: Mapping[str, str]) -> _Outline:
        def number(key: str, default: float = 0.0) -> float:
            found = _NUMBER.match(style.get(key, ""))
            return float(found[0]) if found else default

        out = _Outline()
        if node.tag == "path":
            try:
                return _read_path(style.get("d", ""))
            except ValueError as error:
                self.fail(node, f"path {style.get('id', '')!r}: {error}", "redraw this path")
        if node.tag == "rect":
            rx, ry = number("rx", number("ry")), number("ry", number("rx"))
            size = number("width"), number("height")
            return _round_box(number("x"), number("y"), *size, rx, ry)
        if node.tag in ("circle", "ellipse"):
            rx, ry = number("rx", number("r")), number("ry", number("r"))
            return _round_box(number("cx") - rx, number("cy") - ry, 2 * rx, 2 * ry, rx, ry)
        if node.tag in ("polygon", "polyline", "line"):
            n = [float(t) for t in _NUMBER.findall(style.get("points", ""))]
            if node.tag == "line":
                n = [number("x1"), number("y1"), number("x2"), number("y2")]
            for i in range(0, len(n) - 1, 2):
                (out.line if i else out.move)(n[i], n[i + 1])
            if node.tag == "polygon":
                out.close()
            return out
        self.fail(node, f"<{node.tag}> is not supported", "convert it to a path")

    def picture(self, node: Node, style: Mapping[str, str], state: _State) -> Shape:
        size = [_NUMBER.match(style.get(key, "")) for key in ("width", "height")]
        if size[0] is None or size[1] is None:
            self.fail(node, "a picture without width or height", "give it both")
        box = {**style, "rx": "0", "ry": "0"}
        outline = self.outline(Node("rect", node.attributes, node.line), box)
        name = node.attributes.get("id", "")
        start, stop = self.add(outline.points, state.matrix)
        return Shape(
            name, node.attributes.get("inkscape:label", name), node.line, start, stop,
            bytes(outline.verbs), False, (Paint((1.0, 1.0, 1.0, state.opacity)),), state.clips,
            state.groups, state.hidden, self.file_of(node),
        )  # fmt: skip

    def file_of(self, node: Node) -> bytes:
        href = node.attributes.get("href", "")
        head, comma, packed = href.partition(",")
        if head.startswith("data:"):
            try:
                if not comma or not head.endswith(";base64"):
                    raise ValueError
                return base64.b64decode(re.sub(r"\s+", "", packed), validate=True)
            except (ValueError, binascii.Error):
                self.fail(node, "an embedded picture that is not base64", "embed it again")
        path = (self.file.parent / href).resolve()
        if not href or "://" in href or not path.is_relative_to(self.file.parent.resolve()):
            self.fail(
                node, f"picture {href[:60]!r} lies outside the character's folder", "copy it there"
            )
        try:
            return path.read_bytes()
        except OSError as error:
            self.fail(node, f"picture {href!r}: {error.strerror}", "save it there")

    def shape(self, node: Node, outline: _Outline, state: _State) -> Shape:
        style, m = state.style, state.matrix
        start, stop = self.add(outline.points, m)
        paints = []
        fill = style.get("fill", "#000000")
        if fill != "none":
            strength = state.opacity * float(style.get("fill-opacity", 1))
            paints.append(self.paint(node, fill, strength, outline, state))
        stroke = style.get("stroke", "none")
        if stroke != "none":
            strength = state.opacity * float(style.get("stroke-opacity", 1))
            width = float(_NUMBER.findall(style.get("stroke-width", "1"))[0])
            width *= math.sqrt(abs(m[0] * m[3] - m[1] * m[2]))
            made = self.paint(node, stroke, strength, outline, state)
            rounded = style.get("stroke-linejoin") == "round"
            paints.append(Paint(made.colour, made.gradient, width, rounded))
        name = node.attributes.get("id", "")
        return Shape(
            name,
            node.attributes.get("inkscape:label", name),
            node.line,
            start,
            stop,
            bytes(outline.verbs),
            style.get("fill-rule") == "evenodd",
            tuple(paints),
            state.clips,
            state.groups,
            state.hidden,
        )

    def reference(self, node: Node, text: str, tag: str) -> str:
        found = re.fullmatch(r"url\(['\"]?#([^'\")]+)['\"]?\).*", text.strip())
        name = found[1] if found else text
        if name not in self.by_id or (tag and self.by_id[name].tag != tag):
            self.fail(node, f"{text} points to nothing", f"draw the {tag or 'gradient'} again")
        return name

    def colour(self, node: Node, text: str, strength: float) -> tuple[float, float, float, float]:
        text = _NAMED.get(text.lower(), text)
        digits = text[1:]
        if text.startswith("#") and len(digits) in (3, 6):
            wide = digits if len(digits) == 6 else "".join(d * 2 for d in digits)
            r, g, b = (int(wide[i : i + 2], 16) / 255 for i in (0, 2, 4))
            return r, g, b, strength
        numbers = [float(t) for t in _NUMBER.findall(text)]
        if text.startswith("rgb") and len(numbers) >= 3:
            whole = 100 if "%" in text else 255
            return numbers[0] / whole, numbers[1] / whole, numbers[2] / whole, strength
        self.fail(node, f"colour {text!r} is unknown", "write it as #rrggbb")

    def paint(
        self, node: Node, text: str, strength: float, outline: _Outline, state: _State
    ) -> Paint:
        if text == "currentColor":
            text = state.style.get("color", "#000000")
        if not text.startswith("url("):
            return Paint(self.colour(node, text, strength))
        source = self.by_id[self.reference(node, text, "")]
        return Paint((0, 0, 0, strength), self.gradient(node, source, outline, state.matrix))

    def gradient(self, node: Node, source: Node, outline: _Outline, m: _Matrix) -> Gradient:
        chain = [source]
        while chain[-1].attributes.get("href", "").startswith("#"):
            name = chain[-1].attributes["href"][1:]
            if name not in self.by_id or len(chain) > 8:
                self.fail(chain[-1], f"gradient #{name} is missing", "draw the gradient again")
            chain.append(self.by_id[name])
        merged: dict[str, str] = {}
        for link in reversed(chain):
            merged |= link.attributes
        radial = source.tag == "radialGradient"
        if not radial and source.tag != "linearGradient":
            self.fail(node, f"<{source.tag}> is no paint", "use a linear or radial gradient")
        stops = next((link.children for link in chain if link.children), [])
        offsets: list[float] = []
        colours: list[tuple[float, float, float, float]] = []
        for stop in stops:
            style = self.style(stop)
            text = style.get("offset", "0")
            offset = float(_NUMBER.findall(text)[0]) / (100 if "%" in text else 1)
            offsets.append(max(offset, offsets[-1] if offsets else 0.0))
            opacity = float(style.get("stop-opacity", 1))
            colours.append(self.colour(stop, style.get("stop-color", "#000000"), opacity))
        if not offsets:
            self.fail(source, "a gradient without stops", "add stops or use a colour")

        def number(key: str, default: float) -> float:
            text = merged.get(key, "")
            found = _NUMBER.match(text)
            return float(found[0]) / (100 if "%" in text else 1) if found else default

        own = self.matrix(source, merged.get("gradientTransform", ""))
        if merged.get("gradientUnits") != "userSpaceOnUse":
            box = np.array(outline.points)
            low, size = box.min(0), np.ptp(box, 0)
            own = _times((size[0], 0, 0, size[1], low[0], low[1]), own)
        if radial:
            cx, cy, r = number("cx", 0.5), number("cy", 0.5), number("r", 0.5)
            corners = [(cx, cy), (cx + r, cy), (cx, cy + r)]
        else:
            x1, y1, x2, y2 = number("x1", 0), number("y1", 0), number("x2", 1), number("y2", 0)
            corners = [(x1, y1), (x2, y2), (x1 - (y2 - y1), y1 + (x2 - x1))]
        frame = self.add(corners, _times(m, own))
        return Gradient(radial, tuple(offsets), tuple(colours), frame)

    def clip(self, node: Node) -> tuple[Shape, ...]:
        outlines: list[Shape] = []
        for child in node.children:
            if child.tag == "use":
                name = child.attributes.get("href", "").lstrip("#")
                same = [shape for shape in self.shapes if shape.id == name]
                if not same:
                    self.fail(child, f"the clip uses #{name}, which is no path", "name a path")
                outlines.append(same[0])
            else:
                matrix = self.matrix(child, child.attributes.get("transform", ""))
                made = self.outline(child, self.style(child))
                outlines.append(self.shape(child, made, _State(matrix, hidden=True)))
        return tuple(outlines)


def read_svg(file: Path) -> Drawing:
    """Read the drawing in `file`.

    Raises:
        CharacterError: not readable, or it holds something a puppet cannot draw; says the line.
    """
    return _Reader(file).read()
