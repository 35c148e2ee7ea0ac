"""From a model's tokens and their durations to timed phonemes: the same for every neural voice."""

from collections.abc import Sequence
from dataclasses import dataclass

from voice.g2p import WordSounds
from voice.speech import Phoneme

MODIFIERS = frozenset("ːˑʰʲᵝ̩̯̃→↓↗↘")
"""Marks that belong to the sound before them."""

STRESS = {"ˈ": 1, "ˌ": 2}
"""Marks that belong to the sound after them."""

SHORT_PAUSE_S = 0.11
"""A gap between words that is shorter belongs to the sound before it: the mouth does not shut."""


@dataclass(frozen=True, slots=True)
class Token:
    """One symbol of a model's input."""

    symbol: str
    """A phoneme, a modifier, a stress mark, punctuation or a space."""
    word: int
    """Index of its word, -1 between words."""


def tokens(sounds: Sequence[WordSounds], gap: str = " ") -> list[Token]:
    """Return the symbols of a phrase: words joined by `gap`, punctuation kept."""
    result: list[Token] = []
    for number, sound in enumerate(sounds):
        if number and gap:
            result.append(Token(gap, -1))
        result.extend(Token(symbol, sound.word) for symbol in sound.symbols)
        if sound.pause:
            result.append(Token(sound.pause, -1))
    return result


def phonemes(
    symbols: Sequence[Token], lengths: Sequence[int], sample_rate: int, start: int = 0
) -> tuple[Phoneme, ...]:
    """Return timed phonemes.

    Args:
        symbols: the model's input.
        lengths: samples of each, as the model decided.
        sample_rate: in hertz.
        start: sample at which the first symbol starts.

    Returns:
        Phonemes and pauses ("") without gaps from `start` to the sum of `lengths`.
    """
    short = int(SHORT_PAUSE_S * sample_rate)
    result: list[Phoneme] = []
    at, stress, carried = start, 0, 0
    for token, length in zip(symbols, lengths, strict=True):
        stop = at + length
        if token.symbol in STRESS:
            stress = STRESS[token.symbol]
            carried += length
        elif token.symbol in MODIFIERS and result and result[-1].ipa:
            last = result[-1]
            ipa = last.ipa + (token.symbol if token.symbol in "ːʲʰ" else "")
            result[-1] = Phoneme(ipa, last.start, stop, last.word, last.stress)
        elif token.word < 0:
            if length < short and result:
                last = result[-1]
                result[-1] = Phoneme(last.ipa, last.start, stop, last.word, last.stress)
            elif length:
                result.append(Phoneme("", at, stop))
        else:
            result.append(Phoneme(token.symbol, at - carried, stop, token.word, stress))
            stress, carried = 0, 0
        at = stop
    return tuple(_merge_pauses(result))


def _merge_pauses(items: list[Phoneme]) -> list[Phoneme]:
    merged: list[Phoneme] = []
    for item in items:
        if merged and not item.ipa and not merged[-1].ipa:
            merged[-1] = Phoneme("", merged[-1].start, item.stop)
        elif item.stop > item.start:
            merged.append(item)
    return merged
