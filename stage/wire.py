"""What crosses between house, body and mind: small typed messages, msgpack, versioned.

Every child says `Hello` first; a child of another version is refused. Sound crosses as float32
bytes inside `Say` (a 200 ms piece is 38 kB); pictures never cross.
"""

from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np

from voice.speech import AudioChunk, PhonemeSpan, WordSpan

WIRE_VERSION = 6
"""Raised with every change of a message."""


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    pass


class Hello(_Message, frozen=True):
    """A child's first message."""

    role: str
    version: int = WIRE_VERSION


class Ready(_Message, frozen=True):
    """A child can work: the body has drawn its first frame, the mind can answer."""

    role: str
    took_s: float
    detail: str = ""


class Quit(_Message, frozen=True):
    """Finish and end. From the body: a sink has ended the show (a window was closed)."""


class Note(_Message, frozen=True):
    """One line for the status and the log."""

    role: str
    level: str
    text: str


# To the body ------------------------------------------------------------------------------------


class Say(_Message, frozen=True):
    """A piece of timed speech (`AudioChunk`)."""

    turn: int
    utterance: int
    start: int
    samples: bytes
    phonemes: tuple[tuple[str, int, int, int, bool], ...] = ()
    words: tuple[tuple[int, int, int, int], ...] = ()
    text: str = ""
    language: str = "en"
    cues: tuple[tuple[str, int], ...] = ()
    final: bool = False
    last: bool = False
    head_start: int = 0
    """Ticks to hold before the utterance starts, in its first piece."""
    gain: float = 1.0
    """Brings the voice to the programme's loudness."""


class Translation(_Message, frozen=True):
    """What an utterance says in another language; the body drops it where it comes too late."""

    turn: int
    utterance: int
    text: str
    language: str


class Enter(_Message, frozen=True):
    """An understudy that is ready goes on air now."""


class Cancel(_Message, frozen=True):
    """Everything of this turn and the ones before it falls silent."""

    turn: int
    reason: str
    after_utterance: bool = False


class Play(_Message, frozen=True):
    """A cue (expression or gesture) now."""

    cue: str


class Attend(_Message, frozen=True):
    """Look at something for a while."""

    target: str
    hold_s: float


class Mood(_Message, frozen=True):
    """What the host is doing: idle, listening, thinking or speaking."""

    state: str


class Offer(_Message, frozen=True):
    """A viewer's WebRTC offer."""

    viewer: str
    sdp: str
    kind: str
    view: Literal["stage", "overlay"] = "stage"
    """The whole picture, or the host alone with its matte (`render.matte`)."""


class SinkAdd(_Message, frozen=True):
    """Put one more sink on air."""

    name: str
    engine: str
    options: dict[str, Any]


class SinkRemove(_Message, frozen=True):
    """Take a sink off the air, finishing it cleanly."""

    name: str


# From the body ----------------------------------------------------------------------------------


class Answer(_Message, frozen=True):
    """The body's WebRTC answer; `error` is empty when it worked."""

    viewer: str
    sdp: str
    kind: str
    error: str = ""
    light: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Red, green, blue, 0..1: what white looks like on the host."""


class Started(_Message, frozen=True):
    """An utterance's first sample has its place in time."""

    turn: int
    utterance: int
    pts: int
    monotonic_ns: int
    text: str
    words: tuple[tuple[int, int, int, int], ...]
    language: str
    lines: tuple[tuple[int, int], ...] = ()
    """Where its captions break: first and last+1 character of each line, two to a block."""


class Shifted(_Message, frozen=True):
    """The voice ran dry and went on: the rest of an utterance comes later."""

    turn: int
    utterance: int
    pts: int
    """Where its first sample would stand now."""


class Words(_Message, frozen=True):
    """More caption words of an utterance that is already being spoken."""

    turn: int
    utterance: int
    words: tuple[tuple[int, int, int, int], ...]
    lines: tuple[tuple[int, int], ...] = ()
    """Where its captions break now."""


class Translated(_Message, frozen=True):
    """A block of a translation, or a correction of it."""

    turn: int
    utterance: int
    block: int
    start: int
    """Ticks; when it is to be seen live."""
    stop: int
    lines: tuple[str, ...]
    """One or two; none takes it back."""
    language: str


class Heard(_Message, frozen=True):
    """How far an utterance has been heard."""

    turn: int
    utterance: int
    ticks: int
    finished: bool
    cancelled: bool = False


