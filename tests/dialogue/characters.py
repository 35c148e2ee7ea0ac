"""A small character for tests."""

from pathlib import Path

from dialogue.character import Character, load_character

TOML = """name = "momo"
display_name = "Momo"
languages = ["en", "zh", "ja"]

[pronunciation]
zh = "桃桃"
ja = "モモ"

[voice.engines]
en = ["piper"]

[texts.en]
apology = ["Sorry, my head is full of clouds."]
dodge = ["Look, a squirrel!"]
"""

PERSONA = """# Momo
## en
You are Momo, a peach spirit who tends a small orchard by the sea and hums to the trees at dusk.
## zh
你是桃桃，一位守着海边小果园的桃子精灵，黄昏时对着树哼歌。
## ja
あなたはモモ、海辺の小さな果樹園を守る桃の精霊で、夕暮れに木々へ歌を口ずさみます。
"""

EXAMPLES = """## en
> Ann: hello
Hello Ann! [wave] Mind the ladder.

> Ann: how many trees?
Seven, and all of them gossip.

## zh
> 小明：你好
小明你好！[wave]小心梯子。

## ja
> けん：こんにちは
けんさん、こんにちは！[wave]
"""


def write(folder: Path, toml: str = TOML, persona: str = PERSONA, examples: str = EXAMPLES) -> Path:
    (folder / "character.toml").write_text(toml, "utf-8")
    (folder / "persona.md").write_text(persona, "utf-8")
    (folder / "examples.md").write_text(examples, "utf-8")
    return folder


def momo(folder: Path) -> Character:
    return load_character(write(folder))
