"""Where things are: characters by name."""

from difflib import get_close_matches
from pathlib import Path

import characters
from stage.config import ConfigError


def _installed() -> dict[str, Path]:
    known = {}
    for root in characters.__path__:
        for folder in sorted(Path(root).iterdir()):
            if (folder / "character.toml").is_file():
                known[folder.name] = folder
    return known


def names() -> list[str]:
    """Return the names of the hosts that come along."""
    return list(_installed())


def character(name: str) -> Path:
    """Return the folder of the character called `name`, or at the path `name`.

    Raises:
        ConfigError: there is none; suggests the nearest.
    """
    path = Path(name)
    if path.is_dir() and (path / "character.toml").is_file():
        return path.resolve()
    known = _installed()
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"
    raise ConfigError(f"no character {name!r} (a folder with a character.toml); {hint}")


def folder(name: str) -> Path:
    """Return the folder `name`, also one that is no character yet, or the character's so called.

    Raises:
        ConfigError: there is neither.
    """
    path = Path(name)
    return path.resolve() if path.is_dir() and name not in _installed() else character(name)
