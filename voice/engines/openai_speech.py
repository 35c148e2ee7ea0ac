"""Any server with the generic speech endpoint: POST {base_url}/audio/speech, sound streamed back.

Hosted vendors and many local servers offer it. It tells no phoneme times, so they are estimated
from the sound (`voice.align`). Blocking, on the standard library: a voice has its own thread.
"""

import http.client
import json
import os
import ssl
import struct
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

import numpy as np

from dialogue.plugins import EngineError, EngineUnavailable
from voice.speech import Phrase, Samples, Speech

PIECE_S = 0.1
"""Sound yielded at once."""

LONGEST_TEXT = 4096
"""Characters that the published interface accepts."""

RETRY = (408, 409, 425, 429, 500, 502, 503, 504)
"""Answers after which one more try may help."""


class OpenAISpeechVoice:
    """Speaks whatever the server speaks."""

    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        *,
        base_url: str = "https://api.openai.com/v1",
        model: str = "gpt-4o-mini-tts",
        voice: str | Mapping[str, str] = "alloy",
        key_env: str = "OPENAI_API_KEY",
        format: str = "pcm",  # noqa: A002 - the key in show.toml, named as in the interface
        sample_rate: int = 24_000,
        languages: tuple[str, ...] | list[str] = ("*",),
        speed: float = 1.0,
        instructions: str = "",
        gain_db: float = 0.0,
        timeout_s: float = 6.0,
    ) -> None:
        """Say where the server is; nothing is asked of it yet.

        Args:
            base_url: up to and without `/audio/speech`.
            model: name the server knows.
            voice: name the server knows, or language to name.
            key_env: environment variable that holds the key; empty for a server without keys.
            format: "pcm" (16-bit mono at `sample_rate`) or "wav" (which says its rate itself).
            sample_rate: of the sound, in hertz.
            languages: ISO 639-1 codes it speaks; ["*"] for any.
            speed: of speech, 0.25..4.
            instructions: how to speak, for models that follow such.
            gain_db: constant gain.
            timeout_s: longest silence of the server, when connecting and between two reads.

        Raises:
            EngineUnavailable: the address cannot be one, or the key is not set.
        """
        address = urlsplit(base_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise EngineUnavailable(
                f"openai-speech: base_url = {base_url!r} is no address; write it like "
                "http://127.0.0.1:8880/v1"
            )
        if format not in ("pcm", "wav"):
            raise EngineUnavailable(f"openai-speech: format = {format!r}; use pcm or wav")
        self._key = os.environ.get(key_env, "") if key_env else ""
        if key_env and not self._key:
            raise EngineUnavailable(
                f"openai-speech: no key for {address.hostname}; set the environment variable "
                f'{key_env}, or key_env = "" for a server without keys'
            )
        self.sample_rate = sample_rate
        self.languages = tuple(languages)
        self._address = address
        self._path = address.path.rstrip("/") + "/audio/speech"
        self._model, self._voice, self._format = model, voice, format
        self._speed, self._instructions = speed, instructions
        self._gain = np.float32(10 ** (gain_db / 20) / 32768)
        self._timeout_s = timeout_s

    def warm(self) -> None:
        """Do nothing: every request costs money."""

    def synthesize(self, phrase: Phrase) -> Iterator[Speech]:
        """Yield sound as it arrives; closing the generator closes the connection."""
        connection, answer = self._ask(phrase)
        try:
            yield from self._read(answer)
        except (OSError, http.client.HTTPException) as error:
            raise EngineError(f"{self._name()} broke off: {_reason(error)}") from error
        finally:
            answer.close()
            connection.close()

    def close(self) -> None:
        """Nothing is kept open."""

    def _name(self) -> str:
        return f"openai-speech ({self._address.netloc.rpartition('@')[2]})"

    def _ask(self, phrase: Phrase) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Return an answer that carries sound; tries twice where that may help."""
        voice = self._voice
        if not isinstance(voice, str):
            voice = voice.get(phrase.language) or next(iter(voice.values()))
        body: dict[str, Any] = {
            "model": self._model,
            "input": phrase.text[:LONGEST_TEXT],
            "voice": voice,
            "response_format": self._format,
            "speed": min(max(self._speed * phrase.pace, 0.25), 4.0),
        }
        if self._instructions:
            body["instructions"] = self._instructions
        headers = {"Content-Type": "application/json", "User-Agent": "bunraku"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        failure: EngineError | None = None
        for _ in range(2):
            connection = self._connection()
            try:
                connection.request("POST", self._path, json.dumps(body).encode(), headers)
                answer = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                failure = EngineError(f"{self._name()} is not reachable: {_reason(error)}")
                continue
            if answer.status == 200:
                return connection, answer
            failure = _refusal(self._name(), answer)
            answer.close()
            connection.close()
            if answer.status not in RETRY or failure.retry_after_s:
                break
        assert failure is not None
        raise failure

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._address.hostname, self._address.port
        assert host is not None
        if self._address.scheme == "https":
            return http.client.HTTPSConnection(
                host, port, timeout=self._timeout_s, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)

    def _read(self, answer: http.client.HTTPResponse) -> Iterator[Speech]:
        kind = answer.headers.get_content_type()
        if kind in ("application/json", "text/html", "audio/mpeg", "audio/mp3", "audio/ogg"):
            raise EngineError(f"{self._name()} answers with {kind}; it must speak {self._format}")
        if self._format == "wav" or kind in ("audio/wav", "audio/x-wav", "audio/wave"):
            self._skip_header(answer)
        size = max(2, 2 * round(PIECE_S * self.sample_rate))
        rest = b""
        while block := answer.read1(size):
            data = rest + block
            if len(data) < size // 4:
                rest = data  # a crumb: wait for a little more
                continue
            whole = len(data) & ~1
            rest = data[whole:]
            yield Speech(self._sound(data[:whole]))
        if len(rest) >= 2:
            yield Speech(self._sound(rest[: len(rest) & ~1]))

    def _sound(self, data: bytes) -> Samples:
        sound: Samples = np.frombuffer(data, "<i2").astype(np.float32) * self._gain
        clipped: Samples = np.clip(sound, -1.0, 1.0)
        return clipped

    def _skip_header(self, answer: http.client.HTTPResponse) -> None:
        """Read a RIFF header up to its sound; check that it is what we play.

        Raises:
            EngineError: not 16-bit mono, or another rate than `sample_rate`.
        """
        if _exactly(answer, 12)[:4] != b"RIFF":
            raise EngineError(f"{self._name()} sends no WAV; set format = 'pcm'")
        while True:
            name, size = struct.unpack("<4sI", _exactly(answer, 8))
            if name == b"data":
                return
            chunk = _exactly(answer, size + size % 2)
            if name == b"fmt ":
                kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", chunk[:16])
                if (kind not in (1, 0xFFFE)) or channels != 1 or bits != 16:
                    raise EngineError(f"{self._name()} sends WAV that is not 16-bit mono")
                if rate != self.sample_rate:
                    raise EngineError(
                        f"{self._name()} sends {rate} Hz; set sample_rate = {rate} in its options"
                    )


def _exactly(answer: http.client.HTTPResponse, count: int) -> bytes:
    data = answer.read(count)
    if len(data) < count:
        raise http.client.IncompleteRead(data, count - len(data))
    return data


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _refusal(name: str, answer: http.client.HTTPResponse) -> EngineError:
    """Return what the server says is wrong, in one line."""
    said = ""
    try:
        tree = json.loads(answer.read(4096))
        error = tree.get("error", tree.get("detail", ""))
        said = str(error.get("message", "")) if isinstance(error, dict) else str(error)
    except (ValueError, AttributeError, OSError, http.client.HTTPException):
        pass  # not the usual form: the status must do
    wait = answer.headers.get("Retry-After", "")
    retry_after_s = float(wait) if wait.replace(".", "", 1).isdigit() else None
    line = " ".join(said.split())[:200] or answer.reason
    remedy = "; check the key" if answer.status in (401, 403) else ""
    return EngineError(f"{name}: {answer.status} {line}{remedy}", retry_after_s=retry_after_s)
