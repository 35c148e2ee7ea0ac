"""HTTP Live Streaming into a folder: a lobby's other screens play it from any web server.

Runs on: its sink thread. Pictures and sound are cut into fragments of MP4 (`segment_s` each, the
first picture complete), of which the playlist names the last `window`; older files are deleted.
Every file is written under another name and renamed, so that who reads never sees half of one. A
sink that is made anew, after a fault or in another process, goes on with the playlist that it
finds: the numbers continue, and a discontinuity is marked. The format is RFC 8216.
"""

import math
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from dialogue.plugins import EngineError, EngineUnavailable
from dialogue.ticks import TICKS_PER_S, Ticks, from_s, to_s
from render.captions import Caption
from render.encode import PRIMING, PictureEncoder, SoundEncoder, Together
from render.frames import VideoFrame
from render.line21 import Line21
from voice.speech import Samples

MASTER = "index.m3u8"
PLAYLIST = "live.m3u8"

KEPT = 3
"""Files that stay after their name has gone from the playlist, for who is still reading."""

_GROUP = '"captions"'
_CAPTIONS = (
    f'#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID={_GROUP},NAME="Captions",INSTREAM-ID="CC1",'
    "AUTOSELECT=YES"
)

_SEGMENT = re.compile(r"seg-(\d+)\.m4s")
_OURS = re.compile(r"(seg|init)-\d+\.(m4s|mp4)(\.part)?")


@dataclass(frozen=True, slots=True)
class Segment:
    """One entry of the playlist."""

    number: int
    """Counts from 0, over restarts too."""
    length_s: float
    """How long it plays."""
    start: int
    """Number of the first segment of its run: names the initialisation file."""

    @property
    def lines(self) -> list[str]:
        """What the playlist says of it."""
        return [f"#EXTINF:{self.length_s:.5f},", f"seg-{self.number:06d}.m4s"]


