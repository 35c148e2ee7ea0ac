from dialogue.messages import AudienceMessage
from dialogue.turn import Turn, When


def make() -> tuple[Turn, list[float]]:
    now = [5.0]
    return Turn(3, AudienceMessage("m", "test", "Ann", "hi", 4.0), lambda: now[0]), now


def test_marks_keep_their_first_time() -> None:
    turn, now = make()
    now[0] = 6.0
    turn.mark("first_token")
    now[0] = 7.0
    turn.mark("first_token")
    turn.mark("heard", 6.5)
    assert turn.marks == {"received": 4.0, "chosen": 5.0, "first_token": 6.0, "heard": 6.5}
    assert turn.since("received", "first_token") == 2.0
    assert turn.since("received", "never") is None


def test_cancelling_tells_everyone_and_can_only_be_hastened() -> None:
    turn, _ = make()
    told: list[When | None] = []
    turn.on_cancel(lambda: told.append(turn.cancelled))
    turn.cancel("operator", When.AFTER_UTTERANCE)
    turn.cancel("barge-in")
    turn.cancel("late", When.AFTER_UTTERANCE)
    assert told == [When.AFTER_UTTERANCE, When.NOW]
    assert turn.reason == "barge-in"


def test_who_listens_late_is_told_at_once() -> None:
    turn, _ = make()
    turn.cancel("panic")
    told: list[int] = []
    turn.on_cancel(lambda: told.append(1))
    assert told == [1]
