import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue.messages import ReplyChunk, Utterance
from dialogue.sentences import MAX_CHARS, MAX_CHARS_CJK, Splitter, sentence_ends, split


def texts(text: str, language: str = "en") -> list[str]:
    return [u.text for u in split(text, language)]


def cues(utterances: list[Utterance]) -> list[list[tuple[str, int]]]:
    return [[(c.name, c.at_char) for c in u.cues] for u in utterances]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Hey you! Come in.", ["Hey you!", "Come in."]),
        ("Well, if you ask me, tea is best.", ["Well, if you ask me,", "tea is best."]),
        ("It costs $3.50, not 1,000 coins.", ["It costs $3.50,", "not 1,000 coins."]),
        ("Dr. Fox and Mr. J. Owl met at 5 p.m. today. Then tea.",
         ["Dr. Fox and Mr. J. Owl met at 5 p.m. today.", "Then tea."]),
        ("Fruit, e.g. plums, please. Bye now.", ["Fruit, e.g. plums,", "please.", "Bye now."]),
        ("Hmm... let me think... Yes! It works.",
         ["Hmm... let me think...", "Yes! It works."]),
        ('"Stay here!" she said. "Why?" I asked.',
         ['"Stay here!"', "she said.", '"Why?"', "I asked."]),
        ("See example.com or v1.2.3 now. Done here.",
         ["See example.com or v1.2.3 now.", "Done here."]),
        ("Really?! No way!! Wow.", ["Really?!", "No way!!", "Wow."]),
        ("So nice 😊 right? 🎉 Yes it is.", ["So nice 😊 right? 🎉", "Yes it is."]),
        ("I walked down to the old lantern market because it smelled of chestnuts",
         ["I walked down to the old lantern market", "because it smelled of chestnuts"]),
    ],
)  # fmt: skip
def test_english_is_cut_where_a_speaker_would_breathe(reply: str, expected: list[str]) -> None:
    assert texts(reply) == expected


@pytest.mark.parametrize(
    ("reply", "language", "expected"),
    [
        ("晚上好，小雨！今天下雨了。", "zh", ["晚上好，小雨！", "今天下雨了。"]),
        ("我最喜欢糖炒栗子，还有老歌，你呢？", "zh", ["我最喜欢糖炒栗子，", "还有老歌，你呢？"]),
        ("“来吧！”她说。好的……再见。", "zh", ["“来吧！”", "她说。", "好的……", "再见。"]),
        ("温度是3.5度。走吧！！", "zh", ["温度是3.5度。", "走吧！！"]),
        ("こんばんは、ゆきさん！今日も雨ですね。", "ja",
         ["こんばんは、", "ゆきさん！", "今日も雨ですね。"]),
        ("そうだね♪のんびりしよう。「行くよ！」と言った。", "ja",
         ["そうだね♪", "のんびりしよう。", "「行くよ！」", "と言った。"]),
    ],
)  # fmt: skip
def test_chinese_and_japanese_are_cut_at_their_own_marks(
    reply: str, language: str, expected: list[str]
) -> None:
    assert texts(reply, language) == expected


def test_cues_are_performed_and_never_spoken() -> None:
    found = split("[happy] Hi Ann! [wave] Sit *waves her tail* down (laughs) there. [nod]", "en")
    assert [u.text for u in found] == ["Hi Ann!", "Sit down there."]
    assert cues(found) == [[("happy", 0)], [("wave", 0), ("wave", 4), ("laugh", 9), ("nod", 15)]]


@pytest.mark.parametrize(
    ("reply", "spoken", "names"),
    [
        ("*really* good", "really good", []),
        ("**bold** and `code`", "bold and code", []),
        ("（笑）そうだね", "そうだね", ["laugh"]),
        ("*微笑* 你好", "你好", ["happy"]),
        ("[smiles softly] hello", "hello", ["happy"]),
        ("green tea (the good one) is hot", "green tea (the good one) is hot", []),
        ("[hairflip] hello", "hello", []),
        ("so [1] it is", "so it is", []),
        ("- one\n- two", "one two", []),
        ("# Title", "Title", []),
        ("hello [wav", "hello", []),
        ("hello (and so on", "hello (and so on", []),
        ("hello *waves", "hello", []),
    ],
)
def test_stage_directions_in_any_dress_become_cues(
    reply: str, spoken: str, names: list[str]
) -> None:
    found = split(reply, "en")
    assert " ".join(u.text for u in found) == spoken
    assert [c.name for u in found for c in u.cues] == names


def test_the_last_utterance_and_only_it_is_final() -> None:
    assert [u.final for u in split("One thing. Two things. Three.", "en")] == [False, False, True]
    (only,) = split("", "en")
    assert only.final
    assert only.text == ""


def test_indices_count_up_and_the_turn_is_carried() -> None:
    found = split("One thing. Two things. Three things.", "en", turn_id=7)
    assert [(u.turn_id, u.index) for u in found] == [(7, 0), (7, 1), (7, 2)]


