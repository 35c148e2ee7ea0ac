"""Utterances in, timed 48 kHz sound out: normalises, chooses a voice, falls back, resamples.

Runs on: the thread of whoever pulls `Speaker.speak` (`voice.pump` gives it one), and one thread
`tts-<engine>` for the voice that speaks, so that a voice which hangs is given up at a deadline and
its successor speaks instead.
"""

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from dialogue.messages import Utterance
from dialogue.plugins import EngineError
from dialogue.ticks import TICKS_PER_MS, Ticks, from_samples
from voice import align, g2p, level
from voice.engine import Voice
from voice.level import Levels
from voice.pump import Feed
from voice.resample import Resampler
from voice.speech import (
    AudioChunk,
    Phoneme,
    PhonemeSpan,
    Phrase,
    Samples,
    Speech,
    SpokenWord,
    WordSpan,
)
from voice.text import normalise

_log = logging.getLogger(__name__)

LONGEST: Ticks = 200 * TICKS_PER_MS
SHORTEST: Ticks = 20 * TICKS_PER_MS
"""Bounds of a chunk; only an utterance's last one may be shorter."""

DEADLINE_S = 8.0
"""A voice that yields nothing for so long has failed; `DEADLINE_CHAR_S` more a character, for
engines that yield a phrase in one piece on a slow machine."""

DEADLINE_CHAR_S = 0.1

BUSY_S = 2.0
"""How long to wait for a voice that still finishes an utterance nobody wants any more."""

COOL_S = (5.0, 60.0)
"""First and longest rest of a voice that failed; doubles each time."""

KEPT = 64
"""Short utterances that come again and again (names, openers) whose sound is kept."""

_Kept = tuple[AudioChunk, npt.NDArray[np.int16]]
"""A chunk without its sound, and the sound in half the room."""
_FULL = 32767.0
_NOTHING: Samples = np.zeros(0, np.float32)

# 方 has several readings: it calls for a dictionary of its own (80 MB).
_SAMPLES = {"en": "Hello, 12 friends.", "zh": "你好，12个朋友。", "ja": "友だちの方へ。"}


def read_ahead(languages: Collection[str]) -> None:
    """Load the dictionaries of `languages`: seconds that a first line in them would wait."""
    for language, sample in _SAMPLES.items():
        if language in languages:
            with suppress(Exception):  # what is broken says so when it is needed
                g2p.phonemise(normalise(sample, language), language)


