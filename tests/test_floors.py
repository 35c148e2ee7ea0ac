"""Imports go down only: stage > render > avatar > voice > dialogue."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = ("dialogue", "voice", "avatar", "render", "stage")
SOURCES = [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_floor_imports_only_the_floors_below(path: Path) -> None:
    floor = FLOORS.index(path.relative_to(ROOT).parts[0])
    above = set(FLOORS[floor + 1 :])
    assert not imported(path) & above
    assert "tests" not in imported(path)


@pytest.mark.parametrize("floor", FLOORS)
def test_each_floor_says_what_it_does_where_it_runs_and_its_budget(floor: str) -> None:
    text = ast.get_docstring(ast.parse((ROOT / floor / "__init__.py").read_text("utf-8"))) or ""
    assert "Runs in" in text or "processes" in text
    assert "Budget" in text


def test_nothing_reads_the_workplace_of_its_authors() -> None:
    banned = re.compile(r"\.\./shared|/root/|/work/main")
    for folder in (*FLOORS, "tests", "characters", "docs"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".toml", ".md", ".svg", ".js", ".html"}:
                if path == Path(__file__):
                    continue
                assert not banned.search(path.read_text("utf-8")), path
