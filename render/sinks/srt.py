"""SRT, the calling side: MPEG-TS over UDP with lost packets sent again, by the system's libsrt.

Runs on: the sending thread of `render.sinks.stream`. Every wait has an end (`CONNECT_S`, `SEND_S`),
and `abort`, from any thread, ends it at once. The library (MPL-2.0) is loaded where it is
installed; PyAV's wheels carry none, and PyAV's own opening of an output cannot be interrupted.

A server that was killed says no goodbye, and libsrt itself takes over five seconds to believe it.
So a server that confirms nothing for `QUIET_S` is asked, from a socket beside, whether it is there.
"""

import atexit
import contextlib
import ctypes
import ctypes.util
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from dialogue.plugins import EngineError, EngineUnavailable

CONNECT_S = 5.0
SEND_S = 5.0
"""A server that takes nothing for so long is gone."""

IDLE_S = 3.0
"""A server that confirmed nothing of what it was sent for so long is gone, or the line is."""
QUIET_S = 0.25
"""A server that confirmed nothing for so long (it does each 10 ms) is asked whether it is there."""
GRACE_S = 0.25
"""One that answers that and confirms nothing for so long after is a new one: it was restarted."""
GOODBYE_S = 0.5
"""How long the last packets may take."""

PAYLOAD = 1316
"""Bytes a packet: seven of MPEG-TS's."""

NAMES = (
    "libsrt-gnutls.so.1.5", "libsrt-openssl.so.1.5", "libsrt.so.1.5", "libsrt.so.1", "libsrt.so",
    "libsrt.dylib", "/opt/homebrew/lib/libsrt.dylib", "/usr/local/lib/libsrt.dylib",
    "srt.dll", "libsrt.dll",
)  # fmt: skip
"""Where the library may be found, beside what `ldconfig` knows."""

REMEDY = (
    "srt needs libsrt: apt install libsrt1.5-gnutls (Debian), dnf install srt-libs (Fedora), "
    "brew install srt (macOS), or srt.dll on PATH (Windows)"
)

# libsrt's numbers (srt.h, SRT_SOCKOPT).
_SNDSYN, _SNDTIMEO, _SENDER, _LATENCY, _PASSPHRASE = 1, 13, 21, 23, 26
_SNDDATA, _CONNTIMEO, _STREAMID, _PAYLOADSIZE, _PEERIDLETIMEO = 19, 36, 46, 49, 55
_LOG_CRITICAL = 2

_STATS_BYTES = 4096
"""More than SRT_TRACEBSTATS takes in any version."""
_STATS_CONFIRMED = 40
"""Where in it the confirmations that came are counted (pktRecvACKTotal)."""
_PACKET = 1500
"""About what a packet takes while it waits."""

_lock = threading.Lock()
_loaded: Any = None
_open: set[int] = set()
_busy = threading.Condition()
_calls = 0


def library() -> Any:
    """Return libsrt.

    Raises:
        EngineUnavailable: it is not installed; says how to get it.
    """
    global _loaded
    with _lock:
        if _loaded is None:
            found = [ctypes.util.find_library(name) for name in ("srt", "srt-gnutls")]
            for name in (*filter(None, found), *NAMES):
                try:
                    known = ctypes.CDLL(name)
                    break
                except OSError:
                    continue
            else:
                raise EngineUnavailable(REMEDY)
            known.srt_getlasterror_str.restype = ctypes.c_char_p
            known.srt_rejectreason_str.restype = ctypes.c_char_p
            _loaded = known
        return _loaded


@contextlib.contextmanager
def _call() -> Iterator[None]:
    """Count a call that may block, so that the end of the process can wait for it."""
    global _calls
    with _busy:
        _calls += 1
    try:
        yield
    finally:
        with _busy:
            _calls -= 1
            _busy.notify_all()


def _end() -> None:
    """Close what is open when the process ends: libsrt would free it under those who use it."""
    for number in list(_open):
        _loaded.srt_close(number)
    with _busy:
        _busy.wait_for(lambda: _calls == 0, GOODBYE_S * 4)
    _loaded.srt_cleanup()


