from pathlib import Path

import numpy as np
import pytest

from avatar.puppet.svg import CLOSE, CUBIC, LINE, MOVE, Drawing, read_svg
from avatar.rig import CharacterError

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">\n'


def read(tmp_path: Path, body: str) -> Drawing:
    file = tmp_path / "art.svg"
    file.write_text(HEAD + body + "\n</svg>\n")
    return read_svg(file)


def points(drawing: Drawing, i: int = 0) -> list[list[float]]:
    shape = drawing.shapes[i]
    return drawing.points[shape.start : shape.stop].round(3).tolist()


@pytest.mark.parametrize(
    ("data", "verbs", "ends"),
    [
        ("M1 2L3 4Z", [MOVE, LINE, CLOSE], [[1, 2], [3, 4]]),
        ("m1 2 3 4", [MOVE, LINE], [[1, 2], [4, 6]]),
        ("M1,2h3v-1H9V0", [MOVE] + [LINE] * 4, [[1, 2], [4, 2], [4, 1], [9, 1], [9, 0]]),
        ("M0 0C1 0 2 1 2 2", [MOVE, CUBIC], [[0, 0], [1, 0], [2, 1], [2, 2]]),
        ("M0 0c1 0 2 1 2 2s1 1 0 2", [MOVE, CUBIC, CUBIC],
         [[0, 0], [1, 0], [2, 1], [2, 2], [2, 3], [3, 3], [2, 4]]),
        ("M0 0Q3 0 3 3", [MOVE, CUBIC], [[0, 0], [2, 0], [3, 1], [3, 3]]),
        ("M1e1-.5.5 2", [MOVE, LINE], [[10, -0.5], [0.5, 2]]),
    ],
)  # fmt: skip
def test_path_commands_become_moves_lines_and_cubics(
    tmp_path: Path, data: str, verbs: list[int], ends: list[list[float]]
) -> None:
    drawing = read(tmp_path, f'<path d="{data}"/>')
    assert list(drawing.shapes[0].verbs) == verbs
    assert points(drawing) == ends


def test_an_arc_stays_on_its_circle(tmp_path: Path) -> None:
    drawing = read(tmp_path, '<path d="M10 50A40 40 0 1 1 50 90"/>')
    shape = drawing.shapes[0]
    p = drawing.points[shape.start : shape.stop]
    joints = np.concatenate([p[:1], p[3::3]])
    assert np.allclose(np.hypot(*(joints - 50).T), 40, atol=0.01)
    assert p[-1].tolist() == [50, 90]


def test_transforms_nest_from_the_outside_in(tmp_path: Path) -> None:
    drawing = read(
        tmp_path,
        '<g transform="translate(10 20)"><g transform="rotate(90)">'
        '<path transform="scale(2)" d="M1 0L0 1"/></g></g>',
    )
    assert np.allclose(points(drawing), [[10, 22], [8, 20]], atol=1e-4)


def test_a_gradient_frame_moves_with_its_shape(tmp_path: Path) -> None:
    drawing = read(
        tmp_path,
        '<defs><linearGradient id="a" gradientUnits="userSpaceOnUse" x1="0" y1="0" x2="10" y2="0">'
        '<stop offset="0" stop-color="#fff"/><stop offset="100%" stop-color="#f00" '
        'stop-opacity=".5"/></linearGradient></defs>'
        '<g transform="translate(5 0)"><path fill="url(#a)" d="M0 0L1 1"/></g>',
    )
    gradient = drawing.shapes[0].paints[0].gradient
    assert gradient is not None
    assert gradient.colours[1] == (1.0, 0.0, 0.0, 0.5)
    assert drawing.points[slice(*gradient.frame)].tolist() == [[5, 0], [15, 0], [5, 10]]


def test_a_clip_may_use_a_path_of_the_drawing(tmp_path: Path) -> None:
    drawing = read(
        tmp_path,
        '<defs><clipPath id="c"><use href="#white"/></clipPath></defs>'
        '<path id="white" d="M0 0L1 1L2 0Z"/><g clip-path="url(#c)"><path d="M0 0L9 9"/></g>',
    )
    assert drawing.shapes[1].clips == ("c",)
    assert drawing.clips["c"][0] is drawing.shapes[0]


def test_opacity_and_display_are_inherited(tmp_path: Path) -> None:
    drawing = read(
        tmp_path,
        '<g id="g" opacity=".5"><path style="fill:#00ff00;fill-opacity:.5" d="M0 0L1 1"/></g>'
        '<g style="display:none"><path d="M0 0L1 1"/></g>',
    )
    assert drawing.shapes[0].paints[0].colour == (0.0, 1.0, 0.0, 0.25)
    assert [shape.hidden for shape in drawing.shapes] == [False, True]
    assert drawing.group("g") == drawing.shapes[:1]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('<path d="M0 0X"/>', "art.svg:2: path '': no path command is called 'X'"),
        ('\n<path d="M0"/>', "art.svg:3: .*command 'M' needs 2 numbers"),
        ("<text>hi</text>", "art.svg:2: <text> is not supported; convert it to a path"),
        ('<path fill="url(#no)" d="M0 0L1 1"/>', "points to nothing"),
        ('<path fill="teal-ish" d="M0 0L1 1"/>', "colour 'teal-ish' is unknown"),
        ('<g id="a"/><g id="a"/>', "two elements have the id 'a'"),
        ('<g filter="url(#f)"><path d="M0 0L1 1"/></g>', "filter is not supported"),
        ("<g>", "art.svg:3: not well-formed XML"),
    ],
)
def test_what_cannot_be_drawn_is_named_with_its_line(
    tmp_path: Path, body: str, message: str
) -> None:
    with pytest.raises(CharacterError, match=message):
        read(tmp_path, body)
