import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from dialogue.plugins import EngineEntry, EngineUnavailable
from stage import doctor
from stage.cli import main
from stage.models.store import ModelStore


class Plain:
    """Needs nothing."""

    needs: ClassVar[Mapping[str, str]] = {}


class Hungry:
    """Needs a model."""

    needs: ClassVar[Mapping[str, str]] = {"model": "kokoro-82m"}
    languages = ("ja", "en")

    def __init__(self, *, model: Path) -> None:
        raise AssertionError("nothing may be made to find out")


def look(kind: str, name: str, reference: str, store: ModelStore) -> doctor.EngineState:
    return doctor.look(EngineEntry(kind, name, reference, ""), store)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path)


def test_an_engine_that_needs_nothing_is_ready(store: ModelStore) -> None:
    name = f"{__name__}:Plain"
    assert look("renderer", name, name, store).state == "ok"


def test_an_engine_without_its_model_says_how_to_fetch_it(store: ModelStore) -> None:
    name = f"{__name__}:Hungry"
    state = look("tts", name, name, store)
    assert (state.state, state.languages) == ("warn", ("ja", "en"))
    assert state.why.endswith("run `bunraku models fetch kokoro-82m`")
    assert state.licence == "Apache-2.0"


def write(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> str:
    (folder / f"{name}.py").write_text(text, "utf-8")
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop(name, None)
    return f"{name}:Engine"


def test_a_missing_module_is_told_in_the_engines_own_words(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "from dialogue.plugins import EngineUnavailable\n"
        "class Engine:\n"
        "    def __init__(self, *, model):\n"
        "        try:\n"
        "            import no_such_module\n"
        "        except ImportError:\n"
        "            raise EngineUnavailable('pip install bunraku[torch]') from None\n"
    )
    name = write(tmp_path, monkeypatch, "engine_with_extra", text)
    assert look("llm", name, name, store).why == "pip install bunraku[torch]"


def test_an_import_that_the_engine_can_do_without_is_not_missed(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "class Engine:\n"
        "    def __init__(self):\n"
        "        try:\n"
        "            import no_such_module\n"
        "        except ImportError:\n"
        "            self.fast = False\n"
    )
    name = write(tmp_path, monkeypatch, "engine_with_choice", text)
    assert look("tts", name, name, store).state == "ok"


def test_a_plug_in_that_does_not_even_load_is_one_line(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = write(tmp_path, monkeypatch, "engine_that_breaks", "raise ValueError('oh no')\n")
    state = look("tts", name, name, store)
    assert (state.state, state.why) == ("warn", "its module fails to load: ValueError: oh no")


def test_every_registered_engine_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engines", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    names = {(row["kind"], row["name"]) for row in rows}
    assert {("llm", "llama"), ("tts", "kokoro"), ("asr", "whisper"), ("sink", "file")} <= names
    assert all(row["ready"] or row["why"] for row in rows)
    assert all(row["origin"] for row in rows)


def test_one_kind_is_listed_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engines", "asr", "--json"]) == 0
    assert {row["kind"] for row in json.loads(capsys.readouterr().out)} == {"asr"}


def test_an_unknown_kind_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engines", "voice"]) == 1
    assert "no kind of engine is called 'voice'; llm, tts, asr" in capsys.readouterr().err


def test_the_error_of_an_unknown_engine_is_kept(store: ModelStore) -> None:
    state = look("tts", "kokora", "nowhere:Nothing", store)
    assert "did you mean 'kokoro'" in state.why
    assert issubclass(EngineUnavailable, RuntimeError)
