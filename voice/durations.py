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


LAST_VOWEL_S = 0.30
LAST_CONSONANT_S = 0.18
"""An utterance's last sound is at most this long: models give it the silence behind it too."""

_VOWELS = frozenset("aeiouyɑɒæɐəɚɜɝɛɪʊʌɔɨɯøœɤAIOWYQᵊᵻ")


def corrected(phonemes: Sequence[Phoneme], *, early: int, sample_rate: int) -> tuple[Phoneme, ...]:
    """Return the phonemes when they are heard, by what was measured of a model.

    A network's durations are the times of its input; its decoder sounds them a constant time
    earlier. The last sound of the utterance is cut to a usual length, the rest is a pause.

    Args:
        phonemes: without gaps from 0 to the end of the sound.
        early: samples by which the sound comes before its span.
        sample_rate: in hertz.
    """
    if not phonemes:
        return ()
    end = phonemes[-1].stop
    moved: list[Phoneme] = []
    for p in phonemes:
        start, stop = max(0, p.start - early), max(0, p.stop - early)
        if stop > start:
            moved.append(Phoneme(p.ipa, start, stop, p.word, p.stress))
    last = max((k for k, p in enumerate(moved) if p.ipa), default=-1)
    if last >= 0:
        p = moved[last]
        longest_s = LAST_VOWEL_S if p.ipa[0] in _VOWELS else LAST_CONSONANT_S
        stop = min(p.stop, p.start + int(longest_s * sample_rate))
        moved[last] = Phoneme(p.ipa, p.start, stop, p.word, p.stress)
        del moved[last + 1 :]
    at = moved[-1].stop if moved else 0
    if at < end:
        moved.append(Phoneme("", at, end))
    return tuple(_merge_pauses(moved))