def version() -> str:
    """Return libsrt's version, such as "1.5.1".

    Raises:
        EngineUnavailable: it is not installed; says how to get it.
    """
    number = library().srt_getversion()
    return f"{number >> 16}.{number >> 8 & 255}.{number & 255}"


class Srt:
    """One connection that sends MPEG-TS."""

    def __init__(self, host: str, port: int, settings: Mapping[str, str], latency_ms: int) -> None:
        """Connect; blocks at most `CONNECT_S`.

        Args:
            host: name or address.
            port: where the server listens.
            settings: `streamid` and `passphrase`, where the server asks for them.
            latency_ms: how long the server may wait for packets that are sent again.

        Raises:
            EngineUnavailable: there is no libsrt.
            EngineError: the server is not there or refuses.
        """
        self._srt = library()
        if not self._srt.srt_startup():  # 1: it was started before
            atexit.register(_end)
        self._srt.srt_setloglevel(_LOG_CRITICAL)
        self._held = bytearray()
        self._latency_s = latency_ms / 1e3
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except OSError as error:
            raise EngineError(f"cannot be found ({error.strerror})") from None
        family, _, _, _, address = found[0]
        self._watch = _Watch(family, address)
        self._socket = self._srt.srt_create_socket()
        _open.add(self._socket)
        for option, number in (
            (_SENDER, 1), (_SNDSYN, 1), (_PAYLOADSIZE, PAYLOAD), (_LATENCY, latency_ms),
            (_SNDTIMEO, round(SEND_S * 1e3)), (_CONNTIMEO, round(CONNECT_S * 1e3)),
            (_PEERIDLETIMEO, round(IDLE_S * 1e3)),
        ):  # fmt: skip
            value = ctypes.c_int(number)
            self._srt.srt_setsockflag(self._socket, option, ctypes.byref(value), 4)
        for name, option in (("streamid", _STREAMID), ("passphrase", _PASSPHRASE)):
            text = settings.get(name, "").encode()
            if text and self._srt.srt_setsockflag(self._socket, option, text, len(text)) < 0:
                self.abort()
                raise EngineError(f"its {name} cannot be used ({_LENGTHS[name]})")
        where = _address(family, address)
        with _call():
            failed = self._srt.srt_connect(self._socket, where, len(where)) < 0
        if failed:
            reason = self._srt.srt_getrejectreason(self._socket)
            reject = _text(self._srt.srt_rejectreason_str(reason)) if reason else ""
            if not reject or reject.endswith("TIMEOUT"):
                reject = "no answer"
            self.abort()
            raise EngineError(f"cannot be reached ({reject})")

    def send(self, data: bytes) -> None:
        """Send MPEG-TS; blocks at most `SEND_S`.

        Raises:
            EngineError: the server has gone away.
        """
        gone = self._watch.look(time.monotonic(), self._confirmed)
        if gone:
            raise EngineError(f"broke off ({gone})")
        self._held += data
        whole = len(self._held) - len(self._held) % PAYLOAD
        for at in range(0, whole, PAYLOAD):
            part = bytes(self._held[at : at + PAYLOAD])
            with _call():
                failed = self._srt.srt_send(self._socket, part, PAYLOAD) < 0
            if failed:
                said = _text(self._srt.srt_getlasterror_str())
                raise EngineError(f"broke off ({said})")
        del self._held[:whole]

    @property
    def waiting(self) -> int:
        """Bytes that the server has not confirmed yet."""
        number, size = ctypes.c_int(0), ctypes.c_int(4)
        self._srt.srt_getsockflag(self._socket, _SNDDATA, ctypes.byref(number), ctypes.byref(size))
        return max(0, number.value) * _PACKET

    @property
    def _confirmed(self) -> int:
        """How often the server has confirmed something."""
        stats = ctypes.create_string_buffer(_STATS_BYTES)
        self._srt.srt_bstats(self._socket, stats, 0)
        return ctypes.c_int.from_buffer(stats, _STATS_CONFIRMED).value

    def close(self) -> None:
        """Send what is left and hang up."""
        if self._held:
            self._srt.srt_send(self._socket, bytes(self._held), len(self._held))
        end = time.monotonic() + GOODBYE_S
        while self.waiting and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(self._latency_s)  # until then the server holds the last packets back
        self.abort()

    def abort(self) -> None:
        """Hang up at once; any thread."""
        _open.discard(self._socket)
        self._srt.srt_close(self._socket)
        self._watch.close()


