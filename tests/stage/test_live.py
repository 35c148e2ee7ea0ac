"""What the command line of `bunraku live` makes of recordings."""

import argparse
from pathlib import Path

import pytest

from stage.commands import live
from stage.config import ConfigError, Show


def show(*words: str) -> Show:
    parser = argparse.ArgumentParser()
    live.add(parser)
    return live._show(parser.parse_args(words))


@pytest.mark.parametrize(
    ("split", "key", "value"),
    [
        ("30min", "split_min", 30.0),
        ("2h", "split_min", 120.0),
        ("90s", "split_min", 1.5),
        ("900MB", "split_mb", 900.0),
        ("1.5 GB", "split_mb", 1500.0),
    ],
)
def test_a_recording_is_split_by_time_or_size(
    tmp_path: Path, split: str, key: str, value: float
) -> None:
    sink = show("--record", str(tmp_path / "show.mkv"), "--split", split).sinks["record"]
    assert sink.engine == "file"
    assert sink.options[key] == pytest.approx(value)
    assert sink.options["captions"] is True


def test_a_recording_has_captions_unless_it_is_told_not_to(tmp_path: Path) -> None:
    sink = show("--record", str(tmp_path / "show.mp4"), "--no-captions").sinks["record"]
    assert sink.options == {
        "path": str(tmp_path / "show.mp4"), "overwrite": False, "captions": False,
    }  # fmt: skip


@pytest.mark.parametrize("split", ["", "soon", "30", "0min", "-2h", "5parsecs"])
def test_a_length_that_is_none_is_named_with_examples(tmp_path: Path, split: str) -> None:
    film = str(tmp_path / "show.mp4")
    if not split:
        with pytest.raises(ConfigError, match="--split needs --record"):
            show("--split", "30min")
        return
    with pytest.raises(ConfigError, match="write a length such as 30min"):
        show("--record", film, f"--split={split}")


def test_a_suffix_that_is_no_film_is_an_error_before_the_show_begins(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"films are \.mp4 or \.mkv"):
        show("--record", str(tmp_path / "show.avi"))
