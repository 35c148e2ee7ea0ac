"""One film being written: MP4 or Matroska with a picture, one or more tracks of sound, and text.

Runs on: the thread of the sink that owns it, plus x264's own. The AAC encoder's priming of 1024
samples is cut away by the edit list (MP4) or the codec delay (Matroska) that the muxer writes, so
sound and picture keep their ticks to the sample. A film that is crash safe grows by pieces of half
a second, which a player can read even if the show is killed; an MP4 becomes an ordinary one when it
is closed (FFmpeg's `hybrid_fragmented`, from 7.1 on).

In MP4 a block of text is written when it is over and cannot turn out otherwise any more: FFmpeg's
muxer ends the whole process (an assertion) where a sample begins before the end of the one before
it, and a piece has been written in between. Matroska wants a block's length as it begins, so there
it goes a little after its last word.
"""

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dialogue.plugins import EngineError
from dialogue.ticks import TICKS_PER_MS, Ticks
from render.captions import LEAST, Caption
from render.encode import TICK, PictureEncoder, SoundEncoder
from render.frames import VideoFrame

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mp4", ".mkv": "matroska"}
"""Suffix to FFmpeg's name of the container."""

PIECE_MS = 500
"""A crash costs at most this much of what was encoded."""

_TOGETHER_MS = 200
"""A track that has nothing to say holds the others up for so long at most."""

_PAUSE: Ticks = 120 * TICKS_PER_MS
"""A block of text stays so long after its last word where its end cannot be corrected."""

_BLANK: Ticks = 1
"""Length of the empty text that we write behind a block. FFmpeg's muxer writes one itself when the
next picture or block of sound comes; if that completes a piece, it takes that packet's time for the
one after it, and the sound stumbles. Ours completes the piece before."""

_CRASH_SAFE = {
    "mp4": {
        "movflags": "+hybrid_fragmented+frag_keyframe+delay_moov",
        "frag_duration": str(PIECE_MS * 1000),
    },
    "matroska": {"cluster_time_limit": str(PIECE_MS)},
}
_TEXT = {"mp4": "mov_text", "matroska": "subrip"}


