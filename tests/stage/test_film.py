"""A film of a whole host, without a show: what was said stands beside it and inside, in time."""

from pathlib import Path

import av
import numpy as np
import pytest

from dialogue.messages import Utterance
from dialogue.ticks import TICKS_PER_S
from stage.bench.offset import edges
from stage.config import Show, Video
from stage.film import shoot
from tests.fakes import ToneVoice
from tests.render.sinks.test_file import beside, sound_of, track_of
from voice.speaker import Speaker

LINES = (
    "Otters eat apples. ",
    "Every evening the amber otters open all eleven old umbrellas at once.",
)


def test_a_film_has_its_captions_when_they_are_heard(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    show = Show(video=Video(width=160, height=90, fps=24))
    utterances = [Utterance(1, i, text.strip(), "en", final=i == 1) for i, text in enumerate(LINES)]
    shoot(show, Speaker({"*": [ToneVoice()]}), utterances, path, rests={1: 1.0})
    cues = [cue.split("\n")[1:] for cue in beside(path)]
    assert [" ".join(lines) for _, *lines in cues] == [text.strip() for text in LINES]
    onsets, _ = edges(sound_of(path))
    starts = [start for start, _, text in track_of(path)]
    for cue, start in zip(cues, starts, strict=True):
        begin = cue[0].split(" ")[0]
        told = int(begin[6:8]) + int(begin[9:12]) / 1000
        assert told == pytest.approx(start, abs=0.002)
        assert min(abs(onset - told) for onset in onsets) < 0.06
    assert [text for *_, text in track_of(path)] == ["\n".join(lines) for _, *lines in cues]
    with av.open(str(path)) as film:
        length = sum(1 for _ in film.decode(video=0)) * TICKS_PER_S // 24
    assert abs(len(sound_of(path)) - length) <= 1024
    assert np.abs(sound_of(path)).max() > 0.1
