"""The scenes of a character: each can be drawn, and the default one is there."""

import re
from pathlib import Path

from avatar.rig import CharacterError
from render.scene import Scene
from stage.checks.finding import Finding, from_error

_LIGHT = re.compile(r'<g\b[^>]*\bid="light_([a-z0-9-]+)"')
BUILT_IN = ("transparent", "chroma")


def look_at_scenes(folder: Path, default: str | None) -> list[Finding]:
    """Return what is wrong with the scenes in `folder`.

    Args:
        folder: the character's.
        default: the one shown first; None where that could not be read.
    """
    found = []
    names = sorted(path.stem for path in (folder / "scenes").glob("*.svg"))
    if default is not None and default.partition("@")[0] not in (*names, *BUILT_IN):
        known = ", ".join((*names, *BUILT_IN))
        found.append(
            Finding(
                "error", folder / "character.toml", None,
                f"there is no scene {default!r}" if default else "no scene is named",
                f"write scene = ...; known: {known}",
            )
        )  # fmt: skip
    if not names:
        found.append(
            Finding(
                "note", folder / "scenes", None, "no scene of their own",
                "draw one: an SVG with the groups depth_0 (far) to depth_4 (near)",
            )
        )  # fmt: skip
    lit = [
        f"{name}@{light}"
        for name in names
        for light in _LIGHT.findall((folder / "scenes" / f"{name}.svg").read_text("utf-8"))
    ]
    for name in dict.fromkeys((*names, *lit, *([default] if default and "@" in default else []))):
        try:
            Scene(folder, name, 320, 180)
        except CharacterError as error:
            found.append(from_error(error))
    return found
