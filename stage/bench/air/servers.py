"""Programs that we did not write, for streams: nginx with its RTMP module, and FFmpeg."""

import contextlib
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

MODULES = (
    "/usr/lib/nginx/modules/ngx_rtmp_module.so",
    "/usr/lib64/nginx/modules/ngx_rtmp_module.so",
)
FOLDERS = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
WAIT_S = 15.0

CONF = """
load_module {module};
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ }}
rtmp {{ server {{
  listen 127.0.0.1:{port}; chunk_size 4096;
  application live {{ live on; record all; record_path {folder}; record_suffix -{run}.flv; }}
}} }}
"""


def nginx() -> str:
    """Return why nginx with RTMP cannot be used here, or ""."""
    if shutil.which("nginx", path=FOLDERS) is None:
        return "no nginx here; install the packages `nginx` and `libnginx-mod-rtmp`"
    if not any(Path(name).exists() for name in MODULES):
        return "nginx has no RTMP here; install the package `libnginx-mod-rtmp`"
    return ""


def ffmpeg(protocol: str) -> str:
    """Return why FFmpeg cannot listen for `protocol` here, or ""."""
    program = shutil.which("ffmpeg")
    if program is None:
        return "no ffmpeg here; install the package `ffmpeg`"
    known = subprocess.run([program, "-v", "quiet", "-protocols"], capture_output=True, text=True)
    if protocol not in known.stdout.split():
        return f"this ffmpeg has no {protocol}"
    return ""


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """Return a port of the loopback that nobody uses."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(true: Callable[[], object], what: str, wait_s: float = WAIT_S) -> None:
    """Wait until `true()`; real servers know no virtual time.

    Raises:
        TimeoutError: it was not within `wait_s` seconds; says `what`.
    """
    end = time.monotonic() + wait_s
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {wait_s:.0f} s: {what}")
        time.sleep(0.02)


def listens(port: int) -> bool:
    """Return whether somebody takes connections on that port of the loopback."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Nginx:
    """nginx-rtmp on the loopback, which records what it gets as FLV; a context manager."""

    def __init__(self, folder: Path) -> None:
        """Prepare a server that records into `folder`."""
        folder.chmod(0o777)  # its worker is not the user who started it
        self.folder = folder
        self.port = free_port()
        self._run = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, without a key."""
        return f"rtmp://127.0.0.1:{self.port}/live"

    @property
    def films(self) -> list[Path]:
        """What it has recorded: one film for each time it was started, in order."""
        return sorted(self.folder.glob("*.flv"))

    def start(self) -> None:
        """Start it, and return when it listens."""
        self._run += 1
        module = next(name for name in MODULES if Path(name).exists())
        conf = self.folder / "nginx.conf"
        conf.write_text(
            CONF.format(
                module=module, folder=self.folder, port=self.port, run=f"{self._run:03d}"
            )
        )  # fmt: skip
        program = shutil.which("nginx", path=FOLDERS) or "nginx"
        self._process = subprocess.Popen(
            [program, "-c", str(conf), "-p", str(self.folder)], stderr=subprocess.DEVNULL
        )
        until(lambda: listens(self.port), "nginx listens")

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self, frozen: bool) -> None:
        """Stop it without closing anything, or let it go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def __enter__(self) -> "Nginx":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()


class Listener:
    """FFmpeg waiting for one stream, which it writes down unchanged; a context manager."""

    def __init__(self, url: str, film: Path, *, before: tuple[str, ...] = ()) -> None:
        """Prepare to take the stream from `url` into `film`; `before` are options of the input."""
        self.film = film
        self._command = [
            "ffmpeg", "-v", "error", "-y", "-analyzeduration", "500000", *before, "-i", url,
            "-c", "copy", "-flush_packets", "1", str(film),
        ]  # fmt: skip

    def end(self) -> str:
        """Wait for the end of the stream; returns FFmpeg's complaints."""
        _, said = self._process.communicate(timeout=WAIT_S)
        return said.decode()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "Listener":
        self._process = subprocess.Popen(self._command, stderr=subprocess.PIPE)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        if self._process.stderr is not None:
            with contextlib.suppress(OSError):
                self._process.stderr.close()


def captions_in(film: Path) -> list[tuple[float, str]]:
    """Return the captions inside the pictures of a film: when each appears, and its text."""
    made = subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"movie={film}[out0+subcc]", "-map", "0:s",
         "-f", "srt", "-"],
        capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    found = []
    for block in made.stdout.decode("utf-8", "replace").strip().split("\n\n"):
        rows = block.splitlines()
        if len(rows) < 3:
            continue
        hours, minutes, seconds = rows[1].split(" --> ")[0].replace(",", ".").split(":")
        text = re.sub(r"<[^>]*>|\{[^}]*\}|\\h", " ", " ".join(rows[2:]))
        at_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        found.append((at_s, " ".join(text.split())))
    return found
