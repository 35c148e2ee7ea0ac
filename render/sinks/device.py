"""Sound out of this machine's loudspeaker, or into a virtual audio cable (PortAudio).

Runs on: PortAudio's callback reads a ring of 1 s that the sink's thread fills; the callback does
not lock, wait or log. Sound leaves the device when the picture of its own tick leaves the body. The
device's crystal and ours differ by up to some hundred parts in a million. Where the show follows
the device (`clock` in show.toml), pictures take their time from it and every sample is played as
it is; otherwise the growing difference is taken out by playing faster or slower by less than
anybody hears (`render.drift`). A device that goes away is one line; it is looked for again, and
sound and picture are together from its first sample on.
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from dialogue.plugins import EngineError, EngineUnavailable
from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S, Ticks, from_ms, to_ms
from render import drift
from render.drift import AFTER, BEFORE, Lock
from render.frames import VideoFrame
from render.pacing import Lateness
from voice.speech import Samples

RING: Ticks = TICKS_PER_S
FLOOR: Ticks = 15 * TICKS_PER_MS
"""Sound that the device leaves in the ring, so that a slow frame is not heard."""
RESERVE: Ticks = 2 * TICKS_PER_MS
"""Less than this left after a block is an underrun: so much is needed to fade out."""
FADE: Ticks = 5 * TICKS_PER_MS
"""Sound goes out and comes in over this where it has to break off."""
SLACK: Ticks = 8 * TICKS_PER_MS
"""Greater differences between sound and picture are also taken out at once, in silence."""
CLOSE: Ticks = 2 * TICKS_PER_MS
"""Playing begins when it can be in time to this,"""
PATIENCE: Ticks = 5 * TICKS_PER_S
"""or after so long: the body mixes further ahead meanwhile (`render.pacing.Lead`)."""
JUMP: Ticks = 100 * TICKS_PER_MS
"""A difference that stays greater than this for a second is not bent away: playing starts anew."""
CALM: Ticks = 2 * TICKS_PER_S
"""Silence is cut or stretched once in so long: until its effect has been seen."""
SILENT = 1e-4
"""A block without a louder sample (-80 dBFS) may be shortened or lengthened."""
SETTLED_S = 10.0
"""The device's rate is told when it has been counted for so long."""
GONE_S = 2.0
"""A device that asks for no sound for so long has gone."""


