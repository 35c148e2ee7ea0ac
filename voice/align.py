"""Phoneme times estimated from text and sound, for voices that do not know their own.

A plan (the phonemes with the lengths they usually have) is laid onto the sound by dynamic
programming over 10 ms frames: vowels want loud frames without hiss, sibilants hiss, stops a dip,
pauses silence, and every phoneme a length near its usual one times the speaker's pace. It needs no
model and 10 to 40 ms of work for a second of sound. While sound is still arriving, what lies more
than `HOLD` before its end is final.

The usual lengths are rounded from the table in D. H. Klatt, "Linguistic uses of segmental
duration in English", JASA 59 (1976); the frame costs were set by hand and checked against the
durations that Piper's network reports: word edges are off by 46 ms, vowels by 31 ms in the median
of 5 English lines with all of the sound at hand.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from dialogue.ticks import TICKS_PER_S, Ticks
from voice.durations import MODIFIERS, STRESS
from voice.speech import Phoneme, Samples, SpokenWord

Kind = Literal["pause", "vowel", "sonorant", "hiss", "breath", "stop", "voiced_stop", "affricate"]
Costs = npt.NDArray[np.float64]

FRAME: Ticks = TICKS_PER_S // 100
"""10 ms."""

HOLD: Ticks = TICKS_PER_S
"""Sound at the end of what has arrived whose phonemes may still change. Measured on Piper, median
error of vowels: 126 ms with 0.25 s, 43 ms with 0.5 s, 34 ms with 1 s."""

LONGEST = 45
"""Frames of the longest phoneme."""

_VOWELS = frozenset("aeiouyɑɒæɐəɚɜɝɛɪʊʌɔɨɯɵøœɤɘɞɶʏɿAIOWYQᵊᵻ")
_SHORT_VOWELS = frozenset("əᵊᵻɚɨ")
_DIPHTHONGS = frozenset("AIOWYQ")
_KINDS: dict[str, Kind] = {
    **dict.fromkeys("mnŋɲɴɳɱlɹrɾjwɥɻʎɫɭʋɰ", "sonorant"),
    **dict.fromkeys("szʃʒɕʑʂʐ", "hiss"),
    **dict.fromkeys("fvθðhxçɸβɣħɦχʁʝ", "breath"),
    **dict.fromkeys("ptkqʔcʈ", "stop"),
    **dict.fromkeys("bdɡgɟɖ", "voiced_stop"),
    **dict.fromkeys("ʧʤʨʥʦʣꭧ", "affricate"),
}
_USUAL_S: dict[Kind, float] = {
    "pause": 0.25, "vowel": 0.095, "sonorant": 0.062, "hiss": 0.105, "breath": 0.075,
    "stop": 0.075, "voiced_stop": 0.062, "affricate": 0.105,
}  # fmt: skip
_SPREAD = 0.42
"""Standard deviation of a phoneme's length around its usual one, as a natural logarithm."""

_FINAL = 1.35
"""How much longer the last vowel before a pause is."""


class Sounds(Protocol):
    """What a grapheme-to-phoneme function says of one word (`voice.g2p.WordSounds`)."""

    @property
    def symbols(self) -> str:
        """Phonemes, stress and length marks, one character each."""

    @property
    def pause(self) -> str:
        """Punctuation after the word, or ""."""

    @property
    def word(self) -> int:
        """Index of the word."""


Phonemise = Callable[[Sequence[SpokenWord], str], Sequence[Sounds]]
"""Words and an ISO 639-1 code to sounds."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A phoneme that will be heard, before its time is known."""

    ipa: str
    """With its modifiers; "" for a pause."""
    word: int
    """Index of its word; -1 for a pause."""
    stress: int
    """1 primary, 2 secondary, 0 none."""
    kind: Kind
    """Which sound it makes."""
    usual_s: float
    """Length at an ordinary pace, seconds. A pause may also be missing."""


