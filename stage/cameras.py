"""Looks for a virtual camera: what the system has, what stands in its way, and each remedy.

On Linux everything is read below a root (`/sys`, `/dev`, `/proc`, `/etc` ...), so that a test can
make one up; the driver of each device is asked one question and let go. On Windows and macOS the
camera is OBS's, which is only there or not.
"""

import importlib.util
import os
import platform
import re
import sys
from pathlib import Path

from render import v4l2
from render.sinks.camera import MODPROBE, OURS
from stage.doctor import Check

PROVEN = (0, 12, 7)
"""The version of v4l2loopback that `make vm` runs; older ones are known for trouble."""

NONE = "no virtual camera: no --camera"

RELOAD = f"`sudo modprobe -r v4l2loopback && {MODPROBE}`"

KEEP = (
    f"""`echo 'options v4l2loopback exclusive_caps=1 card_label="{OURS}"' """
    "| sudo tee /etc/modprobe.d/bunraku.conf; "
    "echo v4l2loopback | sudo tee /etc/modules-load.d/bunraku.conf`"
)
"""Makes the camera again at every start of the machine."""

_INSTALL = {
    "debian": "sudo apt install v4l2loopback-dkms linux-headers-$(uname -r)",
    "fedora": "sudo dnf install akmod-v4l2loopback",
    "arch": "sudo pacman -S v4l2loopback-dkms linux-headers",
    "suse": "sudo zypper install v4l2loopback-kmp-default",
}
"""Family of distributions -> what installs the module."""

_SECURE_BOOT = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_SNAPS = ("obs-studio", "chromium", "firefox", "discord", "zoom-client", "teams-for-linux")
_FLATPAKS = (
    "com.obsproject.Studio", "org.mozilla.firefox", "org.chromium.Chromium", "com.google.Chrome",
    "com.discordapp.Discord", "us.zoom.Zoom",
)  # fmt: skip


def look(
    system: str = sys.platform,
    *,
    root: Path = Path("/"),
    release: str | None = None,
    kernel: v4l2.System | None = None,
    library: bool | None = None,
) -> list[Check]:
    """Return whether there is a virtual camera, which only `--camera` needs; the worst first.

    Args:
        system: as `sys.platform`.
        root: where the system's folders are.
        release: the kernel's, as `uname -r`; None for the running one.
        kernel: asks the devices; None for the running one.
        library: whether pyvirtualcam is installed; None looks.
    """
    if system == "linux":
        checks = linux(root, release or platform.release(), kernel)
        return sorted(checks, key=lambda check: check.state == "ok")
    there = importlib.util.find_spec("pyvirtualcam") is not None if library is None else library
    if not there:
        return [_warn("no pyvirtualcam: no --camera", "`pip install 'bunraku[camera]'`")]
    return [mac(root) if system == "darwin" else windows(os.environ)]


def linux(root: Path, release: str, kernel: v4l2.System | None) -> list[Check]:
    """Return the state of v4l2loopback and of each of its cameras."""
    module = root / "sys" / "module" / "v4l2loopback"
    devices = v4l2.devices(root)
    if not module.exists() and not devices:
        return [_not_loaded(root, release), *_secure_boot(root)]
    if not devices:
        return [_warn("v4l2loopback is loaded and has no camera: no --camera", RELOAD)]
    capture_only = v4l2.read(module / "parameters" / "exclusive_caps").split(",")
    checks = [
        _device(root, device, exclusive, kernel)
        for device, exclusive in zip(
            devices, [*capture_only, *[""] * len(devices)], strict=False
        )
    ]  # fmt: skip
    if any(check.state == "ok" for check in checks):
        # One is enough: what is wrong with the others is only told.
        checks = [Check(c.area, "ok", c.text, c.remedy) for c in checks]
    return [*checks, *_version(module), *_kept(root), *_sandboxes(root)]


