import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dialogue.engine import Line, Prompt
from dialogue.engines.llama import LlamaModel
from dialogue.plugins import EngineError, EngineUnavailable

pytestmark = pytest.mark.models
PROMPT = Prompt(
    (
        Line("system", "You are a fox who answers in one short sentence. " * 8),
        Line("user", "hello"),
        Line("assistant", "Hello friend!"),
        Line("user", "Ann: what do you like?"),
    ),
    3,
    max_tokens=12,
    temperature=0.0,
)


@pytest.fixture(scope="module")
def gguf(models: Callable[[str], Path]) -> Path:
    return models("smollm2-135m")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def engine(gguf: Path, folder: Path) -> Iterator[LlamaModel]:
    model = LlamaModel(model=gguf, context=512, slots=2, cache=folder)
    yield model
    model.close()


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "prefixes").glob("*.kv"))


def test_a_warm_prefix_is_not_evaluated_again(engine: LlamaModel, folder: Path) -> None:
    engine.warm(PROMPT)
    assert len(kept(folder)) == 1
    text = "".join(engine.reply(PROMPT))
    assert text.strip()
    assert engine.timings["cache_n"] > 80
    assert engine.timings["prompt_n"] < 25


def test_a_fresh_engine_takes_the_prefix_from_the_disk(
    engine: LlamaModel, gguf: Path, folder: Path
) -> None:
    engine.warm(PROMPT)
    fresh = LlamaModel(model=gguf, context=512, slots=2, cache=folder)
    list(fresh.reply(PROMPT))
    assert fresh.timings["prompt_n"] < 25
    assert len(kept(folder)) == 1
    fresh.close()


def test_a_broken_file_is_made_anew(engine: LlamaModel, gguf: Path, tmp_path: Path) -> None:
    first = LlamaModel(model=gguf, context=512, slots=1, cache=tmp_path)
    first.warm(PROMPT)
    (file,) = kept(tmp_path)
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[:1000])
    second = LlamaModel(model=gguf, context=512, slots=1, cache=tmp_path)
    second.warm(PROMPT)
    assert file.stat().st_size == size
    assert "".join(second.reply(PROMPT)).strip()
    first.close()
    second.close()


def test_closing_the_generator_frees_the_engine_at_once(engine: LlamaModel) -> None:
    from dataclasses import replace

    engine.warm(PROMPT)
    stream = engine.reply(replace(PROMPT, max_tokens=400))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "llama"]
    assert "".join(engine.reply(PROMPT)).strip()
    assert engine.timings["predicted_n"] <= 12


def test_a_grammar_is_obeyed_and_a_broken_one_is_an_error(engine: LlamaModel) -> None:
    from dataclasses import replace

    grammar = 'root ::= "[" ("nod" | "wave") "]"'
    said = "".join(engine.reply(replace(PROMPT, grammar=grammar)))
    assert said in ("[nod]", "[wave]")
    with pytest.raises(EngineError, match="grammar"):
        list(engine.reply(replace(PROMPT, grammar="root ::= (((")))


def test_more_prefixes_than_slots_take_turns(engine: LlamaModel, folder: Path) -> None:
    from dataclasses import replace

    prompts = [
        replace(PROMPT, lines=(Line("system", f"You are fox number {n}. " * 20), *PROMPT.lines[1:]))
        for n in range(3)
    ]
    for prompt in prompts:
        engine.warm(prompt)
    for prompt in prompts:
        assert "".join(engine.reply(prompt)).strip()
        assert engine.timings["prompt_n"] < 25


def test_a_reply_does_not_wait_for_the_end_of_warming(engine: LlamaModel) -> None:
    from dataclasses import replace

    engine.warm(PROMPT)
    other = Line("system", "A long story about a fox in the rain, told twice. " * 30)
    slow = replace(PROMPT, lines=(other, *PROMPT.lines[1:]))
    thread = threading.Thread(target=engine.warm, args=(slow,))
    thread.start()
    said = "".join(engine.reply(PROMPT))
    still_warming = thread.is_alive()
    thread.join(60)
    assert said.strip()
    assert still_warming


def test_the_port_is_on_the_loopback_and_locked(engine: LlamaModel) -> None:
    import http.client

    assert engine._address.hostname == "127.0.0.1"
    connection = http.client.HTTPConnection("127.0.0.1", engine._address.port, timeout=5)
    connection.request("GET", "/slots")
    assert connection.getresponse().status == 401
    connection.close()


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    file = tmp_path / "x.gguf"
    with pytest.raises(EngineUnavailable, match=r"cannot read the model .*bunraku models"):
        LlamaModel(model=file)
    file.write_bytes(b"nope")
    with pytest.raises(EngineUnavailable, match="not a GGUF"):
        LlamaModel(model=file)
    file.write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(EngineUnavailable, match="cannot load"):
        LlamaModel(model=file)


def test_a_reply_goes_on_from_its_lead(engine: LlamaModel) -> None:
    whole = "".join(engine.reply(PROMPT))
    words = whole.split(" ")
    assert len(words) > 3
    lead = " ".join(words[:2])
    rest = "".join(engine.reply(replace(PROMPT, lead=lead)))
    assert not rest.startswith(words[0])
    assert rest.split()[0] == words[2]
