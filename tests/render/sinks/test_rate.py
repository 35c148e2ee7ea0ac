"""The rate follows the line: quickly down to what it carries, up again with patience."""

from dialogue.ticks import TICKS_PER_S, Ticks
from render.sinks.rate import LONGEST_PATIENCE, PATIENCE, Rate, ReportedRate

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


class Lossy:
    """A line that loses what it cannot carry, whose receiver reports each second."""

    def __init__(self, *, queue_s: float = 0.0) -> None:
        self.rate = ReportedRate(most=MOST, least=LEAST)
        self.now: Ticks = 0
        self.queue_s = queue_s
        self.waits_s = 0.0
        self.lost: list[float] = []

    def run(self, seconds: int, carries: float, *, noise: float = 0.0) -> None:
        """Send for so long; the line holds `queue_s` seconds before it loses anything."""
        for _ in range(seconds):
            self.now += TICKS_PER_S
            waits_s = self.waits_s + (self.rate.bitrate - carries) / carries
            over_s = max(0.0, waits_s - self.queue_s)
            self.waits_s = min(max(0.0, waits_s), self.queue_s)
            lost = min(1.0, over_s * carries / self.rate.bitrate + noise)
            self.lost.append(lost)
            self.rate.report(self.now, lost=lost, rtt_s=0.04 + self.waits_s)


def test_a_line_that_loses_nothing_keeps_the_whole_rate() -> None:
    made = Lossy()
    made.run(600, 5_000_000)
    assert (made.rate.bitrate, made.rate.downs, made.rate.ups) == (MOST, 0, 0)


def test_what_is_lost_brings_the_rate_down_to_what_the_line_carries() -> None:
    made = Lossy()
    made.run(10, 5_000_000)
    made.run(20, 1_500_000)
    assert 1_000_000 <= made.rate.bitrate <= 1_500_000 / 0.9
    assert all(lost <= 0.1 for lost in made.lost[-10:])


def test_a_line_that_holds_back_is_seen_by_the_time_that_packets_take() -> None:
    made = Lossy(queue_s=4.0)
    made.run(10, 5_000_000)
    made.run(30, 1_500_000)
    assert made.rate.bitrate <= 1_500_000
    assert max(made.lost) == 0


def test_a_little_loss_by_chance_is_no_sign_of_a_slow_line() -> None:
    made = Lossy()
    made.run(120, 5_000_000, noise=0.05)
    assert (made.rate.bitrate, made.rate.downs) == (MOST, 0)


def test_the_rate_that_was_lost_comes_back_with_patience() -> None:
    made = Lossy()
    made.run(20, 1_000_000)
    made.run(5, 6_000_000)
    assert made.rate.ups == 0
    made.run(120, 6_000_000)
    assert made.rate.bitrate == MOST


def test_what_a_receiver_thinks_that_the_line_carries_is_a_bound() -> None:
    rate = ReportedRate(most=MOST, least=LEAST)
    for second in range(2, 12, 2):
        rate.report(second * TICKS_PER_S, lost=0.0, bound=1_000_000)
    assert rate.bitrate == 1_000_000


def test_a_way_that_has_become_longer_for_good_becomes_the_usual_one() -> None:
    rate = ReportedRate(most=MOST, least=LEAST)
    for second in range(10):
        rate.report(second * TICKS_PER_S, lost=0.0, rtt_s=0.05)
    for second in range(10, 1200):
        rate.report(second * TICKS_PER_S, lost=0.0, rtt_s=0.4)
    assert rate.bitrate == MOST
