"""A rolling stream of whole files: each is there before it is named, and old ones go."""

import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

from dialogue.plugins import EngineError, EngineUnavailable
from dialogue.ticks import TICKS_PER_S
from render.captions import Caption
from render.encode import PRIMING
from render.frames import VideoFrame
from render.sinks.hls import KEPT, Boxes, HlsSink
from stage.bench.air import servers

WIDTH, HEIGHT, FPS = 160, 96, 30
STEP = TICKS_PER_S // FPS


def made(folder: Path, **options: int) -> HlsSink:
    sink = HlsSink(folder=str(folder), **options)
    sink.open(width=WIDTH, height=HEIGHT, fps=FPS)
    return sink


def show(sink: HlsSink, frames: int, *, first: int = 0) -> None:
    """Show a picture that is white with a beep once a second."""
    for k in range(first, first + frames):
        mark = k % FPS == 15
        sound = 0.5 * np.sin(np.arange(STEP) * 0.3 + 0.5) * mark
        sink.audio(k * STEP, sound.astype(np.float32))
        i420 = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        i420[:HEIGHT] = 235 if mark else 60
        sink.video(VideoFrame(k * STEP, k, np.zeros((1, 1, 4), np.uint8), i420))
        text = (sink.folder / "live.m3u8").read_text() if k > 2 * FPS * 2 else ""
        for name in text.splitlines():
            if name.startswith("seg"):  # what is named is there, whole
                assert (sink.folder / name).read_bytes()[4:8] == b"moof"


def lines(folder: Path, name: str = "live.m3u8") -> list[str]:
    return (folder / name).read_text("utf-8").splitlines()


def value(folder: Path, key: str) -> str:
    return next(x.partition(":")[2] for x in lines(folder) if x.startswith(f"#EXT-X-{key}:"))


def test_the_playlist_names_the_last_segments_and_the_folder_stays_small(tmp_path: Path) -> None:
    sink = made(tmp_path, window=3)
    show(sink, 20 * FPS + 5)
    assert value(tmp_path, "TARGETDURATION") == "2"
    assert value(tmp_path, "MEDIA-SEQUENCE") == "7"
    assert [x for x in lines(tmp_path) if x.startswith("seg")] == [
        f"seg-{n:06d}.m4s" for n in (7, 8, 9)
    ]
    assert [x for x in lines(tmp_path) if x.startswith("#EXTINF")] == ["#EXTINF:2.00000,"] * 3
    assert "#EXT-X-ENDLIST" not in lines(tmp_path)
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {
        "index.m3u8", "live.m3u8", "init-000000.mp4",
        *(f"seg-{n:06d}.m4s" for n in range(7 - KEPT, 10)),
    }  # fmt: skip
    sink.close()
    sink.close()
    assert lines(tmp_path)[-1] == "#EXT-X-ENDLIST"


def test_the_master_playlist_tells_codecs_size_and_rate(tmp_path: Path) -> None:
    sink = made(tmp_path)
    show(sink, 3 * FPS)
    about, name = lines(tmp_path, "index.m3u8")[-2:]
    assert name == "live.m3u8"
    assert about.startswith("#EXT-X-STREAM-INF:BANDWIDTH=")
    assert f"RESOLUTION={WIDTH}x{HEIGHT},FRAME-RATE=30.000" in about
    assert 'CODECS="avc1.42C0' in about
    assert ',mp4a.40.2"' in about
    assert 'CLOSED-CAPTIONS="captions"' in about
    assert 'GROUP-ID="captions"' in lines(tmp_path, "index.m3u8")[-3]
    sink.close()


