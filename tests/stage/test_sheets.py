"""Contact sheets and the film of a minute."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dialogue.character import load_character
from dialogue.sentences import split
from stage import folders
from stage.cli import main
from stage.config import Show, Video
from stage.film import LEAD_S, TAIL_S, shoot
from stage.minute import FIRST_REST_S, LAST_REST_S, script
from tests.fakes import PHONEME_S, ToneVoice
from voice.speaker import Speaker

SMALL = Show(video=Video(width=320, height=180))


def test_the_command_writes_three_sheets_full_of_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path /= "made/for/it"
    assert main(["sheets", "kohaku", "-o", str(tmp_path)]) == 0
    names = {"kohaku-expressions.jpg", "kohaku-visemes.jpg", "kohaku-gestures.jpg"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert len(capsys.readouterr().out.splitlines()) == 3
    visemes = cv2.imread(str(tmp_path / "kohaku-visemes.jpg"))
    assert visemes is not None
    high, wide = (n // k for n, k in zip(visemes.shape[:2], (3, 5), strict=True))
    cells = [
        visemes[j * high : (j + 1) * high, i * wide : (i + 1) * wide].astype(int)
        for j in range(3) for i in range(5)
    ]  # fmt: skip
    least = min(len(c) for c in cells)
    differ = [np.abs(a[:least] - b[:least]).mean() for k, a in enumerate(cells) for b in cells[:k]]
    assert min(differ) > 0.3


def test_a_folder_that_cannot_be_made_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine", "utf-8")
    assert main(["sheets", "-o", str(tmp_path / "file" / "below")]) == 1
    assert "cannot be made" in capsys.readouterr().err


@pytest.mark.parametrize("name", folders.names())
def test_a_minute_speaks_every_language_and_rests_between_answers(name: str) -> None:
    character = load_character(folders.character(name))
    said, rests = script(character)
    assert {u.language for u in said} == set(character.languages)
    assert [u.index for u in said] == list(range(len(said)))
    assert [u.final for u in said] == [False] * (len(said) - 1) + [True]
    assert rests[0] == FIRST_REST_S
    assert rests[len(said)] == LAST_REST_S
    assert len(rests) > len(character.languages)
    assert len([u for u in said if u.cues]) >= 4


def test_nothing_is_said_by_one_who_has_no_examples() -> None:
    character = load_character(folders.character("kohaku"))
    assert script(replace(character, examples={})) == ([], {})


def test_rests_are_as_long_as_asked_for(tmp_path: Path) -> None:
    said = split("Aaa aaa. Ooo ooo.", language="en")
    assert len(said) == 2
    speaker = Speaker({"en": [ToneVoice()]})
    plain = shoot(SMALL, speaker, said, tmp_path / "plain.mp4")
    rested = shoot(SMALL, speaker, said, tmp_path / "rested.mp4", rests={0: 1.5, 1: 2.0, 2: 3.0})
    one, two = rested.utterances
    assert one["start_s"] >= LEAD_S + 1.5
    assert two["start_s"] - one["stop_s"] >= 2.0
    assert two["start_s"] - one["stop_s"] < 2.4
    spoken_s = 12 * PHONEME_S
    assert plain.film_s == pytest.approx(LEAD_S + spoken_s + TAIL_S, abs=0.5)
    assert rested.film_s == pytest.approx(LEAD_S + 1.5 + spoken_s + 2.0 + 3.0, abs=0.5)
