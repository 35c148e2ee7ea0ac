"""The player behind the loudspeaker, and the device that comes and goes."""

import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue.plugins import EngineError
from dialogue.ticks import TICKS_PER_MS, TICKS_PER_S, Ticks
from render.drift import AFTER
from render.frames import VideoFrame
from render.sinks import device
from render.sinks.device import FADE, FLOOR, DeviceSink, Player
from stage.bench.air import card
from voice.speech import Samples

BLOCK = 480
ENOUGH = BLOCK + AFTER + FLOOR


def ramp(n: int) -> Samples:
    return np.arange(1, n + 1, dtype=np.float32)


def fill(player: Player, late: float | None, n: int = BLOCK) -> Samples:
    out = np.full(n, np.nan, np.float32)
    player.read(out, late)
    assert not np.isnan(out).any()
    return out


def test_nothing_is_played_before_there_is_enough_and_a_picture() -> None:
    player = Player()
    player.write(0, np.ones(ENOUGH - 1, np.float32))
    assert not fill(player, 0.0).any()
    player.write(ENOUGH - 1, np.ones(1, np.float32))
    assert not fill(player, None).any()
    assert fill(player, 0.0).any()
    assert player.underruns == 0


def test_playing_begins_with_the_sample_that_is_due() -> None:
    player = Player()
    player.master = True
    player.write(7000, ramp(9600))
    assert not fill(player, -BLOCK).any()  # too early by a whole block
    out = fill(player, -100.0)
    assert not out[:100].any()
    assert player.pts == 7000 + BLOCK - 100
    for _ in range(2):
        out = fill(player, 0.0)
    np.testing.assert_array_equal(out[:100], ramp(9600)[2 * BLOCK - 100 : 2 * BLOCK])


def test_sound_that_is_late_already_is_skipped() -> None:
    player = Player()
    player.master = True
    player.write(0, ramp(ENOUGH + 3000))
    fill(player, 2000.0)
    assert player.pts == 2000 + BLOCK


def test_where_it_cannot_begin_in_time_it_asks_for_more_and_waits_for_a_while() -> None:
    player = Player()
    player.write(0, np.ones(ENOUGH, np.float32))
    assert not fill(player, 960.0).any()
    assert player.short == 960
    player.write(ENOUGH, np.ones(960, np.float32))
    assert fill(player, 960.0).any()
    stubborn = Player()
    waited = 0
    while not fill(stubborn, 960.0).any():
        stubborn.write(waited, np.ones(max(0, ENOUGH - stubborn.held), np.float32))
        waited += BLOCK
    assert waited == pytest.approx(device.PATIENCE, abs=3 * BLOCK)


def test_an_underrun_fades_out_is_counted_and_begins_anew_in_time() -> None:
    player = Player()
    level = np.full(4800, 0.5, np.float32)
    player.write(0, level)
    played = [fill(player, 0.0)]
    while player.playing:
        played.append(fill(player, 0.0))
    assert player.underruns == 1
    gap_s = 0.1
    player.write(4800, np.full(9600, 0.5, np.float32))
    played.append(fill(player, gap_s * TICKS_PER_S))
    sound = np.concatenate(played)
    assert np.abs(np.diff(sound, 2)).max() < 0.5 * (np.pi / 96) ** 2
    assert player.playing


def test_what_finds_no_room_is_counted_and_the_time_stays_right() -> None:
    player = Player(size=8000)
    player.write(0, np.zeros(7000, np.float32))
    player.write(7000, np.full(2000, 0.5, np.float32))
    assert player.refused == 9000 - player.held
    fill(player, 0.0, 4000)
    player.write(9000, np.full(100, 0.5, np.float32))
    assert player.pts + player.held == 9100


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 3000)), max_size=40))
def test_a_master_plays_every_sample_once_and_in_order(steps: list[tuple[int, int]]) -> None:
    player = Player()
    player.master = True
    sent, heard = 0, []
    for more, want in steps:
        player.write(sent, np.arange(sent + 1, sent + more + 1, dtype=np.float32))
        sent += more
        begins = not player.playing
        out = fill(player, 0.0, want)
        if not begins and player.playing:
            heard.append(out[FADE:])
    for part in heard:
        assert (np.diff(part) == 1).all()


