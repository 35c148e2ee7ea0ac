"""The virtual audio cable: made, found and taken away (PipeWire and PulseAudio, by `pactl`).

The cable is a null sink: what is played into "Bunraku" can be recorded from "Monitor of Bunraku",
which programs list among the microphones. It lasts until it is removed or the user logs out.
"""

import shutil
import subprocess

from dialogue.plugins import EngineError

NAME = "Bunraku"
SINK = "bunraku_cable"
"""Its name inside the sound server."""

USE = """\
play the host into it
  bunraku live --cable

hear it elsewhere
  OBS       Sources, +, Audio Output Capture (PulseAudio), Device: Bunraku
  Discord   User Settings, Voice & Video, Input Device: Monitor of Bunraku;
            switch off noise suppression, echo cancellation and automatic gain
  Zoom      Settings, Audio, Microphone: Monitor of Bunraku; Original sound for musicians: on
  browsers  when a page asks for the microphone, choose Monitor of Bunraku

`bunraku cable --remove` takes it away; it is also gone when you log out."""
"""What to choose where, once the cable is there."""

_WINDOWS = """\
On Windows a cable is a driver: install VB-CABLE (vb-audio.com/Cable, donationware) and restart.

play the host into it
  bunraku live --cable

hear it elsewhere
  OBS       Sources, +, Audio Input Capture, Device: CABLE Output
  Discord   User Settings, Voice & Video, Input Device: CABLE Output
  Zoom      Settings, Audio, Microphone: CABLE Output"""

_MACOS = """\
On macOS a cable is a driver: `brew install blackhole-2ch` (GPL-3.0), then log out and in.

play the host into it
  bunraku live --cable

hear it elsewhere
  OBS       Sources, +, Audio Input Capture, Device: BlackHole 2ch
  Discord   User Settings, Voice & Video, Input Device: BlackHole 2ch
  Zoom      Settings, Audio, Microphone: BlackHole 2ch

To hear it yourself as well: Audio MIDI Setup, +, Multi-Output Device, tick both."""

_TIMEOUT_S = 5.0


def guidance(platform: str) -> str:
    """Return what to install on a system where a cable cannot be made by a command."""
    return _WINDOWS if platform == "win32" else _MACOS


def options(platform: str) -> dict[str, str]:
    """Return the keywords with which the `device` sink plays into the cable on a system."""
    if platform == "win32":
        return {"device": "CABLE Input"}
    return {"device": "BlackHole 2ch"} if platform == "darwin" else {"route": SINK}


def find() -> str:
    """Return the number of the cable's module in the sound server; "" where there is none.

    Raises:
        EngineError: no `pactl`, or no sound server that answers; says what to do.
    """
    for row in _pactl("list", "short", "modules").splitlines():
        number, _, rest = row.partition("\t")
        if "module-null-sink" in rest and f"sink_name={SINK}" in rest:
            return number
    return ""


def make() -> None:
    """Make the cable.

    Raises:
        EngineError: the sound server refuses, or there is none.
    """
    _pactl(
        "load-module", "module-null-sink", f"sink_name={SINK}", "rate=48000", "channels=2",
        f"sink_properties=device.description={NAME}",
    )  # fmt: skip


def remove() -> bool:
    """Take the cable away; False where there was none.

    Raises:
        EngineError: there is no sound server.
    """
    found = False
    while number := find():
        _pactl("unload-module", number)
        found = True
    return found


def _pactl(*words: str) -> str:
    program = shutil.which("pactl")
    if program is None:
        raise EngineError(
            "cable: pactl is missing; run `sudo apt install pulseaudio-utils` "
            "(it talks to PipeWire too)"
        )
    try:
        done = subprocess.run(
            [program, *words], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"cable: pactl does not answer ({error}); restart PipeWire") from None
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise EngineError(
            f"cable: pactl {words[0]} failed ({why}); is a sound server running? "
            "`systemctl --user start pipewire-pulse`, or `pulseaudio --start`"
        )
    return done.stdout
