"""Docs say what is so: links lead somewhere, commands exist, the sample engine runs."""

import re
import sys
from pathlib import Path

import pytest

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
