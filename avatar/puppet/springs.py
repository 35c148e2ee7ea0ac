"""Springs: soft things that hang on the puppet and follow late, in fixed steps of 1/120 s.

Each spring is a mass at its tip, drawn to where the rigid drawing would carry that tip. Steps lie
on the stage clock, not on frames: the same poses give the same motion whatever ran before, and
a jump of more than half a second (or back) settles everything at once.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from avatar.puppet.rigfile import SpringSpec
from dialogue.ticks import TICKS_PER_S, Ticks

STEP_TICKS = TICKS_PER_S // 120
SETTLE_TICKS = TICKS_PER_S // 2

_Array = npt.NDArray[np.float64]


class Springs:
    """The state of all springs of a puppet."""

    def __init__(self, specs: Sequence[SpringSpec]) -> None:
        omega = 2 * math.pi * np.array([[s.frequency_hz] for s in specs]).reshape(-1, 1)
        self._pull = omega**2
        self._damp = 2 * np.array([[s.damping] for s in specs]).reshape(-1, 1) * omega
        self._drag = np.array([[s.drag] for s in specs]).reshape(-1, 1)
        self._limit = np.array([[s.limit] for s in specs]).reshape(-1, 1)
        self._place: _Array | None = None
        self._speed: _Array = np.zeros((len(specs), 2))
        self._goal: _Array = np.zeros((len(specs), 2))
        self._pts: Ticks = 0

    def advance(self, pts: Ticks, goal: _Array) -> _Array:
        """Step to `pts`.

        Args:
            pts: time of the pose on the stage clock.
            goal: shape (springs, 2): where the rigid drawing carries each tip at `pts`.

        Returns:
            Shape (springs, 2): where the tips are instead.
        """
        late = pts - self._pts
        if self._place is None or late < 0 or late > SETTLE_TICKS:
            self._place = goal.copy()
            self._speed = np.zeros_like(goal)
        elif late > 0:
            step_s = STEP_TICKS / TICKS_PER_S
            goal_speed = (goal - self._goal) * (TICKS_PER_S / late)
            place, speed = self._place, self._speed
            first = self._pts // STEP_TICKS + 1
            for step in range(first, pts // STEP_TICKS + 1):
                aim = self._goal + goal_speed * ((step * STEP_TICKS - self._pts) / TICKS_PER_S)
                slip = speed - (1 - self._drag) * goal_speed
                speed = speed + step_s * (self._pull * (aim - place) - self._damp * slip)
                place = place + step_s * speed
            away = place - goal
            far = np.sqrt((away**2).sum(1, keepdims=True))
            # Soft stop: nothing flies off, and nothing hits a wall.
            held = self._limit * np.tanh(far / self._limit) / np.maximum(far, 1e-9)
            self._place, self._speed = goal + away * np.where(far > 0, held, 1.0), speed
        self._pts = pts
        self._goal = goal.copy()
        # Between steps the tip is carried on at its speed, so that no frame shows a step late.
        ahead_s = (pts % STEP_TICKS) / TICKS_PER_S
        shown: _Array = self._place + self._speed * ahead_s
        return shown
