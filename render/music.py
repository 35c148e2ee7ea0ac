"""Background music: a file or a folder of them as one endless stream at 48 kHz, mono.

Runs on: a thread of its own decodes (PyAV), at most `AHEAD` of sound ahead; the render thread
takes it. Buffer: when it is full the decoder waits; when it is empty the music fades out and
comes back when there is a second of it. Each piece is brought to the same loudness (by its first
half minute), and joined to the next by a crossfade, also a single one that is played again and
again. A file that cannot be played is one line, and left out from then on.
"""

import random
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dialogue.background import be_nicer
from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S, Ticks
from voice import loudness
from voice.speech import Samples

AHEAD: Ticks = 4 * TICKS_PER_S
"""Music decoded before it is heard."""
ENOUGH: Ticks = TICKS_PER_S
"""Music begins, and comes back, when there is so much of it."""
JOIN: Ticks = 2 * TICKS_PER_S
"""One piece fades into the next over this; shorter where a piece is short."""
RISE: Ticks = 2 * TICKS_PER_S
"""The music comes in over this."""
DRY_FADE: Ticks = 50 * TICKS_PER_MS
"""Music that runs dry goes out over this, and comes back in as long."""
MEASURED: Ticks = 30 * TICKS_PER_S
"""A piece's loudness is that of its beginning."""
MOST_DB = 20.0
"""A piece is made louder or softer by no more than this."""
SUFFIXES = frozenset(".aac .aif .aiff .flac .m4a .mka .mp3 .oga .ogg .opus .wav".split())
"""What counts as music in a folder."""
YIELD = 4
"""Added to the niceness of the decoder's thread."""


def pieces(path: Path) -> list[Path]:
    """Return the files of music at `path`, a file or a folder, in order of their names."""
    if not path.is_dir():
        return [path] if path.exists() else []
    return sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


