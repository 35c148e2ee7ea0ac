"""Translations of what was said: asked in idle time, given up at once, shown only if sound."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from dialogue.character import Character
from dialogue.conversation import Conversation
from dialogue.engine import Prompt
from dialogue.messages import Utterance
from dialogue.plugins import EngineError
from dialogue.translation import TARGETS, ask, checked, start
from dialogue.turn import Turn, When
from tests import virtual_time
from tests.dialogue.characters import momo
from tests.dialogue.test_conversation import eventually, line
from tests.scripted_model import ScriptedModel, on_loop

REPLY = "桃子已经熟了。今天的茶很香，坐下来慢慢喝吧。"


@pytest.fixture
def character(tmp_path: Path) -> Character:
    return momo(tmp_path)


def on_virtual_time(test: Callable[[Character], Coroutine[Any, Any, None]]) -> Any:
    def run(character: Character) -> None:
        virtual_time.run(test(character))

    run.__name__ = test.__name__
    return run


def now_s() -> float:
    return asyncio.get_running_loop().time() - virtual_time.START_S


def able(model: ScriptedModel) -> ScriptedModel:
    model.translates = True
    return model


async def always(utterance: Utterance) -> bool:
    return True


async def written(conversation: Conversation, text: str) -> tuple[Turn, list[Utterance]]:
    """Return a turn whose reply has been written."""
    turn = conversation.turn(1, line(text, "小明"))
    return turn, [u async for u in conversation.answer(turn)]


async def heard(found: list[tuple[float, str]], conversation: Conversation, turn: Turn,
                said: list[Utterance]) -> None:  # fmt: skip
    async with aclosing(conversation.translations(turn, said, always)) as translations:
        async for _, text in translations:
            found.append((now_s(), text))


@on_virtual_time
async def test_each_utterance_is_translated_after_the_reply_was_written(
    character: Character,
) -> None:
    model = able(
        on_loop(REPLY, [0.5, "Hello Ming, ", 0.5, "have a peach?"], "The tea smells good today.")
    )
    conversation = Conversation(character, [model], translate="en")
    turn, said = await written(conversation, "你好呀")
    assert len(said) == 2
    found: list[tuple[float, str]] = []
    await heard(found, conversation, turn, said)
    assert [text for _, text in found] == [
        "Hello Ming, have a peach?", "The tea smells good today.",
    ]  # fmt: skip
    assert found[0][0] == pytest.approx(1.0, abs=0.01)
    own, first, second = model.prompts
    assert own.lines[-1].text == "小明: 你好呀"
    assert [p.lines[-1].text for p in (first, second)] == [u.text for u in said]
    assert first.lines[: first.prefix] == second.lines[: second.prefix] == start("en").lines
    assert model.warmed  # it got ahead on the next prompt first
    await conversation.aclose()


@on_virtual_time
async def test_what_is_in_that_language_already_costs_nothing(character: Character) -> None:
    model = able(ScriptedModel(["Hello Ann, sit down."]))
    conversation = Conversation(character, [model], translate="en")
    turn, said = await written(conversation, "hello there")
    found: list[tuple[float, str]] = []
    await heard(found, conversation, turn, said)
    assert found == []
    assert len(model.prompts) == 1


@on_virtual_time
async def test_the_next_line_is_answered_as_if_nobody_had_been_translating(
    character: Character,
) -> None:
    model = able(on_loop(REPLY, [step for _ in range(99) for step in ("word ", 0.2)], "Hi Ann."))
    conversation = Conversation(character, [model], translate="en")
    turn, said = await written(conversation, "你好呀")
    found: list[tuple[float, str]] = []
    work = asyncio.create_task(heard(found, conversation, turn, said))
    await asyncio.sleep(1.5)
    assert len(model.prompts) == 2
    next_turn = conversation.turn(2, line("hello"))
    answer = [u.text async for u in conversation.answer(next_turn)]
    assert answer == ["Hi Ann."]
    assert now_s() == pytest.approx(1.6, abs=0.11)  # within the token that was being written
    await work
    assert found == []
    assert model.closed_early == 1
    assert len(model.prompts) == 3  # and the second utterance is not asked for any more


@on_virtual_time
async def test_a_cancelled_turn_is_not_translated_any_more(character: Character) -> None:
    model = able(on_loop(REPLY, [step for _ in range(99) for step in ("word ", 0.2)]))
    conversation = Conversation(character, [model], translate="en")
    turn, said = await written(conversation, "你好呀")
    asyncio.get_running_loop().call_later(0.7, turn.cancel, "barge-in", When.NOW)
    found: list[tuple[float, str]] = []
    await heard(found, conversation, turn, said)
    assert found == []
    assert now_s() < 1.0
    assert len(model.prompts) == 2
    await conversation.aclose()
    assert model.closed_early == 1


@on_virtual_time
async def test_what_comes_too_late_is_not_asked_for(character: Character) -> None:
    model = able(ScriptedModel([REPLY, "The tea smells good today."]))
    conversation = Conversation(character, [model], translate="en")
    turn, said = await written(conversation, "你好呀")

    async def wanted(utterance: Utterance) -> bool:
        return utterance.index > 0

    found = [(u.index, t) async for u, t in conversation.translations(turn, said, wanted)]
    assert found == [(1, "The tea smells good today.")]


@on_virtual_time
async def test_a_translation_that_fails_is_left_out_and_not_held_against_the_model(
    character: Character,
) -> None:
    model = able(
        ScriptedModel([REPLY, [EngineError("out of tokens")], "今天天气不错。", "Hi Ann."])
    )
    other = ScriptedModel(["Never asked."])
    conversation = Conversation(character, [model, other], translate="en")
    turn, said = await written(conversation, "你好呀")
    found: list[tuple[float, str]] = []
    await heard(found, conversation, turn, said)
    assert found == []  # one failed, one was not English
    next_turn = conversation.turn(2, line("hello"))
    assert [u.text async for u in conversation.answer(next_turn)] == ["Hi Ann."]
    assert other.prompts == []


@on_virtual_time
async def test_a_model_that_never_answers_is_given_up(character: Character) -> None:
    model = able(on_loop(REPLY, [60.0, "Hello Ming."], "The tea smells good today."))
    conversation = Conversation(character, [model], translate="en")
    turn, said = await written(conversation, "你好呀")
    found: list[tuple[float, str]] = []
    await heard(found, conversation, turn, said[:1])
    assert found == []
    assert now_s() == pytest.approx(13.0, abs=0.1)  # ASK_S, and one second to close


@on_virtual_time
async def test_a_model_that_does_not_offer_it_is_never_asked(character: Character) -> None:
    model = ScriptedModel([REPLY, "Hello Ming."])
    conversation = Conversation(character, [model], translate="en")
    await conversation.warm()
    assert not conversation.translates
    turn, said = await written(conversation, "你好呀")
    found: list[tuple[float, str]] = []
    await heard(found, conversation, turn, said)
    assert found == []
    assert len(model.prompts) == 1


@on_virtual_time
async def test_nothing_is_asked_before_the_model_has_read_what_every_request_begins_with(
    character: Character,
) -> None:
    class Slow(ScriptedModel):
        def warm(self, prompt: Prompt) -> None:
            if prompt.lines == start("en").lines:
                loop.thread_sleep(30.0)

    loop = asyncio.get_running_loop()
    assert isinstance(loop, virtual_time.VirtualLoop)
    model = able(Slow([REPLY, "The peaches are ripe.", "Sit and drink tea."]))
    conversation = Conversation(character, [model], translate="en")
    await conversation.warm()
    turn, said = await written(conversation, "你好呀")
    found: list[tuple[float, str]] = []
    waiting = asyncio.create_task(heard(found, conversation, turn, said))
    await asyncio.sleep(29.0)
    assert len(model.prompts) == 1
    await waiting
    assert [text for _, text in found] == ["The peaches are ripe.", "Sit and drink tea."]
    assert found[0][0] == pytest.approx(30.0, abs=0.1)
    await conversation.aclose()


@on_virtual_time
async def test_a_successor_that_offers_it_translates(character: Character) -> None:
    model, other = ScriptedModel([REPLY]), able(ScriptedModel(["Hello Ming.", "Sit and drink."]))
    conversation = Conversation(character, [model, other], translate="en")
    await conversation.warm()
    assert conversation.translates
    await eventually(lambda: bool(other.warmed) and other.warmed[-1].lines == start("en").lines)
    turn, said = await written(conversation, "你好呀")
    found: list[tuple[float, str]] = []
    await heard(found, conversation, turn, said)
    assert [text for _, text in found] == ["Hello Ming.", "Sit and drink."]
    await conversation.aclose()


ZH = "今天的茶很香，坐下来慢慢喝吧。"


@pytest.mark.parametrize(
    ("source", "model_wrote", "code", "shown"),
    [
        (ZH, " The tea smells good today.\nNote: polite.", "en", "The tea smells good today."),
        (ZH, '"The tea smells good today."', "en", "The tea smells good today."),
        ("Oh, Mika,", "哦，Mika。", "zh", "哦，Mika。"),
        ("The rain sings.", "雨が歌っているよ。", "ja", "雨が歌っているよ。"),
        ("The rain sings.", "La lluvia canta.", "es", "La lluvia canta."),
        (ZH, "", "en", None),
        (ZH, ZH, "en", None),  # the text itself
        (ZH, "今日のお茶はいい香り。", "en", None),  # the wrong script
        ("The rain sings on the roof.", "雨声从屋顶开始唱歌。", "ja", None),
        ("The rain sings on the roof.", "屋根で雨が歌い始めた。", "zh", None),
        (ZH, "Tea [happy] smells good.", "en", None),  # a cue
        (ZH, "**Tea** smells good.", "en", None),
        (ZH, "Here is the translation: tea.", "en", None),
        (ZH, "As an AI language model, I smell no tea.", "en", None),
        (ZH, TARGETS["en"].examples[0], "en", None),  # the prompt's own example
        (ZH, "Tea.", "en", None),  # much shorter
        ("茶。", "The tea " + "smells good today and " * 6, "en", None),  # much longer
        (ZH, "tea tea tea tea tea tea tea", "en", None),
        (ZH, "<|im_start|>assistant", "en", None),
    ],
)
def test_only_what_looks_like_a_translation_is_shown(
    character: Character, source: str, model_wrote: str, code: str, shown: str | None
) -> None:
    assert checked(character, source, model_wrote, code) == shown


def test_what_the_persona_says_of_itself_does_not_leak(character: Character) -> None:
    persona = character.persona("en")
    source = "告诉你" * 60
    assert checked(character, source, persona, "en") is None


@pytest.mark.parametrize("code", TARGETS)
def test_prompts_into_a_language_share_their_prefix_whatever_was_said(code: str) -> None:
    prompts: list[Prompt] = [ask("The rain sings.", code), ask(ZH, code)]
    assert all(p.lines[: p.prefix] == start(code).lines for p in prompts)
    assert all(0 < p.max_tokens <= 160 and p.temperature == 0.0 for p in prompts)
    assert all(p.grammar and "\\n" not in p.grammar for p in prompts)
