"""Measure every figure we claim, beside its target.

  bunraku bench                      all areas (about 30 minutes)
  bunraku bench --area loop --only latency,film
  bunraku bench --json > figures.json

Figures depend on the machine and on what else it does: close other programs. Nothing is asserted
here; a missed target is printed as MISSED and the exit code stays 0 (use --strict to change that).
"""

import argparse
import importlib
import sys

from stage.bench.figures import Figure, as_json, as_table
from stage.config import ConfigError

AREAS = {"air": "stage.bench.air", "host": "stage.bench.host", "loop": "stage.bench.loop"}
"""Area -> module with `PARTS`: name -> (description, measure() -> list[Figure])."""


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("--area", choices=sorted(AREAS), help="only this area")
    parser.add_argument("--only", default="", help="only these parts, separated by commas")
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    parser.add_argument("--list", action="store_true", help="list the parts and end")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    wanted = [part for part in arguments.only.split(",") if part]
    figures: list[Figure] = []
    known: set[str] = set()
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
    unknown = [part for part in wanted if part not in known]
    if unknown:
        raise ConfigError(f"no part {unknown[0]!r}; known: {', '.join(sorted(known))}")
    if not arguments.list:
        print(as_json(figures) if arguments.json else as_table(figures))
    missed = [figure for figure in figures if figure.met is False]
    return 1 if missed and arguments.strict else 0
