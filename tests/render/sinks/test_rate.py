"""The rate follows the line: quickly down to what it carries, up again with patience."""

from dialogue.ticks import TICKS_PER_S, Ticks
from render.sinks.rate import LONGEST_PATIENCE, PATIENCE, Rate

MOST, LEAST = 4_000_000, 500_000
STEP: Ticks = TICKS_PER_S // 30


class Line:
    """A line that carries so many bits a second, fed at the rate that `Rate` names."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.now: Ticks = 0
        self.bits = 0.0
        self.most_waiting: Ticks = 0

    def run(self, seconds: float, carries: float) -> None:
        for _ in range(round(seconds * 30)):
            self.now += STEP
            self.bits = max(0.0, self.bits + (self.rate.bitrate - carries) / 30)
            waiting = round(self.bits / self.rate.bitrate * TICKS_PER_S)
            self.most_waiting = max(self.most_waiting, waiting)
            self.rate.note(waiting, self.now)


def line() -> Line:
    return Line(Rate(most=MOST, least=LEAST))


def test_a_good_line_keeps_the_whole_rate() -> None:
    made = line()
    made.run(600, 5_000_000)
    assert (made.rate.bitrate, made.rate.downs, made.rate.ups) == (MOST, 0, 0)


def test_a_slow_line_gets_what_it_carries_before_much_has_to_be_dropped() -> None:
    made = line()
    made.run(10, 5_000_000)
    made.run(20, 1_500_000)
    assert 500_000 <= made.rate.bitrate <= 1_500_000
    assert made.most_waiting < 3 * TICKS_PER_S


def test_the_rate_never_goes_below_the_least() -> None:
    made = line()
    made.run(60, 10_000)
    assert made.rate.bitrate == LEAST
    assert 3 <= made.rate.downs <= 6


def test_a_line_that_is_well_again_gets_the_whole_rate_back() -> None:
    made = line()
    made.run(10, 1_000_000)
    made.run(120, 6_000_000)
    assert made.rate.bitrate == MOST
    assert made.rate.ups >= 5


def test_tries_that_fail_become_rare() -> None:
    made = line()
    made.run(600, 2_000_000)
    early = made.rate.ups
    made.run(600, 2_000_000)
    assert made.rate.ups - early <= 600 * TICKS_PER_S // LONGEST_PATIENCE * 2 + 1
    assert made.rate.ups - early < 600 * TICKS_PER_S // PATIENCE // 3
