"""Holes between layers, and layers that come off, are told with pose, place and layers."""

import re
from pathlib import Path

import pytest

from render.puppet import PuppetRenderer
from stage.checks import Finding
from stage.checks.holes import look_for_holes
from stage.cli import main
from stage.looking import Look


@pytest.fixture
def doll(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The starter, as `bunraku new` makes it."""
    monkeypatch.chdir(tmp_path)
    assert main(["new", "doll"]) == 0
    return tmp_path / "doll"


def _edit(file: Path, pattern: str, new: str) -> None:
    text, changed = re.subn(pattern, new, file.read_text("utf-8"), count=1, flags=re.DOTALL)
    assert changed, f"{pattern!r} is not in {file.name}"
    file.write_text(text, "utf-8")


def _told(folder: Path) -> list[Finding]:
    look = Look(PuppetRenderer(folder, width=1280, height=720, scene="transparent"))
    return look_for_holes(look, folder)


def _table(found: Finding) -> str:
    lines = found.file.read_text("utf-8").splitlines()
    assert found.line is not None
    return "\n".join(lines[found.line - 1 : found.line + 3])


def test_a_neck_too_short_that_leaves_the_collar_is_told_with_both_layers(doll: Path) -> None:
    short = '<path fill="#F8D6C6" d="M430 620L570 620L574 764L426 764Z" />'
    _edit(doll / "puppet.svg", r'(<g id="neck"[^>]*>).*?(</g>)', rf"\1{short}\2")
    _edit(doll / "rig.toml", r"head = \[640\.0, 780\.0\][^\n]*", "head = 1.0")
    [found] = _told(doll)
    assert found.level == "warning"
    assert re.match(
        r"at Param.* a hole of \d+ pixels opens between 'neck' and 'body', \d+ right", found.fault
    )
    assert "'neck'" in found.remedy
    assert 'name = "neck"' in _table(found)


def test_an_arm_that_turns_about_another_place_than_its_shoulder_is_told(doll: Path) -> None:
    _edit(doll / "rig.toml", r'(ParamArmLA"\nkeys[^\n]*\npivot = )\[690\.0', r"\1[790.0")
    [found] = _told(doll)
    assert re.match(r"\d\.\d s into \[\w+\] 'arm_l' comes off the figure", found.fault)
    assert "pivot" in found.remedy
    assert "ParamArmLA" in _table(found)


def test_a_ring_that_closes_when_a_hand_meets_the_head_is_meant(doll: Path) -> None:
    # A thin arc beside the head, as of a pair of glasses on a chain: at rest it hangs free.
    chain = (
        '<g id="chain"><path fill="none" stroke="#B8892E" stroke-width="6" '
        'd="M716 440C790 500 790 600 700 720" /></g>'
    )
    _edit(doll / "puppet.svg", r'(<g id="pin")', rf"{chain}\1")
    layer = '[[layer]]\nname = "chain"\nhead = 1.0\ndepth = -76.0\nbulge = 219.0\n\n'
    _edit(doll / "rig.toml", r"(# -+ the face)", rf"{layer}\1")
    assert _told(doll) == []
