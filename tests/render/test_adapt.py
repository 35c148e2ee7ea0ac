"""Adaptation on virtual time: a machine is a cost a frame and what else it has to do."""

from dataclasses import dataclass, field

from dialogue.ticks import TICKS_PER_S, Ticks
from render.adapt import CHUNK, Adapter, ladder

FPS = 30
FRAME: Ticks = TICKS_PER_S // FPS
LEVELS = ladder()


@dataclass
class Machine:
    """Draws frames; `slow` is what a full picture takes, in frames."""

    adapter: Adapter
    slow: float = 0.5
    late: float = 0.0
    """Share of frames that something else makes late."""
    now: Ticks = 0
    moves: list[tuple[float, str]] = field(default_factory=list)
    _owed: float = 0.0

    def run(self, seconds: float) -> None:
        end = self.now + round(seconds * TICKS_PER_S)
        turn = 0
        while self.now < end:
            level = self.adapter.level
            turn += 1
            fixed = 0.5 * self.slow
            cost = fixed + (self.slow - fixed) * level.share**2 if turn % level.every == 0 else 0.01
            # What takes longer than it has leads to frames that are never begun.
            self._owed += max(0.0, cost / level.every - 1) + self.late
            missed, self._owed = int(self._owed), self._owed % 1
            self.now += FRAME * (1 + missed)
            if (new := self.adapter.note(round(cost * FRAME), missed)) is not None:
                self.moves.append((self.now / TICKS_PER_S, str(new)))

    @property
    def names(self) -> list[str]:
        return [name for _, name in self.moves]


def machine(**about: float) -> Machine:
    return Machine(Adapter(LEVELS, FRAME), **about)


def test_a_machine_that_keeps_up_is_left_alone() -> None:
    calm = machine(slow=0.6)
    calm.run(3600)
    assert calm.moves == []


def test_a_stall_of_two_seconds_changes_nothing() -> None:
    stalls = machine(slow=0.5)
    for _ in range(20):
        stalls.run(10)
        stalls.slow = 3.0
        stalls.run(1.5)
        stalls.slow = 0.5
    assert stalls.moves == []


def test_the_picture_is_drawn_smaller_where_drawing_takes_too_long() -> None:
    busy = machine(slow=1.1)
    busy.run(30)
    assert busy.names == ["3/4 size"]
    assert busy.moves[0][0] < 10


def test_it_goes_down_until_the_machine_keeps_up() -> None:
    busy = machine(slow=1.4)  # 0.88 at half the size
    busy.run(60)
    assert busy.names == ["3/4 size", "1/2 size"]


def test_late_frames_count_though_drawing_is_quick() -> None:
    crowded = machine(slow=0.3, late=0.1)
    crowded.run(30)
    assert crowded.names == ["3/4 size", "1/2 size", "1/2 size, every second picture"]


def test_at_the_last_rung_it_stays() -> None:
    hopeless = machine(slow=9.0)
    hopeless.run(300)
    assert hopeless.names == ["3/4 size", "1/2 size", "1/2 size, every second picture"]


def test_it_comes_back_in_full_when_the_machine_is_free_again() -> None:
    busy = machine(slow=1.1)
    busy.run(20)
    busy.slow = 0.4
    busy.run(60)
    assert busy.names == ["3/4 size", ""]
    assert busy.moves[1][0] > 20 + 18


def test_it_does_not_come_back_to_what_would_not_fit() -> None:
    busy = machine(slow=1.1)  # 0.86 at three quarters of the size: full would not be known to fit
    busy.run(1800)
    assert busy.names == ["3/4 size"]


def test_who_comes_back_too_early_waits_longer_each_time() -> None:
    """Something else hinders full pictures only: nothing that could be seen from below."""
    tricky = machine(slow=0.3)
    for _ in range(3600):
        tricky.late = 0.2 if tricky.adapter.level == LEVELS[0] else 0.0
        tricky.run(1)
    ups = [at for at, name in tricky.moves if not name]
    waits = [b - a for a, b in zip(ups, ups[1:], strict=False)]
    assert waits[0] > 40
    assert waits[-1] > 250
    assert all(b > 0.9 * a for a, b in zip(waits, waits[1:], strict=False))
    assert len(ups) < 20


def test_one_judges_every_two_seconds_whatever_the_rate() -> None:
    for fps in (24, 60):
        adapter = Adapter(LEVELS, TICKS_PER_S // fps)
        frames = 0
        while adapter.note(2 * TICKS_PER_S // fps) is None:
            frames += 1
        assert abs(frames / fps - 3 * CHUNK / TICKS_PER_S) < 0.1


def test_a_renderer_that_cannot_draw_smaller_draws_less_often() -> None:
    assert [str(level) for level in ladder(resizable=False)] == [
        "", "every second picture"
    ]  # fmt: skip
