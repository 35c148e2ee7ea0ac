"""The show pushed to a server: H.264 and AAC over RTMP, RTMPS or SRT.

Runs on: encoding on the sink's thread; connecting and sending, which may block, on a thread of its
own ("push"). Between the two stands a queue of packets: 3 s of pictures (when it is full those that
wait go, are counted, and the next one is complete) and 10 s of sound (then the line is given up).
A lost connection is made anew after 0.25, 0.5, 1 ... 15 s while the show goes on. Each begins with
a complete picture and the sound of the same tick. Captions go with the pictures (CEA-608), so that
viewers can switch them on. What waits in the queue steers the bit rate.
FLV's clock has 31 bits of milliseconds: an RTMP connection is made anew after three weeks.
"""

import os
import re
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import unquote

from dialogue.plugins import EngineError, EngineUnavailable
from dialogue.ticks import TICKS_PER_S, Ticks, to_s
from render.captions import Caption
from render.encode import PRIMING, PictureEncoder, SoundEncoder, Together
from render.frames import VideoFrame
from render.line21 import Line21
from render.sinks import rtmp, server, srt
from render.sinks.rate import Rate
from voice.speech import Samples

PICTURES: Ticks = 3 * TICKS_PER_S
"""Pictures that wait for the line; more, and those that wait are dropped."""
SOUNDS: Ticks = 10 * TICKS_PER_S
"""Sound that waits for the line; more, and the connection is made anew."""
HEALTHY_S = 2
"""A connection that sent this many seconds was a good one: the back-off starts over."""
CLOSE_S = 3.0
"""How long the end of a stream may take."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a stream goes."""

    scheme: str
    """"rtmp", "rtmps" or "srt"."""
    host: str
    """Name or address."""
    port: int
    """Of the server."""
    app: str = ""
    """RTMP: the path before the key."""
    key: str = ""
    """RTMP: the stream's name, which is its secret on public services."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """SRT: `streamid`, `passphrase`, `latency` (in milliseconds)."""

    @property
    def public(self) -> str:
        """The address without its secrets, for people and logs."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        shown = f"{self.scheme}://{host}:{self.port}"
        return f"{shown}/{self.app}/***" if self.app else shown

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be seen."""
        return (self.key, self.settings.get("streamid", ""), self.settings.get("passphrase", ""))


def target(url: str, *, key_env: str = "", environment: Mapping[str, str] = os.environ) -> Target:
    """Return where `url` leads.

    Args:
        url: `{NAME}` in it stands for the environment variable of that name.
        key_env: environment variable that holds the stream key; "": the key stands in `url`.
        environment: of the process.

    Raises:
        EngineUnavailable: one line with what is wrong and the remedy, and without any secret.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in ("rtmp", "rtmps", "srt") or not rest:
        raise EngineUnavailable(
            "stream: `url` must begin with rtmp://, rtmps:// or srt://, "
            "such as rtmp://127.0.0.1/live/{STREAM_KEY}"
        )
    key = server.secret("stream", key_env, environment) if key_env else ""
    rest = server.filled("stream", rest, environment)
    place, slash, path = rest.partition("/")
    if scheme == "srt":
        place, slash, path = rest.partition("?")
        place = place.rstrip("/")
    host, port = _place(place, rtmp.PORTS.get(scheme))
    if scheme == "srt":
        settings = {"streamid": key} if key else {}
        for pair in filter(None, path.split("&")):
            name, _, value = pair.partition("=")
            if name not in ("streamid", "passphrase", "latency", "mode"):
                raise EngineUnavailable(
                    f"stream: srt has no setting {name!r}; known: streamid, passphrase, latency "
                    "(in milliseconds)"
                )
            settings[name] = unquote(value)
        if settings.pop("mode", "caller") != "caller" or not settings.get("latency", "1").isdigit():
            raise EngineUnavailable(
                "stream: srt calls a server (mode=caller), with latency in milliseconds"
            )
        return Target(scheme, host, port, settings=settings)
    if key:
        path = f"{path.rstrip('/')}/{key}"
    way, mark, query = path.partition("?")
    app, _, name = way.rpartition("/")
    if not app or not (name or query):
        raise EngineUnavailable(
            f"stream: {scheme} needs an application and a key, {scheme}://host/app/key; "
            "name the variable that holds the key in `key_env`"
        )
    return Target(scheme, host, port, app=app, key=name + mark + query)


