"""An hour of a whole show: does anything grow, break or stutter?

House, body, mind, stage page and film are the real ones, and so are model and voices; the audience
talks, and a viewer comes and goes. Every few seconds memory, threads and open files of each process
are written down. `BUNRAKU_SOAK_MIN=5` makes it shorter; `BUNRAKU_SOAK_QUICK=1` takes a model that
recites and a voice that hums, which measures everything but those two.
"""

import asyncio
import contextlib
import itertools
import json
import math
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from stage import wire
from stage.bench import lines, offset
from stage.bench.air import figure
from stage.bench.air.gaps import Gaps, gaps
from stage.bench.figures import Figure
from stage.bench.processes import Held, apart, held
from stage.config import LLM, Show, SinkTable, Voices, Web

MINUTES = 60.0
EVERY_S = 5.0
"""Between two samples."""
REST_S = 8.0
"""The audience waits so long after an answer."""
VIEWER_EVERY_S, VIEWER_STAYS_S = 150.0, 20.0
SETTLING = 0.1
"""This share of the soak, its beginning, is left out: caches fill, the understudy loads."""
BLOCKS = 12
"""A slope is taken from the means of so many equal parts."""
_T95 = 2.228  # Student's t for 95 % and BLOCKS - 2 degrees of freedom
_CRF = 38  # an hour of film in some hundred MB

PROCESSES = ("house", "body", "mind", "understudy")
_QUALITIES = (
    ("memory", "MiB", "mib"),
    ("pages of files in memory", "MiB", "file_mib"),
    ("threads", "", "threads"),
    ("open files", "", "files"),
)


@dataclass(slots=True)
class Soak:
    """What was seen."""

    minutes: float = 0.0
    """How long it took."""
    samples: list[tuple[float, dict[str, Held]]] = field(default_factory=list)
    """Seconds of the soak, and what each process held."""
    gaps: list[Gaps] = field(default_factory=list)
    """Of each film: one, unless the sink had to be made anew."""
    offsets: list[tuple[float, float]] = field(default_factory=list)
    """Of the longest film: seconds of each onset, and by how many ms its sound is early."""
    frames: int = 0
    """Pictures drawn."""
    late: int = 0
    """Of them begun too late."""
    dropped: int = 0
    """Never begun."""
    underruns: int = 0
    """How often the voice ran dry."""
    restarts: dict[str, int] = field(default_factory=dict)
    """How often body and mind came back."""
    lines: int = 0
    """Lines of the audience."""
    answered: int = 0
    """Of them answered aloud."""
    visits: int = 0
    """Viewers that have seen a picture."""
    notes: list[str] = field(default_factory=list)
    """What the house said to its operator."""


@dataclass(frozen=True, slots=True)
class Slope:
    """A straight line through what was measured."""

    per_hour: float
    """Growth."""
    within: float
    """The growth is known to so much either way, with 95 % confidence."""
    first: float
    """Mean of the first quarter."""
    last: float
    """Mean of the last quarter."""


def slope(samples: Sequence[tuple[float, float]]) -> Slope | None:
    """Return the slope of (seconds, value), or None of too few.

    What is measured goes up and down in waves of minutes, so that neighbours in time say the same
    thing twice: the line goes through the means of twelve equal parts, which are nearly strangers.
    """
    if len(samples) < BLOCKS:
        return None
    edges = [round(i * len(samples) / BLOCKS) for i in range(BLOCKS + 1)]
    parts = [samples[a:b] for a, b in itertools.pairwise(edges)]
    hours = [statistics.mean(at for at, _ in part) / 3600 for part in parts]
    values = [statistics.mean(value for _, value in part) for part in parts]
    growth, start = statistics.linear_regression(hours, values)
    off = [v - (start + growth * h) for h, v in zip(hours, values, strict=True)]
    middle = statistics.mean(hours)
    spread = math.sqrt(sum((h - middle) ** 2 for h in hours))
    error = math.sqrt(sum(o * o for o in off) / (BLOCKS - 2)) / spread
    quarter = BLOCKS // 4
    return Slope(
        growth, _T95 * error, statistics.mean(values[:quarter]), statistics.mean(values[-quarter:])
    )


