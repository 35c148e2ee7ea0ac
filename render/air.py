"""On air: every sink on a thread of its own, none able to slow another or the picture.

Runs on: the caller's thread puts frames and sound in; one thread a sink takes them out. A sink's
frame queue holds 4 (when it is full the oldest goes and is counted), its sound 1 s, a film's 10 s
(when it is full the sink is off the air), its captions 64 blocks (a correction takes its block's
place; when it is full the oldest goes). A sink that raises is closed and made anew after 1, 2, 4
... 30 s. With `blocking=True` (films made offline) the caller waits instead, nothing is dropped,
and a sink that fails stays off. All sinks share a picture's memory, which is lent by `blank` and
used again when the last of them is done with it; at most 5 pictures a sink can be under way, and
the last one is kept, to be shown again on an overloaded machine.
"""

import contextlib
import gc
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dialogue.background import be_nicer
from dialogue.ticks import TICKS_PER_S, Ticks, to_ms, to_s
from render.captions import Caption
from render.contracts import (
    CaptionSink,
    DeviceClockSink,
    DriftingSink,
    HostSink,
    OffAir,
    ReportingSink,
    Sink,
    StemSink,
)
from render.frames import Pixels, VideoFrame
from voice.speech import Samples

FRAMES = 4
SOUND: Ticks = TICKS_PER_S
CAPTIONS = 64
BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
HEALTHY_S = 10
"""A sink that has sent this many seconds of pictures is well again: its back-off starts over."""
YIELD = 2
"""Added to the niceness of the sinks' threads."""
CLOSE_S = 20.0
"""How long a sink may take to finish at the end of a show."""

State = Literal["opening", "live", "off", "closed"]


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """How a sink is doing."""

    name: str
    """As it was added."""
    state: State
    """"off": failed or stuck, being retried."""
    sent: int
    """Frames sent."""
    dropped: int
    """Frames dropped because the sink was too slow."""
    error: str
    """Why it failed last; one line, or ""."""
    lag_ms: float = 0.0
    """How much sound is waiting for it."""
    note: str = ""
    """What it says of itself (`ReportingSink`)."""


