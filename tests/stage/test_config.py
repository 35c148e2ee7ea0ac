from pathlib import Path

import pytest

from stage import config
from stage.config import ConfigError

ROOT = Path(__file__).parent.parent.parent


def write(folder: Path, text: str) -> Path:
    path = folder / "show.toml"
    path.write_text(text, "utf-8")
    return path


def test_no_file_means_the_defaults() -> None:
    assert config.load(None) == config.Show()


def test_a_key_is_read(tmp_path: Path) -> None:
    show = config.load(write(tmp_path, '[llm]\nengine = "openai"\n[video]\nfps = 60\n'))
    assert (show.llm.engine, show.video.fps) == ("openai", 60)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('charcter = "kohaku"', ["show.toml", "'charcter'", "did you mean 'character'"]),
        ("[video]\nfsp = 30", ["video.'fsp'", "did you mean 'fps'"]),
        ("[video]\nfps = 29", ["video.fps = 29", "try 30"]),
        ('[captions]\ntranslate = "xx"', ["captions.translate = 'xx'", "try en, zh, ja"]),
        ("[video]\nwidth = 1281", ["even numbers"]),
        ("[web]\nport = 70000", ["show.toml", "65535"]),
        ("[video\n", ["not valid TOML"]),
        ("[llm]\ntemperature = 'hot'", ["temperature"]),
    ],
)
def test_a_mistake_gets_one_line_with_file_key_and_remedy(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(write(tmp_path, text))
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot read it"):
        config.load(tmp_path / "nowhere.toml")


def test_the_reference_in_docs_is_what_the_code_says() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    assert page == config.reference(), "run: python -m stage.config > docs/configuration.md"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("1080p", (1920, 1080)), ("portrait", (1080, 1920)), ("640x360", (640, 360))],
)
def test_a_size_is_a_name_or_two_numbers(name: str, expected: tuple[int, int]) -> None:
    show = config.build({"video": {"size": name, "fps": 60}}, "show.toml")
    assert (show.video.width, show.video.height, show.video.fps) == (*expected, 60)
    assert show.video.size == ""


def test_an_unknown_size_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"video.size: there is no size 'potrait'; did you mean"):
        config.build({"video": {"size": "potrait"}}, "show.toml")


def test_a_size_said_twice_is_an_error() -> None:
    with pytest.raises(ConfigError, match="the same twice"):
        config.build({"video": {"size": "1080p", "height": 720}}, "show.toml")


def test_an_odd_size_is_an_error_by_either_way() -> None:
    with pytest.raises(ConfigError, match="even"):
        config.build({"video": {"size": "641x360"}}, "show.toml")
