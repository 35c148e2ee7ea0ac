"""`bunraku new`: what it makes works at once."""

from pathlib import Path

import pytest

from dialogue.character import load_character
from stage.checks import check
from stage.cli import main


def test_a_new_character_has_nothing_to_complain_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "little-mika"
    assert main(["new", "little-mika", "--folder", str(folder)]) == 0
    assert f"bunraku preview {folder}" in capsys.readouterr().out
    assert [f"{f.place} {f.fault}" for f in check(folder) if f.level != "note"] == []
    character = load_character(folder)
    assert character.name == "little-mika"
    assert character.display_name == "Little Mika"
    assert "Little Mika" in character.persona("ja")
    assert all("{{" not in p.read_text("utf-8") for p in folder.rglob("*") if p.is_file())


def test_a_copy_of_a_host_is_called_as_asked(tmp_path: Path) -> None:
    folder = tmp_path / "ren"
    assert main(["new", "ren", "--folder", str(folder), "--from", "kohaku"]) == 0
    assert load_character(folder).name == "ren"
    assert (folder / "motions" / "gestures.toml").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["new", "My Host!"], "try my-host"),
        (["new", "mika", "--folder", "{full}"], "already there"),
        (["new", "mika", "--folder", "{full}/file"], "already there"),
        (["new", "mika", "--folder", "{full}/file/below"], "cannot be written"),
        (["new", "mika", "--folder", "{full}/new", "--from", "kohako"], "did you mean 'kohaku'"),
    ],
)
def test_what_cannot_be_made_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    (tmp_path / "file").write_text("mine", "utf-8")
    assert main([each.replace("{full}", str(tmp_path)) for each in arguments]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert (tmp_path / "file").read_text("utf-8") == "mine"
