"""Captions inside the stream, judged by FFmpeg: every word, at its time, in rows that fit."""

import re
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

from dialogue.ticks import TICKS_PER_S, Ticks
from render.captions import Caption
from render.encode import PictureEncoder
from render.frames import VideoFrame
from render.line21 import COLUMNS, Line21, with_message, written
from stage.bench.air import servers

WIDTH, HEIGHT = 64, 48

needs_ffmpeg = pytest.mark.skipif(
    bool(servers.ffmpeg("file")), reason=servers.ffmpeg("file") or "-"
)


def ticks(seconds: float) -> Ticks:
    return round(seconds * TICKS_PER_S)


def block(
    start_s: float, *lines: str, number: int = 0, word_s: float = 0.3, stays_s: float = 1.0
) -> Caption:
    """A block whose words follow each other every `word_s` seconds."""
    words, at = [], start_s
    for line, text in enumerate(lines):
        for found in re.finditer(r"\S+", text):
            words.append((ticks(at), line, found.start()))
            at += word_s
    return Caption(
        ticks(start_s), ticks(at + stays_s), lines, "en", tuple(words), (1, number, 0), ticks(at)
    )


def film(path: Path, line21: Line21, seconds: float, fps: int = 30) -> Path:
    """Write grey pictures with what `line21` says."""
    pictures = PictureEncoder(
        width=WIDTH, height=HEIGHT, fps=fps, crf=None, bitrate=200_000, live=True, in_band=True
    )
    i420 = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    with av.open(str(path), "w", format="mpegts") as made:
        stream = pictures.stream_in(made)
        for k in range(round(seconds * fps)):
            pts = k * TICKS_PER_S // fps
            frame = VideoFrame(pts, k, np.zeros((1, 1, 4), np.uint8), i420)
            packets = pictures.encode(frame, pts=pts, said=line21.said(pts))
            assert len(packets) == 1
            for packet in packets:
                packet.stream = stream
                made.mux(packet)
    return path


def screens(path: Path) -> list[tuple[float, str]]:
    """Return when the screen changes, and what FFmpeg then has on it."""
    made = subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-real_time", "1", "-real_time_latency_msec", "1",
         "-i", f"movie={path}[out0+subcc]", "-map", "0:s", "-f", "srt", "-"],
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    found = []
    for block in made.stdout.decode().strip().split("\n\n"):
        rows = block.splitlines()
        minutes, seconds = rows[1].split(" --> ")[0].replace(",", ".").split(":")[1:]
        text = re.sub(r"<[^>]*>|\{[^}]*\}", "", "\n".join(rows[2:]))
        found.append((int(minutes) * 60 + float(seconds), text))
    return found


@needs_ffmpeg
def test_every_word_is_painted_when_it_is_said(tmp_path: Path) -> None:
    line21 = Line21(30)
    blocks = [
        block(1.0, "Good evening, everyone!", "I lit twelve lanterns for you."),
        block(5.0, "And one of them", "is for the fox.", number=1),
    ]
    for one in blocks:
        line21.caption(one)
    seen = screens(film(tmp_path / "said.ts", line21, 9))
    for one in blocks:
        text = " ".join(one.lines).split()
        for index, (at, _, _) in enumerate(one.words):
            said = " ".join(text[: index + 1])
            first = min(when for when, shown in seen if shown.replace("\n", " ").startswith(said))
            assert 0 <= first - at / TICKS_PER_S < 0.45


@needs_ffmpeg
def test_a_block_goes_when_it_is_over(tmp_path: Path) -> None:
    line21 = Line21(30)
    one = block(0.5, "Gone in a moment.")
    line21.caption(one)
    path = film(tmp_path / "gone.ts", line21, 5)
    made = subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"movie={path}[out0+subcc]", "-map", "0:s",
         "-f", "srt", "-"],
        capture_output=True, check=True, timeout=60, text=True,
    )  # fmt: skip
    end_s = float(made.stdout.splitlines()[1].split(" --> ")[1].replace(",", ".").split(":")[2])
    assert 0 <= end_s - one.stop / TICKS_PER_S < 0.15


@needs_ffmpeg
def test_a_block_is_laid_out_in_rows_of_the_standard(tmp_path: Path) -> None:
    lines = (
        "It is the longest of all my evenings here,",
        "and I would not miss a minute of it, ever",
    )
    line21 = Line21(30)
    line21.caption(block(0.5, *lines, word_s=0.15))
    seen = screens(film(tmp_path / "rows.ts", line21, 6))
    whole = max((shown for _, shown in seen), key=len)
    assert whole.split() == " ".join(lines).split()
    rows = whole.split("\n")
    assert 3 <= len(rows) <= 4
    assert max(map(len, rows)) <= COLUMNS


