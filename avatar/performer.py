"""The living host: from timed speech and cues to a `Pose` for any instant.

Layers, from slow to fast: breath, posture and weight shifts (smooth noise that never loops), gaze
(saccades and fixations) with the head following, expressions, gestures, speech beats, blinks, and
the mouth. Body and face layers are summed into targets and followed by critically damped springs
on a fixed 120 Hz grid, so that nothing can jump whatever interrupts it; blinks and the mouth are
exact functions of time. Seeded: the same calls give the same poses, at any frame rate.
"""

import logging
import math
import tomllib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar import interim_coart as coarticulation
from avatar.interim_coart import MouthCurve
from avatar.pose import VISEMES, ParameterTable, Pose
from avatar.rig import CharacterError
from dialogue.ticks import TICKS_PER_S, Ticks, to_s
from voice.speech import PhonemeSpan, Samples

_log = logging.getLogger(__name__)
Array = npt.NDArray[np.float64]

STEP = TICKS_PER_S // 120
"""Grid of the springs."""

HOLD_S = 2.2
"""A smile outlasts the sentence by this."""

SYNONYMS = {
    "smile": "happy", "joy": "happy", "grin": "happy", "excited": "cheer", "giggle": "laugh",
    "chuckle": "laugh", "smirk": "amused", "tease": "amused", "wink": "amused", "shock": "surprised",
    "surprise": "surprised", "gasp": "surprised", "wow": "surprised", "angry": "annoyed",
    "pout": "annoyed", "cry": "sad", "worried": "sad", "blush": "shy", "embarrassed": "shy",
    "hmm": "think", "curious": "tilt", "headtilt": "tilt", "yes": "nod", "no": "shake",
    "hello": "wave", "bye": "wave", "hi": "wave", "applause": "clap", "heart": "clap",
    "chat": "look_at_chat",
}  # fmt: skip
"""Cues that models write, and what is performed."""

_PLACES = {"camera": (0.0, 0.0), "chat": (0.72, -0.22), "aside": (-0.6, 0.1), "away": (0.5, 0.45)}
"""Where the eyes go, in units of ParamEyeBall; the chat stands at the viewer's right."""

# How quickly each parameter follows, as the spring's angular frequency in 1/s.
_QUICK = {
    "ParamEyeBallX": 55.0, "ParamEyeBallY": 55.0, "ParamAngleX": 9.0, "ParamAngleY": 11.0,
    "ParamAngleZ": 8.0, "ParamBodyAngleX": 4.5, "ParamBodyAngleY": 6.0, "ParamBodyAngleZ": 4.5,
    "ParamBreath": 20.0, "ParamArmLA": 10.0, "ParamArmRA": 10.0, "ParamHandL": 22.0,
    "ParamHandR": 22.0, "ParamEarL": 14.0, "ParamEarR": 14.0, "ParamCheek": 4.0,
}  # fmt: skip
_USUAL = 13.0


@dataclass(slots=True)
class _Spoken:
    """One utterance on the stage."""

    key: tuple[int, int]
    origin: Ticks | None = None
    phonemes: list[PhonemeSpan] = field(default_factory=list)
    curve: MouthCurve | None = None
    loudness: list[float] = field(default_factory=list)
    cut: Ticks | None = None
    beats: list[tuple[float, float]] = field(default_factory=list)


@dataclass(slots=True)
class _Playing:
    """A gesture that is being played."""

    start_s: float
    curves: Mapping[int, tuple[Array, Array]]
    length_s: float
    gain: float