class Speaker:
    """Speaks every language that one of its voices speaks."""

    def __init__(
        self,
        plan: Mapping[str, Sequence[Voice]],
        *,
        pace: float = 1.0,
        levels: Levels | None = None,
        names: Mapping[int, str] | None = None,
        deadline_s: float = DEADLINE_S,
        busy_s: float = BUSY_S,
    ) -> None:
        """Take the voices.

        Args:
            plan: language (or "*") to voices in order of preference.
            pace: of all voices, relative to their own; 0.5..2.
            levels: how loud each voice is; None leaves all as they are.
            names: `id(voice)` to the name that `levels` knows it by.
            deadline_s: see `DEADLINE_S`.
            busy_s: see `BUSY_S`.
        """
        self._plan = {language: list(voices) for language, voices in plan.items()}
        self._pace = pace
        self._levels, self._names = levels, dict(names or {})
        self._deadline_s = deadline_s
        self._busy_s = busy_s
        every = [voice for voices in self._plan.values() for voice in voices]
        self._record = {id(voice): _Record(voice) for voice in every}
        self._kept: OrderedDict[tuple[str, str], tuple[_Kept, ...]] = OrderedDict()
        self.worked_s = 0.0
        """Seconds all voices have worked so far."""
        self.spoken_s = 0.0
        """Seconds of sound they have made in them."""

    def voices(self, language: str) -> list[Voice]:
        """Return the voices that are tried for `language`, best first.

        Those planned for it, then those planned for "*", then any other that speaks it. A voice
        that does not speak it is left out, so that nothing is ever spelled.
        """
        order = [*self._plan.get(language, ()), *self._plan.get("*", ())]
        order += [record.voice for record in self._record.values()]
        unique = {id(v): v for v in order if language in v.languages or "*" in v.languages}
        voices = list(unique.values())
        now = time.monotonic()
        rested = [v for v in voices if self._record[id(v)].ready_at <= now]
        return [*rested, *(v for v in voices if v not in rested)]

    def warm(self) -> None:
        """Let every voice run once, so that the first utterance is fast.

        Raises:
            EngineError: a language is left without a voice that works.
        """
        failures: dict[int, str] = {}
        for key, record in self._record.items():
            try:
                record.voice.warm()
            except EngineError as error:
                failures[key] = str(error)
                record.fail(error)
                _log.warning("%s; another voice takes over", error)
        for language, voices in self._plan.items():
            able = [*voices, *(self.voices(language) if language != "*" else ())]
            if able and all(id(voice) in failures for voice in able):
                why = "; ".join(dict.fromkeys(failures[id(voice)] for voice in able))
                raise EngineError(f"no voice for {language!r} works: {why}")
        self._learn()

    def _learn(self) -> None:
        """Measure the voices that are not known yet, each in the languages it is meant for."""
        for language, voices in self._plan.items():
            for voice in voices[:1]:  # successors are measured when they are somebody's choice
                name = self._names.get(id(voice))
                if self._levels is None or name is None or self._record[id(voice)].failures:
                    continue
                spoken = "en" if language == "*" else language
                if spoken in voice.languages or "*" in voice.languages:
                    self._levels.learn(name, spoken, partial(level.measure, voice, spoken))

    def _gain(self, voice: Voice, language: str) -> float:
        name = self._names.get(id(voice))
        return 1.0 if self._levels is None or name is None else self._levels.gain(name, language)

    def close(self) -> None:
        """Free every voice; one that hangs is left to the process's end."""
        for record in self._record.values():
            if record.free.acquire(blocking=False):
                record.voice.close()

    def speak(self, utterance: Utterance, *, keep: bool = False) -> Iterator[AudioChunk]:
        """Yield the sound of `utterance`; the last chunk is final, also when nothing can be said.

        A voice that fails before its first sound is replaced by the next; one that fails later
        ends the utterance in silence where it is, with one line in the log.

        Args:
            utterance: what to say.
            keep: it will come again: keep its sound, or take it from an earlier time.

        Raises:
            EngineError: no voice could say anything.
        """
        if not keep:
            yield from self._speak(utterance)
            return
        key = (utterance.text, utterance.language)
        known = self._kept.get(key)
        if known is not None:
            self._kept.move_to_end(key)
            for chunk, sound in known:
                samples = sound.astype(np.float32) / _FULL
                yield replace(
                    chunk, turn_id=utterance.turn_id, utterance=utterance.index, samples=samples
                )
            return
        chunks = []
        preferred = self.voices(utterance.language)[:1]
        with closing(self._speak(utterance)) as made:
            for chunk in made:
                chunks.append(chunk)
                yield chunk
        if preferred and not self._record[id(preferred[0])].failures:  # said as it should be
            self._kept[key] = tuple((replace(c, samples=_NOTHING), _small(c)) for c in chunks)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)

    def _speak(self, utterance: Utterance) -> Generator[AudioChunk, None, None]:
        words = normalise(utterance.text, utterance.language)
        if not words:
            yield _chunk(utterance, 0, np.zeros(0, np.float32), final=True)
            return
        phrase = Phrase(words, utterance.language, self._pace)
        failures = []
        voices = self.voices(utterance.language)
        for number, voice in enumerate(voices):
            record, at = self._record[id(voice)], 0
            try:
                last = number == len(voices) - 1
                pieces = self._pieces(record, phrase, self._deadline_s if last else self._busy_s)
                with closing(pieces):
                    gain = self._gain(voice, utterance.language)
                    for chunk in _timed(pieces, voice.sample_rate, phrase, utterance, gain):
                        if chunk.final and at + len(chunk.samples) == 0:
                            raise EngineError(f"{record.name}: yielded no sound")
                        at += len(chunk.samples)
                        yield chunk
                record.failures = 0
                return
            except EngineError as error:
                record.fail(error)
                if at:
                    _log.warning("%s; utterance %d ends early", error, utterance.index)
                    yield _chunk(utterance, at, np.zeros(0, np.float32), final=True)
                    return
                failures.append(str(error))
                _log.warning("%s; the next voice takes over", error)
        known = sorted({code for r in self._record.values() for code in r.voice.languages})
        why = "; ".join(failures) or f"the voices speak {', '.join(known)}; name one in [voice]"
        raise EngineError(f"no voice could speak {utterance.language!r}: {why}")

    def _pieces(
        self, record: "_Record", phrase: Phrase, busy_s: float
    ) -> Generator[Speech, None, None]:
        """Yield what the voice yields, from its thread, within the deadline."""
        if not record.free.acquire(timeout=0 if record.stuck else busy_s):
            record.stuck = True
            raise EngineError(f"{record.name}: still inside an earlier call")
        record.stuck = False
        rate = record.voice.sample_rate
        feed = Feed(
            lambda: record.voice.synthesize(phrase),
            length_s=lambda speech: len(speech.samples) / rate,
            name=f"tts-{record.name}",
            ended=record.free.release,
        )
        deadline_s = self._deadline_s + DEADLINE_CHAR_S * len(phrase.text)
        try:
            while (speech := feed.get(deadline_s)) is not None:
                self.spoken_s += len(speech.samples) / rate
                yield speech
        except TimeoutError:
            record.stuck = True
            raise EngineError(f"{record.name}: no sound for {deadline_s:.0f} s") from None
        except EngineError:
            raise
        except Exception as error:  # a plug-in's bug must not mute the host
            raise EngineError(f"{record.name}: {type(error).__name__}: {error}") from error
        finally:
            feed.stop()
            self.worked_s += feed.busy_s