def _not_loaded(root: Path, release: str) -> Check:
    modules = root / "lib" / "modules" / release
    if "microsoft" in release.lower():
        return _warn(
            NONE + " (Windows' Linux has no v4l2loopback)",
            "run Bunraku on Windows itself, with OBS's virtual camera",
        )
    if any(modules.rglob("v4l2loopback.ko*")):
        return _warn(f"{NONE} (v4l2loopback is not loaded)", f"`{MODPROBE}`")
    if any((root / "usr" / "src").glob("v4l2loopback-*")):
        if not (modules / "build").exists():
            return _warn(
                f"{NONE} (v4l2loopback is not built for {release}: its headers are missing)",
                f"`sudo apt install linux-headers-{release} && sudo dkms autoinstall`, then "
                f"`{MODPROBE}`",
            )
        return _warn(
            f"{NONE} (v4l2loopback is not built for {release})",
            f"`sudo dkms autoinstall` (its log says why it was not), then `{MODPROBE}`",
        )
    return _warn(NONE, f"`{_INSTALL[_family(root)]}`, then `{MODPROBE}`")


def _family(root: Path) -> str:
    text = v4l2.read(root / "etc" / "os-release").lower()
    words = " ".join(re.findall(r'^id(?:_like)?="?([^"\n]+)', text, re.M))
    return next((family for family in ("fedora", "arch", "suse") if family in words), "debian")


def _secure_boot(root: Path) -> list[Check]:
    try:
        on = (root / "sys/firmware/efi/efivars" / _SECURE_BOOT).read_bytes()[-1:] == b"\1"
    except OSError:
        return []
    if not on:
        return []
    key = next(
        (
            name
            for name in ("var/lib/shim-signed/mok/MOK.der", "var/lib/dkms/mok.pub")
            if (root / name).exists()
        ),
        "var/lib/dkms/mok.pub",
    )
    return [
        _warn(
            "Secure Boot is on: the kernel takes signed modules only",
            f"where modprobe says `Key was rejected`: `sudo mokutil --import /{key}`, restart, "
            "and choose Enroll MOK",
        )
    ]


def _device(root: Path, device: v4l2.Device, exclusive: str, kernel: v4l2.System | None) -> Check:
    """Return what is to be said about one virtual camera; the most important thing only."""
    name = f"{device.path} ({device.label})" if device.label else str(device.path)
    if not device.path.exists():
        return _warn(f"{name} has no file in /dev", RELOAD)
    if not os.access(device.path, os.W_OK):
        return _warn(
            f"{name} is not writable for you",
            "`sudo usermod -aG video $USER`, then log out and in again",
        )
    holders = v4l2.holders(device.path, root)
    writer = next((h for h in holders if h.writes or h.name == "obs"), None)
    if writer is not None:
        what = "is fed by" if writer.writes else "is open in"
        return _warn(
            f"{name} {what} {writer.name} (process {writer.pid})",
            "close that, or make two: `sudo modprobe -r v4l2loopback && sudo modprobe "
            f"v4l2loopback devices=2 exclusive_caps=1,1 card_label={OURS},Second`",
        )
    try:
        driver, _, capabilities = v4l2.ask(device.path, kernel)
    except v4l2.DeviceError as error:
        text, _, remedy = str(error).partition("; ")
        return _warn(text, remedy)
    if driver != v4l2.DRIVER:
        return _warn(f"{name} is not v4l2loopback's (driver {driver})", f"`{MODPROBE}`")
    if exclusive == "N":
        return _warn(
            f"{name} is for writing and reading at once (exclusive_caps=0): browsers, Zoom, Teams "
            "and Discord will not list it",
            RELOAD,
        )
    looking = ", ".join(f"{h.name} ({h.pid})" for h in holders)
    seen = f", shown by {looking}" if looking else ""
    if not capabilities & v4l2.OUTPUT:
        return Check(
            "camera", "ok", f"virtual camera {name}{seen}, left behind by a program that fed it",
            f"Bunraku tries to revive it; if it cannot, and for other programs: {RELOAD}",
        )  # fmt: skip
    return Check("camera", "ok", f"virtual camera {name}{seen}")