class Air:
    """Hands pictures and sound to the sinks."""

    def __init__(self, *, width: int, height: int, fps: int, blocking: bool = False) -> None:
        """Go on air with no sink.

        Args:
            width: picture width in pixels.
            height: picture height in pixels.
            fps: frames a second.
            blocking: wait for slow sinks instead of dropping; for films made offline.
        """
        self.blocking = blocking
        """Slow sinks are waited for: a film is made."""
        self._size = (width, height, fps)
        self._lines: dict[str, _Line] = {}
        self._leader: str | None = None
        self._pool = _Pool(width, height)
        self._last: _Picture | None = None

    def add(self, name: str, make: Callable[[], Sink]) -> None:
        """Put a sink on air; `make` is called on its thread, again after each failure."""
        self.remove(name)
        self._lines[name] = _Line(name, make, *self._size, blocking=self.blocking)
        self._lines[name].lead(name == self._leader)

    def remove(self, name: str) -> None:
        """Take a sink off the air; it finishes by itself."""
        line = self._lines.pop(name, None)
        if line is not None:
            line.end()

    @property
    def watched(self) -> bool:
        """False while nobody would see a picture, so that none needs to be drawn."""
        return any(line.watched for line in self._lines.values())

    @property
    def wants_host(self) -> bool:
        """False while nobody would see the host alone, so that it need not be drawn."""
        return any(line.wants_host for line in self._lines.values())

    @property
    def wants_pixels(self) -> bool:
        """False while all look at the I420 picture only, so that BGRA need not be right."""
        return any(line.wants_pixels for line in self._lines.values())

    def blank_host(self) -> Pixels:
        """Lend memory for the host alone; as `blank`, BGRA only."""
        return self._pool.blank_host()

    @property
    def over(self) -> bool:
        """True when a sink has ended the show (`OffAir`)."""
        return any(line.ends_show for line in self._lines.values())

    def blank(self) -> tuple[Pixels, Pixels]:
        """Lend memory for the next picture, to be given back with `video`.

        Returns:
            BGRA, shape (height, width, 4), and I420, shape (height * 3 // 2, width); their
            content is undefined.
        """
        return self._pool.blank()

    def video(self, frame: VideoFrame) -> None:
        """Give a picture to every sink. Its pixels must not be changed any more."""
        picture = self._pool.picture(frame)
        for line in self._lines.values():
            line.video(picture)
        if self._last is not None:
            self._last.release()
        self._last = picture

    def again(self, pts: Ticks, index: int) -> None:
        """Give the last picture to every sink once more, for another time.

        Args:
            pts: when it is to be seen.
            index: number of that frame.
        """
        if self._last is None:
            raise ValueError("there is no picture yet that could be shown again")
        picture = self._last.again(pts, index)
        for line in self._lines.values():
            line.video(picture)
        picture.release()

    def audio(
        self,
        pts: Ticks,
        samples: Samples,
        voice: Samples | None = None,
        music: Samples | None = None,
    ) -> None:
        """Give a block of sound to every sink, and what it was mixed from to those that want it.

        Args:
            pts: of the first sample.
            samples: the programme.
            voice: the voice in it; None where nothing else is in it.
            music: the music in it; None for none.
        """
        block = np.array(samples, np.float32)
        clean = block if voice is None else np.array(voice, np.float32)
        behind = np.zeros_like(block) if music is None else np.array(music, np.float32)
        for line in self._lines.values():
            line.audio(pts, block, clean, behind)

    def caption(self, caption: Caption) -> None:
        """Give a block of captions to every sink that takes them, before the sound it is of."""
        for line in self._lines.values():
            line.caption(caption)

    def follow(self, name: str | None) -> None:
        """Let the sink called `name` lead the stage clock; None for none."""
        self._leader = name
        for other, line in self._lines.items():
            line.lead(other == name)

    def anchor(self) -> tuple[Ticks, int] | None:
        """Return the leader's last (tick heard, `monotonic_ns`); None while there is none."""
        line = self._lines.get(self._leader) if self._leader is not None else None
        return None if line is None else line.anchor()

    def card(self) -> tuple[float, float] | None:
        """Return drift in ppm and offset in ms of a sound card in use; None where there is none.

        That of the leader, where several are on air.
        """
        lines = [*self._lines.values()]
        lines.sort(key=lambda line: line is not self._lines.get(self._leader or ""))
        return next((card for line in lines if (card := line.card()) is not None), None)

    @property
    def short(self) -> Ticks:
        """How much further ahead sound would have to be mixed for every device to be in time."""
        return max((line.short for line in self._lines.values()), default=0)

    def status(self) -> list[SinkStatus]:
        """Return how each sink is doing."""
        return [line.status() for line in self._lines.values()]

    def close(self) -> None:
        """Finish every sink and wait for it, at most 20 s."""
        for line in self._lines.values():
            line.end()
        end = time.monotonic() + CLOSE_S
        for line in self._lines.values():
            line.join(max(0.0, end - time.monotonic()))


