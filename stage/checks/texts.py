"""The words of a character: settings, persona, examples, licence, motions, voices."""

import re
from pathlib import Path

from avatar.motions import Motions, read_motions
from avatar.pose import ParameterTable
from avatar.rig import CharacterError as RigError
from dialogue.character import CaptionStyle, Character, CharacterError, load_character
from dialogue.plugins import EngineUnavailable, load, registered
from stage.checks.finding import Finding, from_error, from_line

FEWEST_EXAMPLES = 5
"""A small model copies its manner from examples; fewer than this and it talks like a servant."""
LONGEST_PERSONA = 900
"""Letters (a Chinese or Japanese sign counts three) that a model on two cores reads in time."""

LEAST_CONTRAST = 4.5
"""Of captions against what is behind them."""

_CUE = re.compile(r"\[([A-Za-z][A-Za-z _-]*)\]")


def look_at_texts(folder: Path) -> tuple[list[Finding], Character | None]:
    """Return what is wrong with the texts, and the character if it can be read."""
    found: list[Finding] = []
    licence = folder / "LICENSE"
    if not licence.is_file() or not licence.read_text("utf-8", "replace").strip():
        found.append(
            Finding(
                "error", licence, None, "missing or empty",
                "say who made the art and the texts, and under which licence",
            )
        )  # fmt: skip
    motions: Motions | None = None
    try:
        motions = read_motions(folder / "motions", ParameterTable())
    except RigError as error:
        found.append(from_error(error))
    try:
        character = load_character(folder)
    except CharacterError as error:
        return [*found, from_line(folder, str(error))], None
    found += _languages(folder, character)
    found += _captions(folder, character.captions)
    found += _voices(folder, character)
    if motions is not None:
        found += _cues(folder, motions)
    return found, character


def _languages(folder: Path, character: Character) -> list[Finding]:
    found = []
    sheet = folder / "character.toml"
    for code in character.languages:
        examples = len(character.examples.get(code, ()))
        if examples < FEWEST_EXAMPLES:
            found.append(
                Finding(
                    "warning", folder / "examples.md", _heading(folder / "examples.md", code),
                    f"{examples} examples in {code!r}, fewer than {FEWEST_EXAMPLES}",
                    "show how they greet, tease, refuse and say that they do not know",
                )
            )  # fmt: skip
        persona = character.persona(code)
        length = sum(3 if ord(sign) > 0x2E80 else 1 for sign in persona)
        if length > LONGEST_PERSONA:
            found.append(
                Finding(
                    "note", folder / "persona.md", _heading(folder / "persona.md", code),
                    f"the persona in {code!r} is long ({length} letters)",
                    f"below {LONGEST_PERSONA} a small model keeps all of it in mind",
                )
            )  # fmt: skip
        if code not in character.pronunciation:
            found.append(
                Finding(
                    "warning", sheet, None, f"no pronunciation of the name in {code!r}",
                    f"add {code} under [pronunciation]: the model uses that spelling, too",
                )
            )  # fmt: skip
        texts = character.texts.get(code)
        if texts is None or not texts.apology or not texts.dodge:
            found.append(
                Finding(
                    "warning", sheet, None, f"no apology or dodge in {code!r}",
                    f"add [texts.{code}]: what they say when no answer comes or none is fit",
                )
            )  # fmt: skip
    return found


def _captions(folder: Path, style: CaptionStyle) -> list[Finding]:
    sheet = folder / "character.toml"
    behind, what = (style.box, "box") if style.box else (style.outline, "outline")
    found = []
    if not style.box and not style.outline_width:
        found.append(
            Finding(
                "warning", sheet, None, "captions have neither an outline nor a box",
                "give [captions] outline_width = 0.07 or a box, or they drown in a bright picture",
            )
        )  # fmt: skip
    for key in ("color", "now", "coming"):
        ratio = contrast(getattr(style, key), behind)
        if ratio < LEAST_CONTRAST:
            found.append(
                Finding(
                    "warning", sheet, None,
                    f"captions.{key} is hard to read on captions.{what} ({ratio:.1f} : 1)",
                    f"make one lighter or darker: {LEAST_CONTRAST} : 1 can be read (WCAG 2.2, AA)",
                )
            )  # fmt: skip
    return found


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (#rrggbb) as WCAG 2.2 defines it: 1 to 21."""
    bright = []
    for colour in (one, other):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        bright.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(bright) + 0.05) / (min(bright) + 0.05)


def _heading(file: Path, code: str) -> int | None:
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        if re.match(rf"##\s+{code}\s*$", line):
            return number
    return None


def _voices(folder: Path, character: Character) -> list[Finding]:
    found = []
    sheet = folder / "character.toml"
    known = registered("tts")
    for code, names in character.voice_order().items():
        able = False
        for name in names:
            if name not in known and ":" not in name:
                found.append(
                    Finding(
                        "error", sheet, None, f"no voice engine is called {name!r}",
                        f"known: {', '.join(sorted(known))} (`bunraku engines tts`)",
                    )
                )  # fmt: skip
                continue
            try:
                spoken = getattr(load("tts", name), "languages", ())
            except EngineUnavailable as error:
                found.append(Finding("warning", sheet, None, str(error), "or name another engine"))
                continue
            able = able or not isinstance(spoken, tuple) or code in spoken or "*" in spoken
        if not able:
            found.append(
                Finding(
                    "error", sheet, None, f"no engine under [voice.engines] speaks {code!r}",
                    f"write {code} = [...] there; `bunraku engines tts` lists who speaks what",
                )
            )  # fmt: skip
    return found


def _cues(folder: Path, motions: Motions) -> list[Finding]:
    found = []
    file = folder / "examples.md"
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        for cue in _CUE.findall(line):
            if motions.resolve(cue) is None:
                found.append(
                    Finding(
                        "warning", file, number, f"[{cue}] is no expression and no gesture",
                        "use one of avatar/motions or add it to the character's motions/",
                    )
                )  # fmt: skip
    return found