def plan(words: Sequence[SpokenWord], language: str, phonemise: Phonemise) -> list[Planned]:
    """Return the phonemes of `words`, with a possible pause before, between and after words."""
    sounds = phonemise(words, language)
    planned = [_pause("")]
    for sound in sounds:
        begin = len(planned)
        stress = 0
        for symbol in sound.symbols:
            if symbol in STRESS:
                stress = STRESS[symbol]
            elif symbol in MODIFIERS and len(planned) > begin:
                planned[-1] = _longer(planned[-1], symbol)
            elif kind := _kind(symbol):
                mark, stress = (stress, 0) if kind == "vowel" else (0, stress)
                planned.append(Planned(symbol, sound.word, mark, kind, _usual(symbol, kind, mark)))
        if sound.pause:
            for index in range(len(planned) - 1, begin - 1, -1):
                if planned[index].kind == "vowel":
                    planned[index] = _stretched(planned[index], _FINAL)
                    break
        planned.append(_pause(sound.pause))
    return planned


def letters(words: Sequence[SpokenWord], language: str) -> list["Letters"]:
    """Return rough sounds straight from the letters, where no better function can be had.

    Args:
        words: in any script; a character that is no Latin letter counts as an open syllable.
        language: ignored.
    """
    del language
    spelt = {"c": "k", "q": "k", "x": "ks", "y": "j", "g": "ɡ", "'": ""}
    found = []
    for index, word in enumerate(words):
        symbols = "".join(
            spelt.get(ch, ch if ch.isascii() else "a") for ch in word.text.lower() if ch.isalpha()
        )
        if symbols:
            pause = word.text[-1] if word.text[-1] in ",.!?;:…—" else ""
            found.append(Letters(symbols, pause, index))
    return found


@dataclass(frozen=True, slots=True)
class Letters:
    """Rough sounds of one word; see `letters`."""

    symbols: str
    """One character each."""
    pause: str
    """Punctuation after it, or ""."""
    word: int
    """Index of the word."""


