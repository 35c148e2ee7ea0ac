"""Films without a browser: utterances in, an MP4 out, faster than real time.

The same `Body` as on air, stepped on a virtual clock. Runs on: the caller's thread draws, one
thread synthesises (at most 4 s of sound ahead), the file sink's thread encodes.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dialogue.messages import Utterance
from dialogue.plugins import EngineError
from dialogue.ticks import TICKS_PER_S, Ticks, from_s, to_s
from render.air import Air
from stage import wire
from stage.body import Body, make_body, make_sink
from stage.config import Show
from voice.speaker import Speaker

LEAD_S = 0.4
"""Still picture before the first word."""

TAIL_S = 0.9
"""After the last word, so that the smile is seen to fade."""

AHEAD: Ticks = 4 * TICKS_PER_S
"""Sound synthesised before it is drawn."""

# Nobody waits for each frame: a third more work for half the size.
_FILM = {"crash_safe": False, "preset": "superfast", "reserve_mb": 20}


@dataclass(slots=True)
class Report:
    """What was said and when: the content of `--report`."""

    utterances: list[dict[str, Any]] = field(default_factory=list)
    """One each: text, language, start_s, stop_s, phonemes, words, visemes."""
    film_s: float = 0.0
    """Length of the film."""
    work_s: float = 0.0
    """Time it took, models already loaded."""
    first_sound_s: float = 0.0
    """From the first utterance's hand-over to the voice until its first sound."""
    frames: int = 0
    """Pictures drawn."""
    draw_ms: float = 0.0
    """Median time to draw one."""


