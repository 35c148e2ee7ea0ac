"""From a model's tokens and their durations to timed phonemes: the same for every neural voice."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voice.g2p import WordSounds
from voice.speech import Phoneme, Samples

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


QUIET_DB = 30.0
"""Sound this far below the loudest of the first window is not yet the first phoneme."""
FURTHEST_S = 0.12
"""The first phoneme is not moved further than this."""
BURST_S = 0.01
"""A stop's own sound: its closure before it is silent."""
CLOSURE_S = 0.06
"""How long lips or tongue are closed before an utterance that begins with a stop."""

_STOPS = frozenset("pbtdkɡgʔʧʤʦʣʨʥ")


def settled(
    phonemes: Sequence[Phoneme], sound: Samples, *, sample_rate: int
) -> tuple[Phoneme, ...]:
    """Return the phonemes with the first one where its sound begins.

    At the start of an utterance a model's durations are at their least exact (20 to 50 ms off),
    and the eye is at its most: the lips have been at rest. There the sound itself tells. A stop's
    sound is its release, so its closure is laid before it; any other phoneme starts with it.

    Args:
        phonemes: from `corrected`, without gaps from 0.
        sound: the first window: from 0 to beyond the first phoneme.
        sample_rate: in hertz.
    """
    first = next((k for k, p in enumerate(phonemes) if p.ipa), -1)
    onset = _onset(sound, sample_rate)
    if first < 0 or first > 1 or onset is None:
        return tuple(phonemes)
    p = phonemes[first]
    if p.ipa[0] in _STOPS:
        start = max(0, onset - round(CLOSURE_S * sample_rate))
        stop = onset + round(BURST_S * sample_rate)
    else:
        start, stop = onset, p.stop
    after = phonemes[first + 1] if first + 1 < len(phonemes) else None
    far = round(FURTHEST_S * sample_rate)
    moved_too_far = abs(start - p.start) > far or abs(stop - p.stop) > far
    if stop <= start or moved_too_far or (after is not None and stop >= after.stop):
        return tuple(phonemes)
    settled_first = Phoneme(p.ipa, start, stop, p.word, p.stress)
    pause = (Phoneme("", 0, start),) if start else ()
    rest = list(phonemes[first + 1 :])
    if after is not None:
        rest[0] = Phoneme(after.ipa, stop, after.stop, after.word, after.stress)
    return (*pause, settled_first, *rest)


def _onset(sound: Samples, sample_rate: int) -> int | None:
    """Return the sample at which sound begins, None where all of it is quiet."""
    hop = max(1, sample_rate // 500)
    n = len(sound) // hop
    if not n:
        return None
    level = np.sqrt(np.square(sound[: n * hop], dtype=np.float64).reshape(n, hop).mean(axis=1))
    loudest = float(level.max())
    if loudest < 1e-3:
        return None
    return int(np.argmax(level > loudest * 10 ** (-QUIET_DB / 20))) * hop
