"""The voice's melody in the head: beats on stressed vowels, brows, a nod where a phrase ends.

Speakers move their heads with the stress and melody of what they say (Munhall et al. 2004, Psychol.
Sci. 15:133; Graf et al. 2002, IEEE FG). Stress comes from the phonemes where a language marks it;
elsewhere the loudest vowels stand in. Every choice is a seeded function of turn, utterance and
phoneme, so that it does not depend on frames or on how the sound came in.
"""

from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt

from avatar.curves import Floats, impulse
from avatar.lips import Utterance
from avatar.pose import ParameterTable
from avatar.visemes import is_pause, targets
from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S, Ticks, from_ms
from voice.speech import PhonemeSpan, Samples

PITCH_HZ = 50
"""Rate of a pitch curve."""
_PITCH_HOP = TICKS_PER_S // PITCH_HZ
_RATE = 8000  # pitch is looked for at this rate
_DOWN = TICKS_PER_S // _RATE
_WINDOW = 320  # 40 ms
_LOWEST_HZ, _HIGHEST_HZ = 80, 420

PHRASE_PAUSE: Ticks = from_ms(180)
"""A pause this long ends a phrase."""
LEAD: Ticks = from_ms(110)
"""A beat begins this long before the middle of its vowel, so that it is lowest with it."""
_BEAT_GAP = from_ms(360)
_MOST_BEATS = 12