class _Record:
    """A voice and how it has behaved."""

    def __init__(self, voice: Voice) -> None:
        self.voice = voice
        self.name = type(voice).__name__.removesuffix("Voice").lower()
        self.free = threading.Lock()
        """Held while the voice's generator lives."""
        self.stuck = False
        self.failures = 0
        self.ready_at = 0.0
        """`time.monotonic()` until which it rests."""

    def fail(self, error: EngineError) -> None:
        """Rest for a while."""
        rest_s = min(COOL_S[0] * 2**self.failures, COOL_S[1])
        self.failures += 1
        self.ready_at = time.monotonic() + max(rest_s, error.retry_after_s or 0.0)


def _chunk(utterance: Utterance, at: Ticks, sound: Samples, *, final: bool = False) -> AudioChunk:
    return AudioChunk(utterance.turn_id, utterance.index, at, sound, final=final)


def _timed(
    pieces: Iterator[Speech], rate_hz: int, phrase: Phrase, utterance: Utterance, gain: float
) -> Iterator[AudioChunk]:
    """Turn a voice's pieces into chunks in ticks, with phonemes and words in time."""
    line = _Line(utterance, phrase.words, gain)
    resampler = Resampler(rate_hz)
    aligner: align.Aligner | None = None
    for number, speech in enumerate(pieces):
        if number == 0 and speech.phonemes is None:
            aligner = align.Aligner(_plan(phrase))
        sound = resampler.push(speech.samples)
        if aligner is None:
            line.know(_ticks(speech.phonemes or (), rate_hz), estimated=False)
            yield from line.give(sound)
        else:
            phonemes, safe = aligner.push(sound)
            line.know(phonemes, estimated=True)
            yield from line.give(sound, until=safe)
    rest = resampler.finish()
    if aligner is not None:
        phonemes, _ = aligner.push(rest)
        line.know((*phonemes, *aligner.finish()), estimated=True)
    yield from line.give(rest, final=True)


