import functools
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import render.scene
from avatar.rig import CharacterError
from dialogue.ticks import TICKS_PER_S
from render.frames import Pixels
from render.puppet import PuppetRenderer
from render.scene import FRONT_SHIFT, MIDDLE_SHIFT, Scene
from render.vector import surface

CHARACTERS = Path(render.scene.__file__).parents[1] / "characters"
FILES = sorted(CHARACTERS.glob("*/scenes/*.svg"))
SCENES = [f"{file.parents[1].name}/{file.stem}" for file in FILES]
LIGHTS = [
    f"{scene}@{light}"
    for scene, file in zip(SCENES, FILES, strict=True)
    for light in re.findall('<g id="light_([a-z]+)"', file.read_text())
]
WIDE, TALL = (256, 144), (144, 256)


@functools.cache
def loaded(scene: str, size: tuple[int, int]) -> Scene:
    character, _, name = scene.partition("/")
    return Scene(CHARACTERS / character, name, *size)


def drawn(
    scene: Scene, at_s: float = 0.0, lean: float = 0.0, size: tuple[int, int] = WIDE
) -> Pixels:
    out = np.full((size[1], size[0], 4), 77, np.uint8)
    canvas = surface(out, opaque=scene.opaque).getCanvas()
    scene.behind(out, canvas, round(at_s * TICKS_PER_S), lean)
    scene.before(canvas, round(at_s * TICKS_PER_S), lean)
    return out


def written(folder: Path, body: str, root: str = "") -> Path:
    """Write a scene of 256 x 144 units called "made" and return its character's folder."""
    (folder / "scenes").mkdir(exist_ok=True)
    (folder / "scenes" / "made.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 256 144" {root}>{body}</svg>'
    )
    return folder


FIELD = '<g id="depth_0"><path fill="#204060" d="M-20 -20H280V170H-20Z"/></g>'
BAR = '<g id="bar"><path fill="#ff0000" d="M100 20H140V120H100Z"/></g>'


@pytest.mark.parametrize("size", [WIDE, TALL], ids=["wide", "tall"])
@pytest.mark.parametrize("scene", SCENES)
def test_a_scene_covers_the_picture_wherever_it_is_shifted(
    scene: str, size: tuple[int, int]
) -> None:
    for lean in (-10.0, 0.0, 10.0):
        picture = drawn(loaded(scene, size), 5.0, lean, size)
        assert (picture[..., 3] == 255).all()
        # Where nothing is drawn a scene is black; none of ours has such a black.
        assert (picture[..., :3].max(-1) > 4).mean() > 0.999


@pytest.mark.parametrize("scene", SCENES)
def test_a_scene_lives_and_is_a_function_of_time(scene: str) -> None:
    made = loaded(scene, WIDE)
    first = drawn(made, 3.0)
    assert (first != drawn(made, 4.0)).any()
    np.testing.assert_array_equal(first, drawn(made, 3.0))


@pytest.mark.parametrize("scene", LIGHTS)
def test_a_light_changes_the_scene(scene: str) -> None:
    lit = drawn(loaded(scene, WIDE)).astype(int)
    plain = drawn(loaded(scene.partition("@")[0], WIDE)).astype(int)
    assert (lit[..., 3] == 255).all()
    assert np.abs(lit - plain).mean() > 8


@pytest.mark.parametrize("character", ["kohaku", "pon", "sumire"])
def test_a_host_has_two_places_and_two_cards(character: str) -> None:
    own = {scene for scene in SCENES if scene.startswith(f"{character}/")}
    cards = {f"{character}/brb", f"{character}/soon"}
    assert cards <= own
    assert len(own - cards) >= 2
    assert not any(loaded(card, WIDE).host for card in cards)
    assert all(loaded(place, WIDE).host for place in own - cards)


def test_no_host_is_drawn_on_a_card() -> None:
    folder = CHARACTERS / "kohaku"
    renderer = PuppetRenderer(folder, width=WIDE[0], height=WIDE[1], scene="brb")
    out = np.zeros((WIDE[1], WIDE[0], 4), np.uint8)
    renderer.draw(renderer.pose({}), out)
    np.testing.assert_array_equal(out, drawn(loaded("kohaku/brb", WIDE)))


def _bar_left(picture: Pixels) -> float:
    """Return where the red bar begins in the middle row, to a part of a pixel."""
    red = picture[72, :, 2].astype(float)
    bar = (red - red[0]) / (255 - red[0])
    return 120 - float(bar[:120].sum())


@pytest.mark.parametrize(
    ("depth", "reach"),
    [(1, 0.0), (2, MIDDLE_SHIFT), (4, FRONT_SHIFT)],
    ids=["wall", "middle", "front"],
)
def test_the_nearer_the_farther_it_shifts_as_the_host_leans(
    tmp_path: Path, depth: int, reach: float
) -> None:
    speck = '<path fill="#204060" d="M0 0h1v1z"/>'
    groups = "".join(f'<g id="depth_{i}">{BAR if i == depth else speck}</g>' for i in (1, 2, 3, 4))
    scene = Scene(written(tmp_path, FIELD + groups), "made", *WIDE)
    assert _bar_left(drawn(scene)) == pytest.approx(100, abs=0.1)
    assert _bar_left(drawn(scene, lean=10.0)) == pytest.approx(100 - 0.65 * reach, abs=0.2)
    assert _bar_left(drawn(scene, lean=-10.0)) == pytest.approx(100 + 0.65 * reach, abs=0.2)
    moves = [_bar_left(drawn(scene, at_s=t)) for t in np.arange(0, 20, 0.1)]
    assert np.abs(np.diff(moves)).max() <= 0.3


