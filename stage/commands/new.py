"""Make a character to start from: a girl in a red robe who already talks, to be drawn over.

  bunraku new mika                          a folder `mika` here
  bunraku new mika --folder ~/hosts/mika
  bunraku new mika --from kohaku            begin with a copy of one of the hosts
  bunraku new mika --psd art.psd            painted layers, rigged by their names
  bunraku new mika --psd layers/            the same from PNG files of one size

Then `bunraku preview mika` shows it with a slider for each parameter and follows as you draw,
`bunraku check mika` tells what is wrong, and `bunraku live mika` puts it on stage. The guide is
docs/draw-your-own-host.md.
"""

import argparse
import re
import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from stage import folders
from stage.config import ConfigError

_WORDS = ("character.toml", "persona.md", "examples.md", "LICENSE", "scenes/room.svg")
_DRAWN = ("puppet.svg", "rig.toml")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("name", help="lower-case letters, digits, - and _; also the folder's name")
    parser.add_argument("--folder", type=Path, help="where (default: NAME in this folder)")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--from", dest="model", metavar="HOST", help="copy this host instead")
    source.add_argument(
        "--psd", type=Path, metavar="ART", help="a layered PSD file, or a folder of PNG layers"
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the folder."""
    name: str = arguments.name
    if not _NAME.fullmatch(name):
        remedy = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_") or "mika"
        raise ConfigError(f"{name!r} is no name: lower-case letters, digits, - and _; try {remedy}")
    target: Path = arguments.folder if arguments.folder is not None else Path(name)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target}: already there; choose another name, or --folder")
    try:
        if arguments.psd is not None:
            _painted(name, target, arguments.psd)
        elif arguments.model is None:
            _starter(name, target)
        else:
            _copy(folders.character(arguments.model), name, target)
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written ({error.strerror})") from None
    print(f"{target}: made. Next:")
    print(f"  bunraku preview {target}    look at it; it follows as you save files")
    print(f"  bunraku check {target}      what is wrong, with file and line")
    print(f"  bunraku live {target}       on stage")
    return 0


def _starter(name: str, target: Path) -> None:
    _fill(name, target, (*_WORDS, *_DRAWN))


def _painted(name: str, target: Path, art: Path) -> None:
    from stage import layered

    layers, size = layered.read(art)
    layered.write(layers, size, target)
    _fill(name, target, _WORDS)
    hidden = f", {n} of them hidden" if (n := sum(layer.hidden for layer in layers)) else ""
    print(f"{art}: {len(layers)} layers{hidden}, {size[0]}x{size[1]}")


def _fill(name: str, target: Path, files: Sequence[str]) -> None:
    """Write the starter's `files`, with the new name in them."""
    display = name.replace("-", " ").replace("_", " ").title()
    source = resources.files("stage") / "starter"
    for file in files:
        text = (source / file).read_text("utf-8")
        path = target / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{{name}}", name).replace("{{display}}", display), "utf-8")


def _copy(source: Path, name: str, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)
    sheet = target / "character.toml"
    text = re.sub(r'^name = ".*?"', f'name = "{name}"', sheet.read_text("utf-8"), flags=re.M)
    sheet.write_text(text, "utf-8")
