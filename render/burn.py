"""Captions drawn into the picture, for outputs that carry no text of their own.

The same lines and words as everywhere else, in the character's style. A block is drawn when it, or
the word being spoken, changes (a few milliseconds), and laid over each picture after that (half a
millisecond at 720p). Runs on: the thread of the sink that is given them.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import skia

from dialogue.character import CaptionStyle
from dialogue.ticks import TICKS_PER_S, Ticks
from render.captions import LINES, Caption
from render.contracts import CaptionSink, Sink
from render.convert import to_i420
from render.frames import Pixels, VideoFrame
from voice.speech import Samples

HEIGHT_SHARE = 0.05
"""A letter's size: of the picture's height ..."""
WIDTH_SHARE = 1 / 26
"""... and at most of its width: 42 columns fit."""
LINE = 1.36
"""A line's height, in letter sizes."""
MARGIN = 0.055
"""Of the picture's height, between its edge and the lines."""
SMALL = 0.72
"""A translation's letters, of the size of what is said; it stands below that."""
ROOM = 0.92
"""Of the picture's width that a line may take; wider ones are set smaller."""
_FAMILIES = ("Inter", "Segoe UI", "Helvetica Neue", "Noto Sans", "DejaVu Sans")
_KEPT = 16
"""Captions known at a time; more are dropped, oldest first."""


class Letters:
    """Finds type for each sign: the character's own families first, then what the system has."""

    def __init__(self, style: CaptionStyle) -> None:
        self._fonts = skia.FontMgr()
        self._weight = skia.FontStyle(
            style.weight, skia.FontStyle.kNormal_Width, skia.FontStyle.kUpright_Slant
        )
        installed = {self._fonts.getFamilyName(i) for i in range(self._fonts.countFamilies())}
        named = [family for family in (*style.font, *_FAMILIES) if family in installed]
        self._faces = [self._fonts.matchFamilyStyle(family, self._weight) for family in named]
        self._known: dict[tuple[str, str], Any] = {}

    def face(self, sign: str, language: str) -> Any:
        """Return a typeface that has `sign`; None where the system has none."""
        key = (sign, language)
        if key not in self._known:
            own = (face for face in self._faces if face and face.unicharToGlyph(ord(sign)))
            self._known[key] = next(own, None) or self._fonts.matchFamilyStyleCharacter(
                "", self._weight, [language], ord(sign)
            )
        return self._known[key]

    def runs(self, text: str, language: str) -> list[tuple[str, Any]]:
        """Return `text` in stretches of one typeface each."""
        found: list[tuple[str, Any]] = []
        for sign in text:
            face = found[-1][1] if sign.isspace() and found else self.face(sign, language)
            if found and found[-1][1] is face:
                found[-1] = (found[-1][0] + sign, face)
            else:
                found.append((sign, face))
        return found


