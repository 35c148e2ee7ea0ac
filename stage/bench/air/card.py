"""A sound card that is not there, on virtual time: its clock is off, its times jitter.

The product's own player (`render.sinks.device.Player`) and, where the card is the master, its own
clock (`render.clock`) are driven through hours in a minute. What is measured is what came out: two
tones that say which stage tick each sample is of, to a hundredth of a millisecond.
"""

import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S, Ticks
from render.clock import DeviceClock, Follower
from render.pacing import Lateness, Lead
from render.sinks.device import Player
from stage.body import AHEAD, AUDIO_LEAD
from voice.speech import Samples

FINE_HZ, COARSE_HZ = 1000, 10
"""The tones: the first says where it is within a millisecond, the second within 100."""
LEVEL = 0.2
WINDOW: Ticks = TICKS_PER_S // 10
"""The tones are looked at for so long at a time."""
FPS = 30
STEP: Ticks = TICKS_PER_S // FPS
LATENCY: Ticks = 15 * TICKS_PER_MS
"""From the callback to the loudspeaker."""
DRAWN: Ticks = 12 * TICKS_PER_MS
"""A picture leaves so long after it was begun."""

_OWN = LEVEL * sum((2 * np.pi * hz / TICKS_PER_S) ** 2 for hz in (FINE_HZ, COARSE_HZ))
"""The tones' own greatest change of slope."""

Curve = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Run:
    """What came out of a card."""

    at_s: Curve
    """When, one value for each window with sound."""
    offset_ms: Curve
    """How early the sound was against its picture."""
    cents: Curve
    """How much too high it was; one second at a time, breaks left out."""
    jolt: float
    """The greatest change of slope in it, in units of the tones' own: a click is 10 and more."""
    underruns: int
    """As the player counted."""
    drift_ppm: float
    """What the player made of the card's clock in the end; 0 where the show follows it."""


def run(
    *,
    ppm: float,
    seconds: float,
    master: bool = False,
    block: int = 1024,
    jitter_ms: float = 2.0,
    stall_every_s: float = 0.0,
    stall_ms: float = 150.0,
    seed: int = 1,
) -> Run:
    """Play two tones for `seconds` on a card.

    Args:
        ppm: how much faster than our clock the card is.
        seconds: of our clock.
        master: the show follows the card.
        block: samples that the card asks for at once.
        jitter_ms: the card's times, and the pictures', are off by up to so much.
        stall_every_s: the body hangs this often; 0 for never.
        stall_ms: for so long.
        seed: of the jitter.
    """
    now_ns = [0]
    clock = DeviceClock(lambda: now_ns[0])
    follower = Follower(clock)
    player, pictures = Player(), Lateness()
    player.master = master
    chance = random.Random(seed)
    ear, lead = _Ear(), Lead(AUDIO_LEAD)
    shown: list[tuple[float, Ticks]] = []  # seconds, pts
    rate = TICKS_PER_S * (1.0 + ppm * 1e-6)
    asked, frame, mixed = 0, 0, 0
    stalled_until = 0.0
    next_stall = stall_every_s or float("inf")
    anchor: tuple[Ticks, int] | None = None

    def wall(pts: Ticks) -> float:
        """Return about when the clock will say `pts`."""
        return now_ns[0] / 1e9 + (pts - clock.now()) / TICKS_PER_S

    next_frame = 0.0
    while True:
        next_card = asked / rate
        if next_card < next_frame:
            if next_card > seconds:
                break
            now_ns[0] = max(now_ns[0], round(next_card * 1e9))
            true_ns = round((next_card + LATENCY / TICKS_PER_S) * 1e9)
            heard_ns = true_ns + round(chance.uniform(-jitter_ms, jitter_ms) * 1e6)
            late = None
            if pictures.ns is not None and pictures.settled:
                late = (heard_ns - pictures.ns) * (TICKS_PER_S / 1e9) - player.pts
            out = np.empty(block, np.float32)
            player.read(out, late)
            ear.hear(out)
            asked += block
            after_ns = heard_ns + round(block / TICKS_PER_S * 1e9)
            anchor = (round(player.pts), after_ns) if player.playing else None
            continue
        now_ns[0] = max(now_ns[0], round(next_frame * 1e9))
        if next_frame > next_stall:
            stalled_until = next_frame + stall_ms / 1e3
            next_stall += stall_every_s
        if next_frame < stalled_until:
            next_frame = stalled_until
            continue
        pts = frame * STEP
        lead.note(pts, player.short)
        until = max(mixed, pts + STEP + lead.ticks)
        player.write(mixed, tones(mixed, until - mixed))
        mixed = until
        left_s = next_frame + (DRAWN / TICKS_PER_MS + chance.uniform(0, jitter_ms)) / 1e3
        pictures.note(pts, round(left_s * 1e9))
        shown.append((left_s, pts))
        if master:
            now_ns[0] = round(left_s * 1e9)
            follower.note(pts)
            if anchor is not None:
                follower.anchor(anchor)
        frame += 1
        due = frame * STEP - AHEAD
        next_frame = max(wall(due) if master else due / TICKS_PER_S, left_s)
    return ear.report(rate, shown, player)


