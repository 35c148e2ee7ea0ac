"""The timeline of utterances: timed speech in, one endless stream of sound out.

Pure and clock-free: time is what `mix` is asked for. Utterances play in order of (turn, index).
One starts when its first `prefill` of sound is there (or all of it), `pause` after the one before
it; the lips see it coming because the body mixes further than it draws. If its sound runs dry in
the middle, it fades out, waits, and goes on with its origin shifted, so that lips and sound stay
together; after `PATIENCE` it is given up, so that a lost voice cannot mute the ones behind it.
Bound: `CAP` of unplayed sound; more is refused and counted (the mind keeps 2.0 s ahead, so this
is a safety net).
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S, Ticks
from voice.speech import AudioChunk, Samples

PREFILL: Ticks = 60 * TICKS_PER_MS
REFILL: Ticks = 400 * TICKS_PER_MS
"""A slow voice that has run dry goes on when so much is there: one gap instead of many."""
FADE: Ticks = 15 * TICKS_PER_MS
"""A cancelled voice is gone after this."""
EDGE: Ticks = TICKS_PER_MS
"""An utterance comes in and goes out over this, so that no voice can click."""
DRY_FADE: Ticks = 5 * TICKS_PER_MS
"""An utterance that runs dry fades over its last 5 ms, and comes back in as long."""
PATIENCE: Ticks = 5 * TICKS_PER_S
"""An unfinished utterance without sound for this long is over."""
CAP: Ticks = 60 * TICKS_PER_S

_EDGE = (0.5 - 0.5 * np.cos(np.pi * np.arange(EDGE + 1) / EDGE)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class PlayoutEvent:
    """Something that mixing decided."""

    kind: Literal["started", "shifted", "finished"]
    """A shift moves the rest of an utterance later; `finished` follows its last sample."""
    turn_id: int
    """The turn."""
    utterance: int
    """Index within the turn."""
    pts: Ticks
    """Stage time of the utterance's sample 0 (started, shifted) or of its end (finished)."""
    heard: Ticks
    """How much of it has been mixed, in samples from its start."""


@dataclass(frozen=True, slots=True)
class HeardPosition:
    """How far the audience has heard."""

    key: tuple[int, int]
    """Turn and utterance."""
    ticks: Ticks
    """From the start of the utterance."""


@dataclass(slots=True)
class _Track:
    """An utterance on the timeline: sound received and not yet mixed, and where it stands."""

    key: tuple[int, int]
    pieces: deque[Samples] = field(default_factory=deque)
    held: Ticks = 0  # samples in pieces
    received: Ticks = 0
    played: Ticks = 0
    complete: bool = False
    origin: Ticks | None = None  # stage time of sample 0, once started
    dry: bool = False
    head_start: Ticks = 0  # held before it starts
    waiting: Ticks = 0  # how long it has kept the audience waiting
    sink: Ticks = 0  # samples of a fade-out still to do
    swell: Ticks = 0  # samples of a fade-in still to do

    def take(self, n: int) -> Samples:
        out = np.empty(n, np.float32)
        done = 0
        while done < n:
            piece = self.pieces[0]
            step = min(len(piece), n - done)
            out[done : done + step] = piece[:step]
            done += step
            if step == len(piece):
                self.pieces.popleft()
            else:
                self.pieces[0] = piece[step:]
        self.held -= n
        self.played += n
        return out


@dataclass(slots=True)
class _Run:
    """A stretch of one utterance that was mixed without a break."""

    key: tuple[int, int]
    pts: Ticks
    first: Ticks
    stop: Ticks


