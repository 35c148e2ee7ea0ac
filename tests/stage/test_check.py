"""`bunraku check`: every way to break a character is told with its place."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import characters
from stage import folders
from stage.checks import Finding, check
from stage.cli import main

KOHAKU = Path(characters.__path__[0]) / "kohaku"


@pytest.fixture
def kohaku(tmp_path: Path) -> Path:
    return Path(shutil.copytree(KOHAKU, tmp_path / "kohaku"))


def _edit(file: Path, pattern: str, new: str, *, count: int = 1) -> None:
    text, changed = re.subn(pattern, new, file.read_text("utf-8"), count=count, flags=re.DOTALL)
    assert changed, f"{pattern!r} is not in {file.name}"
    file.write_text(text, "utf-8")


def _line(file: Path, text: str) -> int:
    return file.read_text("utf-8")[: file.read_text("utf-8").index(text)].count("\n") + 1


def _one(folder: Path, file: str, words: str) -> Finding:
    found = [f for f in check(folder) if f.file.name == file and words in f.fault]
    assert len(found) == 1, [f"{f.place} {f.fault}" for f in check(folder)]
    assert found[0].remedy
    return found[0]


@pytest.mark.parametrize("name", folders.names())
def test_our_own_hosts_have_neither_errors_nor_warnings(name: str) -> None:
    found = check(folders.character(name))
    assert [f"{f.place} {f.fault}" for f in found if f.level != "note"] == []


def test_a_licence_that_is_missing_is_an_error(kohaku: Path) -> None:
    (kohaku / "LICENSE").unlink()
    assert _one(kohaku, "LICENSE", "missing").level == "error"


def test_a_persona_without_a_language_is_told(kohaku: Path) -> None:
    _edit(kohaku / "persona.md", r"## ja.*", "")
    assert "## ja" in _one(kohaku, "persona.md", "nothing for language 'ja'").remedy


def test_captions_that_cannot_be_read_are_told(kohaku: Path) -> None:
    _edit(kohaku / "character.toml", r'now = "#f3ab45"', 'now = "#3a2a44"')
    assert "4.5" in _one(kohaku, "character.toml", "captions.now is hard to read").remedy


def test_an_unknown_cue_in_an_example_is_told_with_its_line(kohaku: Path) -> None:
    _edit(kohaku / "examples.md", r"\[wave\]", "[moonwalk]")
    found = _one(kohaku, "examples.md", "[moonwalk]")
    assert found.line == _line(kohaku / "examples.md", "[moonwalk]")


def test_a_voice_that_nobody_has_is_an_error(kohaku: Path) -> None:
    _edit(kohaku / "character.toml", r'zh = \["kokoro"\]', 'zh = ["whisperer"]')
    assert _one(kohaku, "character.toml", "whisperer").level == "error"


def test_a_language_that_its_voices_do_not_speak_is_an_error(kohaku: Path) -> None:
    _edit(kohaku / "character.toml", r'zh = \["kokoro"\]', 'zh = ["piper"]')
    assert _one(kohaku, "character.toml", "speaks 'zh'").level == "error"


def test_a_scene_that_is_not_there_is_an_error(kohaku: Path) -> None:
    _edit(kohaku / "character.toml", "night_room", "beach")
    assert "night_room" in _one(kohaku, "character.toml", "no scene 'beach'").remedy


def test_a_sheet_that_cannot_be_read_says_nothing_of_its_scene(kohaku: Path) -> None:
    _edit(kohaku / "character.toml", 'name = "kohaku"', 'name = "Kohaku"')
    assert "write kohaku" in _one(kohaku, "character.toml", "").remedy


def test_a_spring_of_nothing_is_told_and_the_rest_is_looked_at(kohaku: Path) -> None:
    _edit(kohaku / "rig.toml", r'layers = \["bell"\]', 'layers = ["bels"]')
    _edit(kohaku / "rig.toml", r'layers = \["ahoge"\]', "layers = []")
    assert _one(kohaku, "rig.toml", "swings layer 'bels'").remedy == "did you mean bell?"
    _one(kohaku, "rig.toml", "'ahoge' names no layers")


def test_all_broken_keyforms_and_entries_are_told_at_once(kohaku: Path) -> None:
    svg = kohaku / "puppet.svg"
    # One node fewer in a brow, a mouth group that is not there, a slide of nothing.
    _edit(svg, r'(<g id="brow_l_flat".*?d="M[^C]*)C[^C]*C', r"\1C")
    _edit(kohaku / "rig.toml", 'Viseme_aa = "mouth_aa"', 'Viseme_aa = "mouth_aaa"')
    _edit(kohaku / "rig.toml", r'groups = \["brow_r"\]', 'groups = ["brow_x"]')
    told = [f for f in check(kohaku) if f.level == "error"]
    assert len(told) == 3
    assert all(f.line for f in told)
    assert {w for w in ("nodes", "mouth_aaa", "brow_x") for f in told if w in f.fault} == {
        "nodes", "mouth_aaa", "brow_x",
    }  # fmt: skip


def test_a_parameter_without_art_is_told(kohaku: Path) -> None:
    _edit(kohaku / "rig.toml", r'Viseme_oh = "mouth_oh"', 'Viseme_oh = "mouth"')
    found = _one(kohaku, "rig.toml", "nothing moves by Viseme_oh")
    assert found.level == "error"


def test_a_hand_that_no_motion_uses_may_be_missing_but_not_one_that_is_used(kohaku: Path) -> None:
    gestures = kohaku / "motions" / "gestures.toml"
    gestures.write_text(
        gestures.read_text("utf-8") + "\n[salute]\nParamHandRPoint = [[0, 0], [1, 1], [2, 0]]\n"
    )
    found = _one(kohaku, "rig.toml", "nothing moves by ParamHandRPoint")
    assert found.level == "note"
    assert "ParamHandRPoint" not in "".join(f.fault for f in check(folders.character("kohaku")))


def test_the_shape_of_a_hand_that_shows_only_on_a_raised_arm_is_art() -> None:
    # Sumire's hands fade by their shape and by the arm, which rests while shapes are tried.
    found = "".join(f.fault for f in check(folders.character("sumire")))
    assert "ParamHandLOffer" not in found


def test_a_broken_motion_is_told_once_and_the_rest_is_looked_at(kohaku: Path) -> None:
    _edit(kohaku / "motions" / "gestures.toml", r"\[peace\]", "[peace")
    _edit(kohaku / "rig.toml", r'Viseme_oh = "mouth_oh"', 'Viseme_oh = "mouth"')
    found = _one(kohaku, "gestures.toml", "")
    assert found.level == "error"
    assert found.place.startswith("kohaku/motions/gestures.toml:")
    assert _one(kohaku, "rig.toml", "nothing moves by Viseme_oh").level == "error"


def test_mouths_that_look_the_same_are_told(kohaku: Path) -> None:
    _edit(kohaku / "rig.toml", r'Viseme_oh = "mouth_oh"', 'Viseme_oh = "mouth_E"')
    found = _one(kohaku, "rig.toml", "the mouths of E and oh")
    assert found.line == _line(kohaku / "rig.toml", "[mouth]")


def test_lips_that_do_not_meet_are_an_error(kohaku: Path) -> None:
    _edit(kohaku / "rig.toml", r'Viseme_PP = "mouth_PP"', 'Viseme_PP = "mouth_oh"')
    assert _one(kohaku, "rig.toml", "do not meet").level == "error"


def test_an_iris_that_shows_through_the_lid_is_told(kohaku: Path) -> None:
    _edit(kohaku / "rig.toml", r'grid = \[\["eye_l_closed"', 'grid = [["eye_l"')
    _one(kohaku, "rig.toml", "shows through the shut lid (")


def test_a_clip_that_stays_behind_is_told_with_its_line(kohaku: Path) -> None:
    svg = kohaku / "puppet.svg"
    white = re.search(r'id="eye_l_white"[^>]*? d="([^"]*)"', svg.read_text("utf-8"))
    assert white is not None
    _edit(
        svg, r'(<clipPath id="clip_eye_l"[^>]*>).*?(</clipPath>)',
        rf'\1\n<path d="{white[1]}" />\n\2',
    )  # fmt: skip
    found = _one(kohaku, "puppet.svg", "'clip_eye_l' does not follow")
    assert found.line is not None


def test_a_spring_that_never_rests_is_told_with_its_line(kohaku: Path) -> None:
    _edit(kohaku / "rig.toml", r'(name = "ahoge"\nlayers.*?damping = )0.16', r"\g<1>0.001")
    found = _one(kohaku, "rig.toml", "'ahoge' still swings")
    text = (kohaku / "rig.toml").read_text("utf-8").splitlines()
    assert found.line is not None
    assert text[found.line - 1] == "[[spring]]"
    assert "ahoge" in text[found.line]


def test_a_hole_in_a_turned_head_is_told(kohaku: Path) -> None:
    _edit(kohaku / "puppet.svg", r'  <path id="nape".*?/>\n', "")
    assert "ParamAngleX 30, ParamAngleY -30" in _one(kohaku, "rig.toml", "a hole of").fault


def test_a_drawing_that_is_no_svg_is_one_line(kohaku: Path) -> None:
    (kohaku / "puppet.svg").write_text("<svg><g>", "utf-8")
    assert _one(kohaku, "puppet.svg", "").level == "error"


def test_an_empty_folder_is_told_what_it_lacks(tmp_path: Path) -> None:
    places = {f.file.name for f in check(tmp_path) if f.level == "error"}
    assert {"character.toml", "rig.toml", "LICENSE"} <= places


@pytest.mark.parametrize(
    ("spoil", "code"), [(lambda folder: None, 0), (lambda folder: (folder / "LICENSE").unlink(), 1)]
)
def test_the_command_says_it_with_its_exit_code(
    kohaku: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    code: int,
) -> None:
    spoil(kohaku)
    assert main(["check", str(kohaku), "--json"]) == code
    rows = json.loads(capsys.readouterr().out)
    assert any(row["level"] == "error" for row in rows) == bool(code)
    assert main(["check", str(kohaku)]) == code
    assert ("LICENSE: error: missing" in capsys.readouterr().out) == bool(code)