def shoot(
    show: Show,
    speaker: Speaker,
    utterances: Iterable[Utterance],
    path: Path,
    *,
    rests: Mapping[int, float] | None = None,
    options: dict[str, Any] | None = None,
    progress: Callable[[float, float], None] = lambda done_s, known_s: None,
) -> Report:
    """Film `utterances` into `path`.

    Args:
        show: character, scene, picture size.
        speaker: the warmed voices.
        utterances: what to say; all of one turn.
        path: the film; `.mp4` or `.mkv`.
        rests: utterance index to seconds that the host is silent before it (the first rest may
            stand before index 0; one after the last index is a longer end).
        options: more keywords of the file sink.
        progress: called with the seconds filmed and the seconds known so far.

    Raises:
        EngineError: no voice could say it, or the film could not be written.
    """
    air = Air(width=show.video.width, height=show.video.height, fps=show.video.fps, blocking=True)
    report = Report()
    spans: dict[int, dict[str, Any]] = {}

    def told(message: wire.Message) -> None:
        if isinstance(message, wire.Started):
            spans[message.utterance]["origin"] = message.pts

    body = make_body(show, air, told)
    air.add(
        "film",
        lambda: make_sink("file", {**_FILM, "path": str(path), **(options or {})}),
    )
    pieces: queue.Queue[wire.Say | BaseException | None] = queue.Queue(64)
    stop = threading.Event()
    producer = threading.Thread(
        target=_produce, args=(speaker, utterances, pieces, stop), name="tts-film", daemon=True
    )
    begun = time.perf_counter()
    producer.start()
    try:
        _roll(body, pieces, spans, show, report, progress, begun, rests or {})
    finally:
        stop.set()
        body.mixer.close()
        air.close()
    failed = [s.error for s in air.status() if s.error]
    if failed:
        raise EngineError(failed[0])
    report.work_s = time.perf_counter() - begun
    report.draw_ms = sorted(body.draw_ms)[len(body.draw_ms) // 2] if body.draw_ms else 0.0
    report.utterances = [_describe(spans[index], body) for index in sorted(spans)]
    return report


def _produce(
    speaker: Speaker,
    utterances: Iterable[Utterance],
    pieces: "queue.Queue[wire.Say | BaseException | None]",
    stop: threading.Event,
) -> None:
    try:
        for packet in _packets(speaker, utterances):
            while not stop.is_set():
                try:
                    pieces.put(packet, timeout=0.2)
                    break
                except queue.Full:
                    continue
            if stop.is_set():
                return
        pieces.put(None)
    except Exception as error:
        pieces.put(error)


def _packets(speaker: Speaker, utterances: Iterable[Utterance]) -> Iterator[wire.Say]:
    for utterance in utterances:
        first = True
        for chunk in speaker.speak(utterance):
            yield wire.say(
                chunk,
                text=utterance.text,
                language=utterance.language,
                cues=tuple((c.name, c.at_char) for c in utterance.cues) if first else (),
                last=utterance.final,
            )
            first = False


def _roll(
    body: Body,
    pieces: "queue.Queue[wire.Say | BaseException | None]",
    spans: dict[int, dict[str, Any]],
    show: Show,
    report: Report,
    progress: Callable[[float, float], None],
    begun: float,
    rests: Mapping[int, float],
) -> None:
    pts: Ticks = 0
    lead = round(LEAD_S * show.video.fps) * body.frame_ticks
    known: Ticks = 0
    tail_end: Ticks | None = None
    source = _Source(pieces, body, rests)
    body.start_at(0)
    while tail_end is None or pts < tail_end:
        # Picture needs the sound of its own instant: fetch while little of it is left, so that
        # the film never has a gap that a slow voice would have caused live.
        while pts >= lead and body.playout.ahead() < AHEAD:
            packet = source.next(pts)
            if packet is None:
                break
            if not report.first_sound_s and packet.samples:
                report.first_sound_s = time.perf_counter() - begun
            about = spans.setdefault(packet.utterance, _about(packet))
            about["phonemes"].extend(packet.phonemes)
            about["words"].extend(packet.words)
            about["length"] += len(packet.samples) // 4
            known += len(packet.samples) // 4
            body.receive(packet, pts)
        body.step(pts)
        pts += body.frame_ticks
        report.frames += 1
        if source.done and body.idle and tail_end is None:
            tail_s = rests.get(max(spans, default=0) + 1, TAIL_S)
            tail_end = pts + round(tail_s * show.video.fps) * body.frame_ticks
            body.mixer.fade_out(max(1, tail_end - pts - 4 * body.frame_ticks))
        progress(to_s(pts), to_s(lead + known) + TAIL_S)
    report.film_s = to_s(pts)


class _Source:
    """What the voice makes, an utterance held back while the host rests before it."""

    def __init__(
        self,
        pieces: "queue.Queue[wire.Say | BaseException | None]",
        body: Body,
        rests: Mapping[int, float],
    ) -> None:
        self.done = False
        """Everything was handed out."""
        self._pieces = pieces
        self._body = body
        self._rests = dict(rests)
        self._held: wire.Say | None = None
        self._resume: Ticks | None = None

    def next(self, pts: Ticks) -> wire.Say | None:
        """Return the next piece, or None where none is due at `pts`.

        Waits for the voice while little of its sound is left. Raises what the voice raised.
        """
        if self._held is None and not self._take():
            return None
        packet = self._held
        assert packet is not None
        rest_s = self._rests.get(packet.utterance, 0.0)
        if rest_s:
            if self._resume is None and self._body.idle:
                self._resume = pts + from_s(rest_s)
            if self._resume is None or pts < self._resume:
                return None
            del self._rests[packet.utterance]
        self._held = self._resume = None
        return packet

    def _take(self) -> bool:
        """Hold the next piece; False where none is needed yet, or there is none any more."""
        if self.done or (
            self._body.playout.ahead() > 12 * self._body.frame_ticks and self._pieces.empty()
        ):
            return False
        packet = self._pieces.get()
        if isinstance(packet, BaseException):
            raise packet
        self._held, self.done = packet, packet is None
        return not self.done


def _about(packet: wire.Say) -> dict[str, Any]:
    return {
        "text": packet.text, "language": packet.language, "phonemes": [], "words": [],
        "origin": 0, "length": 0,
    }  # fmt: skip


def _describe(about: dict[str, Any], body: Body) -> dict[str, Any]:
    from avatar.tracks import viseme_keys
    from voice.speech import PhonemeSpan

    origin = about["origin"]

    def at(ticks: Ticks) -> float:
        return round(to_s(origin + ticks), 4)

    return {
        "text": about["text"],
        "language": about["language"],
        "start_s": at(0),
        "stop_s": at(about["length"]),
        "phonemes": [
            {"ipa": p[0], "start_s": at(p[1]), "stop_s": at(p[2]), "estimated": p[4]}
            for p in about["phonemes"]
        ],
        "words": [
            {"text": about["text"][w[0] : w[1]], "start_s": at(w[2]), "stop_s": at(w[3])}
            for w in about["words"]
        ],
        "visemes": [
            {"at_s": at(key.at), "viseme": key.viseme, "weight": round(key.weight, 3)}
            for key in viseme_keys(tuple(PhonemeSpan(*p) for p in about["phonemes"]))
        ],
    }
