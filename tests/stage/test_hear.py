import json
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stage.cli import main
from stage.commands import hear
from stage.commands.hear import RATE_HZ, SoundError, decode, quietest
from voice.speech import Samples


def write(path: Path, sound: Samples, rate_hz: int = RATE_HZ, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        pcm = (np.repeat(sound, channels) * 32767).astype("<i2")
        file.writeframes(pcm.tobytes())
    return path


def tone(seconds: float, rate_hz: int = RATE_HZ, hz: float = 440.0) -> Samples:
    ticks = np.arange(int(seconds * rate_hz))
    return (0.5 * np.sin(2 * np.pi * hz * ticks / rate_hz)).astype(np.float32)


def test_any_rate_and_channels_become_16_khz_mono(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone(2.0, 44_100), 44_100, channels=2)
    (sound,) = decode(path)
    assert abs(len(sound) - 2 * RATE_HZ) <= 32
    spectrum = np.abs(np.fft.rfft(sound[: 2 * RATE_HZ - 32]))
    peak_hz = int(np.argmax(spectrum)) * RATE_HZ / (2 * RATE_HZ - 32)
    assert peak_hz == pytest.approx(440, abs=1)
    assert float(np.abs(sound).max()) == pytest.approx(0.5, abs=0.03)


def test_long_sound_is_cut_where_it_is_quiet_and_nothing_is_lost(tmp_path: Path) -> None:
    sound = tone(70.0)
    for second in (26.0, 50.0):
        sound[int(second * RATE_HZ) : int((second + 0.4) * RATE_HZ)] = 0
    pieces = list(decode(write(tmp_path / "long.wav", sound)))
    assert abs(sum(map(len, pieces)) - len(sound)) <= 16
    assert max(map(len, pieces)) <= 28 * RATE_HZ
    ends_s = np.cumsum([len(piece) for piece in pieces]) / RATE_HZ
    assert ends_s[0] == pytest.approx(26.2, abs=0.11)
    assert ends_s[1] == pytest.approx(50.2, abs=0.11)


def test_the_cut_lies_in_the_quietest_place_of_the_last_seconds() -> None:
    sound = tone(28.0)
    sound[: 5 * RATE_HZ] = 0  # quieter still, and too early
    sound[25 * RATE_HZ : 26 * RATE_HZ] *= 0.01
    assert 25 * RATE_HZ < quietest(sound) < 26 * RATE_HZ


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        (b"", "not a sound file"),
        (b"this is a letter, not a sound" * 50, "not a sound file"),
    ],
)
def test_a_file_that_cannot_be_heard_is_one_line(
    content: bytes | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.wav"
    if content is not None:
        path.write_bytes(content)
    assert main(["hear", str(path)]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert str(path) in err
    assert words in err


def test_a_folder_is_not_a_sound(tmp_path: Path) -> None:
    with pytest.raises(SoundError, match="a folder"):
        next(decode(tmp_path))


def test_a_wrong_language_code_is_told_before_anything_is_loaded(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["hear", "a.wav", "--language", "English"]) == 1
    assert "such as en or ja" in capsys.readouterr().err


def test_help_teaches_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["hear", "--help"])
    assert "bunraku hear talk.mp3 --language ja" in capsys.readouterr().out
    assert hear.__doc__ is not None


@pytest.mark.models
def test_silence_is_said_to_be_silence(
    models: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models("whisper-base")
    path = write(tmp_path / "silence.wav", np.zeros(3 * RATE_HZ, np.float32))
    assert main(["hear", str(path), "--json"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["text"] == ""
    assert f"{path}: no speech in its 3.0 s" in printed.err