def _version(module: Path) -> list[Check]:
    text = v4l2.read(module / "version")
    numbers = tuple(int(number) for number in re.findall(r"\d+", text)[:3])
    if not numbers or numbers >= PROVEN:
        return []
    proven = ".".join(map(str, PROVEN))
    return [
        Check(
            "camera", "ok", f"v4l2loopback {text} is older than {proven}, which Bunraku is proven "
            "with",
            "where a program does not show the camera, take a newer one from your distribution's "
            "backports",
        )
    ]  # fmt: skip


def _kept(root: Path) -> list[Check]:
    """Return whether the camera is there again after the next start."""
    names = [root / "etc" / "modules", *(root / "etc" / "modules-load.d").glob("*.conf")]
    loaded = any(re.search(r"^\s*v4l2loopback", v4l2.read(name), re.M) for name in names)
    options = [
        (path, match.group(1))
        for path in sorted((root / "etc" / "modprobe.d").glob("*.conf"))
        for match in re.finditer(r"^\s*options\s+v4l2loopback\s+(.*)$", v4l2.read(path), re.M)
    ]
    for path, text in options:
        if "exclusive_caps=1" not in text:
            there = "/" + str(path.relative_to(root))
            return [
                Check(
                    "camera", "ok", f"{there} loads v4l2loopback without exclusive_caps=1",
                    f'write `options v4l2loopback exclusive_caps=1 card_label="{OURS}"` there',
                )
            ]  # fmt: skip
    if loaded and options:
        return []
    return [Check("camera", "ok", "the camera is gone after a restart", f"to keep it: {KEEP}")]


def _sandboxes(root: Path) -> list[Check]:
    """Return what programs need that are shut off from devices."""
    checks = []
    snaps = [name for name in _SNAPS if (root / "snap" / name).exists()]
    if snaps:
        joined = "; ".join(f"sudo snap connect {name}:camera" for name in snaps)
        checks.append(
            Check(
                "camera", "ok", f"installed as a Snap: {', '.join(snaps)}",
                f"where the camera is not listed: `{joined}`",
            )
        )  # fmt: skip
    apps = root / "var" / "lib" / "flatpak" / "app"
    flatpaks = [name for name in _FLATPAKS if (apps / name).exists()]
    if flatpaks:
        joined = "; ".join(f"flatpak override --user --device=all {name}" for name in flatpaks)
        checks.append(
            Check(
                "camera", "ok", f"installed as a Flatpak: {', '.join(flatpaks)}",
                f"where the camera is not listed: `{joined}`, and start the program anew",
            )
        )  # fmt: skip
    return checks


def mac(root: Path) -> Check:
    """Return whether OBS is there; whether its camera is allowed, no program may ask."""
    if not (root / "Applications" / "OBS.app").exists():
        return _warn(
            NONE, "install OBS Studio, start its virtual camera once, allow it, and close OBS"
        )
    return Check(
        "camera", "ok", "OBS Studio is installed; its virtual camera is used",
        "once: start its virtual camera, allow it in System Settings > General > Login Items & "
        "Extensions > Camera Extensions, stop it, and close OBS",
    )  # fmt: skip


def windows(environment: "os._Environ[str] | dict[str, str]") -> Check:
    """Return whether OBS is there."""
    folders = [environment.get(name) for name in ("ProgramFiles", "ProgramFiles(x86)")]
    if any(folder and Path(folder, "obs-studio").is_dir() for folder in folders):
        return Check(
            "camera", "ok", "OBS Studio is installed; its virtual camera is used",
            "OBS itself must not use it at the same time: stop its virtual camera",
        )  # fmt: skip
    return _warn(
        NONE,
        "install OBS Studio, start its virtual camera once, and close OBS (or Unity Capture, with "
        '`backend = "unitycapture"`)',
    )


def _warn(text: str, remedy: str) -> Check:
    return Check("camera", "warn", text, remedy)
