"""`bunraku`: the command line. Each command lives in `stage/commands/`."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from importlib import metadata

COMMANDS = {
    "live": "run a show: the host on the stage page, answering chat",
    "say": "render one line to a film, offline and faster than real time",
    "hear": "print what the speech recogniser hears in a sound file",
    "new": "make a character to start from",
    "preview": "open a page with a slider for each parameter, live as you draw",
    "check": "look a character over: every fault with file, line and remedy",
    "sheets": "draw a host's faces, mouths and gestures, and film a minute of them",
    "models": "list, fetch, verify and remove models",
    "engines": "list the engines: which are ready, and why the others are not",
    "cable": "make a virtual audio cable: the host as a microphone for OBS, Discord or Zoom",
    "doctor": "check this machine: models, engines, devices, each with the remedy",
    "bench": "measure every figure we claim, beside its target",
}
"""Name -> one line of help, in the order of `bunraku --help`."""


_CLOSING = """\
Start with `bunraku live`, or `bunraku say "Hello!" -o hello.mp4`.
`bunraku COMMAND --help` explains one."""


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=96)


def _parser() -> argparse.ArgumentParser:
    lines = "\n".join(f"  {name:<9} {text}" for name, text in COMMANDS.items())
    return argparse.ArgumentParser(
        prog="bunraku",
        formatter_class=_Help,
        usage="bunraku COMMAND [options]",
        description="An open stage for virtual hosts.",
        epilog=f"commands:\n{lines}\n\n{_CLOSING}",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 well, 1 failed, 2 asked for wrongly."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    if not arguments or arguments[0] in ("-h", "--help"):
        parser.print_help()
        return 0
    if arguments[0] in ("-V", "--version"):
        print("bunraku", metadata.version("bunraku"))
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        from difflib import get_close_matches

        near = get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean `bunraku {near[0]}`?" if near else "see `bunraku --help`"
        print(f"bunraku: no command {name!r}; {hint}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"stage.commands.{name}")
    command = argparse.ArgumentParser(
        prog=f"bunraku {name}", formatter_class=_Help, description=module.__doc__
    )
    module.add(command)
    try:
        code: int = module.run(command.parse_args(arguments[1:]))
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except _expected() as error:
        print(f"bunraku: {error}", file=sys.stderr)
        return 1
    return code


def _expected() -> tuple[type[Exception], ...]:
    """Return the failures whose message is already one clear line with the remedy."""
    from avatar.rig import CharacterError
    from dialogue.character import CharacterError as PersonaError
    from dialogue.plugins import EngineError, EngineUnavailable
    from stage.config import ConfigError
    from stage.models.store import ModelError

    return (CharacterError, PersonaError, ConfigError, EngineError, EngineUnavailable, ModelError)


if __name__ == "__main__":
    sys.exit(main())