def soak() -> list[Figure]:
    """Run the soak and report what grew, what stuttered and what broke."""
    minutes = float(os.environ.get("BUNRAKU_SOAK_MIN", MINUTES))
    quick = bool(os.environ.get("BUNRAKU_SOAK_QUICK"))
    with tempfile.TemporaryDirectory(prefix="bunraku-soak-") as folder:
        seen: Soak = apart(_run, Path(folder), minutes, quick)
    return figures(seen, quick)


def figures(seen: Soak, quick: bool) -> list[Figure]:
    """Return what a soak says."""
    cast = "a reciting model and a humming voice" if quick else "default model and voices"
    how = (
        f"{seen.minutes:.0f} minutes, {cast}, {seen.lines} lines of chat, film and page on, "
        f"{seen.visits} viewers came and went"
    )
    settled = [s for s in seen.samples if s[0] >= SETTLING * seen.minutes * 60]
    found = []
    for label, unit, name in _QUALITIES:
        rows = {
            process: slope([(at, float(getattr(h[process], name))) for at, h in settled
                            if process in h])
            for process in PROCESSES
        }  # fmt: skip
        for process, row in rows.items():
            if row is None:
                continue
            found.append(
                figure(
                    f"soak: {label} of the {process}, growth", row.per_hour, f"{unit}/h",
                    "report",
                    f"± {row.within:.2g} (95 %); mean of the first quarter {row.first:.5g} {unit}, "
                    f"of the last {row.last:.5g} {unit}; {how}",
                )
            )  # fmt: skip
        known = [row for row in rows.values() if row is not None]
        before, after = sum(r.first for r in known), sum(r.last for r in known)
        if name == "file_mib":
            continue  # part of the memory; the system takes them back when it wants them
        found.append(
            figure(
                f"soak: {label} of all, last quarter against first",
                100 * (after / before - 1) if before else None, "%", "<= 2",
                f"{before:.5g} {unit}, then {after:.5g} {unit}; the first {100 * SETTLING:.0f} % "
                f"of the time left out; {how}",
            )
        )  # fmt: skip
    lost = sum(g.lost for g in seen.gaps)
    shown = sum(g.frames for g in seen.gaps)
    bad = 100 * (seen.late + seen.dropped) / max(1, seen.frames + seen.dropped)
    return [
        *found,
        figure(
            "soak: pictures missing in the film", 100 * lost / max(1, shown + lost), "%", "<= 0.1",
            f"{lost} of {shown + lost} by the film's own times, longest interval "
            f"{max((g.longest_ms for g in seen.gaps), default=0):.0f} ms; {how}",
            cell=("hour", "late"),
        ),
        figure(
            "soak: frames begun late or not at all", bad, "%", "<= 0.1",
            f"{seen.late} late and {seen.dropped} dropped of {seen.frames + seen.dropped}; {how}",
        ),
        figure(
            "soak: gaps in the film's sound", float(sum(g.sound_gaps for g in seen.gaps)), "",
            "<= 0", how,
        ),
        figure(
            "soak: the voice ran dry", float(seen.underruns), "times", "report", how,
        ),
        *_film_figures(seen, how),
        figure(
            "soak: restarts", float(sum(seen.restarts.values())), "", "<= 0",
            f"body {seen.restarts.get('body', 0)}, mind {seen.restarts.get('mind', 0)}; "
            f"films {len(seen.gaps)}; {how}" + "".join(f"; {note}" for note in seen.notes[:3]),
        ),
        figure(
            "soak: lines answered aloud", 100 * seen.answered / max(1, seen.lines), "%", ">= 99",
            f"{seen.answered} of {seen.lines}; {how}",
        ),
    ]  # fmt: skip


