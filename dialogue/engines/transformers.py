"""Models through `transformers` and torch (extra `torch`): a hub name, a folder or a GGUF file.

Slower on a CPU than llama.cpp; for GPUs, and for models that llama.cpp does not know.
"""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from dialogue.engine import Line, Prompt
from dialogue.plugins import EngineError, EngineUnavailable


class TransformersModel:
    """A causal language model with a chat template."""

    needs: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        *,
        model: str | Path,
        device: str = "auto",
        dtype: str = "auto",
        threads: int = 0,
        top_p: float = 0.9,
        min_p: float = 0.08,
        repeat_penalty: float = 1.08,
        timeout_s: float = 60.0,
        translates: bool | None = None,
    ) -> None:
        """Load the model; may take a minute, and downloads a hub model the first time.

        Args:
            model: a name on the hub, a local folder, or a GGUF file.
            device: "auto" (a GPU where there is one), "cpu", "cuda", "mps".
            dtype: "auto", "float32", "bfloat16", "float16".
            threads: CPU threads; 0 leaves torch's own choice.
            top_p: nucleus of the sampling, 0..1.
            min_p: least likelihood of a token relative to the likeliest, 0..1.
            repeat_penalty: 1.0 for none.
            timeout_s: longest wait for a token, in seconds.
            translates: whether it may be asked to translate captions; None: from a billion
                parameters on.

        Raises:
            EngineUnavailable: torch is missing, or the model cannot be loaded.
        """
        try:
            import torch
            import transformers
        except ImportError as error:
            raise EngineUnavailable(
                f"transformers needs torch ({error}); pip install 'bunraku[torch]'"
            ) from error
        if dtype != "auto" and not hasattr(torch, dtype):
            raise EngineUnavailable(
                f"transformers: dtype {dtype!r} is unknown; write float32, bfloat16 or float16"
            )
        if threads:
            torch.set_num_threads(threads)
        self._torch: Any = torch
        self._transformers: Any = transformers
        place, options = _source(str(model))
        self._name = Path(str(model)).name
        self._device = device if device != "auto" else _best_device(torch)
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(place, **options)
            self._model = transformers.AutoModelForCausalLM.from_pretrained(
                place, dtype="auto" if dtype == "auto" else getattr(torch, dtype), **options
            )
            self._model.to(self._device)
            self._model.eval()
        except (OSError, ValueError, ImportError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise EngineUnavailable(
                f"transformers cannot load {model}: {reason}; "
                "give a hub name, a model's folder or a GGUF file"
            ) from error
        if not getattr(self._tokenizer, "chat_template", None):
            raise EngineUnavailable(
                f"transformers: {model} has no chat template; choose an instruction-tuned model"
            )
        self._sampling = {"top_p": top_p, "min_p": min_p, "repetition_penalty": repeat_penalty}
        self._timeout_s = timeout_s
        able = self._model.num_parameters() >= 1_000_000_000 if translates is None else translates
        self.translates = bool(able)
        """See `dialogue.engine.Translating`."""
        self._lock = threading.Lock()
        self._prefix: tuple[tuple[int, ...], Any] | None = None

    def warm(self, prompt: Prompt) -> None:
        """Evaluate the prompt's prefix and keep its key-value cache for the replies."""
        ends = [
            self._tokens((*prompt.lines[: prompt.prefix], Line("user", word)))[0].tolist()
            for word in ("a", "b")
        ]
        common = 0
        while common < min(map(len, ends)) and ends[0][common] == ends[1][common]:
            common += 1
        tokens = tuple(ends[0][:common])
        with self._lock, self._torch.inference_mode():
            if not tokens or self._prefix is not None and self._prefix[0] == tokens:
                return
            cache = self._transformers.DynamicCache()
            ids = self._torch.tensor([tokens], device=self._device)
            self._model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            self._prefix = (tokens, cache)

    def reply(self, prompt: Prompt) -> Iterator[str]:
        """Yield text as it is written; closing the generator ends it within one token."""
        transformers: Any = self._transformers
        stop = threading.Event()
        failure: list[BaseException] = []
        streamer = transformers.TextIteratorStreamer(
            self._tokenizer, skip_prompt=True, skip_special_tokens=True, timeout=self._timeout_s
        )

        class Stopped(transformers.StoppingCriteria):  # type: ignore[misc]
            def __call__(self, ids: Any, scores: Any, **_: Any) -> bool:
                return stop.is_set()

        def generate() -> None:
            try:
                with self._lock, self._torch.inference_mode():
                    self._generate(prompt, streamer, Stopped())
            except BaseException as error:
                failure.append(error)
                streamer.end()

        thread = threading.Thread(target=generate, name="transformers", daemon=True)
        thread.start()
        try:
            for piece in streamer:
                if piece:
                    yield piece
        except Exception as error:
            raise EngineError(
                f"transformers ({self._name}): no token for {self._timeout_s:g} s"
            ) from error
        finally:
            stop.set()
            thread.join()
        if failure:
            reason = " ".join(str(failure[0]).split())[:200]
            raise EngineError(f"transformers ({self._name}) failed: {reason}") from failure[0]

    def close(self) -> None:
        """Free the model."""
        with self._lock:
            self._model = self._prefix = None
            if self._device == "cuda":
                self._torch.cuda.empty_cache()

    def _generate(self, prompt: Prompt, streamer: Any, stopped: Any) -> None:
        import copy

        ids = self._tokens(prompt.lines, prompt.lead)
        cache: dict[str, Any] = {}
        known = self._prefix
        if known is not None and tuple(ids[0].tolist()[: len(known[0])]) == known[0]:
            cache["past_key_values"] = copy.deepcopy(known[1])  # generation writes into it
        if prompt.seed is not None:
            self._transformers.set_seed(prompt.seed)
        sampling = self._sampling if prompt.temperature > 0 else {}
        self._model.generate(
            ids,
            attention_mask=self._torch.ones_like(ids),
            max_new_tokens=prompt.max_tokens,
            do_sample=prompt.temperature > 0,
            streamer=streamer,
            stopping_criteria=self._transformers.StoppingCriteriaList([stopped]),
            pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
            **({"temperature": prompt.temperature} if prompt.temperature > 0 else {}),
            **sampling,
            **cache,
        )

    def _tokens(self, lines: tuple[Line, ...], lead: str = "") -> Any:
        messages = [{"role": line.role, "content": line.text} for line in lines]
        text = self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        found = self._tokenizer(text + lead, return_tensors="pt", add_special_tokens=False)
        return found["input_ids"].to(self._device)


def _source(model: str) -> tuple[str, dict[str, Any]]:
    """Return what `from_pretrained` is given for a name, a folder or a file."""
    path = Path(model)
    if path.suffix.lower() == ".gguf":
        if not path.is_file():
            raise EngineUnavailable(f"transformers: no file {path}; check model")
        return str(path.parent), {"gguf_file": path.name}
    return model, {}


def _best_device(torch: Any) -> str:
    if torch.cuda.is_available():
        return "cuda"
    mps = getattr(torch.backends, "mps", None)
    return "mps" if mps is not None and mps.is_available() else "cpu"
