"""Captions drawn into pictures: the right place, the right words, the picture left as it was."""

from dataclasses import replace

import numpy as np
import pytest

from dialogue.character import CaptionStyle
from dialogue.ticks import TICKS_PER_S
from render.burn import BurnedSink, Burner
from render.captions import Caption
from render.convert import to_i420
from render.frames import Pixels, VideoFrame
from tests.render.test_air import Recorder

STYLE = CaptionStyle(color="#ffffff", now="#ff0000", coming="#00ff00", outline="#000000")


def block(*lines: str, language: str = "en") -> Caption:
    words = tuple(
        (TICKS_PER_S * (1 + i), 0, lines[0].index(word)) for i, word in enumerate(lines[0].split())
    )
    return Caption(TICKS_PER_S, 4 * TICKS_PER_S, lines, language, words, (1, 0, 0))


def grey(width: int, height: int) -> tuple[Pixels, Pixels]:
    pixels = np.full((height, width, 4), 90, np.uint8)
    pixels[:, :, 3] = 255
    i420 = np.empty((height * 3 // 2, width), np.uint8)
    to_i420(pixels, i420)
    return pixels, i420


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (1280, 720), (322, 182)])
@pytest.mark.parametrize("position", ["bottom", "top"])
def test_captions_stand_inside_the_picture_and_both_forms_of_it_agree(
    size: tuple[int, int], position: str
) -> None:
    width, height = size
    style = CaptionStyle(position=position, size=2.0)  # type: ignore[arg-type]
    burner = Burner(style, width, height)
    pixels, i420 = grey(width, height)
    lines = ("The rain just started singing on the roof.", "Come in!")
    burner.draw(block(*lines), 2 * TICKS_PER_S, pixels, i420)
    rows, columns = np.nonzero(np.abs(pixels[:, :, 1].astype(int) - 90) > 20)
    assert len(rows) > 200
    assert 0 < columns.min() < width / 2 < columns.max() < width - 1
    middle = (rows.min() + rows.max()) / 2
    assert middle > height * 0.7 if position == "bottom" else middle < height * 0.35
    expected = np.empty_like(i420)
    to_i420(pixels, expected)
    assert np.abs(expected.astype(int) - i420).max() <= 1
    assert (pixels[:, :, 3] == 255).all()


def test_words_are_lit_as_they_are_spoken_and_a_block_is_drawn_only_when_that_changes() -> None:
    burner = Burner(STYLE, 640, 360)
    caption = block("one two three")
    counts = []
    for now in (1.0, 1.3, 1.6, 2.0, 2.5, 3.2):
        pixels, i420 = grey(640, 360)
        burner.draw(caption, round(now * TICKS_PER_S), pixels, i420)
        b, g, r = (pixels[:, :, k].astype(int) for k in range(3))
        red, green = (r > 200) & (g < 60) & (b < 60), (g > 200) & (r < 60) & (b < 60)
        white = (r > 230) & (g > 230) & (b > 230)
        counts.append((int(white.sum()), int(red.sum()), int(green.sum())))
    assert burner.drawings == 3
    assert counts[0][0] == 0 < counts[0][1]
    assert counts[0][2] > counts[3][2] > counts[5][2] == 0
    assert counts[5][0] > counts[3][0] > 0


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("zh", "我刚才一直在数窗户上的雨滴，"),
        ("ja", "甘く煮て、ごはんを詰めた"),
        ("en", "Ça va 😀?"),
    ],
)
def test_signs_that_the_first_family_lacks_come_from_another(language: str, text: str) -> None:
    burner = Burner(STYLE, 640, 360)
    if burner._letters.face(text[0], language) is None:
        pytest.skip(f"no font for {language!r} here; install fonts-noto-cjk")
    pixels, i420 = grey(640, 360)
    burner.draw(block(text, language=language), TICKS_PER_S, pixels, i420)
    assert (np.abs(pixels[:, :, 1].astype(int) - 90) > 20).sum() > 300


def test_a_sink_that_hides_its_captions_gets_them_too() -> None:
    class Hiding(Recorder):
        captions_hidden = True

        def __init__(self) -> None:
            super().__init__()
            self.texts: list[Caption] = []

        def caption(self, caption: Caption) -> None:
            self.texts.append(caption)

    hiding = Hiding()
    sink = BurnedSink(hiding, STYLE)
    sink.caption(block("Hello there"))
    assert [caption.lines for caption in hiding.texts] == [("Hello there",)]


def test_a_sink_gets_captions_while_they_stand_and_the_shared_picture_is_left_alone() -> None:
    class Taker(Recorder):
        def open(self, *, width: int, height: int, fps: int) -> None:
            self.seen: list[bool] = []

        def video(self, frame: VideoFrame) -> None:
            self.seen.append(bool((frame.pixels[:, :, :3] != 90).any()))

        def stems(self) -> str:
            return "of the sink"

    taker = Taker()
    sink = BurnedSink(taker, STYLE)
    sink.open(width=320, height=180, fps=30)
    assert sink.stems() == "of the sink"
    sink.caption(block("Hello there"))
    sink.caption(replace(block("Later"), start=9 * TICKS_PER_S, stop=10 * TICKS_PER_S,
                         key=(1, 0, 1)))  # fmt: skip
    pixels, i420 = grey(320, 180)
    pixels.flags.writeable = i420.flags.writeable = False
    for second in (0, 1, 3, 5):
        sink.video(VideoFrame(second * TICKS_PER_S, second, pixels, i420))
    sink.caption(replace(block("Later"), lines=(), key=(1, 0, 1)))  # taken back
    sink.video(VideoFrame(9 * TICKS_PER_S, 9, pixels, i420))
    assert taker.seen == [False, True, True, False, False]
    assert (pixels[:, :, :3] == 90).all()


@pytest.mark.parametrize("position", ["bottom", "top"])
def test_a_translation_is_smaller_and_stands_below_what_is_said_without_touching_it(
    position: str,
) -> None:
    class Taker(Recorder):
        def open(self, *, width: int, height: int, fps: int) -> None:
            pass

        def video(self, frame: VideoFrame) -> None:
            self.rows = np.flatnonzero((frame.pixels[:, :, 1] != 90).any(axis=1))

    def rows(*captions: Caption) -> tuple[int, int]:
        taker = Taker()
        style = CaptionStyle(position=position)  # type: ignore[arg-type]
        sink = BurnedSink(taker, style, translated=True)
        sink.open(width=640, height=360, fps=30)
        for caption in captions:
            sink.caption(caption)
        pixels, i420 = grey(640, 360)
        sink.video(VideoFrame(3 * TICKS_PER_S, 3, pixels, i420))
        return int(taker.rows.min()), int(taker.rows.max())

    said = block("The rain just started singing", "on the roof above us all.")
    second = replace(said, words=(), key=(1, 0, 1000))
    above, below = rows(said), rows(second)
    assert above[1] < below[0]
    assert 0.6 < (below[1] - below[0]) / (above[1] - above[0]) < 0.85
    assert 0 < above[0] < below[1] < 359
    both = rows(said, second)
    assert both == (above[0], below[1])  # neither moves for the other


def test_a_translation_that_comes_late_is_still_seen() -> None:
    late = replace(
        block("Late"), start=0, stop=TICKS_PER_S, words=(), key=(1, 0, 1000), came=5 * TICKS_PER_S
    )
    assert late.live == (5 * TICKS_PER_S, 6 * TICKS_PER_S)
