"""Recordings: films in MP4 or Matroska, with captions beside and inside, whole or in parts.

Runs on: its sink thread, plus x264's own. How a film is written, and survives a crash, stands in
`render.film`. Sound is held until the picture of its instant has come, so that a cut parts both at
the same tick. Every part begins with a complete picture and is a whole number of AAC frames long.
The encoder of the sound goes on over the cut, and the last frame before it is also the one that the
next part's decoder begins with and does not play: joined again, nothing is padded, lost, doubled
or heard.
"""

import itertools
import shutil
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dialogue.plugins import EngineError
from dialogue.ticks import TICKS_PER_S, Ticks, to_s
from dialogue.translation import TARGETS
from render.captions import Caption, Transcript
from render.encode import EARLY, PRIMING, PictureEncoder, SoundEncoder
from render.film import FORMATS, Film, part
from render.frames import VideoFrame
from voice.speech import Samples

_AAC: Ticks = PRIMING
"""An AAC frame."""
_KEPT = 64
"""Captions that are not over yet; more are dropped, oldest first."""
_MB = 1_000_000


class FileSink:
    """Writes `path` under a temporary name and renames it at the end.

    The film starts with the first picture: sound before it is cut away, so that both begin at 0.
    """

    needs: ClassVar[Mapping[str, str]] = {}
    takes_pixels: ClassVar[bool] = False
    patience: ClassVar[Ticks] = 10 * TICKS_PER_S

    def __init__(
        self,
        *,
        path: Path,
        crf: int = 23,
        preset: str = "ultrafast",
        audio_bitrate: int = 128_000,
        threads: int = 2,
        crash_safe: bool = True,
        overwrite: bool = True,
        captions: bool = True,
        translation: str = "",
        stems: bool = False,
        split_min: float = 0.0,
        split_mb: float = 0.0,
        reserve_mb: float = 200.0,
    ) -> None:
        """Prepare a film.

        Args:
            path: the file, .mp4 or .mkv; its folder must exist.
            crf: x264's quality, 0 (lossless) to 51; 23 looks clean on drawn art (about 6
                Mbit/s at 720p30 when the host moves a lot).
            preset: x264's speed; `ultrafast` leaves the cores to model and voice: a third less
                work than `superfast`, for a film twice as large.
            audio_bitrate: of each AAC track, in bits a second.
            threads: encoder threads.
            crash_safe: what was recorded can be played even if the show is killed; otherwise the
                index of an MP4 comes first, which starts sooner over the web.
            overwrite: replace a film of that name; otherwise it is kept, and so is what a killed
                show left, and this one is called "name-2.mp4". For recordings of live shows,
                where a sink that failed is made anew.
            captions: a text track inside, and "name.vtt" and "name.srt" beside it.
            translation: ISO 639-1 code of the translation that captions come with: a second track,
                and for "en" "name.en.vtt" and "name.en.srt"; "" for none. A show with
                `captions.translate` gives it by itself.
            stems: two more tracks of sound: the clean voice, and the music.
            split_min: begin a new part ("name-001.mp4", "name-002.mp4" ...) after so many minutes;
                0: never.
            split_mb: begin a new part after so many megabytes (1,000,000 bytes); 0: never.
            reserve_mb: with less than this left on the disk, the film is finished while it can be.

        Raises:
            EngineError: the suffix is no container's, a number is negative, or there is no such
                translation.
        """
        self.path = Path(path)
        """Where the film, or its present part, will be; settled by `open`."""
        if self.path.suffix.lower() not in FORMATS:
            name = self.path.with_suffix(".mp4").name
            raise EngineError(f"{self.path}: films are .mp4 or .mkv; call it {name}")
        if min(split_min, split_mb, reserve_mb) < 0:
            raise EngineError(f"{self.path}: split_min, split_mb and reserve_mb are not negative")
        if translation and translation not in TARGETS:
            known = ", ".join(TARGETS)
            raise EngineError(f"{self.path}: no translation {translation!r}; known: {known}")
        self._translation = translation
        self._options: dict[str, Any] = {"crf": crf, "preset": preset, "threads": threads}
        self._film_options: dict[str, Any] = {
            "text": captions,
            "translation": TARGETS[translation].long_code if translation else "",
            "crash_safe": crash_safe,
        }
        self._audio_bitrate = audio_bitrate
        self._overwrite = overwrite
        self._captioned = captions
        self._stems = stems
        self._split: Ticks = round(split_min * 60 * TICKS_PER_S)
        self._split_bytes = split_mb * _MB
        self._reserve = reserve_mb * _MB
        self._opened = False

    @property
    def watched(self) -> bool:
        """A film keeps every picture."""
        return True

    def open(self, *, width: int, height: int, fps: int) -> None:
        """Settle the name and see whether a film can be written there.

        Raises:
            EngineError: it cannot.
        """
        self._size: dict[str, Any] = {"width": width, "height": height, "fps": fps}
        self._step: Ticks = TICKS_PER_S // fps
        self._base = self.path
        if not self._overwrite:
            self._base = _unused(self._base, split=self._splits)
        self._number = 0
        self._held: deque[tuple[Ticks, list[Samples]]] = deque()
        self._parts: tuple[Samples, Samples] | None = None
        self._texts: dict[tuple[int, int, int], Caption] = {}
        self._transcripts: dict[str, Transcript] = {}  # by language of a translation, or ""
        self._saved: list[Path] = []
        self._look_at: Ticks = 0
        self._film: Film | None = None
        self._ending: Film | None = None  # a part whose last sound is still to come
        self._origin: Ticks = -1  # stage time of the first picture
        self._sound_end: Ticks = 0  # from there
        titles = ("mix", "voice", "music") if self._stems else ("",)
        self._sounds = [(title, SoundEncoder(bitrate=self._audio_bitrate)) for title in titles]
        self._name()
        if self._left() < self._reserve:
            raise EngineError(f"{self.path}: {self._room()}; make room and it begins")
        self._film = self._begin(-1)
        self._opened = True

    def video(self, frame: VideoFrame) -> None:
        """Encode one picture, and the sound of its time."""
        film = self._film
        if film is None:
            return
        if film.first < 0:
            film.first = self._origin = frame.pts
        elif self._is_cut(frame.pts, film):
            film = self._next(frame.pts)
        end = frame.pts + self._step
        if self._texts:
            spoken = [c for c in self._texts.values() if not c.translated]
            film.text(sorted(spoken, key=lambda c: c.start), end)
            for key in [c.key for c in self._texts.values() if c.final and c.stop < frame.pts]:
                del self._texts[key]
        film.picture(frame, self._step)
        self._release(end)
        if frame.pts >= self._look_at:
            self._look_at = frame.pts + TICKS_PER_S
            self._look_after_disk()

    def stems(self, pts: Ticks, voice: Samples, music: Samples) -> None:
        """Keep the parts of the sound that comes next."""
        self._parts = (voice, music) if self._stems else None

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Take a block of sound; it is encoded with the picture of its time."""
        blocks = [samples]
        if self._stems:
            parts, self._parts = self._parts, None
            silence = np.zeros(len(samples), np.float32)
            blocks += [p if len(p) == len(samples) else silence for p in parts or (silence,) * 2]
        self._held.append((pts, blocks))
        film = self._film
        if film is None:
            return
        if film.first < 0:  # no picture yet
            while pts - self._held[0][0] > EARLY:
                self._held.popleft()
        elif pts - self._held[0][0] > EARLY:  # the pictures stand still
            self._release(self._held[0][0] + len(self._held[0][1][0]))

    def caption(self, caption: Caption) -> None:
        """Take a block of captions; it goes beside the film when it is over."""
        if not self._captioned or self._film is None:
            return
        if caption.translated and not self._translation:
            return
        self._texts.pop(caption.key, None)
        self._texts[caption.key] = caption  # when it is over, the track may still have to be cut
        if len(self._texts) > _KEPT:
            del self._texts[next(iter(self._texts))]
        if caption.final and caption.lines:
            self._write_beside(caption)

    def close(self) -> None:
        """Flush, close and give the film its name.

        Raises:
            EngineError: the disk is full, or the folder went away.
        """
        film, self._film = self._film, None
        if film is None:
            return
        if film.first < 0:
            film.discard()
            return
        end = film.first + film.length
        self._release(end, film)
        for track, (_, encoder) in enumerate(self._sounds):
            self._give(track, encoder.finish(), film)
        if self._ending is not None:
            self._finish(self._ending)
        self._write_rest(film, end)
        self._finish(film)

    # Parts --------------------------------------------------------------------------------------

    @property
    def _splits(self) -> bool:
        return bool(self._split or self._split_bytes)

    def _name(self) -> None:
        self._number += 1
        self.path = _numbered(self._base, self._number) if self._splits else self._base

    def _begin(self, first: Ticks) -> Film:
        pictures = PictureEncoder(**self._size, **self._options)
        return Film(self.path, pictures, self._sounds, first=first, **self._film_options)

    def _is_cut(self, pts: Ticks, film: Film) -> bool:
        length = pts - film.first
        if not self._splits or length % _AAC:
            return False
        return bool(self._split and length >= self._split) or bool(
            self._split_bytes and film.size >= self._split_bytes
        )

    def _next(self, pts: Ticks) -> Film:
        """End the part at `pts` and begin the next."""
        film = self._film
        assert film is not None
        self._release(pts)
        self._write_rest(film, pts)
        film.length = pts - film.first
        if self._ending is not None:  # a part of hardly any length
            self._finish(self._ending)
        self._ending = film
        self._name()
        self._film = self._begin(pts)
        return self._film

    def _release(self, until: Ticks, film: Film | None = None) -> None:
        """Encode the sound before `until`."""
        while self._held and self._held[0][0] < until:
            pts, blocks = self._held.popleft()
            inside = until - pts
            if inside < len(blocks[0]):
                self._held.appendleft((until, [block[inside:] for block in blocks]))
                blocks = [block[:inside] for block in blocks]
            self._encode(pts - self._origin, blocks, film)

    def _encode(self, at: Ticks, blocks: list[Samples], film: Film | None) -> None:
        """Encode a block of each track, heard from `at` on; gaps become silence."""
        size = len(blocks[0])
        skip, gap = max(0, self._sound_end - at), max(0, at - self._sound_end)
        if skip >= size:
            return
        for track, samples in enumerate(blocks):
            fitted = samples[skip:]
            if gap:  # begun after the picture
                fitted = np.concatenate([np.zeros(gap, np.float32), fitted])
            self._give(track, self._sounds[track][1].encode(fitted, pts=self._sound_end), film)
        self._sound_end = at + size

    def _give(self, track: int, packets: list[Any], film: Film | None) -> None:
        """Write packets of sound into the part, or the two parts, that they belong to."""
        film = film or self._film
        assert film is not None
        for packet in packets:
            at = self._origin + packet.pts
            ending = self._ending
            if ending is not None and at < ending.first + ending.length:
                ending.sound(track, packet, at)
            if at >= film.first - _AAC:
                film.sound(track, packet, at)
            if ending is not None and at >= film.first and track == len(self._sounds) - 1:
                self._ending = None
                self._finish(ending)

    def _write_rest(self, film: Film, end: Ticks) -> None:
        """Write beside `film` what is being said at its end."""
        for caption in sorted(self._texts.values(), key=lambda c: c.start):
            if not caption.final and caption.start < end:
                self._write_beside(caption, film, end)
        transcripts, self._transcripts = self._transcripts, {}
        for transcript in transcripts.values():
            transcript.close()

    def _finish(self, film: Film) -> None:
        film.finish()
        self._saved.append(film.path)

    def _write_beside(self, caption: Caption, film: Film | None = None, end: int = 0) -> None:
        film = film or self._film
        if film is None or film.first < 0 or caption.stop <= film.first:
            return
        language = ""
        if caption.translated:
            language = self._translation
            film.translation(caption, end or None)
        try:
            if language not in self._transcripts:
                self._transcripts[language] = Transcript(film.path, language)
            self._transcripts[language].write([caption], film.first, end or None)
        except OSError as error:
            raise EngineError(
                f"{film.path}: cannot write the captions beside it ({error.strerror or error})"
            ) from None

    # The disk -----------------------------------------------------------------------------------

    def _left(self) -> float:
        try:
            return shutil.disk_usage(self._base.parent).free
        except OSError:
            return float("inf")  # opening the file says what is wrong with the folder

    def _room(self) -> str:
        return f"less than {self._reserve / _MB:.0f} MB are left on the disk"

    def _look_after_disk(self) -> None:
        if self._left() >= self._reserve or self._film is None:
            return
        length_s = to_s(self._film.length)
        room = self._room()
        self.close()
        raise EngineError(
            f"{self.path}: {room}; the recording stopped, its {length_s:.0f} s can be played; "
            "make room and it goes on in a new file"
        )


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}-{number:03d}{path.suffix}")


def _unused(path: Path, *, split: bool = False) -> Path:
    """Return `path`, or "name-2.mp4" and so on where it or its unfinished film is there."""
    names = (path.with_name(f"{path.stem}-{n}{path.suffix}") for n in itertools.count(2))
    for name in itertools.chain([path], names):
        first = _numbered(name, 1) if split else name
        if not (first.exists() or part(first).exists()):
            return name
    raise AssertionError  # there is always one more number
