"""Draws shapes of a `Drawing` with Skia from an array of control points."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
import skia

from avatar.puppet.svg import CLOSE, CUBIC, LINE, MOVE, Drawing, Gradient, Paint, Points, Shape
from avatar.rig import CharacterError
from render.frames import Pixels

Colour = tuple[float, float, float]
"""Red, green, blue, 0..1."""

_INFO = skia.ImageInfo.Make(1, 1, skia.kBGRA_8888_ColorType, skia.AlphaType.kPremul_AlphaType)
_HEADER_BYTES = 16  # of a serialised SkPath: format and rule, then counts of points, conics, verbs


class Outline:
    """A Skia path whose points are replaced without a Python call for each point.

    Skia's own serialised form is kept as a template; new points are written into it and read
    back at once. Building the path call by call would take longer than drawing it.
    """

    def __init__(self, shape: Shape, points: Points) -> None:
        builder = skia.Path()
        rest = points[shape.start : shape.stop].astype(float).tolist()
        i = 0
        for verb in shape.verbs:
            if verb == MOVE:
                builder.moveTo(*rest[i])
            elif verb == LINE:
                builder.lineTo(*rest[i])
            elif verb == CUBIC:
                builder.cubicTo(*rest[i], *rest[i + 1], *rest[i + 2])
            elif verb == CLOSE:
                builder.close()
            i += {MOVE: 1, LINE: 1, CUBIC: 3}.get(verb, 0)
        rule = skia.PathFillType.kEvenOdd if shape.even_odd else skia.PathFillType.kWinding
        builder.setFillType(rule)
        self._bytes = bytearray(bytes(builder.serialize()))
        count = struct.unpack_from("<I", self._bytes, 4)[0]
        self._span = slice(shape.start, shape.stop)
        self._points = np.frombuffer(self._bytes, np.float32, 2 * count, _HEADER_BYTES)
        # Skia drops nothing and adds nothing here; should a version do so, say it at load time.
        if count != shape.stop - shape.start or not np.array_equal(
            self._points.reshape(-1, 2), points[self._span]
        ):
            raise RuntimeError("this version of skia stores paths differently; use skia-python 144")
        self.path = builder

    def place(self, points: Points) -> skia.Path:
        """Return the path with its part of `points` (those of the whole drawing)."""
        self._points[:] = points[self._span].reshape(-1)
        self.path.readFromMemory(self._bytes)
        return self.path


def _matrix(frame: Points) -> skia.Matrix:
    """Return the map from the unit frame to a gradient's three points."""
    (ox, oy), (xx, xy), (yx, yy) = frame.astype(float).tolist()
    made = skia.Matrix()
    made.setAll(xx - ox, yx - ox, ox, xy - oy, yy - oy, oy, 0, 0, 1)
    return made


def _shader(gradient: Gradient, strength: float) -> skia.Shader:
    colours = [skia.Color4f(r, g, b, a * strength) for r, g, b, a in gradient.colours]
    packed = [colour.toColor() for colour in colours]
    offsets = list(gradient.offsets)
    if gradient.radial:
        return skia.GradientShader.MakeRadial(skia.Point(0, 0), 1.0, packed, offsets)
    ends = [skia.Point(0, 0), skia.Point(1, 0)]
    return skia.GradientShader.MakeLinear(ends, packed, offsets)


class _Stroke:
    """One fill or line of a shape, ready to draw."""

    def __init__(self, shape: Shape, index: int, outline: Outline) -> None:
        paint = shape.paints[index]
        self.outline = outline
        self.clips = shape.clips
        self.groups = shape.groups
        self.paint = skia.Paint(AntiAlias=True, Color4f=skia.Color4f(*paint.colour))
        self.strength = paint.colour[3]
        self.frame: slice | None = None
        if paint.gradient is not None:
            self.frame = slice(*paint.gradient.frame)
            self.base = _shader(paint.gradient, paint.colour[3])
            self.paint.setColor4f(skia.Color4f(0, 0, 0, 1))
            self.strength = 1.0
        if paint.stroke_width > 0:
            self.paint.setStyle(skia.Paint.kStroke_Style)
            self.paint.setStrokeWidth(paint.stroke_width)
            if paint.round_line:
                self.paint.setStrokeCap(skia.Paint.kRound_Cap)
                self.paint.setStrokeJoin(skia.Paint.kRound_Join)

    def draw(self, canvas: skia.Canvas, points: Points, strength: float) -> None:
        if self.frame is not None:
            self.paint.setShader(self.base.makeWithLocalMatrix(_matrix(points[self.frame])))
        if strength < 1:
            self.paint.setAlphaf(self.strength * strength)
        canvas.drawPath(self.outline.place(points), self.paint)
        if strength < 1:
            self.paint.setAlphaf(self.strength)


