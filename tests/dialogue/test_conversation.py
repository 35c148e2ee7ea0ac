import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from dialogue.character import Character
from dialogue.conversation import Conversation, join
from dialogue.engine import Prompt
from dialogue.history import History
from dialogue.messages import AudienceMessage, Utterance
from dialogue.opener import Opener
from dialogue.plugins import EngineError
from dialogue.turn import Turn, When
from tests import virtual_time
from tests.dialogue.characters import momo
from tests.scripted_model import ScriptedModel, on_loop


@pytest.fixture
def character(tmp_path: Path) -> Character:
    return momo(tmp_path)


def line(text: str, author: str = "Ann") -> AudienceMessage:
    return AudienceMessage(text, "test", author, text, asyncio.get_running_loop().time())


async def answer(
    conversation: Conversation, text: str, turn_id: int = 1, author: str = "Ann"
) -> tuple[Turn, list[Utterance]]:
    turn = conversation.turn(turn_id, line(text, author))
    found = [u async for u in conversation.answer(turn)]
    conversation.close_turn(turn, " ".join(u.text for u in found))
    return turn, found


def on_virtual_time(test: Callable[[Character], Coroutine[Any, Any, None]]) -> Any:
    def run(character: Character) -> None:
        virtual_time.run(test(character))

    run.__name__ = test.__name__
    return run


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until a thread of the engine has done its part; virtual time does not wait for it."""
    for _ in range(2000):
        if holds():
            return
        await asyncio.to_thread(threading.Event().wait, 0.005)
    raise AssertionError("it did not come to hold within 10 s")


@on_virtual_time
async def test_a_line_becomes_utterances(character: Character) -> None:
    model = ScriptedModel(["Hello Ann! [wave] Mind the wet grass."])
    conversation = Conversation(character, [model])
    turn, found = await answer(conversation, "hi there")
    assert [u.text for u in found] == ["Hello Ann!", "Mind the wet grass."]
    assert [u.final for u in found] == [False, True]
    assert [c.name for c in found[0].cues] == ["happy"]  # a face that cost no token
    assert [c.name for c in found[1].cues] == ["wave"]
    assert turn.language == "en"
    assert set(turn.marks) >= {"received", "chosen", "first_token", "first_clause"}
    (prompt,) = model.prompts
    assert prompt.lines[-1].text == "Ann: hi there"


@on_virtual_time
async def test_time_marks_are_those_of_the_models_pace(character: Character) -> None:
    model = on_loop([0.4, "Hello", 0.05, " Ann", 0.05, "!", 0.05, " How", 0.05, " goes?"])
    turn, _ = await answer(Conversation(character, [model]), "hi")
    assert turn.since("received", "first_token") == pytest.approx(0.4, abs=1e-6)
    assert turn.since("received", "first_clause") == pytest.approx(0.55, abs=1e-6)


@on_virtual_time
async def test_the_first_utterance_is_spoken_while_the_model_still_writes(
    character: Character,
) -> None:
    model = on_loop(["Hello Ann! ", "S", 30.0, "it down."])
    conversation = Conversation(character, [model])
    turn = conversation.turn(1, line("hi"))
    stream = conversation.answer(turn)
    first = await anext(stream)
    assert first.text == "Hello Ann!"
    assert asyncio.get_running_loop().time() == pytest.approx(virtual_time.START_S, abs=0.01)
    rest = [u.text async for u in stream]
    assert rest == ["Sit down."]


@on_virtual_time
async def test_each_line_is_answered_in_its_own_language_with_its_own_history(
    character: Character,
) -> None:
    replies = ["Hi Ann, nice day.", "小明你好，吃桃子吗？", "Still here, Ann."]
    model = ScriptedModel(replies)
    conversation = Conversation(character, [model])
    await answer(conversation, "hello there", 1)
    turn, found = await answer(conversation, "你好呀", 2, "小明")
    assert turn.language == "zh"
    assert {u.language for u in found} == {"zh"}
    await answer(conversation, "still there?", 3)
    second, third = ([x.text for x in p.lines[p.prefix :]] for p in model.prompts[1:])
    assert second == ["小明: 你好呀"]
    assert third == ["Ann: hello there", "Hi Ann, nice day.", "Ann: still there?"]


@on_virtual_time
async def test_cancelling_now_ends_the_answer_and_the_model(character: Character) -> None:
    model = on_loop([step for _ in range(200) for step in ("Word after word. ", 0.05)])
    conversation = Conversation(character, [model])
    turn = conversation.turn(1, line("hi"))
    loop = asyncio.get_running_loop()
    loop.call_later(0.26, turn.cancel, "barge-in")
    found = [u async for u in conversation.answer(turn)]
    assert loop.time() - virtual_time.START_S < 0.4
    assert len(found) < 8
    assert model.closed_early == 1


@on_virtual_time
async def test_cancelling_after_the_utterance_lets_it_be_spoken(character: Character) -> None:
    model = ScriptedModel(["First thing. Second thing. Third thing."])
    conversation = Conversation(character, [model])
    turn = conversation.turn(1, line("hi"))
    found = []
    async for utterance in conversation.answer(turn):
        found.append(utterance.text)
        turn.cancel("operator", When.AFTER_UTTERANCE)
    assert found == ["First thing."]
    conversation.close_turn(turn, "First thing.")
    assert [t.reply for t in conversation.history] == ["First thing."]


@on_virtual_time
async def test_a_cancelled_task_stops_the_model(character: Character) -> None:
    words = [step for n in range(200) for step in (f"Word {n} here. ", 0.05)]
    model = on_loop(words, "Next one.")
    conversation = Conversation(character, [model])
    turn = conversation.turn(1, line("hi"))

    async def consume() -> None:
        async for _ in conversation.answer(turn):
            await asyncio.sleep(0.2)

    task = asyncio.create_task(consume())
    await asyncio.sleep(0.12)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    conversation.close_turn(turn, "Word 0")
    _, found = await answer(conversation, "and now?", 2)
    assert [u.text for u in found] == ["Next one."]
    assert model.closed_early == 1
    past = next(iter(conversation.history))
    assert (past.reply, past.cut) == ("Word 0", True)


@on_virtual_time
async def test_the_history_keeps_only_what_was_heard(character: Character) -> None:
    model = ScriptedModel(["Peaches are ripe. [nod] Come and pick some.", "Ok then."])
    conversation = Conversation(character, [model])
    turn = conversation.turn(1, line("news?"))
    _ = [u async for u in conversation.answer(turn)]
    conversation.close_turn(turn, "Peaches are ripe. Come and")
    await answer(conversation, "go on", 2)
    texts = [x.text for x in model.prompts[1].lines]
    assert texts[-2] == "Peaches are ripe. Come and —"


@on_virtual_time
async def test_a_reply_heard_to_its_end_is_remembered_as_the_model_wrote_it(
    character: Character,
) -> None:
    model = ScriptedModel(["Peaches are ripe. [nod] Come and pick some."])
    conversation = Conversation(character, [model])
    await answer(conversation, "news?")
    assert [t.reply for t in conversation.history] == [
        "Peaches are ripe. [nod] Come and pick some."
    ]


@on_virtual_time
async def test_a_reply_stopped_before_its_first_word_is_tried_again(character: Character) -> None:
    model = ScriptedModel(["As an AI language model I cannot.", "Peaches!"])
    turn, found = await answer(Conversation(character, [model]), "hi")
    assert [u.text for u in found] == ["Peaches!"]
    assert turn.stopped_because == "machine"


@on_virtual_time
async def test_the_host_dodges_when_no_try_is_fit(character: Character) -> None:
    model = ScriptedModel(["As an AI language model I cannot."])
    conversation = Conversation(character, [model])
    _, found = await answer(conversation, "hi")
    assert [(u.text, u.final) for u in found] == [("Look, a squirrel!", True)]
    assert [t.reply for t in conversation.history] == ["Look, a squirrel!"]


@on_virtual_time
async def test_an_empty_reply_is_dodged_too(character: Character) -> None:
    _, found = await answer(Conversation(character, [ScriptedModel(["", " \n"])]), "hi")
    assert [u.text for u in found] == ["Look, a squirrel!"]


@on_virtual_time
async def test_an_unfit_sentence_is_left_out_and_the_reply_ends_there(
    character: Character,
) -> None:
    model = ScriptedModel(["Sure, Ann! I am nineteen years old and so on. More."])
    conversation = Conversation(character, [model])
    turn, found = await answer(conversation, "hi")
    assert [u.text for u in found if u.text] == ["Sure, Ann!"]
    assert found[-1].final
    assert turn.stopped_because == "invented age"
    assert [t.reply for t in conversation.history] == ["Sure, Ann!"]


@on_virtual_time
async def test_rambling_ends_at_a_sentence_and_stops_the_model(character: Character) -> None:
    model = ScriptedModel(["One plum here. Two plums here. Three plums here. " + "More. " * 99])
    _, found = await answer(Conversation(character, [model]), "hi")
    assert [u.text for u in found if u.text] == [
        "One plum here.", "Two plums here.", "Three plums here.",
    ]  # fmt: skip
    assert model.closed_early == 1


@on_virtual_time
async def test_a_dead_engine_is_replaced_and_a_dead_world_apologised_for(
    character: Character,
) -> None:
    dead = ScriptedModel([[EngineError("no credit")]])
    _, found = await answer(Conversation(character, [dead, ScriptedModel(["Here I am."])]), "hi")
    assert [u.text for u in found] == ["Here I am."]
    _, found = await answer(Conversation(character, [dead]), "hi")
    assert " ".join(u.text for u in found) == "Sorry, my head is full of clouds."
    assert found[-1].final


@on_virtual_time
async def test_an_engine_that_dies_on_the_way_ends_the_reply_at_a_sentence(
    character: Character,
) -> None:
    model = ScriptedModel([["Hello dear Ann! ", "Sit down. Wel", EngineError("cut off")]])
    _, found = await answer(Conversation(character, [model]), "hi")
    assert [u.text for u in found if u.text] == ["Hello dear Ann!", "Sit down."]
    assert found[-1].final


@on_virtual_time
async def test_warming_takes_every_language_and_then_gets_ahead(character: Character) -> None:
    model = ScriptedModel(["Hello Ann."])
    history = History()
    history.restore(['{"turn":1,"author":"Bo","text":"hi","language":"ja","reply":"やあ。"}'])
    conversation = Conversation(character, [model], history=history)
    await conversation.warm()
    await eventually(lambda: len(model.warmed) == 3)
    assert ["orchard" in p.lines[0].text for p in model.warmed] == [True, False, False]
    assert [len(p.lines) - p.prefix for p in model.warmed] == [0, 0, 2]
    await answer(conversation, "hi there", 2)
    await eventually(lambda: len(model.warmed) == 4)
    ahead: Prompt = model.warmed[-1]
    assert [x.text for x in ahead.lines[ahead.prefix :]] == ["Ann: hi there", "Hello Ann."]
    await conversation.aclose()
    await eventually(lambda: model.closed)


@on_virtual_time
async def test_ten_minutes_of_chat_stay_bounded(character: Character) -> None:
    model = on_loop(lambda p: f"Reply {len(p.lines)} to {p.lines[-1].text[-12:]}, friend. Yes.")
    conversation = Conversation(character, [model])
    for turn_id in range(1, 121):
        await answer(conversation, f"chat line number {turn_id}", turn_id, f"viewer{turn_id % 7}")
        await asyncio.sleep(5)
    assert len(conversation.history) == 64
    assert max(len(p.lines) for p in model.prompts) <= 5 + 2 * 8 + 1
    assert len(asyncio.all_tasks()) == 1


def test_replies_are_joined_as_their_language_writes() -> None:
    assert join(["One.", "Two."], "en") == "One. Two."
    assert join(["你好，", "小雨！"], "zh") == "你好，小雨！"
    assert join(["OK", "Fine"], "zh") == "OK Fine"


@on_virtual_time
async def test_a_slow_model_s_answer_is_opened_at_once_and_names_nobody_twice(
    character: Character,
) -> None:
    model = on_loop(
        [3.0, "Ann, so good", 0.1, " to see you!"],
        [3.0, "Ann, welcome", 0.1, " in! Sit", 0.1, " down."],
        [3.0, "Mind the step."],
    )
    conversation = Conversation(character, [model], opener=Opener(character, 0.8))
    first, found = await answer(conversation, "hi", 1)
    assert not first.opened  # nothing was known yet
    assert found[0].text == "Ann, so good to see you!"
    second, found = await answer(conversation, "me again", 2)
    assert second.opened
    assert [u.index for u in found] == [0, 1, 2]
    assert [u.final for u in found] == [False, False, True]
    assert "Ann" in found[0].text
    assert [u.text for u in found[1:]] == ["welcome in!", "Sit down."]
    assert second.since("received", "opened") == pytest.approx(0.0, abs=1e-6)
    assert second.since("received", "first_clause") == pytest.approx(3.1, abs=0.2)
    assert model.prompts[-1].lead.startswith("Ann")
    assert model.prompts[-1].grammar is not None
    third, _ = await answer(conversation, "and again", 3)
    remembered = [p.text for p in model.prompts[-1].lines if p.role == "assistant"][-1]
    assert remembered.startswith("Ann")
    assert remembered.endswith("welcome in! Sit down.")
    assert third.opened


@on_virtual_time
async def test_an_opened_answer_that_nobody_can_give_still_ends(character: Character) -> None:
    opener = Opener(character, 0.8)
    opener.learn(5.0)
    dead = ScriptedModel([[EngineError("gone")]])
    turn, found = await answer(Conversation(character, [dead], opener=opener), "hi")
    assert turn.opened
    assert len(found) == 2
    assert found[1].text == character.text("apology", "en", 1)
    assert found[1].final
