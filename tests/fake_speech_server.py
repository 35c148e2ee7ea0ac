"""A real HTTP server on the loopback that speaks `/v1/audio/speech`: a tone a character."""

import http.server
import io
import json
import struct
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

CHAR_S = 0.06
"""Sound a character of text."""


class SpeechServer(http.server.ThreadingHTTPServer):
    """Counts and keeps requests; misbehaves as told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.rate = 24_000
        self.refusals: list[tuple[int, dict[str, str], dict[str, Any]]] = []
        """Answers to give first: status, headers, JSON body."""
        self.break_after: int | None = None
        """Bytes of sound after which the connection is cut."""
        self.hold = threading.Event()
        """Waited for before the second piece of sound."""
        self.hold.set()

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients that hang up in the middle are part of the tests."""

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Exchange(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, SpeechServer)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.requests.append({"path": self.path, **body})
        server.keys.append(self.headers.get("Authorization"))
        if server.refusals:
            status, headers, tree = server.refusals.pop(0)
            data = json.dumps(tree).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
            return
        sound = tones(body["input"], server.rate, body.get("speed", 1.0))
        wav = body["response_format"] == "wav"
        data = riff(sound, server.rate) if wav else sound
        self.send_response(200)
        self.send_header("Content-Type", "audio/wav" if wav else "audio/pcm")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(0, len(data), 5001):  # odd: samples are cut in two on the way
            if server.break_after is not None and at > server.break_after:
                self.close_connection = True
                return
            piece = data[at : at + 5001]
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.flush()
            server.hold.wait(20)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def tones(text: str, rate: int, speed: float) -> bytes:
    """Return 16-bit sound: letters hum, everything else is a gap."""
    length = round(CHAR_S * rate / speed)
    t = np.arange(length) / rate
    hum = 0.4 * np.sin(2 * np.pi * 200 * t) * np.hanning(length)
    parts = [hum if ch.isalnum() else np.zeros(length) for ch in text]
    samples: np.ndarray[Any, Any] = np.concatenate(parts) if parts else np.zeros(0)
    return (samples * 32767).astype("<i2").tobytes()


def riff(sound: bytes, rate: int) -> bytes:
    """Return a WAV file with a chunk that nobody knows before its sound."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(sound)
    data = buffer.getvalue()
    return data[:36] + b"LIST" + struct.pack("<I", 4) + b"INFO" + data[36:]


@contextmanager
def speech_server() -> Iterator[SpeechServer]:
    """Run a server for as long as the block lasts."""
    server = SpeechServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.hold.set()
        server.shutdown()
        thread.join()
        server.server_close()