class HlsSink:
    """Writes a rolling HTTP Live Stream into `folder`."""

    needs: ClassVar[Mapping[str, str]] = {}
    takes_pixels: ClassVar[bool] = False
    captions_hidden: ClassVar[bool] = True

    def __init__(
        self,
        *,
        folder: str = "",
        segment_s: float = 2.0,
        window: int = 6,
        crf: int = 23,
        bitrate: int = 5_000_000,
        audio_bitrate: int = 128_000,
        preset: str = "ultrafast",
        threads: int = 1,
        captions: bool = True,
    ) -> None:
        """Prepare a stream.

        Args:
            folder: where it is written; made if its parent exists. The page's server shows it as
                `/hls/` and plays it at `/screen`.
            segment_s: length of a segment; screens are about three of these behind the host.
            window: segments in the playlist.
            crf: x264's quality, 0 (lossless) to 51.
            bitrate: most that the picture may take, in bits a second.
            audio_bitrate: of the sound, in bits a second.
            preset: x264's speed.
            threads: encoder threads.
            captions: inside the pictures' stream, for players that have a button for them; Latin
                letters only.

        Raises:
            EngineUnavailable: no folder is named.
        """
        if not folder:
            raise EngineUnavailable("hls needs `folder`, such as /var/tmp/bunraku-hls")
        if not 0.5 <= segment_s <= 30 or window < 3:
            raise EngineUnavailable("hls: `segment_s` must be 0.5 to 30, and `window` 3 or more")
        self.folder = Path(folder)
        self._step: Ticks = from_s(segment_s)
        self._window = window
        self._bitrate, self._audio_bitrate = bitrate, audio_bitrate
        self._options: dict[str, Any] = {
            "crf": crf,
            "bitrate": bitrate,
            "preset": preset,
            "threads": threads,
        }
        self._captions = captions
        self._container: Any = None

    @property
    def watched(self) -> bool:
        """Screens may begin at any moment."""
        return True

    def open(self, *, width: int, height: int, fps: int) -> None:
        """Begin a run; what an earlier one has left in the folder is gone on with.

        Raises:
            EngineError: it cannot be written there.
        """
        import av

        try:
            self.folder.mkdir(exist_ok=True)
            self._segments, self._gone, self._ended = self._found()
        except OSError as error:
            raise EngineError(self._why(error)) from None
        self._size = (width, height, fps)
        self._start = self._segments[-1].number + 1 if self._segments else 0
        self._next = self._start
        self._begun: Ticks = 0  # where the segment that is being filled begins
        self._cuts: deque[Ticks] = deque()  # where those after it begin
        self._keys = 0
        self._end: Ticks = 0
        self._together = Together()
        self._line21 = Line21(fps)
        self._boxes = Boxes()
        self._pictures = PictureEncoder(
            width=width, height=height, fps=fps, live=True, key_every_s=60.0, **self._options
        )
        self._sounds = SoundEncoder(bitrate=self._audio_bitrate)
        self._container = av.open(
            self._boxes, "w", format="mp4",
            options={"movflags": "+frag_keyframe+empty_moov+default_base_moof"},
        )  # fmt: skip
        self._video = self._pictures.stream_in(self._container)
        self._audio = self._sounds.stream_in(self._container)

    def video(self, frame: VideoFrame) -> None:
        """Encode a picture; the first one of a segment is complete."""
        for at, samples in self._together.picture(frame.pts):
            self._mux(self._audio, self._sounds.encode(samples, pts=at + PRIMING))
        at = frame.pts - (self._together.first or 0)
        self._end = at + TICKS_PER_S // self._size[2]
        key = at // self._step >= self._keys
        if key:
            self._keys = at // self._step + 1
            if at:
                self._cuts.append(at)
        said = self._line21.said(frame.pts) if self._captions else b""
        self._mux(self._video, self._pictures.encode(frame, pts=at + PRIMING, key=key, said=said))

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Encode a block of sound."""
        for at, block in self._together.sound(pts, samples):
            self._mux(self._audio, self._sounds.encode(block, pts=at + PRIMING))

    def caption(self, caption: Caption) -> None:
        """Take a block of captions, which goes with the pictures of its words."""
        self._line21.caption(caption)

    def close(self) -> None:
        """Write the last segment and mark the end of the stream.

        Raises:
            EngineError: the disk is full, or the folder went away.
        """
        container, self._container = self._container, None
        if container is None or self._together.first is None:
            return
        for stream, encoder in ((self._video, self._pictures), (self._audio, self._sounds)):
            for packet in encoder.finish():
                packet.stream = stream
                container.mux(packet)
        container.close()
        self._cuts.append(self._end)
        init, media = self._boxes.take()
        self._publish(init, media, final=True)

    def _mux(self, stream: Any, packets: list[Any]) -> None:
        for packet in packets:
            packet.stream = stream
            self._container.mux(packet)
            init, media = self._boxes.take()
            if media:  # a fragment comes out once sound, too, has reached the next complete picture
                self._publish(init, media)

    def _publish(self, init: bytes, media: bytes, *, final: bool = False) -> None:
        """Put one more segment into the playlist."""
        until = self._cuts.popleft()
        try:
            if self._next == self._start:
                self._write(f"init-{self._start:06d}.mp4", init)
                self._write(MASTER, self._master().encode())
            if media:
                self._write(f"seg-{self._next:06d}.m4s", media)
                length_s = to_s(until - self._begun)
                self._segments.append(Segment(self._next, length_s, self._start))
                self._next += 1
            self._begun = until
            while len(self._segments) > self._window:
                old = self._segments.pop(0)
                if self._segments[0].start != old.start:
                    self._gone += 1  # a discontinuity has left the playlist
            self._ended = final
            self._write(PLAYLIST, self._playlist().encode())
            self._sweep()
        except OSError as error:
            raise EngineError(self._why(error)) from None

    def _write(self, name: str, content: bytes) -> None:
        part = self.folder / f"{name}.part"
        part.write_bytes(content)
        part.replace(self.folder / name)

    def _playlist(self) -> str:
        longest = max((segment.length_s for segment in self._segments), default=to_s(self._step))
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:7",
            "#EXT-X-INDEPENDENT-SEGMENTS",
            f"#EXT-X-TARGETDURATION:{max(1, math.floor(longest + 0.5))}",
            f"#EXT-X-MEDIA-SEQUENCE:{self._segments[0].number if self._segments else self._next}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{self._gone}",
        ]
        start = None
        for segment in self._segments:
            if segment.start != start:
                if start is not None:
                    lines.append("#EXT-X-DISCONTINUITY")
                lines.append(f'#EXT-X-MAP:URI="init-{segment.start:06d}.mp4"')
                start = segment.start
            lines += segment.lines
        if self._ended:
            lines.append("#EXT-X-ENDLIST")
        return "\n".join(lines) + "\n"

    def _master(self) -> str:
        width, height, fps = self._size
        most = self._bitrate + self._audio_bitrate
        return "\n".join(
            [
                "#EXTM3U",
                "#EXT-X-VERSION:7",
                "#EXT-X-INDEPENDENT-SEGMENTS",
                *([_CAPTIONS] if self._captions else []),
                f"#EXT-X-STREAM-INF:BANDWIDTH={most * 11 // 10},"
                f'CODECS="{self._pictures.codec},{self._sounds.codec}",'
                f"RESOLUTION={width}x{height},FRAME-RATE={fps:.3f},"
                f"CLOSED-CAPTIONS={_GROUP if self._captions else 'NONE'}",
                PLAYLIST,
                "",
            ]
        )

    def _found(self) -> tuple[list[Segment], int, bool]:
        """Return the segments, past discontinuities and end of the playlist in the folder."""
        try:
            text = (self.folder / PLAYLIST).read_text("utf-8")
        except FileNotFoundError:
            return [], 0, False
        segments: list[Segment] = []
        length_s, start, gone = 0.0, 0, 0
        for line in text.splitlines():
            name, _, value = line.partition(":")
            match name:
                case "#EXT-X-DISCONTINUITY-SEQUENCE" if value.isdigit():
                    gone = int(value)
                case "#EXT-X-MAP":
                    found = re.search(r"init-(\d+)\.mp4", value)
                    start = int(found[1]) if found else 0
                case "#EXTINF":
                    length_s = float(value.rstrip(","))
                case _ if entry := _SEGMENT.fullmatch(line):
                    if (self.folder / line).exists():
                        segments.append(Segment(int(entry[1]), length_s, start))
        return segments[-self._window :], gone, False

    def _sweep(self) -> None:
        """Delete what nobody asks for any more."""
        oldest = self._segments[0].number - KEPT if self._segments else 0
        starts = {segment.start for segment in self._segments} | {self._start}
        for path in self.folder.iterdir():
            if not _OURS.fullmatch(path.name):
                continue
            number = int(re.findall(r"\d+", path.name)[0])
            if path.name.startswith("init") and number not in starts:
                path.unlink(missing_ok=True)
            elif path.name.startswith("seg") and number < oldest:
                path.unlink(missing_ok=True)

    def _why(self, error: OSError) -> str:
        said = error.strerror or str(error)
        return f"hls: cannot write into {self.folder} ({said}); make room, or name another `folder`"


class Boxes:
    """Takes what the MP4 muxer writes, and parts the initialisation from the fragments."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._data = bytearray()
        self._init = bytearray()

    def write(self, data: bytes) -> int:
        """Keep `data`."""
        self._data += data
        return len(data)

    def take(self) -> tuple[bytes, bytes]:
        """Return the initialisation (`ftyp`, `moov`) and the fragments that are new."""
        media = bytearray()
        while len(self._data) >= 8:
            size = int.from_bytes(self._data[:4], "big")
            if size < 8 or len(self._data) < size:
                break
            kind = bytes(self._data[4:8])
            if kind in (b"ftyp", b"moov"):
                self._init += self._data[:size]
            elif kind in (b"moof", b"mdat", b"styp", b"sidx"):
                media += self._data[:size]
            del self._data[:size]
        return bytes(self._init), bytes(media)
