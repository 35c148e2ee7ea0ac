"""Measures the voices of the hosts that come along, for `voice/levels.toml`.

python -m stage.bench.air.levels > voice/levels.toml
"""

import json
import sys

import numpy as np

from dialogue import plugins
from dialogue.character import load_character
from stage import engines, folders
from stage.bench import lines
from stage.models.store import ModelStore
from voice import level, loudness
from voice.engine import Voice
from voice.resample import Resampler
from voice.speech import Phrase, Samples
from voice.text import normalise

LINES = 10
"""A language; about half a minute."""

HEAD = """\
# Integrated loudness (LUFS, ITU-R BS.1770-4) of the voices of the hosts that come along, over ten
# of the bench's lines a language: `python -m stage.bench.air.levels`.
"""


def measure(voice: Voice, language: str) -> float:
    """Return the loudness of `voice` over the bench's lines, in LUFS."""
    said: list[Samples] = []
    for text in lines.SPOKEN[language][:LINES]:
        resampler = Resampler(voice.sample_rate)
        phrase = Phrase(normalise(text, language), language)
        said += [resampler.push(speech.samples) for speech in voice.synthesize(phrase)]
        said.append(resampler.finish())
    return loudness.integrated(np.concatenate(said))


def main() -> None:
    """Print the table."""
    store = ModelStore()
    found: dict[str, dict[str, float]] = {}
    for name in folders.names():
        character = load_character(folders.character(name))
        for engine in dict.fromkeys((*sum(character.voice_order().values(), ()), "espeak")):
            table = character.voice_options(engine)
            key = level.key(engine, table)
            if key in found:
                continue
            try:
                voice: Voice = engines.make("tts", engine, table, store)
            except (plugins.EngineUnavailable, RuntimeError) as error:
                print(error, file=sys.stderr)
                continue
            voice.warm()
            spoken = character.languages if "*" in voice.languages else voice.languages
            found[key] = {
                code: round(measure(voice, code), 1) for code in character.languages
                if code in spoken
            }  # fmt: skip
            print(key, found[key], file=sys.stderr)
            voice.close()
    print(HEAD)
    for key, rows in found.items():
        levels = ", ".join(f"{code} = {lufs}" for code, lufs in rows.items())
        print(f"[[voices]]\nvoice = {json.dumps(key, ensure_ascii=False)}\nlufs = {{ {levels} }}\n")


if __name__ == "__main__":
    main()