class _Picture:
    """A bitmap that is moved, turned, stretched and skewed with its corners."""

    def __init__(self, drawing: Drawing, shape: Shape) -> None:
        self.clips = shape.clips
        self.groups = shape.groups
        packed = np.frombuffer(shape.picture, np.uint8)
        read = cv2.imdecode(packed, cv2.IMREAD_UNCHANGED) if len(packed) else None
        if read is None:
            raise CharacterError(
                drawing.file, shape.line, f"picture {shape.label!r} is no PNG, JPEG or WebP",
                "save it again",
            )  # fmt: skip
        if read.dtype != np.uint8:
            read = (read / 257).astype(np.uint8)
        if read.ndim == 2:
            read = cv2.cvtColor(read, cv2.COLOR_GRAY2BGR)
        if read.shape[2] == 3:
            read = cv2.cvtColor(read, cv2.COLOR_BGR2BGRA)
        self._pixels: Pixels = cv2.cvtColor(read, cv2.COLOR_RGBA2mRGBA)
        light = shape.paints[0].colour[2::-1]
        if light != (1.0, 1.0, 1.0):
            self._pixels = (self._pixels * np.array([*light, 1.0], np.float32)).astype(np.uint8)
        self._picture = image(self._pixels).withDefaultMipmaps()
        self._start = shape.start
        self._strength = shape.paints[0].colour[3]
        self._paint = skia.Paint(AntiAlias=True)

    def draw(self, canvas: skia.Canvas, points: Points, strength: float) -> None:
        origin, across, _, down = points[self._start : self._start + 4].astype(float)
        height, width = self._pixels.shape[:2]
        (a, b), (c, d) = (across - origin) / width, (down - origin) / height
        matrix = skia.Matrix()
        matrix.setAll(a, c, origin[0], b, d, origin[1], 0, 0, 1)
        canvas.save()
        canvas.concat(matrix)
        self._paint.setAlphaf(self._strength * strength)
        smooth = skia.SamplingOptions(skia.FilterMode.kLinear, skia.MipmapMode.kLinear)
        canvas.drawImage(self._picture, 0, 0, smooth, self._paint)
        canvas.restore()


class _Stamp:
    """The picture of a group that is moved, turned and stretched, but not bent (an iris)."""

    def __init__(self, drawing: Drawing, shapes: Sequence[Shape], name: str, scale: float) -> None:
        depth = shapes[0].groups.index(name) + 1
        self.clips = tuple(c for c in shapes[0].clips if all(c in s.clips for s in shapes))
        self.groups = shapes[0].groups[:depth]
        own = [replace(shape, clips=shape.clips[len(self.clips) :]) for shape in shapes]
        spans = [np.arange(shape.start, shape.stop) for shape in shapes]
        self._points = np.concatenate(spans)
        rest = drawing.points[self._points].astype(float)
        low, high = rest.min(0) - 2 / scale, rest.max(0) + 2 / scale
        size = np.ceil((high - low) * scale).astype(int)
        self._pixels: Pixels = np.zeros((int(size[1]), int(size[0]), 4), np.uint8)
        canvas = surface(self._pixels).getCanvas()
        canvas.scale(scale, scale)
        canvas.translate(-float(low[0]), -float(low[1]))
        Brush(drawing, own).draw(canvas, drawing.points)
        self._picture = image(self._pixels)
        # From the picture's pixels to where its points are now: least squares.
        pixel = (rest - low) * scale
        self._solve = np.linalg.pinv(np.hstack([pixel, np.ones((len(rest), 1))]))
        self._paint = skia.Paint()

    def draw(self, canvas: skia.Canvas, points: Points, strength: float) -> None:
        (a, b), (c, d), (e, f) = (self._solve @ points[self._points]).tolist()
        matrix = skia.Matrix()
        matrix.setAll(a, c, e, b, d, f, 0, 0, 1)
        canvas.save()
        canvas.concat(matrix)
        self._paint.setAlphaf(strength)
        linear = skia.SamplingOptions(skia.FilterMode.kLinear)
        canvas.drawImage(self._picture, 0, 0, linear, self._paint)
        canvas.restore()


