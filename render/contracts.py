"""The contracts of a renderer (`bunraku.renderer`) and a sink (`bunraku.sink`).

A sink may also be a `CaptionSink` or a `StemSink`: it then has one method more, and gets what that
asks for on the same thread as everything else. A `ReportingSink` says how it is doing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from avatar.pose import ParameterTable, Pose
from dialogue.ticks import Ticks
from render.captions import Caption
from render.frames import Pixels, VideoFrame
from voice.speech import Samples


@runtime_checkable
class Renderer(Protocol):
    """Draws one character in one scene. Made as `Renderer(folder, width=, height=, scene=)`.

    Raises `CharacterError` (file, line and remedy in one line) when the folder is broken.
    """

    table: ParameterTable
    """The parameters its poses must have."""

    def __init__(self, folder: Path, *, width: int, height: int, scene: str) -> None:
        """Load the character in `folder` for pictures of `width` x `height` pixels.

        Args:
            folder: the character's folder.
            width: of the picture, in pixels.
            height: of the picture, in pixels.
            scene: name of a file in the character's `scenes/` without suffix, "transparent",
                or "chroma" for plain green.
        """

    def draw(self, pose: Pose, out: Pixels) -> None:
        """Paint the whole picture of `pose` into `out`, shape (height, width, 4)."""

    def mouth_box(self) -> tuple[int, int, int, int]:
        """Return x, y, width, height of the mouth's surroundings at rest, in pixels."""


@runtime_checkable
class CardRenderer(Protocol):
    """A renderer that can also draw on a graphics card."""

    def quickest(self) -> tuple[Renderer, str]:
        """Return what draws fastest here, this or the same on a card, and why in one line.

        The line is "" where there is no card and nothing was tried.
        """


class OffAir(Exception):
    """Raised by a sink that leaves the air as it should (its window was closed): no failure.

    It is closed and not made anew; the show goes on, or ends with it.
    """

    def __init__(self, why: str, *, end_show: bool = False) -> None:
        """Leave.

        Args:
            why: one line.
            end_show: the whole show is over.
        """
        super().__init__(why)
        self.end_show = end_show


@runtime_checkable
class HostRenderer(Protocol):
    """A renderer that can also draw the host without the scene."""

    @property
    def light(self) -> tuple[float, float, float]:
        """Red, green, blue, 0..1: what white looks like on the host."""

    def draw_host(self, pose: Pose, host: Pixels, out: Pixels | None = None) -> None:
        """Paint the host alone into `host`, premultiplied, shape (height, width, 4).

        With `out`, paint the whole picture there too, as `draw` would.
        """


@runtime_checkable
class Sink(Protocol):
    """A way on air. Each has a thread of its own, so its methods may block.

    `video` and `audio` come in pts order for each kind; sound is continuous (silence included)
    from the first call on. A failure is an exception with one clear line: the sink is closed,
    made anew after a while, and the others never notice. One that looks at the I420 picture only
    may say so with `takes_pixels = False`, which saves time on an overloaded machine. One that must
    not be taken off the air for being slow for a moment (a film would be torn in two) may name the
    sound, in ticks, that is held for it: `patience`, else 1 s.
    """

    needs: ClassVar[Mapping[str, str]]
    """Always empty; kept so that all engines are made alike. A sink that makes nothing of its
    sound may say so by `silent: ClassVar[bool] = True`."""

    @property
    def watched(self) -> bool:
        """False while nobody sees its pictures: they come all the same, but may be stale."""

    def open(self, *, width: int, height: int, fps: int) -> None:
        """Get ready for pictures of `width` x `height` at `fps`, and 48 kHz mono sound."""

    def video(self, frame: VideoFrame) -> None:
        """Send one picture."""

    def audio(self, pts: Ticks, samples: Samples) -> None:
        """Send a block of sound whose first sample is heard at `pts`."""

    def close(self) -> None:
        """Finish cleanly; safe to call twice."""


@runtime_checkable
class HostSink(Protocol):
    """A sink that shows the host alone: its frames then have a `host`."""

    @property
    def wants_host(self) -> bool:
        """False while nobody would see it, so that it is not drawn."""


@runtime_checkable
class CaptionSink(Protocol):
    """A sink that shows or writes down what is said.

    One whose viewers see it only if they ask for it has `captions_hidden = True`: captions are
    burned into its picture all the same where the show wants that.
    """

    def caption(self, caption: Caption) -> None:
        """Take one block, when the utterance that it belongs to has begun or before it is heard.

        The same block (with the same key) comes again with every correction: more words, other
        times, no lines where it is taken back. With `final` it comes once, when it is over; those
        are in order of time.
        """


@runtime_checkable
class StemSink(Protocol):
    """A sink that keeps voice and music apart."""

    def stems(self, pts: Ticks, voice: Samples, music: Samples) -> None:
        """Take the parts of the block that `audio` gets next, before they were mixed."""


@runtime_checkable
class DeviceClockSink(Protocol):
    """A sink with a clock of its own that the show can follow: a sound card."""

    master: bool
    """Set where the show follows it: it then plays every sample as it is."""

    @property
    def short(self) -> Ticks:
        """How much further ahead sound would have to be mixed for it to be in time."""

    def anchor(self) -> tuple[Ticks, int] | None:
        """Return the last known (tick heard, `monotonic_ns`); None while it plays nothing."""


@runtime_checkable
class DriftingSink(Protocol):
    """A sink whose device has a clock of its own, and says how it runs; any thread asks."""

    @property
    def drift_ppm(self) -> float:
        """How much faster than this machine's clock the device's runs, in millionths."""

    @property
    def offset_ms(self) -> float:
        """How much earlier than its picture the sound leaves."""


@runtime_checkable
class ReportingSink(Protocol):
    """A sink that connects by itself, again and again, and says how that goes; any thread asks."""

    @property
    def trouble(self) -> str:
        """Why nothing is being sent, in one line without secrets; "" while all is well."""

    @property
    def note(self) -> str:
        """How it is doing, in one line: rate, reconnects, drops."""
