from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest

from avatar.gestures import RELEASE, SWIFTEST, Gestures
from avatar.motions import Gesture, read_motions
from avatar.pose import ParameterTable
from dialogue.ticks import Ticks, from_s

TABLE = ParameterTable()
HOSTS = Path(__file__).parents[2] / "characters"
STEP: Ticks = from_s(1 / 120)
ARM = TABLE.index["ParamArmLA"]


def gestures_of(host: str) -> dict[str, Gesture]:
    return dict(read_motions(HOSTS / host / "motions", TABLE).gestures)


def make(energy: float = 0.6) -> Gestures:
    return Gestures(TABLE, Random(4), energy)


def film(
    played: Gestures, seconds: float, cue: Callable[[Ticks], None] = lambda at: None
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    rows = []
    for at in range(0, from_s(seconds), STEP):
        cue(at)
        values = np.zeros(len(TABLE))
        played.add_to(values, at)
        rows.append(values)
    return np.array(rows)


@pytest.mark.parametrize("host", ["kohaku", "sumire", "pon"])
def test_no_gesture_moves_an_arm_faster_than_an_arm_moves(host: str) -> None:
    for gesture in gestures_of(host).values():
        played = make(1.0)
        played.play(gesture, 0)
        speed = np.abs(np.diff(film(played, 6.0), axis=0)).max(0) * 120
        for name, most in SWIFTEST.items():
            assert speed[TABLE.index[name]] <= most * 1.001, (gesture.name, name)


@pytest.mark.parametrize("seed", range(3))
def test_an_arm_keeps_its_pace_whatever_interrupts_it(seed: int) -> None:
    known = [g for g in gestures_of("pon").values() if g.curves.keys() & SWIFTEST.keys()]
    draw, played = Random(seed), make(1.0)

    def cue(at: Ticks) -> None:
        if draw.random() < 1.2 / 120:
            played.play(draw.choice(known), at)
        if draw.random() < 0.15 / 120:
            played.release(at)

    values = film(played, 90, cue)
    speed = np.abs(np.diff(values, axis=0)).max(0) * 120
    for name, most in SWIFTEST.items():
        # One comes home while the next sets out: a little more than either, never twice.
        assert speed[TABLE.index[name]] <= most * 1.5, name


def test_a_raised_arm_that_is_called_off_keeps_its_speed_and_then_comes_home() -> None:
    wave = gestures_of("pon")["wave"]
    for called_off_s in (0.3, 0.5, 0.7, 1.2, 2.5):
        played = make()
        played.play(wave, 0)
        at = from_s(called_off_s)

        def cue(now: Ticks, played: Gestures = played, at: Ticks = at) -> None:
            if now >= at:
                played.release(at)

        arm = film(played, 4, cue)[:, ARM]
        speed = np.diff(arm) * 120
        assert np.abs(np.diff(speed)).max() < 0.35, "its speed has no jump"
        assert arm.max() < 1.2
        assert arm.min() > -0.1
        assert np.abs(arm[-30:]).max() == 0


def test_a_long_way_home_takes_longer_than_a_short_one() -> None:
    wave = gestures_of("pon")["wave"]
    home = []
    for size in (0.2, 1.0):
        played = make(1.0)
        played.play(wave, 0, size)
        film(played, 1.0)
        played.release(from_s(1.0))
        after = next(at for at in range(from_s(1.0), from_s(4), STEP) if not played.busy(at))
        home.append(after - from_s(1.0))
    assert home[0] == pytest.approx(RELEASE, abs=STEP)
    assert home[1] > 1.05 * RELEASE


def test_one_that_takes_over_waits_until_the_limb_is_nearly_back() -> None:
    known, played = gestures_of("pon"), make()
    played.play(known["wave"], 0)
    film(played, 1.0)
    at = from_s(1.0)
    played.play(known["shrug"], at)
    early, late = np.zeros(len(TABLE)), np.zeros(len(TABLE))
    played.add_to(early, at + RELEASE // 3)
    played.add_to(late, at + from_s(1.4))
    prop = TABLE.index["ParamPropR"]
    assert early[prop] == 0
    assert late[prop] > 0.3


def test_a_hand_keeps_its_shape_until_its_arm_is_home() -> None:
    known, played = gestures_of("kohaku"), make()
    played.play(known["heart"], 0)
    at = from_s(1.4)

    def cue(now: Ticks) -> None:
        if now == at:
            played.play(known["wave"], now)

    values = film(played, 4, cue)
    heart, arm = values[:, TABLE.index["ParamHandLHeart"]], values[:, ARM]
    after = np.arange(len(values)) * STEP > at
    changed = int(np.flatnonzero(after & (heart <= 0))[0])
    assert abs(arm[changed]) < 0.02
    assert arm[changed:].max() > 0.8, "then it waves"