def test_an_utterance_comes_as_soon_as_the_next_one_begins() -> None:
    splitter = Splitter(1, "en")
    assert splitter.push(ReplyChunk(1, "Hello, Ann")) == []
    assert splitter.push(ReplyChunk(1, "!")) == []
    (first,) = splitter.push(ReplyChunk(1, " H"))
    assert first.text == "Hello, Ann!"


def test_a_chinese_clause_needs_no_space_to_end() -> None:
    splitter = Splitter(1, "zh")
    (first,) = splitter.push(ReplyChunk(1, "当然可以呀，我"))
    assert first.text == "当然可以呀，"


def test_cutting_keeps_whole_sentences_and_drops_the_rest() -> None:
    splitter = Splitter(1, "en")
    assert splitter.push(ReplyChunk(1, "Oh! Wel")) == []
    (last,) = splitter.cut()
    assert (last.text, last.final) == ("Oh!", True)
    assert splitter.push(ReplyChunk(1, "more", final=True)) == []


@pytest.mark.parametrize(("word", "limit"), [("lalala ", MAX_CHARS), ("啦", MAX_CHARS_CJK)])
def test_a_text_without_any_mark_is_still_cut(word: str, limit: int) -> None:
    found = split(word * 300, "en" if word.isascii() else "zh")
    assert len(found) > 3
    assert all(len(u.text) <= limit for u in found)


def test_each_utterance_has_its_own_language_when_none_is_given() -> None:
    assert [u.language for u in split("Hello you! 你好呀，朋友！こんにちは！")] == [
        "en",
        "zh",
        "ja",
    ]


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("Hi. You.", [3, 8]),
        ("Pi is 3.14", []),
        ("好。走！", [2, 4]),
        ("Dr. Who? Yes", [8]),
        ("", []),
    ],
)
def test_sentence_ends_are_found(text: str, ends: list[int]) -> None:
    assert sentence_ends(text) == ends


PLAIN = st.text(st.sampled_from("abcXYZ 019.,!?…'\"—:;，。！？、了你好のはね😊\n~♪"), max_size=240)
NAMES = st.sampled_from(["[happy]", "[nod]", "[wave]", "[look_at_chat]", "（笑）"])


@given(st.lists(st.tuples(PLAIN, NAMES), max_size=6), PLAIN, st.sampled_from(["en", "zh", "ja"]))
def test_what_is_said_is_the_reply_without_its_cues(
    parts: list[tuple[str, str]], tail: str, language: str
) -> None:
    reply = "".join(text + cue for text, cue in parts) + tail
    said = "".join(text for text, _ in parts) + tail
    found = split(reply, language)
    assert "".join("".join(u.text.split()) for u in found) == "".join(said.split())
    assert sum(len(u.cues) for u in found) == len(parts)
    assert all(0 <= c.at_char <= len(u.text) for u in found for c in u.cues)
    assert all(len(u.text) <= MAX_CHARS for u in found)
    assert all(u.text for u in found[:-1])


@given(
    st.text(st.sampled_from("abc .,!?[]()*hapynod你好。，😊\n`#-1"), max_size=160),
    st.lists(st.integers(0, 160), max_size=20),
)
def test_how_the_text_arrives_changes_nothing(reply: str, cuts: list[int]) -> None:
    whole = Splitter(1, "en").push(ReplyChunk(1, reply, final=True))
    places = [0, *sorted({min(c, len(reply)) for c in cuts}), len(reply)]
    splitter = Splitter(1, "en")
    pieces = []
    for start, stop in zip(places, places[1:], strict=False):
        pieces += splitter.push(ReplyChunk(1, reply[start:stop]))
    pieces += splitter.push(ReplyChunk(1, "", final=True))
    assert pieces == whole


def test_a_character_s_own_cues_are_performed_and_only_theirs() -> None:
    reply = "Pon poko [drum] pon! [dance_wildly]"
    known = split(reply, "en", own_cues={"drum"})
    assert [cue.name for u in known for cue in u.cues] == ["drum"]
    unknown = split(reply, "en")
    assert [cue.name for u in unknown for cue in u.cues] == []
    assert [u.text for u in known] == [u.text for u in unknown]
    assert "drum" not in " ".join(u.text for u in known)


LONG_SENTENCE = (
    "Well, hello! I walked along the river until the lamps came on, and then I sat down on the "
    "bench by the bridge, which was still warm."
)


def test_a_slow_voice_gets_its_sentences_clause_by_clause() -> None:
    whole, brief = Splitter(1, "en"), Splitter(1, "en", brief=True)
    told = ReplyChunk(1, LONG_SENTENCE, final=True)
    assert [u.text for u in whole.push(told) if u.text] == ["Well, hello!", LONG_SENTENCE[13:]]
    assert [u.text for u in brief.push(told) if u.text] == [
        "Well, hello!",
        "I walked along the river until the lamps came on,",
        "and then I sat down on the bench by the bridge,",
        "which was still warm.",
    ]
