"""What the doctor says about virtual cameras, on systems made up below a folder."""

import os
import sys
from pathlib import Path

import pytest

from render import v4l2
from stage import cameras
from stage.doctor import Check
from tests.render.kernel import FakeKernel, camera, process

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the trees have links")

RELEASE = "6.1.0-50-amd64"


def look(root: Path, kernel: FakeKernel | None = None) -> list[Check]:
    return cameras.look("linux", root=root, release=RELEASE, kernel=kernel or FakeKernel())


def loaded(root: Path, *, exclusive: str = "Y,N,N", version: str = "0.12.7") -> None:
    module = root / "sys" / "module" / "v4l2loopback"
    (module / "parameters").mkdir(parents=True)
    (module / "parameters" / "exclusive_caps").write_text(exclusive + "\n")
    (module / "version").write_text(version + "\n")


def kept(root: Path, options: str = "exclusive_caps=1") -> None:
    for folder, text in (
        ("modprobe.d", f"options v4l2loopback {options}\n"),
        ("modules-load.d", "v4l2loopback\n"),
    ):
        (root / "etc" / folder).mkdir(parents=True)
        (root / "etc" / folder / "bunraku.conf").write_text(text)


def modules(root: Path) -> Path:
    folder = root / "lib" / "modules" / RELEASE
    folder.mkdir(parents=True)
    return folder


def only(checks: list[Check]) -> Check:
    assert len(checks) == 1, checks
    assert checks[0].area == "camera"
    assert "\n" not in checks[0].text + checks[0].remedy
    return checks[0]


# There is none ------------------------------------------------------------------------------------


def test_without_the_module_its_package_and_the_headers_are_told(tmp_path: Path) -> None:
    check = only(look(tmp_path))
    assert (check.state, check.text) == ("warn", "no virtual camera: no --camera")
    assert check.remedy == (
        "`sudo apt install v4l2loopback-dkms linux-headers-$(uname -r)`, then "
        '`sudo modprobe v4l2loopback exclusive_caps=1 card_label="Bunraku"`'
    )


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ('ID=fedora\nNAME="Fedora Linux"\n', "dnf install akmod-v4l2loopback"),
        ("ID=manjaro\nID_LIKE=arch\n", "pacman -S v4l2loopback-dkms"),
        ('ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n', "zypper install"),
        ("ID=ubuntu\nID_LIKE=debian\n", "apt install"),
    ],
)
def test_each_family_of_distributions_gets_its_own_command(
    tmp_path: Path, text: str, command: str
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "os-release").write_text(text)
    assert command in only(look(tmp_path)).remedy


def test_a_module_that_is_built_only_needs_to_be_loaded(tmp_path: Path) -> None:
    extra = modules(tmp_path) / "updates" / "dkms"
    extra.mkdir(parents=True)
    (extra / "v4l2loopback.ko.xz").touch()
    check = only(look(tmp_path))
    assert "is not loaded" in check.text
    assert check.remedy == f"`{cameras.MODPROBE}`"


def test_a_module_that_could_not_be_built_names_the_headers(tmp_path: Path) -> None:
    modules(tmp_path)
    (tmp_path / "usr" / "src" / "v4l2loopback-0.12.7").mkdir(parents=True)
    check = only(look(tmp_path))
    assert "headers are missing" in check.text
    assert f"linux-headers-{RELEASE} && sudo dkms autoinstall" in check.remedy
    (tmp_path / "lib" / "modules" / RELEASE / "build").mkdir()
    assert only(look(tmp_path)).remedy.startswith("`sudo dkms autoinstall`")


def test_secure_boot_is_told_with_the_key_to_enroll(tmp_path: Path) -> None:
    folder = tmp_path / "sys" / "firmware" / "efi" / "efivars"
    folder.mkdir(parents=True)
    variable = folder / "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    variable.write_bytes(b"\x06\x00\x00\x00\x00")
    assert len(look(tmp_path)) == 1
    variable.write_bytes(b"\x06\x00\x00\x00\x01")
    checks = look(tmp_path)
    assert "Secure Boot" in checks[1].text
    assert "mokutil --import /var/lib/dkms/mok.pub" in checks[1].remedy


def test_windows_linux_is_sent_back_to_windows(tmp_path: Path) -> None:
    checks = cameras.look("linux", root=tmp_path, release="5.15.0-microsoft-standard-WSL2")
    assert "on Windows itself" in only(checks).remedy


def test_a_module_without_a_camera_is_loaded_anew(tmp_path: Path) -> None:
    loaded(tmp_path)
    assert only(look(tmp_path)).remedy == cameras.RELOAD


# There is one -------------------------------------------------------------------------------------


def test_a_good_camera_is_one_line(tmp_path: Path) -> None:
    loaded(tmp_path)
    kept(tmp_path)
    device = camera(tmp_path, 7, "Bunraku")
    check = only(look(tmp_path))
    assert (check.state, check.text) == ("ok", f"virtual camera {device} (Bunraku)")
    assert check.remedy == ""


def test_a_camera_that_goes_with_a_restart_can_be_kept(tmp_path: Path) -> None:
    loaded(tmp_path)
    camera(tmp_path, 0, "Bunraku")
    checks = look(tmp_path)
    assert [check.state for check in checks] == ["ok", "ok"]
    assert "/etc/modprobe.d/bunraku.conf" in checks[1].remedy
    assert "/etc/modules-load.d/bunraku.conf" in checks[1].remedy


def test_a_file_that_makes_the_wrong_camera_is_named(tmp_path: Path) -> None:
    loaded(tmp_path)
    kept(tmp_path, "devices=2")
    camera(tmp_path, 0, "Bunraku")
    assert "/etc/modprobe.d/bunraku.conf loads" in look(tmp_path)[1].text


