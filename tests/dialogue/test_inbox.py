from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from dialogue.inbox import BOUND, Inbox
from dialogue.messages import AudienceMessage


def line(
    number: int, author: str = "", text: str = "hi", priority: int = 0, at: float | None = None
) -> AudienceMessage:
    return AudienceMessage(
        str(number), "test", author, text, float(number) if at is None else at, priority
    )


def drain(inbox: Inbox) -> list[AudienceMessage]:
    found = []
    while (message := inbox.next()) is not None:
        found.append(message)
    return found


def test_messages_come_out_oldest_first() -> None:
    inbox = Inbox()
    for number in range(3):
        assert inbox.put(line(number, f"a{number}")) is None
    assert [m.id for m in drain(inbox)] == ["0", "1", "2"]
    assert inbox.next() is None


def test_a_higher_priority_goes_first() -> None:
    inbox = Inbox()
    inbox.put(line(1, "a"))
    inbox.put(line(2, "b", priority=5))
    assert [m.id for m in drain(inbox)] == ["2", "1"]


def test_who_was_answered_longest_ago_goes_first() -> None:
    inbox = Inbox()
    inbox.put(line(1, "ann"))
    assert inbox.next() is not None
    inbox.put(line(2, "ann"))
    inbox.put(line(3, "bo"))
    assert [m.author for m in drain(inbox)] == ["bo", "ann"]


def test_a_full_inbox_drops_the_lowest_priority_then_the_oldest_and_counts() -> None:
    inbox = Inbox(bound=3)
    inbox.put(line(1, "a"))
    inbox.put(line(2, "b"))
    inbox.put(line(3, "c", priority=1))
    dropped = inbox.put(line(4, "d", priority=2))
    assert dropped is not None
    assert (dropped.message.id, dropped.reason) == ("1", "full")
    assert inbox.put(line(5, "e", priority=-1)) is not None
    assert {m.id for m in drain(inbox)} == {"2", "3", "4"}
    assert inbox.dropped == Counter({"full": 2})
    assert "5 received, 3 chosen, 0 waiting, dropped: 2 full" == inbox.explain()


def test_empty_lines_and_duplicates_are_dropped_with_their_reason() -> None:
    inbox = Inbox()
    empty = inbox.put(line(1, text="  \n"))
    inbox.put(line(2))
    twice = inbox.put(line(2))
    assert empty is not None
    assert twice is not None
    assert [d.reason for d in inbox.recently_dropped] == ["empty", "duplicate"]


def test_long_lines_are_cut() -> None:
    inbox = Inbox()
    inbox.put(line(1, text="x" * 9999))
    (message,) = drain(inbox)
    assert len(message.text) == 500


def test_a_flood_of_one_does_not_drown_the_others() -> None:
    inbox = Inbox()
    for number in range(10_000):
        inbox.put(line(number, "spammer" if number % 100 else f"guest{number}"))
    held = drain(inbox)
    assert len(held) == BOUND
    authors = Counter(m.author for m in held)
    assert authors["spammer"] <= 4
    assert sum(inbox.dropped.values()) == 10_000 - BOUND


def test_each_line_of_a_flood_has_the_same_chance() -> None:
    early = 0
    for seed in range(300):
        inbox = Inbox(seed=seed)
        for number in range(100):
            inbox.put(line(number, "ann"))
        held = drain(inbox)
        assert len(held) == 4
        early += sum(int(m.id) < 50 for m in held)
    assert 500 < early < 700  # of 1200; half of them would be 600, sigma about 17


def test_people_without_a_name_are_not_taken_for_one_person() -> None:
    inbox = Inbox()
    for number in range(10):
        assert inbox.put(line(number)) is None
    assert len(inbox) == 10


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(-1, 2)), max_size=300))
def test_the_bound_holds_and_nothing_is_lost_uncounted(lines: list[tuple[str, int]]) -> None:
    inbox = Inbox(bound=8)
    for number, (author, priority) in enumerate(lines):
        inbox.put(line(number, author, priority=priority))
        assert len(inbox) <= 8
    assert inbox.received == len(inbox) + sum(inbox.dropped.values())
