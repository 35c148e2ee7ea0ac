"""A minute of a host: what they say in their own examples, and how they rest in between."""

import re
from dataclasses import replace

from dialogue.character import Character
from dialogue.messages import Utterance
from dialogue.sentences import split

SPEECH_S, REST_S = 26.0, 3.0
"""Seconds of speech, and of the pauses between answers, in which the host idles."""
FIRST_REST_S, LAST_REST_S = 2.5, 4.0
_LETTERS_A_SECOND = {"en": 15.0, "zh": 4.6, "ja": 7.5}


def script(character: Character) -> tuple[list[Utterance], dict[int, float]]:
    """Return what the host says in about a minute, and the silences by utterance index.

    Answers are taken from the examples in turn through the languages, those with a gesture or
    an expression first, until half a minute is full.
    """
    pools: dict[str, list[str]] = {}
    for code in character.languages:
        answers = [each.answer for each in character.examples.get(code, ())]
        greeting = [a for a in answers if "[wave]" in a][:1]
        cued = [a for a in answers if "[" in a and a not in greeting]
        # Another part of the pool for each language: not the same joke three times.
        turn = len(pools) * 3 % max(len(cued), 1)
        pools[code] = [*(greeting if not pools else []), *cued[turn:], *cued[:turn]]
    said: list[Utterance] = []
    rests: dict[int, float] = {}
    spent_s = 0.0
    for number in range(100):
        code = character.languages[number % len(character.languages)]
        if spent_s >= SPEECH_S or not any(pools.values()):
            break
        if not pools[code]:
            continue
        answer = pools[code].pop(0)
        rests[len(said)] = REST_S if said else FIRST_REST_S
        for utterance in split(answer, language=code, own_cues=character.cues):
            said.append(replace(utterance, index=len(said), language=code, final=False))
        letters = len(re.sub(r"\[[^\]]*\]", "", answer))
        spent_s += letters / _LETTERS_A_SECOND.get(code, 12.0)
    if said:
        said[-1] = replace(said[-1], final=True)
        rests[len(said)] = LAST_REST_S
    return said, rests
