"""One sink that hangs, raises or is slow never slows the others: real threads, no sleeps."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

import numpy as np
import pytest

from dialogue.ticks import TICKS_PER_S, Ticks
from render import air as air_module
from render.air import CAPTIONS, FRAMES, Air, SinkStatus
from render.captions import Caption
from render.frames import VideoFrame
from voice.speech import Samples

WIDTH, HEIGHT, FPS = 16, 8, 30
STEP = TICKS_PER_S // FPS
WAIT_S = 10.0


class Recorder:
    """Takes everything; `gate` holds it up, `fail` makes it raise."""

    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.fail = ""
        self.fail_open = ""
        self.watched = True
        self.frames: list[tuple[int, int]] = []
        self.sound: list[tuple[Ticks, int]] = []
        self.opened = threading.Event()
        self.closed = threading.Event()
        self.changed = threading.Condition()

    def open(self, *, width: int, height: int, fps: int) -> None:
        assert (width, height, fps) == (WIDTH, HEIGHT, FPS)
        if self.fail_open:
            raise RuntimeError(self.fail_open)
        self.opened.set()

    def video(self, frame: VideoFrame) -> None:
        self.entered.set()
        assert self.gate.wait(WAIT_S)
        if self.fail:
            raise RuntimeError(self.fail)
        with self.changed:
            self.frames.append((frame.index, int(frame.pixels[0, 0, 0])))
            self.changed.notify_all()

    def audio(self, pts: Ticks, samples: Samples) -> None:
        with self.changed:
            self.sound.append((pts, len(samples)))
            self.changed.notify_all()

    def close(self) -> None:
        self.closed.set()

    def wait(self, true: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(true, WAIT_S)


def frame(air: Air, index: int) -> VideoFrame:
    pixels, i420 = air.blank()
    pixels[:] = i420[:] = index % 256
    return VideoFrame(index * STEP, index, pixels, i420)


def send(air: Air, index: int) -> None:
    air.audio(index * STEP, np.zeros(STEP, np.float32))
    air.video(frame(air, index))


def status(air: Air, name: str) -> SinkStatus:
    return next(s for s in air.status() if s.name == name)


@pytest.fixture
def live() -> Iterator[Air]:
    air = Air(width=WIDTH, height=HEIGHT, fps=FPS)
    yield air
    air.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow at once."""
    monkeypatch.setattr(air_module, "BACK_OFF_S", (0.0,))


def add(air: Air, name: str) -> Recorder:
    sink = Recorder()
    air.add(name, lambda: sink)
    assert sink.opened.wait(WAIT_S)
    return sink


def test_the_host_alone_is_wanted_while_a_sink_wants_it_and_its_memory_is_used_again(
    live: Air,
) -> None:
    sink = add(live, "one")
    assert not live.wants_host

    class Mirror(Recorder):
        wants_host = False

        def video(self, frame: VideoFrame) -> None:
            hosts.append(frame.host is not None and not frame.host.flags.writeable)
            super().video(frame)

    hosts: list[bool] = []
    mirror = Mirror()
    live.add("two", lambda: mirror)
    assert mirror.opened.wait(WAIT_S)
    assert not live.wants_host
    mirror.wants_host = True
    assert live.wants_host
    lent = set()
    for k in range(30):
        host = live.blank_host() if k % 2 else None
        lent.add(id(host))
        pixels, i420 = live.blank()
        live.video(VideoFrame(k * STEP, k, pixels, i420, host=host))
        for each in (sink, mirror):
            each.wait(lambda k=k, each=each: len(each.frames) == k + 1)  # type: ignore[misc]
    assert hosts == [bool(k % 2) for k in range(30)]
    assert len(lent) <= 4
    live.remove("two")
    assert not live.wants_host