class Burner:
    """Draws blocks into pictures of one size."""

    def __init__(
        self,
        style: CaptionStyle,
        width: int,
        height: int,
        *,
        small: bool = False,
        both: bool = False,
    ) -> None:
        """Prepare for pictures of `width` x `height` pixels.

        Args:
            style: the character's.
            width: of the pictures.
            height: of the pictures.
            small: draws translations, below where another one draws what is said.
            both: leaves room for translations.
        """
        self._style = style
        self._size = min(height * HEIGHT_SHARE, width * WIDTH_SHARE) * style.size
        # Where it begins (the top) or ends (the bottom) in the picture.
        self._edge = round(height * MARGIN)
        self._down = style.position == "top" or small
        if small:
            spoken = round(self._size * (LINE * LINES + 0.5))
            self._size *= SMALL
            room = round(self._size * (LINE * LINES + 0.5))
            top = style.position == "top"
            self._edge = self._edge + spoken if top else height - self._edge - room
        elif both and not self._down:
            self._edge += round(self._size * SMALL * (LINE * LINES + 0.5))
        self._width, self._height = width, height
        self._letters = Letters(style)
        self._drawn: tuple[tuple[str, ...], int] | None = None
        self._place = (0, 0, 0, 0)
        self._picture = self._through = np.zeros((0, 0, 4), np.uint8)
        self.drawings = 0
        """How often a block was drawn."""

    def draw(self, caption: Caption, now: Ticks, pixels: Pixels, i420: Pixels) -> None:
        """Lay `caption` over a picture shown at `now`, in both its forms."""
        import cv2

        spoken = sum(at <= now for at, _, _ in caption.words)
        if self._drawn != (caption.lines, spoken):
            self._drawn = (caption.lines, spoken)
            self._draw(caption, spoken)
        x, y, width, height = self._place
        if not width:
            return
        under = pixels[y : y + height, x : x + width]
        mixed = cv2.add(cv2.multiply(under, self._through, scale=1 / 255), self._picture)
        under[:, :, :3] = mixed[:, :, :3]
        patch = np.empty((height * 3 // 2, width), np.uint8)
        to_i420(np.ascontiguousarray(under), patch)
        self._set(i420, patch)

    def _set(self, i420: Pixels, patch: Pixels) -> None:
        x, y, width, height = self._place
        i420[y : y + height, x : x + width] = patch[:height]
        whole, part = self._width * self._height, width * height
        planes, parts = i420.reshape(-1), patch.reshape(-1)
        for k in range(2):
            start = whole + k * whole // 4
            plane = planes[start : start + whole // 4].reshape(self._height // 2, self._width // 2)
            chroma = parts[part + k * part // 4 : part + (k + 1) * part // 4]
            plane[y // 2 : (y + height) // 2, x // 2 : (x + width) // 2] = chroma.reshape(
                height // 2, width // 2
            )

    def _draw(self, caption: Caption, spoken: int) -> None:
        style = self._style
        self.drawings += 1
        size = self._size
        widest = max(self._measure(line, caption.language, size) for line in caption.lines)
        size *= min(1.0, self._width * ROOM / max(widest, 1.0))
        wide = min(self._width, round(max(widest, 1.0) * min(1.0, self._width * ROOM / widest)
                                      + 2 * size)) if widest else 0  # fmt: skip
        width = wide // 2 * 2
        height = round(size * (LINE * len(caption.lines) + 0.5)) // 2 * 2
        x = (self._width - width) // 4 * 2
        edge = self._edge // 2 * 2
        y = edge if self._down else (self._height - height - edge) // 2 * 2
        y = min(y, (self._height - height) // 2 * 2)
        self._place = (x, max(0, y), width, min(height, self._height))
        if not width:
            return
        pixels = np.zeros((height, width, 4), np.uint8)
        info = skia.ImageInfo.Make(
            width, height, skia.kBGRA_8888_ColorType, skia.AlphaType.kPremul_AlphaType
        )
        canvas = skia.Surface.MakeRasterDirect(info, pixels, pixels.strides[0]).getCanvas()
        colours = _colours(caption, spoken, style)
        for box, passes in ((True, ("box",)), (False, ("outline", "fill"))):
            if box and not style.box:
                continue
            for each in passes:
                for number, line in enumerate(caption.lines):
                    self._line(canvas, each, line, colours[number], caption.language, size,
                               width, size * (0.25 + LINE * number))  # fmt: skip
        self._picture = pixels
        self._through = np.repeat(255 - pixels[:, :, 3:], 4, axis=2)

    def _line(
        self, canvas: Any, what: str, line: str, colours: list[str], language: str, size: float,
        width: int, top: float,
    ) -> None:  # fmt: skip
        style = self._style
        total = self._measure(line, language, size)
        at = (width - total) / 2
        if what == "box":
            paint = skia.Paint(Color=_colour(style.box), AntiAlias=True)
            box = skia.Rect.MakeXYWH(at - size * 0.35, top, total + size * 0.7, size * LINE)
            canvas.drawRect(box, paint)
            return
        index = 0
        for text, face in self._letters.runs(line, language):
            font = skia.Font(face, size)
            while text:
                same = 1
                while same < len(text) and colours[index + same] == colours[index]:
                    same += 1
                piece, text = text[:same], text[same:]
                paint = skia.Paint(Color=_colour(colours[index]), AntiAlias=True)
                if what == "outline":
                    paint.setColor(_colour(style.outline))
                    paint.setStyle(skia.Paint.kStroke_Style)
                    paint.setStrokeJoin(skia.Paint.kRound_Join)
                    paint.setStrokeWidth(2 * style.outline_width * size)
                if what == "fill" or style.outline_width:
                    canvas.drawString(piece, at, top + size * (LINE / 2 + 0.36), font, paint)
                at += font.measureText(piece)
                index += same

    def _measure(self, line: str, language: str, size: float) -> float:
        return sum(
            float(skia.Font(face, size).measureText(text))
            for text, face in self._letters.runs(line, language)
        )


class BurnedSink:
    """A sink whose pictures carry captions."""

    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(self, sink: Sink, style: CaptionStyle, *, translated: bool = False) -> None:
        """Put captions in `style`, also `translated` ones, into everything that `sink` gets."""
        self._sink = sink
        self._style = style
        self._translated = translated
        self._texts: dict[tuple[int, int, int], Caption] = {}

    def __getattr__(self, name: str) -> Any:
        """Return what else the sink has, such as `stems`."""
        return getattr(self.__dict__["_sink"], name)

    @property
    def watched(self) -> bool:
        """As the sink says."""
        return self._sink.watched

    def open(self, *, width: int, height: int, fps: int) -> None:
        """Open the sink."""
        self._burner = Burner(self._style, width, height, both=self._translated)
        self._second = Burner(self._style, width, height, small=True)
        self._pixels = np.empty((height, width, 4), np.uint8)
        self._i420 = np.empty((height * 3 // 2, width), np.uint8)
        self._sink.open(width=width, height=height, fps=fps)

    def caption(self, caption: Caption) -> None:
        """Take a block; it is seen from its first word on."""
        if isinstance(self._sink, CaptionSink):
            self._sink.caption(caption)
        self._texts.pop(caption.key, None)
        if caption.lines:
            self._texts[caption.key] = caption
            if len(self._texts) > _KEPT:
                del self._texts[next(iter(self._texts))]

    def video(self, frame: VideoFrame) -> None:
        """Send one picture, with what is being said."""
        shown = [c for c in self._texts.values() if c.live[0] <= frame.pts < c.live[1]]
        for key in [c.key for c in self._texts.values() if c.live[1] < frame.pts - TICKS_PER_S]:
            del self._texts[key]
        if shown and self._sink.watched:
            np.copyto(self._pixels, frame.pixels)
            np.copyto(self._i420, frame.i420)
            for burner, translated in ((self._burner, False), (self._second, True)):
                own = [c for c in shown if c.translated is translated]
                if own:
                    newest = max(own, key=lambda c: c.live[0])
                    burner.draw(newest, frame.pts, self._pixels, self._i420)
            frame = VideoFrame(frame.pts, frame.index, self._pixels, self._i420)
        self._sink.video(frame)

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Send sound."""
        self._sink.audio(pts, samples)

    def close(self) -> None:
        """Close the sink."""
        self._sink.close()


def _colours(caption: Caption, spoken: int, style: CaptionStyle) -> list[list[str]]:
    """Return the colour of every sign of every line."""
    colours = [[style.color] * len(line) for line in caption.lines]  # a translation's stay
    for index, (_, line, char) in enumerate(caption.words):
        colour = (
            style.color if index < spoken - 1 else style.now if index < spoken else style.coming
        )
        for number in range(line, len(colours)):
            start = char if number == line else 0
            colours[number][start:] = [colour] * (len(colours[number]) - start)
    return colours


def _colour(text: str) -> int:
    """Return #rrggbb or #rrggbbaa as Skia counts."""
    alpha = int(text[7:9], 16) if len(text) == 9 else 255
    return int(skia.Color(*(int(text[i : i + 2], 16) for i in (1, 3, 5)), alpha))
