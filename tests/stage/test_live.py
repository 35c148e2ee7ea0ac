"""What the command line of `bunraku live` makes of recordings, cameras and sound devices."""

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


def test_a_camera_comes_with_its_sound() -> None:
    sinks = show("--camera").sinks
    assert {name: sink.engine for name, sink in sinks.items()} == {
        "camera": "camera", "speakers": "device",
    }  # fmt: skip
    assert sinks["speakers"].options == {}


@pytest.mark.parametrize(("word", "device"), [("VB-Cable", "VB-Cable"), ("3", 3)])
def test_the_sound_of_a_camera_goes_to_the_device_that_is_named(
    word: str, device: str | int
) -> None:
    assert show("--camera", "--device", word).sinks["speakers"].options == {"device": device}
    assert set(show("--device", word).sinks) == {"speakers"}


def test_a_show_of_ones_own_keeps_its_camera_and_its_device(tmp_path: Path) -> None:
    path = tmp_path / "show.toml"
    path.write_text(
        '[sinks.camera]\nengine = "camera"\noptions = { device = "/dev/video4" }\n'
        '[sinks.speakers]\nengine = "device"\noptions = { device = "Cable" }\n'
    )
    sinks = show("--config", str(path), "--camera").sinks
    assert sinks["camera"].options == {"device": "/dev/video4"}
    assert sinks["speakers"].options == {"device": "Cable"}


def test_the_operator_is_told_what_to_choose_where() -> None:
    assert live._lesson(show()) == ""
    assert live._lesson(show("--speakers")) == ""
    alone = live._lesson(show("--camera"))
    assert "in Zoom, Teams, Discord or OBS" in alone
    assert "--device NAME (docs/camera.md)" in alone
    assert live._lesson(show("--camera", "--device", "Cable")).endswith(
        "the sound is on Cable, in time with it"
    )


def test_a_window_comes_with_sound() -> None:
    made = show("--window").sinks
    assert (made["window"].engine, made["window"].options) == ("window", {"fullscreen": False})
    assert made["speakers"].engine == "device"


def test_full_screen_and_a_monitor_mean_a_window() -> None:
    made = show("--fullscreen", "--monitor", "2", "--size", "portrait", "--fps", "60")
    assert made.sinks["window"].options == {"fullscreen": True, "monitor": 2}
    assert (made.video.width, made.video.height, made.video.fps) == (1080, 1920, 60)
