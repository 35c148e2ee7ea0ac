"""A host without a body: a test picture and beeps over real WebRTC, events of a real show.

Runs on: the test's asyncio loop. The picture is grey and turns white with every beep; a beep
stands for a word, so that a page's captions can be checked against what it shows and plays.
"""

import asyncio
import fractions
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from dialogue.character import CaptionStyle
from render.captions import lay_out
from stage import wire
from stage.config import Web as Settings
from stage.web import DEFAULT_STYLE, Web

RATE_HZ = 48_000
BEEP_HZ = 880.0
BLOCK = 960
"""Samples a packet: 20 ms."""

Picture = npt.NDArray[np.uint8]


class FakeHost:
    """Everything behind the stage page."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        title: str = "Kohaku",
        theme: dict[str, str] | None = None,
        size: tuple[int, int] = (320, 180),
        fps: int = 30,
        picture: Callable[[bool], Picture] | None = None,
        style: CaptionStyle = DEFAULT_STYLE,
        translate: str = "",
    ) -> None:
        self.lines: list[tuple[str, str, str]] = []
        self.offers: list[wire.Offer] = []
        self.answer_lines = False
        self.breaks: list[tuple[int, int]] = []
        """Where captions break; empty: where the body would break them."""
        self.on_air = True
        self.card: tuple[float, float] | None = None
        """Drift and offset of a sound card in use."""
        self.web = Web(
            settings or Settings(port=0),
            title=title, theme=theme or {}, line=self._line, offer=self._offer,
            style=style, translate=translate,
        )  # fmt: skip
        self.fps = fps
        width, height = size
        grey = np.full((height, width, 3), (70, 60, 90), np.uint8)
        white = np.full((height, width, 3), 250, np.uint8)
        self.picture = picture or (lambda beep: white if beep else grey)
        self.beeps: list[tuple[float, float]] = []
        self._peers: set[Any] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = 0
        self._generation = 1

    async def __aenter__(self) -> "FakeHost":
        self._origin_s = asyncio.get_running_loop().time() - 5.0
        self.address = await self.web.start()
        self.status("ready", "ready")
        self.web.tell({"type": "body", "generation": self._generation})
        self.spawn(self._pulse())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.silence()
        await self.web.stop()

    @property
    def now_ms(self) -> float:
        """The stage clock."""
        return (asyncio.get_running_loop().time() - self._origin_s) * 1e3

    def status(self, mind: str, body: str, detail: str = "") -> None:
        self.web.tell({"type": "status", "mind": mind, "body": body, "detail": detail})

    def spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def silence(self) -> None:
        """End every viewer's picture and sound, as a body does that dies."""
        peers, self._peers = self._peers, set()
        await asyncio.gather(*(peer.close() for peer in peers))

    async def restart(self) -> None:
        """Die and come back as a new body."""
        self.status("ready", "restarting")
        await self.silence()
        self._generation += 1
        self.status("ready", "ready")
        self.web.tell({"type": "body", "generation": self._generation})

    def chat(self, author: str, text: str) -> str:
        """Show an audience line; returns its id."""
        identity = f"line{len(self.lines)}-{self._turn}-{author}"
        self.web.tell({"type": "chat", "id": identity, "author": author, "text": text})
        return identity

    def think(self, identity: str) -> int:
        """Choose a line; returns its turn."""
        self._turn += 1
        self.web.tell({"type": "thinking", "id": identity, "turn": self._turn})
        return self._turn

    def speak(
        self, turn: int, text: str, language: str, words: list[list[float]], lead_ms: float = 250.0
    ) -> float:
        """Say `text` with a beep a word; returns the stage time of its first sample, in ms."""
        at_ms = self.now_ms + lead_ms
        about = {"turn": turn, "utterance": 0}
        self.web.tell({"type": "reply", **about, "text": text})
        self.beeps += [(at_ms + start, at_ms + stop) for _, _, start, stop in words]
        half = max(1, len(words) // 2)
        lines = self.breaks or lay_out(text, [(int(a), int(b), 0, 0) for a, b, *_ in words])
        self.web.tell(
            {
                "type": "caption", **about, "text": text, "language": language,
                "at_ms": at_ms, "words": words[:half], "lines": lines,
            }
        )  # fmt: skip
        if words[half:]:
            self.web.tell({"type": "words", **about, "words": words[half:], "lines": lines})
        return at_ms

    def translate(self, turn: int, at_ms: float, until_ms: float, *lines: str) -> None:
        """Show the English of what is said."""
        self.web.tell(
            {
                "type": "translation", "turn": turn, "utterance": 0, "block": 1000,
                "language": "en", "lines": lines, "at_ms": at_ms, "until_ms": until_ms,
            }
        )  # fmt: skip

    def heard(self, turn: int, ms: float, *, cancelled: bool = False) -> None:
        """End an utterance and its turn."""
        about = {"turn": turn, "utterance": 0, "ms": ms, "finished": True, "cancelled": cancelled}
        self.web.tell({"type": "heard", **about})
        self.web.tell({"type": "done", "turn": turn, "marks": {"received": 1.0, "heard": 2.2}})

    def _line(self, author: str, text: str, viewer: str) -> None:
        self.lines.append((author, text, viewer))
        identity = self.chat(author, text)
        if self.answer_lines:
            self.spawn(self._answer(identity, text))

    async def _answer(self, identity: str, text: str) -> None:
        turn = self.think(identity)
        await asyncio.sleep(0.2)
        reply = f"You said: {text}"
        words = spoken(reply)
        self.speak(turn, reply, "en", words)
        await asyncio.sleep(words[-1][3] / 1e3)
        self.heard(turn, words[-1][3])

    async def _pulse(self) -> None:
        while True:
            self.web.tell({"type": "clock", "stage_ms": self.now_ms - 3.0, "age_ms": 3.0})
            self.web.tell(
                {"type": "telemetry", "frames": 1, "late": 0, "sinks": [], "card": self.card}
            )
            await asyncio.sleep(0.1)

    async def _offer(self, offer: wire.Offer) -> wire.Answer:
        from aiortc import RTCPeerConnection, RTCSessionDescription

        from render.sinks.rtc import without_names

        self.offers.append(offer)
        if not self.on_air:
            raise TimeoutError
        peer = RTCPeerConnection()
        self._peers.add(peer)
        audio, video = _tracks(self)
        peer.addTrack(audio)
        peer.addTrack(video)
        sdp = without_names(offer.sdp)
        await peer.setRemoteDescription(RTCSessionDescription(sdp, offer.kind))
        await peer.setLocalDescription(await peer.createAnswer())
        done = peer.localDescription
        return wire.Answer(viewer=offer.viewer, sdp=done.sdp, kind=done.type)

    def beeping(self, at_ms: float) -> bool:
        return any(start <= at_ms < stop for start, stop in self.beeps)


def spoken(text: str, each_ms: float = 220.0, gap_ms: float = 180.0) -> list[list[float]]:
    """Return word spans of `text`: [first character, stop character, start ms, stop ms]."""
    spans, at = [], 0
    cjk = any("\u3040" <= c <= "\u9fff" for c in text)
    pieces = [text[i : i + 2] for i in range(0, len(text), 2)] if cjk else text.split(" ")
    for index, piece in enumerate(pieces):
        start_ms = index * (each_ms + gap_ms)
        spans.append([at, at + len(piece), start_ms, start_ms + each_ms])
        at += len(piece) + (0 if cjk else 1)
    return spans


def _tracks(host: FakeHost) -> tuple[Any, Any]:
    """Return a viewer's sound and picture."""
    import av
    from aiortc import MediaStreamTrack

    class Sound(MediaStreamTrack):  # type: ignore[misc]
        kind = "audio"

        def __init__(self) -> None:
            super().__init__()
            self.at = -1

        async def recv(self) -> Any:
            if self.at < 0:  # asked for the first time: the viewer is connected now
                self.at = int(host.now_ms / 20) * BLOCK
            wait_ms = self.at / 48 - host.now_ms
            if wait_ms > 0:
                await asyncio.sleep(wait_ms / 1e3)
            ticks = np.arange(self.at, self.at + BLOCK)
            loud = np.zeros(BLOCK)
            for start, stop in host.beeps:
                loud += (ticks >= start * 48) & (ticks < stop * 48)
            wave = np.sin(ticks * (2 * np.pi * BEEP_HZ / RATE_HZ)) * np.minimum(loud, 1) * 12_000
            frame = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], "s16", "mono")
            frame.sample_rate = RATE_HZ
            frame.pts = self.at
            frame.time_base = fractions.Fraction(1, RATE_HZ)
            self.at += BLOCK
            return frame

    class Sight(MediaStreamTrack):  # type: ignore[misc]
        kind = "video"

        def __init__(self) -> None:
            super().__init__()
            self.index = int(host.now_ms * host.fps / 1e3)

        async def recv(self) -> Any:
            self.index = max(self.index + 1, int(host.now_ms * host.fps / 1e3))
            at_ms = self.index * 1e3 / host.fps
            await asyncio.sleep(max(0.0, at_ms - host.now_ms) / 1e3)
            frame = av.VideoFrame.from_ndarray(host.picture(host.beeping(at_ms)), "rgb24")
            frame.pts = round(at_ms * 90)
            frame.time_base = fractions.Fraction(1, 90_000)
            return frame

    return Sound(), Sight()