class PitchMeter:
    """Estimates the voice's pitch at 50 Hz by autocorrelation; chunk sizes do not matter."""

    def __init__(self) -> None:
        """Hear nothing yet."""
        self.pitch = np.zeros(0, np.float32)
        """Hertz at 50 Hz, 0 where unvoiced."""
        self._rest: npt.NDArray[np.float32] = np.zeros(0, np.float32)

    def add(self, samples: Samples) -> None:
        """Take more sound at 48 kHz."""
        sound = np.concatenate((self._rest, np.asarray(samples, np.float32)))
        count = (len(sound) - _WINDOW * _DOWN) // _PITCH_HOP + 1
        if count <= 0:
            self._rest = sound
            return
        used = sound[: (count - 1) * _PITCH_HOP + _WINDOW * _DOWN]
        low = used.reshape(-1, _DOWN).mean(axis=1)
        views = np.lib.stride_tricks.sliding_window_view(low, _WINDOW)[:: _PITCH_HOP // _DOWN]
        self.pitch = np.concatenate((self.pitch, _pitch(views)))
        self._rest = sound[count * _PITCH_HOP :].copy()  # not the whole of it

    def at(self, local: Ticks) -> float:
        """Return the pitch near `local` ticks from the start, 0 where unvoiced or unknown."""
        i = max(0, local // _PITCH_HOP - 1)
        near = self.pitch[i : i + 3]
        voiced = near[near > 0]
        return float(np.median(voiced)) if len(voiced) else 0.0


def _pitch(windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    centred = windows - windows.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(centred, 2 * _WINDOW, axis=1)
    match = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :_WINDOW]
    lags = np.arange(_RATE // _HIGHEST_HZ, _RATE // _LOWEST_HZ + 1)
    # Divide by the shrinking overlap, so that long lags have their chance.
    rated = match[:, lags] / (1.0 - lags / _WINDOW) / (match[:, :1] + 1e-9)
    # A multiple of the period fits as well as the period: take the first that is nearly the best.
    peak = np.zeros_like(rated, dtype=bool)
    peak[:, 1:-1] = (rated[:, 1:-1] >= rated[:, :-2]) & (rated[:, 1:-1] >= rated[:, 2:])
    peak &= rated >= 0.88 * rated.max(axis=1, keepdims=True)
    best = np.where(peak.any(axis=1), peak.argmax(axis=1), rated.argmax(axis=1))
    voiced = rated[np.arange(len(rated)), best] > 0.5
    return np.where(voiced, _RATE / lags[best], 0.0).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Beat:
    """A small movement that comes and goes."""

    at: Ticks
    """When it begins, on the stage clock."""
    rise: Ticks
    """Until its peak."""
    fall: Ticks
    """From there back to rest."""
    offsets: tuple[tuple[int, float], ...]
    """Parameter index and offset at the peak."""


@dataclass(slots=True)
class _Melody:
    """What is known of an utterance's melody."""

    pitch: PitchMeter
    next: int = 0  # the first phoneme not looked at
    last_beat: Ticks = -(10**9)
    ended: bool = False
    stressed: bool = False
    heard: int = 0
    loud_sum: float = 0.0


class Prosody:
    """Head beats, brows and phrase ends of everything that is spoken."""

    def __init__(self, table: ParameterTable, seed: int, energy: float) -> None:
        """Know nothing yet.

        Args:
            table: whose parameters are moved.
            seed: of all choices.
            energy: 0..1, how much the head moves.
        """
        self.ends: list[Ticks] = []
        """Stage times of phrase ends that were crossed in the last `advance`."""
        self._index = table.index
        self._seed = seed
        self._size = 0.62 + 0.62 * energy
        self._melodies: dict[tuple[int, int], _Melody] = {}
        self._beats: list[Beat] = []

    def hear(self, track: Utterance, samples: Samples) -> None:
        """Take an utterance's new sound and phonemes."""
        melody = self._melodies.setdefault(track.key, _Melody(PitchMeter()))
        melody.pitch.add(samples)
        melody.stressed = melody.stressed or any(span.stress == 1 for span in track.phonemes)

    def advance(self, tracks: list[Utterance], before: Ticks, pts: Ticks) -> None:
        """Begin the beats that are due up to `pts`; none begins before `before`."""
        self.ends.clear()
        alive = {track.key for track in tracks}
        for track in tracks:
            melody = self._melodies.get(track.key)
            if melody is None or track.origin is None or track.cut is not None:
                continue
            self._follow(track, melody, track.origin, before, pts)
        if len(self._melodies) > len(alive) + 64:
            self._melodies = {k: m for k, m in self._melodies.items() if k in alive}
        self._beats = [b for b in self._beats if pts < b.at + b.rise + b.fall][-_MOST_BEATS:]

    def forget(self, key: tuple[int, int]) -> None:
        """Drop what is known of an utterance."""
        self._melodies.pop(key, None)

    def add_to(self, values: Floats, at: Ticks) -> None:
        """Add the offsets at `at` to `values`, in place."""
        for beat in self._beats:
            share = impulse(at - beat.at, beat.rise, beat.fall)
            if share:
                for index, offset in beat.offsets:
                    values[index] += share * offset

    def _follow(
        self, track: Utterance, melody: _Melody, origin: Ticks, before: Ticks, pts: Ticks
    ) -> None:
        local = pts - origin
        spans = track.phonemes
        while melody.next < len(spans):
            span = spans[melody.next]
            if is_pause(span.phoneme):
                due = span.start - LEAD
            else:
                due = (span.start + span.stop) // 2 - LEAD
            if due > local:
                return
            at = max(origin + due, before)
            if is_pause(span.phoneme):
                if span.stop - span.start >= PHRASE_PAUSE and melody.next > 0:
                    self._phrase_end(track, melody, span.start, at)
            else:
                self._vowel(track, melody, span, at)
            melody.next += 1
        end = spans[-1].stop if spans else track.length
        if not melody.ended and spans and local >= end - from_ms(40):
            melody.ended = True
            if not is_pause(spans[-1].phoneme):
                self._phrase_end(track, melody, end, max(origin + end - from_ms(40), before))

    def _vowel(self, track: Utterance, melody: _Melody, span: PhonemeSpan, at: Ticks) -> None:
        sounds = targets(span.phoneme, track.written)
        if not any(part.sound.vowel for part in sounds):
            return
        middle = (span.start + span.stop) // 2
        loud = track.loudness_at(middle) if middle < track.length else 0.75
        melody.heard += 1
        melody.loud_sum += loud
        usual = melody.loud_sum / melody.heard
        draw = Random(f"{self._seed}/{track.turn_id}/{track.number}/{melody.next}")
        strength = 0.9 * (loud - usual) + draw.uniform(-0.22, 0.22)
        if melody.stressed:
            strength += 0.62 if span.stress == 1 else (0.2 if span.stress == 2 else -0.2)
        else:
            long = (span.stop - span.start) / (110 * TICKS_PER_MS)
            strength += 0.3 + 0.25 * min(1.0, max(-1.0, long - 1.0))
        pitch = melody.pitch.at(middle)
        voiced = melody.pitch.pitch[melody.pitch.pitch > 0]
        if pitch and len(voiced) > 8:
            strength += 0.5 * float(np.log2(pitch / np.median(voiced)))
        if strength < 0.45 or at - melody.last_beat < _BEAT_GAP or loud < 0.2:
            return
        melody.last_beat = at
        self._beat(at, min(1.0, strength), draw)

    def _beat(self, at: Ticks, strength: float, draw: Random) -> None:
        size = self._size * (0.5 + 0.5 * strength) * draw.uniform(0.75, 1.15)
        kind = draw.random()
        side = draw.choice((-1.0, 1.0))
        if kind < 0.62:
            head = {"ParamAngleY": -4.4 * size, "ParamAngleX": 0.7 * side, "ParamBodyAngleY": -0.7}
        elif kind < 0.76:
            head = {"ParamAngleY": 3.2 * size, "ParamAngleZ": 0.8 * side}
        else:
            head = {"ParamAngleZ": 2.8 * side * size, "ParamAngleX": 2.2 * side * size,
                    "ParamAngleY": -1.2 * size}  # fmt: skip
        rise, fall = from_ms(draw.uniform(105, 140)), from_ms(draw.uniform(240, 340))
        self._put(at, rise, fall, head)
        if draw.random() < 0.25 + 0.5 * strength:
            lift = 0.42 * size * draw.uniform(0.7, 1.2)
            brows = {"ParamBrowLY": lift, "ParamBrowRY": lift * draw.uniform(0.8, 1.0)}
            self._put(at, from_ms(130), from_ms(380), brows)
        if draw.random() < 0.3 * strength:
            hand = {"ParamArmLA": 0.1 * size, "ParamHandL": 0.16 * side * size,
                    "ParamShoulderY": 0.07}  # fmt: skip
            self._put(at, from_ms(190), from_ms(420), hand)

    def _phrase_end(self, track: Utterance, melody: _Melody, local: Ticks, at: Ticks) -> None:
        draw = Random(f"{self._seed}/{track.turn_id}/{track.number}/end/{local}")
        self.ends.append(at)
        early, late = melody.pitch.at(local - from_ms(420)), melody.pitch.at(local - from_ms(90))
        if early and late and late > 1.16 * early:  # the voice rises: a question
            side = draw.choice((-1.0, 1.0))
            rise = {"ParamBrowLY": 0.62, "ParamBrowRY": 0.54, "ParamAngleZ": 4.6 * side,
                    "ParamAngleY": 1.5}  # fmt: skip
            self._put(at, from_ms(220), from_ms(700), rise)
        elif draw.random() < 0.8:
            size = self._size * draw.uniform(0.6, 1.1)
            self._put(at, from_ms(190), from_ms(460), {"ParamAngleY": -3.0 * size})
        melody.last_beat = at

    def _put(self, at: Ticks, rise: Ticks, fall: Ticks, offsets: dict[str, float]) -> None:
        known = tuple((self._index[k], v) for k, v in offsets.items() if k in self._index)
        self._beats.append(Beat(at, rise, fall, known))
