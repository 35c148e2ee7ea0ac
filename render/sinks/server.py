"""What the sinks that send to a server have in common: their secrets, and the waits between tries.

Runs on: the thread of the sink that asks.
"""

import os
import re
from collections.abc import Iterable, Mapping

from dialogue.plugins import EngineUnavailable

BACK_OFF_S = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Waits after one failure, two, ...; the last one from then on."""


def back_off_s(failures: int) -> float:
    """Return how many seconds to wait after `failures` tries in a row (0 or more before this)."""
    return BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)]


def secret(
    sink: str, name: str, environment: Mapping[str, str] = os.environ, *, what: str = "stream key"
) -> str:
    """Return what the environment variable `name` holds: a `what`, as the error calls it.

    Raises:
        EngineUnavailable: it is not set.
    """
    value = environment.get(name, "").strip()
    if not value:
        raise EngineUnavailable(
            f"{sink}: the environment variable {name} is not set; put the {what} into it"
        )
    return value


def filled(sink: str, url: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return `url` with the environment variable of each name in braces, `{TWITCH_KEY}`.

    Raises:
        EngineUnavailable: one of them is not set.
    """
    return re.sub(r"\{(\w+)\}", lambda found: secret(sink, found[1], environment), url)


def veiled(text: str, secrets: Iterable[str]) -> str:
    """Return the first line of `text` (or "unknown") with stars for every secret in it."""
    line = text.splitlines()[0] if text.strip() else "unknown"
    for word in sorted(filter(None, secrets), key=len, reverse=True):
        line = line.replace(word, "***")
    return line
