"""Make a character to start from: a small wooden doll that already talks, to be drawn over.

  bunraku new mika                          a folder `mika` here
  bunraku new mika --folder ~/hosts/mika
  bunraku new mika --from kohaku            begin with a copy of one of the hosts

Then `bunraku preview mika` shows it with a slider for each parameter and follows as you draw,
`bunraku check mika` tells what is wrong, and `bunraku live mika` puts it on stage. The guide is
docs/draw-your-own-host.md.
"""

import argparse
import re
import shutil
from importlib import resources
from pathlib import Path

from stage import folders
from stage.config import ConfigError

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("name", help="lower-case letters, digits, - and _; also the folder's name")
    parser.add_argument("--folder", type=Path, help="where (default: NAME in this folder)")
    parser.add_argument("--from", dest="model", metavar="HOST", help="copy this host instead")


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
        if arguments.model is None:
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
    display = name.replace("-", " ").replace("_", " ").title()
    source = resources.files("stage") / "starter"
    for file in ("character.toml", "persona.md", "examples.md", "LICENSE", "puppet.svg",
                 "rig.toml", "scenes/room.svg"):  # fmt: skip
        text = (source / file).read_text("utf-8")
        path = target / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{{name}}", name).replace("{{display}}", display), "utf-8")


def _copy(source: Path, name: str, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)
    sheet = target / "character.toml"
    text = re.sub(r'^name = ".*?"', f'name = "{name}"', sheet.read_text("utf-8"), flags=re.M)
    sheet.write_text(text, "utf-8")