class Film:
    """Writes one file under a temporary name, and gives it its name when it is finished."""

    def __init__(
        self,
        path: Path,
        pictures: PictureEncoder,
        sounds: Sequence[tuple[str, SoundEncoder]],
        *,
        first: Ticks,
        text: bool = False,
        translation: str = "",
        crash_safe: bool = True,
    ) -> None:
        """Create the file.

        Args:
            path: of the film; a suffix of `FORMATS`.
            pictures: a fresh encoder, which the film finishes.
            sounds: title and encoder of each track of sound; the first one is what is played. They
                may go on in another film, whose first packets then are this one's last.
            first: stage time of its beginning; -1 where it is not known yet.
            text: give it a text track.
            translation: with it, one more in this language (ISO 639-2); "" for none.
            crash_safe: see the module.

        Raises:
            EngineError: it cannot be written there.
        """
        import av

        self.path = path
        self.first = first
        self.length: Ticks = 0
        """Up to the end of its last picture."""
        self._part = part(path)
        self._format = FORMATS[path.suffix.lower()]
        options = {"flush_packets": "1", "max_interleave_delta": str(_TOGETHER_MS * 1000)}
        if crash_safe:
            options |= _CRASH_SAFE[self._format]
        elif self._format == "mp4":
            options["movflags"] = "+faststart"
        try:
            with self._part.open("wb"):
                pass  # says plainly what is wrong with the folder, which FFmpeg does not
            self._container: Any = av.open(
                str(self._part), "w", format=self._format, options=options
            )
        except OSError as error:
            raise EngineError(why(path, error)) from None
        self._pictures = pictures
        self._video = pictures.stream_in(self._container)
        self._sounds = [encoder.stream_in(self._container) for _, encoder in sounds]
        for stream, (title, _) in zip(self._sounds, sounds, strict=True):
            if title:
                stream.metadata["title"] = stream.metadata["handler_name"] = title
        self._text: Any = None
        if text:
            self._text = self._container.add_mux_stream(_TEXT[self._format])
            self._text.time_base = TICK
        self._translation: Any = None
        if text and translation:
            self._translation = self._container.add_mux_stream(_TEXT[self._format])
            self._translation.time_base = TICK
            self._translation.metadata["language"] = translation
        self._shown: Caption | None = None  # seen now; in MP4 not written yet
        # Stage time up to which a track of text has some: what is said, and its translation.
        self._text_until: Ticks = 0
        self._translated_until: Ticks = 0

    def picture(self, frame: VideoFrame, step: Ticks) -> None:
        """Encode one picture, which is shown for `step`."""
        at = frame.pts - self.first
        self._mux(self._video, self._pictures.encode(frame, pts=at))
        self.length = at + step

    def sound(self, track: int, packet: Any, at: Ticks) -> None:
        """Write a copy of a packet of sound, heard from `at` (stage time) on."""
        import av

        copy = av.Packet(bytes(packet))
        copy.pts = copy.dts = at - self.first
        copy.duration, copy.time_base, copy.is_keyframe = packet.duration, TICK, True
        self._mux(self._sounds[track], [copy])

    def text(self, captions: Sequence[Caption], now: Ticks) -> None:
        """Write to the text track what is seen at `now`, the end of the picture that comes next.

        Args:
            captions: as they stand now, in order of time; one that is over may be left out.
            now: stage time.
        """
        if self._text is None:
            return
        fresh = [c for c in captions if c.lines and c.start < now and c.stop > self.first]
        newest = fresh[-1] if fresh else None
        if self._format == "matroska":
            shown = self._shown
            if newest is not None and (shown is None or newest.key != shown.key):
                self._shown = newest
                stop = max(newest.said + _PAUSE, newest.start + LEAST)
                self._write(newest, newest.start, min(newest.stop, stop))
            return
        self._follow(captions, newest, now)

    def translation(self, caption: Caption, end: Ticks | None = None) -> None:
        """Write a translation to its track when it is over, whenever it came.

        Args:
            caption: of what is said in this film; those before it were written before it.
            end: stage time of the film's end, where that is known.
        """
        stop = caption.stop if end is None else min(caption.stop, end)
        at = max(caption.start, self.first, self._translated_until)
        if self._translation is not None and stop > at and caption.lines:
            self._translated_until = stop + (_BLANK if self._format == "mp4" else 0)
            self._mux_text(self._translation, caption, at, stop)

    def _follow(self, captions: Sequence[Caption], newest: Caption | None, now: Ticks) -> None:
        """Keep the block that is seen, and write it when it is over."""
        shown = self._shown
        if shown is not None:
            shown = self._shown = next((c for c in captions if c.key == shown.key), shown)
            other = newest if newest is not None and newest.key != shown.key else None
            if other is not None or shown.stop < now:
                stop = shown.stop if other is None else min(shown.stop, other.start)
                self._write(shown, shown.start, stop)
                self._shown = None
        if self._shown is None and newest is not None and newest.stop > max(now, self._text_until):
            self._shown = newest

    def finish(self) -> None:
        """Flush, close, and give the film its name.

        Raises:
            EngineError: the disk is full, or the folder went away.
        """
        try:
            if self._shown is not None and self._format == "mp4":
                self._write(self._shown, self._shown.start, self.first + self.length)
            self._mux(self._video, self._pictures.finish())
            self._container.close()
            self._part.replace(self.path)
        except OSError as error:
            raise EngineError(why(self.path, error)) from None

    def discard(self) -> None:
        """Leave nothing behind, since nothing was filmed."""
        self._container.close()
        self._part.unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        try:
            return self._part.stat().st_size
        except OSError:
            return 0

    def _write(self, caption: Caption, start: Ticks, stop: Ticks) -> None:
        """Write a block to the text track, seen from `start` to `stop` on the stage clock."""
        at = max(start, self.first, self._text_until)
        if stop <= at or not caption.lines:
            return
        if self._format == "mp4":
            self._text_until = stop + _BLANK
        self._mux_text(self._text, caption, at, stop)

    def _mux_text(self, stream: Any, caption: Caption, at: Ticks, stop: Ticks) -> None:
        import av

        text = "\n".join(caption.lines).encode()
        samples = [(text, at, stop - at)]
        if self._format == "mp4":
            text = len(text).to_bytes(2, "big") + text  # 3GPP TS 26.245
            samples = [(text, at, stop - at), (b"\0\0", stop, _BLANK)]
        for content, begin, length in samples:
            packet = av.Packet(content)
            packet.time_base = TICK
            packet.pts = packet.dts = begin - self.first
            packet.duration = length
            self._mux(stream, [packet])

    def _mux(self, stream: Any, packets: Sequence[Any]) -> None:
        try:
            for packet in packets:
                packet.stream = stream
                self._container.mux(packet)
        except OSError as error:
            raise EngineError(why(self.path, error)) from None


def part(path: Path) -> Path:
    """Return the film's name while it is being written: one that players know."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


def why(path: Path, error: OSError) -> str:
    """Return one line that says why the film cannot be written, and the remedy."""
    match error.errno:
        case errno.ENOSPC:
            return f"{path}: the disk is full; make room and record again"
        case errno.ENOENT | errno.ENOTDIR:
            return f"{path}: there is no folder {path.parent}; make it, or record elsewhere"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"{path}: not allowed to write into {path.parent}; record elsewhere"
    return f"{path}: cannot write the film ({error.strerror or error})"
