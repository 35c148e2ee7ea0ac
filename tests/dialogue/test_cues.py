import pytest

from dialogue.cues import CUES, mood_of, resolve


@pytest.mark.parametrize("name", sorted(CUES))
def test_every_cue_means_itself(name: str) -> None:
    assert resolve(name) == name
    assert resolve(f" {name.upper().replace('_', ' ')} ") == name


@pytest.mark.parametrize(
    ("direction", "cue"),
    [
        ("waves happily", "wave"), ("giggling", "laugh"), ("tilts head", "tilt"), ("苦笑", "laugh"),
        ("挥手", "wave"), ("うなずく", "nod"), ("blushes", "shy"), ("gasp", "surprised"),
        ("hairflip", None), ("", None), ("lights", None),
    ],
)  # fmt: skip
def test_other_words_become_the_nearest_cue(direction: str, cue: str | None) -> None:
    assert resolve(direction) == cue


@pytest.mark.parametrize(
    ("text", "mood"),
    [
        ("Oh no, that hurts.", "sad"), ("Hmm, let me see.", "thinking"),
        ("Hahaha, good one!", "laugh"),
        ("欢迎欢迎！", "happy"), ("这是秘密，", "amused"), ("えっ、ほんと？", "surprised"),
        ("The door is open.", None), ("今日は火曜日。", None),
    ],
)  # fmt: skip
def test_the_first_words_have_a_face(text: str, mood: str | None) -> None:
    assert mood_of(text) == mood
    assert mood is None or mood in CUES
