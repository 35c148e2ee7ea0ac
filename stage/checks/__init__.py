"""Looks a character over before a show does: what is wrong, where it stands, what to do.

Runs on: the thread that calls it; takes a few seconds, most of them to draw every mouth and lid.
`texts` reads the words, `rig` the drawing and what moves it, `pictures` what is seen.
"""

from pathlib import Path

from avatar.puppet.puppet import Puppet
from avatar.rig import CharacterError
from stage.checks.finding import Finding, from_error
from stage.checks.pictures import look_at_pictures
from stage.checks.rig import look_at_rig
from stage.checks.scenes import look_at_scenes
from stage.checks.texts import look_at_texts

__all__ = ["Finding", "check"]


def check(folder: Path) -> list[Finding]:
    """Return everything that is wrong or weak in the character at `folder`, worst first."""
    found, character = look_at_texts(folder)
    found += look_at_scenes(folder, character.scene if character else None)
    if character is None or character.renderer == "puppet":
        faults: list[CharacterError] = []
        try:
            puppet = Puppet(folder, faults=faults)
        except CharacterError as error:
            found += [from_error(fault) for fault in (error, *faults)]
        else:
            found += [from_error(fault) for fault in faults]
            found += look_at_rig(puppet, whole=not faults)
            if not faults:
                found += look_at_pictures(folder)
    return sorted(found, key=lambda f: (f.rank, str(f.file), f.line or 0))
