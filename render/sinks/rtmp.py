"""RTMP and RTMPS, the publishing side: handshake, commands, and FLV tags as messages.

Runs on: the sending thread of `render.sinks.stream`. Every wait has an end (`CONNECT_S`, `SEND_S`),
and `abort`, from any thread, ends it at once. PyAV carries an RTMP client, which is not used: it
holds the interpreter's lock while it connects, without a time limit, so that a server that accepts
and says nothing would stop the whole show. The protocol is Adobe's "RTMP Specification 1.0"; the
handshake is the plain one, as every server takes it.
"""

import contextlib
import os
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from typing import Any

from dialogue.plugins import EngineError

PORTS = {"rtmp": 1935, "rtmps": 443}

CONNECT_S = 8.0
"""A server must have taken the stream by then."""
SEND_S = 8.0
"""A server that takes nothing for so long is gone."""
GOODBYE_S = 1.0
"""How long the end of a stream may take to be said."""

CHUNK = 60_000
"""Bytes in which messages are cut: large, since nothing else has to get in between."""
MESSAGE_BYTES = 1 << 20
"""Longest message taken from a server; its own are a few hundred bytes."""
BUFFER_BYTES = 128 * 1024
"""What the system holds of what was not sent yet: little, so that a slow line is seen in our own
queue (0.25 s at 4 Mbit/s)."""

_HANDSHAKE = 1536
_SET_CHUNK, _ACKNOWLEDGE, _USER, _WINDOW, _COMMAND = 1, 3, 4, 5, 20
_AUDIO, _VIDEO, _SCRIPT = 8, 9, 18
_CHUNK_STREAMS = {_AUDIO: 4, _VIDEO: 6, _SCRIPT: 4, _COMMAND: 3}
_PING, _PONG = 6, 7


