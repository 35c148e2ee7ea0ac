"""The A/V offset of a finished film, measured from the outside: its own pixels against its sound.

Nothing of ours is asked: the film is decoded, the sound's onsets are found by its loudness, and
each is compared with the instant at which the picture of the mouth has changed half-way, after the
head's own motion was taken out of it. Positive is sound early. A frame lasts 33 ms; the instant
between two frames comes from the mouth's curve, interpolated. Where a mouth jumps from shut to open
between two frames, the instant is known to half a frame either way, without bias; where it opens
over several frames, to a few milliseconds.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

RATE_HZ = 48_000
HOP_S = 0.001
"""Step of the loudness curve."""
QUIET_S = 0.15
"""Silence before a sound that counts as an onset, and after one that counts as an end."""
BEFORE_S, AFTER_S = 0.25, 0.30
"""The mouth is looked for this long before and after an onset."""
MOVED = 4.0
"""A change of less than this many grey levels (mean over the box) is no movement: what is left of a
head's own is about 3, the smallest "ooh" 5.6."""
EDGE = 12
"""A 12th of the box at each side is not compared: there a moving head brings other things in."""
STEADY = 50
"""Most steps in which a picture is laid onto the resting one."""
STEADY_BY = 1e-4
"""It lies well enough when a step betters their correlation by less than this."""
GAP_S = 0.002
"""Sound whose own times jump by more than this is not measured."""
SMALL_PX = 48
"""The box is shrunk to this before it is compared: an hour of film takes 250 MB."""

Curve = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moment:
    """A sound that begins or ends, and the mouth that goes with it."""

    kind: str
    """"opening" or "closure"."""
    sound_s: float
    """When the sound begins or ends, in film time."""
    mouth_s: float
    """When the mouth is half-way."""

    @property
    def offset_ms(self) -> float:
        """How much the sound is early."""
        return (self.mouth_s - self.sound_s) * 1e3


@dataclass(frozen=True, slots=True)
class Offsets:
    """The offset of a film; positive is sound early."""

    median_ms: float
    """Of the openings."""
    p99_ms: float
    """99 % of the openings are off by less than this, either way."""
    n: int
    """Openings measured."""
    missed: int
    """Onsets without a movement of the mouth near them."""
    closing_ms: float
    """Median of the closures; NaN where there are none."""
    moments: tuple[Moment, ...]
    """All of them, in order of time."""


class OffsetError(ValueError):
    """The film cannot be measured; one line says why."""


def measure(path: Path, mouth_box: tuple[int, int, int, int]) -> Offsets:
    """Return the A/V offset of the film at `path`.

    Args:
        path: a film with picture and sound.
        mouth_box: x, y, width, height of the mouth's surroundings, in pixels.

    Raises:
        OffsetError: there is no such film, the box is outside the picture, or no sound in it
            begins after a silence with a movement of the mouth.
    """
    sound, sound_s = _sound(path)
    times, pictures = mouths(path, mouth_box)
    try:
        return compare(sound, sound_s, times, pictures)
    except OffsetError as error:
        raise OffsetError(f"{path}, mouth's box {mouth_box}: {error}") from None


def compare(
    sound: npt.NDArray[np.float32], sound_s: float, times: Curve, pictures: npt.NDArray[np.uint8]
) -> Offsets:
    """Return the offset between sound and pictures that were had in any way.

    Args:
        sound: mono at 48 kHz.
        sound_s: when its first sample is heard, on the clock of `times`.
        times: when each picture is seen.
        pictures: the mouth's surroundings, as of `mouths`.

    Raises:
        OffsetError: no sound begins after a silence with a movement of the mouth.
    """
    onsets, ends = edges(sound)
    moments, missed = [], 0
    for onset in onsets:
        mouth = change(times, pictures, onset + sound_s, opening=True)
        if mouth is None:
            missed += 1
        else:
            moments.append(Moment("opening", onset + sound_s, mouth))
    for end in ends:
        mouth = change(times, pictures, end + sound_s, opening=False)
        if mouth is not None:
            moments.append(Moment("closure", end + sound_s, mouth))
    opened = np.array([m.offset_ms for m in moments if m.kind == "opening"])
    closed = np.array([m.offset_ms for m in moments if m.kind == "closure"])
    if not len(opened):
        raise OffsetError(
            f"no sound begins with a movement ({len(onsets)} onsets of sound were found)"
        )
    return Offsets(
        median_ms=float(np.median(opened)),
        p99_ms=float(np.percentile(np.abs(opened), 99)),
        n=len(opened),
        missed=missed,
        closing_ms=float(np.median(closed)) if len(closed) else float("nan"),
        moments=tuple(sorted(moments, key=lambda m: m.sound_s)),
    )


