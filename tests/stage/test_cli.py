import io
import os
from pathlib import Path

import pytest

from stage import cli
from stage.cli import main
from stage.commands.models import FetchBar
from stage.models.store import ModelStore
from stage.terminal import Terminal


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    monkeypatch.setenv("BUNRAKU_CACHE", str(tmp_path))
    return ModelStore()


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name}" in text for name in cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert f"bunraku {name}" in capsys.readouterr().out.split("options:")[0]


def test_a_misspelt_command_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["docter"]) == 2
    assert "did you mean `bunraku doctor`?" in capsys.readouterr().err


def test_models_lists_what_is_missing_and_how_to_get_it(
    empty: ModelStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    assert "kokoro-82m" in text
    assert "not here (default)" in text
    assert "`bunraku models fetch` gets what a show needs" in text
    assert str(empty.root) in text
    assert "\x1b" not in text


def test_where_is_the_folder_or_the_error_of_a_missing_model(
    empty: ModelStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "where"]) == 0
    assert capsys.readouterr().out.strip() == str(empty.root)
    assert main(["models", "where", "piper-joe"]) == 1
    assert "run `bunraku models fetch piper-joe`" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["fetch", "remove", "verify"])
def test_an_unknown_model_is_answered_with_the_nearest(
    action: str, empty: ModelStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", action, "piper-jo"]) == 1
    assert "did you mean 'piper-joe'?" in capsys.readouterr().err


def test_verify_of_nothing_says_so(empty: ModelStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "verify"]) == 1
    assert "no models are here" in capsys.readouterr().err


def test_remove_deletes_what_was_half_fetched(
    empty: ModelStore, capsys: pytest.CaptureFixture[str]
) -> None:
    part = empty.root / ".fetching" / "piper-joe"
    part.mkdir(parents=True)
    assert main(["models", "remove", "piper-joe"]) == 0
    assert capsys.readouterr().out == "piper-joe: removed\n"
    assert not part.exists()
    assert main(["models", "remove", "piper-joe"]) == 0
    assert capsys.readouterr().out == "piper-joe: was not here\n"


def test_progress_is_one_moving_line_on_a_terminal_and_few_lines_elsewhere() -> None:
    screen, pipe = Screen(), io.StringIO()
    for stream in (screen, pipe):
        bar = FetchBar("voice", Terminal(stream))
        for done in range(0, 1001):
            bar.show("voice", done * 1000, 1_000_000, "hub")
        bar.end()
    assert "\n" not in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[K")
    assert pipe.getvalue().count("\n") == 11
    assert "100% of 1 MB" in pipe.getvalue()


def test_colour_is_only_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert Terminal(Screen()).mark("ok") == "\x1b[32m✓\x1b[0m"
    assert Terminal(io.StringIO()).mark("ok") == "✓"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Terminal(Screen()).mark("bad") == "✗"


def test_columns_stay_straight_with_colours_and_wide_characters() -> None:
    stream = Screen()
    out = Terminal(stream)
    out.table([[out.paint("琥珀", "32"), "a"], ["Kohaku", "b"]])
    assert stream.getvalue().splitlines()[1] == "Kohaku  b"
    assert stream.getvalue().splitlines()[0].endswith("  " + "  a")


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    import subprocess
    import sys

    code = (
        "import sys, stage.cli; "
        "print([m for m in ('numpy', 'av', 'aiohttp', 'onnxruntime') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert done.stdout.strip() == "[]"
