"""Streams to real servers: all that was pushed arrives at its tick; no server can hold the show."""

import contextlib
import io
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from dialogue.plugins import EngineUnavailable
from dialogue.ticks import TICKS_PER_S
from render.air import Air
from render.captions import Caption
from render.frames import VideoFrame
from render.sinks import rtmp, server, srt, stream
from render.sinks.file import FileSink
from render.sinks.stream import StreamSink, target
from stage.bench.air import servers
from stage.bench.air.servers import Listener, Nginx, free_port, until

WIDTH, HEIGHT, FPS = 320, 192, 30
STEP = TICKS_PER_S // FPS
NOISE = np.random.default_rng(3).integers(16, 235, (HEIGHT * 2, WIDTH * 2), np.uint8)

needs_nginx = pytest.mark.skipif(bool(servers.nginx()), reason=servers.nginx() or "-")


def srt_missing() -> str:
    try:
        srt.library()
    except EngineUnavailable as error:
        return str(error)
    return servers.ffmpeg("srt")


needs_srt = pytest.mark.skipif(bool(srt_missing()), reason=srt_missing() or "-")


def is_mark(k: int) -> bool:
    return k % 15 == 7


def picture(k: int, *, busy: bool = False) -> npt.NDArray[np.uint8]:
    i420 = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    i420[:HEIGHT] = 235 if is_mark(k) else 40 + k % 30
    if busy:
        x, y = k * 5 % WIDTH, k * 3 % HEIGHT
        i420[:HEIGHT] = NOISE[y : y + HEIGHT, x : x + WIDTH]
    return i420


def sound(k: int) -> npt.NDArray[np.float32]:
    if not is_mark(k):
        return np.zeros(STEP, np.float32)
    return (0.5 * np.sin(np.arange(STEP) * 0.3 + 0.5)).astype(np.float32)


def give(sink: StreamSink | Air, k: int, *, busy: bool = False) -> None:
    """Show frame `k`: white with a beep at each mark."""
    sink.audio(k * STEP, sound(k))
    i420 = picture(k, busy=busy)
    if isinstance(sink, Air):
        pixels, memory = sink.blank()
        memory[:] = i420
        sink.video(VideoFrame(k * STEP, k, pixels, memory))
    else:
        sink.video(VideoFrame(k * STEP, k, np.zeros((1, 1, 4), np.uint8), i420))


def live(url: str, **options: Any) -> StreamSink:
    """Return an opened sink that is connected."""
    sink = StreamSink(url=url, preset="ultrafast", **options)
    sink.open(width=WIDTH, height=HEIGHT, fps=FPS)
    until(lambda: not sink.trouble, f"connected ({sink.trouble})")
    return sink


