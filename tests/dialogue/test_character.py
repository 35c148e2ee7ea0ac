from pathlib import Path

import pytest

import characters
from dialogue.character import CharacterError, Exchange, load_character
from dialogue.cues import CUES
from dialogue.sentences import split
from tests.dialogue.characters import EXAMPLES, PERSONA, TOML, momo, write


def test_a_folder_becomes_a_character(tmp_path: Path) -> None:
    character = momo(tmp_path)
    assert character.display_name == "Momo"
    assert character.languages == ("en", "zh", "ja")
    assert "海边小果园" in character.persona("zh")
    assert character.examples["en"][0] == Exchange(
        "Ann", "hello", "Hello Ann! [wave] Mind the ladder."
    )
    assert len(character.examples["en"]) == 2
    assert character.called("ja") == "モモ"
    assert character.called("en") == "Momo"
    assert character.voice_order() == {"en": ("piper",), "zh": (), "ja": ()}
    assert character.voice_options("piper") == {}
    assert character.renderer == "puppet"


def test_persona_text_before_the_sections_serves_every_language(tmp_path: Path) -> None:
    write(tmp_path, persona="A peach.\n\n## ja\n桃です。\n")
    character = load_character(tmp_path)
    assert character.persona("en") == "A peach."
    assert character.persona("ja") == "A peach.\n\n桃です。"


def test_fallback_lines_exist_in_every_language(tmp_path: Path) -> None:
    character = momo(tmp_path)
    assert character.text("apology", "en", 3) == "Sorry, my head is full of clouds."
    assert "走神" in character.text("apology", "zh", 0)
    assert character.text("dodge", "ja", 1)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("display_name", "displayname", ["character.toml:2:", "displayname", "'display_name'"]),
        ('name = "momo"', "name = 3", ["character.toml:1:", "name", "str"]),
        ('name = "momo"', 'name = "Mo Mo"', ["character.toml:1:", "write mo-mo", "display_name"]),
        ('name = "momo"\n', "", [":1:", "no name"]),
        ('"ja"]', '"ja"', ["character.toml:", "TOML"]),
        (
            'en = ["piper"]',
            'fr = ["piper"]',
            ["character.toml:10:", "voice.engines.fr", "languages"],
        ),
        (
            'en = ["piper"]',
            'fr = ["piper"]\nde = ["piper"]',
            [":10:", "voice.engines.fr, voice.engines.de", "remove these"],
        ),
        ('en = ["piper"]', 'en = "piper"', ["character.toml:9:", "voice.engines"]),
        ("[voice.engines]", "[voice.engine]", [":9:", "voice.engine", "'engines'"]),
        ("dodge =", "doge =", ["character.toml:14:", "texts.en.doge", "'dodge'"]),
        ('languages = ["en", "zh", "ja"]', "languages = []", ["character.toml:3:", "languages"]),
        ("\n[pron", '\n[captions]\ncolour = "#fff"\n[pron', ["captions.colour", "'color'"]),
        ("\n[pron", '\n[captions]\nnow = "amber"\n[pron', [":6:", "captions.now", "#rrggbb"]),
        ("\n[pron", "\n[captions]\nsize = 5\n[pron", [":6:", "captions.size"]),
        ("\n[pron", 'safety = "famly"\n[pron', ["character.toml:4:", "'family'"]),
    ],
)
def test_a_broken_sheet_names_line_and_remedy(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    assert old in TOML
    write(tmp_path, toml=TOML.replace(old, new, 1))
    with pytest.raises(CharacterError) as caught:
        load_character(tmp_path)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("examples", "words"),
    [
        ("## en\nhello\n", ["examples.md:2:", "'> Name: line'"]),
        ("## en\n> Ann: hi\n\n> Bo: yo\nHey.\n", ["examples.md:2:", "no answer", "'hi'"]),
        ("> Ann: hi\nHey.\n", ["examples.md:1:", "'## en'"]),
        ("## fr\n> Ann: hi\nHey.\n", ["examples.md:1:", "'fr'", "en, zh, ja"]),
        ("## fr\n> A: hi\nHey.\n## de\n", ["examples.md:1:", "'fr', 'de'", "en, zh, ja"]),
        ("## en\n\n## en\n", ["examples.md:3:", "second section"]),
        ("## en\n> Ann:\nHey.\n", ["examples.md:2:", "empty line"]),
    ],
)
def test_broken_examples_name_line_and_remedy(
    tmp_path: Path, examples: str, words: list[str]
) -> None:
    write(tmp_path, examples=examples)
    with pytest.raises(CharacterError) as caught:
        load_character(tmp_path)
    for word in words:
        assert word in str(caught.value)


def test_a_missing_file_and_a_missing_language_are_named(tmp_path: Path) -> None:
    write(tmp_path, persona=PERSONA.split("## ja")[0])
    with pytest.raises(CharacterError, match=r"persona\.md:1: nothing for language 'ja'"):
        load_character(tmp_path)
    (tmp_path / "persona.md").unlink()
    with pytest.raises(CharacterError, match=r"persona\.md: missing"):
        load_character(tmp_path)


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    line = EXAMPLES.count("\n") + 2
    (tmp_path / "examples.md").write_bytes(EXAMPLES.encode() + b"\n\xff")
    with pytest.raises(CharacterError, match=rf"examples\.md:{line}: not UTF-8"):
        load_character(tmp_path)


def ours() -> list[Path]:
    root = Path(next(iter(characters.__path__)))
    return [f for f in sorted(root.iterdir()) if (f / "character.toml").is_file()]


@pytest.mark.parametrize("folder", ours(), ids=lambda f: f.name)
def test_our_characters_have_examples_and_texts_in_all_their_languages(folder: Path) -> None:
    character = load_character(folder)
    for code in character.languages:
        assert 5 <= len(character.examples[code]) <= 12
        assert character.voice_order()[code]
        for example in character.examples[code]:
            found = split(example.answer, code, own_cues=character.cues)
            assert 1 <= len(found) <= 4
            assert len(example.answer) < 160
            assert "[" not in "".join(u.text for u in found)
            assert {c.name for u in found for c in u.cues} <= CUES | character.cues


def test_their_own_expressions_and_gestures_are_cues(tmp_path: Path) -> None:
    folder = momo(tmp_path).folder
    (folder / "motions").mkdir()
    (folder / "motions/gestures.toml").write_text('[peel]\nalso = ["juggle"]\n', "utf-8")
    (folder / "motions/expressions.toml").write_text("[not toml", "utf-8")
    assert load_character(folder).cues == {"peel", "juggle"}


def test_pon_s_drum_is_a_cue_of_his() -> None:
    pon = load_character(Path(characters.__file__).parent / "pon")
    assert {"drum", "sip"} <= pon.cues
