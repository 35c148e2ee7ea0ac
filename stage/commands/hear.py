"""Print what the speech recogniser hears in a sound file.

  bunraku hear hello.wav                 any sound or film that PyAV can read
  bunraku hear talk.mp3 --language ja    say which language it is; else it is detected
  bunraku hear show.mp4 --json           pieces and words with their times in seconds

It checks a voice by ear: `bunraku say "Hello!" -o a.mp4 && bunraku hear a.mp4`.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dialogue.plugins import EngineError
from stage.config import ConfigError
from voice.speech import Samples

RATE_HZ = 16_000
"""What the recogniser wants."""

PIECE_S = 28.0
"""Recognisers take up to 30 s; longer sound is cut at its quietest place before this."""

SEARCH_S = 6.0
"""The cut lies in the last seconds of a piece."""

LULL_S = 0.2
"""Length of the quiet that is looked for."""


class SoundError(EngineError):
    """A file cannot be heard; one line says why."""


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("file", type=Path, help="a sound or film file")
    parser.add_argument("--language", metavar="XX", help="en, zh, ja ... (default: detected)")
    parser.add_argument("--json", action="store_true", help="print pieces and words with times")


def run(arguments: argparse.Namespace) -> int:
    """Recognise the file; 1 when nothing is said in it."""
    language: str | None = arguments.language
    if language is not None and not re.fullmatch(r"[a-z]{2,3}", language):
        raise ConfigError(f"--language {language}: give a code of two letters, such as en or ja")
    path: Path = arguments.file
    pieces = decode(path)
    first = next(pieces)  # a file that cannot be read is told before a model is loaded
    from stage.engines import make_recogniser

    recogniser = make_recogniser()
    found: list[dict[str, Any]] = []
    start_s = 0.0
    try:
        for samples in _chain(first, pieces):
            heard = recogniser.transcribe(samples, language)
            stop_s = start_s + len(samples) / RATE_HZ
            if heard.text and not arguments.json:
                print(heard.text, flush=True)
            found.append(
                {
                    "start_s": round(start_s, 3),
                    "stop_s": round(stop_s, 3),
                    "language": heard.language,
                    "text": heard.text,
                    "words": [
                        {
                            "text": word.text,
                            "start_s": round(start_s + word.start_s, 3),
                            "stop_s": round(start_s + word.stop_s, 3),
                        }
                        for word in heard.words
                        if word.start_s >= 0
                    ],
                }
            )
            start_s = stop_s
    finally:
        recogniser.close()
    text = " ".join(piece["text"] for piece in found if piece["text"])
    if arguments.json:
        spoken = next((p["language"] for p in found if p["text"]), language or "")
        tree = {"file": str(path), "seconds": round(start_s, 3), "language": spoken, "text": text}
        print(json.dumps({**tree, "pieces": found}, ensure_ascii=False, indent=1))
    if not text:
        print(f"bunraku: {path}: no speech in its {start_s:.1f} s", file=sys.stderr)
        return 1
    return 0


def _chain(first: Samples, rest: Iterator[Samples]) -> Iterator[Samples]:
    yield first
    yield from rest


def decode(path: Path) -> Iterator[Samples]:
    """Yield the file's sound as mono pieces of at most `PIECE_S` at `RATE_HZ`.

    Raises:
        SoundError: missing, no sound in it, or damaged.
    """
    import av

    if not path.exists():
        raise SoundError(f"{path}: no such file")
    if path.is_dir():
        raise SoundError(f"{path}: a folder; name a sound file in it")
    held = np.zeros(0, np.float32)
    heard = 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise SoundError(f"{path}: there is no sound in it")
            resampler = av.AudioResampler(format="fltp", rate=RATE_HZ)
            for frame in _frames(container, resampler):
                # The mean of the channels; the resampler's own mix would make it louder.
                mono = frame.to_ndarray().mean(axis=0, dtype=np.float32)
                held = np.concatenate([held, mono])
                heard += frame.samples
                while len(held) > PIECE_S * RATE_HZ:
                    stop = quietest(held[: int(PIECE_S * RATE_HZ)])
                    yield held[:stop]
                    held = held[stop:]
    except av.error.PermissionError:
        raise SoundError(f"{path}: not readable; check its permissions") from None
    except av.error.FFmpegError as error:
        if not heard:
            raise SoundError(
                f"{path}: not a sound file that can be read ({error.strerror})"
            ) from None
        print(
            f"bunraku: {path}: damaged after {heard / RATE_HZ:.1f} s ({error.strerror})",
            file=sys.stderr,
        )
    if not heard:
        raise SoundError(f"{path}: there is no sound in it")
    if len(held):
        yield held


def _frames(container: Any, resampler: Any) -> Iterator[Any]:
    for frame in container.decode(audio=0):
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


def quietest(samples: Samples) -> int:
    """Return where to cut `samples`: amid the quietest `LULL_S` of the last `SEARCH_S`."""
    lull = int(LULL_S * RATE_HZ)
    tail = samples[-int(SEARCH_S * RATE_HZ) :].astype(np.float64)
    power = np.concatenate([[0.0], np.cumsum(tail**2)])
    loudness = power[lull:] - power[:-lull]
    return len(samples) - len(tail) + int(np.argmin(loudness)) + lull // 2
