"""The timeline of utterances: timed speech in, one endless stream of sound out.

Pure and clock-free: time is what `mix` is asked for. Utterances play in order of (turn, index).
One starts when its first `prefill` of sound is there (or all of it), `pause` after the one before
it. If its sound runs dry in the middle, it fades out, waits, and goes on with its origin shifted,
so that lips and sound stay together. Bound: `CAP` of unplayed sound; more is refused and counted
(the mind keeps 2.0 s ahead, so this is a safety net).
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S, Ticks
from voice.speech import AudioChunk, Samples

PREFILL: Ticks = 60 * TICKS_PER_MS
FADE: Ticks = 15 * TICKS_PER_MS
"""A cancelled voice is gone after this."""
DRY_FADE: Ticks = 5 * TICKS_PER_MS
CAP: Ticks = 60 * TICKS_PER_S
CEILING = 10 ** (-1 / 20)
"""-1 dBFS: no sample goes above it."""
KNEE = 0.7
"""Louder samples are rounded off smoothly towards the ceiling."""


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
    """How much of it has been mixed."""


@dataclass(frozen=True, slots=True)
class HeardPosition:
    """How far the audience has heard."""

    key: tuple[int, int]
    """Turn and utterance."""
    ticks: Ticks
    """From the start of the utterance."""


@dataclass(slots=True)
class _Track:
    key: tuple[int, int]
    pieces: deque[Samples] = field(default_factory=deque)
    held: Ticks = 0  # samples in pieces
    received: Ticks = 0
    played: Ticks = 0
    complete: bool = False
    origin: Ticks | None = None
    dry: bool = False
    swell: Ticks = 0  # samples of a fade-in still to do after a dry spell

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


class Playout:
    """Mixes speech into blocks of 48 kHz mono sound."""

    def __init__(self, *, pause_ticks: Ticks = 120 * TICKS_PER_MS) -> None:
        """Start silent.

        Args:
            pause_ticks: silence between two utterances.
        """
        self.underruns = 0
        self.refused = 0
        self._pause = pause_ticks
        self._tracks: dict[tuple[int, int], _Track] = {}
        self._floor = 0  # turns below it are cancelled
        self._free_at: Ticks = 0
        self._events: list[PlayoutEvent] = []
        self._tail: Samples = np.zeros(0, np.float32)  # a fade-out still to be mixed
        self._mixed: Ticks = 0
        self._close_after: int | None = None

    def push(self, chunk: AudioChunk) -> bool:
        """Append a chunk to its utterance; False when it is stale or does not fit.

        Raises:
            ValueError: chunks of an utterance must follow each other without gaps.
        """
        key = (chunk.turn_id, chunk.utterance)
        if chunk.turn_id < self._floor:
            return False
        if self._close_after is not None and chunk.turn_id <= self._close_after:
            if key not in self._tracks:
                return False
        track = self._tracks.setdefault(key, _Track(key))
        if chunk.start != track.received:
            if chunk.start < track.received:
                return False  # sent again after a restart
            raise ValueError(f"utterance {key}: chunk at {chunk.start}, expected {track.received}")
        if self.ahead() + len(chunk.samples) > CAP:
            self.refused += 1
            return False
        if len(chunk.samples):
            track.pieces.append(np.asarray(chunk.samples, np.float32))
            track.held += len(chunk.samples)
            track.received += len(chunk.samples)
        track.complete = track.complete or chunk.final
        return True

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

    def cancel(self, turn_id: int) -> HeardPosition | None:
        """Silence this turn and all before it: a 15 ms fade, then nothing. Returns the position."""
        heard = self.position()
        if heard is not None and heard.key[0] <= turn_id:
            track = self._tracks[heard.key]
            n = min(FADE, track.held)
            if n and not track.dry:
                self._tail = track.take(n) * np.linspace(1, 0, n, dtype=np.float32)
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
        out = np.zeros(n, np.float32)
        if len(self._tail):
            step = min(n, len(self._tail))
            out[:step] = self._tail[:step]
            self._tail = self._tail[step:]
        at = 0
        while at < n and self._tracks:
            track = self._tracks[min(self._tracks)]
            if track.origin is None:
                begin = max(pts + at, self._free_at)
                if track.held < PREFILL and not track.complete or begin >= pts + n:
                    break
                at = begin - pts
                track.origin = begin
                self._note("started", track, begin)
            elif track.dry:
                if track.held < PREFILL and not track.complete:
                    break
                track.dry = False
                track.swell = DRY_FADE
                track.origin = pts + at - track.played
                self._note("shifted", track, track.origin)
            at += self._play(track, out, at, n)
            if track.held == 0 and track.complete:
                del self._tracks[track.key]
                self._free_at = pts + at + self._pause
                self._note("finished", track, pts + at)
            elif track.held == 0:
                track.dry = True
                self.underruns += 1
                break
        self._mixed = pts + n
        return _limit(out)

    def _play(self, track: _Track, out: Samples, at: int, n: int) -> int:
        step = min(n - at, track.held)
        if step == 0:
            return 0
        sound = track.take(step)
        if track.swell:
            rise = min(track.swell, step)
            sound[:rise] *= np.linspace(0, 1, rise, dtype=np.float32)
            track.swell = 0
        if track.held == 0 and not track.complete:
            fall = min(DRY_FADE, step)
            sound[-fall:] *= np.linspace(1, 0, fall, dtype=np.float32)
        out[at : at + step] += sound
        return step

    def _note(
        self, kind: Literal["started", "shifted", "finished"], track: _Track, pts: Ticks
    ) -> None:
        self._events.append(PlayoutEvent(kind, *track.key, pts, track.played))


def _limit(sound: Samples) -> Samples:
    """Round samples above the knee off towards the ceiling; quieter ones are untouched."""
    loud = np.abs(sound) > KNEE
    if loud.any():
        over = (np.abs(sound[loud]) - KNEE) / (CEILING - KNEE)
        sound[loud] = np.sign(sound[loud]) * (KNEE + (CEILING - KNEE) * np.tanh(over))
    return sound
