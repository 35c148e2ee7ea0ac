"""What a host does without being told: breath, blinks, gaze, posture.

Rhythms follow people: blink intervals are skewed, some blinks come in pairs, lids close faster than
they open (VanderWerf et al. 2003, J. Neurophysiol. 89:2784), and rates rise in talk and fall in
reading (Bentivoglio et al. 1997, Mov. Disord. 12:1028). Eyes jump and rest; the head follows late
and eyes turn back meanwhile (Guitton and Volle 1987, J. Neurophysiol. 58:427). Speakers look away
now and then, listeners seldom, thinkers mostly (Argyle and Cook 1976, Gaze and Mutual Gaze).
"""

import math
from collections.abc import Callable
from random import Random

from avatar.agenda import Agenda
from avatar.curves import Floats, Glide, ease
from dialogue.ticks import Ticks, from_ms, from_s

PLACES = {"camera": (0.0, 0.0), "chat": (0.78, -0.26), "aside": (-0.58, 0.06), "away": (0.5, 0.46)}
"""Where there is something to look at, in gaze units: 1 is as far as the eyes turn, about 25
degrees; + is the viewer's right and up. The chat stands at the viewer's right, slightly below."""


def _skewed(random: Random, median: float, spread: float, low: float, high: float) -> float:
    """Draw from a log-normal distribution within bounds."""
    return min(high, max(low, median * math.exp(spread * random.gauss(0.0, 1.0))))


class Blinks:
    """The lids' rhythm."""

    def __init__(self, random: Random, agenda: Agenda) -> None:
        """Plan nothing yet; `start` does."""
        self.pace = 1.0
        """Intervals are this much longer than at rest."""
        self.onsets: list[Ticks] = []
        """When the last few began to close."""
        self._random = random
        self._agenda = agenda
        self._plan = 0
        self._times = (0.0, 0.0, 0.0, 0.0)  # closing, shut, opening, open

    def start(self, at: Ticks) -> None:
        """Begin the rhythm."""
        self._next(at, self._random.uniform(0.6, 2.5))

    def _next(self, at: Ticks, after_s: float) -> None:
        self._plan += 1
        plan = self._plan

        def due(now: Ticks) -> None:
            if plan == self._plan:
                self.blink(now)

        self._agenda.add(at + from_s(after_s), due)

    def blink(self, at: Ticks) -> None:
        """Blink now, unless a blink has hardly ended; the rhythm goes on from here."""
        draw = self._random
        if at < self._times[3] + from_ms(40):
            return
        closing, hold, opening = draw.uniform(95, 135), draw.uniform(34, 48), draw.uniform(150, 200)
        shut = at + from_ms(closing)
        self._times = (
            float(at), float(shut), float(shut + from_ms(hold)),
            float(shut + from_ms(hold + opening)),
        )  # fmt: skip
        self.onsets = [*self.onsets[-7:], at]
        pair = len(self.onsets) < 2 or at - self.onsets[-2] > from_s(1.0)
        if pair and draw.random() < 0.1:
            self._next(round(self._times[3]), draw.uniform(0.05, 0.14))
        else:
            self._next(at, _skewed(draw, 3.7 * self.pace, 0.42, 1.0, 11.0))

    def value(self, at: Ticks) -> float:
        """Return how far the lids are shut, 0..1."""
        begin, shut, opens, done = self._times
        if at <= begin or at >= done:
            return 0.0
        if at < shut:
            return ease((at - begin) / (shut - begin))
        if at <= opens:
            return 1.0
        return ease((done - at) / (done - opens))