def _place(place: str, default: int | None) -> tuple[str, int]:
    place = place.rpartition("@")[2]
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]/]+))(?::(\d{1,5}))?", place)
    port = int(found[3]) if found and found[3] else default
    if found is None or port is None or port > 65_535:
        raise EngineUnavailable(
            "stream: `url` needs a host and a port, such as srt://127.0.0.1:9000"
        )
    return found[1] or found[2], port


class StreamSink:
    """Pushes the show to one server; use one a server."""

    needs: ClassVar[Mapping[str, str]] = {}
    takes_pixels: ClassVar[bool] = False
    captions_hidden: ClassVar[bool] = True

    def __init__(
        self,
        *,
        url: str = "",
        key_env: str = "",
        bitrate: int = 3_500_000,
        least_bitrate: int = 500_000,
        audio_bitrate: int = 128_000,
        preset: str = "superfast",
        profile: str = "",
        keyframe_s: float = 2.0,
        threads: int = 1,
        captions: bool = True,
        latency_ms: int = 200,
    ) -> None:
        """Prepare a stream.

        Args:
            url: `rtmp://host/app/key`, `rtmps://...` or `srt://host:port?streamid=...`; a name in
                braces, `{TWITCH_KEY}`, stands for the environment variable of that name.
            key_env: name of the environment variable with the stream key (with SRT, the
                streamid), which then is not in `url`.
            bitrate: of the picture when all is well, in bits a second; a still one takes less.
            least_bitrate: how far the picture's rate goes down when the line is slow.
            audio_bitrate: of the sound, in bits a second.
            preset: x264's speed; `ultrafast` takes a third less work and looks coarser.
            profile: of H.264: "baseline", "main" or "high"; "": as the preset has it.
            keyframe_s: seconds between complete pictures; services ask for 2.
            threads: encoder threads.
            captions: inside the pictures' stream, for players that have a button for them; Latin
                letters only.
            latency_ms: SRT: how long lost packets may take to come again.

        Raises:
            EngineUnavailable: the address is wrong, a variable is not set, or a library is missing.
        """
        if not url:
            raise EngineUnavailable(
                "stream needs `url`, such as rtmp://127.0.0.1/live/{STREAM_KEY}"
            )
        self._target = target(url, key_env=key_env)
        if self._target.scheme == "srt":
            srt.library()
        self._latency_ms = int(self._target.settings.get("latency", latency_ms))
        self._keyframe_s = keyframe_s
        self._audio_bitrate = audio_bitrate
        self._options = {"preset": preset, "profile": profile, "threads": threads}
        self._rate = Rate(most=bitrate, least=least_bitrate)
        self._captions = captions
        self._feed: _Feed | None = None
        self._line: Any = None
        self._trouble = f"{self._target.public} is being connected"
        self._connected = 0
        self._dropped = 0
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def watched(self) -> bool:
        """A server wants every picture, and one that is away may be back at any moment."""
        return True

    @property
    def trouble(self) -> str:
        """Why nothing is being sent, in one line; "" while all is well."""
        return self._trouble

    @property
    def note(self) -> str:
        """How the line is doing."""
        feed = self._feed
        waiting = to_s(feed.waiting) if feed is not None else 0.0
        dropped = self._dropped + (feed.dropped if feed is not None else 0)
        return (
            f"{self._rate}, {waiting:.1f} s waiting, "
            f"{max(0, self._connected - 1)} reconnects, {dropped} pictures dropped"
        )

    def open(self, *, width: int, height: int, fps: int) -> None:
        """Begin to connect; returns at once."""
        self._size = (width, height, fps)
        self._thread = threading.Thread(target=self._push, name="push", daemon=True)
        self._thread.start()

    def video(self, frame: VideoFrame) -> None:
        """Encode a picture, while there is a connection."""
        feed = self._feed
        if feed is not None:
            feed.video(frame)

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Encode a block of sound, while there is a connection."""
        feed = self._feed
        if feed is not None:
            feed.audio(pts, samples)

    def caption(self, caption: Caption) -> None:
        """Take a block of captions, which goes with the pictures of its words."""
        feed = self._feed
        if self._captions and feed is not None:
            feed.line21.caption(caption)

    def close(self) -> None:
        """Send what waits and hang up; takes 3 s at most."""
        self._ending.set()
        feed, thread = self._feed, self._thread
        self._thread = None
        if feed is not None:
            feed.end()
        if thread is not None:
            thread.join(CLOSE_S)
            line = self._line
            if thread.is_alive() and line is not None:
                line.abort()

    def _push(self) -> None:
        """Connect, send, and begin again until the end."""
        failures = 0
        while not self._ending.is_set():
            feed = None
            try:
                self._line = line = self._connect()
                feed = _Feed(
                    line, self._size, self._rate,
                    options=self._options, keyframe_s=self._keyframe_s,
                    audio_bitrate=self._audio_bitrate, captions=self._captions,
                )  # fmt: skip
                self._connected += 1
                self._trouble, self._feed = "", feed
                if self._ending.is_set():
                    feed.end()
                feed.send()
                line.close()
                return
            except EngineError as error:
                self._fail(str(error))
            except Exception as error:  # a broken encoder or muxer: begin again, and say it
                self._fail(f"{type(error).__name__}: {error}")
            finally:
                self._feed = None
                if feed is not None:
                    self._dropped += feed.dropped
                if self._line is not None:
                    self._line.abort()
                    self._line = None
            if feed is not None and feed.sent >= HEALTHY_S * TICKS_PER_S:
                failures = 0
            self._ending.wait(server.back_off_s(failures))
            failures += 1

    def _fail(self, reason: str) -> None:
        line = server.veiled(reason, self._target.secrets)
        self._trouble = f"{self._target.public} {line}; trying again"

    def _connect(self) -> "_Flv | _Ts":
        where = self._target
        if where.scheme == "srt":
            return _Ts(srt.Srt(where.host, where.port, where.settings, self._latency_ms))
        tls = where.scheme == "rtmps"
        return _Flv(rtmp.Rtmp(where.host, where.port, where.app, where.key, tls=tls))


class _Feed:
    """What goes over one connection: encoders, the queue, and the muxer."""

    def __init__(
        self,
        line: "_Flv | _Ts",
        size: tuple[int, int, int],
        rate: Rate,
        *,
        options: Mapping[str, Any],
        keyframe_s: float,
        audio_bitrate: int,
        captions: bool,
    ) -> None:
        self.dropped = 0
        """Pictures that were encoded and not sent."""
        self.sent: Ticks = 0
        """Stream time sent."""
        self._line = line
        self._rate = rate
        width, height, fps = size
        self._pictures = PictureEncoder(
            width=width, height=height, fps=fps, crf=None, bitrate=rate.bitrate,
            key_every_s=keyframe_s, live=True, in_band=line.in_band, **options,
        )  # fmt: skip
        self._sounds = SoundEncoder(bitrate=audio_bitrate)
        self._container = line.container(self._pictures, self._sounds)
        self._together = Together()
        self.line21 = Line21(fps)
        """Captions on their way."""
        self._captions = captions
        self._want_key = True
        self._queue: deque[tuple[bool, Any, Ticks]] = deque()  # is it a picture, packet, time
        self._newest: Ticks = 0
        self._change = threading.Condition()
        self._ended = False

    @property
    def waiting(self) -> Ticks:
        """How much waits to be sent; any thread."""
        with self._change:
            queued = self._newest - self._queue[0][2] if self._queue else 0
        return queued + self._line.waiting * 8 * TICKS_PER_S // max(1, self._rate.bitrate)

    def video(self, frame: VideoFrame) -> None:
        """Encode a picture; on the sink's thread."""
        for at, samples in self._together.picture(frame.pts):
            self._put(False, self._sounds.encode(samples, pts=at + PRIMING))
        at = frame.pts - (self._together.first or 0) + PRIMING
        key, self._want_key = self._want_key, False
        said = self.line21.said(frame.pts) if self._captions else b""
        self._put(True, self._pictures.encode(frame, pts=at, key=key, said=said))
        bitrate = self._rate.note(self.waiting, frame.pts)
        if bitrate is not None:
            self._pictures.aim(bitrate)

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Encode a block of sound; on the sink's thread."""
        for at, block in self._together.sound(pts, samples):
            self._put(False, self._sounds.encode(block, pts=at + PRIMING))

    def end(self) -> None:
        """Let `send` return when the queue is empty."""
        with self._change:
            self._ended = True
            self._change.notify_all()

    def send(self) -> None:
        """Send until the end; blocks."""
        while True:
            with self._change:
                self._change.wait_for(lambda: self._queue or self._ended)
                if not self._queue:
                    break
                if self._newest - self._queue[0][2] > SOUNDS:
                    raise EngineError(f"is too slow: {to_s(SOUNDS):.0f} s of sound wait for it")
                picture, packet, at = self._queue.popleft()
            if self._line.lasts is not None and at > self._line.lasts:
                raise EngineError("has gone on for as long as its clock counts: it is made anew")
            self._mux(picture, packet)
            self.sent = max(self.sent, at)
        for picture, encoder in ((True, self._pictures), (False, self._sounds)):
            for packet in encoder.finish():
                self._mux(picture, packet)
        self._container.close()
        self._line.flush()

    def _mux(self, picture: bool, packet: Any) -> None:
        packet.stream = self._container.streams[0 if picture else 1]
        self._container.mux(packet)
        self._line.flush()

    def _put(self, picture: bool, packets: list[Any]) -> None:
        with self._change:
            for packet in packets:
                at = int(packet.pts)
                self._newest = max(self._newest, at)
                if picture and self._queue and at - self._queue[0][2] > PICTURES:
                    self.dropped += 1 + sum(waits for waits, _, _ in self._queue)
                    self._queue = deque(entry for entry in self._queue if not entry[0])
                    self._want_key = True
                    continue
                if picture and self._want_key and not packet.is_keyframe:
                    self.dropped += 1
                    continue
                self._queue.append((picture, packet, at))
            self._change.notify_all()


