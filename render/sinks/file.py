"""MP4 films: H.264 and AAC through PyAV, pts straight from the ticks."""

import errno
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


class FileSink:
    """Writes `path` under a temporary name and renames it at the end.

    The film starts with the first picture: sound before it is cut away, so that both begin at 0.
    """

    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        *,
        path: Path,
        crf: int = 20,
        preset: str = "superfast",
        audio_bitrate: int = 160_000,
        threads: int = 2,
    ) -> None:
        """Prepare a film.

        Args:
            path: the file; its folder must exist.
            crf: x264's quality, 0 (lossless) to 51; 20 looks clean on flat art.
            preset: x264's speed; `superfast` leaves the cores to model and voice.
            audio_bitrate: of the AAC track, in bits a second.
            threads: encoder threads.
        """
        self._path = Path(path)
        self._part = self._path.with_name(f".{self._path.name}.part")
        self._options = {"crf": str(crf), "preset": preset, "threads": str(threads)}
        self._audio_bitrate = audio_bitrate
        self._container: Any = None
        self._first: Ticks | None = None
        self._early: list[tuple[Ticks, Samples]] = []
        self._heard: Ticks = 0

    def open(self, *, width: int, height: int, fps: int) -> None:
        """Create the file."""
        import av

        try:
            self._container = av.open(
                str(self._part), "w", format="mp4", options={"movflags": "+faststart"}
            )
        except OSError as error:
            raise EngineError(f"{self._path}: cannot write the film ({error.strerror})") from None
        video = self._container.add_stream("libx264", rate=fps, options=self._options)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.time_base = video.codec_context.time_base = _TICK
        video.codec_context.gop_size = fps * 2
        video.codec_context.colorspace = 5  # BT.470BG: the matrix of BT.601
        video.codec_context.color_range = 1  # limited
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
        picture.colorspace, picture.color_range = 5, 1
        self._mux(self._video, picture)

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Encode a block of sound."""
        import av

        if self._first is None:
            self._early.append((pts, samples))
            return
        skip = self._first - pts
        if skip >= len(samples):
            return
        if skip > 0:
            pts, samples = self._first, samples[skip:]
        block = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples)[None, :], format="fltp", layout="mono"
        )
        block.sample_rate = TICKS_PER_S
        block.pts, block.time_base = pts - self._first, _TICK
        self._mux(self._audio, block)

    def close(self) -> None:
        """Flush, close and give the film its name."""
        container, self._container = self._container, None
        if container is None:
            return
        try:
            if self._first is not None:
                for stream in (self._video, self._audio):
                    for packet in stream.encode(None):
                        container.mux(packet)
            container.close()
        except OSError as error:
            raise EngineError(_why(self._path, error)) from None
        if self._first is not None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)

    def _mux(self, stream: Any, frame: Any) -> None:
        try:
            for packet in stream.encode(frame):
                self._container.mux(packet)
        except OSError as error:
            raise EngineError(_why(self._path, error)) from None


def _why(path: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"{path}: the disk is full; make room and record again"
    return f"{path}: cannot write the film ({error.strerror or error})"
