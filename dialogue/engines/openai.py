"""Any server that speaks OpenAI's chat completions: hosted ones, llama-server, Ollama, vLLM.

Our own client over `http.client`: the protocol is one request and a stream of `data:` lines.
Sources: OpenAI's openapi.yaml (2026-08) for request, chunks and errors; the WHATWG HTML standard,
section 9.2, for server-sent events; vendors' field lists for the allow-list.
"""

import codecs
import http.client
import ipaddress
import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, ClassVar
from urllib.parse import urlsplit

from dialogue.engine import Prompt
from dialogue.plugins import EngineError, EngineUnavailable

FIELDS = ("model", "messages", "stream", "max_tokens", "temperature", "seed")
"""Sent by default: what every server takes."""
KNOWN_FIELDS = (*FIELDS, "max_completion_tokens", "stream_options", "grammar")
"""What `fields` may name. Newer hosted models want `max_completion_tokens` for `max_tokens`;
`grammar` is llama-server's."""

_ERROR_BYTES = 8192
_PIECE_BYTES = 65536


class OpenAIModel:
    """A model behind an address."""

    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        api_key_env: str = "OPENAI_API_KEY",
        fields: tuple[str, ...] = FIELDS,
        extra: Mapping[str, Any] | None = None,
        connect_timeout_s: float = 5.0,
        timeout_s: float = 20.0,
        translates: bool = True,
    ) -> None:
        """Check the settings; nothing is sent.

        Args:
            base_url: up to and including the version, such as `http://localhost:11434/v1`.
            model: a name that the server knows.
            api_key_env: environment variable that holds the key; "" for servers without keys.
                On this machine's own servers the variable may be unset.
            fields: request fields the server takes, of `KNOWN_FIELDS`; some vendors reject others.
            extra: more request fields, as they are.
            connect_timeout_s: longest wait for a connection, in seconds.
            timeout_s: longest silence of the server, in seconds.
            translates: whether it may be asked to translate captions; false for small models.

        Raises:
            EngineUnavailable: a setting is wrong or the key is missing.
        """
        address = urlsplit(base_url.rstrip("/"))
        if address.scheme not in ("http", "https") or not address.hostname:
            raise EngineUnavailable(
                f"openai: base_url {base_url!r} is no address; "
                "write it like http://localhost:11434/v1"
            )
        try:
            port = address.port
        except ValueError:
            raise EngineUnavailable(f"openai: base_url {base_url!r} has no valid port") from None
        if not model:
            raise EngineUnavailable("openai: model is empty; name one that the server has")
        unknown = sorted(set(fields) - set(KNOWN_FIELDS))
        if unknown:
            raise EngineUnavailable(
                f"openai: fields has {unknown[0]!r}; known: {', '.join(KNOWN_FIELDS)} "
                "(others go into extra)"
            )
        key = os.environ.get(api_key_env, "") if api_key_env else ""
        if api_key_env and not key and not _is_local(address.hostname):
            raise EngineUnavailable(
                f"openai: no key for {address.hostname}; set the environment variable "
                f'{api_key_env}, or api_key_env = "" for a server without keys'
            )
        if any(ord(c) < 33 or ord(c) > 126 for c in key):
            raise EngineUnavailable(
                f"openai: the key in {api_key_env} has spaces or odd characters"
            )
        self._secure = address.scheme == "https"
        self._host, self._port = address.hostname, port
        self._path = f"{address.path}/chat/completions"
        self._model = model
        self.translates = translates
        """See `dialogue.engine.Translating`."""
        self._key, self._key_env = key, api_key_env
        self._fields = frozenset(fields)
        self._extra = dict(extra or {})
        self._connect_timeout_s, self._timeout_s = connect_timeout_s, timeout_s
        self._tls = ssl.create_default_context() if self._secure else None
        self._lock = threading.Lock()
        self._idle: http.client.HTTPConnection | None = None
        self._closed = False
        self.usage: dict[str, Any] = {}
        """The server's token counts of the last reply, where it sent them."""

    def warm(self, prompt: Prompt) -> None:
        """Open the connection, so that the first reply need not."""
        with self._lock:
            if self._idle is not None:
                return
        connection = self._connect()
        self._put_back(connection)

    def reply(self, prompt: Prompt) -> Iterator[str]:
        """Yield text deltas; closing the generator closes the connection."""
        connection, response = self._request(self._body(prompt))
        reusable = False
        try:
            stream = EventStream()
            finished = False
            while not finished:
                for event in stream.feed(self._read(response)):
                    if event == "[DONE]":
                        finished = True
                        break
                    text, ended = self._delta(event)
                    if text:
                        yield text
                    finished = finished or ended and not self._wants_usage
            reusable = self._drained(response)
        finally:
            if reusable:
                self._put_back(connection)
            else:
                _shut(connection)

    def close(self) -> None:
        """Close the idle connection."""
        with self._lock:
            self._closed = True
            connection, self._idle = self._idle, None
        if connection is not None:
            connection.close()

    # -- request --------------------------------------------------------------------------

    @property
    def _where(self) -> str:
        return f"openai ({self._host})"

    @property
    def _wants_usage(self) -> bool:
        return "stream_options" in self._fields

    def _body(self, prompt: Prompt) -> bytes:
        offered: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": line.role, "content": line.text} for line in prompt.lines],
            "stream": True,
            "max_tokens": prompt.max_tokens,
            "max_completion_tokens": prompt.max_tokens,
            "temperature": prompt.temperature,
            "seed": prompt.seed,
            "stream_options": {"include_usage": True},
            "grammar": prompt.grammar,
        }
        body = {k: v for k, v in offered.items() if k in self._fields and v is not None}
        return json.dumps({**body, **self._extra}).encode()

    def _connect(self) -> http.client.HTTPConnection:
        if self._secure:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                self._host, self._port, timeout=self._connect_timeout_s, context=self._tls
            )
        else:
            connection = http.client.HTTPConnection(
                self._host, self._port, timeout=self._connect_timeout_s
            )
        try:
            connection.connect()
        except ssl.SSLError as error:
            raise EngineError(f"{self._where}: no secure connection: {error.reason}") from error
        except OSError as error:
            raise EngineError(
                f"{self._where}: cannot connect ({_cause(error)}); "
                "is the server running and base_url right?"
            ) from error
        connection.sock.settimeout(self._timeout_s)
        with suppress(OSError):
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _put_back(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if self._idle is None and not self._closed:
                self._idle = connection
                return
        connection.close()

    def _request(self, body: bytes) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send the request and return connection and response; an idle connection may be dead."""
        with self._lock:
            connection, self._idle = self._idle, None
        reused = connection is not None
        connection = connection or self._connect()
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            try:
                connection.request("POST", self._path, body, headers)
                response = connection.getresponse()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                if not reused:
                    raise
                connection.close()
                connection = self._connect()
                connection.request("POST", self._path, body, headers)
                response = connection.getresponse()
            if response.status != 200:
                raise self._refusal(response)
        except TimeoutError as error:
            _shut(connection)
            raise EngineError(
                f"{self._where}: no answer for {self._timeout_s:g} s; the server may be loading "
                "the model, or raise timeout_s"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            _shut(connection)
            raise EngineError(f"{self._where}: {_cause(error)}") from error
        except BaseException:
            _shut(connection)
            raise
        return connection, response

    def _refusal(self, response: http.client.HTTPResponse) -> EngineError:
        """Make an error of a response that is not a stream."""
        raw = response.read(_ERROR_BYTES).decode("utf-8", "replace")
        reason = _reason(raw) or response.reason
        if self._key:
            reason = reason.replace(self._key, "***")
        status = response.status
        wait = _seconds(response.getheader("Retry-After"))
        remedy = {
            400: "a field may be unknown to this server: see fields",
            401: f"check the key in {self._key_env or 'api_key_env'}",
            403: f"the key in {self._key_env or 'api_key_env'} may not use {self._model}",
            404: f"check base_url and that the server has the model {self._model!r}",
            429: f"too many requests or no credit; retry after {wait:g} s"
            if wait is not None
            else "too many requests or no credit; retry later or name a successor",
        }.get(status, "retry later or name a successor" if status >= 500 else "")
        return EngineError(
            f"{self._where}: {status} {reason}" + (f"; {remedy}" if remedy else ""),
            retry_after_s=wait,
        )

    # -- response -------------------------------------------------------------------------

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        try:
            data = response.read1(_PIECE_BYTES)
        except TimeoutError as error:
            raise EngineError(
                f"{self._where}: the stream stood still for {self._timeout_s:g} s"
            ) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise EngineError(f"{self._where}: the stream broke off ({_cause(error)})") from error
        if not data:
            raise EngineError(f"{self._where}: the stream broke off before its end")
        return data

    def _drained(self, response: http.client.HTTPResponse) -> bool:
        """Read what may follow the last event; True if the connection can serve again."""
        try:
            if response.will_close:
                return False
            response.fp.raw._sock.settimeout(0.2)  # type: ignore[attr-defined]
            rest = response.read(1024)
            return len(rest) < 1024 and response.isclosed()
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            return False

    def _delta(self, event: str) -> tuple[str, bool]:
        """Return the text of an event and whether it ends the reply."""
        try:
            tree = json.loads(event)
        except ValueError as error:
            raise EngineError(
                f"{self._where}: an event is not JSON: {event[:80]!r}; is base_url right?"
            ) from error
        if not isinstance(tree, dict):
            raise EngineError(f"{self._where}: an event is not an object: {event[:80]!r}")
        if tree.get("error"):
            reason = _reason(event) or "unknown error"
            raise EngineError(f"{self._where}: the server failed on the way: {reason}")
        if isinstance(tree.get("usage"), dict):
            self.usage = tree["usage"]
        choices = tree.get("choices") or []
        if not choices or not isinstance(choices[0], dict):
            return "", False
        delta = choices[0].get("delta") or choices[0].get("message") or {}
        text = delta.get("content")
        return text if isinstance(text, str) else "", choices[0].get("finish_reason") is not None


class EventStream:
    """Server-sent events without I/O: bytes in, the data of whole events out."""

    def __init__(self) -> None:
        """Begin a stream."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line = ""
        self._data: list[str] = []
        self._after_return = False
        self._begun = False

    def feed(self, data: bytes) -> list[str]:
        """Return the events that `data` completes. Lines end in LF, CR or CR LF."""
        events = []
        for character in self._decoder.decode(data):
            if not self._begun:
                self._begun = True
                if character == "\ufeff":
                    continue
            after_return, self._after_return = self._after_return, character == "\r"
            if character == "\n" and after_return:
                continue
            if character not in "\r\n":
                self._line += character
                continue
            line, self._line = self._line, ""
            if not line:
                if self._data:
                    events.append("\n".join(self._data))
                self._data = []
            elif not line.startswith(":"):
                name, _, value = line.partition(":")
                if name == "data":
                    self._data.append(value.removeprefix(" "))
        # Some servers leave out the empty line after the last event.
        if self._data == ["[DONE]"]:
            self._data = []
            events.append("[DONE]")
        return events


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reason(text: str) -> str:
    """Return the message in an error body, on one line; "" where there is none."""
    try:
        tree = json.loads(text)
    except ValueError:
        plain = " ".join(text.split())
        return "" if plain.startswith("<") else plain[:200]
    error = tree.get("error", tree) if isinstance(tree, dict) else tree
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error.get("code") or ""
    return " ".join(str(error).split())[:200]


def _seconds(header: str | None) -> float | None:
    """Return a `Retry-After` given in seconds; None for a date or nothing."""
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None


def _cause(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _shut(connection: http.client.HTTPConnection) -> None:
    """Close at once, without waiting for what the server still wants to send."""
    if connection.sock is not None:
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