class Gaze:
    """Where the eyes are, and how the head follows them."""

    def __init__(self, random: Random, agenda: Agenda, blink: Callable[[Ticks], None]) -> None:
        """Look at the camera.

        Args:
            random: draws everything.
            agenda: where the next glance is planned.
            blink: called when the eyes go so far that the lids close with them.
        """
        self.mode = "idle"
        self.eyes = Glide((0.0, 0.0))
        """Direction of the gaze in gaze units, head and eyes together."""
        self.head = Glide((0.0, 0.0))
        """The head's share of it."""
        self._random = random
        self._agenda = agenda
        self._blink = blink
        self._plan = 0
        self._at = (0.0, 0.0)
        self._held: tuple[str, Ticks] | None = None
        self._side = 1.0
        self._away = False

    def start(self, at: Ticks) -> None:
        """Begin to look about."""
        self._next(at, self._random.uniform(0.8, 2.0))

    @property
    def averted(self) -> bool:
        """True while the gaze rests away from the camera by its own choice."""
        return self._away

    def attend(self, target: str, at: Ticks, until: Ticks) -> None:
        """Look at one of `PLACES` until a time."""
        self._held = (target, until)
        self._next(at, 0.0)

    def change(self, mode: str, at: Ticks) -> None:
        """Behave as in idle, listening, thinking or speaking from now on."""
        if mode == "thinking" and self.mode != "thinking":
            self._side = -1.0 if self._random.random() < 0.6 else 1.0
        self.mode = mode
        if self._held is None:
            self._next(at, self._random.uniform(0.04, 0.22))

    def return_to_camera(self, at: Ticks) -> None:
        """Come back to the camera, as at the end of a phrase."""
        if self._held is None and self._away:
            self._away = False
            self._look(0.0, 0.0, at)
            self._next(at, _skewed(self._random, 1.8, 0.4, 0.8, 4.0))

    def _next(self, at: Ticks, after_s: float) -> None:
        self._plan += 1
        plan = self._plan

        def due(now: Ticks) -> None:
            if plan == self._plan:
                self._choose(now)

        self._agenda.add(at + from_s(after_s), due)

    def _choose(self, at: Ticks) -> None:
        draw = self._random
        if self._held is not None and at >= self._held[1]:
            self._held = None
        away = False
        if self._held is not None:
            target, until = self._held
            x, y = PLACES[target]
            # Reading: small jumps along the lines.
            spread = (0.1, 0.06) if target == "chat" else (0.03, 0.03)
            x, y = x + draw.uniform(-1, 1) * spread[0], y + draw.uniform(-1, 1) * spread[1]
            rest_s = min(draw.uniform(0.28, 0.7), max(0.02, (until - at) / 48_000))
        elif self.mode == "thinking":
            if draw.random() < 0.8:
                away = True
                x, y = self._side * draw.uniform(0.25, 0.6), draw.uniform(0.28, 0.55)
                rest_s = _skewed(draw, 1.2, 0.4, 0.5, 3.0)
                self._side *= -1.0 if draw.random() < 0.25 else 1.0
            else:
                x = y = 0.0
                rest_s = draw.uniform(0.4, 0.9)
        elif self.mode == "speaking":
            if not self._away and draw.random() < 0.62:
                away = True
                x, y = draw.choice((-1, 1)) * draw.uniform(0.2, 0.48), draw.uniform(-0.16, 0.3)
                rest_s = _skewed(draw, 0.6, 0.3, 0.3, 1.1)
            else:
                x = y = 0.0
                rest_s = _skewed(draw, 2.7, 0.45, 1.0, 7.0)
        elif self.mode == "listening":
            if draw.random() < 0.12:
                away = True
                x, y = draw.uniform(-0.3, 0.3), draw.uniform(-0.2, 0.1)
                rest_s = draw.uniform(0.35, 0.8)
            else:
                x, y = draw.gauss(0, 0.03), draw.gauss(0, 0.03)
                rest_s = _skewed(draw, 2.2, 0.4, 0.8, 5.0)
        else:
            x, y, rest_s, away = self._wander()
        self._away = away
        self._look(x, y, at)
        self._next(at, rest_s)

    def _wander(self) -> tuple[float, float, float, bool]:
        draw = self._random
        luck = draw.random()
        if luck < 0.34:
            return draw.gauss(0, 0.02), draw.gauss(0, 0.02), _skewed(draw, 1.9, 0.5, 0.6, 6), False
        if luck < 0.68:  # a fixation beside the last one
            x = self._at[0] * 0.9 + draw.gauss(0, 0.06)
            y = self._at[1] * 0.9 + draw.gauss(0, 0.04)
            return x, y, _skewed(draw, 0.75, 0.45, 0.25, 2.5), self._away
        if luck < 0.8:
            x, y = PLACES["chat"]
            return x + draw.gauss(0, 0.06), y + draw.gauss(0, 0.05), draw.uniform(0.7, 1.8), True
        x, y = draw.uniform(-0.6, 0.6), draw.gauss(0.02, 0.18)
        return x, max(-0.4, min(0.45, y)), _skewed(draw, 0.95, 0.45, 0.35, 2.6), True

    def _look(self, x: float, y: float, at: Ticks) -> None:
        draw = self._random
        size = math.dist((x, y), self._at)
        self._at = (x, y)
        # A saccade's length grows with its size; drawn eyes need two frames to be seen moving.
        # One that is turned back half way has another distance to go than the plan says.
        far = max(size, math.dist((x, y), self.eyes.value(at).tolist()))
        self.eyes.to((x, y), at, from_ms(46 + 52 * min(1.6, far)))
        if size > 0.32 and draw.random() < 0.25 + 0.5 * min(1.0, size):
            self._blink(at)
        if size < 0.1:
            return
        share = 0.52 if size > 0.3 else 0.3
        lag, length = draw.uniform(50, 95), 330 + 260 * min(1.0, size)

        def follow(now: Ticks) -> None:
            self.head.to((x * share, y * share), now, from_ms(length))

        self._agenda.add(at + from_ms(lag), follow)