def _film_figures(seen: Soak, how: str) -> list[Figure]:
    """Return the A/V offset of the film, and how it moves from its beginning to its end."""
    early = [ms for _, ms in sorted(seen.offsets)]
    quarter = len(early) // 4
    if quarter < 10:
        few = f"only {len(early)} onsets seen; {how}"
        return [
            figure("soak: A/V offset of the film, median", None, "ms", "|x|<= 10", few,
                   cell=("hour", "offset"))
        ]  # fmt: skip
    first, last = statistics.median(early[:quarter]), statistics.median(early[-quarter:])
    about = f"{len(early)} onsets after a silence, of consonants with shut lips too; {how}"
    return [
        figure("soak: A/V offset of the film, median", statistics.median(early), "ms", "|x|<= 10",
               about, cell=("hour", "offset")),
        figure("soak: A/V offset of the film, last quarter against first", last - first, "ms",
               "|x|<= 10", f"medians {first:.1f}, then {last:.1f} ms; {about}",
               cell=("hour", "drift")),
    ]  # fmt: skip


class _Watch:
    """Takes notes of a running show."""

    def __init__(self) -> None:
        self.seen = Soak()
        self._began: dict[str, int] = {}
        self._before = [0, 0, 0, 0]  # counters of the bodies that are gone
        self._last = [0, 0, 0, 0]

    def __call__(self, message: Any) -> None:
        match message:
            case wire.Ready():
                self._began[message.role] = self._began.get(message.role, -1) + 1
                self.seen.restarts = dict(self._began)
            case wire.Done() if message.heard:
                self.seen.answered += 1
            case wire.Pulse():
                now = [message.frames, message.late, message.dropped, message.underruns]
                if now[0] < self._last[0]:
                    self._before = [a + b for a, b in zip(self._before, self._last, strict=True)]
                self._last = now
                total = [a + b for a, b in zip(self._before, now, strict=True)]
                self.seen.frames, self.seen.late, self.seen.dropped, self.seen.underruns = total


def _run(connection: Connection, folder: Path, minutes: float, quick: bool) -> None:
    """Run the show and send what was seen of it."""
    show = _settings(folder, quick)
    seen = asyncio.run(_show(show, minutes))
    films = sorted(folder.glob("*.mp4"))
    seen.gaps = [gaps(film, show.video.fps) for film in films]
    seen.offsets = _offsets(max(films, key=lambda film: film.stat().st_size))
    connection.send(seen)


def _offsets(film: Path) -> list[tuple[float, float]]:
    """Return when each sound of the film begins (s), and how early it is against its mouth (ms)."""
    from stage.bench.loop import _mouth_area

    with contextlib.suppress(offset.OffsetError):
        measured = offset.measure(film, _mouth_area())
        return [(m.sound_s, m.offset_ms) for m in measured.moments if m.kind == "opening"]
    return []


def _settings(folder: Path, quick: bool) -> Show:
    show = Show(
        sinks={
            "record": SinkTable(
                "file", {"path": str(folder / "soak.mp4"), "crf": _CRF, "overwrite": False}
            )
        },
        web=Web(port=0),
    )
    if quick:
        here = "stage.bench.air.stand_ins"
        hum = (f"{here}:HummingVoice",)
        show = Show(
            sinks=show.sinks, web=show.web, llm=LLM(engine=f"{here}:RecitingModel"),
            voice=Voices(engines={"en": hum, "zh": hum, "ja": hum}),
        )  # fmt: skip
    return show


async def _show(show: Show, minutes: float) -> Soak:
    from stage.house import House

    watch = _Watch()
    seen = watch.seen
    house = House(show, title="soak", theme={}, watch=watch, say=seen.notes.append)
    await house.start()
    context = multiprocessing.get_context("spawn")
    visits = context.Value("i", 0)
    visitor = context.Process(target=_visit, args=(house.address, visits), daemon=True)
    try:
        await asyncio.wait_for(house.ready("body"), 60)
        await asyncio.wait_for(house.ready("mind"), 300)
        visitor.start()
        begun = time.monotonic()
        weighing = asyncio.create_task(_weigh(house, begun, seen, _report(minutes)))
        for author, text in itertools.cycle(lines.CHAT):
            if time.monotonic() - begun > minutes * 60:
                break
            _, done = house.line(text, author=author, source="soak")
            seen.lines += 1
            await asyncio.wait((done,), timeout=120)
            await asyncio.sleep(REST_S)
        seen.minutes = (time.monotonic() - begun) / 60
        weighing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await weighing
    finally:
        if visitor.is_alive():
            visitor.terminate()
        await house.close()
    seen.visits = visits.value
    return seen


