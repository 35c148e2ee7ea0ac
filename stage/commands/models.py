"""List, fetch, verify and remove models.

bunraku models                    what there is, how big it is, under which licence
bunraku models fetch --default    what a show needs on this machine
bunraku models fetch piper-joe    one of them; goes on where it was cut off
bunraku models verify             hash every byte again
bunraku models remove NAME        free the disk
bunraku models where              the folder they are in ($BUNRAKU_CACHE moves it)
"""

import argparse
import sys
import time

from stage.models.store import ModelStore, default_names, names_for_tests


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument(
        "action", nargs="?", default="list", choices=("list", "fetch", "verify", "remove", "where")
    )
    parser.add_argument("names", nargs="*", help="names from the list")
    parser.add_argument("--default", action="store_true", help="fetch what a show needs here")
    parser.add_argument("--tests", action="store_true", help="fetch what the tests need")
    parser.add_argument("--all", action="store_true", help="fetch every entry")


def run(arguments: argparse.Namespace) -> int:
    """Do it."""
    store = ModelStore()
    match arguments.action:
        case "list":
            return _list(store)
        case "where":
            print(store.root)
            return 0
        case "fetch":
            return _fetch(store, arguments)
        case "verify":
            return _verify(store, arguments.names)
    if not arguments.names:
        print("bunraku models remove: name what to remove", file=sys.stderr)
        return 2
    for name in arguments.names:
        store.remove(name)
        print(f"{name}: removed")
    return 0


def _list(store: ModelStore) -> int:
    for row in store.status():
        size = f"{row.model.size / 1e6:.0f} MB"
        print(f"{row.name:<20} {row.model.kind:<4} {size:>8}  {row.state:<8} {row.model.title}")
        print(f"{'':<20} licence: {row.model.licence}; {row.model.note}")
    missing = [n for n in default_names() if n not in _ready(store)]
    if missing:
        print(f"\nmissing for a show: {', '.join(missing)}; run `bunraku models fetch --default`")
    return 0


def _ready(store: ModelStore) -> set[str]:
    return {row.name for row in store.status() if row.state == "ready"}


def _fetch(store: ModelStore, arguments: argparse.Namespace) -> int:
    names = list(arguments.names)
    if arguments.default:
        names += default_names()
    if arguments.tests:
        names += names_for_tests()
    if arguments.all:
        names += store.entries
    if not names:
        print("bunraku models fetch: name a model, or give --default", file=sys.stderr)
        return 2
    ready = _ready(store)
    wanted = [name for name in dict.fromkeys(names) if name not in ready]
    for number, name in enumerate(wanted, 1):
        bar = _Bar(f"model {number} of {len(wanted)}")
        store.fetch(name, bar)
        bar.end()
    return 0


def _verify(store: ModelStore, names: list[str]) -> int:
    bad = 0
    for name in names or sorted(_ready(store)):
        wrong = store.verify(name)
        if wrong:
            bad = 1
            print(f"{name}: {', '.join(wrong)} differ; run `bunraku models fetch {name}`")
        else:
            print(f"{name}: every byte is right")
    return bad


class _Bar:
    """A progress bar; on anything but a terminal a line each tenth."""

    WIDTH = 28

    def __init__(self, title: str) -> None:
        self._title = title
        self._live = sys.stderr.isatty()
        self._begun: tuple[float, int] | None = None
        self._shown = -1

    def __call__(self, name: str, done: int, total: int, message: str) -> None:
        now = time.monotonic()
        if self._begun is None:
            self._begun = (now, done)
        share = done / max(total, 1)
        rate = (done - self._begun[1]) / max(now - self._begun[0], 1e-3) / 1e6
        text = f"{self._title}: {name}"
        tail = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB, {rate:.1f} MB/s, {message}"
        if self._live:
            full = round(share * self.WIDTH)
            bar = "█" * full + "·" * (self.WIDTH - full)
            sys.stderr.write(f"\r\x1b[K{text} {bar} {tail}")
            sys.stderr.flush()
        elif int(share * 10) > self._shown:
            self._shown = int(share * 10)
            print(f"{text}: {tail}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._live:
            sys.stderr.write("\n")