def edges(sound: npt.NDArray[np.float32]) -> tuple[list[float], list[float]]:
    """Return when sounds begin after, and end before, 150 ms of silence, in seconds.

    Silence is 30 dB below the loud parts (the 95th percentile of those above -60 dBFS).
    """
    hop = round(RATE_HZ * HOP_S)
    n = len(sound) // hop
    power = np.mean(np.square(sound[: n * hop], dtype=np.float64).reshape(n, hop), axis=1)
    level = np.sqrt(np.convolve(power, np.ones(3) / 3, "same"))
    audible = level[level > 1e-3]
    if not len(audible):
        return [], []
    loud = level > np.percentile(audible, 95) * 10 ** (-30 / 20)
    quiet = round(QUIET_S / HOP_S)
    at = np.flatnonzero(loud)
    gaps = np.diff(at) > quiet
    starts = at[np.r_[at[0] > quiet, gaps]]
    stops = at[np.r_[gaps, n - at[-1] > quiet]] + 1
    return [_edge(sound, s, hop, 1) for s in starts], [_edge(sound, s, hop, -1) for s in stops]


def _edge(sound: npt.NDArray[np.float32], index: int, hop: int, way: int) -> float:
    """Refine an edge at hop `index` to the first (last) sample of the sound around it."""
    low, high = max(0, (index - 2) * hop), min(len(sound), (index + 2) * hop)
    near = np.abs(sound[low:high])
    heard = np.flatnonzero(near > near.max() * 0.1)
    return float(low + (heard[0] if way > 0 else heard[-1] + 1)) / RATE_HZ


def change(
    times: Curve, pictures: npt.NDArray[np.uint8], at_s: float, *, opening: bool
) -> float | None:
    """Return when the mouth is half-way between shut and open around `at_s`; None if it rests.

    `times` are of the `pictures` of the mouth's surroundings, shape (n, height, width). Shut is
    what the mouth looks like before an onset (after an end). A head that moves or tilts meanwhile
    is no mouth that opens: each picture is laid onto the resting one first.
    """
    window = np.flatnonzero((times > at_s - BEFORE_S - 0.1) & (times < at_s + AFTER_S + 0.1))
    if len(window) < 6:
        return None
    when, shown = times[window], pictures[window].astype(np.float32)
    if opening:
        resting = when < at_s - BEFORE_S + 0.1
        searched = (when > at_s - BEFORE_S) & (when < at_s + AFTER_S)
    else:
        resting = when > at_s + AFTER_S - 0.1
        searched = (when > at_s - BEFORE_S) & (when < at_s + AFTER_S)
    if resting.sum() < 2 or searched.sum() < 4:
        return None
    shut = np.median(shown[resting], axis=0)
    moved = _moved(shown, shut)
    rest = float(np.median(moved[resting]))
    most = float(moved[searched].max())
    if most - rest < MOVED:
        return None
    half = rest + (most - rest) / 2
    at = np.flatnonzero(searched)
    order = at if opening else at[::-1]
    for i in order:
        j = i - 1 if opening else i + 1
        if not 0 <= j < len(moved):
            continue
        if moved[i] >= half > moved[j]:
            share = (half - moved[j]) / (moved[i] - moved[j])
            return float(when[j] + share * (when[i] - when[j]))
    return None


