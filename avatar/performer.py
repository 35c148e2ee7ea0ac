"""The living host: from timed speech and cues to a `Pose` for any instant.

Layers are summed: posture and breath, gaze with the head that follows, an expression, gestures,
the beats of speech; blinks shut what lids there are, and the mouth belongs to the voice. Each is
a closed form of the stage clock between events on one agenda, so that the same calls give the
same poses, at any frame rate, and nothing can jump whatever interrupts it.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt

from avatar.agenda import Agenda
from avatar.coarticulation import SIL
from avatar.curves import Drift, Floats, Glide
from avatar.expressions import Face, offsets_of
from avatar.gestures import Gestures
from avatar.idle import PLACES, Blinks, Breath, Gaze, Posture
from avatar.lips import Lips
from avatar.motions import Gesture, read_motions
from avatar.pose import VISEMES, ParameterTable, Pose
from avatar.prosody import Prosody
from avatar.tracks import SpeechTrack, VisemeTrack
from dialogue.ticks import Ticks, from_ms, from_s
from voice.speech import PhonemeSpan, Samples

_log = logging.getLogger(__name__)

STATES = ("idle", "listening", "thinking", "speaking")
GAZE_DEG = 25.0
"""How far the head turns for one gaze unit."""
MOST_CUES = 64
"""More cues than this ahead are dropped: a host cannot perform them anyway."""

_OPEN = {"aa": 1.0, "oh": 0.72, "E": 0.62, "ih": 0.42, "ou": 0.36, "TH": 0.28, "RR": 0.28,
         "kk": 0.32, "DD": 0.26, "CH": 0.28, "nn": 0.24, "SS": 0.16, "FF": 0.08}  # fmt: skip
_SPREAD = {"ih": 0.22, "E": 0.14, "SS": 0.16, "aa": 0.03, "oh": -0.12, "ou": -0.22,
           "CH": -0.14, "RR": -0.06}  # fmt: skip
_SMILE_YIELDS = {"PP": 0.5, "FF": 0.6, "CH": 0.45, "oh": 0.55, "ou": 0.75, "RR": 0.25}

# Wandering on three time scales: parameter -> amplitude. The mouth has none: it rests in silence.
_DRIFT = {
    "ParamAngleX": 3.38, "ParamAngleY": 2.21, "ParamAngleZ": 2.73, "ParamBodyAngleX": 1.43,
    "ParamBodyAngleY": 0.65, "ParamBodyAngleZ": 1.17, "ParamShoulderY": 0.065, "ParamBrowLY": 0.09,
    "ParamBrowRY": 0.09, "ParamArmLA": 0.046, "ParamArmRA": 0.046, "ParamHandL": 0.078,
    "ParamHandR": 0.078, "ParamEarL": 0.13, "ParamEarR": 0.13, "ParamTail": 0.4,
}  # fmt: skip
_BLINK_PACE = {"speaking": 0.95, "listening": 1.2, "thinking": 0.95}
_DRIFT_PERIODS_S = (7.9, 3.1, 1.3)


def _of_visemes(table: Mapping[str, float]) -> Floats:
    return np.array([table.get(name, 0.0) for name in VISEMES])


class Performer:
    """Moves one host. Runs on: the render thread of the body; not safe for two threads."""

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
            table: order, ranges and rest of the pose's values.
            seed: of everything that is drawn by lot.
            motions: the character's `motions/` folder, whose entries override ours by name.
            temperament: "energy", "warmth" and "mischief", each 0..1; others are ignored.

        Raises:
            CharacterError: a motion file is broken; names it with line and remedy.
        """
        mood = {"energy": 0.6, "warmth": 0.6, "mischief": 0.5, **(temperament or {})}
        energy = mood["energy"]
        self._table = table
        self._motions = read_motions(motions, table)
        self._agenda = Agenda()
        self._lips = Lips()
        self._blinks = Blinks(Random(f"{seed} blinks"), self._agenda)
        self._gaze = Gaze(Random(f"{seed} gaze"), self._agenda, self._blinks.blink)
        self._breath = Breath(Random(f"{seed} breath"), self._agenda)
        self._posture = Posture(Random(f"{seed} posture"), self._agenda, energy)
        self._face = Face(table, self._agenda, mood["warmth"])
        self._gestures = Gestures(table, Random(f"{seed} gestures"), energy)
        self._prosody = Prosody(table, seed, energy)
        self._habits = Random(f"{seed} habits")
        self._mischief = mood["mischief"]
        self._bearing = Glide(np.zeros(len(table)))
        self._lively = Glide(1.0)
        self._energy = energy
        self._phrase = Glide(np.zeros(5))  # head's turn, nod and lean, body's lean, brows
        self._state = "idle"
        self._attends_until: Ticks = 0
        self._cues_ahead = 0
        self._wave = 0  # raised by `cancel`: cues planned before it are not performed
        self._born = False
        self._last: Ticks = 0
        self._pose: Pose | None = None
        self._rest = table.default.astype(np.float64)
        drift = [(table.index[k], v) for k, v in _DRIFT.items() if k in table.index]
        self._drift_at = np.array([i for i, _ in drift], np.intp)
        self._drift_by = np.array([v for _, v in drift]) * (0.72 + 0.45 * energy)
        self._drift = Drift(seed, len(drift), _DRIFT_PERIODS_S)
        self._own = {name: table.index.get(name, -1) for name in _OWN}
        self._mouth = np.array([table.index.get(f"Viseme_{v}", -1) for v in VISEMES], np.intp)
        self._drawn = self._mouth >= 0
        self._open = _of_visemes(_OPEN)
        self._spread = _of_visemes(_SPREAD)
        self._smile_yields = _of_visemes(_SMILE_YIELDS)

    # ------------------------------------------------------------------ what the host is told

    def speech(
        self,
        turn_id: int,
        utterance: int,
        origin: Ticks | None,
        phonemes: Sequence[PhonemeSpan],
        samples_48k: Samples,
        start: Ticks,
        *,
        complete: bool = False,
    ) -> None:
        """Take more of an utterance; phonemes may come ahead of their sound.

        Args:
            turn_id: the turn.
            utterance: index within the turn.
            origin: stage time of its first sample; None until `shift` tells it.
            phonemes: new ones, in order, on the utterance's own time.
            samples_48k: new sound, mono, 48 kHz; may be empty.
            start: of its first sample, from the start of the utterance.
            complete: True when nothing more of this utterance will come.
        """
        track = self._lips.speech(
            (turn_id, utterance), origin, phonemes, samples_48k, start, complete
        )
        if track is not None:
            self._prosody.hear(track, samples_48k)
            if origin is not None and start == 0:
                self._agenda.add(max(origin - from_ms(420), self._last), self._breath.gasp)

    def shift(self, turn_id: int, utterance: int, origin: Ticks) -> None:
        """Say when an utterance's first sample is heard, or that its rest comes later."""
        track = self._lips.shift((turn_id, utterance), origin)
        if track is not None:
            self._agenda.add(max(origin - from_ms(420), self._last), self._breath.gasp)

    def cancel(self, at: Ticks, turn_id: int | None = None) -> None:
        """Let everything after `at` vanish: the mouth eases shut, gestures ease out.

        Args:
            at: stage time.
            turn_id: keep what turns after this one say; None spares nothing.
        """
        at = max(at, self._last)
        self._lips.cancel(at, turn_id)
        self._wave += 1
        self._agenda.add(at, self._gestures.release)

    def cue(self, name: str, at: Ticks) -> None:
        """Perform an expression or a gesture; a name that means nothing is logged and ignored."""
        known = self._motions.resolve(name)
        if known is None:
            _log.warning("no expression or gesture is called %r; it is left out", name)
            return
        if self._cues_ahead >= MOST_CUES:
            _log.warning("%d cues are waiting; %r is left out", MOST_CUES, name)
            return
        self._cues_ahead += 1
        wave = self._wave

        def due(now: Ticks) -> None:
            self._cues_ahead -= 1
            if wave == self._wave:
                self._perform(known, now)

        self._agenda.add(max(at, self._last), due)

    def attend(self, target: str, at: Ticks, hold_s: float) -> None:
        """Look at "camera", "chat", "aside" or "away" from `at` on for `hold_s` seconds."""
        if target not in PLACES:
            _log.warning("there is nothing called %r to look at; use %s", target, list(PLACES))
            return
        until = max(at, self._last) + from_s(max(0.0, min(hold_s, 600.0)))

        def begin(now: Ticks) -> None:
            self._attends_until = until
            self._gaze.attend(target, now, until)
            self._bear(now)
            self._agenda.add(until, self._bear)

        self._agenda.add(max(at, self._last), begin)

    def state(self, name: str, at: Ticks) -> None:
        """Say what the host is doing: idle, listening, thinking or speaking."""
        if name not in STATES:
            _log.warning("no state is called %r; use %s", name, ", ".join(STATES))
            return

        def change(now: Ticks) -> None:
            if name != self._state:
                self._enter(name, now)

        self._agenda.add(max(at, self._last), change)

    # ------------------------------------------------------------------ what the host shows

    def pose(self, pts: Ticks) -> Pose:
        """Return the pose at `pts`.

        Raises:
            ValueError: `pts` lies before the last one.
        """
        if self._pose is not None:
            if pts == self._last:
                return self._pose
            if pts < self._last:
                raise ValueError(f"pose at {pts} after {self._last}: ask in order of time")
        if not self._born:
            self._be_born(pts)
        tracks = self._lips.tracks()
        self._prosody.advance(tracks, self._last, pts)
        for at in self._prosody.ends:
            self._agenda.add(at, self._phrase_ended)
        self._agenda.run(pts)
        values = self._compose(pts)
        self._last = pts
        out = np.clip(values, self._table.min, self._table.max).astype(np.float32)
        self._pose = Pose(pts, out)
        return self._pose

    def visemes(self, pts: Ticks) -> npt.NDArray[np.float32]:
        """Return the 15 viseme weights at `pts` in the order of `VISEMES`, changing nothing."""
        return self._lips.peek(pts).astype(np.float32)

    def viseme_tracks(self) -> tuple[VisemeTrack, ...]:
        """Return the mouth shapes of the utterances on the stage, for reports."""
        return self._lips.viseme_tracks()

    def speech_tracks(self) -> tuple[SpeechTrack, ...]:
        """Return the utterances on the stage as far as they are known, for reports."""
        return tuple(track.track() for track in self._lips.tracks())

    # ------------------------------------------------------------------ what happens

    def _be_born(self, pts: Ticks) -> None:
        self._born = True
        self._last = pts
        for layer in (self._blinks, self._gaze, self._breath, self._posture):
            layer.start(pts)
        for gesture in self._motions.gestures.values():
            if gesture.idle_every is not None:
                self._plan_habit(gesture, gesture.idle_every, False, pts)
            if gesture.talk_every is not None:
                self._plan_habit(gesture, gesture.talk_every, True, pts)
        self._plan_acknowledgement(pts)

    def _perform(self, name: str, at: Ticks) -> None:
        expression = self._motions.expressions.get(name)
        if expression is not None:
            self._face.show(expression, at)
            return
        gesture = self._motions.gestures[name]
        self._gestures.play(gesture, at)
        if gesture.face:
            self._face.show(self._motions.expressions[gesture.face], at)

    def _enter(self, name: str, at: Ticks) -> None:
        was, self._state = self._state, name
        self._gaze.change(name, at)
        self._breath.talking = name == "speaking"
        self._face.speaking(name == "speaking", at)
        calm = {"speaking": 1.12, "listening": 0.75, "thinking": 0.8}.get(name, 1.0)
        self._lively.to(calm, at, from_s(0.8))
        self._bear(at)
        if was == "speaking" and name != "speaking":
            self._phrase.to(np.zeros(5), at, from_s(1.1))
            self._agenda.add(at + from_ms(160), self._blinks.blink)

    def _bear(self, at: Ticks) -> None:
        """Take the bearing of the state, and of attention if something has it."""
        target = np.zeros(len(self._table))
        length: Ticks = from_s(0.5)
        attending = at < self._attends_until
        for name in (self._state, "attending") if attending else (self._state,):
            posture = self._motions.postures.get(name)
            if posture is not None:
                target += offsets_of(posture, self._table)
                length = posture.ease
        self._bearing.to(target, at, length)
        self._blinks.pace = 1.7 if attending else _BLINK_PACE.get(self._state, 1.0)

    def _phrase_ended(self, at: Ticks) -> None:
        if self._habits.random() < 0.2:
            self._blinks.blink(at + from_ms(60))
        self._gaze.return_to_camera(at)
        if self._state == "speaking":
            # Each phrase has a bearing of its own: nobody says two with the head held the same.
            draw, size = self._habits, 0.6 + 0.6 * self._energy
            lean = draw.uniform(-1.0, 1.0)
            self._phrase.to(
                (size * draw.uniform(-3.4, 3.4), size * draw.uniform(-1.2, 1.8), size * 4.2 * lean,
                 size * -1.2 * lean, size * draw.uniform(0.0, 0.14)),
                at, from_s(draw.uniform(0.5, 0.9)),
            )  # fmt: skip

    def _plan_habit(
        self, gesture: Gesture, every: tuple[Ticks, Ticks], talking: bool, at: Ticks
    ) -> None:
        share = self._habits.random() ** (0.7 + 0.8 * self._mischief)
        wait = every[0] + round((every[1] - every[0]) * share)

        def due(now: Ticks) -> None:
            if (self._state == "speaking") == talking and not self._gestures.busy(now):
                self._gestures.play(gesture, now)
            self._plan_habit(gesture, every, talking, now)

        self._agenda.add(at + wait, due)

    def _plan_acknowledgement(self, at: Ticks) -> None:
        def due(now: Ticks) -> None:
            nod = self._motions.gestures.get("small_nod")
            if self._state == "listening" and nod is not None and not self._gestures.busy(now):
                self._gestures.play(nod, now, self._habits.uniform(0.7, 1.1))
            self._plan_acknowledgement(now)

        self._agenda.add(at + from_s(self._habits.uniform(2.2, 5.2)), due)

    # ------------------------------------------------------------------ how it looks

    def _compose(self, pts: Ticks) -> Floats:
        own = self._own
        values = self._rest + self._face.value(pts) + self._bearing.value(pts)
        drift = self._drift.value(pts) * self._drift_by * float(self._lively.value(pts))
        values[self._drift_at] += drift
        turn, lean, tip, shoulder = self._posture.value(pts).tolist()
        spoken_x, spoken_y, spoken_z, spoken_lean, spoken_brow = self._phrase.value(pts).tolist()
        breath = self._breath.value(pts)
        gaze_x, gaze_y = self._gaze.eyes.value(pts).tolist()
        head_x, head_y = self._gaze.head.value(pts).tolist()
        added = np.zeros(len(values) + 1)  # its last place takes what the table does not have
        added[own["ParamBodyAngleX"]] += turn + 4.2 * head_x
        added[own["ParamBodyAngleZ"]] += lean + spoken_lean
        added[own["ParamAngleX"]] += spoken_x
        added[own["ParamAngleZ"]] += tip + spoken_z - 2.2 * head_x * (0.4 + head_y)
        added[own["ParamBrowLY"]] += spoken_brow
        added[own["ParamBrowRY"]] += 0.7 * spoken_brow
        added[own["ParamShoulderY"]] += shoulder + 0.1 * breath
        added[own["ParamBodyAngleY"]] += 0.35 * breath
        added[own["ParamAngleY"]] += 0.7 * breath + spoken_y
        added[own["ParamBreath"]] += breath
        values += added[:-1]
        self._gestures.add_to(values, pts)
        self._prosody.add_to(values, pts)
        self._place_eyes(values, gaze_x, gaze_y, head_x, head_y)
        self._shut_lids(values, pts, gaze_y)
        self._place_mouth(values, self._lips.weights(pts))
        return values

    def _place_eyes(
        self,
        values: Floats,
        gaze_x: float,
        gaze_y: float,
        head_x: float,
        head_y: float,
    ) -> None:
        """Turn the head its share of the way, and the eyes the rest.

        Eyes also make up for most of what the head does otherwise, so that a nod keeps the gaze.
        """
        for axis, gaze, head in (("X", gaze_x, head_x), ("Y", gaze_y, head_y)):
            angle, ball = self._own[f"ParamAngle{axis}"], self._own[f"ParamEyeBall{axis}"]
            stray = 0.0
            if angle >= 0:
                stray = 0.55 * (values[angle] - self._rest[angle]) / GAZE_DEG
                values[angle] += head * (GAZE_DEG if axis == "X" else 0.8 * GAZE_DEG)
            if ball >= 0:
                values[ball] += gaze - head - max(-0.35, min(0.35, stray))

    def _shut_lids(self, values: Floats, pts: Ticks, gaze_y: float) -> None:
        shut = self._blinks.value(pts)
        follow = 0.16 * min(0.0, gaze_y) + 0.05 * max(0.0, gaze_y)
        for name in ("ParamEyeLOpen", "ParamEyeROpen"):
            i = self._own[name]
            if i >= 0:
                open_by = min(float(self._table.max[i]), max(0.0, values[i] + follow))
                values[i] = open_by * (1.0 - shut)

    def _place_mouth(self, values: Floats, spoken: Floats) -> None:
        # A face may hold the mouth open where the voice leaves it shut.
        held = np.zeros(len(spoken))
        held[self._drawn] = values[self._mouth[self._drawn]]
        held[SIL] = 0.0
        weights = spoken + spoken[SIL] * held
        weights[SIL] = spoken[SIL] * (1.0 - float(held.sum()))
        values[self._mouth[self._drawn]] = weights[self._drawn]
        i = self._own["ParamMouthOpenY"]
        if i >= 0:
            values[i] = float(weights @ self._open)
        i = self._own["ParamMouthForm"]
        if i >= 0:
            # Speech comes first: a smile must not pull rounded or shut lips apart.
            share = 1.0 - float(weights @ self._smile_yields)
            talk = 1.0 - 0.22 * (1.0 - float(weights[SIL]))
            rest = float(self._rest[i])
            values[i] = rest + (values[i] - rest) * share * talk + float(weights @ self._spread)


_OWN = (
    "ParamAngleX", "ParamAngleY", "ParamAngleZ", "ParamEyeLOpen", "ParamEyeROpen",
    "ParamEyeBallX", "ParamEyeBallY", "ParamBodyAngleX", "ParamBodyAngleY", "ParamBodyAngleZ",
    "ParamBreath", "ParamShoulderY", "ParamMouthOpenY", "ParamMouthForm", "ParamBrowLY",
    "ParamBrowRY",
)  # fmt: skip