class Pulse(_Message, frozen=True):
    """The body's clock and counters, about ten times a second."""

    pts: int
    monotonic_ns: int
    ahead: int
    frames: int
    late: int
    dropped: int
    underruns: int
    draw_ms: float
    cpu: float
    picture: str = ""
    """How it is drawn on an overloaded machine, such as "1/2 size"; "" where all is well."""
    card: tuple[float, float] | None = None
    """A sound card in use: how many millionths faster than this machine's clock it runs,
    and how many milliseconds earlier than its picture the sound leaves."""
    sinks: tuple[tuple[str, str, int, int, str, str], ...] = ()
    """Of each: name, state, pictures sent, pictures dropped, error, and what it says of itself."""


# To and from the mind ---------------------------------------------------------------------------


class Line(_Message, frozen=True):
    """An audience message on its way to the mind."""

    id: str
    source: str
    author: str
    text: str
    received_at: float
    priority: int = 0


class Chosen(_Message, frozen=True):
    """The mind answers this line now."""

    id: str
    turn: int
    author: str
    text: str


class Reply(_Message, frozen=True):
    """An utterance as text, as soon as it is decided (before it is heard)."""

    turn: int
    utterance: int
    text: str
    final: bool


class Work(msgspec.Struct, frozen=True):
    """What a turn has cost."""

    deltas: int = 0
    """Pieces of text the model has sent, usually tokens."""
    voice_s: float = 0.0
    """Seconds the voices worked."""
    sound_s: float = 0.0
    """Seconds of sound they made."""
    firsts: tuple[tuple[str, str, float], ...] = ()
    """Language and text of each utterance, and seconds from the voice's getting it to its first
    sound."""


class Done(_Message, frozen=True):
    """A turn is over; its time marks in `time.monotonic()` seconds by name."""

    turn: int
    marks: dict[str, float]
    heard: str = ""
    work: Work = Work()


class Remember(_Message, frozen=True):
    """History to restore after a restart, or a line of it to keep: one JSON object a line."""

    lines: tuple[str, ...]


Message: TypeAlias = (
    Hello | Ready | Quit | Enter | Note | Say | Translation | Cancel | Play | Attend | Mood | Offer
    | SinkAdd | SinkRemove | Answer | Started | Shifted | Words | Translated | Heard | Pulse
    | Line | Chosen | Reply | Done | Remember
)  # fmt: skip

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """Return `message` as bytes."""
    return _encoder.encode(message)


def decode(packet: bytes) -> Message:
    """Return the message in `packet`.

    Raises:
        msgspec.ValidationError: not a message of this version.
    """
    return _decoder.decode(packet)


def say(chunk: AudioChunk, **about: Any) -> Say:
    """Return `chunk` as a message; `about` adds text, language, cues and last."""
    return Say(
        turn=chunk.turn_id,
        utterance=chunk.utterance,
        start=chunk.start,
        samples=np.ascontiguousarray(chunk.samples, np.float32).tobytes(),
        phonemes=tuple((p.phoneme, p.start, p.stop, p.stress, p.estimated) for p in chunk.phonemes),
        words=tuple((w.start_char, w.stop_char, w.start, w.stop) for w in chunk.words),
        final=chunk.final,
        gain=chunk.gain,
        **about,
    )


def chunk(message: Say) -> AudioChunk:
    """Return the `AudioChunk` in `message`."""
    return AudioChunk(
        turn_id=message.turn,
        utterance=message.utterance,
        start=message.start,
        samples=np.frombuffer(message.samples, np.float32),
        phonemes=tuple(PhonemeSpan(*p) for p in message.phonemes),
        words=tuple(WordSpan(*w) for w in message.words),
        final=message.final,
        gain=message.gain,
    )


class Link:
    """A child's end of its pipe to the house. `send` may be called from any thread."""

    def __init__(self, connection: Connection) -> None:
        import threading

        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Send; when the house is gone the child ends, since nobody could stop it otherwise."""
        try:
            with self._lock:
                self._connection.send_bytes(encode(message))
        except (BrokenPipeError, OSError):
            raise SystemExit(0) from None

    def poll(self, wait_s: float = 0.0) -> Message | None:
        """Return the next message, or None when none came within `wait_s` seconds."""
        try:
            if not self._connection.poll(wait_s):
                return None
            return decode(self._connection.recv_bytes())
        except (EOFError, OSError):
            return Quit()

    def listen(self, deliver: Callable[[Message], None]) -> None:
        """Call `deliver` for each message until the house is gone. Blocks its thread."""
        while True:
            message = self.poll(3600.0)
            if message is not None:
                deliver(message)
            if isinstance(message, Quit):
                return
