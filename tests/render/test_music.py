"""Background music from real files: joined, of one loudness, broken ones left out."""

import wave
from pathlib import Path

import numpy as np
import pytest

from dialogue.ticks import TICKS_PER_S, Ticks
from render.music import DRY_FADE, JOIN, RISE, Music, _joined, pieces
from voice import loudness
from voice.speech import Samples


def save(path: Path, sound: Samples, rate_hz: int = 44_100) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((sound * 32_767).astype("<i2").tobytes())
    return path


def hum(seconds: float, hz: float, level: float = 0.1, rate_hz: int = 44_100) -> Samples:
    at = np.arange(round(seconds * rate_hz))
    return (level * np.sin(2 * np.pi * hz / rate_hz * at)).astype(np.float32)


def play(music: Music, seconds: float, block: int = 1600) -> Samples:
    blocks = round(seconds * TICKS_PER_S / block)
    return np.concatenate([music.read(block) for _ in range(blocks)])


def strength(sound: Samples, hz: float) -> float:
    """Return the amplitude of a tone in `sound`."""
    turn = np.exp(-2j * np.pi * hz / TICKS_PER_S * np.arange(len(sound)))
    return 2 * float(np.abs(np.mean(sound * turn)))


def test_a_piece_comes_in_slowly_and_has_its_loudness_whatever_the_file_has(tmp_path: Path) -> None:
    for level in (0.02, 0.5):
        file = save(tmp_path / "a.wav", hum(8, 440, level))
        music = Music([file], level_db=-12.0, waits=True)
        sound = play(music, 5.0)
        music.close()
        assert abs(sound[0]) < 1e-4
        rise = [float(np.abs(sound[a : a + 4800]).max()) for a in range(0, RISE, 9600)]
        assert rise == sorted(rise)
        settled = loudness.integrated(sound[RISE:])
        assert settled == pytest.approx(loudness.TARGET_LUFS - 12.0, abs=0.3)


def test_a_single_piece_goes_round_without_a_join_that_is_heard(tmp_path: Path) -> None:
    file = save(tmp_path / "a.wav", hum(5.3, 330, rate_hz=48_000), 48_000)
    music = Music([file], waits=True)
    sound = play(music, 16.0)[RISE:]
    music.close()
    own = float(np.abs(np.diff(hum(1, 330, float(np.abs(sound).max()), 48_000), 2)).max())
    assert np.abs(np.diff(sound, 2)).max() < 1.5 * own
    assert min(float(np.abs(sound[a : a + 4800]).max()) for a in range(0, len(sound), 4800)) > 0


def test_one_piece_fades_into_the_next_at_equal_power() -> None:
    def track(level: float) -> Samples:
        return np.full(3 * JOIN, level, np.float32)

    sound = np.concatenate(list(_joined(iter([iter([track(1.0)]), iter([track(1.0)])]))))
    assert len(sound) == 5 * JOIN
    np.testing.assert_allclose(sound[: 2 * JOIN], 1.0)
    half = 2 * JOIN + JOIN // 2
    assert sound[half] == pytest.approx(np.sqrt(2), abs=1e-3)  # alike in phase: the worst case
    assert sound[-1] == pytest.approx(0.0, abs=1e-3)
    assert np.abs(np.diff(sound)).max() < 1e-3


def test_pieces_shorter_than_a_join_are_joined_all_the_same() -> None:
    short = [iter([np.full(n, 1.0, np.float32)]) for n in (100, 5000, 1, JOIN - 1)]
    sound = np.concatenate(list(_joined(iter(short))))
    assert np.isfinite(sound).all()
    assert sound.max() < 1.5


def test_a_broken_file_is_one_line_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"this is no music at all" * 40)
    save(tmp_path / "b.wav", hum(5, 440))
    (tmp_path / "c.ogg").write_bytes(b"")
    lines: list[str] = []
    music = Music(pieces(tmp_path), waits=True, tell=lines.append)
    sound = play(music, 20.0)
    music.close()
    assert strength(sound[RISE : RISE + TICKS_PER_S], 440) > 0.01
    assert len(lines) == 2
    for name, line in zip(("a.mp3", "c.ogg"), lines, strict=True):
        assert line.startswith(f"music: {tmp_path / name} cannot be played (")
        assert "\n" not in line


def test_when_no_file_can_be_played_it_says_so_once_and_is_silent(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"nothing")
    lines: list[str] = []
    music = Music(pieces(tmp_path), waits=True, tell=lines.append)
    assert not play(music, 3.0).any()
    assert music.over
    assert [line.split(":")[0] for line in lines] == ["music", "music"]
    assert "without music" in lines[-1]


def test_without_a_loop_it_ends_with_a_fade(tmp_path: Path) -> None:
    file = save(tmp_path / "a.wav", hum(6, 440))
    music = Music([file], loop=False, waits=True)
    sound = play(music, 8.0)
    assert music.over
    last = int(np.flatnonzero(sound)[-1])
    assert last == pytest.approx(6 * TICKS_PER_S, abs=200)
    assert np.abs(sound[last - 480 :]).max() < 1e-3


def test_shuffling_changes_the_order_and_plays_everything_once_a_round(tmp_path: Path) -> None:
    for k in range(6):
        save(tmp_path / f"{k}.wav", hum(1, 200 * (k + 1)))
    music = Music(pieces(tmp_path), shuffle=True, seed=3)
    order = music._order()
    rounds = [[next(order) and None for _ in range(6)] for _ in range(2)]
    assert len(rounds) == 2
    names = [path.name for path in music._files]
    assert names == [f"{k}.wav" for k in range(6)]


class Slow(Music):
    """Music whose decoder gives what it is told to."""

    def feed(self, n: Ticks) -> None:
        self._give(np.full(n, 0.5, np.float32))

    def _run(self) -> None:
        pass


def test_music_that_runs_dry_goes_out_and_comes_back_without_a_click() -> None:
    music = Slow([])
    music.feed(RISE + TICKS_PER_S)
    sound = [play(music, 4.0)]
    music.feed(TICKS_PER_S - 6000)
    sound.append(play(music, 0.5))
    assert not sound[-1].any()  # less than a second is not begun with
    music.feed(TICKS_PER_S)
    sound.append(play(music, 1.0))
    assert sound[-1][DRY_FADE] == pytest.approx(0.5)
    assert np.abs(np.diff(np.concatenate(sound))).max() < 1e-3


def test_it_leaves_slowly_when_it_is_told_to() -> None:
    music = Slow([])
    music.feed(4 * TICKS_PER_S)
    play(music, 2.5)
    music.fade_out(TICKS_PER_S)
    sound = play(music, 1.2)
    assert (np.diff(sound[:TICKS_PER_S]) <= 0).all()
    assert not sound[TICKS_PER_S + 1 :].any()
    assert music.over


def test_a_folder_is_searched_for_music_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.MP3", "a.flac", "cover.jpg", "deep/c.ogg"):
        (tmp_path / name).write_bytes(b"")
    assert [p.name for p in pieces(tmp_path)] == ["a.flac", "b.MP3", "c.ogg"]
    assert pieces(tmp_path / "nowhere") == []
