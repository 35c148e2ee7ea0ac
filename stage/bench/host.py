"""The hosts' figures: what a picture costs, how far anything jumps, how mouths are told apart."""

import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt

from avatar.motions import read_motions
from avatar.performer import Performer
from avatar.pose import VISEMES, ParameterTable, Pose
from avatar.puppet.puppet import Puppet
from dialogue.character import load_character
from dialogue.ticks import TICKS_PER_S, Ticks, from_s
from render.frames import Pixels
from render.puppet import PuppetRenderer
from stage import engines, folders, looking
from stage.babble import babble
from stage.bench import lines
from stage.bench.figures import Figure
from stage.bench.hearing import heard
from stage.config import Show

FPS = 30
FRAME = TICKS_PER_S // FPS
FRAMES = 300
"""Pictures that are timed at each size."""
NAIVE_FRAMES = 60
SIZES = ((1280, 720, 9.0), (1920, 1080, 18.0))
"""Width, height and the median's target in milliseconds."""
P95 = 1.5
"""The 95th percentile may be so many times the median's target."""
VOICE_LINES = 10
"""Lines a language that each host says to the recogniser."""
JUMP_MINUTES = 10
JUMP_BOUND = 10.0
"""Percent of the picture's height that anything but lids, irises and lips may move in a 30th of
a second, where it is in the picture. A waving hand reaches about 3 m/s, and the picture shows about
a metre: a tenth of it."""


def _figure(name: str, value: float | None, unit: str, target: str, how: str) -> Figure:
    return Figure("host", name, value, unit, target, how)


def _performer(folder: Path, seed: int) -> Performer:
    return Performer(
        ParameterTable(), seed=seed, motions=folder / "motions",
        temperament=load_character(folder).temperament,
    )  # fmt: skip


class _Busy:
    """A host who talks without end and is told something else to do all the time."""

    def __init__(self, folder: Path, seed: int, every_s: tuple[float, float]) -> None:
        self._performer = _performer(folder, seed)
        motions = read_motions(folder / "motions", ParameterTable())
        self._cues = [*motions.expressions, *motions.gestures]
        self._random = Random(seed)
        self._every_s = every_s
        self._turn = 0
        self._talk_at: Ticks = 0
        self._cue_at: Ticks = from_s(0.5)

    def pose(self, pts: Ticks) -> Pose:
        """Return the pose at `pts`; ask in order of time."""
        draw, told = self._random, self._performer
        if pts >= self._talk_at:
            self._turn += 1
            spans, sound = babble(self._turn)
            told.state("speaking", pts)
            told.speech(self._turn, 0, pts, spans, sound, 0, complete=True)
            self._talk_at = pts + spans[-1].stop + from_s(draw.uniform(0.2, 1.5))
        if pts >= self._cue_at:
            told.cue(draw.choice(self._cues), pts)
            kind = draw.random()
            if kind < 0.15:
                told.cancel(pts)
                self._talk_at = pts + from_s(draw.uniform(0.3, 1.5))
            elif kind < 0.3:
                told.attend(draw.choice(("camera", "chat", "aside", "away")), pts, 1.5)
            elif kind < 0.4:
                told.state(draw.choice(("idle", "listening", "thinking", "speaking")), pts)
            self._cue_at = pts + from_s(draw.uniform(*self._every_s))
        return told.pose(pts)


def frames() -> list[Figure]:
    """Time to draw a picture of each host in their scene, speaking and gesturing."""
    figures = []
    for name in folders.names():
        folder = folders.character(name)
        scene = load_character(folder).scene
        for width, height, target in SIZES:
            renderer = PuppetRenderer(folder, width=width, height=height, scene=scene)
            busy = _Busy(folder, 3, (0.8, 2.0))
            out: Pixels = np.zeros((height, width, 4), np.uint8)
            took = []
            for k in range(FRAMES):
                pose = busy.pose(k * FRAME)
                begun = time.perf_counter()
                renderer.draw(pose, out)
                took.append((time.perf_counter() - begun) * 1e3)
            median, late = float(np.median(took)), float(np.percentile(took, 95))
            how = f"{FRAMES} pictures, speaking and gesturing, scene {scene}, one thread"
            label = f"drawing {name} at {height}p"
            figures += [
                _figure(f"{label}, median", median, "ms", f"<= {target:g}", how),
                _figure(f"{label}, 95th percentile", late, "ms", f"<= {target * P95:g}", how),
            ]
    return figures


def redraw_ms(folder: Path, scene: str, pose_at: Callable[[Ticks], Pose]) -> tuple[float, float]:
    """Return the median milliseconds of drawing as we do, and of drawing every path anew.

    Args:
        folder: the character's.
        scene: behind them.
        pose_at: the pose at a time; asked in order. Both ways draw each, one after the other.
    """
    took: dict[bool, list[float]] = {False: [], True: []}
    drawers = {
        exact: PuppetRenderer(folder, width=1280, height=720, scene=scene, exact=exact)
        for exact in took
    }
    out: Pixels = np.zeros((720, 1280, 4), np.uint8)
    for k in range(NAIVE_FRAMES):
        pose = pose_at(k * FRAME)
        for exact, drawer in drawers.items():
            begun = time.thread_time()
            drawer.draw(pose, out)
            took[exact].append((time.thread_time() - begun) * 1e3)
    return float(np.median(took[False])), float(np.median(took[True]))