def test_a_light_darkens_what_stands_in_front_and_hides_what_it_says(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        FIELD
        + '<g id="depth_1"><g id="sun"><circle cx="30" cy="30" r="20" fill="#ffffff"/></g></g>'
        + f'<g id="depth_2">{BAR}</g>'
        + '<g id="light_night" display="none" data-hides="sun">'
        + '<g id="night_sky"><path fill="#0000ff" d="M0 0H256V144H0Z"/></g>'
        + '<g id="windows_behind"><path fill="#00ff00" d="M0 0H60V144H0Z"/></g>'
        + '<path fill="#000000" opacity="0.5" d="M-9 -9H280V160H-9Z"/></g>',
    )
    plain, night = (drawn(Scene(folder, name, *WIDE)) for name in ("made", "made@night"))
    assert plain[30, 30].tolist() == [255, 255, 255, 255]
    np.testing.assert_allclose(night[30, 30], [0, 128, 0, 255], atol=2)
    np.testing.assert_allclose(night[72, 200], [128, 0, 0, 255], atol=2)
    np.testing.assert_allclose(night[72, 120], [0, 0, 128, 255], atol=2)


def test_what_fully_covers_the_front_hides_the_host(tmp_path: Path) -> None:
    desk = '<g id="depth_1"><g id="desk"><path fill="#ff0000" d="M-20 100H280V170H-20Z"/></g></g>'
    assert Scene(written(tmp_path, FIELD + desk), "made", *WIDE).floor == 100


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("beach", "there is no such scene; known: made, transparent, chroma"),
        ("beach@night", "there is no such scene"),
        ("made@noon", "the scene has no light 'noon'; known: made, made@dusk, made@night"),
        ("made@", "the scene has no light ''"),
    ],
)
def test_an_unknown_name_lists_the_known_ones(tmp_path: Path, name: str, message: str) -> None:
    lights = "".join(
        f'<g id="light_{name}" display="none">{BAR}</g>'.replace('id="bar"', "")
        for name in ("dusk", "night")
    )
    written(tmp_path, FIELD + f'<g id="depth_1">{BAR}</g>' + lights)
    with pytest.raises(CharacterError, match=re.escape(message)):
        Scene(tmp_path, name, *WIDE)


def test_a_scene_without_depths_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CharacterError, match="no depth groups"):
        Scene(written(tmp_path, BAR), "made", *WIDE)


def test_white_takes_the_colour_of_the_place_and_of_the_hour(tmp_path: Path) -> None:
    folder = shutil.copytree(CHARACTERS / "kohaku", tmp_path / "kohaku")
    room = folder / "scenes" / "night_room.svg"
    text = re.sub(r' data-light="[^"]*"', "", room.read_text("utf-8"))
    values = {}
    for name, root, hour in (
        ("day", "#ffffff", ""),
        ("blue", "#8080ff", ""),
        ("late", "", "#8080ff"),
    ):
        lit = text.replace("<svg ", f'<svg data-light="{root}" ' if root else "<svg ", 1)
        lit = lit.replace(
            'id="light_late"', f'id="light_late" data-light="{hour}"' if hour else 'id="light_late"'
        )
        (folder / "scenes" / f"{name}.svg").write_text(lit, "utf-8")
        scene = f"{name}@late" if hour else name
        renderer = PuppetRenderer(folder, width=320, height=180, scene=scene)
        x, y, wide, high = renderer.head_box()
        out = np.zeros((180, 320, 4), np.uint8)
        renderer.draw(renderer.pose({}), out)
        values[name] = out[y + high // 3 : y + high * 2 // 3, x + wide // 3 : x + wide * 2 // 3, :3]
    day, blue, late = (values[name].reshape(-1, 3).mean(0) for name in ("day", "blue", "late"))
    assert blue[0] == pytest.approx(day[0], rel=0.06)
    assert blue[2] == pytest.approx(day[2] * 128 / 255, rel=0.06)
    assert late[2] < 0.6 * day[2]


def test_a_light_that_is_no_colour_is_one_clear_line(tmp_path: Path) -> None:
    folder = shutil.copytree(CHARACTERS / "kohaku", tmp_path / "kohaku")
    room = folder / "scenes" / "night_room.svg"
    room.write_text(
        re.sub(r'data-light="[^"]*"', 'data-light="mauve"', room.read_text("utf-8"), count=1)
    )
    with pytest.raises(CharacterError, match=r"night_room\.svg: data-light='mauve' is no colour"):
        Scene(folder, "night_room", 320, 180)


@pytest.mark.parametrize("scene", [*SCENES, *LIGHTS])
def test_a_scene_made_smaller_looks_the_same(scene: str) -> None:
    """Where it stands, and shifted; it is given the same places between two pixels."""
    size = (WIDE[0] // 2, WIDE[1] // 2)
    large = loaded(scene, WIDE)
    small = large.smaller(*size)
    assert abs(small.floor - large.floor / 2) <= 1
    for at_s, lean in ((0.0, 0.0), (7.3, -9.0), (40.0, 12.0)):
        whole = cv2.resize(drawn(large, at_s, lean), size, interpolation=cv2.INTER_AREA)
        difference = np.abs(drawn(small, at_s, lean, size).astype(int) - whole)
        assert difference.mean() < 3.0
        assert (difference.max(-1) <= 48).mean() > 0.95
