"""MP4 films: H.264 and AAC through PyAV, pts straight from the ticks.

Runs on: its sink thread, plus x264's own. The AAC encoder's priming of 1024 samples is cut away by
the edit list that the muxer writes, so sound and picture keep their ticks to the sample. The film
grows as fragments, which a player can read even if the show is killed, and becomes an ordinary MP4
when it is closed (FFmpeg's `hybrid_fragmented`, from 7.1 on).
"""

import errno
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from dialogue.plugins import EngineError
from dialogue.ticks import Ticks
from render.encode import PictureEncoder, SoundEncoder, Together
from render.frames import VideoFrame
from voice.speech import Samples


class FileSink:
    """Writes `path` under a temporary name and renames it at the end.

    The film starts with the first picture: sound before it is cut away, so that both begin at 0.
    """

    needs: ClassVar[Mapping[str, str]] = {}

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
    ) -> None:
        """Prepare a film.

        Args:
            path: the file; its folder must exist.
            crf: x264's quality, 0 (lossless) to 51; 23 looks clean on drawn art (about 6
                Mbit/s at 720p30 when the host moves a lot).
            preset: x264's speed; `ultrafast` leaves the cores to model and voice: a third less
                work than `superfast`, for a film twice as large.
            audio_bitrate: of the AAC track, in bits a second.
            threads: encoder threads.
            crash_safe: what was recorded can be played even if the show is killed; otherwise the
                index comes first, which starts sooner over the web.
            overwrite: replace a film of that name; otherwise it is kept, and so is what a killed
                show left, and this one is called "name-2.mp4". For recordings of live shows,
                where a sink that failed is made anew.
        """
        self.path = Path(path)
        """Where the film will be; settled by `open`."""
        self._options: dict[str, Any] = {"crf": crf, "preset": preset, "threads": threads}
        self._audio_bitrate = audio_bitrate
        self._flags = "+hybrid_fragmented+frag_keyframe+delay_moov" if crash_safe else "+faststart"
        self._overwrite = overwrite
        self._container: Any = None

    @property
    def watched(self) -> bool:
        """A film keeps every picture."""
        return True

    def open(self, *, width: int, height: int, fps: int) -> None:
        """Create the file.

        Raises:
            EngineError: it cannot be written there.
        """
        import av

        if not self._overwrite:
            self.path = _unused(self.path)
        self._part = _part(self.path)
        self._together = Together()
        try:
            with self._part.open("wb"):
                pass  # says plainly what is wrong with the folder, which FFmpeg does not
            self._container = av.open(
                str(self._part),
                "w",
                format="mp4",
                options={"movflags": self._flags, "flush_packets": "1"},
            )
        except OSError as error:
            raise EngineError(_why(self.path, error)) from None
        self._pictures = PictureEncoder(width=width, height=height, fps=fps, **self._options)
        self._sounds = SoundEncoder(bitrate=self._audio_bitrate)
        self._video = self._pictures.stream_in(self._container)
        self._audio = self._sounds.stream_in(self._container)

    def video(self, frame: VideoFrame) -> None:
        """Encode one picture."""
        for at, samples in self._together.picture(frame.pts):
            self._mux(self._container, self._audio, self._sounds.encode(samples, pts=at))
        at = frame.pts - (self._together.first or 0)
        self._mux(self._container, self._video, self._pictures.encode(frame, pts=at))

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Encode a block of sound."""
        for at, block in self._together.sound(pts, samples):
            self._mux(self._container, self._audio, self._sounds.encode(block, pts=at))

    def close(self) -> None:
        """Flush, close and give the film its name.

        Raises:
            EngineError: the disk is full, or the folder went away.
        """
        container, self._container = self._container, None
        if container is None:
            return
        try:
            if self._together.first is not None:
                self._mux(container, self._video, self._pictures.finish())
                self._mux(container, self._audio, self._sounds.finish())
            container.close()
            if self._together.first is not None:
                self._part.replace(self.path)
            else:
                self._part.unlink(missing_ok=True)
        except OSError as error:
            raise EngineError(_why(self.path, error)) from None

    def _mux(self, container: Any, stream: Any, packets: list[Any]) -> None:
        try:
            for packet in packets:
                packet.stream = stream
                container.mux(packet)
        except OSError as error:
            raise EngineError(_why(self.path, error)) from None


def _part(path: Path) -> Path:
    """Return the film's name while it is being written: one that players know."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


def _unused(path: Path) -> Path:
    """Return `path`, or "name-2.mp4" and so on where it or its unfinished film is there."""
    names = (path.with_name(f"{path.stem}-{n}{path.suffix}") for n in itertools.count(2))
    return next(p for p in itertools.chain([path], names) if not p.exists() | _part(p).exists())


def _why(path: Path, error: OSError) -> str:
    """Return one line that says why the film cannot be written, and the remedy."""
    match error.errno:
        case errno.ENOSPC:
            return f"{path}: the disk is full; make room and record again"
        case errno.ENOENT | errno.ENOTDIR:
            return f"{path}: there is no folder {path.parent}; make it, or record elsewhere"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"{path}: not allowed to write into {path.parent}; record elsewhere"
    return f"{path}: cannot write the film ({error.strerror or error})"