class Aligner:
    """Lays a plan onto sound that arrives in pieces."""

    def __init__(self, planned: Sequence[Planned]) -> None:
        """Start before the first sound."""
        self._planned = list(planned)
        self._next = 0
        """First phoneme without a final time."""
        self._from: Ticks = 0
        """Where it starts."""
        self._sound = np.zeros(0, np.float32)
        """What has arrived since `_from`, from a whole frame on."""
        self._base: Ticks = 0
        """Tick of the first sample in `_sound`."""
        self._loud_db = -60.0
        """Level of loud frames so far."""
        self._real_s, self._usual_s = 1.0, 1.0
        """How long phonemes were, and would usually be; weighted with one usual second."""

    @property
    def pace(self) -> float:
        """How much longer than usual phonemes have been so far; 1 at the start."""
        return self._real_s / self._usual_s

    def push(self, samples: Samples) -> tuple[tuple[Phoneme, ...], Ticks]:
        """Take sound at 48 kHz.

        Returns:
            Phonemes that are final now, in ticks, and the tick before which all are known.
        """
        self._sound = np.concatenate([self._sound, samples])
        end = self._base + len(self._sound)
        safe = end - HOLD
        if safe <= self._from or self._next >= len(self._planned):
            return (), max(safe, 0)
        stops = self._lay(whole=False)
        found = []
        for stop in stops:
            if self._from >= safe:
                break
            found.append(self._settle(stop))
        self._forget()
        return tuple(p for p in found if p.stop > p.start), min(max(safe, 0), self._from)

    def finish(self) -> tuple[Phoneme, ...]:
        """Return the rest; the last one ends with the sound."""
        end = self._base + len(self._sound)
        if self._next >= len(self._planned) or end <= self._from:
            return ()
        stops = self._lay(whole=True)
        if stops:
            stops[-1] = end
        found = [self._settle(min(stop, end)) for stop in stops]
        return tuple(p for p in found if p.stop > p.start)

    def _settle(self, stop: Ticks) -> Phoneme:
        sound = self._planned[self._next]
        phoneme = Phoneme(sound.ipa, self._from, max(stop, self._from), sound.word, sound.stress)
        if sound.kind != "pause":
            self._real_s += (phoneme.stop - phoneme.start) / TICKS_PER_S
            self._usual_s += sound.usual_s
        self._next += 1
        self._from = phoneme.stop
        return phoneme

    def _forget(self) -> None:
        """Drop sound before the first phoneme that is not final."""
        gone = (self._from - self._base) // FRAME * FRAME
        if gone > 0:
            self._sound = self._sound[gone:]
            self._base += gone

    def _lay(self, *, whole: bool) -> list[Ticks]:
        """Return the stops of the next phonemes; with `whole`, of all of them."""
        sound = self._sound[max(0, self._from - self._base) :]
        level, hiss = _frames(sound)
        if len(level):
            self._loud_db = max(self._loud_db, float(np.percentile(level, 92)))
        frames = len(level)
        rest = self._planned[self._next :]
        needed = sum(p.kind != "pause" for p in rest)
        if whole and needed >= frames:
            return self._squeeze(rest, len(sound))
        voiced_s = float(np.count_nonzero(level > self._loud_db - 30)) / 100
        usual_s = sum(p.usual_s for p in rest if p.kind != "pause")
        pace = self.pace
        if whole and usual_s > 0:
            pace = min(max(voiced_s / usual_s, 0.3), 4.0)
        costs = _frame_costs(level - self._loud_db, hiss)
        heard = np.count_nonzero(level > self._loud_db - 30)
        stops = _search(rest, costs, pace, None if whole else int(heard))
        return [self._from + stop * FRAME for stop in stops]

    def _squeeze(self, rest: Sequence[Planned], length: Ticks) -> list[Ticks]:
        """Divide too little sound by the usual lengths."""
        weights = np.array([0.0 if p.kind == "pause" else p.usual_s for p in rest])
        if weights.sum() == 0:
            weights[:] = 1.0
        edges = np.round(np.cumsum(weights) / weights.sum() * length).astype(int)
        return [self._from + int(edge) for edge in edges]


def _kind(symbol: str) -> Kind | None:
    if symbol in _VOWELS:
        return "vowel"
    return _KINDS.get(symbol)


def _usual(symbol: str, kind: Kind, stress: int) -> float:
    usual = _USUAL_S[kind]
    if symbol in _SHORT_VOWELS:
        usual *= 0.6
    elif symbol in _DIPHTHONGS:
        usual *= 1.4
    return usual * (1.2 if stress == 1 else 1.0)


def _pause(mark: str) -> Planned:
    return Planned("", -1, 0, "pause", {"": 0.0, ",": 0.15}.get(mark, _USUAL_S["pause"]))


def _longer(sound: Planned, mark: str) -> Planned:
    return Planned(
        sound.ipa + mark, sound.word, sound.stress, sound.kind,
        sound.usual_s * (1.5 if mark == "ː" else 1.0),
    )  # fmt: skip


def _stretched(sound: Planned, factor: float) -> Planned:
    return Planned(sound.ipa, sound.word, sound.stress, sound.kind, sound.usual_s * factor)


