"""What was measured is printed, read again, and laid out by way out."""

import argparse
from pathlib import Path

import numpy as np
import pytest

from stage.bench.air import figure
from stage.bench.figures import Figure, as_json, as_table, from_json
from stage.bench.grid import as_grid
from stage.cli import main
from stage.commands import bench
from stage.config import ConfigError

FIGURES = [
    figure("RTMP, median", -6.2, "ms", "|x|<= 10", "33 words", cell=("rtmp", "offset")),
    figure("RTMP, 99 %", 34.8, "ms", "<= 33.4", "33 words", cell=("rtmp", "p99")),
    figure("a fast card", 0.3, "ms/h", "|x|<= 0.1", "eight hours", cell=("hours", "drift")),
    figure("a slow card", -0.001, "ms/h", "|x|<= 0.1", "eight hours", cell=("hours", "drift")),
    figure("overlay, median", None, "ms", "|x|<= 10", "no Chromium", cell=("overlay", "offset")),
    figure("loudness", -0.3, "LU", "|x|<= 1", "in no row"),
]


def rows(markdown: bool) -> list[list[str]]:
    lines = as_grid(FIGURES, markdown=markdown).splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_ways_out_stand_in_rows_and_what_was_measured_in_columns():
    head, _, *found = rows(markdown=True)
    assert head == ["way out", "A/V offset, median", "99 % within", "drift"]
    assert ["RTMP", "-6.2 ms", "**34.8 ms**", ""] in found


def test_a_cell_shows_the_worst_that_stands_in_it():
    assert ["sound card of ±200 ppm, eight virtual hours", "", "", "**0.3 ms/h**"] in rows(True)


def test_what_was_not_measured_says_so():
    assert ["overlay, WebRTC in Chromium", "not measured", "", ""] in rows(markdown=True)


def test_the_day_and_the_machine_stand_below():
    last = as_grid(FIGURES).splitlines()[-1]
    assert FIGURES[0].when in last
    assert FIGURES[0].machine in last
    assert "core" in last


def test_a_terminal_gets_columns_and_a_mark():
    text = as_grid(FIGURES)
    head, *found = [line for line in text.splitlines() if line]
    row = next(line for line in found if line.startswith("RTMP"))
    assert row.index("34.8 ms !") == head.index("99 % within")


def test_figures_without_a_cell_make_no_grid():
    assert as_grid([FIGURES[-1]]) == ""


def test_a_cell_that_is_not_there_is_an_error_of_ours():
    with pytest.raises(ValueError, match="no cell"):
        figure("x", 1.0, "ms", "report", "", cell=("rtmp", "colour"))


def test_what_is_written_can_be_read():
    assert from_json(as_json(FIGURES)) == FIGURES


def test_numbers_of_numpy_are_numbers() -> None:
    offset = np.median(np.array([1.5, 2.5]))
    (read,) = from_json(as_json([figure("x", offset, "ms", "<= 3", "")]))
    assert (read.value, read.met) == (2.0, True)


def test_markdown_has_targets_as_people_write_them():
    lines = as_table(FIGURES, markdown=True).splitlines()
    assert "| RTMP, median | -6.2 ms | within ± 10 ms | met |" in lines
    assert "| RTMP, 99 % | 34.8 ms | ≤ 33.4 ms | **missed** |" in lines


def test_later_files_replace_what_earlier_ones_say(tmp_path, capsys):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(as_json(FIGURES), "utf-8")
    later = Figure("air", "RTMP, 99 %", 30.0, "ms", "<= 33.4", "again", ("rtmp", "p99"))
    new.write_text(as_json([later]), "utf-8")
    assert main(["bench", "--from", f"{old},{new}", "--markdown"]) == 0
    printed = capsys.readouterr().out
    assert "| RTMP | -6.2 ms | 30 ms |" in printed
    assert "34.8" not in printed
    assert "| loudness | -0.3 LU | within ± 1 LU | met |" in printed


def test_a_missed_target_is_an_exit_code_if_asked_for(tmp_path, capsys):
    saved = tmp_path / "saved.json"
    saved.write_text(as_json(FIGURES), "utf-8")
    assert main(["bench", "--from", str(saved), "--strict"]) == 1
    assert "MISSED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "line"), [(None, "cannot be read"), ("[{}]", "not what"), ("film", "not what")]
)
def test_a_file_that_holds_no_figures_is_named(tmp_path: Path, content: str | None, line: str):
    saved = tmp_path / "saved.json"
    if content is not None:
        saved.write_text(content, "utf-8")
    parser = argparse.ArgumentParser()
    bench.add(parser)
    with pytest.raises(ConfigError, match=line) as caught:
        bench.run(parser.parse_args(["--from", str(saved)]))
    assert str(saved) in str(caught.value)


def test_what_was_measured_is_kept_after_each_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.json"
    seen: list[int] = []

    def second() -> list[Figure]:
        seen.append(len(from_json(kept.read_bytes())))
        return FIGURES[1:3]

    parts = {"one": ("a", lambda: FIGURES[:1]), "two": ("b", second)}
    monkeypatch.setattr("stage.bench.air.parts.PARTS", parts)
    assert main(["bench", "--area", "air", "--save", str(kept)]) == 0
    assert seen == [1]
    assert from_json(kept.read_bytes()) == FIGURES[:3]
    assert "a fast card" in capsys.readouterr().out
    assert main(["bench", "--area", "air", "--save", str(tmp_path / "no" / "kept.json")]) == 1
    assert "no/kept.json: cannot be written" in capsys.readouterr().err
    assert seen == [1]
