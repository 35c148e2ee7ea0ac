"""Makes the engines that a show names: options merged, catalogue names turned into paths."""

from collections.abc import Collection, Mapping
from typing import Any

from dialogue import plugins
from dialogue.character import Character
from dialogue.engine import LanguageModel
from stage.config import Show, cache_folder
from stage.models.store import ModelStore
from voice import level
from voice.engine import Recogniser, Voice
from voice.level import Levels
from voice.speaker import Speaker

LAST_RESORT = "espeak"
"""The voice that speaks any language when nothing else can."""


def make(kind: str, name: str, table: Mapping[str, Any], store: ModelStore) -> Any:
    """Make an engine; what it needs from the catalogue is looked up unless `table` names a file.

    Raises:
        EngineUnavailable: with the remedy.
        ModelError: a model is missing; says how to fetch it.
    """
    engine = plugins.load(kind, name)
    options = dict(table)
    for key, entry in getattr(engine, "needs", {}).items():
        options[key] = store.resolve(options.get(key, entry))
    if "cache" in plugins.options(engine):
        options.setdefault("cache", cache_folder() / "derived")
    return plugins.create(kind, name, options)


def make_models(show: Show) -> list[LanguageModel]:
    """Make the language model and its successors; only the first one must work.

    Raises:
        EngineUnavailable: the first engine cannot be made here.
    """
    store = ModelStore()
    options = dict(show.llm.options)
    known = plugins.options(plugins.load("llm", show.llm.engine))
    if show.captions.translate and "slots" in known:
        # Translations begin with a prefix of their own, which should push out no language's.
        options.setdefault("slots", known["slots"].default + 1)
    made: list[LanguageModel] = [make("llm", show.llm.engine, options, store)]
    for name in show.llm.successors:
        made.append(make("llm", name, {}, store))
    return made


def languages(show: Show, character: Character) -> tuple[str, ...]:
    """Return the languages that have a voice in this show."""
    return tuple(character.voice_order() | dict(show.voice.engines))


def make_speaker(
    show: Show, character: Character, languages: Collection[str] | None = None
) -> Speaker:
    """Make the voices that `show` or the character names, for all their languages.

    Engines that cannot be made are left out as long as each language has one that can; the
    system's `espeak-ng` is added last where it is installed.

    Args:
        show: whose `voice` table overrides the character's choice.
        character: names voices for its languages.
        languages: only these are needed; None for all.

    Raises:
        EngineUnavailable: a language is left without any voice; names the reasons.
    """
    store = ModelStore()
    order = {**character.voice_order(), **show.voice.engines}
    made: dict[str, Voice] = {}
    called: dict[int, str] = {}
    reasons: dict[str, str] = {}
    plan: dict[str, list[Voice]] = {}
    for language, names in order.items():
        if languages is not None and language not in languages:
            continue
        voices = []
        for name in (*names, LAST_RESORT):
            if name not in made and name not in reasons:
                table = {**character.voice_options(name), **show.voice.options.get(name, {})}
                try:
                    made[name] = make("tts", name, table, store)
                    called[id(made[name])] = level.key(name, table)
                except (plugins.EngineUnavailable, RuntimeError) as error:
                    reasons[name] = str(error)
            if name in made and made[name] not in voices:
                voices.append(made[name])
        if not voices:
            why = "; ".join(reasons[name] for name in (*names, LAST_RESORT))
            raise plugins.EngineUnavailable(f"no voice for language {language!r}: {why}")
        plan[language] = voices
    levels = Levels(cache_folder() / "derived" / "levels.json")
    return Speaker(plan, levels=levels, names=called)


def make_recogniser(
    engine: str = "whisper", options: Mapping[str, Any] | None = None
) -> Recogniser:
    """Make the recogniser."""
    recogniser: Recogniser = make("asr", engine, options or {}, ModelStore())
    return recogniser
