"""eSpeak NG, the last resort: a machine-like voice for a hundred languages, if it is installed.

The library runs in a process of its own (`espeak_worker.py`), started once, and tells phonemes with
their sample times. It is about a hundred times faster than real time, so a phrase is made whole and
yielded in pieces. Debian's build reads Chinese characters as English letters and digits and does
not know kanji: Chinese goes in as pinyin and Japanese as kana.
"""

import json
import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dialogue.plugins import EngineError, EngineUnavailable
from voice.speech import Phoneme, Phrase, Speech

PIECE_S = 0.2
"""Length of a yielded piece."""

START_S = 10.0
"""How long the worker may take to say hello."""

VOICES = {"en": "en-us", "zh": "cmn-latn-pinyin", "pt": "pt-br"}
"""Language to eSpeak NG's name where they differ."""

_ASCII_IPA = {"ts.h": "ʈʂʰ", "ts.": "ʈʂ", "s.": "ʂ", "i.": "ɨ", "z.": "ʐ", "tsh": "tsʰ",
              "tɕh": "tɕʰ", "ph": "pʰ", "th": "tʰ", "kh": "kʰ"}  # fmt: skip
"""What the pinyin voice writes for lack of a symbol."""

_ATTACHED = "ːˑʰʲʷ"


class EspeakVoice:
    """Speaks any language that the installed eSpeak NG has a voice for."""

    needs: ClassVar[Mapping[str, str]] = {}
    languages = ("*",)

    def __init__(
        self, *, voice: str = "", speed: float = 1.0, gain_db: float = 0.0, library: str = ""
    ) -> None:
        """Start the worker.

        Args:
            voice: eSpeak NG's name of one, such as "en-gb-x-rp"; empty for the language's own.
            speed: of speech, 0.5..2.
            gain_db: constant gain.
            library: path of libespeak-ng; empty to search for it.

        Raises:
            EngineUnavailable: eSpeak NG is not installed.
        """
        self._voice = voice
        self._speed = speed
        self._gain = np.float32(10 ** (gain_db / 20) / 32768)
        self._command = [sys.executable, str(Path(__file__).with_name("espeak_worker.py"))]
        self._command += [library] if library else []
        self._worker: subprocess.Popen[bytes] | None = None
        try:
            self.sample_rate = self._start()
        except EngineError as error:
            raise EngineUnavailable(
                f"{error}; install it (apt install espeak-ng, brew install espeak-ng, or the "
                "Windows installer)"
            ) from None

    def warm(self) -> None:
        """Say a letter to nobody."""
        self._ask("a", "en-us", 1.0)

    def synthesize(self, phrase: Phrase) -> Iterator[Speech]:
        """Yield pieces of 200 ms; the first carries every phoneme."""
        words = [_spelled(word.text, phrase.language) for word in phrase.words]
        text, owners = "", list[int]()
        for index, word in enumerate(words):
            text += word + " "
            owners += [index] * (len(word) + 1)
        voice = self._voice or VOICES.get(phrase.language, phrase.language)
        sound, events = self._ask(text, voice, phrase.pace * self._speed)
        phonemes = _phonemes(events, owners, len(sound))
        step = round(PIECE_S * self.sample_rate)
        for start in range(0, len(sound), step):
            yield Speech(sound[start : start + step], phonemes)
            phonemes = ()

    def close(self) -> None:
        """End the worker."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        worker.kill()
        for pipe in (worker.stdin, worker.stdout):
            if pipe is not None:
                pipe.close()
        worker.wait(5)

    def __del__(self) -> None:
        if getattr(self, "_worker", None) is not None:
            self.close()

    def _start(self) -> int:
        self._worker = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, bufsize=-1,
        )  # fmt: skip
        try:
            return int(self._read()["rate"])
        except EngineError:
            self.close()
            raise

    def _ask(self, text: str, voice: str, pace: float) -> tuple[Any, list[tuple[str, int, int]]]:
        """Return sound and (ipa, sample, character) of `text`; a worker that died is restarted."""
        if self._worker is None or self._worker.poll() is not None:
            self.close()
            self._start()
        worker = self._worker
        assert worker is not None
        assert worker.stdin is not None
        assert worker.stdout is not None
        request = {"text": text, "voice": voice, "pace": min(max(pace, 0.5), 2.5)}
        sound, events = bytearray(), list[tuple[str, int, int]]()
        try:
            worker.stdin.write(json.dumps(request).encode() + b"\n")
            worker.stdin.flush()
            while not (record := self._read()).get("end"):
                sound += worker.stdout.read(record["bytes"])
                events += [(ipa, sample, at) for ipa, sample, at in record["phonemes"]]
        except OSError as error:
            raise EngineError(f"espeak: its process died ({error})") from error
        return np.frombuffer(bytes(sound), np.int16).astype(np.float32) * self._gain, events

    def _read(self) -> dict[str, Any]:
        assert self._worker is not None
        assert self._worker.stdout is not None
        line = self._worker.stdout.readline()
        if not line:
            raise EngineError("espeak: its process died")
        record: dict[str, Any] = json.loads(line)
        if "error" in record:
            raise EngineError(f"espeak: {record['error']}")
        return record


def _spelled(word: str, language: str) -> str:
    """Return a word in letters that eSpeak NG reads in `language`."""
    if word.isascii():
        return word
    if language == "zh":
        from pypinyin import Style, lazy_pinyin

        return "".join(lazy_pinyin(word, style=Style.TONE3, neutral_tone_with_five=True))
    if language == "ja":
        import pyopenjtalk

        tail = "".join(ch for ch in word if ch in ",.!?;:…—")
        return str(pyopenjtalk.g2p(word, kana=True)).rstrip(",.!?;:…—、。！？") + tail
    return word


def _phonemes(
    events: list[tuple[str, int, int]], owners: list[int], length: int
) -> tuple[Phoneme, ...]:
    """Return phonemes and pauses that cover `length` samples."""
    starts = [
        (ipa, min(max(sample, 0), length), at)
        for ipa, sample, at in events
        if not ipa.startswith("(")  # "(en)": the voice changes its language
    ]
    found: list[Phoneme] = []
    if not starts or starts[0][1] > 0:
        starts.insert(0, ("", 0, 0))
    for (ipa, start, at), stop in zip(
        starts, [s for _, s, _ in starts[1:]] + [length], strict=True
    ):
        if stop <= start:
            continue
        symbols = _symbols(ipa)
        if ipa in _ATTACHED and ipa and found and found[-1].ipa:
            last = found[-1]
            found[-1] = Phoneme(last.ipa + ipa, last.start, stop, last.word)
            continue
        if not symbols or symbols[0] in _ATTACHED:
            if found and not found[-1].ipa:
                found[-1] = Phoneme("", found[-1].start, stop)
            else:
                found.append(Phoneme("", start, stop))
            continue
        word = owners[min(max(at, 0), len(owners) - 1)] if owners else -1
        edges = np.linspace(start, stop, len(symbols) + 1).round().astype(int)
        for symbol, a, b in zip(symbols, edges[:-1], edges[1:], strict=True):
            if b > a:
                found.append(Phoneme(symbol, int(a), int(b), word))
    return tuple(found)


def _symbols(ipa: str) -> list[str]:
    """Return the single sounds of one of eSpeak NG's: both halves of a diphthong, for instance."""
    for written, symbol in _ASCII_IPA.items():
        ipa = ipa.replace(written, symbol)
    found: list[str] = []
    for ch in unicodedata.normalize("NFD", ipa):
        if unicodedata.combining(ch) or ch in "ˈˌ0123456789":
            continue
        if ch in _ATTACHED and found:
            found[-1] += ch
        elif ch.isalpha():
            found.append("ɡ" if ch == "g" else ch)
    return found
