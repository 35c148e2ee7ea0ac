"""How loud each voice is, so that all of them are heard alike.

A voice is measured once, over a few sentences in a language (`voice.loudness`), and gets one gain
for good: no sentence is made louder than its neighbours, nothing pumps. The voices of the hosts
that come along are measured already (`levels.toml`, from `python -m stage.bench.air.levels`);
any other is measured when it is warmed for the first time, and the result kept in the cache.
"""

import json
import logging
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dialogue.plugins import EngineError
from voice import loudness
from voice.engine import Voice
from voice.resample import Resampler
from voice.speech import Phrase, Samples
from voice.text import normalise

_log = logging.getLogger(__name__)

MOST_DB = 24.0
"""No voice is made louder or softer by more than this."""

SENTENCES: dict[str, tuple[str, ...]] = {
    "en": (
        "Good evening, everyone, and welcome back to the show.",
        "Did you know that a cat can sleep for fifteen hours a day?",
        "I would rather have a cup of tea, and listen to the wind for a while.",
    ),
    "zh": (
        "大家晚上好，欢迎回到我们的节目。", "你知道吗，猫一天可以睡十五个小时。",
        "我想喝杯茶，听一会儿外面的风声。",
    ),
    "ja": (
        "みなさんこんばんは、番組へようこそ。", "猫は一日に十五時間も眠れるって知っていましたか？",
        "お茶を飲みながら、しばらく風の音を聞いていたいです。",
    ),
}  # fmt: skip
"""What a voice says to be measured."""


def key(engine: str, options: Mapping[str, Any]) -> str:
    """Return the name of a voice: its engine and what it was told."""
    told = json.dumps(dict(options), sort_keys=True, ensure_ascii=False, default=str)
    return engine if told == "{}" else f"{engine} {told}"


def measure(voice: Voice, language: str) -> float:
    """Return the integrated loudness of `voice` in LUFS, from a few sentences.

    Raises:
        EngineError: it could not say them.
    """
    said: list[Samples] = []
    for text in SENTENCES.get(language, SENTENCES["en"]):
        resampler = Resampler(voice.sample_rate)
        phrase = Phrase(normalise(text, language), language)
        said += [resampler.push(speech.samples) for speech in voice.synthesize(phrase)]
        said.append(resampler.finish())
    return loudness.integrated(np.concatenate(said))


class Levels:
    """What is known of each voice's loudness, by its name and language."""

    def __init__(self, path: Path | None = None) -> None:
        """Read what is known.

        Args:
            path: where new measurements are kept; None for nowhere.
        """
        self._path = path
        shipped = tomllib.loads(Path(__file__).with_name("levels.toml").read_text("utf-8"))
        self._known: dict[str, dict[str, float]] = {
            row["voice"]: dict(row["lufs"]) for row in shipped["voices"]
        }
        for name, rows in _kept(path).items():
            self._known.setdefault(name, {}).update(rows)

    def gain(self, name: str, language: str) -> float:
        """Return what brings the voice to `TARGET_LUFS`; 1 where it was never measured."""
        lufs = self._known.get(name, {}).get(language)
        if lufs is None or lufs <= loudness.SILENT_LUFS:
            return 1.0
        db = max(-MOST_DB, min(MOST_DB, loudness.TARGET_LUFS - lufs))
        return float(10 ** (db / 20))

    def learn(self, name: str, language: str, work: Callable[[], float]) -> None:
        """Let `work` measure the voice unless it is known; keep what it returns."""
        if language in self._known.get(name, {}):
            return
        try:
            lufs = work()
        except EngineError as error:
            _log.warning("%s: its loudness could not be measured (%s)", name, error)
            return
        self._known.setdefault(name, {})[language] = lufs
        self._keep(name, language, lufs)

    def _keep(self, name: str, language: str, lufs: float) -> None:
        if self._path is None:
            return
        rows = _kept(self._path)  # another show may have measured meanwhile
        rows.setdefault(name, {})[language] = round(lufs, 2)
        part = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(rows, ensure_ascii=False, indent=1), "utf-8")
            part.replace(self._path)
        except OSError as error:
            _log.warning("cannot keep %s (%s); going on", self._path, error.strerror)


def _kept(path: Path | None) -> dict[str, dict[str, float]]:
    if path is None:
        return {}
    try:
        rows = json.loads(path.read_text("utf-8"))
        return {
            str(name): {str(code): float(lufs) for code, lufs in found.items()}
            for name, found in rows.items()
        }
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
