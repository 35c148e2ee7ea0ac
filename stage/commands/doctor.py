"""Check this machine: models, engines, devices, each with the remedy.

  bunraku doctor                       what works here, what does not, what to do about it
  bunraku doctor --config show.toml    for a show of your own
  bunraku doctor --json                for programs: a list of {area, state, text, remedy}

Marks: a tick is well; ! means that something optional does not work; a cross means that
`bunraku live` could not run, and only then is the exit code 1.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from stage import config
from stage.doctor import examine
from stage.terminal import Terminal


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("--config", type=Path, help="a show.toml")
    parser.add_argument("--json", action="store_true", help="a list of objects")


def run(arguments: argparse.Namespace) -> int:
    """Look and tell."""
    checks = examine(config.load(arguments.config))
    bad = sum(check.state == "bad" for check in checks)
    if arguments.json:
        rows = [asdict(check) for check in checks]
        print(json.dumps(rows, ensure_ascii=False, indent=1))
        return 1 if bad else 0
    out = Terminal()
    area = ""
    for check in checks:
        head = check.area if check.area != area else ""
        area = check.area
        out.line(f"{out.mark(check.state)} {out.faint(f'{head:<10}')} {check.text}")
        if check.remedy:
            out.line(f"{'':13}{out.paint('->', '36')} {check.remedy}")
    out.line()
    warned = sum(check.state == "warn" for check in checks)
    if bad:
        things = "one thing stands" if bad == 1 else f"{bad} things stand"
        out.line(f"{things} in the way of `bunraku live`")
    else:
        rest = f"; {warned} optional things do not work" if warned else ""
        out.line(f"`bunraku live` can run{rest}")
    return 1 if bad else 0