@needs_ffmpeg
def test_signs_of_western_europe_arrive(tmp_path: Path) -> None:
    signs = "áéíóúçñÑ÷ ®°½¿™¢£♪àèâêîôû ÁÉÓÚÜü¡* ÀÂÇÈÊËëÎÏïÔÙùÛ«» ÃãÍÌìÒòÕõ ÄäÖöß¥ÅåØø ♪♪"
    assert written(signs) == signs
    line21 = Line21(30)
    line21.caption(block(0.5, signs, word_s=0.1, stays_s=9.0))
    ((_, text),) = servers.captions_in(film(tmp_path / "signs.ts", line21, 12))
    assert text == signs


@needs_ffmpeg
def test_pictures_are_decoded_as_before(tmp_path: Path) -> None:
    line21 = Line21(25)
    line21.caption(block(0.0, "Hello, hello."))
    with av.open(str(film(tmp_path / "whole.ts", line21, 2, fps=25))) as made:
        pictures = [frame for frame in made.decode(video=0)]
    assert len(pictures) == 50
    assert all(abs(frame.to_ndarray()[:HEIGHT].mean() - 128) < 3 for frame in pictures)


@needs_ffmpeg
def test_fast_pictures_carry_text_no_faster(tmp_path: Path) -> None:
    line21 = Line21(60)
    line21.caption(block(0.5, "Sixty pictures a second,", "and every word is here."))
    seen = servers.captions_in(film(tmp_path / "sixty.ts", line21, 5, fps=60))
    assert [text for _, text in seen] == ["Sixty pictures a second, and every word is here."]
    fast = Line21(60)
    assert [fast.pair(k * 800) is None for k in range(4)] == [True, False, True, False]


@needs_ffmpeg
def test_what_is_cut_short_goes_with_the_voice(tmp_path: Path) -> None:
    whole = block(0.5, "One two three four five six seven", word_s=0.5)
    cut = Caption(whole.start, ticks(2.0), ("One two three",), "en", whole.words[:3], whole.key,
                  ticks(1.9), True)  # fmt: skip
    line21 = Line21(30)
    line21.caption(whole)
    for k in range(45):
        line21.pair(k * 1600)
    line21.caption(cut)
    rest = [line21.pair(k * 1600) for k in range(45, 150)]
    said = bytes(byte & 127 for pair in rest if pair for byte in pair)
    assert b"four" not in said.replace(b"\0", b"")
    assert said.count(b"\x14\x2c") == 2


@needs_ffmpeg
def test_who_comes_in_the_middle_of_a_block_gets_all_of_it(tmp_path: Path) -> None:
    line21 = Line21(30)
    line21.caption(block(-2.0, "Here since a while,", "and here to stay.", stays_s=3.0))
    ((_, text),) = servers.captions_in(film(tmp_path / "late.ts", line21, 4))
    assert text == "Here since a while, and here to stay."


def test_chinese_and_japanese_are_left_out() -> None:
    line21 = Line21(30)
    line21.caption(block(0.0, "こんばんは、みなさん。"))
    assert {line21.pair(k * 1600) for k in range(90)} == {(0x80, 0x80)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\u201cWell\u201d \u2013 it\u2019s late\u2026", '"Well" - it\'s late...'),
        ("fox \U0001f98a tail", "fox tail"),
        ("今夜", ""),
        ("a`b", "ab"),
    ],
)
def test_what_the_standard_does_not_have_is_written_otherwise(text: str, words: str) -> None:
    assert written(text) == words


def test_a_message_stands_before_the_first_slice() -> None:
    sets, slices = b"\0\0\0\1\x67ab\0\0\1\x68c", b"\0\0\0\1\x65data\0\0\1\x65more"
    assert with_message(sets + slices, b"SAID") == sets + b"SAID" + slices
    assert with_message(b"\0\0\1\x41x", b"SAID") == b"SAID\0\0\1\x41x"


def test_every_byte_has_odd_parity() -> None:
    line21 = Line21(30)
    line21.caption(block(0.0, "Any words will do, é and Ä too."))
    pairs = [line21.pair(k * 1600) for k in range(120)]
    assert all(byte.bit_count() % 2 for pair in pairs if pair for byte in pair)