async def _weigh(
    house: Any, begun: float, seen: Soak, tell: Callable[[float, dict[str, Held]], None]
) -> None:
    while True:
        pids = {
            "house": os.getpid(), "body": house.body.pid, "mind": house.mind.pid,
            "understudy": house.body.understudy_pid,
        }  # fmt: skip
        at_s = time.monotonic() - begun
        now = {n: h for n, pid in pids.items() if pid is not None and (h := held(pid)) is not None}
        seen.samples.append((at_s, now))
        tell(at_s, now)
        await asyncio.sleep(EVERY_S)


def _report(minutes: float) -> Callable[[float, dict[str, Held]], None]:
    """Return what shows a sample where somebody watches, and keeps all of them if asked to.

    `BUNRAKU_SOAK_LOG` names a file that gets a line of JSON for each sample.
    """
    log = os.environ.get("BUNRAKU_SOAK_LOG")

    def tell(at_s: float, now: dict[str, Held]) -> None:
        if log:
            row = {
                n: [round(h.mib, 2), h.threads, h.files, round(h.file_mib, 2)]
                for n, h in now.items()
            }
            with Path(log).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"at_s": round(at_s, 1), **row}) + "\n")
        if sys.stderr.isatty():
            shown = ", ".join(f"{n} {h.mib:.0f} MiB" for n, h in now.items())
            print(f"\r\x1b[K  {at_s / 60:.1f} of {minutes:g} min: {shown}", end="", file=sys.stderr)

    return tell


def _visit(address: str, visits: Any) -> None:
    """Look at the page again and again, each time as a new viewer. A process of its own."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_visits(address, visits))


async def _visits(address: str, visits: Any) -> None:
    while True:
        begun = time.monotonic()
        with contextlib.suppress(OSError, TimeoutError, RuntimeError):
            async with asyncio.timeout(VIEWER_STAYS_S + 20):
                if await _look(address):
                    visits.value += 1
        await asyncio.sleep(max(1.0, VIEWER_EVERY_S - (time.monotonic() - begun)))


async def _look(address: str) -> bool:
    """Open the page's socket and its picture for a while; True when a picture came."""
    import aiohttp
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
    from aiortc.mediastreams import MediaStreamError

    peer: Any = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    pictures = 0

    async def watch(track: Any) -> None:
        nonlocal pictures
        with contextlib.suppress(MediaStreamError):
            while True:
                await track.recv()
                pictures += track.kind == "video"

    watching: list[asyncio.Task[None]] = []
    peer.on("track", lambda track: watching.append(asyncio.create_task(watch(track))))
    try:
        for kind in ("audio", "video"):
            peer.addTransceiver(kind, direction="recvonly")
        await peer.setLocalDescription(await peer.createOffer())
        offer = {"sdp": peer.localDescription.sdp, "type": peer.localDescription.type}
        async with aiohttp.ClientSession() as session, session.ws_connect(address + "ws") as page:
            async with session.post(address + "offer", json=offer) as reply:
                answer = await reply.json()
            await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
            end = time.monotonic() + VIEWER_STAYS_S
            while (left_s := end - time.monotonic()) > 0:
                with contextlib.suppress(TimeoutError):
                    await page.receive(timeout=left_s)
    finally:
        await peer.close()
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    return pictures > 0


PARTS: dict[str, tuple[str, Callable[[], list[Figure]]]] = {
    "soak": ("an hour of a whole show: memory, threads, files, gaps, restarts", soak),
}