def test_a_camera_that_browsers_will_not_list_is_told(tmp_path: Path) -> None:
    loaded(tmp_path, exclusive="N,N")
    kept(tmp_path)
    camera(tmp_path, 0, "Bunraku")
    check = only(look(tmp_path))
    assert check.state == "warn"
    assert "exclusive_caps=0" in check.text
    assert check.remedy == cameras.RELOAD


def test_one_good_camera_is_enough(tmp_path: Path) -> None:
    loaded(tmp_path, exclusive="N,Y")
    kept(tmp_path)
    camera(tmp_path, 0, "Old")
    camera(tmp_path, 1, "Bunraku")
    assert {check.state for check in look(tmp_path)} == {"ok"}


def test_the_program_that_feeds_it_is_named(tmp_path: Path) -> None:
    loaded(tmp_path)
    kept(tmp_path)
    process(tmp_path, 41, "ffmpeg", camera(tmp_path, 0, "Bunraku"), flags=os.O_WRONLY)
    check = only(look(tmp_path))
    assert check.state == "warn"
    assert "is fed by ffmpeg (process 41)" in check.text
    assert "devices=2 exclusive_caps=1,1" in check.remedy


def test_obs_may_feed_or_show_it_and_is_named(tmp_path: Path) -> None:
    loaded(tmp_path)
    kept(tmp_path)
    process(tmp_path, 41, "obs", camera(tmp_path, 0, "OBS Virtual Camera"), flags=os.O_RDWR)
    assert "is open in obs (process 41)" in only(look(tmp_path)).text


def test_a_program_that_shows_it_is_no_trouble(tmp_path: Path) -> None:
    loaded(tmp_path)
    kept(tmp_path)
    process(tmp_path, 41, "zoom", camera(tmp_path, 0, "Bunraku"), flags=os.O_RDWR)
    check = only(look(tmp_path))
    assert check.state == "ok"
    assert check.text.endswith("shown by zoom (41)")


def test_a_stale_camera_is_told_and_does_not_stop_us(tmp_path: Path) -> None:
    loaded(tmp_path)
    kept(tmp_path)
    camera(tmp_path, 0, "Bunraku")
    kernel = FakeKernel()
    kernel.capabilities = 0
    check = only(look(tmp_path, kernel))
    assert check.state == "ok"
    assert "left behind" in check.text
    assert cameras.RELOAD in check.remedy
    assert kernel.open_now == 0


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anything")
def test_a_camera_that_may_not_be_written_names_the_group(tmp_path: Path) -> None:
    loaded(tmp_path)
    camera(tmp_path, 0, "Bunraku").chmod(0o444)
    check = look(tmp_path)[0]
    assert (check.state, "usermod -aG video" in check.remedy) == ("warn", True)


def test_a_camera_without_its_file_is_made_anew(tmp_path: Path) -> None:
    loaded(tmp_path)
    kept(tmp_path)
    camera(tmp_path, 0, "Bunraku").unlink()
    assert only(look(tmp_path)).remedy == cameras.RELOAD


def test_an_old_module_is_told_and_a_newer_one_is_not(tmp_path: Path) -> None:
    loaded(tmp_path, version="0.12.3")
    kept(tmp_path)
    camera(tmp_path, 0, "Bunraku")
    assert "0.12.3 is older than 0.12.7" in look(tmp_path)[1].text
    (tmp_path / "sys" / "module" / "v4l2loopback" / "version").write_text("0.15.1\n")
    assert len(look(tmp_path)) == 1


def test_programs_in_a_box_are_told_how_to_see_it(tmp_path: Path) -> None:
    loaded(tmp_path)
    kept(tmp_path)
    camera(tmp_path, 0, "Bunraku")
    (tmp_path / "snap" / "discord").mkdir(parents=True)
    apps = tmp_path / "var" / "lib" / "flatpak" / "app"
    (apps / "com.obsproject.Studio").mkdir(parents=True)
    remedies = [check.remedy for check in look(tmp_path)[1:]]
    assert "sudo snap connect discord:camera" in remedies[0]
    assert "flatpak override --user --device=all com.obsproject.Studio" in remedies[1]


def test_a_device_of_another_driver_is_not_taken_for_ours(tmp_path: Path) -> None:
    loaded(tmp_path)
    kept(tmp_path)
    camera(tmp_path, 0, "DroidCam")
    assert "driver Droidcam" in only(look(tmp_path, FakeKernel(driver="Droidcam"))).text


# Windows and macOS --------------------------------------------------------------------------------


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_elsewhere_pyvirtualcam_is_needed(system: str, tmp_path: Path) -> None:
    check = only(cameras.look(system, root=tmp_path, library=False))
    assert check.remedy == "`pip install 'bunraku[camera]'`"


def test_macs_need_obs_and_its_camera_allowed(tmp_path: Path) -> None:
    assert only(cameras.look("darwin", root=tmp_path, library=True)).state == "warn"
    (tmp_path / "Applications" / "OBS.app").mkdir(parents=True)
    check = only(cameras.look("darwin", root=tmp_path, library=True))
    assert check.state == "ok"
    assert "Camera Extensions" in check.remedy


def test_windows_needs_obs_where_programs_are(tmp_path: Path) -> None:
    assert cameras.windows({}).state == "warn"
    (tmp_path / "obs-studio").mkdir()
    assert cameras.windows({"ProgramFiles": str(tmp_path)}).state == "ok"


def test_what_is_missing_is_not_what_the_driver_is_asked() -> None:
    assert cameras.look("linux", root=Path("/nowhere"))[0].state == "warn"
    assert v4l2.devices(Path("/nowhere")) == []