class Rtmp:
    """One connection that publishes one stream."""

    def __init__(self, host: str, port: int, app: str, key: str, *, tls: bool) -> None:
        """Connect and ask to publish; blocks at most `CONNECT_S`.

        Args:
            host: name or address.
            port: usually 1935, with `tls` 443.
            app: the path before the key, such as "live" or "app".
            key: names the stream, and is its secret on public services.
            tls: RTMPS.

        Raises:
            EngineError: it is not there, is no RTMP server, or does not want this stream.
        """
        self._incoming = Incoming()
        self._taken = self._told = 0
        self._window = 0
        self._stream = 0
        self._calls = 0
        end = time.monotonic() + CONNECT_S
        try:
            self._socket = socket.create_connection((host, port), CONNECT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
            if tls:
                self._socket.settimeout(max(0.1, end - time.monotonic()))
                self._socket = ssl.create_default_context().wrap_socket(
                    self._socket, server_hostname=host
                )
        except OSError as error:
            raise EngineError(f"cannot be reached ({why(error)})") from None
        try:
            self._shake_hands(end)
            self._write(_SET_CHUNK, struct.pack(">I", CHUNK))
            scheme = "rtmps" if tls else "rtmp"
            default = PORTS[scheme] == port
            address = f"{scheme}://{host}{'' if default else f':{port}'}/{app}"
            self._call(
                "connect",
                {
                    "app": app, "type": "nonprivate",
                    "flashVer": "FMLE/3.0 (compatible; Bunraku)", "tcUrl": address,
                },
                end=end,
            )  # fmt: skip
            self._tell("releaseStream", None, key)
            self._tell("FCPublish", None, key)
            self._stream = int(self._call("createStream", None, end=end))
            self._key = key
            self._call("publish", None, key, "live", end=end, done="NetStream.Publish.Start")
        except TimeoutError:
            self.abort()
            raise EngineError("does not answer; is it an RTMP server?") from None
        except (OSError, ValueError, struct.error) as error:
            self.abort()
            raise EngineError(f"broke off ({why(error)})") from None
        except EngineError:
            self.abort()
            raise

    def send(self, kind: int, time_ms: int, payload: bytes) -> None:
        """Send one FLV tag; blocks at most `SEND_S`.

        Args:
            kind: 8 for sound, 9 for pictures, 18 for metadata.
            time_ms: when it is to be played, in stream time.
            payload: the tag's body.

        Raises:
            EngineError: the server has gone away, or wants no more.
        """
        if kind == _SCRIPT:
            payload = amf("@setDataFrame") + payload
        try:
            self._listen()
            self._write(kind, payload, time_ms=time_ms, stream=self._stream)
        except TimeoutError:
            raise EngineError(f"took nothing for {SEND_S:.0f} s") from None
        except (OSError, ValueError, struct.error) as error:
            raise EngineError(f"broke off ({why(error)})") from None

    def close(self) -> None:
        """Say goodbye and hang up."""
        with contextlib.suppress(OSError):
            self._socket.settimeout(GOODBYE_S)
            self._tell("FCUnpublish", None, self._key)
            self._tell("deleteStream", None, float(self._stream))
            if not isinstance(self._socket, ssl.SSLSocket):
                self._socket.shutdown(socket.SHUT_WR)
            # Who hangs up with unread bytes resets the connection, and the end may get lost.
            while self._socket.recv(4096):
                pass
        self.abort()

    def abort(self) -> None:
        """Hang up at once; any thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._socket.close()

    def _shake_hands(self, end: float) -> None:
        self._socket.settimeout(max(0.1, end - time.monotonic()))
        self._socket.sendall(b"\x03" + bytes(8) + os.urandom(_HANDSHAKE - 8))
        answer = b""
        while len(answer) < 1 + 2 * _HANDSHAKE:
            part = self._socket.recv(1 + 2 * _HANDSHAKE - len(answer))
            if not part:
                raise ConnectionError("closed in the handshake")
            answer += part
            if answer[0] != 3:
                raise ValueError("it does not speak RTMP")
            if len(answer) >= 1 + _HANDSHAKE > len(answer) - len(part):
                self._socket.sendall(answer[1 : 1 + _HANDSHAKE])

    def _tell(self, name: str, *arguments: Any) -> int:
        """Send a command that needs no answer; returns its number."""
        self._calls += 1
        body = amf(name) + amf(float(self._calls)) + b"".join(map(amf, arguments))
        stream = self._stream if name == "publish" else 0
        self._write(_COMMAND, body, stream=stream)
        return self._calls

    def _call(self, name: str, *arguments: Any, end: float, done: str = "") -> Any:
        """Send a command and return what it answers, or wait for the status `done`."""
        number = self._tell(name, *arguments)
        while True:
            self._socket.settimeout(max(0.001, end - time.monotonic()))
            part = self._socket.recv(65_536)
            if not part:
                raise ConnectionError(f"closed instead of an answer to {name}")
            for answer in self._read(part):
                match answer:
                    case ["_result", got, *rest] if got == number and not done:
                        return rest[-1] if rest else None
                    case ["_error", got, *rest] if got == number:
                        raise EngineError(f"refused the stream ({_said(rest[-1:])})")
                    case ["onStatus", *rest] if done and _code(rest) == done:
                        return None

    def _listen(self) -> None:
        """Take what the server has said meanwhile, without waiting."""
        self._socket.settimeout(0.0)
        try:
            while part := self._socket.recv(65_536):
                for _ in self._read(part):
                    pass
                self._socket.settimeout(0.0)
            raise ConnectionError("closed by the server")
        except (BlockingIOError, ssl.SSLWantReadError):
            pass

    def _read(self, part: bytes) -> Iterator[list[Any]]:
        """Yield the commands in `part`; the rest is answered here."""
        self._taken += len(part)
        for kind, body in self._incoming.feed(part):
            if kind == _USER and struct.unpack(">H", body[:2])[0] == _PING:
                self._write(_USER, struct.pack(">H", _PONG) + body[2:6])
            elif kind == _WINDOW:
                (self._window,) = struct.unpack(">I", body[:4])
            elif kind == _COMMAND:
                command = list(values(body))
                if command[:1] == ["onStatus"] and _level(command) == "error":
                    raise EngineError(f"refused the stream ({_said(command[-1:])})")
                yield command
        if self._window and self._taken - self._told >= self._window:
            self._told = self._taken
            self._write(_ACKNOWLEDGE, struct.pack(">I", self._taken & 0xFFFFFFFF))

    def _write(self, kind: int, body: bytes, *, time_ms: int = 0, stream: int = 0) -> None:
        self._socket.settimeout(SEND_S)
        self._socket.sendall(message(kind, body, time_ms=time_ms, stream=stream))


class Incoming:
    """Cuts what a server sends into messages; knows no socket."""

    def __init__(self) -> None:
        """Expect the first byte after the handshake."""
        self._buffer = bytearray()
        self._chunk = 128
        self._heads: dict[int, tuple[int, int, bool]] = {}  # length, kind, extended time
        self._parts: dict[int, bytearray] = {}

    def feed(self, part: bytes) -> list[tuple[int, bytes]]:
        """Return the messages that are complete with `part`, as (kind, body).

        Raises:
            ValueError: it is no RTMP.
        """
        self._buffer += part
        found = []
        while (message_ := self._next()) is not None:
            kind, body = message_
            if kind == _SET_CHUNK and len(body) >= 4:
                self._chunk = max(1, struct.unpack(">I", body[:4])[0] & 0x7FFFFFFF)
            if kind:
                found.append((kind, body))
        return found

    def _next(self) -> tuple[int, bytes] | None:
        """Take one chunk; returns its message when that is complete, (0, b"") when it is not."""
        data = self._buffer
        if len(data) < 3:
            return None
        form, number, at = data[0] >> 6, data[0] & 63, 1
        if number < 2:
            wide = number + 1
            number, at = 64 + int.from_bytes(data[1 : 1 + wide], "little"), 1 + wide
        size = (11, 7, 3, 0)[form]
        if len(data) < at + size:
            return None
        head = bytes(data[at : at + size])
        at += size
        length, kind, extended = self._heads.get(number, (0, 0, False))
        if form < 3:
            extended = head[:3] == b"\xff\xff\xff"
        if form < 2:
            length, kind = int.from_bytes(head[3:6], "big"), head[6]
        if not kind or length > MESSAGE_BYTES:
            raise ValueError("it does not speak RTMP")
        if extended:
            at += 4
        known = self._parts.get(number, bytearray())
        wanted = min(self._chunk, length - len(known))
        if len(data) < at + wanted:
            return None
        self._heads[number] = (length, kind, extended)
        known += data[at : at + wanted]
        del data[: at + wanted]
        if len(known) < length:
            self._parts[number] = known
            return 0, b""
        self._parts.pop(number, None)
        return kind, bytes(known)


def message(kind: int, body: bytes, *, time_ms: int = 0, stream: int = 0) -> bytes:
    """Return a message as it goes over the line, in chunks."""
    number = _CHUNK_STREAMS.get(kind, 2)
    time_ms &= 0xFFFFFFFF
    late = struct.pack(">I", time_ms) if time_ms >= 0xFFFFFF else b""
    head = min(time_ms, 0xFFFFFF).to_bytes(3, "big") + len(body).to_bytes(3, "big")
    parts = [bytes([number]), head, bytes([kind]), struct.pack("<I", stream), late, body[:CHUNK]]
    for at in range(CHUNK, len(body), CHUNK):
        parts += [bytes([0xC0 | number]), late, body[at : at + CHUNK]]
    return b"".join(parts)


def amf(value: Any) -> bytes:
    """Return `value` in AMF0: text, numbers, truth, None, and dicts of these."""
    match value:
        case None:
            return b"\x05"
        case bool():
            return b"\x01" + bytes([value])
        case float() | int():
            return b"\x00" + struct.pack(">d", value)
        case str():
            text = value.encode()
            return b"\x02" + struct.pack(">H", len(text)) + text
        case dict():
            pairs = b"".join(amf(key)[1:] + amf(inner) for key, inner in value.items())
            return b"\x03" + pairs + b"\0\0\x09"
    raise TypeError(f"{type(value).__name__} has no form in AMF0")


def values(body: bytes) -> Iterator[Any]:
    """Yield the AMF0 values in `body`.

    Raises:
        ValueError: it is none.
    """
    at = 0
    while at < len(body):
        try:
            value, at = _value(body, at)
        except (IndexError, struct.error):
            raise ValueError("a value is cut short") from None
        yield value


def _value(body: bytes, at: int) -> tuple[Any, int]:
    kind = body[at]
    at += 1
    match kind:
        case 0:
            return struct.unpack_from(">d", body, at)[0], at + 8
        case 1:
            return bool(body[at]), at + 1
        case 2:
            (size,) = struct.unpack_from(">H", body, at)
            return body[at + 2 : at + 2 + size].decode("utf-8", "replace"), at + 2 + size
        case 3 | 8:
            found: dict[str, Any] = {}
            at += 4 if kind == 8 else 0
            while body[at : at + 3] != b"\0\0\x09":
                (size,) = struct.unpack_from(">H", body, at)
                name = body[at + 2 : at + 2 + size].decode("utf-8", "replace")
                found[name], at = _value(body, at + 2 + size)
            return found, at + 3
        case 5 | 6:
            return None, at
        case 10:
            (count,) = struct.unpack_from(">I", body, at)
            items, at = [], at + 4
            for _ in range(count):
                item, at = _value(body, at)
                items.append(item)
            return items, at
    raise ValueError(f"a value of kind {kind} is unknown")


def _code(rest: list[Any]) -> str:
    return str(rest[-1].get("code", "")) if rest and isinstance(rest[-1], dict) else ""


def _level(command: list[Any]) -> str:
    return str(command[-1].get("level", "")) if isinstance(command[-1], dict) else ""


def _said(last: list[Any]) -> str:
    """Return what a server says of an error, in one line."""
    about = last[0] if last and isinstance(last[0], dict) else {}
    parts = (str(about.get(key, "")) for key in ("code", "description"))
    text = ": ".join(part for part in parts if part) or "no reason given"
    return " ".join(text.split())[:200]


def why(error: Exception) -> str:
    """Return what the system says of an error, in a few words."""
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0]
