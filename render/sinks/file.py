"""MP4 films: H.264 and AAC through PyAV, pts straight from the ticks.

Runs on: its sink thread, plus x264's own. The AAC encoder's priming of 1024 samples is cut away by
the edit list that the muxer writes, so sound and picture keep their ticks to the sample. The film
grows as fragments, which a player can read even if the show is killed, and becomes an ordinary MP4
when it is closed (FFmpeg's `hybrid_fragmented`, from 7.1 on).
"""

import errno
import itertools
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dialogue.plugins import EngineError
from dialogue.ticks import TICKS_PER_S, Ticks
from render.frames import VideoFrame
from voice.speech import Samples

_TICK = Fraction(1, TICKS_PER_S)

# FFmpeg's numbers (libavutil/pixfmt.h): the matrix is the one cv2 converts with, BT.601 in limited
# range; primaries and transfer are those of the drawing, which is sRGB.
_MATRIX_BT601 = 5
_LIMITED = 1
_BT709 = 1

_EARLY: Ticks = 2 * TICKS_PER_S
"""Sound kept while waiting for the first picture."""


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
        # No B-frames: a fifth less work, which a live show needs more than a smaller file.
        self._options = {
            "crf": str(crf), "preset": preset, "threads": str(threads), "bf": "0",
        }  # fmt: skip
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
        self._first: Ticks | None = None
        self._early: list[tuple[Ticks, Samples]] = []
        self._sound: Ticks = 0  # film time up to which there is sound
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
        video = self._container.add_stream("libx264", rate=fps, options=self._options)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.time_base = video.codec_context.time_base = _TICK
        video.codec_context.gop_size = fps * 2
        video.codec_context.colorspace = _MATRIX_BT601
        video.codec_context.color_range = _LIMITED
        video.codec_context.color_primaries = video.codec_context.color_trc = _BT709
        audio = self._container.add_stream("aac", rate=TICKS_PER_S)
        audio.codec_context.layout = "mono"
        audio.bit_rate = self._audio_bitrate
        audio.time_base = _TICK
        self._video, self._audio = video, audio

    def video(self, frame: VideoFrame) -> None:
        """Encode one picture."""
        import av

        if self._first is None:
            self._first = frame.pts
            for pts, samples in self._early:
                self.audio(pts, samples)
            self._early.clear()
        picture = av.VideoFrame.from_ndarray(frame.i420, format="yuv420p")
        picture.pts, picture.time_base = frame.pts - self._first, _TICK
        picture.colorspace, picture.color_range = _MATRIX_BT601, _LIMITED
        self._mux(self._video, picture)

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Encode a block of sound."""
        import av

        if self._first is None:
            self._early.append((pts, samples))
            while pts - self._early[0][0] > _EARLY:
                del self._early[0]
            return
        at = pts - self._first
        if at < self._sound:
            samples = samples[self._sound - at :]
        elif at > self._sound:  # begun after the picture
            samples = np.concatenate([np.zeros(at - self._sound, np.float32), samples])
        if not len(samples):
            return
        block = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples, np.float32)[None, :], format="fltp", layout="mono"
        )
        block.sample_rate = TICKS_PER_S
        block.pts, block.time_base = self._sound, _TICK
        self._sound += len(samples)
        self._mux(self._audio, block)

    def close(self) -> None:
        """Flush, close and give the film its name.

        Raises:
            EngineError: the disk is full, or the folder went away.
        """
        container, self._container = self._container, None
        if container is None:
            return
        try:
            if self._first is not None:
                for stream in (self._video, self._audio):
                    for packet in stream.encode(None):
                        container.mux(packet)
            container.close()
            if self._first is not None:
                self._part.replace(self.path)
            else:
                self._part.unlink(missing_ok=True)
        except OSError as error:
            raise EngineError(_why(self.path, error)) from None

    def _mux(self, stream: Any, frame: Any) -> None:
        try:
            for packet in stream.encode(frame):
                self._container.mux(packet)
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