class _Out:
    """Takes what a muxer writes."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: bytes) -> int:
        """Keep `data` until it is sent."""
        self.written += data
        return len(data)


class _Packed:
    """A muxer whose output goes over a connection."""

    in_band: ClassVar[bool]
    """Whether the pictures' headers go with each complete one."""
    lasts: ClassVar[Ticks | None] = None
    """Its clock goes no further than this; None where it begins again, as receivers expect."""
    _format: ClassVar[str]
    _settings: ClassVar[Mapping[str, str]]

    def __init__(self, line: Any) -> None:
        self._line = line
        self._out = _Out()

    @property
    def waiting(self) -> int:
        """Bytes that are on their way."""
        return int(self._line.waiting)

    def container(self, pictures: PictureEncoder, sounds: SoundEncoder) -> Any:
        """Return a muxer for both."""
        import av

        options = {"flush_packets": "1", **self._settings}
        made = av.open(self._out, "w", format=self._format, options=options)
        pictures.stream_in(made)
        sounds.stream_in(made)
        return made

    def close(self) -> None:
        """Send what is left and hang up."""
        self._line.close()

    def abort(self) -> None:
        """Hang up at once; any thread."""
        self._line.abort()


class _Flv(_Packed):
    """FLV tags over RTMP."""

    in_band = False
    lasts = 21 * 24 * 3600 * TICKS_PER_S  # of 24.8 days
    _format, _settings = "flv", {"flvflags": "no_duration_filesize"}
    waiting = 0  # the system holds little: our queue shows a slow line

    def __init__(self, line: rtmp.Rtmp) -> None:
        super().__init__(line)
        self._skip = 13  # the file's own header, and the length of nothing before it

    def flush(self) -> None:
        """Send the tags that are complete."""
        data = self._out.written
        if self._skip and len(data) >= self._skip:
            del data[: self._skip]
            self._skip = 0
        while len(data) >= 11:
            size = int.from_bytes(data[1:4], "big")
            if len(data) < 15 + size:
                return
            time_ms = int.from_bytes(data[4:7], "big") | data[7] << 24
            kind, body = data[0], bytes(data[11 : 11 + size])
            del data[: 15 + size]
            self._line.send(kind, time_ms, body)


class _Ts(_Packed):
    """MPEG-TS over SRT."""

    in_band = True
    # Sound is not gathered into larger packets: that would cost 0.2 s.
    _format, _settings = "mpegts", {"pes_payload_size": "0"}

    def flush(self) -> None:
        """Send whole packets."""
        data = bytes(self._out.written)
        self._out.written.clear()
        if data:
            self._line.send(data)
