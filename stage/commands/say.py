"""Render one line to a film: no browser, no audience, faster than real time.

  bunraku say "Hello! I am Kohaku." -o hello.mp4
  bunraku say "[wave] 你好！" -o ni-hao.mp4 --report ni-hao.json

Cues in brackets are performed, not spoken: [happy] [amused] [surprised] [sad] [annoyed] [shy]
[thinking] [wave] [nod] [shake] [tilt] [bow] [laugh] [shrug] [point] [cheer] [think] [clap].
"""

import argparse
import json
import sys
import time
from pathlib import Path

import msgspec

from stage.config import SIZES, ConfigError, Show, build, load, picture_size

SIZE_HELP = f"picture size: {', '.join(SIZES)}, or such as 1280x720"


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("text", help="what to say, or - to read it from standard input")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the film: .mp4 or .mkv")
    parser.add_argument("--report", type=Path, help="write phonemes, visemes and timings as JSON")
    parser.add_argument("--character", help="name or folder of the host (default: kohaku)")
    parser.add_argument("--scene", help="scene of the character, `transparent` or `chroma`")
    parser.add_argument("--language", help="en, zh or ja (default: seen from the text)")
    parser.add_argument("--size", default="", help=SIZE_HELP)
    parser.add_argument("--fps", type=int, help="24, 25, 30, 50 or 60")
    parser.add_argument("--config", type=Path, help="a show.toml")
    parser.add_argument(
        "--no-captions", action="store_true", help="no text track, and no .vtt and .srt beside it"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(arguments: argparse.Namespace) -> int:
    """Film the line."""
    show = settings(arguments)
    text = sys.stdin.read() if arguments.text == "-" else arguments.text
    text = text.strip()
    if not text:
        raise ConfigError('nothing to say: give a text, such as bunraku say "Hello!" -o hello.mp4')
    output: Path = arguments.output
    if output.suffix.lower() not in (".mp4", ".mkv"):
        name = output.with_suffix(".mp4").name
        raise ConfigError(f"{output}: films are .mp4 or .mkv; call it {name}")
    if not output.parent.is_dir():
        raise ConfigError(f"{output}: no folder {output.parent}; make it first")
    from dialogue.character import load_character
    from dialogue.sentences import split
    from stage import engines, folders
    from stage.film import shoot
    from stage.progress import Bar

    begun = time.perf_counter()
    character = load_character(folders.character(show.character))
    utterances = split(text, language=arguments.language, own_cues=character.cues)
    speaker = engines.make_speaker(show, character, {u.language for u in utterances})
    speaker.warm()
    loaded_s = time.perf_counter() - begun
    options = {"captions": not arguments.no_captions}
    with Bar(output.name, quiet=arguments.quiet) as bar:
        report = shoot(show, speaker, utterances, output, progress=bar.seconds, options=options)
    if arguments.report is not None:
        tree = {
            "text": text, "film_s": round(report.film_s, 3), "frames": report.frames,
            "load_s": round(loaded_s, 3), "work_s": round(report.work_s, 3),
            "film_s_per_work_s": round(report.film_s / report.work_s, 3),
            "first_sound_s": round(report.first_sound_s, 4),
            "draw_ms": round(report.draw_ms, 2), "utterances": report.utterances,
        }  # fmt: skip
        arguments.report.write_text(json.dumps(tree, ensure_ascii=False, indent=1), "utf-8")
    if not arguments.quiet:
        print(
            f"{output}: {report.film_s:.1f} s of film in {report.work_s:.1f} s "
            f"({report.film_s / report.work_s:.1f} x real time; models loaded in {loaded_s:.1f} s)",
            file=sys.stderr,
        )
    return 0


def settings(arguments: argparse.Namespace) -> Show:
    """Return the show's settings with what the command line overrides."""
    show = load(arguments.config)
    changes = {
        key: value
        for key in ("character", "scene")
        if (value := getattr(arguments, key, None)) is not None
    }
    video: dict[str, int] = {}
    if arguments.size:
        video["width"], video["height"] = picture_size(arguments.size, "--size")
    if arguments.fps is not None:
        video["fps"] = arguments.fps
    tree = msgspec.to_builtins(msgspec.structs.replace(show, **changes))
    tree["video"].update(video)
    return build(tree, str(arguments.config or "command line"))
