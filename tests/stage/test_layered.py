"""Painted layers, as a PSD or as PNG files, become a puppet by their names."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

import stage
from avatar.pose import VISEMES
from avatar.puppet.rigfile import RigFile
from avatar.puppet.svg import Shape, read_svg
from render.frames import Pixels
from render.puppet import PuppetRenderer
from render.vector import Brush, surface
from stage import layered
from stage.checks import check
from stage.cli import main
from stage.config import ConfigError

STARTER = Path(stage.__path__[0]) / "starter" / "puppet.svg"
Painting = tuple[str, Pixels, bool]


def paint(shapes: Sequence[Shape]) -> Pixels:
    """Return shapes of the starter on its whole canvas, RGBA, not premultiplied."""
    drawing = read_svg(STARTER)
    width, height = (int(n) for n in drawing.size)
    pixels: Pixels = np.zeros((height, width, 4), np.uint8)
    Brush(drawing, [replace(s, hidden=False) for s in shapes]).draw(
        surface(pixels).getCanvas(), drawing.points
    )
    straight = cv2.cvtColor(pixels, cv2.COLOR_mRGBA2RGBA)
    return np.asarray(cv2.cvtColor(straight, cv2.COLOR_BGRA2RGBA), np.uint8)


@pytest.fixture(scope="module")
def art() -> list[Painting]:
    """The starter as a painter would hand it in: name, picture, visible; farthest first."""
    drawing = read_svg(STARTER)
    found: list[Painting] = []
    for top in dict.fromkeys(s.groups[0] for s in drawing.shapes if not s.hidden):
        shapes = [s for s in drawing.group(top) if not s.hidden]
        if top.startswith("eye_"):
            side = top[-1]
            moving = ("iris", "pupil", "highlight")
            inner = [s for s in shapes if any(k in g for g in s.groups for k in moving)]
            found.append(
                (f"Eye {side.upper()}", paint([s for s in shapes if s not in inner]), True)
            )
            found.append((f"iris_{side}", paint(inner), True))
            for kind in ("closed", "happy"):
                drawn = [s for s in drawing.group(f"{top}_{kind}") if s.label != "lid_shade"]
                found.append((f"{top}_{kind}", paint(drawn), False))
            continue
        found.append((top.replace("_", " ").title(), paint(shapes), True))
        if top == "mouth":
            found += [
                (f"mouth_{v}", paint(drawing.group(f"mouth_{v}")), False)
                for v in ("aa", "E", "ih", "oh", "ou")
            ]
    return found


def as_files(art: list[Painting], folder: Path) -> Path:
    folder.mkdir()
    for number, (name, pixels, _) in enumerate(art):
        bgra = cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA)
        assert cv2.imwrite(str(folder / f"{number:02d} {name}.png"), bgra)
    return folder


def as_psd(art: list[Painting], file: Path) -> Path:
    psd_tools = pytest.importorskip("psd_tools", reason="needs psd-tools (the extra psd)")
    image = pytest.importorskip("PIL.Image")
    height, width = art[0][1].shape[:2]
    made = psd_tools.PSDImage.new("RGBA", (width, height))
    for name, pixels, visible in art:
        made.create_pixel_layer(image.fromarray(pixels), name).visible = visible
    made.save(file)
    return file


def look(folder: Path, **values: float) -> npt.NDArray[np.int16]:
    renderer = PuppetRenderer(folder, width=640, height=360, scene="chroma")
    out: Pixels = np.zeros((360, 640, 4), np.uint8)
    renderer.draw(renderer.pose(values), out)
    return out[..., :3].astype(np.int16)


def changed(a: npt.NDArray[np.int16], b: npt.NDArray[np.int16]) -> int:
    return int((np.abs(a - b).max(2) > 40).sum())


@pytest.fixture(scope="module")
def doll(art: list[Painting], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hosts")
    files = as_files(art, root / "layers")
    assert main(["new", "doll", "--folder", str(root / "doll"), "--psd", str(files)]) == 0
    return root / "doll"


def test_painted_layers_are_a_puppet_without_errors(doll: Path) -> None:
    found = check(doll)
    assert [f"{f.place} {f.fault}" for f in found if f.level == "error"] == []


def test_it_looks_like_the_art(doll: Path, art: list[Painting]) -> None:
    whole = np.full((*art[0][1].shape[:2], 3), (0, 255, 0), np.float32)  # on the chroma green
    for _, pixels, visible in art:
        if visible:
            alpha = pixels[..., 3:].astype(np.float32) / 255
            whole = whole * (1 - alpha) + pixels[..., 2::-1] * alpha
    middle, top, view = RigFile(doll / "rig.toml").spec.frame.wide
    scale = 360 / view
    place = np.array([[scale, 0, 320 - middle * scale], [0, scale, -top * scale]])
    small = cv2.GaussianBlur(whole, None, 0.5 / scale)
    shown = cv2.warpAffine(small, place, (640, 360), borderValue=(0, 255, 0))
    assert np.abs(look(doll) - shown).mean() < 2.5  # of 255: edges are filtered differently


def test_its_mouth_its_lids_its_gaze_and_its_head_move(doll: Path) -> None:
    rest = look(doll)
    assert changed(rest, look(doll, Viseme_aa=1.0)) > 100
    assert changed(look(doll, Viseme_oh=1.0), look(doll, Viseme_aa=1.0)) > 60
    shut = look(doll, ParamEyeLOpen=0.0, ParamEyeROpen=0.0)
    assert changed(rest, shut) > 300
    sideways = {"ParamEyeBallX": 1.0}
    assert changed(rest, look(doll, **sideways)) > 60
    assert changed(shut, look(doll, ParamEyeLOpen=0.0, ParamEyeROpen=0.0, **sideways)) == 0
    assert changed(rest, look(doll, ParamAngleX=25.0)) > 1500
    assert changed(rest, look(doll, ParamArmLA=1.0)) > 800


def test_a_psd_makes_the_same_puppet(
    doll: Path, art: list[Painting], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = as_psd(art, tmp_path / "art.psd")
    assert main(["new", "doll", "--folder", str(tmp_path / "doll"), "--psd", str(file)]) == 0
    hidden = sum(not visible for _, _, visible in art)
    assert f"{len(art)} layers, {hidden} of them hidden" in capsys.readouterr().out
    assert (tmp_path / "doll" / "rig.toml").read_text() == (doll / "rig.toml").read_text()
    assert changed(look(tmp_path / "doll"), look(doll)) == 0


def test_every_viseme_has_a_picture_whatever_is_drawn() -> None:
    for drawn in (("sil", "aa"), ("sil",), ("aa",), ("PP", "E", "ou"), VISEMES):
        for viseme in VISEMES:
            assert layered.stand_in(drawn, viseme) in drawn
    assert layered.stand_in(("sil", "aa", "ou"), "PP") == "sil"
    assert layered.stand_in(("sil", "aa", "ou"), "oh") == "ou"
    assert layered.stand_in(("sil", "aa"), "SS") == "aa"


@pytest.mark.parametrize(
    ("name", "viseme"),
    [("mouth", "sil"), ("mouth_aa", "aa"), ("mouth_pp", "PP"), ("mouth_u", "ou"),
     ("mouth_closed", "sil"), ("mouth_wobble", None), ("nose", None)],
)  # fmt: skip
def test_mouths_are_known_by_their_names(name: str, viseme: str | None) -> None:
    assert layered.viseme_of(name) == viseme


def _dot(shape: tuple[int, int] = (40, 30), channels: int = 4) -> Pixels:
    pixels: Pixels = np.zeros((*shape, channels), np.uint8)
    pixels[10:20, 8:16] = 255
    return pixels


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no PNG file"),
        ({"face": _dot(), "mouth": _dot((50, 30))}, "the others are 30x40"),
        ({"face": _dot(channels=3)}, "alpha channel"),
        ({"face": np.zeros((40, 30, 4), np.uint8)}, "no layer with anything painted"),
        ({"skin": _dot(), "mouth": _dot()}, "no layer is called 'face' (there are: mouth, skin)"),
        ({"face": _dot()}, "no layer is called 'mouth'"),
        ({"face": _dot(), "01 mouth": _dot(), "02 mouth": _dot()}, "two layers are called 'mouth'"),
    ],
)
def test_art_that_cannot_be_used_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: dict[str, Pixels], words: str
) -> None:
    art = tmp_path / "art"
    art.mkdir()
    for name, pixels in files.items():
        cv2.imwrite(str(art / f"{name}.png"), pixels)
    assert main(["new", "doll", "--folder", str(tmp_path / "doll"), "--psd", str(art)]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_what_is_no_psd_is_one_clear_line(tmp_path: Path) -> None:
    pytest.importorskip("psd_tools", reason="needs psd-tools (the extra psd)")
    (tmp_path / "art.psd").write_bytes(b"8BPSnothing")
    with pytest.raises(ConfigError, match="no PSD file that can be read"):
        layered.read(tmp_path / "art.psd")
    with pytest.raises(ConfigError, match="no such file"):
        layered.read(tmp_path / "none.psd")


def test_a_group_of_a_psd_is_one_picture_of_what_is_visible_in_it(tmp_path: Path) -> None:
    psd_tools = pytest.importorskip("psd_tools", reason="needs psd-tools (the extra psd)")
    image = pytest.importorskip("PIL.Image")
    made = psd_tools.PSDImage.new("RGBA", (60, 40))
    group = made.create_group(name="Hair Back")
    for colour, box, visible in (
        ((200, 40, 40, 255), (10, 5, 30, 20), True),
        ((40, 200, 40, 255), (25, 15, 45, 35), True),
        ((40, 40, 200, 255), (0, 0, 60, 40), False),
    ):
        pixels = np.zeros((40, 60, 4), np.uint8)
        pixels[box[1] : box[3], box[0] : box[2]] = colour
        layer = made.create_pixel_layer(image.fromarray(pixels), "stroke")
        layer.visible = visible
        group.append(layer)
    file = tmp_path / "art.psd"
    made.save(file)
    layers, size = layered.read(file)
    assert size == (60, 40)
    assert [(layer.name, layer.hidden) for layer in layers] == [("hair_back", False)]
    assert layers[0].box == (10, 5, 45, 35)
    assert layers[0].pixels[2, 2].tolist() == [40, 40, 200, 255]  # BGRA of the red one
    assert layers[0].pixels[-2, -2].tolist() == [40, 200, 40, 255]
    assert layers[0].pixels[-2, 2, 3] == 0