class Player:
    """A ring of timed samples for one writer and one reader, without locks, and the reader's pace.

    Each of its numbers is changed by one side only, and Python changes a number at once.
    """

    def __init__(self, *, size: int = RING) -> None:
        """Be empty.

        Args:
            size: room, in samples.
        """
        self.master = False
        """The show follows this device: every sample is played as it is."""
        self.underruns = 0
        """How often the reader found too little."""
        self.anew = 0
        """How often playing started anew because sound and picture were far apart."""
        self.left_out = 0
        """Silent samples left out to catch up with the picture."""
        self.put_in = 0
        """Silent samples put in to wait for it."""
        self.refused = 0
        """Samples that found no room."""
        self.lock = Lock()
        """How fast the device's clock is."""
        self.late = 0.0
        """How many ticks later than its picture the sound left, as the reader saw it last."""
        self._data = np.zeros(size, np.float32)
        self._written = 0  # positions; only the writer changes it, as the next one
        self._calm: Ticks = 0  # written since a silence was cut or stretched
        self._read = 0  # only the reader changes it, as all that follow but _base
        self._between = 0.0  # part of a sample past _read
        self._playing = False
        self._wish: Ticks = 0  # sound that was missing to begin in time
        self._waited: Ticks = 0  # for it
        self._hunger: Ticks = 0  # FLOOR for a while after an underrun
        self._fed: Ticks = 0  # for how long
        self._rising: Ticks = 0  # samples of a fade-in still to do
        self._astray: Ticks = 0  # for how long the difference has been too great
        self._base: Ticks = 0  # pts of position 0, as seen from what was written last
        self._lowest = self._low = size  # least sound left: in the last second, and in this one
        self._watched: Ticks = 0
        self._scratch: Samples = np.zeros(0, np.float32)

    @property
    def playing(self) -> bool:
        """False while it gathers sound to begin with."""
        return self._playing

    @property
    def short(self) -> Ticks:
        """How much more sound should be ahead for it to be in time and never to run dry."""
        if not self._playing or min(self._low, self._lowest) == len(self._data):
            return max(self._wish, self._hunger)
        return max(self._hunger, (0 if self.master else round(self.late)) - self._room())

    @property
    def held(self) -> Ticks:
        """Sound that waits."""
        return self._written - self._read

    @property
    def pts(self) -> float:
        """Stage time of the next sample to be read, in ticks."""
        return self._base + self._read + self._between

    def write(self, pts: Ticks, samples: Samples) -> None:
        """Append a block; a silent one is first cut or stretched to keep time. The writer's."""
        if self._written == 0:
            self._base = pts
        end = pts + len(samples)
        self._calm += len(samples)
        if (
            abs(self.late) > SLACK
            and self._playing
            and not self.master
            and self._calm > CALM
            and float(np.abs(samples).max()) < SILENT
        ):
            samples = self._trim(samples)
        self._base = end - len(samples) - self._written
        size = len(self._data)
        n = min(len(samples), size - BEFORE - self.held)
        self.refused += len(samples) - n
        at = self._written % size
        first = min(n, size - at)
        self._data[at : at + first] = samples[:first]
        self._data[: n - first] = samples[first:n]
        self._written += n

    def _trim(self, samples: Samples) -> Samples:
        if self.late > 0:
            cut = max(0, min(round(self.late), self._room(), len(samples)))
            self.left_out += cut
            self._calm = 0
            return samples[cut:]
        self._calm = 0
        more = min(round(-self.late), len(self._data) // 4)
        self.put_in += more
        return np.concatenate([np.zeros(more, np.float32), samples])

    def read(self, out: Samples, late: float | None) -> None:
        """Fill `out`. The reader's.

        Args:
            out: what the device plays next; what is missing becomes silence and is counted.
            late: how many ticks later than its picture the next sample would leave; None where
                there was no picture yet.
        """
        skip = 0
        if late is None:
            late = -float(len(out)) if not self._playing else self.late
        if not self._playing:
            self._read += max(0, self.held - len(self._data) // 2)  # the newest is wanted
            enough = len(out) + AFTER + FLOOR
            if self.held < enough or -late >= len(out):
                out.fill(0.0)
                return
            behind = max(0, min(round(late), self.held - enough))
            self._wish = max(0, round(late) - behind)
            if self._wish > CLOSE and self._waited < PATIENCE:
                self._waited += len(out)
                out.fill(0.0)
                return
            skip = max(0, round(-late))
            self._read += behind
            self._begin()
            late = max(0.0, late) - behind
        out[:skip] = 0.0
        self.late = late
        n = len(out) - skip
        step = 1.0 if self.master else 1.0 + self._rate(late, len(out))
        left = self.held - int(self._between + n * step) - AFTER
        self._watch(left, len(out))
        self._astray = self._astray + len(out) if self._far(late) else 0
        if left < RESERVE or self._astray > TICKS_PER_S:
            self.underruns += left < RESERVE
            self.anew += left >= RESERVE
            if left < RESERVE:
                self._hunger, self._fed = FLOOR, 0
            n = min(n, max(0, int((self.held - AFTER - self._between) / step)))
            self._take(out[skip : skip + n], step)
            out[skip + n :] = 0.0
            fall = min(n, FADE)
            out[skip + n - fall : skip + n] *= _swing(fall)[::-1]
            self._playing = False
        else:
            self._take(out[skip:], step)

    def _begin(self) -> None:
        self._playing = True
        self._wish = self._waited = 0
        self._between = 0.0
        self._rising = FADE
        self._astray = 0
        self._lowest = self._low = len(self._data)
        self._watched = 0
        self.lock.begin()

    def _rate(self, late: float, passed: Ticks) -> float:
        """Return how much faster to play: to be in time, but never to empty the ring."""
        return self.lock.step(min(late, self._room()), passed)

    def _far(self, late: float) -> bool:
        return not self.master and abs(min(late, self._room())) > JUMP

    def _room(self) -> Ticks:
        """Return by how much less the ring could hold."""
        return min(self._low, self._lowest) - FLOOR

    def _watch(self, left: Ticks, passed: Ticks) -> None:
        self._low = min(self._low, left)
        self._watched += passed
        self._fed += passed
        if self._fed > PATIENCE:
            self._hunger = 0
        if self._watched >= TICKS_PER_S:
            self._lowest, self._low, self._watched = self._low, len(self._data), 0

    def _take(self, out: Samples, step: float) -> None:
        """Play `len(out)` samples, each `step` after the one before."""
        n = len(out)
        if n == 0:
            return
        wanted = int(self._between + n * step) + BEFORE + AFTER + 1
        if len(self._scratch) < wanted:
            self._scratch = np.zeros(2 * wanted, np.float32)
        size = len(self._data)
        at = (self._read - BEFORE) % size
        first = min(wanted, size - at)
        self._scratch[:first] = self._data[at : at + first]
        self._scratch[first:wanted] = self._data[: wanted - first]
        after = drift.bend(self._scratch, out, self._between, step)
        whole = int(after)
        self._read += whole
        self._between = after - whole
        if self._rising:
            rise = min(n, self._rising)
            done = FADE - self._rising
            out[:rise] *= _SWING[done : done + rise]
            self._rising -= rise


def _swing(n: int) -> Samples:
    """Return the gains of a fade-in over `n` samples."""
    return (0.5 - 0.5 * np.cos(np.pi * (np.arange(n) + 0.5) / max(1, n))).astype(np.float32)


_SWING = _swing(FADE)


class DeviceSink:
    """Plays the show's sound on a device."""

    needs: ClassVar[Mapping[str, str]] = {}
    takes_pixels: ClassVar[bool] = False

    def __init__(
        self,
        *,
        device: str | int | None = None,
        route: str = "",
        latency_ms: float = 30.0,
        offset_ms: float = 0.0,
    ) -> None:
        """Look for PortAudio.

        Args:
            device: name or number from `bunraku doctor`; None for the system's own.
            route: on Linux, which sink of PipeWire or PulseAudio to play into (its name in
                `pactl list short sinks`), such as the one that `bunraku cable` makes.
            latency_ms: asked of the device; it may take more.
            offset_ms: how much later than the pictures the sound leaves, to make up for what shows
                them being slow; negative for earlier.

        Raises:
            EngineUnavailable: PortAudio is missing.
        """
        self._library = self._portaudio()
        self._route = route
        if route and device is None:
            device = "pulse"  # ALSA's way into the sound server
        self._device, self._latency_s = device, latency_ms / 1e3
        self._offset = from_ms(offset_ms)
        self._player = Player()
        self._pictures = Lateness()
        self._stream: Any = None
        self._anchor: tuple[Ticks, int] | None = None
        self._asked_ns = 0  # when the device asked for sound last
        self._begun: int | None = None  # when the first sample was heard
        self._heard_ns = 0  # when the sample after the last will be
        self._asked = 0  # samples, since then

    def _portaudio(self) -> Any:
        try:
            import sounddevice
        except OSError:
            raise EngineUnavailable(
                "device: PortAudio is missing; run `sudo apt install libportaudio2`"
            ) from None
        except ModuleNotFoundError:
            raise EngineUnavailable(
                "device: sounddevice is missing; run `pip install sounddevice`"
            ) from None
        return sounddevice

    @property
    def master(self) -> bool:
        """True while the show follows this device."""
        return self._player.master

    @master.setter
    def master(self, follows: bool) -> None:
        self._player.master = follows

    @property
    def watched(self) -> bool:
        """It has no picture, only takes its time from it."""
        return False

    def open(self, *, width: int, height: int, fps: int) -> None:
        """Open the device.

        Raises:
            EngineError: there is none, or it cannot play 48 kHz; says what to do.
        """
        drift.ready()
        _look_again(self._library)
        try:
            with _routed(self._route):
                self._stream = self._library.OutputStream(
                    samplerate=TICKS_PER_S, channels=1, dtype="float32", device=self._device,
                    latency=self._latency_s, callback=self._fill,
                )  # fmt: skip
            _open.add(id(self))
            self._asked_ns = time.monotonic_ns()
            self._stream.start()
        except (self._library.PortAudioError, ValueError) as error:
            remedy = (
                "`sudo apt install libasound2-plugins` lets PortAudio into the sound server"
                if self._route
                else "`bunraku doctor` lists the devices"
            )
            raise EngineError(f"device: cannot play on {self._name} ({error}); {remedy}") from None

    @property
    def _name(self) -> str:
        if self._route:
            return f"the sound server's {self._route!r}"
        return "the default device" if self._device is None else repr(self._device)

    def anchor(self) -> tuple[Ticks, int] | None:
        """Return the last known (tick heard, `monotonic_ns`); None while it plays nothing."""
        return self._anchor

    @property
    def underruns(self) -> int:
        """How often the device found too little sound."""
        return self._player.underruns

    @property
    def trouble(self) -> str:
        """A device that has gone raises instead."""
        return ""

    @property
    def note(self) -> str:
        """Drift, A/V offset and underruns."""
        leads = "; the show follows it" if self.master else ""
        return (
            f"clock {self.drift_ppm:+.0f} ppm, sound {self.offset_ms:+.1f} ms early, "
            f"{self.underruns} underruns{leads}"
        )

    @property
    def short(self) -> Ticks:
        """How much more sound the body should mix ahead for this device."""
        return self._player.short

    @property
    def offset_ms(self) -> float:
        """How much earlier than its picture the sound leaves now, averaged over seconds."""
        late = self._player.late if self.master else self._player.lock.late
        return -to_ms(1) * (late or 0.0)

    @property
    def drift_ppm(self) -> float:
        """How much faster than this machine's clock the device's runs, in millionths."""
        if not self.master:
            return -1e6 * self._player.lock.drift
        passed_s = (self._heard_ns - (self._begun or 0)) / 1e9
        if self._begun is None or passed_s < SETTLED_S:
            return 0.0
        return 1e6 * (self._asked / TICKS_PER_S / passed_s - 1.0)

    def video(self, frame: VideoFrame) -> None:
        """Loudspeakers show no pictures, but their sound keeps time with them."""
        self._pictures.note(frame.pts, time.monotonic_ns())

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Append a block to the ring.

        Raises:
            EngineError: the device has gone.
        """
        stream = self._stream
        if stream is not None:
            silent_s = (time.monotonic_ns() - self._asked_ns) / 1e9
            if not stream.active or silent_s > GONE_S:
                raise EngineError(f"device: {self._name} has gone; it is looked for again")
        self._player.write(pts, samples)

    def close(self) -> None:
        """Give the device back."""
        stream, self._stream = self._stream, None
        _open.discard(id(self))
        if stream is not None:
            stream.close()

    def _fill(self, out: Any, frames: int, when: Any, status: Any) -> None:
        self._asked_ns = now_ns = time.monotonic_ns()
        ahead_s = when.outputBufferDacTime - when.currentTime
        if not 0.0 < ahead_s < 2.0:  # some systems tell nothing
            ahead_s = self._latency_s
        heard_ns = now_ns + int(ahead_s * 1e9)
        pts = self._player.pts + self._offset
        picture_ns = self._pictures.ns
        late = None
        if picture_ns is not None and self._pictures.settled:
            late = (heard_ns - picture_ns) * (TICKS_PER_S / 1e9) - pts
        self._player.read(out[:, 0], late)
        if self._begun is None:
            self._begun = heard_ns
        self._asked += frames
        self._heard_ns = heard_ns + frames * 1_000_000_000 // TICKS_PER_S
        playing = self._player.playing
        self._anchor = (round(self._player.pts) + self._offset, self._heard_ns) if playing else None


_routing = threading.Lock()


@contextlib.contextmanager
def _routed(sink: str) -> Iterator[None]:
    """Let streams that are opened meanwhile play into a sink of the sound server."""
    with _routing:
        before = os.environ.get("PULSE_SINK")
        if sink:
            os.environ["PULSE_SINK"] = sink
        try:
            yield
        finally:
            if sink and before is None:
                del os.environ["PULSE_SINK"]
            elif sink and before is not None:
                os.environ["PULSE_SINK"] = before


_open: set[int] = set()
"""Sinks of this process that hold a device."""


def _look_again(library: Any) -> None:
    """Let PortAudio, which lists the devices once, see one that has come (back) since."""
    if not _open:
        try:
            library._terminate()
            library._initialize()
        except (AttributeError, library.PortAudioError):
            pass  # an older or newer library: devices are those of the start
