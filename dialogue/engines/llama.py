"""llama.cpp in this process (`xllamacpp`): any GGUF file, no server to start, no key.

What does not change from turn to turn (persona, examples) is evaluated once and kept: in a slot of
the model's KV cache while the process lives, and in a file beside it for the next start. Each
language of a character has its own such prefix and its own slot. Source of the calls: xllamacpp's
README and llama.cpp's tools/server/README.md (`/apply-template`, `/slots/{id}?action=`).
"""

import atexit
import contextlib
import hashlib
import http.client
import json
import logging
import os
import queue
import secrets
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from dialogue.background import apart
from dialogue.engine import Line, Prompt
from dialogue.plugins import EngineError, EngineUnavailable

_log = logging.getLogger(__name__)

_STEP_BYTES = 64  # of text evaluated at once while replies may come: about 16 tokens
# Added to the niceness of the model's threads: picture and voice have deadlines, a reply that is
# being written while they work has none.
_YIELD = 8
_KEPT_FILES = 12  # saved prefixes (about 20 MB each for a 1.5 B model)
_FINGERPRINT_BYTES = 1 << 20
_ABLE = 800_000_000  # bytes of a model that translates; smaller ones mostly go astray


class LlamaModel:
    """A GGUF model on the CPU. Replies and warming may be asked for from different threads."""

    needs: ClassVar[Mapping[str, str]] = {"model": "qwen2.5-coder-1.5b"}

    def __init__(
        self,
        *,
        model: Path,
        threads: int = 0,
        context: int = 2048,
        slots: int = 3,
        cache: Path | None = None,
        gpu_layers: int = 0,
        top_p: float = 0.9,
        min_p: float = 0.08,
        repeat_penalty: float = 1.08,
        translates: bool | None = None,
    ) -> None:
        """Load the model; takes about a second a gigabyte.

        Args:
            model: a GGUF file with a chat template.
            threads: CPU threads; 0 reads prompts on all cores and writes on all but one, which
                is the body's (8 at most).
            context: tokens of one prompt with its reply.
            slots: prefixes held at once, such as one a language.
            cache: folder for evaluated prefixes; None keeps them in memory only.
            gpu_layers: layers on a GPU, where the build has one.
            top_p: nucleus of the sampling, 0..1.
            min_p: least likelihood of a token relative to the likeliest, 0..1.
            repeat_penalty: 1.0 for none.
            translates: whether it may be asked to translate captions; None: if the file has at
                least 800 MB, which is 1.5 B parameters of 4 bits.

        Raises:
            EngineUnavailable: no such file, not a GGUF, or no xllamacpp.
        """
        path = Path(model)
        _check_file(path)
        cores = _cores()
        if cores <= 2:
            # The body needs a part of a core: threads that spin while they wait for each other
            # then halve the speed (measured). Read when xllamacpp loads.
            os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        try:
            import xllamacpp
        except ImportError as error:
            raise EngineUnavailable(
                f"llama needs xllamacpp ({error}); pip install xllamacpp"
            ) from error
        self._sampling = {
            "top_p": top_p, "top_k": 40, "min_p": min_p,
            "repeat_penalty": repeat_penalty, "repeat_last_n": 64,
        }  # fmt: skip
        self._name = path.name
        self.translates = path.stat().st_size >= _ABLE if translates is None else translates
        """See `dialogue.engine.Translating`."""
        self._cache = Path(cache) / "prefixes" if cache is not None else None
        self._key = secrets.token_urlsafe(24)
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_ctx = context * slots
        parameters.n_parallel = slots
        parameters.n_gpu_layers = gpu_layers
        # Scratch memory grows with the largest piece read at once: 50 MB less, prompts 5 % slower.
        parameters.n_ubatch = 128
        parameters.verbosity = -1
        # The weights as they are in the file: half the memory and loading time of a copy arranged
        # for wider processors, and prompts are read a fifth faster (AVX2; measured).
        parameters.no_extra_bufts = True
        # The server would keep copies of prompts, up to 8 GiB: the slots and the files are enough.
        parameters.cache_ram_mib = 0
        parameters.cache_idle_slots = False
        parameters.n_ctx_checkpoints = 0
        parameters.warmup = False  # `warm` does it with something useful
        parameters.fit_params = False
        parameters.cpuparams.n_threads = threads or min(max(cores - 1, 1), 8)
        parameters.cpuparams_batch.n_threads = threads or min(cores, 8)
        # It always opens a port: on the loopback, any free number, and with a key nobody knows.
        parameters.hostnames = ["127.0.0.1"]
        parameters.port = 0
        parameters.api_keys = [self._key]
        parameters.ui = False
        parameters.n_threads_http = 2
        parameters.endpoint_slots = True
        if self._cache is not None:
            try:
                self._cache.mkdir(parents=True, exist_ok=True)
                parameters.slot_save_path = f"{self._cache}{os.sep}"
            except OSError as error:
                _log.warning("llama keeps no prefixes: %s: %s", self._cache, error.strerror)
                self._cache = None
        try:
            self._server: Any = apart(lambda: xllamacpp.Server(parameters), _YIELD)
        except (RuntimeError, ValueError) as error:
            raise EngineUnavailable(
                f"llama cannot load {path}: {error or 'not enough memory or not a model'}; "
                "fetch it anew with `bunraku models`"
            ) from error
        # A saved prefix fits only the same model, build and layout of the cache.
        build = getattr(xllamacpp, "__version__", "")
        self._fingerprint = _fingerprint(path, f"{build} {context} {slots}")
        self._address = urlsplit(self._server.listening_address)
        self._lock = threading.Lock()
        self._waiting = 0
        self._calm = threading.Condition()
        # First line of a prompt -> slot, least recently used first.
        self._slots: OrderedDict[str, int] = OrderedDict()
        self._free = list(range(slots))
        self._held: dict[int, str] = {}  # slot -> the text that its cache stands for
        self._restored = False
        self._texts: dict[tuple[Line, ...], str] = {}
        self._running: tuple[threading.Thread, threading.Event] | None = None
        # A process that ends in the middle of a reply would pull the interpreter from under it.
        leave = weakref.WeakMethod(self._leave)
        atexit.register(lambda: (method := leave()) and method())
        self.timings: dict[str, float] = {}
        """llama.cpp's own figures of the last reply: `cache_n`, `prompt_n`, `prompt_ms`, ..."""

    def warm(self, prompt: Prompt) -> None:
        """Evaluate the prompt's prefix, or take it from the cache, then the lines beyond it.

        Replies go first: it stands aside for them within a second. The first call of all, before
        which no reply is of use, does not.
        """
        step = _STEP_BYTES if self._slots else 0
        with self._lock:
            slot, known = self._slot(prompt)
        if not known:
            self._restore(slot, prompt)
        file = self._file(prompt)
        if file is not None and not file.exists():
            # Also where a reply came first and has evaluated it on its way.
            self._evaluate(slot, self._text(prompt.lines[: prompt.prefix]), step)
            self._save(slot, file)
        text = self._render_open(prompt.lines)
        self._evaluate(slot, text, step)
        if not known and self._restored:
            # What came from the cache has not touched the weights, which may still be on disk.
            with self._lock:
                self._run({"prompt": text, "n_predict": 1, "cache_prompt": True, "id_slot": slot})
            self._restored = False

    def reply(self, prompt: Prompt) -> Iterator[str]:
        """Yield text as it is written; closing the generator ends it within one token."""
        with self._calm:
            self._waiting += 1
        try:
            self._lock.acquire()
        finally:
            with self._calm:
                self._waiting -= 1
                self._calm.notify_all()
        try:
            slot, known = self._slot(prompt)
            if not known:
                self._restore_locked(slot, prompt)
            yield from self._generate(slot, prompt)
        finally:
            self._lock.release()

    def close(self) -> None:
        """Free the model."""
        with self._lock:
            if self._server is not None and not self._slots:
                # One that has not begun its loop yet would not hear that it is over, and never end.
                with contextlib.suppress(EngineError):
                    self._ask("/slots")
            self._server = None
            self._slots.clear()

    def _leave(self) -> None:
        """At the interpreter's end: stop what runs, and wait for it a little."""
        if self._running is not None:
            thread, stop = self._running
            stop.set()
            thread.join(5.0)

    # -- replies --------------------------------------------------------------------------

    def _generate(self, slot: int, prompt: Prompt) -> Iterator[str]:
        request: dict[str, Any] = {
            "prompt": self._render(prompt.lines) + prompt.lead,
            "n_predict": prompt.max_tokens,
            "temperature": prompt.temperature,
            "cache_prompt": True,
            "id_slot": slot,
            "stream": True,
            **self._sampling,
        }
        if prompt.seed is not None:
            request["seed"] = prompt.seed
        if prompt.grammar is not None:
            request["grammar"] = prompt.grammar
        # Holds at most `max_tokens` pieces.
        pieces: queue.SimpleQueue[str | BaseException | None] = queue.SimpleQueue()
        stop = threading.Event()
        thread = threading.Thread(
            target=self._complete, args=(request, pieces, stop), name="llama", daemon=True
        )
        self._running = (thread, stop)
        thread.start()
        self._held[slot] = request["prompt"]
        try:
            while (piece := pieces.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                self._held[slot] += piece
                yield piece
        finally:
            stop.set()
            thread.join()

    def _complete(
        self,
        request: dict[str, Any],
        pieces: "queue.SimpleQueue[str | BaseException | None]",
        stop: threading.Event,
    ) -> None:
        """Run one completion; the server calls back with every piece until told to stop."""

        def take(chunk: Any) -> bool:
            if "error" in chunk:
                reason = chunk["error"].get("message", "unknown error")
                pieces.put(EngineError(f"llama ({self._name}): {reason}"))
                return True
            text = chunk["choices"][0].get("text", "")
            if text and not stop.is_set():
                pieces.put(text)
            if "timings" in chunk:
                self.timings = dict(chunk["timings"])
            return stop.is_set()

        try:
            self._server.handle_completions(request, take)
            pieces.put(None)
        except Exception as error:
            pieces.put(EngineError(f"llama ({self._name}) failed: {error}"))

    # -- prefixes -------------------------------------------------------------------------

    def _slot(self, prompt: Prompt) -> tuple[int, bool]:
        """Return the slot for prompts that begin like this one, and whether it holds them."""
        key = prompt.lines[0].text
        if key in self._slots:
            self._slots.move_to_end(key)
            return self._slots[key], True
        slot = self._free.pop() if self._free else self._slots.popitem(last=False)[1]
        self._slots[key] = slot
        self._held[slot] = ""
        return slot, False

    def _evaluate(self, slot: int, text: str, step: int) -> None:
        """Evaluate `text` into `slot`, letting replies in after each `step` bytes (0: none)."""
        # A step back would throw away what is cached, so begin where the slot's text ends.
        start = len(os.path.commonprefix([self._held.get(slot, ""), text]))
        for end in _steps(text, start, step):
            with self._calm:
                self._calm.wait_for(lambda: self._waiting == 0)
            with self._lock:
                if len(os.path.commonprefix([self._held.get(slot, ""), text])) >= end:
                    continue  # a reply has been here in between
                self._run(
                    {"prompt": text[:end], "n_predict": 0, "cache_prompt": True, "id_slot": slot}
                )
                self._held[slot] = text[:end]

    def _run(self, request: dict[str, Any]) -> None:
        found: list[Any] = []

        def take(chunk: Any) -> bool:
            found.append(chunk)
            return False

        self._server.handle_completions({**request, "stream": True}, take)
        for chunk in found:
            if "error" in chunk:
                raise EngineError(f"llama ({self._name}): {chunk['error'].get('message')}")

    def _restore(self, slot: int, prompt: Prompt) -> bool:
        with self._lock:
            return self._restore_locked(slot, prompt)

    def _restore_locked(self, slot: int, prompt: Prompt) -> bool:
        """Load an evaluated prefix into `slot` (about 2 ms); False where there is none."""
        file = self._file(prompt)
        if file is None or not file.is_file():
            return False
        try:
            self._ask(f"/slots/{slot}?action=restore", {"filename": file.name})
            os.utime(file)
            self._restored = True
            self._held[slot] = self._text(prompt.lines[: prompt.prefix])
        except (EngineError, OSError) as error:  # cut short or of another build: make it anew
            _log.warning("saved prefix %s is of no use: %s", file.name, error)
            file.unlink(missing_ok=True)
            return False
        return True

    def _save(self, slot: int, file: Path) -> None:
        part = file.with_suffix(f".{os.getpid()}.part")
        try:
            with self._lock:
                self._ask(f"/slots/{slot}?action=save", {"filename": part.name})
            os.replace(part, file)
            kept = sorted(file.parent.glob("*.kv"), key=lambda f: f.stat().st_mtime)
            for old in kept[:-_KEPT_FILES]:
                old.unlink(missing_ok=True)
        except (EngineError, OSError) as error:  # a full disk must not stop the show
            part.unlink(missing_ok=True)
            _log.warning("the evaluated prefix could not be saved: %s", error)

    def _file(self, prompt: Prompt) -> Path | None:
        if self._cache is None or not prompt.prefix:
            return None
        text = self._text(prompt.lines[: prompt.prefix])
        digest = hashlib.sha256(self._fingerprint + text.encode())
        return self._cache / f"{digest.hexdigest()[:32]}.kv"

    # -- the chat template ----------------------------------------------------------------

    def _text(self, lines: tuple[Line, ...]) -> str:
        """Return the prefix `lines` as the model reads them; remembered."""
        if lines not in self._texts:
            if len(self._texts) > 16:
                self._texts.clear()
            self._texts[lines] = self._render_open(lines)
        return self._texts[lines]

    def _render_open(self, lines: tuple[Line, ...]) -> str:
        """Return what every prompt that goes on from `lines` begins with."""
        ends = [self._render((*lines, Line("user", word))) for word in ("a", "b")]
        return os.path.commonprefix(ends)

    def _render(self, lines: tuple[Line, ...]) -> str:
        messages = [{"role": line.role, "content": line.text} for line in lines]
        text: str = self._ask("/apply-template", {"messages": messages})["prompt"]
        return text

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return what llama.cpp's server answers; with a `body` it is posted."""
        connection = http.client.HTTPConnection(
            self._address.hostname or "127.0.0.1", self._address.port, timeout=30
        )
        try:
            connection.request(
                "GET" if body is None else "POST", path,
                None if body is None else json.dumps(body).encode(),
                {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"},
            )  # fmt: skip
            response = connection.getresponse()
            tree: Any = json.loads(response.read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise EngineError(f"llama ({self._name}): {path}: {error}") from error
        finally:
            connection.close()
        if response.status != 200:
            reason = tree.get("error", {}).get("message", response.status)
            raise EngineError(f"llama ({self._name}): {reason}")
        return tree


def _cores() -> int:
    """Return how many cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _steps(text: str, start: int, step: int) -> Iterator[int]:
    """Yield where to stop while evaluating `text` from character `start` on, and its end."""
    size = 0
    for index in range(start, len(text)):
        size += len(text[index].encode())
        if step and size >= step:
            yield index + 1
            size = 0
    yield len(text)


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise EngineUnavailable(
            f"llama: cannot read the model {path} ({error.strerror}); "
            "give llm.options.model a GGUF file or a name from `bunraku models`"
        ) from None
    if magic != b"GGUF":
        raise EngineUnavailable(
            f"llama: {path} is not a GGUF file; give llm.options.model one that is"
        )


def _fingerprint(path: Path, layout: str) -> bytes:
    """Return a hash that changes with the model file; reads two of its ends, not all of it."""
    digest = hashlib.sha256(layout.encode())
    size = path.stat().st_size
    digest.update(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_FINGERPRINT_BYTES))
        file.seek(max(0, size - _FINGERPRINT_BYTES))
        digest.update(file.read())
    return digest.digest()