class _Watch:
    """Notices early that a server is gone; on the sending thread.

    While one confirms what it gets, nothing is done. When it falls silent it is asked for a new
    connection, which is never made: a port that nobody has refuses, and a server that answers but
    does not know the old connection any more was restarted.
    """

    def __init__(self, family: int, address: tuple[Any, ...]) -> None:
        self._where = (family, address)
        self._asking: socket.socket | None = None
        self._asked_s = 0.0  # how long it had been silent then
        self._answered_s: float | None = None
        self._count = -1
        self._looked = 0.0
        self._silent_s = 0.0

    def look(self, now: float, confirmed: int) -> str:
        """Return why the server is taken for gone, "" while it is not.

        Called before each sending: time in which nothing was sent is no silence of the server's.

        Args:
            now: seconds, monotonic.
            confirmed: how often it has confirmed something.
        """
        passed, self._looked = now - self._looked, now
        if confirmed != self._count:
            self._count, self._silent_s = confirmed, 0.0
            self.close()
            return ""
        self._silent_s += min(passed, QUIET_S / 4)
        if self._silent_s < QUIET_S:
            return ""
        if self._silent_s > IDLE_S:
            return f"not heard for {IDLE_S:.0f} s"
        if self._answered_s is None:
            try:
                self._ask()
            except ConnectionRefusedError:
                return "nobody listens there any more"
            except OSError:
                return ""  # the network is away: it may come back within `IDLE_S`
        elif self._silent_s - self._answered_s > GRACE_S:
            return "it was restarted"
        return ""

    def close(self) -> None:
        """Ask no more."""
        asking, self._asking, self._answered_s = self._asking, None, None
        if asking is not None:
            asking.close()

    def _ask(self) -> None:
        """Ask, every `QUIET_S` again, and note an answer."""
        asking = self._asking
        if asking is None:
            asking = self._asking = socket.socket(self._where[0], socket.SOCK_DGRAM)
            asking.setblocking(False)
            asking.connect(self._where[1])
            self._asked_s = 0.0
        with contextlib.suppress(BlockingIOError):
            if asking.recv(2048):
                self._answered_s = self._silent_s
                return
        if self._silent_s - self._asked_s >= QUIET_S:
            self._asked_s = self._silent_s
            asking.send(_INDUCTION)


_INDUCTION = (
    # A control packet (handshake) with no time, to no socket; then version 4, type 2, sequence 0,
    # 1500 bytes a packet, 8192 packets under way, induction (1), our socket's number, no cookie
    # and no address: what begins a connection, and alone makes none.
    struct.pack(">IIII", 0x80000000, 0, 0, 0)
    + struct.pack(">IHHIIIIII", 4, 0, 2, 0, 1500, 8192, 1, 1, 0)
    + bytes(16)
)

_LENGTHS = {
    "streamid": "at most 512 bytes",
    "passphrase": "10 to 79 characters",
}


def _text(said: bytes) -> str:
    """Return what the library says, in one line."""
    return " ".join(said.decode("utf-8", "replace").split()).rstrip(".")


def _address(family: int, address: tuple[Any, ...]) -> bytes:
    """Return a socket address as C has it."""
    host, port = str(address[0]), int(address[1])
    if sys.platform == "darwin":
        start = bytes([0, family])
    else:
        start = family.to_bytes(2, sys.byteorder)
    start += port.to_bytes(2, "big")
    if family == socket.AF_INET6:
        flow, scope = int(address[2]), int(address[3])
        start += flow.to_bytes(4, "big") + socket.inet_pton(family, host.split("%")[0])
        return start + scope.to_bytes(4, sys.byteorder)
    return start + socket.inet_pton(family, host) + bytes(8)