class _Pool:
    """Memory for pictures, used again."""

    def __init__(self, width: int, height: int) -> None:
        self._shape = (height, width, 4)
        self._i420_shape = (height * 3 // 2, width)
        self.free: deque[tuple[Pixels, Pixels]] = deque()
        self.free_hosts: deque[Pixels] = deque()

    def blank_host(self) -> Pixels:
        """Return memory for the host alone."""
        try:
            return self.free_hosts.pop()
        except IndexError:
            return np.empty(self._shape, np.uint8)

    def blank(self) -> tuple[Pixels, Pixels]:
        """Return memory that nobody uses; the one used last, which the cache may still hold."""
        try:
            return self.free.pop()
        except IndexError:
            return np.empty(self._shape, np.uint8), np.empty(self._i420_shape, np.uint8)

    def picture(self, frame: VideoFrame) -> "_Picture":
        """Return `frame`, read-only and held once."""
        shown, shown_i420 = frame.pixels.view(), frame.i420.view()
        shown.flags.writeable = shown_i420.flags.writeable = False
        host = None if frame.host is None else frame.host.view()
        if host is not None:
            host.flags.writeable = False

        def done() -> None:
            self.free.append((frame.pixels, frame.i420))
            if frame.host is not None:
                self.free_hosts.append(frame.host)

        return _Picture(replace(frame, pixels=shown, i420=shown_i420, host=host), done)


class _Picture:
    """A frame and how many still need it."""

    def __init__(self, frame: VideoFrame, done: Callable[[], None]) -> None:
        self.frame = frame
        self._done = done
        self._holders = 1
        self._lock = threading.Lock()

    def again(self, pts: Ticks, index: int) -> "_Picture":
        """Return the same picture for another time, held once; it holds this one."""
        self.hold()
        frame = replace(self.frame, pts=pts, index=index, repeated=True)
        return _Picture(frame, self.release)

    def hold(self) -> None:
        """Keep it for one more."""
        with self._lock:
            self._holders += 1

    def release(self) -> None:
        """One is done with it; the last gives its memory back."""
        with self._lock:
            self._holders -= 1
            last = self._holders == 0
        if last:
            self._done()


class _Line:
    """One sink, its two queues and its thread."""

    def __init__(
        self, name: str, make: Callable[[], Sink], width: int, height: int, fps: int,
        *, blocking: bool,
    ) -> None:  # fmt: skip
        self._name = name
        self._make = make
        self._size = (width, height, fps)
        self._blocking = blocking
        self._frames: deque[_Picture] = deque()
        self._sound: deque[tuple[Ticks, Samples, Samples, Samples]] = deque()
        self._held: Ticks = 0
        self._captions: deque[Caption] = deque()
        self._change = threading.Condition()
        self._leads = False
        self._ending = False
        self._overflow = False
        self._state: State = "opening"
        self._sent = 0
        self._dropped = 0
        self._error = ""
        self._failures = 0
        self._sink: Sink | None = None
        self.ends_show = False
        """The sink has left the air and wants the show to end."""
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}", daemon=True)
        self._thread.start()

    @property
    def watched(self) -> bool:
        """True while a picture given now could be seen."""
        sink = self._sink
        return self._working() and (sink is None or sink.watched)

    @property
    def wants_pixels(self) -> bool:
        """True while the pixels of a picture given now could be looked at."""
        sink = self._sink
        return self.watched and (sink is None or getattr(sink, "takes_pixels", True))

    @property
    def wants_host(self) -> bool:
        """True while a picture of the host alone could be seen."""
        sink = self._sink
        return self._working() and isinstance(sink, HostSink) and sink.wants_host

    def video(self, picture: _Picture) -> None:
        with self._change:
            if self._blocking:
                self._change.wait_for(lambda: len(self._frames) < FRAMES or not self._working())
            if not self._working():
                return
            if len(self._frames) >= FRAMES:
                self._frames.popleft().release()
                self._dropped += 1
            picture.hold()
            self._frames.append(picture)
            self._change.notify_all()

    def audio(self, pts: Ticks, samples: Samples, voice: Samples, music: Samples) -> None:
        with self._change:
            if self._blocking:
                self._change.wait_for(lambda: self._held < SOUND or not self._working())
            if not self._working():
                return
            patience: Ticks = getattr(self._sink, "patience", SOUND)
            if self._held + len(samples) > patience and not self._blocking:
                if self._state == "live":
                    self._overflow = True
                    self._off(f"sink {self._name} did not take its sound for {to_s(patience):g} s")
                    return
                self._sound.clear()  # still opening: it will begin with what is new
                self._held = 0
            self._sound.append((pts, samples, voice, music))
            self._held += len(samples)
            self._change.notify_all()

    def caption(self, caption: Caption) -> None:
        with self._change:
            if not self._working():
                return
            for index, waiting in enumerate(self._captions):
                if waiting.key == caption.key:
                    self._captions[index] = caption
                    break
            else:
                if len(self._captions) >= CAPTIONS:
                    self._captions.popleft()
                self._captions.append(caption)
            self._change.notify_all()

    def status(self) -> SinkStatus:
        sink = self._sink
        trouble, note = "", ""
        if isinstance(sink, ReportingSink):
            trouble, note = sink.trouble, sink.note
        with self._change:
            state, error = self._state, self._error
            if state == "live" and trouble:
                state, error = "off", trouble
            return SinkStatus(
                self._name, state, self._sent, self._dropped, error, to_ms(self._held), note
            )

    def lead(self, leads: bool) -> None:
        """Let its device lead the stage clock, or not."""
        with self._change:
            self._leads = leads
            if isinstance(self._sink, DeviceClockSink):
                self._sink.master = leads

    def anchor(self) -> tuple[Ticks, int] | None:
        sink = self._sink
        return sink.anchor() if isinstance(sink, DeviceClockSink) else None

    def card(self) -> tuple[float, float] | None:
        sink = self._sink
        if self._state != "live" or not isinstance(sink, DriftingSink):
            return None
        return sink.drift_ppm, sink.offset_ms

    @property
    def short(self) -> Ticks:
        sink = self._sink
        return sink.short if isinstance(sink, DeviceClockSink) else 0

    def end(self) -> None:
        with self._change:
            self._ending = True
            self._change.notify_all()

    def join(self, wait_s: float) -> None:
        self._thread.join(wait_s)

    def _working(self) -> bool:
        return not self._ending and self._state in ("opening", "live")

    def _off(self, error: str) -> None:
        """Leave the air; the caller holds the lock."""
        self._state = "off"
        self._error = error
        while self._frames:
            self._frames.popleft().release()
        self._sound.clear()
        self._captions.clear()
        self._held = 0
        self._change.notify_all()

    def _run(self) -> None:
        if not self._blocking:
            be_nicer(YIELD)  # the drawing goes before this thread and its encoders
        while True:
            sink: Sink | None = None
            try:
                sink = self._make()
                width, height, fps = self._size
                sink.open(width=width, height=height, fps=fps)
                with self._change:
                    self._sink = sink
                    if isinstance(sink, DeviceClockSink):
                        sink.master = self._leads
                    self._state = "live"
                    self._overflow = False
                self._pump(sink)
                sink.close()
                with self._change:
                    self._state = "closed"
                    self._sink = None
                    self._change.notify_all()
                sink = None
                gc.collect()
                return
            except Exception as error:
                with self._change:
                    self._off(_line(error))
                    if isinstance(error, OffAir):
                        self._state, self.ends_show = "closed", error.end_show
                self._sink = None
                if sink is not None:
                    with contextlib.suppress(Exception):  # broken: the first error is what counts
                        sink.close()
            # Encoders and their threads hang in cycles: they would stay until Python next looks.
            sink = None
            gc.collect()
            if self._state == "closed" or self._blocking or not self._rest():
                return

    def _rest(self) -> bool:
        """Wait before the next try; False when the show has ended meanwhile."""
        wait_s = BACK_OFF_S[min(self._failures, len(BACK_OFF_S) - 1)]
        self._failures += 1
        with self._change:
            ended = self._change.wait_for(lambda: self._ending, wait_s)
            self._state = "closed" if ended else "opening"
        return not ended

    def _pump(self, sink: Sink) -> None:
        sent = 0
        while True:
            with self._change:
                self._change.wait_for(
                    lambda: (
                        self._frames
                        or self._sound
                        or self._captions
                        or self._ending
                        or self._overflow
                    )
                )
                if self._overflow:
                    raise RuntimeError(self._error)
                captions = list(self._captions)
                self._captions.clear()
                sound = list(self._sound)
                self._sound.clear()
                self._held = 0
                picture = self._frames.popleft() if self._frames else None
                if not (sound or captions or picture is not None) and self._ending:
                    return
                self._change.notify_all()
            try:
                if isinstance(sink, CaptionSink):
                    for caption in captions:
                        sink.caption(caption)
                for pts, samples, voice, music in sound:
                    if isinstance(sink, StemSink):
                        sink.stems(pts, voice, music)
                    sink.audio(pts, samples)
                if picture is not None:
                    sink.video(picture.frame)
            finally:
                if picture is not None:
                    picture.release()
            if picture is not None:
                sent += 1
                with self._change:
                    self._sent += 1
                if sent == HEALTHY_S * self._size[2]:
                    self._failures = 0


def _line(error: Exception) -> str:
    """Return the first line of what `error` says."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