def tones(pts: Ticks, n: int) -> Samples:
    """Return what the show sounds like from `pts` on."""
    first = pts % TICKS_PER_S
    if first + n <= len(_PERIOD):
        return _PERIOD[first : first + n]
    return np.concatenate([tones(at, min(STEP, pts + n - at)) for at in range(pts, pts + n, STEP)])


def _period() -> Samples:
    at = np.arange(TICKS_PER_S + 8 * STEP)
    fine, coarse = (np.sin(2 * np.pi * hz / TICKS_PER_S * at) for hz in (FINE_HZ, COARSE_HZ))
    sound: Samples = (LEVEL * (fine + coarse)).astype(np.float32)
    return sound


_PERIOD = _period()
"""A second of the tones, which is a whole number of both, and a little of the next."""
_TURNS: npt.NDArray[np.float32] = np.stack(
    [
        wave(2 * np.pi * hz / TICKS_PER_S * np.arange(WINDOW)) * 2 / WINDOW
        for hz in (FINE_HZ, COARSE_HZ)
        for wave in (np.cos, np.sin)
    ],
    axis=1,
).astype(np.float32)


class _Ear:
    """Listens to what the card plays."""

    def __init__(self) -> None:
        self._blocks: list[Samples] = []
        self._held = 0
        self._last = np.zeros(2, np.float32)
        self._tones: list[npt.NDArray[np.complex64]] = []
        self._jolt = 0.0

    def hear(self, out: Samples) -> None:
        self._blocks.append(out)
        self._held += len(out)
        if self._held >= 40 * WINDOW:
            self._listen()

    def _listen(self) -> None:
        sound = np.concatenate(self._blocks)
        n = len(sound) // WINDOW * WINDOW
        self._blocks, self._held = [sound[n:]], len(sound) - n
        near = np.concatenate((self._last, sound[:n]))
        self._jolt = max(self._jolt, float(np.abs(near[2:] - 2 * near[1:-1] + near[:-2]).max()))
        self._last = sound[n - 2 : n]
        parts = sound[:n].reshape(-1, WINDOW) @ _TURNS
        self._tones.append(parts[:, 0::2] - 1j * parts[:, 1::2])

    def report(self, rate: float, shown: list[tuple[float, Ticks]], player: Player) -> Run:
        found = np.concatenate(self._tones)
        middle = (np.arange(len(found)) + 0.5) * WINDOW
        heard_s = middle / rate + LATENCY / TICKS_PER_S
        loud = np.abs(found[:, 0]) > 0.99 * LEVEL
        times, ticks = np.array(shown).T
        sure = np.convolve(loud, np.ones(3), "same") > 2  # a break may end inside a window
        inside = sure & (heard_s > times[_AROUND]) & (heard_s < times[-_AROUND])
        # When pictures leave jitters; what counts is when they usually do.
        usual = np.interp(heard_s, times, _usual(times - ticks / TICKS_PER_S))
        picture = (heard_s - usual) * TICKS_PER_S
        pts = np.where(loud, _pts(found, picture), np.nan)
        offset_ms = (pts - picture)[inside] / TICKS_PER_MS
        step = 10  # windows: one second
        whole = np.convolve(sure, np.ones(step + 1), "valid") > step
        pace = (pts[step:] - pts[:-step]) / (heard_s[step:] - heard_s[:-step]) / TICKS_PER_S
        return Run(
            at_s=heard_s[inside], offset_ms=offset_ms, cents=1200 * np.log2(pace[whole]),
            jolt=self._jolt / _OWN, underruns=player.underruns,
            drift_ppm=-1e6 * player.lock.drift,
        )  # fmt: skip


_AROUND = 31
"""Pictures: the usual is the median of so many."""


def _usual(late_s: Curve) -> Curve:
    """Return the running median of when pictures leave after their pts."""
    half = _AROUND // 2
    padded = np.pad(late_s, half, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _AROUND)
    parts = [np.median(part, axis=1) for part in np.array_split(windows, len(windows) // 5000 + 1)]
    return np.concatenate(parts)


def _pts(found: npt.NDArray[np.complex64], picture: Curve) -> Curve:
    """Return which stage tick is heard in the middle of each window, from the tones' phases.

    Args:
        found: the tones in each window.
        picture: which tick is seen then; the sound is within half a coarse period of it.
    """
    fine, coarse = TICKS_PER_S / FINE_HZ, TICKS_PER_S / COARSE_HZ
    turned = np.angle(found * 1j) / (2 * np.pi)  # 0 where the tone is a sine from 0
    near = picture + np.mod(turned[:, 1] * coarse + WINDOW / 2 - picture + coarse / 2, coarse)
    near -= coarse / 2
    exact = turned[:, 0] * fine + WINDOW / 2
    pts: Curve = exact + np.round((near - exact) / fine) * fine
    return pts