def _plan(phrase: Phrase) -> list[align.Planned]:
    try:
        return align.plan(phrase.words, phrase.language, g2p.phonemise)
    except (RuntimeError, ValueError, KeyError, IndexError, ImportError) as error:
        _log.warning("times are estimated from letters: %s: %s", type(error).__name__, error)
        return align.plan(phrase.words, phrase.language, align.letters)


def _ticks(phonemes: Sequence[Phoneme], rate_hz: int) -> tuple[Phoneme, ...]:
    return tuple(
        Phoneme(
            p.ipa, from_samples(p.start, rate_hz), from_samples(p.stop, rate_hz), p.word, p.stress
        )
        for p in phonemes
    )


class _Line:
    """Sound and spans of one utterance on their way out, cut into chunks of a good size."""

    def __init__(self, utterance: Utterance, words: Sequence[SpokenWord], gain: float) -> None:
        self._utterance = utterance
        self._gain = gain
        self._written = words
        self._at: Ticks = 0
        self._held = np.zeros(0, np.float32)
        self._spans: deque[PhonemeSpan] = deque()
        self._words: deque[WordSpan] = deque()
        self._spoken = -1
        """The last word of which the time is known."""

    def know(self, phonemes: Sequence[Phoneme], *, estimated: bool) -> None:
        """Take phonemes in ticks; they go out with the next chunk."""
        for phoneme in phonemes:
            self._spans.append(
                PhonemeSpan(phoneme.ipa, phoneme.start, phoneme.stop, phoneme.stress, estimated)
            )
            index = phoneme.word
            if index < 0 or index >= len(self._written) or index < self._spoken:
                continue
            word = self._written[index]
            last = self._words[-1] if self._words else None
            # The same caption word: another phoneme of it, or another word that it is read as.
            if last is not None and (
                index == self._spoken or last.start_char <= word.start_char < last.stop_char
            ):
                self._words[-1] = WordSpan(
                    last.start_char, max(last.stop_char, word.stop_char), last.start, phoneme.stop
                )
            elif index > self._spoken:
                # Words that a dictionary read as part of this one have no sounds of their own.
                first = self._written[self._spoken + 1]
                span = WordSpan(
                    min(first.start_char, word.start_char), word.stop_char,
                    phoneme.start, phoneme.stop,
                )  # fmt: skip
                self._words.append(span)
            self._spoken = index

    def give(
        self, sound: Samples, *, until: Ticks | None = None, final: bool = False
    ) -> Iterator[AudioChunk]:
        """Take sound and yield chunks; only what starts before `until` may go."""
        held = np.concatenate([self._held, sound])
        while held.size:
            size = min(len(held), LONGEST)
            if until is not None:
                size = min(size, until - self._at)
            if 0 < len(held) - size < SHORTEST and size > 2 * SHORTEST:
                size = len(held) // 2  # rather two of a good size than a crumb
            if size < SHORTEST and not final:
                break
            yield self._out(held[:size], final=final and size == len(held))
            held = held[size:]
            if final and not held.size:
                return
        self._held = held
        if final:
            yield self._out(np.zeros(0, np.float32), final=True)

    def _out(self, sound: Samples, *, final: bool) -> AudioChunk:
        chunk = AudioChunk(
            self._utterance.turn_id, self._utterance.index, self._at, sound,
            tuple(self._spans), tuple(self._words), final, self._gain,
        )  # fmt: skip
        self._spans.clear()
        self._words.clear()
        self._at += len(sound)
        return chunk


def _small(chunk: AudioChunk) -> npt.NDArray[np.int16]:
    sound: npt.NDArray[np.int16] = np.rint(np.clip(chunk.samples, -1, 1) * _FULL).astype(np.int16)
    return sound
