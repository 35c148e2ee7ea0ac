import json
import socket
from pathlib import Path

import pytest

from dialogue.plugins import EngineEntry
from stage import doctor
from stage.cli import main
from stage.config import LLM, Show, Web
from stage.doctor import Check, EngineState
from stage.models.store import ModelStore


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    monkeypatch.setenv("BUNRAKU_CACHE", str(tmp_path))
    return ModelStore()


def states(checks: list[Check]) -> dict[str, str]:
    return {check.text.split(" ")[0]: check.state for check in checks}


def test_missing_default_models_stop_a_show_and_say_how_to_fetch_them(empty: ModelStore) -> None:
    checks = doctor.models(Show(), empty)
    assert states(checks)["kokoro-82m"] == "bad"
    assert all(check.remedy.startswith("`bunraku models fetch ") for check in checks)


def test_the_recogniser_is_not_needed_for_a_show(empty: ModelStore) -> None:
    assert states(doctor.models(Show(), empty))["whisper-base"] == "warn"


def test_a_show_on_a_server_needs_no_language_model(empty: ModelStore) -> None:
    server = Show(llm=LLM(engine="openai", options={"base_url": "http://x/v1", "model": "m"}))
    assert not any(name.startswith("qwen") for name in states(doctor.models(server, empty)))


def test_a_model_file_that_is_not_there_is_named(empty: ModelStore) -> None:
    show = Show(llm=LLM(options={"model": "mine.gguf"}))
    first = doctor.models(show, empty)[0]
    assert (first.state, first.remedy) == ("bad", "check the path")
    assert "mine.gguf" in first.text


def test_a_half_fetched_model_can_go_on(empty: ModelStore) -> None:
    (empty.root / ".fetching" / "kokoro-82m").mkdir(parents=True)
    check = next(c for c in doctor.models(Show(), empty) if c.text.startswith("kokoro"))
    assert "half fetched" in check.text
    assert check.remedy == "`bunraku models fetch kokoro-82m` goes on with it"


def test_a_port_in_use_is_a_warning_with_another_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        check = doctor.port(Show(web=Web(port=number)))
    assert (check.state, f"port {number} is in use" in check.text) == ("warn", True)
    assert "--port" in check.remedy


def test_a_host_that_is_not_of_this_machine_stops_a_show() -> None:
    assert doctor.port(Show(web=Web(host="192.0.2.1"))).state == "bad"


def test_a_session_without_a_display_is_told_how_to_get_a_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor.sys, "platform", "linux")
    monkeypatch.setattr(doctor, "_installed", lambda module: True)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    (check,) = doctor.display()
    assert (check.state, "no display" in check.text, "DISPLAY" in check.remedy) == (
        "warn", True, True
    )  # fmt: skip
    monkeypatch.setenv("DISPLAY", ":7")
    (check,) = doctor.display()
    assert (check.state, check.text) == ("ok", "a window can be shown on :7")


def test_a_window_without_sdl_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.sys, "platform", "linux")
    monkeypatch.setattr(doctor, "_installed", lambda module: False)
    (check,) = doctor.display()
    assert (check.state, "bunraku[window]" in check.remedy) == ("warn", True)


def engine(kind: str, name: str, why: str = "", languages: tuple[str, ...] = ()) -> EngineState:
    entry = EngineEntry(kind, name, f"{name}:{name}", "bunraku")
    return EngineState(entry, "warn" if why else "ok", why, languages, {}, "")


def test_an_optional_engine_only_warns_and_a_needed_one_stops_a_show() -> None:
    found = doctor.engine_checks(
        Show(),
        [
            engine("tts", "kokoro", languages=("en",)),
            engine("tts", "coqui", "pip install it"),
            engine("renderer", "puppet", "pip install skia-python"),
        ],
    )
    assert [(c.state, c.text) for c in found[1:]] == [
        ("warn", "tts coqui (optional): pip install it"),
        ("bad", "renderer puppet: pip install skia-python"),
    ]


def test_without_any_voice_the_host_would_be_mute() -> None:
    found = doctor.engine_checks(Show(), [engine("tts", "kokoro", "no model")])
    assert ("bad", "no voice is ready: the host would be mute") in [
        (c.state, c.text) for c in found
    ]


def test_an_engine_that_the_show_configures_is_not_complained_about() -> None:
    show = Show(llm=LLM(engine="openai", options={"base_url": "http://x/v1", "model": "m"}))
    found = doctor.engine_checks(
        show,
        [
            engine("llm", "openai", "set base_url, model in show.toml"),
            engine("tts", "kokoro", languages=("en",)),
        ],
    )
    assert all(check.state == "ok" for check in found)


def test_doctor_exits_with_1_only_when_a_show_could_not_run(
    empty: ModelStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "in the way of `bunraku live`" in text
    assert "\x1b" not in text


def test_doctor_speaks_json(empty: ModelStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert {"python", "machine", "disk", "models", "page", "sound", "camera"} <= {
        row["area"] for row in rows
    }
    assert all(row["state"] in ("ok", "warn", "bad") and row["text"] for row in rows)
    assert all(
        row["remedy"] or row["area"] in ("engines",) for row in rows if row["state"] == "bad"
    )