class Playout:
    """Mixes speech into blocks of 48 kHz mono sound."""

    def __init__(
        self, *, pause_ticks: Ticks = 120 * TICKS_PER_MS, prefill_ticks: Ticks = PREFILL
    ) -> None:
        """Start silent.

        Args:
            pause_ticks: silence between two utterances.
            prefill_ticks: an utterance starts (and goes on after running dry) when this much of
                it is there; at least 10 ms.
        """
        self.underruns = 0
        """How often an utterance ran dry."""
        self.refused = 0
        """Chunks dropped because they did not fit or left a gap."""
        self._pause = pause_ticks
        self._prefill = max(prefill_ticks, 2 * DRY_FADE)
        self._tracks: dict[tuple[int, int], _Track] = {}
        self._floor = 0  # turns below it are cancelled
        self._over = (-1, -1)  # utterances up to this one are history
        self._free_at: Ticks = 0
        self._events: list[PlayoutEvent] = []
        self._tail: Samples = np.zeros(0, np.float32)  # a fade-out still to be mixed
        self._mixed: Ticks = 0
        self._close_after: int | None = None
        self._runs: deque[_Run] = deque(maxlen=16)

    def push(self, chunk: AudioChunk, *, head_start: Ticks = 0) -> bool:
        """Append a chunk to its utterance; False when it is stale, does not fit or leaves a gap.

        With the first one may come a head start: the utterance starts when so much of it is there,
        because its voice is slow and would run dry.

        A chunk that does not fit or follow is counted in `refused`, and its utterance ends with
        what is there.
        """
        key = (chunk.turn_id, chunk.utterance)
        if chunk.turn_id < self._floor or key <= self._over:
            return False
        track = self._tracks.get(key)
        if track is None and chunk.start > 0:
            self.refused += 1  # the rest of an utterance whose start another body has had
            return False
        if track is None:
            if self._close_after is not None and chunk.turn_id <= self._close_after:
                return False
            track = self._tracks[key] = _Track(key, head_start=head_start)
        if track.complete or chunk.start < track.received:
            return False  # sent again after a restart
        if chunk.start > track.received or self.ahead() + len(chunk.samples) > CAP:
            self.refused += 1
            track.complete = True
            return False
        if len(chunk.samples):
            track.pieces.append(np.asarray(chunk.samples, np.float32) * np.float32(chunk.gain))
            track.held += len(chunk.samples)
            track.received += len(chunk.samples)
            track.waiting = 0
        track.complete = chunk.final
        return True

    @property
    def speaking(self) -> bool:
        """True while an utterance is played, fades out, or is about to begin."""
        return bool(self._tracks) or len(self._tail) > 0

    def ahead(self) -> Ticks:
        """Return how much sound is waiting to be mixed."""
        return sum(track.held for track in self._tracks.values())

    def events(self) -> list[PlayoutEvent]:
        """Return what happened since the last call."""
        events, self._events = self._events, []
        return events

    def position(self) -> HeardPosition | None:
        """Return how far the utterance being played has been mixed."""
        for key in sorted(self._tracks):
            track = self._tracks[key]
            if track.origin is not None:
                return HeardPosition(key, track.played)
        return None

    def heard(self, pts: Ticks) -> HeardPosition | None:
        """Return what the audience has heard last at `pts`, up to the last 16 stretches back."""
        for run in reversed(self._runs):
            if run.pts <= pts:
                return HeardPosition(run.key, min(run.stop, run.first + pts - run.pts))
        return None

    def cancel(self, turn_id: int) -> HeardPosition | None:
        """Silence this turn and all before it: a 15 ms fade, then nothing. Returns the position."""
        heard = self.position()
        if heard is not None and heard.key[0] <= turn_id:
            track = self._tracks[heard.key]
            n = min(FADE, track.sink or track.held)
            if n and not track.dry:
                gain = self._gains(track, n) * np.linspace(1, 0, n + 1, dtype=np.float32)[1:]
                self._tail = track.take(n) * gain
                self._free_at = max(self._free_at, self._mixed + FADE)
        elif heard is not None:
            heard = None
        for key in [key for key in self._tracks if key[0] <= turn_id]:
            del self._tracks[key]
        self._floor = max(self._floor, turn_id + 1)
        self._close_after = None
        return heard

    def cancel_after_utterance(self, turn_id: int) -> None:
        """Let the utterance being played end; what follows of this turn is dropped."""
        self._close_after = turn_id
        for key, track in list(self._tracks.items()):
            if key[0] <= turn_id and track.origin is None:
                del self._tracks[key]

    def mix(self, pts: Ticks, n: int) -> Samples:
        """Return the `n` samples that are heard from `pts` on. Blocks follow without gaps."""
        self._mixed = pts + n
        out = np.zeros(n, np.float32)
        if len(self._tail):
            step = min(n, len(self._tail))
            out[:step] = self._tail[:step]
            self._tail = self._tail[step:]
        at = 0
        while at < n and self._tracks:
            track = self._tracks[min(self._tracks)]
            if track.origin is None or track.dry:
                begin = pts + at if track.dry else max(pts + at, self._free_at)
                if begin >= pts + n:
                    break
                wanted = min(track.head_start, REFILL) if track.dry else track.head_start
                if track.held < max(self._prefill, wanted) and not track.complete:
                    if not self._starve(track, pts, at, n):
                        break
                    continue
                at = begin - pts
                if track.held == 0:  # its end was all that was missing, or it was empty
                    if track.origin is None:
                        track.origin = begin
                        self._note("started", track, begin)
                elif track.origin is None:
                    track.origin = begin
                    self._note("started", track, begin)
                    self._runs.append(_Run(track.key, begin, 0, 0))
                else:
                    track.swell = DRY_FADE
                    track.origin = begin - track.played
                    self._note("shifted", track, track.origin)
                    self._runs.append(_Run(track.key, begin, track.played, track.played))
                track.dry = False
            at += self._play(track, out, at, n - at)
            if track.held == 0 and track.complete:
                self._finish(track, pts + at)
        return out

    def _play(self, track: _Track, out: Samples, at: int, n: int) -> int:
        """Mix up to `n` samples of `track` into `out[at:]`; returns how many."""
        if not track.sink and not track.complete and track.held < n + DRY_FADE:
            # Not enough for this block and a fade after it: it ends as well as it can.
            track.sink = track.held
        step = min(n, track.sink or track.held)
        if step == 0:
            return 0
        sinking = track.sink > 0
        gain = self._gains(track, step)
        sound = track.take(step)
        out[at : at + step] += sound * gain
        self._runs[-1].stop = track.played
        if sinking and track.sink == 0:
            track.dry = True
            self.underruns += 1
        return step

    @staticmethod
    def _gains(track: _Track, n: int) -> Samples | np.float32:
        """Return the gains of the next `n` samples of `track`, and move its fades on."""
        gain: Samples | np.float32 = np.float32(1)
        if track.played < EDGE:
            gain = _swing(np.arange(track.played + 1, track.played + n + 1))
        if track.complete and track.held < n + EDGE:
            gain = gain * _swing(np.arange(track.held - 1, track.held - 1 - n, -1))
        if track.sink:
            left = np.arange(track.sink - 1, track.sink - 1 - n, -1, dtype=np.float32)
            gain = gain * np.minimum(left / DRY_FADE, np.float32(1))
            track.sink -= n
        if track.swell:
            done = np.arange(1, n + 1, dtype=np.float32) + (DRY_FADE - track.swell)
            gain = gain * np.minimum(done / DRY_FADE, np.float32(1))
            track.swell = max(0, track.swell - n)
        return gain

    def _starve(self, track: _Track, pts: Ticks, at: int, n: int) -> bool:
        """Let `track` wait for sound for the rest of the block; True when it was given up."""
        track.waiting += n - at
        if track.waiting <= PATIENCE:
            return False
        if track.held == 0:
            if track.origin is None:
                del self._tracks[track.key]
                self._over = max(self._over, track.key)
                self._note("finished", track, pts + at)
            else:
                self._finish(track, pts + at)
        else:
            track.complete = True  # what is left of it is played
        return True

    def _finish(self, track: _Track, pts: Ticks) -> None:
        del self._tracks[track.key]
        self._over = max(self._over, track.key)
        self._free_at = pts + self._pause
        self._note("finished", track, pts)

    def _note(
        self, kind: Literal["started", "shifted", "finished"], track: _Track, pts: Ticks
    ) -> None:
        self._events.append(PlayoutEvent(kind, *track.key, pts, track.played))


def _swing(steps: npt.NDArray[np.int64]) -> Samples:
    """Return the gains so many samples from an utterance's beginning or end."""
    curve: Samples = _EDGE[np.minimum(steps, EDGE)]
    return curve