class Performer:
    """Moves one host."""

    def __init__(
        self,
        table: ParameterTable,
        *,
        seed: int,
        motions: Path | None = None,
        temperament: Mapping[str, float] | None = None,
    ) -> None:
        """Wake the host up.

        Args:
            table: order, ranges and defaults of the pose's values.
            seed: of everything random.
            motions: the character's folder of `expressions.toml` and `gestures.toml`; entries
                there override ours by name.
            temperament: "energy", "warmth" and "mischief", each 0..1.

        Raises:
            CharacterError: a motion file is broken; names it.
        """
        self._table = table
        self._index = table.index
        self._random = np.random.default_rng(seed)
        self._seed = seed
        mood = {"energy": 0.6, "warmth": 0.6, "mischief": 0.5, **(temperament or {})}
        self._energy, self._warmth = mood["energy"], mood["warmth"]
        self._expressions, self._gestures = _motions(motions, table)
        n = len(table)
        self._quick = np.full(n, _USUAL)
        for name, value in _QUICK.items():
            if name in self._index:
                self._quick[self._index[name]] = value
        self._rest = table.default.astype(float)
        self._now: Array = self._rest.copy()
        self._speed = np.zeros(n)
        self._before = self._now.copy()
        self._tick: Ticks = 0
        self._face: Array = np.zeros(n)  # expression offsets
        self._face_until = math.inf
        self._playing: list[_Playing] = []
        self._spoken: deque[_Spoken] = deque(maxlen=12)
        self._cues: list[tuple[Ticks, str]] = []
        self._mode = "idle"
        self._modes: list[tuple[Ticks, str]] = []
        self._attention: tuple[str, float] = ("camera", 0.0)
        self._gaze = (0.0, 0.0)
        self._next_saccade = 0.6
        self._blinks: deque[float] = deque()
        self._next_blink = 1.4
        self._next_nod = 2.0
        self._visemes = np.eye(1, len(VISEMES), 0)[0]
        self._eyes = [
            self._index[k] for k in ("ParamEyeLOpen", "ParamEyeROpen") if k in self._index
        ]
        self._mouth = [self._index[f"Viseme_{name}"] for name in VISEMES]

    # What happens ------------------------------------------------------------------------------

    def speech(
        self, turn_id: int, utterance: int, origin: Ticks | None,
        phonemes: Sequence[PhonemeSpan], samples: Samples, start: Ticks,
    ) -> None:  # fmt: skip
        """Take more of an utterance; phonemes may come ahead of their sound.

        Args:
            turn_id: the turn.
            utterance: index within the turn.
            origin: stage time of its first sample; None until it is known (`shift` tells it).
            phonemes: new ones.
            samples: new sound, 48 kHz.
            start: of `samples`, from the start of the utterance.
        """
        spoken = self._find(turn_id, utterance)
        if origin is not None:
            spoken.origin = origin
        if len(samples):
            hop = TICKS_PER_S // 100
            whole = len(samples) // hop * hop
            blocks = np.asarray(samples[:whole], float).reshape(-1, hop)
            slot = start // hop
            spoken.loudness.extend([0.0] * (slot - len(spoken.loudness)))
            spoken.loudness.extend(np.sqrt((blocks**2).mean(axis=1)).tolist())
        if phonemes:
            spoken.phonemes.extend(phonemes)
            spoken.curve = MouthCurve(spoken.phonemes)
            spoken.beats = self._choose_beats(spoken.phonemes)

    def shift(self, turn_id: int, utterance: int, origin: Ticks) -> None:
        """Place an utterance's first sample at stage time `origin`."""
        self._find(turn_id, utterance).origin = origin

    def cancel(self, at: Ticks) -> None:
        """Let everything after stage time `at` vanish; mouth and gestures ease out."""
        for spoken in self._spoken:
            if spoken.origin is None:
                spoken.cut = -1
            elif spoken.cut is None:
                spoken.cut = at
        self._cues = [cue for cue in self._cues if cue[0] <= at]
        self._playing.clear()
        self._face_until = min(self._face_until, to_s(at) + 0.6)

    def cue(self, name: str, at: Ticks) -> None:
        """Perform an expression or a gesture at stage time `at`; unknown names are logged."""
        name = name.strip().lower().replace(" ", "_").replace("-", "_")
        name = SYNONYMS.get(name, name)
        if name not in self._expressions and name not in self._gestures:
            _log.info("no expression or gesture is called %r", name)
            return
        self._cues.append((at, name))
        self._cues.sort(key=lambda cue: cue[0])
        del self._cues[64:]

    def attend(self, target: str, at: Ticks, hold_s: float) -> None:
        """Look at "camera", "chat", "aside" or "away" for a while."""
        if target in _PLACES:
            self._attention = (target, to_s(at) + hold_s)
            self._next_saccade = min(self._next_saccade, to_s(at) + 0.05)

    def state(self, name: str, at: Ticks) -> None:
        """Say what the host is doing: idle, listening, thinking or speaking."""
        self._modes.append((at, name))
        del self._modes[:-16]

    # The pose ----------------------------------------------------------------------------------

    def pose(self, pts: Ticks) -> Pose:
        """Return the pose at stage time `pts`; call with times that do not go back."""
        while self._tick < pts:
            if pts - self._tick > 2 * TICKS_PER_S:  # after a long stop, settle instead of replaying
                self._tick = (pts - TICKS_PER_S) // STEP * STEP
            self._before = self._now.copy()
            self._advance(self._tick + STEP)
            self._tick += STEP
        share = 1.0 - (self._tick - pts) / STEP
        values = self._before + (self._now - self._before) * min(1.0, max(0.0, share))
        t = to_s(pts)
        self._mouth_at(pts, values)
        for index in self._eyes:
            values[index] *= 1.0 - self._lid(t)
        out = np.clip(values, self._table.min, self._table.max).astype(np.float32)
        return Pose(pts, out)

    def visemes(self, pts: Ticks) -> Array:
        """Return the 15 viseme weights at `pts`, in the order of `avatar.pose.VISEMES`."""
        weights, _ = self._weights(pts)
        return weights

    # Springs -----------------------------------------------------------------------------------

    def _advance(self, tick: Ticks) -> None:
        t, dt = to_s(tick), STEP / TICKS_PER_S
        while self._modes and self._modes[0][0] <= tick:
            self._mode = self._modes.pop(0)[1]
        self._take_cues(tick, t)
        self._look(t)
        self._plan_blinks(t)
        target = self._rest + self._face * self._ease_face(t)
        self._add_idle(target, t)
        self._add_gestures(target, t)
        self._add_beats(target, tick)
        # Critically damped, integrated exactly over the step: stable for any stiffness.
        w = self._quick
        away = self._now - target
        push = self._speed + w * away
        fade = np.exp(-w * dt)
        self._now = target + (away + push * dt) * fade
        self._speed = (self._speed - w * push * dt) * fade

    def _take_cues(self, tick: Ticks, t: float) -> None:
        while self._cues and self._cues[0][0] <= tick:
            _, name = self._cues.pop(0)
            if name in self._expressions:
                self._face = self._expressions[name]
                self._face_until = math.inf if self._mode == "speaking" else t + 3.0
            else:
                length_s, curves = self._gestures[name]
                self._playing = self._playing[-2:]
                gain = float(self._random.uniform(0.88, 1.08)) * (0.8 + 0.3 * self._energy)
                self._playing.append(_Playing(t, curves, length_s, gain))

    def _ease_face(self, t: float) -> float:
        if self._mode != "speaking" and self._face_until == math.inf:
            self._face_until = t + HOLD_S
        return 1.0 if t < self._face_until else 0.0

    def _look(self, t: float) -> None:
        target, until = self._attention
        if t > until:
            target = {"thinking": "thinking", "speaking": "camera", "listening": "camera"}.get(
                self._mode, "idle"
            )
        if t < self._next_saccade:
            return
        draw = self._random
        if target == "thinking":
            place = (float(draw.choice((-0.55, 0.5))), 0.5)
            wait = float(draw.lognormal(math.log(1.3), 0.4))
        elif target == "idle":
            spot = draw.random()
            if spot < 0.55:
                place = (0.0, 0.0)
            elif spot < 0.75:
                place = _PLACES["chat"]
            else:
                place = (float(draw.uniform(-0.7, 0.7)), float(draw.uniform(-0.35, 0.4)))
            wait = float(draw.lognormal(math.log(1.5), 0.55))
        else:
            place = _PLACES[target]
            wait = float(draw.lognormal(math.log(0.9), 0.5))
            if self._mode == "speaking" and draw.random() < 0.12:
                place = (float(draw.uniform(-0.5, 0.5)), float(draw.uniform(-0.1, 0.45)))
                wait = float(draw.uniform(0.35, 0.8))
        jitter = draw.normal(0.0, 0.035, 2)
        place = (place[0] + float(jitter[0]), place[1] + float(jitter[1]))
        far = math.dist(place, self._gaze)
        if (
            far > 0.45
            and draw.random() < 0.5
            and t - (self._blinks[-1] if self._blinks else -9) > 1
        ):
            self._blinks.append(t + 0.02)
            self._next_blink = max(self._next_blink, t + 1.2)
        self._gaze = place
        self._next_saccade = t + min(wait, 5.0)

    def _plan_blinks(self, t: float) -> None:
        if t >= self._next_blink:
            self._blinks.append(t)
            if self._random.random() < 0.13:
                self._blinks.append(t + 0.32)
            slower = {"listening": 1.35, "thinking": 0.9, "speaking": 0.85}.get(self._mode, 1.0)
            gap = float(self._random.lognormal(math.log(3.1), 0.5)) * slower
            self._next_blink = t + min(max(gap, 0.9), 9.0)
        while self._blinks and self._blinks[0] < t - 1.0:
            self._blinks.popleft()

    def _lid(self, t: float) -> float:
        """Return how far a blink has the lids shut at `t`: down in 75 ms, up in 165 ms."""
        shut = 0.0
        for at in self._blinks:
            away = t - at
            if 0.0 <= away < 0.075:
                shut = max(shut, _smooth(away / 0.075))
            elif 0.075 <= away < 0.105:
                shut = 1.0
            elif 0.105 <= away < 0.27:
                shut = max(shut, 1.0 - _smooth((away - 0.105) / 0.165))
        return shut

    def _add_idle(self, target: Array, t: float) -> None:
        still = 0.55 if self._mode in ("listening", "thinking") else 1.0
        size = still * (0.65 + 0.6 * self._energy)
        x, y = self._gaze
        phase = 2 * math.pi * (t / 3.9 + 0.18 * _noise(t / 9.0, self._seed))
        breath = 0.5 - 0.5 * math.cos(phase)
        sway, lean, rise = (_drift(t, self._seed + k) for k in (11, 12, 13))
        shift = math.tanh(2.2 * _noise(t / 6.5, self._seed + 14))  # weight from leg to leg
        self._plus(target, "ParamBreath", breath)
        self._plus(target, "ParamEyeBallX", x)
        self._plus(target, "ParamEyeBallY", y)
        self._plus(target, "ParamAngleX", 15.0 * x + 5.5 * size * sway)
        self._plus(target, "ParamAngleY", 9.0 * y + 3.6 * size * rise - 0.9 * (1 - breath))
        self._plus(target, "ParamAngleZ", 3.8 * size * lean + 1.6 * shift + 2.5 * x * y)
        self._plus(target, "ParamBodyAngleX", 4.0 * x + 2.4 * size * _drift(t, self._seed + 15))
        self._plus(target, "ParamBodyAngleZ", 2.6 * size * shift + 0.8 * sway)
        self._plus(target, "ParamBodyAngleY", 0.8 * size * rise)
        self._plus(target, "ParamMouthForm", 0.22 + 0.22 * self._warmth)
        self._plus(target, "ParamEarL", 0.18 * _noise(t / 1.7, self._seed + 16) + _flick(t, 5))
        self._plus(target, "ParamEarR", 0.18 * _noise(t / 1.9, self._seed + 17) + _flick(t, 9))
        self._plus(target, "ParamArmLA", 0.10 * _noise(t / 4.1, self._seed + 18))
        self._plus(target, "ParamHandL", 0.10 * _noise(t / 2.3, self._seed + 19))
        if self._mode == "listening" and t >= self._next_nod:
            self._next_nod = t + float(self._random.uniform(1.6, 3.4))
            length_s, curves = self._gestures["nod"]
            self._playing.append(_Playing(t, curves, length_s, 0.35))
        if self._attention[0] == "chat" and t < self._attention[1]:
            self._plus(target, "ParamEarL", 0.5)
            self._plus(target, "ParamEarR", 0.3)
            self._plus(target, "ParamBrowLY", 0.15)
            self._plus(target, "ParamBrowRY", 0.15)
        if self._mode == "thinking":
            self._plus(target, "ParamBrowLY", 0.3)
            self._plus(target, "ParamBrowRY", 0.12)
            self._plus(target, "ParamMouthForm", -0.3)

    def _add_gestures(self, target: Array, t: float) -> None:
        self._playing = [p for p in self._playing if t - p.start_s < p.length_s]
        for number, playing in enumerate(self._playing):
            newer = len(self._playing) - 1 - number
            gain = playing.gain * 0.5**newer
            for index, (times, values) in playing.curves.items():
                target[index] += gain * _curve(t - playing.start_s, times, values)

    def _add_beats(self, target: Array, tick: Ticks) -> None:
        for spoken in self._spoken:
            if spoken.origin is None or (spoken.cut is not None and tick > spoken.cut):
                continue
            at = to_s(tick - spoken.origin)
            for when, size in spoken.beats:
                away = at - when + 0.06
                if 0.0 <= away < 0.42:
                    bump = math.sin(math.pi * away / 0.42) ** 2
                    self._plus(target, "ParamAngleY", -4.6 * size * bump * (0.6 + self._energy))
                    self._plus(target, "ParamBrowLY", 0.34 * size * bump)
                    self._plus(target, "ParamBrowRY", 0.34 * size * bump)
                    self._plus(target, "ParamBodyAngleY", -0.9 * size * bump)

    def _choose_beats(self, phonemes: Sequence[PhonemeSpan]) -> list[tuple[float, float]]:
        """Return times and sizes of head beats: on stresses, at least 0.4 s apart."""
        beats: list[tuple[float, float]] = []
        moras = [p for p in phonemes if p.phoneme]
        stressed = [p for p in moras if p.stress == 1]
        if not stressed:  # Chinese and Japanese mark no stress: long vowels carry the beat
            stressed = [p for p in moras if p.stop - p.start > TICKS_PER_S // 8]
        for p in stressed:
            at = to_s(p.start)
            luck = (math.sin(at * 91.7 + self._seed) + 1) / 2
            if (not beats or at - beats[-1][0] > 0.4) and luck > 0.28:
                beats.append((at, 0.45 + 0.55 * luck))
        if moras:
            beats.append((max(0.0, to_s(moras[-1].start) - 0.05), 0.75))
        return beats[-200:]

    # Mouth -------------------------------------------------------------------------------------

    def _mouth_at(self, pts: Ticks, values: Array) -> None:
        weights, loud = self._weights(pts)
        values[self._mouth] = weights
        self._set(values, "ParamMouthOpenY", coarticulation.openness(weights))
        # A smile must not pull rounded or shut lips apart: speech comes before expression.
        busy = float(weights[1:3].sum() + 0.8 * weights[13:15].sum() + 0.5 * weights[6])
        form = self._index.get("ParamMouthForm")
        if form is not None:
            speaking = 1.0 - float(weights[0])
            values[form] = values[form] * (1.0 - 0.65 * min(1.0, busy)) * (1.0 - 0.3 * speaking)
            values[form] += 0.18 * coarticulation.spread(weights) * loud

    def _weights(self, pts: Ticks) -> tuple[Array, float]:
        best: Array | None = None
        loud = 0.0
        for spoken in self._spoken:
            if spoken.origin is None or spoken.curve is None:
                continue
            local = pts - spoken.origin
            t = to_s(local)
            if not -coarticulation.OPEN_LEAD_S < t < spoken.curve.stop_s + coarticulation.REST_S:
                continue
            level = self._level(spoken, t)
            weights = spoken.curve.weights(t, level)
            if spoken.cut is not None:
                shut = _smooth(min(1.0, max(0.0, to_s(pts - spoken.cut) / 0.06)))
                weights = weights * (1.0 - shut)
                weights[0] += shut
            if best is None or weights[0] < best[0]:
                best, loud = weights, level
        if best is None:
            best = np.zeros(len(VISEMES))
            best[0] = 1.0
        return best, loud

    @staticmethod
    def _level(spoken: _Spoken, t: float) -> float:
        """Return the loudness around `t`, 0..1; 0.8 where the sound has not come yet."""
        slot = int(t * 100)
        near = spoken.loudness[max(0, slot - 3) : slot + 4]
        if not near:
            return 0.8
        return min(1.0, math.sqrt(max(near) / 0.16))

    # Small things ------------------------------------------------------------------------------

    def _find(self, turn_id: int, utterance: int) -> _Spoken:
        for spoken in self._spoken:
            if spoken.key == (turn_id, utterance):
                return spoken
        spoken = _Spoken((turn_id, utterance))
        self._spoken.append(spoken)
        return spoken

    def _plus(self, target: Array, name: str, amount: float) -> None:
        index = self._index.get(name)
        if index is not None:
            target[index] += amount

    def _set(self, values: Array, name: str, value: float) -> None:
        index = self._index.get(name)
        if index is not None:
            values[index] = value


def _smooth(x: float) -> float:
    return x * x * (3 - 2 * x)


@cache
def _lattice(cell: int, seed: int) -> float:
    """Return a repeatable value in -1..1 for a lattice point."""
    bits = (cell * 0x9E3779B1 + seed * 0x85EBCA77) & 0xFFFFFFFF
    bits = ((bits ^ (bits >> 15)) * 0x2C1B3C6D) & 0xFFFFFFFF
    bits = ((bits ^ (bits >> 12)) * 0x297A2D39) & 0xFFFFFFFF
    return ((bits ^ (bits >> 15)) & 0xFFFF) / 32767.5 - 1.0


def _noise(x: float, seed: int) -> float:
    """Return smooth value noise in -1..1."""
    cell = math.floor(x)
    f = x - cell
    f = f * f * f * (f * (6 * f - 15) + 10)
    if cell % 1024 == 0:
        _lattice.cache_clear()  # hours of noise must not fill the memory
    return _lattice(cell, seed) * (1 - f) + _lattice(cell + 1, seed) * f


def _drift(t: float, seed: int) -> float:
    """Return posture drift on several scales that do not divide each other: it never loops."""
    return (
        0.55 * _noise(t / 7.3, seed) + 0.3 * _noise(t / 2.9, seed + 100)
        + 0.15 * _noise(t / 1.3, seed + 200)
    )  # fmt: skip


def _flick(t: float, seed: int) -> float:
    """Return an ear's flick now and then: a quick double twitch."""
    cell = math.floor(t / 4.7)
    if _lattice(cell, seed + 31) < 0.25:
        return 0.0
    away = t - (cell + 0.5 + 0.3 * _lattice(cell, seed + 32)) * 4.7
    return -0.8 * math.sin(away * 26.0) * math.exp(-away * 7.0) if 0 < away < 0.8 else 0.0


def _curve(t: float, times: Array, values: Array) -> float:
    """Return a gesture curve at `t`, eased between its points."""
    k = int(np.searchsorted(times, t, side="right"))
    if k == 0 or k >= len(times):
        return float(values[0] if k == 0 else values[-1])
    f = (t - times[k - 1]) / (times[k] - times[k - 1])
    return float(values[k - 1] + (values[k] - values[k - 1]) * _smooth(float(f)))


Gesture = tuple[float, Mapping[int, tuple[Array, Array]]]


def _motions(
    folder: Path | None, table: ParameterTable
) -> tuple[dict[str, Array], dict[str, Gesture]]:
    faces: dict[str, Array] = {}
    gestures: dict[str, Gesture] = {}
    for name in ("expressions.toml", "gestures.toml"):
        places: list[tuple[str, str]] = [
            ("avatar/motions/" + name, files("avatar.motions").joinpath(name).read_text("utf-8"))
        ]
        if folder is not None and (folder / name).is_file():
            places.append((str(folder / name), (folder / name).read_text("utf-8")))
        for where, text in places:
            try:
                tree = tomllib.loads(text)
            except tomllib.TOMLDecodeError as error:
                raise _broken(f"{where}: not valid TOML: {error}") from None
            for key, entry in tree.items():
                if name == "expressions.toml":
                    faces[key] = _face(where, key, entry, table)
                else:
                    gestures[key] = _gesture(where, key, entry, table)
    return faces, gestures


def _face(where: str, key: str, entry: Mapping[str, Any], table: ParameterTable) -> Array:
    offsets = np.zeros(len(table))
    for parameter, value in entry.items():
        if parameter not in table.index:
            raise _broken(f"{where}: [{key}] moves {parameter!r}, which no rig has")
        index = table.index[parameter]
        absolute = parameter in ("ParamEyeLOpen", "ParamEyeROpen")
        offsets[index] = float(value) - (float(table.default[index]) if absolute else 0.0)
    return offsets


def _gesture(where: str, key: str, entry: Mapping[str, Any], table: ParameterTable) -> Gesture:
    curves = {}
    for parameter, points in entry.items():
        if parameter == "length_s":
            continue
        if parameter not in table.index:
            raise _broken(f"{where}: [{key}] moves {parameter!r}, which no rig has")
        array = np.asarray(points, float)
        if array.ndim != 2 or array.shape[1] != 2 or (np.diff(array[:, 0]) <= 0).any():
            raise _broken(
                f"{where}: [{key}] {parameter}: write [[second, offset], ...] with rising seconds"
            )
        curves[table.index[parameter]] = (array[:, 0], array[:, 1])
    if "length_s" not in entry:
        raise _broken(f"{where}: [{key}] needs length_s")
    return float(entry["length_s"]), curves


def _broken(text: str) -> CharacterError:
    where, _, fault = text.partition(": ")
    return CharacterError(Path(where), None, fault, "correct the motion file")
