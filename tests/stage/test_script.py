from pathlib import Path

import pytest

from stage import script
from stage.config import ConfigError
from stage.script import ScriptLine


def write(folder: Path, text: str) -> Path:
    path = folder / "lines.txt"
    path.write_text(text, "utf-8")
    return path


def test_times_authors_and_texts_are_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "# a comment\n\n0:03 Mika: Hi: you!\n1:02.5 小雨：今天怎么样？\n"
        "+8 just text\n> ゆき: またね\n",
    )
    assert script.read(path) == [
        ScriptLine(3.0, "Mika", "Hi: you!"),
        ScriptLine(62.5, "小雨", "今天怎么样？"),
        ScriptLine(70.5, "", "just text"),
        ScriptLine(None, "ゆき", "またね"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello", [":1:", "not a timed line"]),
        ("0:05 a: b\n0:04 a: c", [":2:", "back in time"]),
        ("# nothing", ["no lines"]),
    ],
)
def test_a_broken_script_names_its_line(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        script.read(write(tmp_path, text))
    for word in words:
        assert word in str(caught.value)


def test_a_missing_script_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the script"):
        script.read(tmp_path / "none.txt")