def test_pictures_and_sound_arrive_in_order(live: Air) -> None:
    sink = add(live, "one")
    for k in range(60):
        send(live, k)
        sink.wait(lambda k=k: len(sink.frames) == k + 1)  # type: ignore[misc]
    assert sink.frames == [(k, k) for k in range(60)]
    assert sink.sound == [(k * STEP, STEP) for k in range(60)]
    assert status(live, "one").dropped == 0


def test_a_hanging_sink_loses_its_oldest_frames_and_the_others_lose_none(live: Air) -> None:
    good, stuck = add(live, "good"), add(live, "stuck")
    stuck.gate.clear()
    for k in range(20):
        live.video(frame(live, k))
        if k == 0:
            assert stuck.entered.wait(WAIT_S)
        good.wait(lambda k=k: len(good.frames) == k + 1)  # type: ignore[misc]
    assert [index for index, _ in good.frames] == list(range(20))
    assert status(live, "stuck").dropped == 20 - 1 - FRAMES
    stuck.gate.set()
    stuck.wait(lambda: len(stuck.frames) == 1 + FRAMES)
    # The picture it hung on was not painted over meanwhile, and the newest ones followed.
    assert stuck.frames == [(0, 0), *((k, k) for k in range(16, 20))]


def test_a_sink_that_does_not_take_its_sound_is_off_the_air_and_comes_back(
    live: Air, quick: None
) -> None:
    good, stuck = add(live, "good"), add(live, "stuck")
    stuck.gate.clear()
    for k in range(FPS + 2):
        send(live, k)
        if k == 0:
            assert stuck.entered.wait(WAIT_S)
        good.wait(lambda k=k: sum(n for _, n in good.sound) == (k + 1) * STEP)  # type: ignore[misc]
    state = status(live, "stuck")
    assert state.state == "off"
    assert state.error == "sink stuck did not take its sound for 1 s"
    stuck.opened.clear()
    stuck.gate.set()
    assert stuck.closed.wait(WAIT_S)
    assert stuck.opened.wait(WAIT_S)
    stuck.wait(lambda: True)
    good.wait(lambda: sum(n for _, n in good.sound) == (FPS + 2) * STEP)


def test_a_sink_with_patience_stays_on_the_air_when_it_is_slow_for_a_moment(live: Air) -> None:
    slow = add(live, "slow")
    slow.patience = 3 * TICKS_PER_S  # type: ignore[attr-defined]
    slow.gate.clear()
    for k in range(2 * FPS):
        send(live, k)
        if k == 0:
            assert slow.entered.wait(WAIT_S)
    assert status(live, "slow").state == "live"
    slow.gate.set()
    slow.wait(lambda: sum(n for _, n in slow.sound) == 2 * TICKS_PER_S)


def test_a_sink_that_raises_is_closed_and_made_anew(live: Air, quick: None) -> None:
    made: list[Recorder] = []
    ready = threading.Semaphore(0)

    def make() -> Recorder:
        sink = Recorder()
        sink.fail = "the wire broke\nsecond line" if not made else ""
        made.append(sink)
        ready.release()
        return sink

    good = add(live, "good")
    live.add("bad", make)
    assert ready.acquire(timeout=WAIT_S)
    assert made[0].opened.wait(WAIT_S)
    live.video(frame(live, 0))
    assert ready.acquire(timeout=WAIT_S)
    assert made[0].closed.is_set()
    assert made[1].opened.wait(WAIT_S)
    for k in range(1, 200):
        live.video(frame(live, k))
        good.wait(lambda k=k: bool(good.frames) and good.frames[-1][0] == k)  # type: ignore[misc]
        if made[1].frames:
            break
    assert made[1].frames
    assert status(live, "bad").error == "the wire broke"
    assert good.frames[0] == (0, 0)


