"""The virtual camera on a real kernel, read back by programs that are not ours (`make vm`).

One boot serves all tests: a small show is drawn here, played into `v4l2loopback` and `snd-aloop`
in the guest, captured there by FFmpeg, `v4l2-ctl` and ALSA, and compared here. Functions, bytes
and times are proven by it; the speed of a real machine is not.
"""

import pytest

from render.sinks.camera import PACKERS
from stage.bench.vm import machine, proof
from stage.bench.vm.proof import FOURCC, FPS, HEIGHT, WIDTH, Captured, Proof

pytestmark = [pytest.mark.vm, pytest.mark.models]


@pytest.fixture(scope="module")
def proven() -> Proof:
    if line := machine.missing():
        pytest.skip(line)
    found = proof.prove()
    print(f"\n{found.versions()}; {found.wall_s:.0f} s")
    print(found.captured)
    return found


@pytest.fixture
def captured(proven: Proof) -> Captured:
    assert "failed" not in proven.report["show"], proven.report["show"]
    assert proven.captured is not None
    return proven.captured


def test_a_camera_that_comes_later_is_found_by_the_running_show(proven: Proof) -> None:
    seen = proven.report["late"]
    assert "there is no virtual camera; run `sudo modprobe" in seen["errors"][0]
    assert seen["sent"] > 3
    assert seen["live_s"] < 5


# Picture ------------------------------------------------------------------------------------------


def test_every_picture_that_was_got_is_one_that_was_drawn_to_the_byte(captured: Captured) -> None:
    assert captured.frames > 5 * FPS
    assert captured.foreign == 0


def test_hardly_a_picture_is_lost(captured: Captured) -> None:
    assert captured.lost <= captured.frames * 0.02


def test_pictures_come_at_the_rate_that_was_asked_for(captured: Captured) -> None:
    median, _, _ = captured.intervals_ms
    assert median == pytest.approx(1000 / FPS, abs=2)


# Sound --------------------------------------------------------------------------------------------


def test_the_sound_is_the_one_that_was_mixed_at_its_level(captured: Captured) -> None:
    assert captured.level_db == pytest.approx(0, abs=0.5)
    assert captured.likeness > 0.98


def test_every_word_is_heard_with_a_mouth_that_opens(captured: Captured) -> None:
    assert captured.offsets.n >= proof.WORDS - 1
    assert captured.offsets.missed <= 1


def test_camera_and_sound_device_are_in_time_with_each_other(captured: Captured) -> None:
    median, p99, n = captured.exact_ms
    assert n > proof.WORDS * 5
    assert abs(median) <= 10
    assert p99 <= 45  # an emulated core is uneven
    assert abs(captured.offsets.median_ms - captured.drawn.median_ms) <= 10


# Formats ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(PACKERS))
def test_a_format_is_offered_and_arrives_to_the_byte(proven: Proof, name: str) -> None:
    seen = proven.formats[name]
    assert seen.fourcc == FOURCC[name]
    assert seen.offered == (FOURCC[name],)
    assert seen.size == (WIDTH, HEIGHT)
    assert seen.fps == pytest.approx(FPS)
    assert seen.frames >= 4
    assert seen.exact


@pytest.mark.parametrize(("name", "limit"), [("I420", 4.0), ("YUYV", 4.0), ("RGB", 0.0)])
def test_ffmpeg_sees_the_hosts_true_colours(proven: Proof, name: str, limit: float) -> None:
    error = proven.formats[name].colour_error
    assert error is not None, proven.report["formats"][name].get("ffmpeg")
    assert error <= limit


# What goes wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("missing", "/dev/video9 is not there (any more)"),
        ("no camera", "/dev/null is no camera"),
        ("real", "/dev/video5 is a real camera (vivid, driver vivid)"),
        ("busy", "/dev/video0 is fed by "),
        ("not allowed", "not allowed to write to /dev/video0; `sudo usermod -aG video $USER`"),
        ("other size", f"still open in another program as {WIDTH}x{HEIGHT} YU12, not 160x90 I420"),
    ],
)
def test_the_kernels_own_refusals_are_one_line_with_the_remedy(
    proven: Proof, case: str, words: str
) -> None:
    line = proven.report["lines"][case]
    assert line.startswith("camera: ")
    assert words in line
    assert "\n" not in line


def test_a_second_show_takes_the_next_camera(proven: Proof) -> None:
    assert proven.report["lines"]["next free"] == "/dev/video1"


def test_who_looks_sees_on_when_a_body_is_killed_and_replaced(proven: Proof) -> None:
    seen = proven.report["killed"]
    assert (seen["frames"], seen["whole"], seen["status"]) == (60, True, 0)


def test_ours_can_use_again_what_pyvirtualcam_left_unusable(proven: Proof) -> None:
    seen = proven.report["library"]
    if "missing" in seen:
        pytest.skip(seen["missing"])
    assert seen["first"] == "it was opened"
    assert "is not a video output device" in seen["second"]
    assert "leave `backend` out" in seen["second"]
    assert f"{WIDTH}x{HEIGHT}" in seen["ours"]
    assert f"{WIDTH}x{HEIGHT}" in seen["ours again"]
    assert all(f"{WIDTH}x{HEIGHT}" in seen[name] for name in ("I420", "YUYV", "RGB"))
