"""A character is a folder: who they are, how they talk, and what performs them.

`character.toml` names engines and settings, `persona.md` says who they are, `examples.md` shows
them talking. Every error is one line with file, line and remedy.
"""

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

SAFETY = ("family", "general", "mature")
"""Safety levels, strictest first."""

_CODE = re.compile(r"^##\s+([a-z]{2,3})\s*$")


class CharacterError(ValueError):
    """A character's folder cannot be used; one line with file, line and remedy."""


class Voice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who speaks for the character: the same shape as `voice` in `show.toml`."""

    engines: dict[str, tuple[str, ...]] = {}
    """Language code to engines in order of preference."""
    options: dict[str, dict[str, Any]] = {}
    """Engine name to its keywords."""


class Texts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lines the character falls back on in one language."""

    apology: tuple[str, ...] = ()
    """Said when no model answers."""
    dodge: tuple[str, ...] = ()
    """Said when the model's answer was not fit to be spoken."""
    openers: tuple[str, ...] = ()
    """Said at once where an answer will take long: "Oh, {name},", and some without a name."""


_Colour = Annotated[str, Meta(pattern="^#[0-9a-fA-F]{6}([0-9a-fA-F]{2})?$")]
_Family = Annotated[str, Meta(pattern="^[A-Za-z0-9 .-]{1,64}$")]


class CaptionStyle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the character's captions look: on the pages, and where they are drawn into pictures."""

    font: tuple[_Family, ...] = ()
    """Families in order of preference, before those that every system has."""
    weight: Annotated[int, Meta(ge=100, le=900)] = 600
    """100 (thin) to 900 (black)."""
    size: Annotated[float, Meta(ge=0.5, le=2)] = 1.0
    """Relative to what suits the picture."""
    color: _Colour = "#fff8ee"
    """Of words that were spoken."""
    now: _Colour = "#ffc46b"
    """Of the word that is being spoken."""
    coming: _Colour = "#d5c9e0"
    """Of words still to come."""
    outline: _Colour = "#12071f"
    """Around the letters."""
    outline_width: Annotated[float, Meta(ge=0, le=0.2)] = 0.07
    """Of the letters' size; 0: none."""
    box: Annotated[str, Meta(pattern="^(#[0-9a-fA-F]{6}([0-9a-fA-F]{2})?)?$")] = ""
    """Behind the lines, #rrggbbaa for a see-through one; "": none."""
    position: Literal["bottom", "top"] = "bottom"
    """Where they stand in the picture."""


class _Sheet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`character.toml` as it is written."""

    name: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_-]*$")]
    display_name: str
    languages: tuple[str, ...]
    pronunciation: dict[str, str] = {}
    rig: str = "puppet"
    scene: str = ""
    safety: str = "family"
    temperament: dict[str, Annotated[float, Meta(ge=0, le=1)]] = {}
    theme: dict[str, str] = {}
    captions: CaptionStyle = CaptionStyle()
    voice: Voice = Voice()
    texts: dict[str, Texts] = {}


_FALLBACKS: Mapping[str, Texts] = {
    "en": Texts(
        ("Sorry, my thoughts just wandered off. Ask me again in a moment!",),
        ("Let's talk about something else!",),
        ("{name},", "Oh, {name},", "Hmm, {name},", "Well,", "Hmm,", "Oh,"),
    ),
    "zh": Texts(
        ("抱歉，我刚刚走神了，等一下再问我一次吧！",),
        ("我们聊点别的吧！",),
        ("{name}，", "嗯，{name}，", "哎，{name}，", "嗯，", "这个嘛，", "哎，"),
    ),
    "ja": Texts(
        ("ごめんね、ちょっとぼんやりしちゃった。もう一度聞いてくれる？",),
        ("別のお話をしようよ！",),
        (
            "{name}さん、",
            "えっと、{name}さん、",
            "うん、{name}さん、",
            "えっと、",
            "うーん、",
            "そうだね、",
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Exchange:
    """An example: a viewer's line and the host's answer."""

    author: str
    """The viewer's name; may be empty."""
    line: str
    """What the viewer writes."""
    answer: str
    """What the host says, with cues."""


