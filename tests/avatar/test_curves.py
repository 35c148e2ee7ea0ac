import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar.agenda import Agenda
from avatar.curves import Drift, Glide, KeyedCurve, ease, impulse
from dialogue.ticks import TICKS_PER_S


def test_an_ease_goes_from_nought_to_one_and_rests_outside() -> None:
    assert [ease(u) for u in (-1, 0, 0.5, 1, 2)] == [0, 0, 0.5, 1, 1]
    assert impulse(0, 100, 200) == impulse(300, 100, 200) == 0
    assert impulse(100, 100, 200) == 1


moves = st.lists(
    st.tuples(st.integers(100, 30000), st.floats(-1, 1), st.integers(3000, 40000)),
    min_size=1, max_size=12,
)  # fmt: skip


@given(moves)
@settings(max_examples=200)
def test_an_interrupted_glide_neither_jumps_nor_strays(
    plan: list[tuple[int, float, int]],
) -> None:
    glide, at, values = Glide(0.0), 0, []
    for wait, target, length in plan:
        values += [float(glide.value(t)) for t in range(at, at + wait, 100)]
        at += wait
        before = float(glide.value(at))
        glide.to(target, at, length)
        assert float(glide.value(at)) == pytest.approx(before, abs=1e-9)
    values += [float(glide.value(t)) for t in range(at, at + 50000, 100)]
    assert values[-1] == pytest.approx(plan[-1][1])
    assert np.abs(values).max() < 1.9
    assert np.abs(np.diff(values)).max() < 0.2


def test_a_glide_moves_all_its_numbers() -> None:
    glide = Glide((1.0, 2.0))
    glide.to((3.0, 0.0), 100, 200)
    assert glide.value(100).tolist() == [1, 2]
    assert glide.value(200) == pytest.approx([2, 1])
    assert glide.value(300).tolist() == [3, 0]


keys = st.lists(
    st.tuples(st.integers(1, 5000), st.integers(-100, 100).map(lambda v: v / 100)),
    min_size=2, max_size=9,
)  # fmt: skip


@given(keys)
@settings(max_examples=100)
def test_a_keyed_curve_meets_its_keys_and_stays_between_them(
    steps: list[tuple[int, float]],
) -> None:
    times = np.cumsum([dt for dt, _ in steps]).astype(float)
    values = [v for _, v in steps]
    curve = KeyedCurve(list(zip(times.tolist(), values, strict=True)))
    for i, (t, v) in enumerate(zip(times, values, strict=True)):
        assert curve.value(t) == pytest.approx(v, abs=1e-9)
        if i:
            low, high = sorted((values[i - 1], v))
            between = [curve.value(x) for x in np.linspace(times[i - 1], t, 20)]
            assert low - 1e-9 <= min(between)
            assert max(between) <= high + 1e-9


def test_drift_is_smooth_seeded_and_does_not_depend_on_the_steps_before() -> None:
    one, other = Drift(3, 5, (7.9, 3.1, 1.3)), Drift(3, 5, (7.9, 3.1, 1.3))
    walked = np.array([one.value(t) for t in range(0, 60 * TICKS_PER_S, 800)])
    assert np.array_equal(other.value(800 * 1234), walked[1234])
    assert np.abs(np.diff(walked, axis=0)).max() < 0.08
    assert 0.15 < walked.std() < 0.7
    assert np.abs(walked).max() < 2.0
    assert not np.array_equal(Drift(4, 5, (7.9, 3.1, 1.3)).value(800), one.value(800))
    assert np.abs(np.corrcoef(walked.T) - np.eye(5)).max() < 0.75


def test_an_agenda_acts_in_order_and_at_the_exact_times() -> None:
    agenda = Agenda()
    done: list[tuple[str, int]] = []

    def first(at: int) -> None:
        done.append(("a", at))
        agenda.add(20, lambda then: done.append(("c", then)))

    agenda.add(30, lambda at: done.append(("b", at)))
    agenda.add(10, first)
    agenda.add(30, lambda at: done.append(("d", at)))
    agenda.run(25)
    agenda.add(5, lambda at: done.append(("late", at)))
    agenda.run(100)
    assert done == [("a", 10), ("c", 20), ("late", 25), ("b", 30), ("d", 30)]
    assert len(agenda) == 0


def test_a_keyed_curve_tells_its_speed_and_its_highest() -> None:
    curve = KeyedCurve([(0, 0), (10, 4), (30, 3), (45, -2), (50, 0)])
    times = np.linspace(0, 49.999, 5000)
    measured = np.diff([curve.value(t) for t in times]) / np.diff(times)
    told = np.array([curve.speed(t) for t in (times[1:] + times[:-1]) / 2])
    assert np.abs(told - measured).max() < 0.01
    assert curve.fastest == pytest.approx(np.abs(measured).max(), rel=0.01)
    assert curve.speed(-1) == curve.speed(50) == 0
