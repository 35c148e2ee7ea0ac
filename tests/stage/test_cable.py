"""The virtual audio cable, against a `pactl` that remembers, and against a real PulseAudio."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dialogue.plugins import EngineError
from stage import cables, doctor
from stage.cli import main

PACTL = """\
#!{python}
import sys
from pathlib import Path
state, log = Path({folder!r}) / "modules", Path({folder!r}) / "log"
rows = state.read_text().splitlines() if state.exists() else []
words = sys.argv[1:]
with log.open("a") as file:
    print(*words, file=file)
if (Path({folder!r}) / "down").exists():
    print("Connection failure: Connection refused", file=sys.stderr)
    sys.exit(1)
if words[:3] == ["list", "short", "modules"]:
    print("1\\tmodule-native-protocol-unix\\t", *rows, sep="\\n")
elif words[0] == "load-module":
    rows.append(f"{{20 + len(rows)}}\\t{{words[1]}}\\t{{' '.join(words[2:])}}\\t")
elif words[0] == "unload-module":
    rows = [row for row in rows if row.split("\\t")[0] != words[1]]
state.write_text("\\n".join(rows))
"""

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="cables are made on Linux")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a `pactl` on PATH that keeps modules in a file."""
    program = tmp_path / "pactl"
    program.write_text(PACTL.format(python=sys.executable, folder=str(tmp_path)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path


@linux
def test_the_cable_is_made_once_and_it_says_what_to_choose(
    server: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cable"]) == 0
    text = capsys.readouterr().out
    for word in ("is made", "OBS", "Discord", "Zoom", "Monitor of Bunraku", "bunraku live --cable"):
        assert word in text
    assert main(["cable"]) == 0
    assert "is there already" in capsys.readouterr().out
    made = [row for row in (server / "log").read_text().splitlines() if row.startswith("load")]
    assert made == [
        "load-module module-null-sink sink_name=bunraku_cable rate=48000 channels=2 "
        "sink_properties=device.description=Bunraku"
    ]


@linux
def test_the_cable_is_taken_away(server: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["cable"])
    assert main(["cable", "--status"]) == 0
    assert main(["cable", "--remove"]) == 0
    assert main(["cable", "--status"]) == 1
    assert main(["cable", "--remove"]) == 0
    assert "there was no cable" in capsys.readouterr().out


@linux
def test_without_a_sound_server_one_line_says_how_to_start_it(
    server: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (server / "down").touch()
    assert main(["cable"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "Connection refused" in line
    assert "pipewire-pulse" in line


@linux
def test_without_pactl_one_line_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="pulseaudio-utils"):
        cables.find()
    (check,) = doctor.cable("linux")
    assert (check.area, check.state) == ("cable", "warn")
    assert "pulseaudio-utils" in check.remedy


@linux
def test_the_doctor_knows_the_cable(server: Path) -> None:
    (before,) = doctor.cable("linux")
    assert "`bunraku cable` makes it" in before.text
    cables.make()
    (after,) = doctor.cable("linux")
    assert (after.state, "is there" in after.text) == ("ok", True)


@linux
def test_a_show_asks_for_the_cable_that_is_not_there(
    server: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["live", "--cable"]) == 1
    assert "`bunraku cable` makes it" in capsys.readouterr().err


@pytest.mark.parametrize(("platform", "name"), [("win32", "VB-CABLE"), ("darwin", "BlackHole")])
def test_on_other_systems_it_says_what_to_install_and_choose(
    platform: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert main(["cable"]) == 0
    text = capsys.readouterr().out
    for word in (name, "OBS", "Discord", "Zoom"):
        assert word in text
    assert doctor.cable(platform)[0].state == "ok"


@pytest.fixture
def pulse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run a PulseAudio of our own, without a device."""
    for program in ("pulseaudio", "pactl", "parec"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program} on PATH (Debian: pulseaudio, pulseaudio-utils)")
    for key in ("XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH", "HOME"):
        monkeypatch.setenv(key, str(tmp_path))
    monkeypatch.delenv("PULSE_SERVER", raising=False)
    server = subprocess.Popen(
        ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no",
         "-L", "module-native-protocol-unix"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(100):
            if subprocess.run(["pactl", "info"], capture_output=True, check=False).returncode == 0:
                break
            server.poll()
        else:
            pytest.skip("PulseAudio does not start here")
        yield
    finally:
        server.terminate()
        server.wait(10)


@linux
@pytest.mark.pulseaudio
def test_a_real_cable_carries_what_our_sink_plays(pulse: None) -> None:
    from stage.bench.air.cable import listen

    cables.make()
    heard = listen(seconds=3.0)
    assert heard.level_db == pytest.approx(heard.sent_db, abs=0.5)
    assert heard.hz == pytest.approx(440.0, abs=2.0)
    assert heard.onsets >= 2
    assert cables.remove()
    assert os.environ.get("PULSE_SINK") is None