def _frames(sound: Samples) -> tuple[Costs, Costs]:
    """Return each whole frame's level in dB and how much of it is hiss (above 3.5 kHz), in dB."""
    count = len(sound) // FRAME
    if count == 0:
        return np.zeros(0), np.zeros(0)
    padded = np.pad(sound, (FRAME // 2, FRAME))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * FRAME)[: count * FRAME : FRAME]
    power = np.abs(np.fft.rfft(windows * np.hanning(2 * FRAME), axis=1)) ** 2 + 1e-9
    edge = 3500 * 2 * FRAME // TICKS_PER_S
    low, high = power[:, 2:edge].sum(axis=1), power[:, edge : edge * 3].sum(axis=1)
    return 10 * np.log10(low + high), 10 * np.log10(high / low)


def _frame_costs(level: Costs, hiss: Costs) -> dict[Kind, Costs]:
    """Return what it costs each kind of sound to be heard in each frame.

    Args:
        level: dB relative to loud speech.
        hiss: dB of the high band over the low one.
    """

    def above(value: Costs, limit: float, per: float) -> Costs:
        return np.maximum(value - limit, 0.0) / per

    quiet = above(-level, 30, 8)
    return {
        "pause": above(level, -34, 7),
        "vowel": above(-level, 11, 7) + above(hiss, -8, 7),
        "sonorant": above(-level, 20, 8) + above(hiss, -10, 6) + above(level, -4, 10),
        "hiss": above(-hiss, 0, 6) + quiet,
        "breath": above(-hiss, 14, 9) + above(level, -8, 7) + 0.5 * quiet,
        "stop": above(level, -17, 8),
        "voiced_stop": above(level, -11, 8) + above(hiss, -6, 9),
        "affricate": above(-hiss, 8, 10) + above(level, -9, 9),
    }


def _search(
    rest: Sequence[Planned], costs: dict[Kind, Costs], pace: float, heard: int | None
) -> list[int]:
    """Return the stop frame of each phoneme along the cheapest path.

    With `heard`, the number of frames that are not silent, the path may end within any phoneme:
    where the usual lengths put it, unless the sound speaks against that. Without, all is there.
    """
    frames = len(next(iter(costs.values())))
    sums = {kind: np.concatenate([[0.0], np.cumsum(cost)]) for kind, cost in costs.items()}
    lengths = np.arange(1, LONGEST + 1)
    best = np.full(frames + 1, math.inf)
    best[0] = 0.0
    lines, origins = [], []
    for sound in rest:
        total = sums[sound.kind]
        start = best - total
        if sound.kind == "pause":
            lowest = np.minimum.accumulate(start)
            origin = np.maximum.accumulate(np.where(start <= lowest, np.arange(frames + 1), 0))
            gap = np.where(np.arange(frames + 1) > origin, 0.4 if sound.usual_s == 0 else 0.0, 0.0)
            best = lowest + total + gap
        else:
            usual = max(sound.usual_s * pace * 100, 0.5)
            odd = 0.5 * (np.log(lengths / usual) / _SPREAD) ** 2
            shifted = np.concatenate([np.full(LONGEST, math.inf), start])
            view = np.lib.stride_tricks.sliding_window_view(shifted, LONGEST)[: frames + 1]
            choices = view[:, ::-1] + odd  # column d - 1 is a start d frames earlier
            pick = np.argmin(choices, axis=1)
            best = choices[np.arange(frames + 1), pick] + total
            origin = np.arange(frames + 1) - lengths[pick]
        lines.append(best)
        origins.append(origin)
    last = len(rest) - 1 if heard is None else _reached(rest, lines, pace, heard)
    stops, at = [0] * (last + 1), frames
    if not np.isfinite(lines[last][frames]):
        at = int(np.flatnonzero(np.isfinite(lines[last]))[-1])
    for index in range(last, -1, -1):
        stops[index] = at
        at = int(origins[index][at])
    return stops


def _reached(rest: Sequence[Planned], lines: Sequence[Costs], pace: float, heard: int) -> int:
    """Return the phoneme that is being spoken in the last frame."""
    usual = np.cumsum([p.usual_s * pace * 100 for p in rest if p.kind != "pause"])
    middle = np.zeros(len(rest))
    spoken = 0
    for index, sound in enumerate(rest):
        before = usual[spoken - 1] if spoken else 0.0
        if sound.kind == "pause":
            middle[index] = before
        else:
            middle[index] = (before + usual[spoken]) / 2
            spoken += 1
    scores = np.array([line[-1] for line in lines])
    scores += 0.5 * ((middle - heard) / (0.12 * heard + 6)) ** 2
    return int(np.argmin(scores)) if np.isfinite(scores).any() else 0
