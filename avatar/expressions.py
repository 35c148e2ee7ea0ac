"""The face: one expression at a time, eased into, and the host's usual mood beneath it."""

import numpy as np

from avatar.agenda import Agenda
from avatar.curves import Floats, Glide
from avatar.motions import Expression
from avatar.pose import ParameterTable
from dialogue.ticks import Ticks, from_s

FADE: Ticks = from_s(1.1)
"""A face that has been held long enough goes back to the usual one in this."""


def offsets_of(expression: Expression, table: ParameterTable) -> Floats:
    """Return an expression's offsets in the order of `table`; others are left out."""
    out = np.zeros(len(table))
    for name, offset in expression.offsets.items():
        if name in table.index:
            out[table.index[name]] = offset
    return out


class Face:
    """Which expression is shown, and for how long."""

    def __init__(self, table: ParameterTable, agenda: Agenda, warmth: float) -> None:
        """Show the usual face.

        Args:
            table: order of the offsets.
            agenda: where the end of an expression is planned.
            warmth: 0..1, how much of a smile the usual face has.
        """
        self.name = "neutral"
        """What is shown now."""
        usual = {
            "ParamMouthForm": 0.1 + 0.28 * warmth, "ParamEyeLSmile": 0.06 * warmth,
            "ParamEyeRSmile": 0.06 * warmth,
        }  # fmt: skip
        self._usual = offsets_of(Expression("usual", usual, 0, 0), table)
        self._table = table
        self._agenda = agenda
        self._now = Glide(self._usual)
        self._shown: Expression | None = None
        self._speaking = False
        self._plan = 0

    def value(self, at: Ticks) -> Floats:
        """Return the offsets of all parameters."""
        return self._now.value(at)

    def show(self, expression: Expression, at: Ticks, strength: float = 1.0) -> None:
        """Change to `expression`; it stays for its hold after the last word."""
        target = strength * offsets_of(expression, self._table)
        if not expression.offsets:
            target = self._usual
        self._now.to(target, at, expression.ease)
        self.name, self._shown = expression.name, expression
        self._plan += 1
        if not self._speaking:
            self._end(at + expression.hold)

    def speaking(self, now: bool, at: Ticks) -> None:
        """Say that the voice begins or has ended: a smile lasts beyond the sentence."""
        if self._speaking and not now and self._shown is not None:
            self._end(at + self._shown.hold)
        if now and not self._speaking:
            self._plan += 1  # what is shown stays at least until the end
        self._speaking = now

    def _end(self, at: Ticks) -> None:
        self._plan += 1
        plan = self._plan

        def due(now: Ticks) -> None:
            if plan == self._plan:
                self.name, self._shown = "neutral", None
                self._now.to(self._usual, now, FADE)

        self._agenda.add(at, due)
