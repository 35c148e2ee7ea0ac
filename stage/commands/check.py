"""Look a character over: what is broken, weak or missing, each with file, line and remedy.

  bunraku check                     the default host
  bunraku check pon                 one of the hosts that come along
  bunraku check ~/hosts/mika        a folder of your own
  bunraku check --all --json        every host, for programs

Errors keep a character off the stage, warnings will be seen or heard, notes could be better. The
exit code is 1 when there is an error (with --strict also for a warning).
"""

import argparse
import json

from stage import folders
from stage.checks import Finding, check
from stage.config import Show
from stage.terminal import Terminal

_MARKS = {"error": "bad", "warning": "warn", "note": "ok"}


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("character", nargs="*", help="names or folders (default: kohaku)")
    parser.add_argument("--all", action="store_true", help="every host that is installed")
    parser.add_argument("--strict", action="store_true", help="exit 1 for warnings, too")
    parser.add_argument("--json", action="store_true", help="a list of objects")


def run(arguments: argparse.Namespace) -> int:
    """Check and print."""
    names = folders.names() if arguments.all else arguments.character or [Show().character]
    found = {name: check(folders.folder(name)) for name in names}
    if arguments.json:
        rows = [
            {
                "character": name, "level": each.level, "file": str(each.file),
                "line": each.line, "fault": each.fault, "remedy": each.remedy,
            }
            for name, findings in found.items() for each in findings
        ]  # fmt: skip
        print(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        for name, findings in found.items():
            _print(name, findings)
    bad = ("error", "warning") if arguments.strict else ("error",)
    return int(any(each.level in bad for findings in found.values() for each in findings))


def _print(name: str, findings: list[Finding]) -> None:
    out = Terminal()
    for each in findings:
        mark = out.faint("·") if each.level == "note" else out.mark(_MARKS[each.level])
        text = f"{mark} {each.place}: {each.level}: {each.fault}"
        out.line(f"{text}; {each.remedy}" if each.remedy else text)
    counts = [
        f"{n} {level}{'s' if n != 1 else ''}"
        for level in _MARKS
        if (n := sum(each.level == level for each in findings))
    ]
    clean = not any(each.level != "note" for each in findings)
    state = "ok" if clean else "bad" if findings[0].level == "error" else "warn"
    out.line(f"{out.mark(state)} {name}: {', '.join(counts) or 'nothing to complain about'}")
