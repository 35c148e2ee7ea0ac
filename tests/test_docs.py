"""Docs say what is so: links lead somewhere, commands exist, the sample engine runs."""

import re
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from avatar.pose import STANDARD
from avatar.puppet.rigfile import LayerSpec, SpringSpec, TurnSpec
from stage import cli

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_link_to_a_file_leads_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_command_in_the_docs_exists(page: Path) -> None:
    for command in re.findall(r"\bbunraku ([a-z]+)\b", page.read_text("utf-8")):
        assert command in cli.COMMANDS or command in {"into"}, command


def test_the_tables_of_the_guide_to_drawing_are_what_a_rig_reads() -> None:
    text = (ROOT / "docs" / "draw-your-own-host.md").read_text("utf-8")
    layers, springs = [], []
    for block in re.findall(r"```toml\n(.*?)```", text, re.S):
        tables = tomllib.loads(block)
        assert set(tables) <= {"layer", "spring", "turn"}
        layers += msgspec.convert(tables.get("layer", []), list[LayerSpec])
        springs += msgspec.convert(tables.get("spring", []), list[SpringSpec])
        for turn in msgspec.convert(tables.get("turn", []), list[TurnSpec]):
            assert any(parameter.id == turn.parameter for parameter in STANDARD)
    assert {name for spring in springs for name in spring.layers} <= {each.name for each in layers}
    assert len(springs) == 1


def test_the_guide_to_drawing_has_every_parameter_with_its_range() -> None:
    text = (ROOT / "docs" / "draw-your-own-host.md").read_text("utf-8")
    told: dict[str, str] = {}
    for names, low, high in re.findall(r"^\| (`.*?) \| (\S+) to (\S+) \|", text, re.M):
        for name in re.findall(r"`([\w.]+)`", names):
            told[name.replace("...", "ParamHandL")] = f"{low} {high}"
    for parameter in STANDARD:
        name = re.sub("^ParamHandR(?=.)", "ParamHandL", parameter.id)
        name = "Viseme_aa" if name.startswith("Viseme_") else name
        assert told.get(name) == f"{parameter.min:g} {parameter.max:g}", name
    assert set(told) <= {parameter.id for parameter in STANDARD}


def test_the_makefile_has_the_targets_of_the_readme() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in ("run", "test", "check", "bench", "setup", "clean"):
        assert re.search(rf"^{target}:", makefile, re.M)


def test_the_sample_engine_of_the_docs_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / "add-an-engine.md").read_text("utf-8")
    code = next(b for b in re.findall(r"```python\n(.*?)```", text, re.S) if "class Beeper" in b)
    (tmp_path / "my_voice.py").write_text(code, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_voice", raising=False)
    from dialogue import plugins
    from dialogue.messages import Utterance
    from voice.speaker import Speaker

    voice = plugins.create("tts", "my_voice:Beeper", {"pitch_hz": 220.0})
    chunks = list(Speaker({"*": [voice]}).speak(Utterance(1, 0, "one two three", "en")))
    assert sum(len(c.samples) for c in chunks) == 3 * 9600
    assert [w.start_char for c in chunks for w in c.words] == [0, 4, 8]
    assert chunks[-1].final
