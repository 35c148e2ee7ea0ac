"""How fast the voices are of late, and how much of an utterance to hold before it is heard.

A voice that is slower than speech runs dry in mid-sentence; a sentence that starts a little later
does not. On a machine that is also drawing, encoding and thinking the pace varies from utterance to
utterance, so what counts is not the mean but what the voice can be relied upon for.
"""

from dialogue.ticks import TICKS_PER_S, Ticks, to_s
from voice.speech import AudioChunk

SHORTEST_MEASURED_S = 0.5
"""Of sound; less says nothing about a voice's pace."""

LONGEST_HEAD_START_S = 1.5
"""A slow voice is waited for so long, at most, rather than heard in pieces."""

SLOW = 0.85
"""From this real-time factor on sentences are better said clause by clause."""

_LEARN_MEAN, _LEARN_SPREAD = 0.4, 0.3
_FIRST_SPREAD = 0.1
_EASY = 0.6  # so fast that nothing needs to be held


class Pace:
    """The real-time factor of the voices: seconds of work for a second of sound."""

    def __init__(self) -> None:
        """Know nothing: everything starts at once."""
        self._mean = 0.0
        self._spread = 0.0

    def add(self, worked_s: float, spoken_s: float) -> None:
        """Learn from an utterance: seconds the voice worked, and seconds of sound it made."""
        if spoken_s <= SHORTEST_MEASURED_S:
            return
        factor = worked_s / spoken_s
        if not self._mean:
            self._mean, self._spread = factor, _FIRST_SPREAD * factor
            return
        self._spread += (abs(factor - self._mean) - self._spread) * _LEARN_SPREAD
        self._mean += (factor - self._mean) * _LEARN_MEAN

    @property
    def factor(self) -> float:
        """What the voices can be relied upon for: mean and mean deviation; 0 before any."""
        return self._mean + self._spread

    @property
    def slow(self) -> bool:
        """Whether long sentences would run dry or be waited for."""
        return self.factor > SLOW


def head_start(factor: float, first: AudioChunk) -> Ticks:
    """Return how much of an utterance must be there before it starts, so as not to run dry.

    Sound comes `factor` times as slowly as it is played. With L seconds in all and f of them in
    the first piece, the voice is done (L - f) * factor later; playing may begin so late that it
    ends then (a tenth and a quarter of a second are for windows that come in lumps).

    Args:
        factor: the voices' real-time factor of late.
        first: the first piece, which knows the phonemes of the whole where the voice does.
    """
    length_s = to_s(max((p.stop for p in first.phonemes), default=0))
    first_s = to_s(len(first.samples))
    if factor < _EASY or length_s <= first_s:
        return 0
    wait_s = (length_s - first_s) * factor * 1.1 - length_s + 0.25
    wait_s = min(max(wait_s, 0.0), LONGEST_HEAD_START_S)
    return int((first_s + wait_s / factor) * TICKS_PER_S) if wait_s > 0 else 0