@pytest.mark.skipif(bool(servers.ffmpeg("file")), reason=servers.ffmpeg("file") or "-")
def test_captions_go_with_the_pictures_for_who_wants_them(tmp_path: Path) -> None:
    for name, wanted in (("with", True), ("without", False)):
        sink = made(tmp_path / name, captions=wanted)
        words = ((TICKS_PER_S, 0, 0), (TICKS_PER_S * 3 // 2, 0, 6), (2 * TICKS_PER_S, 1, 0))
        said = ("Hello out", "there!")
        sink.caption(Caption(TICKS_PER_S, 3 * TICKS_PER_S, said, "en", words, (1, 0, 0)))
        show(sink, 4 * FPS)
        sink.close()
        film = tmp_path / f"{name}.mp4"
        parts = sorted((tmp_path / name).glob("init*")) + sorted((tmp_path / name).glob("seg*"))
        film.write_bytes(b"".join(part.read_bytes() for part in parts))
        seen = [text for _, text in servers.captions_in(film)]
        assert seen == (["Hello out there!"] if wanted else [])
    assert "CLOSED-CAPTIONS=NONE" in lines(tmp_path / "without", "index.m3u8")[-2]


def test_each_segment_begins_with_a_complete_picture_and_lasts_as_it_says(tmp_path: Path) -> None:
    sink = made(tmp_path)
    show(sink, 7 * FPS)
    sink.close()
    init = (tmp_path / "init-000000.mp4").read_bytes()
    starts = []
    for number, length in ((0, 60), (1, 60), (2, 60), (3, 30)):
        film = tmp_path / "one.mp4"
        film.write_bytes(init + (tmp_path / f"seg-{number:06d}.m4s").read_bytes())
        with av.open(str(film)) as made_:
            packets = [p for p in made_.demux(video=0) if p.pts is not None]
        assert packets[0].is_keyframe
        assert not any(p.is_keyframe for p in packets[1:])
        assert len(packets) == length
        starts.append(round(packets[0].pts * packets[0].time_base * TICKS_PER_S))
    # The very first picture is shown from the first sound on, which is the encoder's priming.
    assert starts == [0, *(k * 2 * TICKS_PER_S + PRIMING for k in (1, 2, 3))]


def test_a_sink_made_anew_goes_on_with_the_numbers_and_marks_the_break(tmp_path: Path) -> None:
    first = made(tmp_path, window=4)
    show(first, 7 * FPS)  # killed: never closed
    second = made(tmp_path, window=4)
    show(second, 5 * FPS)
    found = lines(tmp_path)
    at = found.index("#EXT-X-DISCONTINUITY")
    assert found[at + 1] == '#EXT-X-MAP:URI="init-000003.mp4"'
    assert found[at + 3] == "seg-000003.m4s"
    assert value(tmp_path, "DISCONTINUITY-SEQUENCE") == "0"
    show(second, 8 * FPS, first=5 * FPS)
    assert "#EXT-X-DISCONTINUITY" not in lines(tmp_path)
    assert value(tmp_path, "DISCONTINUITY-SEQUENCE") == "1"
    assert not (tmp_path / "init-000000.mp4").exists()
    second.close()
    first.close()


@pytest.mark.skipif(bool(servers.ffmpeg("file")), reason=servers.ffmpeg("file") or "-")
def test_ffmpeg_plays_the_stream_with_sound_in_place(tmp_path: Path) -> None:
    folder, film = tmp_path / "hls", tmp_path / "played.mkv"
    sink = made(folder)
    show(sink, 9 * FPS)
    sink.close()
    subprocess.run(
        ["ffmpeg", "-v", "error", "-live_start_index", "0", "-i", str(folder / "index.m3u8"),
         "-c", "copy", str(film)],
        check=True, timeout=30,
    )  # fmt: skip
    with av.open(str(film)) as played:
        shown = [
            (float(f.pts * f.time_base), float(f.to_ndarray()[:HEIGHT].mean()))
            for f in played.decode(video=0)
        ]
    assert len(shown) == 9 * FPS
    with av.open(str(film)) as played:
        blocks = [(float(f.pts * f.time_base), f.to_ndarray()[0]) for f in played.decode(audio=0)]
    heard = np.abs(np.concatenate([samples for _, samples in blocks]))
    white = [at for at, level in shown if level > 150]
    assert len(white) == 9
    for at in white:
        near = round((at - blocks[0][0]) * TICKS_PER_S) - 1440
        onset = near + int(np.flatnonzero(heard[near : near + 2880] > 0.1)[0])
        assert abs(blocks[0][0] + onset / TICKS_PER_S - at) < 0.002


def test_a_folder_that_cannot_be_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot write into .*name another `folder`"):
        made(tmp_path / "nowhere" / "hls")
    with pytest.raises(EngineUnavailable, match="hls needs `folder`"):
        HlsSink()


def test_a_folder_that_goes_away_is_an_error_of_the_sink(tmp_path: Path) -> None:
    sink = made(tmp_path / "hls")
    (tmp_path / "hls").rmdir()
    with pytest.raises(EngineError, match="hls: cannot write"):
        show(sink, 3 * FPS)


def test_boxes_are_parted_however_they_are_written() -> None:
    boxes = Boxes()
    whole = b"".join(
        (8 + len(body)).to_bytes(4, "big") + kind + body
        for kind, body in ((b"ftyp", b"a"), (b"moov", b"bb"), (b"moof", b"c"), (b"mdat", b"dd"))
    )
    for byte in whole:
        boxes.write(bytes([byte]))
    init, media = boxes.take()
    assert init + media == whole
    assert media[4:8] == b"moof"
    assert boxes.take() == (init, b"")