class Breath:
    """The chest: in, out, a little rest; in talk a quick breath in and a long way out."""

    def __init__(self, random: Random, agenda: Agenda) -> None:
        """Begin empty; `start` begins."""
        self.talking = False
        self._level = Glide(0.0)
        self._random = random
        self._agenda = agenda
        self._plan = 0
        self._filled: Ticks = 0

    def start(self, at: Ticks) -> None:
        """Take the first breath."""
        self._inhale(at)

    def gasp(self, at: Ticks) -> None:
        """Breathe in quickly before speaking, unless the lungs are full."""
        if at > self._filled + from_s(1.3):
            self._inhale(at)

    def value(self, at: Ticks) -> float:
        """Return how full the chest is, 0..1."""
        return float(self._level.value(at))

    def _then(self, at: Ticks, action: Callable[[Ticks], None]) -> None:
        self._plan += 1
        plan = self._plan
        self._agenda.add(at, lambda now: action(now) if plan == self._plan else None)

    def _inhale(self, at: Ticks) -> None:
        draw = self._random
        if self.talking:
            length, depth = draw.uniform(0.42, 0.6), draw.uniform(0.82, 1.0)
        else:
            length, depth = draw.uniform(1.25, 1.75), draw.uniform(0.6, 0.85)
            if draw.random() < 0.04:  # a sigh
                length, depth = 2.0, 1.0
        self._level.to(depth, at, from_s(length))
        self._filled = at + from_s(length)
        self._then(self._filled + from_s(draw.uniform(0.02, 0.12)), self._exhale)

    def _exhale(self, at: Ticks) -> None:
        draw = self._random
        length = draw.uniform(2.6, 4.2) if self.talking else draw.uniform(1.8, 2.6)
        self._level.to(draw.uniform(0.0, 0.08), at, from_s(length))
        rest = 0.05 if self.talking else draw.uniform(0.1, 0.7)
        self._then(at + from_s(length + rest), self._inhale)


class Posture:
    """Shifts of weight: every ten seconds or so the body settles a little differently."""

    def __init__(self, random: Random, agenda: Agenda, energy: float) -> None:
        """Stand straight; `start` begins.

        Args:
            random: draws everything.
            agenda: where the next shift is planned.
            energy: 0..1, how restless.
        """
        self._random = random
        self._agenda = agenda
        self._energy = energy
        self._stand = Glide((0.0, 0.0, 0.0, 0.0))

    def start(self, at: Ticks) -> None:
        """Begin to shift."""
        self._shift(at)

    def value(self, at: Ticks) -> Floats:
        """Return body turn and lean, head lean and shoulder: degrees, degrees, degrees, -1..1."""
        return self._stand.value(at)

    def _shift(self, at: Ticks) -> None:
        draw, size = self._random, 0.7 + 0.5 * self._energy
        lean = draw.uniform(-1, 1)
        self._stand.to(
            (
                size * draw.uniform(-2.2, 2.2), size * 2.8 * lean,
                size * (-1.6 * lean + draw.uniform(-2.0, 2.0)), draw.uniform(-0.09, 0.09),
            ),
            at, from_s(draw.uniform(1.1, 2.2)),
        )  # fmt: skip
        wait = _skewed(draw, 10.5 - 4.0 * self._energy, 0.5, 3.5, 32.0)
        self._agenda.add(at + from_s(wait), self._shift)
