"""A real HTTP server on the loopback that answers chat completions by script, byte by byte."""

import json
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Answer:
    """What the server sends for one request."""

    pieces: Sequence[bytes] = ()
    """Parts of the body, each sent as a chunk of its own."""
    status: str = "200 OK"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    """Close the connection in the middle of the body."""
    wait: threading.Event | None = None
    """Set by the test; waited for between the first piece and the next."""
    drop: bool = False
    """Close without a word."""


def event(text: str, **more: Any) -> bytes:
    tree = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}], **more}
    return b"data: " + json.dumps(tree, ensure_ascii=False).encode() + b"\n\n"


def reply(*texts: str) -> Answer:
    end = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    return Answer([*(event(t) for t in texts), end, b"data: [DONE]\n\n"])


class FakeServer:
    """Answers requests in turn; a context manager."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        self.client_left = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def __enter__(self) -> "FakeServer":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._open:
            connection.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        reader = connection.makefile("rb")
        try:
            while self._one(connection, reader):
                pass
        except OSError:
            self.client_left.set()
        finally:
            reader.close()
            connection.close()

    def _one(self, connection: socket.socket, reader: Any) -> bool:
        request = reader.readline()
        if not request:
            return False
        headers = {}
        while line := reader.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = json.loads(reader.read(int(headers["content-length"])))
        self.headers.append({**headers, "request": request.decode().strip()})
        self.requests.append(body)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer.drop:
            return False
        head = f"HTTP/1.1 {answer.status}\r\nTransfer-Encoding: chunked\r\n"
        head += "".join(f"{k}: {v}\r\n" for k, v in answer.headers.items())
        connection.sendall(head.encode() + b"\r\n")
        for number, piece in enumerate(answer.pieces):
            if number == 1 and answer.wait is not None:
                answer.wait.wait(10)
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        if answer.cut:
            return False
        connection.sendall(b"0\r\n\r\n")
        return True
