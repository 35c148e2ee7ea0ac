"""Scripts: files of timed chat lines, for `bunraku live --script`.

One line each, in order of time; empty lines and lines that start with `#` are skipped:

    0:03 Mika: Hi Kohaku!
    0:15.5 小雨: 今天过得怎么样？
    +8 ゆき: おやすみ！

A time is minutes:seconds from the start of the show, or `+seconds` after the line before; `>` in
place of a time means "as soon as the answer before it has ended".
"""

import re
from dataclasses import dataclass
from pathlib import Path

from stage.config import ConfigError

_LINE = re.compile(
    r"(?:(?P<minutes>\d+):(?P<seconds>[0-5]?\d(?:\.\d+)?)|\+(?P<after>\d+(?:\.\d+)?)|(?P<then>>))"
    r"\s+(?:(?P<author>[^:：]{1,60})[:：]\s*)?(?P<text>.+)"
)


@dataclass(frozen=True, slots=True)
class ScriptLine:
    """One timed line."""

    at_s: float | None
    """Seconds from the start of the show; None waits for the answer before it."""
    author: str
    """May be empty."""
    text: str
    """The line."""


def read(path: Path) -> list[ScriptLine]:
    """Read a script.

    Raises:
        ConfigError: names file and line, and the form that is wanted.
    """
    try:
        content = path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the script ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: the script is not UTF-8; save it as UTF-8") from None
    lines: list[ScriptLine] = []
    last_s = 0.0
    for number, raw in enumerate(content.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ConfigError(
                f"{path}:{number}: not a timed line; write it as `0:05 Name: text`, "
                "`+3 Name: text` or `> Name: text`"
            )
        at_s: float | None
        if match["then"]:
            at_s = None
        elif match["after"]:
            at_s = last_s + float(match["after"])
        else:
            at_s = int(match["minutes"]) * 60 + float(match["seconds"])
            if at_s < last_s:
                raise ConfigError(f"{path}:{number}: goes back in time; sort the lines")
        last_s = at_s if at_s is not None else last_s
        lines.append(ScriptLine(at_s, (match["author"] or "").strip(), match["text"].strip()))
    if not lines:
        raise ConfigError(f"{path}: the script has no lines; see `bunraku live --help`")
    return lines