@dataclass(frozen=True, slots=True)
class Character:
    """A character, read and checked."""

    folder: Path
    """Where it was read from."""
    name: str
    """The folder's name in lower case."""
    display_name: str
    """As the audience sees it."""
    languages: tuple[str, ...]
    """ISO 639-1 codes, the preferred one first."""
    pronunciation: Mapping[str, str]
    """Language code to the display name as a voice should read it."""
    renderer: str
    """An engine of kind "renderer"."""
    scene: str
    """Name of the default scene; may be empty."""
    safety: str
    """A member of `SAFETY`."""
    temperament: Mapping[str, float]
    """Trait to strength 0..1, for idle motion."""
    theme: Mapping[str, str]
    """Colours of the stage page: CSS names to values."""
    captions: CaptionStyle
    """How their captions look."""
    voice: Voice
    """Who speaks."""
    texts: Mapping[str, Texts]
    """Language code to fallback lines."""
    personas: Mapping[str, str]
    """Language code (or "" for any) to who they are."""
    examples: Mapping[str, tuple[Exchange, ...]]
    """Language code to example turns."""
    cues: frozenset[str] = frozenset()
    """Names of their own expressions and gestures, besides those of `dialogue.cues`."""

    def persona(self, language: str) -> str:
        """Return who they are, told in `language` where the author has done so."""
        common, own = self.personas.get("", ""), self.personas.get(language, "")
        if not own and not common:
            own = next(iter(self.personas.values()), "")
        return "\n\n".join(part for part in (common, own) if part)

    def names(self) -> tuple[str, ...]:
        """Return every name the character goes by, in all its languages' scripts."""
        return (self.display_name, self.name, *self.pronunciation.values())

    def called(self, language: str) -> str:
        """Return the character's name in `language`'s own script where it has one."""
        return self.pronunciation.get(language, self.display_name)

    def text(self, kind: str, language: str, turn_id: int) -> str:
        """Return a fallback line.

        Args:
            kind: "apology" or "dodge".
            language: ISO 639-1 code.
            turn_id: the lines are taken in turn by it.
        """
        default = _FALLBACKS.get(language, _FALLBACKS["en"])
        lines: tuple[str, ...] = getattr(self.texts.get(language, default), kind)
        lines = lines or getattr(default, kind)
        return lines[turn_id % len(lines)]

    def openers(self, language: str) -> tuple[str, ...]:
        """Return what may open an answer; "{name}" in it stands for the viewer's name."""
        own = self.texts.get(language)
        if own is not None and own.openers:
            return own.openers
        return _FALLBACKS.get(language, _FALLBACKS["en"]).openers

    def voice_order(self) -> dict[str, tuple[str, ...]]:
        """Return language code -> voice engines in order of preference."""
        return {code: self.voice.engines.get(code, ()) for code in self.languages}

    def voice_options(self, engine: str) -> dict[str, Any]:
        """Return the keywords of a voice engine; empty where the author gave none."""
        return dict(self.voice.options.get(engine, {}))