@pytest.mark.parametrize(("ppm", "master"), [(-200.0, False), (200.0, False), (200.0, True)])
def test_a_drifting_card_is_held_to_the_pictures_without_a_sound(ppm: float, master: bool) -> None:
    """Five virtual minutes; `bunraku bench --area air --only hours` plays eight hours."""
    found = card.run(ppm=ppm, seconds=300.0, master=master, stall_every_s=140.0)
    assert np.abs(found.offset_ms).max() < 10
    settled = found.at_s > 100
    assert abs(float(np.median(found.offset_ms[settled]))) < 1
    assert np.abs(found.offset_ms[settled]).max() < 5
    assert np.percentile(np.abs(found.cents[len(found.cents) // 2 :]), 99) < 1.0
    assert np.abs(found.cents).max() < 1.3  # while it settles: our 500 ppm and the card's own 200
    assert found.jolt < 1.1
    assert found.underruns in (2, 3)  # the body hung twice; a leader's lead may grow once more
    if not master:
        assert found.drift_ppm == pytest.approx(ppm, abs=30)


def test_a_card_with_a_large_buffer_is_in_time_because_more_is_mixed_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(card, "LATENCY", 120 * TICKS_PER_MS)
    found = card.run(ppm=50.0, seconds=90.0, block=2048)
    assert np.abs(found.offset_ms[found.at_s > 20]).max() < 8
    assert found.underruns <= 1  # before the lead has grown


class Stream:
    """A stream that plays when the test says so."""

    def __init__(self, callback: Callable[..., None], **kind: Any) -> None:
        self.callback, self.kind = callback, kind
        self.active = False
        self.closed = False

    def start(self) -> None:
        self.active = True

    def close(self) -> None:
        self.active, self.closed = False, True

    def play(self, n: int = BLOCK) -> Samples:
        out = np.zeros((n, 1), np.float32)
        when = types.SimpleNamespace(outputBufferDacTime=10.02, currentTime=10.0)
        self.callback(out, n, when, None)
        return out[:, 0]


class Library(types.ModuleType):
    """What `sounddevice` looks like to the sink."""

    class PortAudioError(Exception):
        """As the real one."""

    def __init__(self) -> None:
        super().__init__("sounddevice")
        self.streams: list[Stream] = []
        self.fault = ""
        self.listed = 0

    def OutputStream(self, **kind: Any) -> Stream:  # noqa: N802, RUF100
        if self.fault:
            raise self.PortAudioError(self.fault)
        self.streams.append(Stream(**kind))
        return self.streams[-1]

    def _terminate(self) -> None:
        self.listed += 1

    def _initialize(self) -> None:
        pass


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    fake = Library()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    yield fake
    device._open.clear()


def picture(k: int) -> VideoFrame:
    pixels = np.zeros((2, 2, 4), np.uint8)
    return VideoFrame(k * 1600, k, pixels, np.zeros((3, 2), np.uint8))


def open_sink(library: Library, **options: Any) -> tuple[DeviceSink, Stream]:
    sink = DeviceSink(**options)
    sink.open(width=2, height=2, fps=30)
    return sink, library.streams[-1]


def test_a_device_that_goes_is_one_line_and_the_next_try_sees_it_again(library: Library) -> None:
    sink, stream = open_sink(library, device="Cable")
    sink.audio(0, np.zeros(480, np.float32))
    stream.active = False
    with pytest.raises(EngineError, match="^device: 'Cable' has gone; it is looked for again$"):
        sink.audio(480, np.zeros(480, np.float32))
    sink.close()
    assert stream.closed
    library.fault = "no such device"
    with pytest.raises(EngineError, match="cannot play on 'Cable' .*bunraku doctor"):
        open_sink(library, device="Cable")
    library.fault = ""
    again, _ = open_sink(library, device="Cable")
    assert library.listed == 3  # the list of devices is read anew each time
    other, _ = open_sink(library)
    assert library.listed == 3  # but not under a device that plays
    again.close()
    other.close()


def test_a_device_that_asks_for_nothing_has_gone_too(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, stream = open_sink(library)
    now_ns = device.time.monotonic_ns()
    monkeypatch.setattr(device.time, "monotonic_ns", lambda: now_ns + 1_900_000_000)
    sink.audio(0, np.zeros(480, np.float32))
    stream.play()
    monkeypatch.setattr(device.time, "monotonic_ns", lambda: now_ns + 4_000_000_000)
    with pytest.raises(EngineError, match="the default device has gone"):
        sink.audio(480, np.zeros(480, np.float32))


def test_a_device_leads_with_what_is_heard_and_only_while_it_plays(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, stream = open_sink(library, offset_ms=10.0)
    sink.master = True
    now_ns = [1_000_000_000]
    monkeypatch.setattr(device.time, "monotonic_ns", lambda: now_ns[0])
    stream.play()
    assert sink.anchor() is None
    for k in range(31):  # each leaves a second after its time
        now_ns[0] = 1_000_000_000 + k * 1600 * 1_000_000_000 // TICKS_PER_S
        sink.video(picture(k))
    pts: Ticks = 30 * 1600
    sink.audio(pts, np.full(9600, 0.5, np.float32))
    played = stream.play(960)
    first = int(np.flatnonzero(played)[0])
    # It is heard 20 ms after it is asked for, and is to leave 10 ms after its picture.
    assert first == 0
    anchor = sink.anchor()
    assert anchor is not None
    assert anchor[0] == pts + 960 + 480 + 480
    assert anchor[1] == pytest.approx(now_ns[0] + 40_000_000, abs=1000)
    assert sink.note.endswith("the show follows it")
    assert abs(sink.offset_ms) < 0.1
    sink.close()