def _moved(shown: npt.NDArray[np.float32], shut: npt.NDArray[np.float32]) -> Curve:
    """Return by how many grey levels each of `shown` differs from `shut` wherever the head is.

    Shapes (n, height, width) and (height, width). Where a picture cannot be laid onto the resting
    one, or is no more like it then, it is compared as it is.
    """
    import cv2

    height, width = shut.shape
    inside = (
        slice(height // EDGE, height - height // EDGE),
        slice(width // EDGE, width - width // EDGE),
    )
    until = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, STEADY, STEADY_BY)
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    lie = np.eye(2, 3, dtype=np.float32)
    moved = []
    for picture in shown:
        least = float(np.abs(picture - shut)[inside].mean())
        try:  # from where the picture before lay: a head moves little in a frame
            _, lie = cv2.findTransformECC(
                shut, picture, lie.copy(), cv2.MOTION_EUCLIDEAN, until, None, 3
            )
        except cv2.error:  # nothing in the box to hold on to, or too little alike
            lie = np.eye(2, 3, dtype=np.float32)
        else:
            steady = cv2.warpAffine(
                picture, lie, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE
            )
            least = min(least, float(np.abs(steady - shut)[inside].mean()))
        moved.append(least)
    return np.array(moved)


def _sound(path: Path) -> tuple[npt.NDArray[np.float32], float]:
    """Return the film's sound as mono at 48 kHz and the film time of its first sample."""
    blocks: list[npt.NDArray[np.float32]] = []
    first_s: float | None = None
    due_s = 0.0
    with _open(path) as film:
        import av

        if not film.streams.audio:
            raise OffsetError(f"{path}: the film has no sound")
        mono: Any = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
        for frame in film.decode(audio=0):
            at_s = float(frame.pts * frame.time_base)
            if first_s is None:
                first_s = due_s = at_s
            if abs(at_s - due_s) > GAP_S:
                raise OffsetError(f"{path}: the sound has a gap at {due_s:.3f} s")
            due_s = at_s + frame.samples / frame.sample_rate
            blocks += [block.to_ndarray()[0] for block in mono.resample(frame)]
        blocks += [block.to_ndarray()[0] for block in mono.resample(None)]
    if first_s is None:
        raise OffsetError(f"{path}: the film has no sound")
    return np.concatenate(blocks), first_s


def mouths(path: Path, box: tuple[int, int, int, int]) -> tuple[Curve, npt.NDArray[np.uint8]]:
    """Return the film times of all pictures and the brightness inside `box` of each, small."""
    import cv2

    x, y, width, height = box
    if width < 1 or height < 1:
        raise OffsetError(f"the mouth's box {box} is empty")
    times, boxes = [], []
    with _open(path) as film:
        if not film.streams.video:
            raise OffsetError(f"{path}: the film has no picture")
        film.streams.video[0].thread_type = "AUTO"
        for frame in film.decode(video=0):
            if not (0 <= x and 0 <= y and x + width <= frame.width and y + height <= frame.height):
                raise OffsetError(
                    f"{path}: the box {box} is outside its {frame.width} x {frame.height} pixels"
                )
            grey = np.frombuffer(frame.planes[0], np.uint8)
            grey = grey.reshape(-1, frame.planes[0].line_size)[y : y + height, x : x + width]
            times.append(float(frame.pts * frame.time_base))
            small = (min(width, SMALL_PX), min(height, SMALL_PX))
            boxes.append(cv2.resize(grey, small, interpolation=cv2.INTER_AREA))
    if not boxes:
        raise OffsetError(f"{path}: the film has no picture")
    return np.array(times), np.stack(boxes)


def _open(path: Path) -> Any:
    import av

    try:
        return av.open(str(path))
    except (OSError, av.FFmpegError) as error:
        raise OffsetError(f"{path}: cannot be read as a film ({error})") from None
