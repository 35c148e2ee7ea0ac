"""Utterances in, timed 48 kHz sound out: normalises, chooses a voice, falls back, resamples.

Runs on: the thread of whoever pulls the generator (`voice.pump` gives it one).
"""

import logging
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from dialogue.messages import Utterance
from dialogue.plugins import EngineError
from dialogue.ticks import Ticks, from_samples
from voice import align
from voice.engine import Voice
from voice.resample import Resampler
from voice.speech import AudioChunk, Phoneme, PhonemeSpan, Phrase, Samples, SpokenWord, WordSpan
from voice.text import normalise

_log = logging.getLogger(__name__)

PIECE: Ticks = 9600
"""Longest chunk: 200 ms."""


class Speaker:
    """Speaks every language that one of its voices speaks."""

    def __init__(self, plan: Mapping[str, Sequence[Voice]]) -> None:
        """Take the voices.

        Args:
            plan: language (or "*") to voices in order of preference.
        """
        self._plan = {language: list(voices) for language, voices in plan.items()}
        self._bad: set[int] = set()

    def voices(self, language: str) -> list[Voice]:
        """Return the voices that are tried for `language`, best first; never empty."""
        everyone = list({id(v): v for voices in self._plan.values() for v in voices}.values())
        first = self._plan.get(language) or self._plan.get("*") or []
        able = [v for v in everyone if language in v.languages or "*" in v.languages]
        order = list({id(v): v for v in (*first, *able, *everyone)}.values())
        return [v for v in order if id(v) not in self._bad] or order

    def warm(self) -> None:
        """Let every voice run once, so that the first utterance is fast."""
        for voice in {id(v): v for voices in self._plan.values() for v in voices}.values():
            try:
                voice.warm()
            except EngineError as error:
                self._bad.add(id(voice))
                _log.warning("%s; another voice takes over", error)

    def close(self) -> None:
        """Free every voice."""
        for voice in {id(v): v for voices in self._plan.values() for v in voices}.values():
            voice.close()

    def speak(self, utterance: Utterance) -> Iterator[AudioChunk]:
        """Yield the sound of `utterance`; the last chunk is final, also when nothing can be said.

        A voice that fails before its first sound is replaced by the next; one that fails later
        ends the utterance where it is.

        Raises:
            EngineError: no voice could say anything.
        """
        words = normalise(utterance.text, utterance.language)
        if not words:
            yield AudioChunk(
                utterance.turn_id, utterance.index, 0, np.zeros(0, np.float32), final=True
            )
            return
        phrase = Phrase(words, utterance.language)
        failures = []
        for voice in self.voices(utterance.language):
            begun = False
            try:
                for chunk in _timed(voice, phrase, words, utterance):
                    begun = True
                    yield chunk
                return
            except EngineError as error:
                if begun:
                    _log.warning("%s; the utterance ends early", error)
                    raise
                failures.append(str(error))
                _log.warning("%s; the next voice takes over", error)
        raise EngineError(f"no voice could speak: {'; '.join(failures)}")


def _timed(
    voice: Voice, phrase: Phrase, words: Sequence[SpokenWord], utterance: Utterance
) -> Iterator[AudioChunk]:
    rate = voice.sample_rate
    resampler = Resampler(rate)
    at: Ticks = 0
    known: list[Phoneme] = []
    untimed: list[Samples] = []
    waiting: tuple[tuple[PhonemeSpan, ...], tuple[WordSpan, ...]] = ((), ())
    for speech in voice.synthesize(phrase):
        if speech.phonemes is None:
            # No timing: all of the sound is needed before its phonemes can be estimated.
            untimed.append(speech.samples)
            continue
        if speech.phonemes:
            known.extend(speech.phonemes)
            waiting = (_spans(speech.phonemes, rate), _words(speech.phonemes, words, rate))
        for piece in _pieces(resampler.push(speech.samples)):
            yield AudioChunk(utterance.turn_id, utterance.index, at, piece, *waiting)
            waiting = ((), ())
            at += len(piece)
    if untimed:
        sound = np.concatenate(untimed)
        known = list(align.estimate(phrase, sound, rate))
        waiting = (_spans(known, rate, estimated=True), _words(known, words, rate))
        for piece in _pieces(resampler.push(sound)):
            yield AudioChunk(utterance.turn_id, utterance.index, at, piece, *waiting)
            waiting = ((), ())
            at += len(piece)
    for piece in _pieces(resampler.finish()):
        yield AudioChunk(utterance.turn_id, utterance.index, at, piece, *waiting)
        waiting = ((), ())
        at += len(piece)
    yield AudioChunk(
        utterance.turn_id, utterance.index, at, np.zeros(0, np.float32), *waiting, final=True
    )


def _pieces(sound: Samples) -> Iterator[Samples]:
    for start in range(0, len(sound), PIECE):
        yield sound[start : start + PIECE]


def _spans(
    phonemes: Sequence[Phoneme], rate: int, *, estimated: bool = False
) -> tuple[PhonemeSpan, ...]:
    return tuple(
        PhonemeSpan(
            p.ipa, from_samples(p.start, rate), from_samples(p.stop, rate), p.stress, estimated
        )
        for p in phonemes
    )


def _words(
    phonemes: Sequence[Phoneme], words: Sequence[SpokenWord], rate: int
) -> tuple[WordSpan, ...]:
    """Return when each caption word sounds: from its first to its last phoneme."""
    times: dict[int, tuple[int, int]] = {}
    for phoneme in phonemes:
        if phoneme.word >= 0:
            start, _ = times.get(phoneme.word, (phoneme.start, 0))
            times[phoneme.word] = (start, phoneme.stop)
    spans: list[WordSpan] = []
    for index, (start, stop) in sorted(times.items()):
        word = words[index]
        first, last = from_samples(start, rate), from_samples(stop, rate)
        if spans and spans[-1].start_char == word.start_char:
            spans[-1] = WordSpan(word.start_char, word.stop_char, spans[-1].start, last)
        else:
            spans.append(WordSpan(word.start_char, word.stop_char, first, last))
    return tuple(spans)
