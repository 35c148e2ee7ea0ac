"""List the engines: which are ready, and why the others are not.

  bunraku engines                  everything that is registered, ours and plug-ins
  bunraku engines tts              one kind: llm, tts, asr, renderer, sink, chat, rig
  bunraku engines --json           the same for programs

An engine is one file and one entry point (docs/add-an-engine.md); `module:Class` in show.toml
works without one. Nothing heavy is loaded to find out: modules, programs and models are looked
for, not opened.
"""

import argparse
import json

from dialogue.plugins import KINDS
from stage.config import ConfigError
from stage.doctor import engines
from stage.terminal import Terminal


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("kind", nargs="?", help=f"one of {', '.join(KINDS)} (default: all)")
    parser.add_argument("--json", action="store_true", help="a list of objects")


def run(arguments: argparse.Namespace) -> int:
    """Print the engines."""
    if arguments.kind is not None and arguments.kind not in KINDS:
        raise ConfigError(f"no kind of engine is called {arguments.kind!r}; {', '.join(KINDS)}")
    found = engines([arguments.kind] if arguments.kind else list(KINDS))
    if arguments.json:
        rows = [
            {
                "kind": engine.entry.kind, "name": engine.entry.name,
                "reference": engine.entry.reference, "origin": engine.entry.origin,
                "ready": engine.state == "ok", "why": engine.why,
                "languages": list(engine.languages), "needs": dict(engine.needs),
                "licence": engine.licence,
            }
            for engine in found
        ]  # fmt: skip
        print(json.dumps(rows, ensure_ascii=False, indent=1))
        return 0
    out = Terminal()
    out.table(
        [
            [
                out.mark("ok" if engine.state == "ok" else "warn"),
                engine.entry.kind,
                engine.entry.name,
                " ".join(engine.languages).replace("*", "any"),
                engine.entry.origin,
                out.faint(engine.licence) if engine.state == "ok" else engine.why,
            ]
            for engine in found
        ]
    )
    return 0
