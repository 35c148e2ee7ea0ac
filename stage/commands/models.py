"""List, fetch, verify and remove models.

  bunraku models                       what there is, its size, licence and state
  bunraku models fetch                 get the default models (about 1.4 GB, once for all checkouts)
  bunraku models fetch piper-joe       get one; goes on where it stopped
  bunraku models verify                hash every file again
  bunraku models remove qwen2.5-coder-0.5b
  bunraku models where whisper-base    print its path

Models lie in the user's cache; BUNRAKU_CACHE names another folder. A model of your own needs no
entry: `bunraku live --model my.gguf`.
"""

import argparse
import sys
import time

from stage.models.store import ModelError, ModelStore, default_names, names_for_tests
from stage.terminal import Terminal, megabytes

STATES = {"ready": "ok", "partial": "warn", "missing": "bad"}
WORDS = {"ready": "ready", "partial": "half fetched", "missing": "not here"}


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("list", help="what there is (the default)")
    fetch = actions.add_parser("fetch", help="get models: names, or one of the sets below")
    fetch.add_argument("names", nargs="*", help="catalogue names (default: --default)")
    sets = fetch.add_mutually_exclusive_group()
    sets.add_argument("--default", action="store_true", help="what a show needs on this machine")
    sets.add_argument("--tests", action="store_true", help="that, and what the tests need")
    sets.add_argument("--all", action="store_true", help="everything in the catalogue")
    verify = actions.add_parser("verify", help="hash every file again")
    verify.add_argument("names", nargs="*", help="catalogue names (default: all that are here)")
    remove = actions.add_parser("remove", help="delete models from the cache")
    remove.add_argument("names", nargs="+", help="catalogue names")
    where = actions.add_parser("where", help="print the cache's folder, or a model's path")
    where.add_argument("name", nargs="?", help="a catalogue name")


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked."""
    store = ModelStore()
    match arguments.action:
        case "fetch":
            return _fetch(store, _names(store, arguments))
        case "verify":
            return _verify(store, arguments.names)
        case "remove":
            return _remove(store, arguments.names)
        case "where":
            print(store.path(arguments.name) if arguments.name else store.root)
            return 0
    return _list(store)


def _list(store: ModelStore) -> int:
    out = Terminal()
    default = default_names()
    rows = [
        [
            out.mark(STATES[row.state]),
            row.name,
            row.model.kind,
            f"{megabytes(row.model.size):>7}",
            WORDS[row.state] + (" (default)" if row.name in default else ""),
            row.model.licence,
            out.faint(row.model.note),
        ]
        for row in store.status()
    ]
    out.table(rows)
    missing = [row.name for row in store.status() if row.state != "ready" and row.name in default]
    out.line()
    out.line(out.faint(f"in {store.root}"))
    if missing:
        out.line(f"`bunraku models fetch` gets what a show needs: {', '.join(missing)}")
    return 0


def _names(store: ModelStore, arguments: argparse.Namespace) -> list[str]:
    if arguments.all:
        return list(store.entries)
    if arguments.tests:
        return list(dict.fromkeys((*default_names(), *names_for_tests())))
    names: list[str] = list(arguments.names)
    if arguments.default or not names:
        names = [*default_names(), *names]
    for name in names:
        if name not in store.entries:
            store.resolve(name)  # says what is meant
            raise ModelError(f"{name} is a file of yours; there is nothing to fetch")
    return list(dict.fromkeys(names))


def _fetch(store: ModelStore, names: list[str]) -> int:
    failed = 0
    for name in names:
        bar = FetchBar(name)
        try:
            path = store.fetch(name, bar.show)
        except ModelError as error:
            bar.end()
            print(f"bunraku: {error}", file=sys.stderr)
            failed += 1
            continue
        bar.end()
        out = Terminal(sys.stderr)
        out.line(f"{out.mark('ok')} {name}  {out.faint(str(path))}")
    return 1 if failed else 0


def _verify(store: ModelStore, names: list[str]) -> int:
    here = [row.name for row in store.status() if row.state == "ready"]
    if not names and not here:
        raise ModelError("no models are here; run `bunraku models fetch`")
    out, failed = Terminal(), 0
    for name in names or here:
        wrong = store.verify(name)
        if not wrong:
            out.line(f"{out.mark('ok')} {name}: every file is as it should be")
            continue
        failed += 1
        out.line(
            f"{out.mark('bad')} {name}: wrong or missing: {', '.join(wrong)}; "
            f"run `bunraku models fetch {name}`"
        )
    return 1 if failed else 0


def _remove(store: ModelStore, names: list[str]) -> int:
    for name in names:
        if name not in store.entries:
            store.resolve(name)  # says what is meant
    before = {row.name: row for row in store.status()}
    for name in names:
        store.remove(name)
        state = before[name].state
        freed = f"; {megabytes(before[name].model.size)} freed" if state == "ready" else ""
        print(f"{name}: {'was not here' if state == 'missing' else 'removed' + freed}")
    return 0


class FetchBar:
    """How much of a model is here: one line that moves on a terminal, a line a tenth elsewhere."""

    WIDTH = 28

    def __init__(self, name: str, out: Terminal | None = None) -> None:
        """Show the progress of `name` on `out` (standard error)."""
        self._name = name
        self._out = out if out is not None else Terminal(sys.stderr)
        self._stream = self._out._stream
        self._shown_s = -1.0
        self._tenth = -1
        self._said = ""

    def show(self, name: str, done: int, total: int, doing: str) -> None:
        """Take one report of the store."""
        share = done / total if total else 1.0
        now_s = time.monotonic()
        if not self._out.live:
            if int(share * 10) > self._tenth or doing != self._said:
                self._tenth, self._said = int(share * 10), doing
                self._out.line(
                    f"{name}: {share:4.0%} of {megabytes(total)}" + (f", {doing}" if doing else "")
                )
            return
        if now_s - self._shown_s < 0.1 and doing == self._said:
            return
        self._shown_s, self._said = now_s, doing
        full = round(share * self.WIDTH)
        bar = "█" * full + "·" * (self.WIDTH - full)
        text = f"{name} {bar} {share:4.0%} of {megabytes(total)}  {doing}"
        self._stream.write(f"\r\x1b[K{text[: max(20, self._out.width - 1)]}")
        self._stream.flush()

    def end(self) -> None:
        """Clear the moving line."""
        if self._out.live:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
