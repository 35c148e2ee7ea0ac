"""Frame pacing: what arrives at a sink and when, at each size and rate, and beside broken sinks.

A picture is late when it reaches the sink after the instant that it shows, and lost when it never
does; both are seen at the sink, and gaps again in the finished film.
"""

import asyncio
import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dialogue.ticks import TICKS_PER_S, Ticks
from render.frames import VideoFrame
from stage import wire
from stage.bench import lines
from stage.bench.air import figure
from stage.bench.air.gaps import gaps
from stage.bench.air.probe import Arrivals, ProbeSink
from stage.bench.figures import Figure
from stage.bench.processes import apart
from stage.config import SIZES, Show, SinkTable, Video
from voice.speech import Samples

SHOW_S = 90.0
"""The show with the model working goes on so long."""
ALONE_S = 12.0
"""A size and rate is drawn so long, without a model."""
WARM_S = 2.0
"""The beginning, which is not counted."""
CASES: tuple[tuple[str, int], ...] = (
    ("720p", 24), ("720p", 25), ("720p", 30), ("720p", 50), ("720p", 60), ("1080p", 30),
    ("1080p", 60), ("1440p", 30), ("portrait", 30), ("portrait", 60),
)  # fmt: skip
HOSTILE_S = 12.0
"""A show with a broken sink goes on so long."""
_FPS = 30


# With the model working --------------------------------------------------------------------------


def pace() -> list[Figure]:
    """Frames at the sink and in the film at 720p30, model and voice working."""
    with tempfile.TemporaryDirectory(prefix="bunraku-pace-") as folder:
        zero_ns, pulse = apart(_run_show, Path(folder))
        seen = _counted(np.load(Path(folder) / "probe.npy"), _FPS, zero_ns)
        film = gaps(Path(folder) / "pace.mp4", _FPS)
    how = f"{SHOW_S:.0f} s of chat at 720p30, default model and voices, a film being encoded"
    worst = np.abs(seen.steps_ms - 1e3 / _FPS)
    return [
        figure(
            "pictures late or lost at a sink, model working", seen.bad, "%", "<= 0.1",
            f"{seen}; {how}", cell=("probe", "late"),
        ),
        figure(
            "jitter of their arrival, median", float(np.median(worst)), "ms", "report",
            f"interval against 33.3 ms; {how}",
        ),
        figure(
            "jitter of their arrival, 99th percentile", float(np.percentile(worst, 99)), "ms",
            "report", f"they are drawn up to 33 ms before their time; {how}",
        ),
        figure(
            "pictures missing in the film", 100 * film.lost / max(1, film.frames + film.lost), "%",
            "<= 0.1", f"{film.lost} of {film.frames + film.lost} by its own times, longest "
            f"interval {film.longest_ms:.0f} ms, {film.sound_gaps} gaps in its sound; {how}",
            cell=("mp4", "late"),
        ),
        figure(
            "the body's own count of late or dropped", 100 * pulse[0] / max(1, pulse[1]), "%",
            "report", f"begun more than half a frame after their time, or never; {how}",
        ),
    ]  # fmt: skip


def _counted(rows: Any, fps: int, zero_ns: int) -> Arrivals:
    """Return a probe's arrivals without those of the first seconds."""
    from_pts = rows[0, 0] + round(WARM_S * TICKS_PER_S) if len(rows) else 0
    return Arrivals(rows[rows[:, 0] >= from_pts], fps, zero_ns)


def _run_show(connection: Connection, folder: Path) -> None:
    """Run a show with two sinks and send when its clock was at 0, and its counters."""
    from stage.house import House

    show = Show(
        sinks={
            "film": SinkTable("file", {"path": str(folder / "pace.mp4")}),
            "probe": SinkTable(
                "stage.bench.air.probe:ProbeSink", {"path": str(folder / "probe.npy")}
            ),
        }
    )
    first: list[wire.Pulse] = []
    last: list[wire.Pulse] = []

    def watch(message: Any) -> None:
        if isinstance(message, wire.Pulse):
            (last if first else first).append(message)
            del last[:-1]

    async def run() -> None:
        house = House(show, title="bench", theme={}, watch=watch, page=False)
        await house.start()
        try:
            await asyncio.wait_for(house.ready("body"), 60)
            await asyncio.wait_for(house.ready("mind"), 300)
            begun = time.monotonic()
            for author, text in itertools.cycle(lines.CHAT):
                if time.monotonic() - begun > SHOW_S:
                    break
                _, done = house.line(text, author=author, source="bench")
                await asyncio.wait((done,), timeout=90)
        finally:
            await house.close()

    asyncio.run(run())
    pulse = last[-1]
    zero_ns = first[0].monotonic_ns - first[0].pts * 1_000_000_000 // TICKS_PER_S
    bad = pulse.late + pulse.dropped
    connection.send((zero_ns, (bad, pulse.frames + pulse.dropped)))


# Sizes and rates ---------------------------------------------------------------------------------


def rates() -> list[Figure]:
    """Frames at a sink at each size and rate, the body alone, the host talking."""
    found = []
    for size, fps in CASES:
        with tempfile.TemporaryDirectory(prefix="bunraku-pace-") as folder:
            probe = Path(folder) / "probe.npy"
            zero_ns, level, draw_ms = apart(_run_body, size, fps, probe)
            seen = _counted(np.load(probe), fps, zero_ns)
        drawn = f"at the end {level}" if level else "in full"
        found.append(
            figure(
                f"pictures late or lost at {size} {fps} fps", seen.bad, "%", "report",
                f"{ALONE_S:.0f} s of a talking host, no model, no encoder, drawn {drawn}, "
                f"{draw_ms:.1f} ms a picture; {seen}",
            )
        )  # fmt: skip
    return found


