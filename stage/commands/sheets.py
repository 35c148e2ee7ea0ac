"""Draw a host's contact sheets, and film a minute of them: what to look at before going on air.

  bunraku sheets                        expressions, visemes and gestures of the default host
  bunraku sheets pon -o pictures        into another folder
  bunraku sheets --all --film           of every host, with a film of a minute each

Writes NAME-expressions.jpg, NAME-visemes.jpg, NAME-gestures.jpg and, with --film, NAME.mp4: the
host greets, talks in each of their languages and idles in between.
"""

import argparse
import sys
from pathlib import Path

import cv2

from stage import folders
from stage.config import ConfigError, Show


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("character", nargs="*", help="names or folders (default: kohaku)")
    parser.add_argument("--all", action="store_true", help="every host that is installed")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path(),
        help="folder for the pictures, made if need be (default: here)",
    )
    parser.add_argument("--film", action="store_true", help="film a minute, too (needs the voices)")


def run(arguments: argparse.Namespace) -> int:
    """Draw and film."""
    from stage.sheets import sheets

    output: Path = arguments.output
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{output}: cannot be made ({error.strerror}); name another") from None
    for name in folders.names() if arguments.all else arguments.character or [Show().character]:
        folder = folders.character(name)
        for sheet in sheets(folder):
            file = output / f"{folder.name}-{sheet.name}.jpg"
            if not cv2.imwrite(str(file), sheet.pixels, [cv2.IMWRITE_JPEG_QUALITY, 82]):
                raise ConfigError(f"{file}: cannot write it; is the folder writable?")
            print(file)
        if arguments.film:
            print(_film(folder, output / f"{folder.name}.mp4"))
    return 0


def _film(folder: Path, file: Path) -> str:
    import msgspec

    from dialogue.character import load_character
    from stage import engines
    from stage.film import shoot
    from stage.minute import script
    from stage.progress import Bar

    show = msgspec.structs.replace(Show(), character=str(folder))
    character = load_character(folder)
    utterances, rests = script(character)
    speaker = engines.make_speaker(show, character)
    speaker.warm()
    with Bar(file.name, quiet=not sys.stderr.isatty()) as bar:
        report = shoot(show, speaker, utterances, file, rests=rests, progress=bar.seconds)
    return f"{file}: {report.film_s:.0f} s"