def against_naive() -> list[Figure]:
    """The same pictures against a redraw of every path: does not depend on the machine's speed."""
    figures = []
    for name in folders.names():
        folder = folders.character(name)
        fast, naive = redraw_ms(
            folder, load_character(folder).scene, _Busy(folder, 3, (0.8, 2.0)).pose
        )
        figures.append(
            _figure(
                f"drawing {name} at 720p, against redrawing every path", fast / naive, "",
                "<= 0.28",
                f"{NAIVE_FRAMES} pictures, one after the other: {fast:.1f} of {naive:.1f} ms; the "
                "target is 9 of 32 ms, the figures of the machine the targets came from",
            )
        )  # fmt: skip
    return figures


def jumps() -> list[Figure]:
    """The largest step of any control point in ten minutes of random cues and interruptions."""
    figures = []
    for name in folders.names():
        folder = folders.character(name)
        puppet = Puppet(folder)
        middle, top, view = puppet.spec.frame.wide
        low = np.array([middle - view * 8 / 9, top], np.float32)
        high = np.array([middle + view * 8 / 9, top + view], np.float32)
        # The meshes of the layers that bend; lids, irises, brows and lips may be quicker.
        bent = [layer for layer in puppet.layers if not layer.spec.live]
        calm = np.r_[tuple(layer.lattice for layer in bent)]
        counts = [layer.lattice.stop - layer.lattice.start for layer in bent]
        busy = _Busy(folder, 11, (0.3, 2.5))
        worst, when = 0.0, 0
        before: npt.NDArray[np.float32] | None = None
        for k in range(JUMP_MINUTES * 60 * FPS):
            puppet.move(busy.pose(k * FRAME))
            now = puppet.mesh[calm]
            fades = puppet.fades()
            shown = np.repeat([fades.get(layer.spec.name, 1.0) > 0 for layer in bent], counts)
            if before is not None:
                step = _step(now[shown], before[shown], low, high)
                if step > worst:
                    worst, when = step, k
            before = now
        figures.append(
            _figure(
                f"{name}: largest jump of a point between pictures",
                100 * worst / view,
                "% of height",
                f"<= {JUMP_BOUND:g}",
                f"{JUMP_MINUTES} min at {FPS} fps, a random cue every 0.3..2.5 s, a fifth of them "
                f"with an interruption; lids and lips apart; worst at {when / FPS:.1f} s",
            )
        )  # fmt: skip
    return figures


def _step(
    now: npt.NDArray[np.float32],
    before: npt.NDArray[np.float32],
    low: npt.NDArray[np.float32],
    high: npt.NDArray[np.float32],
) -> float:
    """Return the largest step of a point that is between `low` and `high` in either picture."""
    seen = ((now > low) & (now < high)).all(1) | ((before > low) & (before < high)).all(1)
    return float((np.abs(now - before).max(1) * seen).max())


def mouths() -> list[Figure]:
    """How far apart the 15 mouths are, from pixels, in a picture 360 pixels high."""
    figures = []
    for name in folders.names():
        renderer = PuppetRenderer(folders.character(name), width=640, height=360, scene="chroma")
        made = looking.mouths(looking.Look(renderer))
        apart = sorted(
            (looking.difference(made[a], made[b]), a, b)
            for i, a in enumerate(VISEMES) for b in VISEMES[:i]
            if {a, b} != {"sil", "PP"}
        )  # fmt: skip
        least, a, b = apart[0]
        figures.append(
            _figure(
                f"{name}: the two mouths most alike", least, "% of the box", ">= 2",
                f"share of pixels that differ by more than {looking.CHANGED} of 255 at 360p: "
                f"{b} and {a}; "
                f"median of all pairs {apart[len(apart) // 2][0]:.0f} %",
            )
        )  # fmt: skip
    return figures


def voices() -> list[Figure]:
    """How well the voice of each host is understood in each language, and how high it is."""
    figures = []
    for name in folders.names():
        character = load_character(folders.character(name))
        speaker = engines.make_speaker(Show(character=name), character)
        speaker.warm()
        for language in character.languages:
            texts = lines.SPOKEN[language][:VOICE_LINES]
            found = heard(speaker, language, texts)
            unit = "word" if language == "en" else "character (by sound)"
            figures.append(
                _figure(
                    f"{name}: {unit} error rate, {language}", found.wrong, "%", "report",
                    f"{len(texts)} lines, heard by Whisper base; median pitch "
                    f"{found.pitch_hz:.0f} Hz",
                )
            )  # fmt: skip
    return figures


PARTS: dict[str, tuple[str, Callable[[], list[Figure]]]] = {
    "frames": ("what a picture of each host costs", frames),
    "naive": ("the same against a redraw of every path", against_naive),
    "jumps": ("ten minutes of random cues: the largest jump", jumps),
    "mouths": ("the 15 mouths told apart", mouths),
    "voices": ("the voice of each host, heard by an independent recogniser", voices),
}
"""Part -> (description, measure)."""