def _run_body(connection: Connection, size: str, fps: int, probe: Path) -> None:
    """Draw a babbling host in real time; send when its clock was at 0, level, and drawing time."""
    from render.air import Air
    from render.clock import MonotonicClock
    from render.pacing import Pacer
    from stage.babble import babble
    from stage.body import AHEAD, make_body

    width, height = SIZES[size]
    show = Show(video=Video(width=width, height=height, fps=fps))
    air = Air(width=width, height=height, fps=fps)
    body = make_body(show, air, lambda message: None)
    air.add("probe", lambda: ProbeSink(path=probe))
    body.rehearse()
    clock = MonotonicClock()
    zero_ns = time.monotonic_ns() - clock.now() * 1_000_000_000 // TICKS_PER_S
    pacer = Pacer(clock, fps, ahead=AHEAD)
    body.start_at(pacer.peek())
    utterance, said, missed = 0, -1, 0
    while (pts := pacer.next()) < ALONE_S * TICKS_PER_S:
        if pts >= said:
            spans, sound = babble(utterance)
            body.receive(_say(utterance, spans, sound), pts)
            utterance, said = utterance + 1, pts + len(sound) + TICKS_PER_S // 2
        begun = clock.now()
        body.step(pts, begun)
        body.adapt(clock.now() - begun, pacer.late + pacer.dropped - missed)
        missed = pacer.late + pacer.dropped
    air.close()
    drawn = sorted(body.draw_ms)
    connection.send((zero_ns, str(body.painter.level), drawn[len(drawn) // 2]))


def _say(utterance: int, spans: Any, sound: Samples) -> wire.Say:
    return wire.Say(
        turn=1, utterance=utterance, start=0, samples=sound.tobytes(),
        phonemes=tuple((s.phoneme, s.start, s.stop, s.stress, s.estimated) for s in spans),
        text="babble", final=True, last=True,
    )  # fmt: skip


# Broken sinks ------------------------------------------------------------------------------------


class _Hostile:
    """A sink that goes wrong in mid-show; `wrong` is called for each picture from then on."""

    needs: ClassVar[Mapping[str, str]] = {}
    watched = True

    def __init__(self, wrong: Callable[[], None], after: Ticks) -> None:
        self._wrong, self._after = wrong, after

    def open(self, *, width: int, height: int, fps: int) -> None:
        pass

    def video(self, frame: VideoFrame) -> None:
        if frame.pts >= self._after:
            self._wrong()

    def audio(self, pts: Ticks, samples: Samples) -> None:
        pass

    def close(self) -> None:
        pass


def hostile() -> list[Figure]:
    """Frames that the others lose when a sink is killed, blocked or unplugged in mid-show."""
    found = []
    for kind in ("killed", "blocked", "unplugged"):
        with tempfile.TemporaryDirectory(prefix="bunraku-pace-") as folder:
            probe, film = Path(folder) / "probe.npy", Path(folder) / "film.mp4"
            state, dropped = apart(_run_hostile, kind, probe, film)
            seen = Arrivals(np.load(probe), _FPS, 0)
            gone = gaps(film, _FPS)
        found.append(
            figure(
                f"a sink is {kind}: pictures lost by the others",
                float(seen.lost + gone.lost + dropped), "", "<= 0",
                f"{HOSTILE_S:.0f} s at 720p30, it happens after a third; {seen.lost} lost at a "
                f"probe, {gone.lost} in a film, {dropped} dropped on the way; then it was {state}",
                cell=("probe", "others"),
            )
        )  # fmt: skip
    return found


def _run_hostile(connection: Connection, kind: str, probe: Path, film: Path) -> None:
    """Send pictures to three sinks, one of which goes wrong; send its state, and drops."""
    from render.air import Air
    from render.clock import MonotonicClock
    from render.pacing import Pacer
    from render.sinks.file import FileSink

    width, height = SIZES["720p"]
    air = Air(width=width, height=height, fps=_FPS)
    let_go = threading.Event()
    half: Ticks = round(HOSTILE_S * TICKS_PER_S / 3)
    broken: list[bool] = []

    def wrong() -> None:
        broken.append(True)
        if kind == "blocked":
            let_go.wait()
        if kind == "killed":
            raise RuntimeError("killed")
        raise OSError(19, "no such device")

    def make() -> _Hostile:
        if kind == "unplugged" and broken:
            raise OSError(19, "no such device")
        return _Hostile(wrong, half)

    air.add("probe", lambda: ProbeSink(path=probe))
    air.add("film", lambda: FileSink(path=film))
    air.add("hostile", make)
    while any(status.state == "opening" for status in air.status()):
        time.sleep(0.01)
    step = TICKS_PER_S // _FPS
    pacer = Pacer(MonotonicClock(), _FPS)
    begun = pacer.peek()
    for index in range(round(HOSTILE_S * _FPS)):
        pacer.next()
        pts = begun + index * step
        pixels, i420 = air.blank()
        pixels[:] = (index * 3) % 256
        i420[:] = (index * 3) % 200 + 20
        air.audio(pts, np.zeros(step, np.float32))
        air.video(VideoFrame(pts, index, pixels, i420))
    known = {status.name: status for status in air.status()}
    let_go.set()
    air.close()
    state = known["hostile"]
    connection.send(
        (f"{state.state} ({state.error})", known["probe"].dropped + known["film"].dropped)
    )


PARTS: dict[str, tuple[str, Callable[[], list[Figure]]]] = {
    "pace": ("frames at a sink and in the film, model working", pace),
    "rates": ("frames at a sink at each size and rate", rates),
    "hostile": ("a sink killed, blocked, unplugged: what the others lose", hostile),
}