class Brush:
    """Draws some shapes of a drawing, in order, wherever their points are.

    Args:
        drawing: the drawing they belong to.
        shapes: what to draw; hidden shapes are left out.
        stamps: ids of groups to be drawn as pictures.
        scale: pixels of those pictures for a unit of the drawing.
    """

    def __init__(
        self,
        drawing: Drawing,
        shapes: Sequence[Shape],
        stamps: Sequence[str] = (),
        scale: float = 1.0,
    ) -> None:
        self._strokes: list[_Stroke | _Stamp | _Picture] = []
        self._clips: dict[str, list[Outline]] = {}
        stamped: set[str] = set()
        for shape in shapes:
            if shape.hidden:
                continue
            name = next((group for group in shape.groups if group in stamps), None)
            if name is not None:
                if name not in stamped:
                    stamped.add(name)
                    members = [s for s in shapes if name in s.groups and not s.hidden]
                    self._strokes.append(_Stamp(drawing, members, name, scale))
            elif shape.picture:
                self._strokes.append(_Picture(drawing, shape))
            else:
                outline = Outline(shape, drawing.points)
                for i in range(len(shape.paints)):
                    self._strokes.append(_Stroke(shape, i, outline))
        for name in {clip for stroke in self._strokes for clip in stroke.clips}:
            self._clips[name] = [Outline(each, drawing.points) for each in drawing.clips[name]]

    def __len__(self) -> int:
        return len(self._strokes)

    def draw(
        self, canvas: skia.Canvas, points: Points, fades: Mapping[str, float] | None = None
    ) -> None:
        """Draw onto `canvas`, whose matrix maps drawing units to pixels.

        Args:
            canvas: where to.
            points: control points of the whole drawing, shape (n, 2).
            fades: opacity 0..1 of groups by id; others are opaque.
        """
        clipped: tuple[str, ...] = ()
        for stroke in self._strokes:
            strength = 1.0
            for group in stroke.groups if fades else ():
                strength *= fades.get(group, 1.0) if fades else 1.0
            if strength < 1 / 512:
                continue
            if stroke.clips != clipped:
                if clipped:
                    canvas.restore()
                clipped = stroke.clips
                if clipped:
                    canvas.save()
                    for name in clipped:
                        self._clip(canvas, name, points)
            stroke.draw(canvas, points, strength)
        if clipped:
            canvas.restore()

    def _clip(self, canvas: skia.Canvas, name: str, points: Points) -> None:
        outlines = self._clips[name]
        path = outlines[0].place(points)
        if len(outlines) > 1:
            union = skia.Path(path)
            for each in outlines[1:]:
                union.addPath(each.place(points))
            path = union
        canvas.clipPath(path, skia.ClipOp.kIntersect, True)


def lit(shapes: Sequence[Shape], light: Colour) -> tuple[Shape, ...]:
    """Return `shapes` as they look in coloured light.

    Args:
        shapes: as they are drawn.
        light: red, green, blue, 0..1: what white looks like.
    """

    def mix(colour: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        r, g, b = (c * share for c, share in zip(colour[:3], light, strict=True))
        return r, g, b, colour[3]

    def paint(each: Paint) -> Paint:
        made = replace(each, colour=mix(each.colour))
        if each.gradient is not None:
            colours = tuple(mix(colour) for colour in each.gradient.colours)
            made = replace(made, gradient=replace(each.gradient, colours=colours))
        return made

    return tuple(replace(s, paints=tuple(paint(p) for p in s.paints)) for s in shapes)


def surface(pixels: Pixels, *, opaque: bool = False) -> skia.Surface:
    """Return a surface that draws into `pixels` without a copy.

    BGRA is the one order for which Skia's processor code has short cuts on every platform, and it
    may leave alpha alone where all is `opaque`; together they save a third of the time.

    Args:
        pixels: BGRA, premultiplied.
        opaque: every pixel's alpha is 255 and stays so.
    """
    height, width = pixels.shape[:2]
    alpha = skia.AlphaType.kOpaque_AlphaType if opaque else skia.AlphaType.kPremul_AlphaType
    info = skia.ImageInfo.Make(width, height, skia.kBGRA_8888_ColorType, alpha)
    return skia.Surface.MakeRasterDirect(info, pixels, pixels.strides[0])


def image(pixels: Pixels, *, opaque: bool = False) -> skia.Image:
    """Return an image that shows `pixels` (BGRA, premultiplied) as they are now and later.

    Args:
        pixels: BGRA, premultiplied.
        opaque: every pixel's alpha is 255: it is copied, not blended.
    """
    height, width = pixels.shape[:2]
    info = _INFO.makeWH(width, height)
    if opaque:
        info = info.makeAlphaType(skia.AlphaType.kOpaque_AlphaType)
    return skia.Image.MakeFromRaster(skia.Pixmap(info, pixels, pixels.strides[0]))