def push(sink: StreamSink, frames: int, first: int = 0) -> None:
    """Push as fast as the server takes it."""
    for k in range(first, first + frames):
        give(sink, k)
        feed = sink._feed
        if feed is not None and feed.waiting > TICKS_PER_S // 4:
            until(lambda f=feed: f.waiting < TICKS_PER_S // 8, "the server takes what it gets")  # type: ignore[misc]


def check(film: Path, *, frames: int, tick_ms: float) -> None:
    """Assert that `film` begins with a complete picture and has every frame and beep in place."""
    with av.open(str(film)) as made:
        packets = [p for p in made.demux(video=0) if p.pts is not None]
    assert packets[0].is_keyframe
    keys = [k for k, p in enumerate(packets) if p.is_keyframe]
    assert keys == list(range(0, frames, 2 * FPS))
    with av.open(str(film)) as made:
        shown = [
            (float(f.pts * f.time_base), float(f.to_ndarray()[:HEIGHT].mean()))
            for f in made.decode(video=0)
        ]
    assert len(shown) == frames
    steps = np.diff([at for at, _ in shown]) * 1e3
    assert np.all(np.abs(steps - 1e3 / FPS) <= tick_ms + 0.01)
    with av.open(str(film)) as made:
        blocks = [(float(f.pts * f.time_base), f.to_ndarray()[0]) for f in made.decode(audio=0)]
    begin = blocks[0][0]
    heard = np.abs(np.concatenate([samples for _, samples in blocks]))
    white = [at for at, level in shown if level > 150]
    assert len(white) == frames // 15
    for at in white:
        near = round((at - begin) * TICKS_PER_S) - 960
        onset = begin + (near + int(np.flatnonzero(heard[near : near + 1920] > 0.1)[0])) / 48_000
        assert abs(onset - at) * 1e3 <= tick_ms + 1.0


@needs_nginx
def test_nginx_gets_every_picture_and_sound_at_its_tick(tmp_path: Path) -> None:
    with Nginx(tmp_path) as server:
        sink = live(server.url + "/show")
        push(sink, 150)
        sink.close()
        sink.close()
        until(lambda: not_growing(server.films), "the recording ends")
        check(server.films[0], frames=150, tick_ms=1.0)


@needs_nginx
@pytest.mark.parametrize("wanted", [True, False])
def test_captions_go_with_the_pictures_for_who_wants_them(tmp_path: Path, wanted: bool) -> None:
    with Nginx(tmp_path) as server:
        sink = live(server.url + "/show", captions=wanted)
        words = ((TICKS_PER_S, 0, 0), (TICKS_PER_S * 3 // 2, 0, 6), (2 * TICKS_PER_S, 1, 0))
        said = ("Hello out", "there!")
        sink.caption(Caption(TICKS_PER_S, 3 * TICKS_PER_S, said, "en", words, (1, 0, 0)))
        push(sink, 120)
        sink.close()
        until(lambda: not_growing(server.films), "the recording ends")
        seen = [text for _, text in servers.captions_in(server.films[0])]
        assert seen == (["Hello out there!"] if wanted else [])
        check(server.films[0], frames=120, tick_ms=1.0)


@needs_nginx
def test_ffmpeg_takes_rtmp_with_the_key_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOW_KEY", "live_123?token=abc")
    film = tmp_path / "got.flv"
    port = free_port()
    url = f"rtmp://127.0.0.1:{port}/app"
    with Listener(f"{url}/live_123", film, before=("-listen", "1")) as server:
        sink = live(url, key_env="SHOW_KEY")
        push(sink, 90)
        sink.close()
        server.end()
    check(film, frames=90, tick_ms=1.0)


@needs_srt
def test_ffmpeg_takes_srt_with_stream_id_and_passphrase(tmp_path: Path) -> None:
    film = tmp_path / "got.ts"
    port = free_port(socket.SOCK_DGRAM)
    place, secret = f"srt://127.0.0.1:{port}?", "passphrase=0123456789ab"
    with Listener(f"{place}mode=listener&{secret}", film) as server:
        sink = live(f"{place}{secret}&streamid=%23!::m=publish")
        for k in range(90):  # SRT is live: it goes at its own pace
            give(sink, k)
            time.sleep(0.005)
        time.sleep(0.3)
        sink.close()
        server.end()
    check(film, frames=90, tick_ms=0.1)


def aged(sink: StreamSink, seconds: float) -> StreamSink:
    """Let the connection have gone on for so long."""
    feed = sink._feed
    assert feed is not None
    length = round(seconds * FPS) * STEP
    feed._together.first, feed._together._sound = -length, length
    return sink


@needs_nginx
def test_rtmp_goes_on_where_its_times_need_more_than_three_bytes(tmp_path: Path) -> None:
    with Nginx(tmp_path) as server:
        sink = aged(live(server.url + "/show"), 2**24 / 1000 - 2)  # 4 h 40 min
        push(sink, 150)
        sink.close()
        until(lambda: not_growing(server.films), "the recording ends")
        check(server.films[0], frames=150, tick_ms=1.0)


@needs_srt
def test_srt_goes_on_where_the_clock_of_mpeg_begins_again(tmp_path: Path) -> None:
    film = tmp_path / "got.ts"
    port = free_port(socket.SOCK_DGRAM)
    place = f"srt://127.0.0.1:{port}?"
    with Listener(f"{place}mode=listener", film) as server:
        sink = aged(live(place), 2**33 / 90_000 - 1)  # 26.5 hours
        for k in range(90):
            give(sink, k)
            time.sleep(0.005)
        time.sleep(0.3)
        sink.close()
        server.end()
    check(film, frames=90, tick_ms=0.1)


@needs_nginx
@pytest.mark.usefixtures("quick")
def test_an_rtmp_connection_is_made_anew_before_its_clock_ends(tmp_path: Path) -> None:
    with Nginx(tmp_path) as server:
        sink = aged(live(server.url + "/show"), 21 * 24 * 3600 - 1)
        for k in range(40):
            give(sink, k)
        until(lambda: "1 reconnects" in sink.note and not sink.trouble, "made anew")
        push(sink, 90, first=60)
        sink.close()
        until(lambda: not_growing(server.films), "the recording ends")
        with av.open(str(server.films[-1])) as made:
            times = [float(f.pts * f.time_base) for f in made.decode(video=0)]
    assert 0 <= times[0] < 1
    assert len(times) == 90


@needs_srt
def test_a_wrong_passphrase_is_told_without_it(tmp_path: Path) -> None:
    port = free_port(socket.SOCK_DGRAM)
    listening = f"srt://127.0.0.1:{port}?mode=listener&passphrase=0123456789ab"
    with Listener(listening, tmp_path / "got.ts"):
        sink = StreamSink(url=f"srt://127.0.0.1:{port}?passphrase=not-this-one")
        sink.open(width=WIDTH, height=HEIGHT, fps=FPS)
        until(lambda: "passphrase" in sink.trouble, "refused")
        assert "not-this-one" not in sink.trouble
        sink.close()


ENDS_WHILE_CONNECTING = """
import time
from render.sinks.stream import StreamSink
sink = StreamSink(url="srt://127.0.0.1:{port}")
sink.open(width=160, height=96, fps=30)
time.sleep(0.3)
"""


@needs_srt
def test_a_process_that_ends_while_srt_connects_ends_well() -> None:
    port = free_port(socket.SOCK_DGRAM)
    for _ in range(2):  # libsrt's own end would free what the connecting thread still uses
        code = ENDS_WHILE_CONNECTING.format(port=port)
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30)
        assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow soon, and waits are short."""
    monkeypatch.setattr(server, "BACK_OFF_S", (0.05,))
    monkeypatch.setattr(rtmp, "CONNECT_S", 0.6)
    monkeypatch.setattr(rtmp, "SEND_S", 0.6)


class Show:
    """A show in real time, with a film beside the stream."""

    def __init__(self, folder: Path, url: str) -> None:
        self.sink = StreamSink(url=url, preset="ultrafast")
        self.film = folder / "beside.mp4"
        self.air = Air(width=WIDTH, height=HEIGHT, fps=FPS)
        self.air.add("film", lambda: FileSink(path=self.film))
        self.air.add("push", lambda: self.sink)
        self.shown = 0
        until(lambda: all(s.state != "opening" for s in self.air.status()), "on air")

    def run_until(self, true: Callable[[], object], wait_s: float = 15.0) -> None:
        end = time.monotonic() + wait_s
        while not true():
            assert time.monotonic() < end, self.air.status()
            give(self.air, self.shown)
            self.shown += 1
            time.sleep(1 / FPS / 2)

    def run(self, frames: int) -> None:
        until_ = self.shown + frames
        self.run_until(lambda: self.shown >= until_)

    def close(self) -> None:
        self.air.close()

    def check_film(self) -> None:
        with av.open(str(self.film)) as made:
            pts = [round(f.pts * f.time_base * TICKS_PER_S) for f in made.decode(video=0)]
        assert pts == [k * STEP for k in range(self.shown)]


@needs_nginx
@pytest.mark.usefixtures("quick")
def test_a_server_killed_and_started_again_gets_a_new_stream_and_the_film_loses_nothing(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    with Nginx(folder) as server:
        show = Show(tmp_path, server.url + "/show")
        show.run_until(lambda: not show.sink.trouble)
        show.run(30)
        server.kill()
        show.run_until(lambda: show.sink.trouble)
        assert any(s.state == "off" and "/live/***" in s.error for s in show.air.status())
        server.start()
        show.run_until(lambda: not show.sink.trouble)
        show.run(60)
        assert "1 reconnects" in show.sink.note
        show.close()
        show.check_film()
        until(lambda: not_growing(server.films), "the recording ends")
        with av.open(str(server.films[-1])) as made:
            packets = [p for p in made.demux(video=0) if p.pts is not None]
        assert packets[0].is_keyframe
        assert len(packets) >= 55


@needs_srt
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("away_s", [0.5, 0.0])
def test_an_srt_server_killed_and_started_again_is_noticed_within_a_second(
    tmp_path: Path, away_s: float
) -> None:
    port = free_port(socket.SOCK_DGRAM)
    listening = f"srt://127.0.0.1:{port}?mode=listener"
    with Listener(listening, tmp_path / "first.ts") as first:
        show = Show(tmp_path, f"srt://127.0.0.1:{port}")
        show.run_until(lambda: not show.sink.trouble)
        show.run(60)
        assert "0 reconnects" in show.sink.note
        first.kill()
        begun = time.monotonic()
        with contextlib.ExitStack() as servers_:
            if not away_s:  # it is back before anybody noticed: the port refuses nothing
                servers_.enter_context(Listener(listening, tmp_path / "second.ts"))
            show.run_until(lambda: show.sink.trouble)
            assert time.monotonic() - begun < 1.5
            assert "nobody listens" in show.sink.trouble or "restarted" in show.sink.trouble
            if away_s:
                servers_.enter_context(Listener(listening, tmp_path / "second.ts"))
            show.run_until(lambda: not show.sink.trouble)
            assert time.monotonic() - begun < 4.0
            show.run(60)
            show.close()
    show.check_film()
    with av.open(str(tmp_path / "second.ts")) as made:
        packets = [p for p in made.demux(video=0) if p.pts is not None]
    assert packets[0].is_keyframe


def test_an_srt_server_is_asked_only_when_it_is_silent_and_told_from_a_bad_line() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        watch = srt._Watch(socket.AF_INET, server.getsockname())
        now, confirmed = 100.0, 0

        def look(seconds: float, *, confirms: bool = False, step_s: float = 0.02) -> str:
            nonlocal now, confirmed
            said = ""
            for _ in range(round(seconds / step_s)):
                now += step_s
                confirmed += confirms
                said = said or watch.look(now, confirmed)
            return said

        def asked() -> bytes:
            with contextlib.suppress(BlockingIOError):
                return server.recvfrom(2048)[0]
            return b""

        assert look(5.0, confirms=True) == ""
        now += 60.0  # nothing was sent for a minute: that is not the server's silence
        assert look(0.1) == ""
        assert asked() == b""
        assert look(2.5) == ""
        assert len(asked()) == 64
        assert look(0.1, confirms=True) == ""  # a bad line that is back
        assert look(2.9) == ""
        assert "not heard for 3 s" in look(0.3)
        assert look(0.1, confirms=True) == ""
        while asked():
            pass
        assert look(0.4) == ""
        question, place = server.recvfrom(2048)
        assert question[0] & 0x80  # a control packet
        server.sendto(b"welcome", place)
        assert look(0.2) == ""
        assert "restarted" in look(0.3)
    watch.close()


@needs_nginx
@pytest.mark.usefixtures("quick")
def test_a_server_that_hangs_is_given_up_and_the_film_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    with Nginx(folder) as server:
        show = Show(tmp_path, server.url + "/show")
        show.run_until(lambda: not show.sink.trouble)
        server.freeze(True)
        busy = show.shown
        while not show.sink.trouble:
            give(show.air, show.shown, busy=True)
            show.shown += 1
            time.sleep(1 / FPS / 4)
            assert show.shown - busy < 3000, show.sink.note
        assert "took nothing" in show.sink.trouble or "too slow" in show.sink.trouble
        server.freeze(False)
        show.run_until(lambda: not show.sink.trouble)
        begun = time.monotonic()
        show.close()
        assert time.monotonic() - begun < 6
        show.check_film()


@contextlib.contextmanager
def mute() -> Iterator[int]:
    """A server that accepts and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.mark.usefixtures("quick")
def test_a_server_that_says_nothing_is_named_and_stops_nobody() -> None:
    with mute() as port:
        sink = StreamSink(url=f"rtmp://127.0.0.1:{port}/live/secretkey")
        sink.open(width=WIDTH, height=HEIGHT, fps=FPS)
        begun = time.monotonic()
        for k in range(30):
            give(sink, k)
        assert time.monotonic() - begun < 0.5
        until(lambda: "does not answer" in sink.trouble, "given up")
        assert "secretkey" not in sink.trouble
        assert sink.trouble.startswith(f"rtmp://127.0.0.1:{port}/live/***")
        sink.close()


def test_the_end_does_not_wait_for_a_server_that_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "CLOSE_S", 0.2)
    with mute() as port:
        sink = StreamSink(url=f"rtmp://127.0.0.1:{port}/live/x")
        sink.open(width=WIDTH, height=HEIGHT, fps=FPS)
        begun = time.monotonic()
        sink.close()
        assert time.monotonic() - begun < 2


class SlowLine:
    """Carries a connection to `port`, at so many bytes a second towards it."""

    def __init__(self, port: int) -> None:
        self.bytes_per_s = 10e6
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.port = int(self._listening.getsockname()[1])
        self._ends = [self._listening]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._ends += [near, far]
                threading.Thread(target=self._carry, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._carry, args=(far, near, False), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket, slow: bool) -> None:
        with contextlib.suppress(OSError):
            while part := near.recv(4096):
                far.sendall(part)
                if slow:
                    time.sleep(len(part) / self.bytes_per_s)


@needs_nginx
def test_a_slow_line_gets_a_lower_rate_and_loses_pictures_rather_than_time(tmp_path: Path) -> None:
    with Nginx(tmp_path) as server:
        line = SlowLine(server.port)
        sink = live(
            f"rtmp://127.0.0.1:{line.port}/live/show", bitrate=4_000_000, least_bitrate=200_000
        )
        line.bytes_per_s = 250_000
        most = 0.0
        for k in range(450):
            give(sink, k, busy=True)
            time.sleep(1 / FPS / 3)  # three times as fast: so is the line
            feed = sink._feed
            assert feed is not None
            most = max(most, feed.waiting / TICKS_PER_S)
        assert sink._rate.bitrate < 2_000_000
        assert sink._rate.downs >= 2
        assert "down" in sink.note
        assert most < 3.5
        line.close()
        sink.close()


def not_growing(films: list[Path]) -> bool:
    """Whether the newest film has been there for a while and does not grow."""
    if not films:
        return False
    size = films[-1].stat().st_size
    time.sleep(0.3)
    return size > 0 and films[-1].stat().st_size == size


class Tls:
    """Puts TLS, with a certificate of its own, in front of a server's port."""

    def __init__(self, folder: Path, port: int) -> None:
        self.certificate = folder / "cert.pem"
        key = folder / "key.pem"
        certify(self.certificate, key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        self._to = port
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self._listening.accept()
                threading.Thread(target=self._carry, args=(plain,), daemon=True).start()

    def _carry(self, plain: socket.socket) -> None:
        with plain, contextlib.suppress(OSError):
            with (
                self._context.wrap_socket(plain, server_side=True) as near,
                socket.create_connection(("127.0.0.1", self._to)) as far,
            ):
                near.settimeout(0.05)
                far.settimeout(0.05)
                while True:
                    for one, other in ((near, far), (far, near)):
                        with contextlib.suppress(TimeoutError):
                            part = one.recv(65_536)
                            if not part:
                                return
                            other.sendall(part)


def certify(certificate: Path, key: Path) -> None:
    """Write a certificate for localhost, signed by itself."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    made = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(made.public_key())
        .serial_number(1)
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(made, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        made.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@needs_nginx
@pytest.mark.usefixtures("quick")
def test_rtmps_is_encrypted_and_only_to_a_server_that_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    monkeypatch.setattr(rtmp, "CONNECT_S", 5.0)
    with Nginx(folder) as server:
        door = Tls(tmp_path, server.port)
        url = f"rtmps://localhost:{door.port}/live/show"
        stranger = StreamSink(url=url)
        stranger.open(width=WIDTH, height=HEIGHT, fps=FPS)
        until(lambda: "not to be trusted" in stranger.trouble, "refused")
        stranger.close()
        assert server.films == []
        monkeypatch.setenv("SSL_CERT_FILE", str(door.certificate))
        sink = live(url)
        push(sink, 60)
        sink.close()
        until(lambda: not_growing(server.films), "the recording ends")
        door.close()
        check(server.films[0], frames=60, tick_ms=1.0)


# Addresses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "host", "port", "app", "key"),
    [
        ("rtmp://live.example/app/k1", "live.example", 1935, "app", "k1"),
        ("rtmps://a.example/live2/k-2", "a.example", 443, "live2", "k-2"),
        ("rtmp://[::1]:1936/a/b/k?x=1&y=2", "::1", 1936, "a/b", "k?x=1&y=2"),
        ("rtmp://host/bvc/?streamname=s&key=k", "host", 1935, "bvc", "?streamname=s&key=k"),
    ],
)
def test_an_address_is_taken_apart(url: str, host: str, port: int, app: str, key: str) -> None:
    found = target(url)
    assert (found.host, found.port, found.app, found.key) == (host, port, app, key)
    assert key not in found.public


def test_keys_come_from_the_environment() -> None:
    known = {"TWITCH_KEY": "live_9", "WORD": "0123456789"}
    assert target("rtmp://h/app", key_env="TWITCH_KEY", environment=known).key == "live_9"
    assert target("rtmp://h/app/{TWITCH_KEY}", environment=known).key == "live_9"
    found = target("srt://h:9000?passphrase={WORD}", key_env="TWITCH_KEY", environment=known)
    assert found.settings == {"streamid": "live_9", "passphrase": "0123456789"}
    assert server.veiled("id live_9 word 0123456789", found.secrets) == "id *** word ***"
    assert found.public == "srt://h:9000"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://host/app/key", "must begin with rtmp://"),
        ("rtmp://host/key", "an application and a key"),
        ("rtmp://host/app/", "an application and a key"),
        ("srt://host", "a host and a port"),
        ("srt://host:70000", "a host and a port"),
        ("srt://host:9000?mode=listener", "calls a server"),
        ("srt://host:9000?latenzy=1", "no setting 'latenzy'"),
        ("rtmp://host/app/{NOT_SET_HERE}", "NOT_SET_HERE is not set"),
    ],
)
def test_a_bad_address_is_one_line_with_the_remedy(url: str, words: str) -> None:
    with pytest.raises(EngineUnavailable) as caught:
        StreamSink(url=url)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_libsrt_is_told_with_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srt, "_loaded", None)
    monkeypatch.setattr(srt, "NAMES", ())
    monkeypatch.setattr(srt.ctypes.util, "find_library", lambda name: None)
    with pytest.raises(EngineUnavailable, match="apt install libsrt"):
        StreamSink(url="srt://127.0.0.1:9000")


# RTMP, byte by byte -----------------------------------------------------------------------------


def test_what_is_written_in_amf_can_be_read() -> None:
    said = ["connect", 1.0, {"app": "live", "on": True, "none": None, "n": 2.5}, None, False]
    assert list(rtmp.values(b"".join(map(rtmp.amf, said)))) == said


def test_messages_are_put_together_however_they_arrive() -> None:
    body = os.urandom(150_000)
    line = rtmp.message(1, b"\0\0\xea\x60") + rtmp.message(9, body, time_ms=20_000_000, stream=1)
    line += rtmp.message(8, b"sound", time_ms=5)
    incoming = rtmp.Incoming()
    found = []
    stream_ = io.BytesIO(line)
    while part := stream_.read(1000):
        found += incoming.feed(part)
    assert [(kind, data) for kind, data in found if kind != 1] == [(9, body), (8, b"sound")]


def test_a_server_that_speaks_something_else_is_told() -> None:
    with pytest.raises(ValueError, match="does not speak RTMP"):
        rtmp.Incoming().feed(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ValueError, match="cut short"):
        list(rtmp.values(b"\x02\x00\x09ab"[:2]))