def load_character(folder: Path) -> Character:
    """Read and check the character in `folder`.

    Raises:
        CharacterError: the first thing that is wrong, with file, line and remedy.
    """
    path = folder / "character.toml"
    sheet = _read_sheet(path)
    text = path.read_text("utf-8")
    if not sheet.languages:
        raise _error(path, text, "languages", 'is empty; write languages = ["en"]')
    if sheet.safety not in SAFETY:
        remedy = _nearest(sheet.safety, SAFETY)
        raise _error(path, text, "safety", f"is {sheet.safety!r}; {remedy}")
    tables: Sequence[tuple[str, Collection[str]]] = (
        ("voice.engines", sheet.voice.engines),
        ("texts", sheet.texts),
        ("pronunciation", sheet.pronunciation),
    )
    strange = [f"{table}.{code}" for table, keys in tables for code in keys
               if code not in sheet.languages]  # fmt: skip
    if strange:
        line = _line_of(text, strange[0])
        raise CharacterError(
            f"{path}:{line}: {', '.join(strange)}: not among languages; "
            "add the language there or remove these lines"
        )
    personas = _read_persona(folder / "persona.md", sheet.languages)
    examples = _read_examples(folder / "examples.md", sheet.languages)
    return Character(
        folder=folder,
        name=sheet.name,
        display_name=sheet.display_name,
        languages=sheet.languages,
        pronunciation=sheet.pronunciation,
        renderer=sheet.rig,
        scene=sheet.scene,
        safety=sheet.safety,
        temperament=sheet.temperament,
        theme=sheet.theme,
        captions=sheet.captions,
        voice=sheet.voice,
        texts=sheet.texts,
        personas=personas,
        examples=examples,
        cues=_read_cues(folder / "motions"),
    )


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise CharacterError(f"{path}: missing; {what}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise CharacterError(f"{path}:{line}: not UTF-8; save the file as UTF-8") from None
    except OSError as error:
        raise CharacterError(f"{path}: cannot read it ({error.strerror})") from None


def _read_sheet(path: Path) -> _Sheet:
    text = _read(path, "a character needs one (name, display_name, languages, ...)")
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"\(at line (\d+), column \d+\)", str(error))
        reason = re.sub(r" \(at .*\)", "", str(error))
        line = at[1] if at else str(text.count("\n") + 1)
        raise CharacterError(f"{path}:{line}: not valid TOML: {reason}") from None
    _reject_unknown(path, text, tree)
    try:
        return msgspec.convert(tree, _Sheet)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$.")
        key = re.sub(r"\[\.\.\.\]|\[\d+\]", "", where.rstrip("`"))
        missing = re.search(r"missing required field `(\w+)`", message)
        if missing:
            raise CharacterError(f"{path}:1: no {missing[1]}; add {missing[1]} = ...") from None
        if key == "name" and "regex" in message:
            asked = str(tree["name"])
            better = re.sub(r"[^a-z0-9_-]+", "-", asked.lower()).strip("-_") or "mika"
            raise CharacterError(
                f"{path}:{_line_of(text, key)}: name {asked!r} may have only a-z, 0-9, - and _, "
                f"no - or _ first; write {better} (the shown name is display_name)"
            ) from None
        if "regex '^#" in message or "regex '^(#" in message:
            message = "colours are written as #rrggbb, or #rrggbbaa where they are see-through"
        raise _error(path, text, key, f"is not right: {message}") from None


def _reject_unknown(path: Path, text: str, tree: Mapping[str, Any]) -> None:
    tables: list[tuple[str, Mapping[str, Any], type]] = [("", tree, _Sheet)]
    if isinstance(tree.get("voice"), dict):
        tables.append(("voice.", tree["voice"], Voice))
    if isinstance(tree.get("captions"), dict):
        tables.append(("captions.", tree["captions"], CaptionStyle))
    if isinstance(tree.get("texts"), dict):
        for code, table in tree["texts"].items():
            if isinstance(table, dict):
                tables.append((f"texts.{code}.", table, Texts))
    for prefix, table, kind in tables:
        known = [field.name for field in msgspec.structs.fields(kind)]
        for key in table:
            if key not in known:
                raise _error(path, text, prefix + key, f"is no key; {_nearest(key, known)}")


