"""Every registered language model keeps the contract; a new engine only adds how to make it."""

import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from dialogue import plugins, translation
from dialogue.engine import LanguageModel, Line, Prompt, Translating
from tests.fake_openai_server import FakeServer, reply

PROMPT = Prompt(
    (Line("system", "You are a fox. Be brief."), Line("user", "Ann: hello!")), 1, max_tokens=8
)
HEAVY = ("xllamacpp", "torch", "transformers", "numpy", "openai")
REGISTERED = sorted(plugins.registered("llm"))


def table(name: str, models: Callable[[str], Path], stack: ExitStack) -> dict[str, object]:
    """Return what `show.toml` would give the engine, on this machine."""
    if name == "llama":
        return {"model": models("smollm2-135m"), "context": 256, "slots": 1}
    if name == "openai":
        server = stack.enter_context(FakeServer(reply("Hi", " Ann", "!", " Sit", " down.")))
        return {"base_url": server.url, "model": "any"}
    if name == "transformers":
        pytest.importorskip("torch", reason="needs the extra: pip install 'bunraku[torch]'")
        return {"model": models("smollm2-135m"), "device": "cpu"}
    pytest.fail(f"say here how to make the engine {name!r} for tests")


@pytest.fixture(params=[*REGISTERED, "tests.scripted_model:ScriptedModel"])
def engine(
    request: pytest.FixtureRequest, models: Callable[[str], Path]
) -> Iterator[LanguageModel]:
    with ExitStack() as stack:
        name = request.param
        options = {} if ":" in name else table(name, models, stack)
        made: LanguageModel = plugins.create("llm", name, options)
        yield made
        made.close()


@pytest.mark.models
def test_it_warms_replies_in_deltas_and_replies_again(engine: LanguageModel) -> None:
    assert isinstance(engine, LanguageModel)
    engine.warm(PROMPT)
    for _ in range(2):
        deltas = list(engine.reply(PROMPT))
        assert "".join(deltas).strip()
        assert all(isinstance(delta, str) and delta for delta in deltas)


@pytest.mark.models
def test_it_can_be_left_after_the_first_delta(engine: LanguageModel) -> None:
    stream = engine.reply(replace(PROMPT, max_tokens=64))
    assert next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert "".join(engine.reply(PROMPT)).strip()


@pytest.mark.models
def test_a_warmed_line_beyond_the_prefix_changes_nothing(engine: LanguageModel) -> None:
    engine.warm(replace(PROMPT, lines=(*PROMPT.lines, Line("assistant", "Hi!")), prefix=1))
    assert "".join(engine.reply(PROMPT)).strip()


@pytest.mark.parametrize("name", REGISTERED)
def test_its_constructor_takes_keywords_alone(name: str) -> None:
    kind = plugins.load("llm", name)
    known = plugins.options(kind)
    assert known
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in known.values())
    assert set(kind.needs) <= set(known)
    assert "Args:" in (kind.__init__.__doc__ or "")


@pytest.mark.parametrize("name", REGISTERED)
def test_its_file_is_cheap_to_import(name: str) -> None:
    module = plugins.load("llm", name).__module__
    code = (
        f"import sys, {module}; "
        f"print(*[m for m in {HEAVY!r} if m in sys.modules and m != {module!r}])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.split() == []


@pytest.mark.parametrize("name", REGISTERED)
def test_an_unknown_key_suggests_the_nearest(name: str) -> None:
    with pytest.raises(plugins.EngineUnavailable, match="did you mean 'model'"):
        plugins.create("llm", name, {"modle": "x"})


@pytest.mark.models
def test_it_says_whether_it_translates_and_takes_the_prompt_if_so(engine: LanguageModel) -> None:
    offered = getattr(engine, "translates", None)
    assert isinstance(offered, bool)
    if offered:
        assert isinstance(engine, Translating)
        engine.warm(translation.start("ja"))
        assert "".join(engine.reply(translation.ask("The rain sings.", "ja"))).strip()


@pytest.mark.models
def test_a_small_model_does_not_offer_to_translate_unless_told(
    models: Callable[[str], Path],
) -> None:
    options = {"model": models("smollm2-135m"), "context": 256, "slots": 1}
    for told, offers in (({}, False), ({"translates": True}, True)):
        engine = plugins.create("llm", "llama", {**options, **told})
        assert engine.translates is offers
        engine.close()