def test_a_sink_that_cannot_open_waits_longer_each_time(
    live: Air, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    tried = threading.Semaphore(0)
    wait_for = threading.Condition.wait_for

    def noted(self: threading.Condition, true: Callable[[], bool], timeout: float) -> bool:
        waits.append(timeout)
        return bool(wait_for(self, true, 0.0))

    def make() -> Recorder:
        sink = Recorder()
        sink.fail_open = "no such camera; plug it in"
        tried.release()
        if len(waits) == 8:
            monkeypatch.undo()
        return sink

    monkeypatch.setattr(threading.Condition, "wait_for", noted)
    live.add("camera", make)
    for _ in range(9):
        assert tried.acquire(timeout=WAIT_S)
    assert waits[:8] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert status(live, "camera").error == "no such camera; plug it in"


def test_offline_a_slow_sink_makes_the_caller_wait_and_loses_nothing() -> None:
    air = Air(width=WIDTH, height=HEIGHT, fps=FPS, blocking=True)
    sink = add(air, "film")
    sink.gate.clear()
    sent = threading.Event()

    def work() -> None:
        for k in range(60):
            send(air, k)
        sent.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert sink.entered.wait(WAIT_S)
    assert not sent.wait(0.05)
    sink.gate.set()
    thread.join(WAIT_S)
    air.close()
    assert sink.frames == [(k, k) for k in range(60)]
    assert sum(n for _, n in sink.sound) == 60 * STEP
    assert status(air, "film").state == "closed"


def test_offline_a_sink_that_fails_frees_the_caller_and_says_why() -> None:
    air = Air(width=WIDTH, height=HEIGHT, fps=FPS, blocking=True)
    sink = add(air, "film")
    sink.fail = "the disk is full"
    for k in range(100):
        send(air, k)
    air.close()
    assert sink.closed.is_set()
    assert status(air, "film").state == "off"
    assert status(air, "film").error == "the disk is full"


def test_what_was_handed_over_is_sent_before_the_end() -> None:
    air = Air(width=WIDTH, height=HEIGHT, fps=FPS)
    sink = add(air, "one")
    sink.gate.clear()
    for k in range(4):
        send(air, k)
    sink.gate.set()
    air.close()
    assert [index for index, _ in sink.frames] == [0, 1, 2, 3]
    assert sink.closed.is_set()


def test_a_sink_can_be_removed_while_live(live: Air) -> None:
    sink = add(live, "one")
    live.remove("one")
    assert sink.closed.wait(WAIT_S)
    live.video(frame(live, 0))
    assert live.status() == []
    assert sink.frames == []


def test_memory_of_pictures_is_used_again(live: Air) -> None:
    sink = add(live, "one")
    memory = set()
    for k in range(100):
        shown = frame(live, k)
        memory.add(shown.pixels.ctypes.data)
        live.video(shown)
        sink.wait(lambda k=k: len(sink.frames) == k + 1)  # type: ignore[misc]
    assert len(memory) <= FRAMES + 2


def test_it_says_whether_anybody_sees_a_picture(live: Air) -> None:
    assert not live.watched
    sink = add(live, "one")
    assert live.watched
    sink.watched = False
    assert not live.watched


def test_a_sink_cannot_write_into_a_picture_that_others_see(live: Air, quick: None) -> None:
    errors: list[str] = []

    class Painter(Recorder):
        def video(self, frame: VideoFrame) -> None:
            try:
                frame.pixels[0, 0] = 9
            except ValueError as error:
                errors.append(str(error))
            super().video(frame)

    sink = Painter()
    live.add("painter", lambda: sink)
    assert sink.opened.wait(WAIT_S)
    live.video(frame(live, 1))
    sink.wait(lambda: len(sink.frames) == 1)
    assert errors == ["assignment destination is read-only"]


class Scribe(Recorder):
    """A recorder that takes captions too."""

    def __init__(self) -> None:
        super().__init__()
        self.captions: list[Caption] = []
        self.threads: set[str] = set()

    def caption(self, caption: Caption) -> None:
        self.threads.add(threading.current_thread().name)
        with self.changed:
            self.captions.append(caption)
            self.changed.notify_all()


def block(number: int, text: str = "Hello", *, final: bool = False) -> Caption:
    return Caption(number * 100, number * 100 + 50, (text,), "en", (), (1, 0, number), final)


def test_captions_come_in_order_on_the_sinks_own_thread_and_only_to_those_who_take_them() -> None:
    air = Air(width=WIDTH, height=HEIGHT, fps=FPS)
    scribe, deaf = Scribe(), Recorder()
    air.add("scribe", lambda: scribe)
    air.add("deaf", lambda: deaf)
    assert scribe.opened.wait(WAIT_S)
    for number in range(3):
        air.caption(block(number))
        air.audio(number, np.zeros(1, np.float32))
    scribe.wait(lambda: len(scribe.captions) == 3)
    deaf.wait(lambda: len(deaf.sound) == 3)
    air.close()
    assert [c.key[2] for c in scribe.captions] == [0, 1, 2]
    assert scribe.threads == {"sink-scribe"}


def test_a_slow_sink_gets_only_the_newest_of_each_caption_and_the_oldest_go_when_it_is_full() -> (
    None
):
    air = Air(width=WIDTH, height=HEIGHT, fps=FPS)
    scribe = Scribe()
    air.add("scribe", lambda: scribe)
    scribe.gate.clear()
    air.video(frame(air, 0))
    assert scribe.entered.wait(WAIT_S)  # it is busy now
    for number in range(CAPTIONS + 6):
        air.caption(block(number))
        air.caption(block(number, "Hello there", final=True))
    scribe.gate.set()
    scribe.wait(lambda: len(scribe.captions) >= CAPTIONS)
    air.close()
    assert [c.key[2] for c in scribe.captions] == list(range(6, CAPTIONS + 6))
    assert all(c.final and c.lines == ("Hello there",) for c in scribe.captions)


class Stems(Recorder):
    """A sink that keeps voice and music apart."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[tuple[Ticks, float, float]] = []
        self.order: list[str] = []

    def stems(self, pts: Ticks, voice: Samples, music: Samples) -> None:
        self.order.append("stems")
        self.parts.append((pts, float(voice[0]), float(music[0])))

    def audio(self, pts: Ticks, samples: Samples) -> None:
        self.order.append("audio")
        super().audio(pts, samples)


def test_a_sink_that_wants_them_gets_voice_and_music_apart_before_each_block(live: Air) -> None:
    stems, plain = Stems(), add(live, "plain")
    live.add("stems", lambda: stems)
    assert stems.opened.wait(WAIT_S)
    for k in range(3):
        sound = np.full(STEP, 0.5, np.float32)
        live.audio(k * STEP, sound, sound * 0.8, sound * 0.2)
    live.audio(3 * STEP, np.full(STEP, 0.5, np.float32))  # nothing but the voice
    stems.wait(lambda: len(stems.sound) == 4)
    plain.wait(lambda: len(plain.sound) == 4)
    assert stems.order == ["stems", "audio"] * 4
    assert [pts for pts, _, _ in stems.parts] == [pts for pts, _ in stems.sound]
    assert stems.parts[0][1:] == pytest.approx((0.4, 0.1))
    assert stems.parts[3][1:] == pytest.approx((0.5, 0.0))


class Reporter(Recorder):
    """Connects by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble = ""
        self.note = "3.5 Mbit/s"


def test_a_sink_that_has_lost_its_server_is_shown_as_off_with_its_own_words(live: Air) -> None:
    sink = Reporter()
    live.add("push", lambda: sink)
    assert sink.opened.wait(WAIT_S)
    send(live, 0)
    sink.wait(lambda: len(sink.frames) == 1)
    assert (status(live, "push").state, status(live, "push").note) == ("live", "3.5 Mbit/s")
    sink.trouble = "rtmp://host/live/***: no answer; trying again"
    assert status(live, "push").state == "off"
    assert status(live, "push").error.endswith("trying again")
    send(live, 1)  # it gets the pictures all the same
    sink.wait(lambda: len(sink.frames) == 2)
    sink.trouble = ""
    assert (status(live, "push").state, status(live, "push").error) == ("live", "")


def test_a_picture_shown_again_has_its_own_time_and_the_same_pixels(live: Air) -> None:
    sink = Recorder()
    seen: list[tuple[Ticks, int, int, bool]] = []
    live.add("one", lambda: sink)
    sink.opened.wait(WAIT_S)
    note = sink.video

    def video(frame: VideoFrame) -> None:
        seen.append((frame.pts, frame.index, int(frame.pixels[0, 0, 0]), frame.repeated))
        note(frame)

    sink.video = video  # type: ignore[method-assign]
    for index in range(0, 6, 2):
        live.video(frame(live, index))
        live.again((index + 1) * STEP, index + 1)
        sink.wait(lambda given=index + 2: len(sink.frames) == given)
    assert seen == [(i * STEP, i, i // 2 * 2, i % 2 == 1) for i in range(6)]


def test_memory_of_a_picture_shown_again_is_not_lent_meanwhile(live: Air) -> None:
    sink = Recorder()
    live.add("one", lambda: sink)
    sink.opened.wait(WAIT_S)
    live.video(frame(live, 7))
    sink.wait(lambda: len(sink.frames) == 1)
    sink.gate.clear()
    live.again(STEP, 1)
    for index in range(2, 4):  # others come while the sink still holds the one shown again
        live.video(frame(live, 100 + index))
    sink.gate.set()
    sink.wait(lambda: len(sink.frames) == 4)
    assert sink.frames[:2] == [(7, 7), (1, 7)]


def test_nothing_can_be_shown_again_before_there_is_a_picture(live: Air) -> None:
    with pytest.raises(ValueError, match="no picture yet"):
        live.again(0, 0)


def test_pixels_are_wanted_unless_every_sink_says_that_it_takes_none(live: Air) -> None:
    assert not live.wants_pixels
    planar = Recorder()
    planar.takes_pixels = False  # type: ignore[attr-defined]
    live.add("planar", lambda: planar)
    planar.opened.wait(WAIT_S)
    send(live, 0)
    planar.wait(lambda: len(planar.frames) == 1)
    assert live.watched
    assert not live.wants_pixels
    plain = add(live, "plain")
    assert live.wants_pixels
    plain.watched = False
    assert not live.wants_pixels


class Cyclic(Recorder):
    """Holds itself, as encoders do."""

    def __init__(self) -> None:
        super().__init__()
        self.me = self


@pytest.mark.parametrize("fails", [True, False])
def test_what_a_sink_held_is_let_go_with_it(live: Air, *, fails: bool) -> None:
    gc.disable()
    try:
        sink = Cyclic()
        gone = threading.Event()
        weakref.finalize(sink, gone.set)
        sinks = [sink]
        live.add("film", lambda: sinks.pop())
        assert sink.opened.wait(WAIT_S)
        sink.fail = "no room" if fails else ""
        send(live, 0)
        if not fails:
            sink.wait(lambda frames=sink.frames: len(frames) == 1)
            live.remove("film")
        del sink
        assert gone.wait(WAIT_S)
    finally:
        gc.enable()


class Card(Recorder):
    """Has a clock of its own."""

    drift_ppm = 120.0
    offset_ms = -0.4


def test_a_sound_cards_drift_is_told_while_it_is_on_air(live: Air) -> None:
    add(live, "film")
    assert live.card() is None
    card = Card()
    live.add("speakers", lambda: card)
    assert card.opened.wait(WAIT_S)
    send(live, 0)
    card.wait(lambda: len(card.frames) == 1)
    assert live.card() == (120.0, -0.4)
    live.remove("speakers")
    assert card.closed.wait(WAIT_S)
    assert live.card() is None