class Music:
    """Plays pieces one after the other. `read` and `fade_out` are the mixing thread's."""

    def __init__(
        self,
        files: Sequence[Path],
        *,
        level_db: float = -12.0,
        shuffle: bool = False,
        loop: bool = True,
        seed: int = 0,
        tell: Callable[[str], None] = lambda line: None,
        waits: bool = False,
    ) -> None:
        """Prepare; decoding starts with the first `read`.

        Args:
            files: the pieces.
            level_db: loudness against the voice's.
            shuffle: another order each time round.
            loop: begin again after the last one.
            seed: of the order.
            tell: takes one line about a piece that cannot be played.
            waits: `read` waits for the decoder; for films made offline.
        """
        self._files = list(files)
        self._target_lufs = loudness.TARGET_LUFS + level_db
        self._shuffle, self._loop = shuffle, loop
        self._random = random.Random(seed)
        self._tell = tell
        self._waits = waits
        self._change = threading.Condition()
        self._buffer: deque[Samples] = deque()
        self._held: Ticks = 0
        self._over = False
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._level = 0.0  # gain that the last sample had
        self._fade: Ticks = RISE
        self._playing = False
        self._leaving = False

    @property
    def over(self) -> bool:
        """True when nothing will come any more."""
        return (self._over and not self._held) or (self._leaving and self._level == 0.0)

    def read(self, n: int) -> Samples:
        """Return the next `n` samples; silence where there is no music."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="music", daemon=True)
            self._thread.start()
        out = np.zeros(n, np.float32)
        with self._change:
            if self._waits:
                self._change.wait_for(lambda: self._over or self._held >= n + ENOUGH)
            held, over = self._held, self._over
        if self._leaving and self._level == 0.0:
            return out
        dry = not over and held < n + DRY_FADE
        if not self._playing:
            if held < ENOUGH and not over:
                return out
            self._playing = True
        step = min(n, held, DRY_FADE) if dry else min(n, held)
        sound = self._take(step)
        if dry:
            self._playing = False
            gain = np.linspace(self._level, 0.0, step, dtype=np.float32)
            self._level, self._fade = 0.0, DRY_FADE
        else:
            way = -1.0 if self._leaving else 1.0
            ramp = self._level + way * np.arange(1, step + 1, dtype=np.float32) / self._fade
            gain = np.clip(ramp, 0.0, 1.0)
            self._level = float(gain[-1]) if step else self._level
        out[:step] = sound * gain
        return out

    def fade_out(self, ticks: Ticks) -> None:
        """Go out over so many ticks, and stay silent."""
        self._leaving, self._fade = True, max(1, ticks)

    def close(self) -> None:
        """End the decoder."""
        with self._change:
            self._stopped = True
            self._change.notify_all()

    def _take(self, n: int) -> Samples:
        out = np.empty(n, np.float32)
        done = 0
        with self._change:
            while done < n:
                piece = self._buffer[0]
                step = min(len(piece), n - done)
                out[done : done + step] = piece[:step]
                done += step
                if step == len(piece):
                    self._buffer.popleft()
                else:
                    self._buffer[0] = piece[step:]
            self._held -= n
            self._change.notify_all()
        return out

    def _run(self) -> None:
        if not self._waits:
            be_nicer(YIELD)
        try:
            for sound in _joined(self._order()):
                for at in range(0, len(sound), TICKS_PER_S):
                    if not self._give(sound[at : at + TICKS_PER_S]):
                        return
        finally:
            with self._change:
                self._over = True
                self._change.notify_all()

    def _give(self, sound: Samples) -> bool:
        with self._change:
            self._change.wait_for(lambda: self._stopped or self._held < AHEAD)
            self._buffer.append(sound)
            self._held += len(sound)
            self._change.notify_all()
            return not self._stopped

    def _order(self) -> Iterator[Iterator[Samples]]:
        """Yield piece after piece, as long as there is one that can be played."""
        left = list(self._files)
        while left:
            if self._shuffle:
                self._random.shuffle(left)
            for path in list(left):
                track = _Track(path, self._target_lufs)
                yield iter(track)
                if track.fault:
                    self._tell(f"music: {path} cannot be played ({track.fault}); it is left out")
                    left.remove(path)
            if not self._loop:
                return
        if self._files:
            self._tell("music: no file is left that can be played; the show goes on without music")


class _Track:
    """One file, decoded piece by piece and brought to a loudness."""

    def __init__(self, path: Path, lufs: float) -> None:
        self.fault = ""
        """Why it ended early; "" when it did not."""
        self._path, self._lufs = path, lufs

    def __iter__(self) -> Iterator[Samples]:
        begun: list[Samples] = []
        held = 0
        gain: np.float32 | None = None
        for sound in self._decode():
            if gain is not None:
                yield sound * gain
                continue
            begun.append(sound)
            held += len(sound)
            if held >= MEASURED:
                whole = np.concatenate(begun)
                gain = self._gain(whole)
                yield whole * gain
        if gain is None and held:
            whole = np.concatenate(begun)
            yield whole * self._gain(whole)
        elif not held and not self.fault:
            self.fault = "it is empty"

    def _gain(self, sound: Samples) -> np.float32:
        measured = loudness.integrated(sound)
        if measured <= loudness.SILENT_LUFS:
            return np.float32(1)
        db = max(-MOST_DB, min(MOST_DB, self._lufs - measured))
        return np.float32(10 ** (db / 20))

    def _decode(self) -> Iterator[Samples]:
        import av

        try:
            with av.open(str(self._path)) as container:
                if not container.streams.audio:
                    self.fault = "it has no sound"
                    return
                mono: Any = av.AudioResampler(format="flt", layout="mono", rate=TICKS_PER_S)
                for frame in container.decode(audio=0):
                    for block in mono.resample(frame):
                        yield block.to_ndarray()[0]
                for block in mono.resample(None):
                    yield block.to_ndarray()[0]
        except (OSError, ValueError, av.FFmpegError) as error:
            reason = getattr(error, "strerror", "") or str(error) or type(error).__name__
            self.fault = reason.splitlines()[0]


def _joined(tracks: Iterator[Iterator[Samples]]) -> Iterator[Samples]:
    """Yield all tracks as one sound: the end of each fades into the beginning of the next."""
    tail: Samples = np.zeros(0, np.float32)
    for track in tracks:
        head: Samples = np.zeros(0, np.float32)
        inside = False
        for sound in track:
            if not inside:
                head = np.concatenate((head, sound))
                if len(head) < JOIN:
                    continue
                yield from _cross(tail, head[:JOIN])
                tail, inside = head[JOIN:], True
            else:
                tail = np.concatenate((tail, sound))
            if len(tail) > JOIN:
                yield tail[:-JOIN]
                tail = tail[-JOIN:]
        if not inside and len(head):
            half = len(head) // 2  # a short piece: its second half fades into the next
            yield from _cross(tail, head[:half])
            tail = head[half:]
    yield tail * _fall(len(tail))


def _cross(tail: Samples, head: Samples) -> Iterator[Samples]:
    """Yield `tail` running into `head`, at equal power."""
    n = min(len(tail), len(head))
    if n < len(tail):
        yield tail[: len(tail) - n]
    fall = _fall(n)
    rise = np.sqrt(np.maximum(0.0, 1.0 - fall * fall)).astype(np.float32)
    yield tail[len(tail) - n :] * fall + head[:n] * rise
    yield head[n:]


def _fall(n: int) -> Samples:
    return np.cos(np.linspace(0.0, np.pi / 2, n + 2, dtype=np.float32)[1:-1])
