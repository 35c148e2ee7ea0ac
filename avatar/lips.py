"""The mouth: utterances as they arrive, and the viseme weights that a viewer should see."""

from collections import deque
from collections.abc import Sequence

import numpy as np

from avatar.coarticulation import PP, SIL, MouthCurve
from avatar.curves import Floats, ease
from avatar.loudness import HOP, LoudnessMeter, dilate, smooth
from avatar.pose import VISEMES
from avatar.tracks import SpeechTrack, VisemeTrack, articulate, viseme_keys
from avatar.visemes import Notation, notation
from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S, Ticks
from voice.speech import PhonemeSpan, Samples

EASE_SHUT: Ticks = 60 * TICKS_PER_MS
"""A cancelled mouth is closed after this."""
MEND: Ticks = 60 * TICKS_PER_MS
"""News that change what the mouth is doing right now are blended in over this."""
WINDOW: Ticks = 250 * TICKS_PER_MS
"""Sounds farther away do not touch the mouth."""
KEEP: Ticks = 2 * TICKS_PER_S
"""Utterances are forgotten this long after their end."""
MOST_TRACKS = 64

_WHISPER = 0.42  # how far the quietest voice opens a vowel
_HEARD = (0.03, 0.12)  # loudness between silence and voice
_SOUND_AHEAD, _SOUND_BEHIND = 7, 6  # steps of 10 ms by which sound reaches past itself


class Utterance:
    """What is known of an utterance, and its mouth curve."""

    def __init__(self, turn_id: int, number: int) -> None:
        """Start with nothing."""
        self.turn_id = turn_id
        self.number = number
        self.origin: Ticks | None = None
        self.cut: Ticks | None = None
        self.complete = False
        self.phonemes: list[PhonemeSpan] = []
        self.written: Notation = "ipa"
        self.curve = MouthCurve(())
        self.loudness = np.zeros(0, np.float32)
        self.length: Ticks = 0
        self._rest = np.zeros(0, np.float32)  # sound that does not fill 10 ms yet
        self._open = np.zeros(0, np.float32)
        self._heard = np.zeros(0, np.float32)

    @property
    def key(self) -> tuple[int, int]:
        """Turn and number."""
        return (self.turn_id, self.number)

    @property
    def stop(self) -> Ticks:
        """End of its sound and its phonemes as far as known, on its own time."""
        return max(self.length, self.curve.stop)

    def add_phonemes(self, spans: Sequence[PhonemeSpan]) -> None:
        """Append phonemes; those that are known already are left out."""
        known = self.phonemes[-1].stop if self.phonemes else -1
        fresh = [span for span in spans if span.stop > known]
        if fresh:
            self.phonemes.extend(fresh)
            self.written = notation(span.phoneme for span in self.phonemes)
            self.curve = MouthCurve(articulate(self.phonemes))

    def add_sound(self, samples: Samples, start: Ticks, meter: LoudnessMeter) -> None:
        """Append sound whose first sample stands at `start`; gaps count as silence."""
        if start > self.length:
            missing = np.zeros(min(start - self.length, 60 * TICKS_PER_S), np.float32)
            self._rest = np.concatenate((self._rest, missing))
        elif start < self.length:
            samples = samples[self.length - start :]
        self.length = max(self.length, start + len(samples))
        joined = np.concatenate((self._rest, np.asarray(samples, np.float32)))
        fresh = meter.measure(joined)
        self._rest = joined[len(fresh) * HOP :]
        if len(fresh):
            self.loudness = np.concatenate((self.loudness, fresh))
            self._open = smooth(self.loudness, 4)
            lo, hi = _HEARD
            heard = dilate(self.loudness, _SOUND_AHEAD, _SOUND_BEHIND)
            gate = np.clip((heard - lo) / (hi - lo), 0, 1)
            self._heard = smooth((gate * gate * (3 - 2 * gate)).astype(np.float32), 4)

    def loudness_at(self, local: float) -> float:
        """Return the smoothed loudness, 0..1; 0 outside the sound."""
        return _sample(self._open, local)

    def weights(self, local: float) -> Floats:
        """Return viseme weights at `local` ticks from the start of the utterance."""
        heard = self._heard_at(local)
        if not self.phonemes:  # a voice without timing: the jaw follows the sound
            out = np.zeros(len(VISEMES))
            loud = self.loudness_at(local) * heard
            out[VISEMES.index("aa")] = 0.55 * loud
            out[VISEMES.index("E")] = 0.3 * loud
            out[SIL] = 1.0 - 0.85 * loud
            return out
        loud = self.loudness_at(local)
        out = self.curve.weights(local, _WHISPER + (1 - _WHISPER) * min(1.0, 1.12 * loud**0.8))
        if heard < 1.0:
            lips = out[PP]
            out *= heard
            out[PP] = lips
            out[SIL] = max(0.0, 1.0 - float(out[SIL + 1 :].sum()))
        return out

    def _heard_at(self, local: float) -> float:
        """Return 1 while there is sound, 0 in silence, just before and after it in between.

        The lips may move before the first sample; for as long as the sound's beginning counts.
        """
        if not len(self._heard):
            return 0.0
        step = local / HOP - 0.5
        if step < 0.0:
            return float(self._heard[0]) * ease(1.0 + step / 12.0)
        if step > len(self._heard) - 1:
            past = step - (len(self._heard) - 1)
            return float(self._heard[-1]) * ease(1.0 - past / 12.0)
        return _sample(self._heard, local)

    def track(self) -> SpeechTrack:
        """Return what is known, for reports."""
        return SpeechTrack(
            self.turn_id, self.number, tuple(self.phonemes), self.loudness, self.length,
            self.complete,
        )  # fmt: skip


