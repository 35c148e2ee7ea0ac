"""Measure every figure we claim, beside its target.

  bunraku bench                      all areas (with the hour of soak about four hours)
  bunraku bench --area loop --only latency,film
  bunraku bench --area air --save air.json
  bunraku bench --from air.json,later.json --markdown

Figures depend on the machine and on what else it does: close other programs. Nothing is asserted
here; a missed target is printed as MISSED and the exit code stays 0 (use --strict to change that).
Below the figures of area `air` stands the table of ways out, each with what was measured of it.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from stage.bench.figures import Figure, as_json, as_table, from_json
from stage.bench.grid import as_grid
from stage.config import ConfigError

AREAS = {"air": "stage.bench.air.parts", "host": "stage.bench.host", "loop": "stage.bench.loop"}
"""Area -> module with `PARTS`: name -> (description, measure() -> list[Figure])."""


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("--area", choices=sorted(AREAS), help="only this area")
    parser.add_argument("--only", default="", help="only these parts, separated by commas")
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    parser.add_argument(
        "--save", type=Path, metavar="FILE", help="write them as JSON too, after each part"
    )
    parser.add_argument(
        "--from", dest="saved", default="", metavar="FILES",
        help="print what --save or --json wrote; later files replace earlier ones",
    )  # fmt: skip
    parser.add_argument("--list", action="store_true", help="list the parts and end")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")


def run(arguments: argparse.Namespace) -> int:
    """Measure, or read what was measured, and print."""
    figures = _saved(arguments) if arguments.saved else _measured(arguments)
    if not arguments.list:
        print(as_json(figures) if arguments.json else _tables(figures, arguments.markdown))
    missed = [figure for figure in figures if figure.met is False]
    return 1 if missed and arguments.strict else 0


def _measured(arguments: argparse.Namespace) -> list[Figure]:
    wanted = [part for part in arguments.only.split(",") if part]
    figures: list[Figure] = []
    known: set[str] = set()
    if arguments.save is not None:
        _save(arguments.save, figures)  # what is wrong with it is said before hours have passed
    for area in [arguments.area] if arguments.area else sorted(AREAS):
        parts = importlib.import_module(AREAS[area]).PARTS
        known |= set(parts)
        for name, (description, measure) in parts.items():
            if arguments.list:
                print(f"{area:<6} {name:<10} {description}")
                continue
            if wanted and name not in wanted:
                continue
            print(f"{area}: {description} ...", file=sys.stderr, flush=True)
            try:
                figures.extend(measure())
            except Exception as error:  # one broken part must not hide the figures of the others
                line = f"{type(error).__name__}: {error}"
                print(f"{area}: {name} failed: {line}", file=sys.stderr)
                figures.append(Figure(area, f"{name}: whole part", None, "", "<= 0", line))
            if arguments.save is not None:
                _save(arguments.save, figures)
    unknown = [part for part in wanted if part not in known]
    if unknown:
        raise ConfigError(f"no part {unknown[0]!r}; known: {', '.join(sorted(known))}")
    return figures


def _save(path: Path, figures: Sequence[Figure]) -> None:
    """Write what was measured so far; a run of hours may be cut off."""
    try:
        part = path.with_name(f"{path.name}.part")
        part.write_text(as_json(figures), "utf-8")
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror or error})") from None


def _saved(arguments: argparse.Namespace) -> list[Figure]:
    if arguments.only or arguments.save:
        raise ConfigError("--from prints all figures of its files; leave --only and --save out")
    figures: dict[tuple[str, str], Figure] = {}
    for name in arguments.saved.split(","):
        try:
            read = from_json(Path(name).read_bytes())
        except OSError as error:
            raise ConfigError(f"{name}: cannot be read ({error.strerror or error})") from None
        except ValueError as error:
            raise ConfigError(f"{name}: not what `bunraku bench --save` writes ({error})") from None
        figures |= {(figure.area, figure.name): figure for figure in read}
    wanted = arguments.area
    return [figure for figure in figures.values() if wanted in (None, figure.area)]


def _tables(figures: Sequence[Figure], markdown: bool) -> str:
    grid = as_grid(figures, markdown=markdown)
    return "\n\n".join([as_table(figures, markdown=markdown), *([grid] if grid else [])])