def _nearest(word: str, known: tuple[str, ...] | list[str]) -> str:
    near = get_close_matches(word, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def _error(path: Path, text: str, key: str, problem: str) -> CharacterError:
    return CharacterError(f"{path}:{_line_of(text, key)}: {key} {problem}")


def _line_of(text: str, key: str) -> int:
    """Return the line on which the dotted `key` is set, or that of its nearest table, or 1."""
    wanted = key.split(".")
    table: list[str] = []
    best = (0, 1)
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[([^\[\]]+)\]", line)
        if header:
            table = [part.strip(" \"'") for part in header[1].split(".")]
            here = table
        else:
            assignment = re.match(r"\s*([\w.\"'-]+)\s*=", line)
            if not assignment:
                continue
            here = table + [part.strip("\"'") for part in assignment[1].split(".")]
        if here == wanted[: len(here)] and len(here) > best[0]:
            best = (len(here), number)
    return best[1]


def _sections(path: Path, text: str, languages: tuple[str, ...]) -> dict[str, tuple[int, str]]:
    """Cut a file at its `## en` headings: code (or "") -> (line before it, body)."""
    found: dict[str, tuple[int, list[str]]] = {"": (0, [])}
    code = ""
    lines = text.splitlines()
    headings = [(n, match[1]) for n, line in enumerate(lines, 1) if (match := _CODE.match(line))]
    strange = [(n, code) for n, code in headings if code not in languages]
    if strange:
        codes = ", ".join(repr(code) for _, code in strange)
        told = f"language {codes} is" if len(strange) == 1 else f"languages {codes} are"
        remedy = f"character.toml lists {', '.join(languages)}"
        raise CharacterError(f"{path}:{strange[0][0]}: {told} not theirs; {remedy}")
    for number, line in enumerate(lines, 1):
        heading = _CODE.match(line)
        if heading is None:
            found[code][1].append(line)
            continue
        code = heading[1]
        if code in found:
            raise CharacterError(f"{path}:{number}: a second section {code!r}; join the two")
        found[code] = (number, [])
    return {code: (start, "\n".join(body)) for code, (start, body) in found.items()}


def _read_persona(path: Path, languages: tuple[str, ...]) -> dict[str, str]:
    text = _read(path, "say who they are, how they talk and what they never do")
    personas = {}
    for code, (_, body) in _sections(path, text, languages).items():
        body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
        body = re.sub(r"^# .*$", "", body, flags=re.MULTILINE).strip()
        if body:
            personas[code] = body
    if not personas:
        raise CharacterError(f"{path}:1: empty; say who they are and how they talk")
    if "" not in personas:
        for code in languages:
            if code not in personas:
                raise CharacterError(
                    f"{path}:1: nothing for language {code!r}; add a section '## {code}' "
                    "or text before the first section"
                )
    return personas


def _read_examples(path: Path, languages: tuple[str, ...]) -> dict[str, tuple[Exchange, ...]]:
    text = _read(path, "show them talking: '## en', then '> Name: line' and the answer below it")
    examples = {}
    for code, (start, body) in _sections(path, text, languages).items():
        body = re.sub(r"<!--.*?-->", lambda m: "\n" * m[0].count("\n"), body, flags=re.DOTALL)
        exchanges = _exchanges(path, start, body)
        if not code and exchanges:
            raise CharacterError(
                f"{path}:{start + 1}: examples before the first language; put '## en' above them"
            )
        if code:
            examples[code] = tuple(exchanges)
    return examples


def _read_cues(folder: Path) -> frozenset[str]:
    """Return the names in the motion files, whose contents are the performer's business."""
    names: set[str] = set()
    for file in (folder / "expressions.toml", folder / "gestures.toml"):
        try:
            tables = tomllib.loads(file.read_text("utf-8"))
        except (OSError, ValueError):  # none, or broken: the performer says so
            continue
        for name, table in tables.items():
            also = table.get("also", ()) if isinstance(table, dict) else ()
            names.update((name, *(other for other in also if isinstance(other, str))))
    return frozenset(names)


def _exchanges(path: Path, start: int, body: str) -> list[Exchange]:
    found: list[Exchange] = []
    asked: tuple[int, str, str] | None = None
    answer: list[str] = []

    def close() -> None:
        if asked is None:
            return
        if not answer:
            raise CharacterError(
                f"{path}:{asked[0]}: no answer to {asked[2]!r}; write it on the next line"
            )
        found.append(Exchange(asked[1], asked[2], " ".join(answer)))

    for number, raw in enumerate(body.splitlines(), start + 1):
        line = raw.strip()
        if not line or line.startswith("# "):
            continue
        if line.startswith(">"):
            close()
            author, said = _viewer(line[1:].strip())
            if not said:
                raise CharacterError(f"{path}:{number}: empty line; write '> Name: what they say'")
            asked, answer = (number, author, said), []
        elif asked is None:
            raise CharacterError(
                f"{path}:{number}: an answer without a question; write '> Name: line' above it"
            )
        else:
            answer.append(line)
    close()
    return found


def _viewer(text: str) -> tuple[str, str]:
    named = re.match(r"([^:：]{1,24})[:：]\s*(.*)$", text)
    if named is None or named[1].strip().lower().startswith("http"):
        return "", text
    return named[1].strip(), named[2].strip()