def _sample(values: np.ndarray, local: float) -> float:
    step = local / HOP - 0.5
    i = int(np.floor(step))
    n = len(values)
    if i < -1 or i >= n:
        return 0.0
    u = step - i
    a = float(values[i]) if i >= 0 else 0.0
    b = float(values[i + 1]) if i + 1 < n else 0.0
    return a + (b - a) * u


class Lips:
    """All utterances and the mouth they make together."""

    def __init__(self) -> None:
        """Start with a closed mouth."""
        self.meter = LoudnessMeter()
        self._tracks: dict[tuple[int, int], Utterance] = {}
        self._dead: deque[tuple[int, int]] = deque(maxlen=MOST_TRACKS)
        self._seen = _closed()
        self._seen_at: Ticks | None = None
        self._mend: tuple[Floats, Ticks] | None = None

    def __len__(self) -> int:
        return len(self._tracks)

    def tracks(self) -> list[Utterance]:
        """Return the utterances whose place on the stage clock is known, first ones first."""
        return sorted(
            (t for t in self._tracks.values() if t.origin is not None),
            key=lambda t: (t.origin or 0, t.key),
        )

    def speech(
        self,
        key: tuple[int, int],
        origin: Ticks | None,
        phonemes: Sequence[PhonemeSpan],
        samples: Samples,
        start: Ticks,
        complete: bool,
    ) -> Utterance | None:
        """Take more of an utterance; None when it was cancelled."""
        if key in self._dead:
            return None
        track = self._tracks.get(key)
        if track is None:
            track = self._tracks[key] = Utterance(*key)
            if len(self._tracks) > MOST_TRACKS:
                oldest = next(iter(self._tracks))
                del self._tracks[oldest]
        was_from = min(track.curve.stop, track.length) if track.phonemes else 0
        track.add_phonemes(phonemes)
        track.add_sound(samples, start, self.meter)
        track.complete = track.complete or complete
        if origin is not None and origin != track.origin:
            self._move(track, origin)
        elif track.origin is not None and self._seen_at is not None:
            if track.origin + was_from - WINDOW < self._seen_at:
                self._blend()
        return track

    def shift(self, key: tuple[int, int], origin: Ticks) -> Utterance | None:
        """Say when an utterance's first sample is heard, or that its rest comes later."""
        track = self._tracks.get(key)
        if track is not None and track.origin != origin:
            self._move(track, origin)
        return track

    def _move(self, track: Utterance, origin: Ticks) -> None:
        track.origin = origin
        if self._seen_at is not None and origin - WINDOW < self._seen_at:
            self._blend()

    def _blend(self) -> None:
        if self._seen_at is not None:
            self._mend = (self._seen, self._seen_at)

    def cancel(self, at: Ticks, turn_id: int | None) -> None:
        """Let nothing be spoken after `at` (only turns up to `turn_id`, if given)."""
        for key, track in list(self._tracks.items()):
            if turn_id is not None and track.turn_id > turn_id:
                continue
            self._dead.append(key)
            if track.origin is None or track.origin >= at + WINDOW:
                del self._tracks[key]
            else:
                track.cut = at if track.cut is None else min(at, track.cut)

    def weights(self, pts: Ticks) -> Floats:
        """Return the 15 viseme weights at `pts`; they sum to 1. Not for going back in time."""
        out = self.peek(pts)
        if self._mend is not None and pts - self._mend[1] >= MEND:
            self._mend = None
        self._seen, self._seen_at = out, pts
        for track in list(self._tracks.values()):
            if track.origin is not None and pts > track.origin + track.stop + KEEP:
                del self._tracks[track.key]
        return out

    def peek(self, pts: Ticks) -> Floats:
        """Return the same without changing anything."""
        out = np.zeros(len(VISEMES))
        left = 1.0
        for track in reversed(self.tracks()):
            assert track.origin is not None
            local = pts - track.origin
            end = track.stop if track.cut is None else track.cut + EASE_SHUT - track.origin
            if not -WINDOW <= local <= end + WINDOW:
                continue
            weights = track.weights(local)
            if track.cut is not None and pts > track.cut:
                weights *= 1.0 - ease((pts - track.cut) / EASE_SHUT)
            weights[SIL] = 0.0
            out += left * weights
            left *= max(0.0, 1.0 - float(weights.sum()))
        out[SIL] = max(0.0, 1.0 - float(out[SIL + 1 :].sum()))
        if self._mend is not None:
            old, since = self._mend
            share = ease((pts - since) / MEND)
            out = share * out + (1.0 - share) * old
        return out

    def loudness(self, pts: Ticks) -> float:
        """Return how loud the voice is at `pts`, 0..1."""
        return max(
            (t.loudness_at(pts - (t.origin or 0)) for t in self.tracks() if t.cut is None),
            default=0.0,
        )

    def viseme_tracks(self) -> tuple[VisemeTrack, ...]:
        """Return the mouth shapes of all utterances that have a place on the stage clock."""
        return tuple(
            VisemeTrack(t.turn_id, t.origin or 0, viseme_keys(t.phonemes)) for t in self.tracks()
        )


def _closed() -> Floats:
    out = np.zeros(len(VISEMES))
    out[SIL] = 1.0
    return out
