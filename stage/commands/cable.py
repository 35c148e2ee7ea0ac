"""A virtual audio cable: the host's voice as a microphone for OBS, Discord or Zoom.

  bunraku cable             make the cable "Bunraku" (Linux: PipeWire or PulseAudio)
  bunraku cable --remove    take it away again
  bunraku cable --status    say whether it is there

Then `bunraku live --cable` plays into it. On Windows and macOS a cable is a driver that you install
once; this says which, and what to choose where.
"""

import argparse
import sys

from stage import cables


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--remove", action="store_true", help="take the cable away")
    what.add_argument("--status", action="store_true", help="only say whether it is there")


def run(arguments: argparse.Namespace) -> int:
    """Make the cable, or say how."""
    if not sys.platform.startswith("linux"):
        print(cables.guidance(sys.platform))
        return 0
    if arguments.remove:
        gone = cables.remove()
        print("the cable is gone" if gone else "there was no cable")
        return 0
    there = cables.find()
    if arguments.status:
        print(
            f"the cable {cables.NAME} is there" if there else "no cable; `bunraku cable` makes it"
        )
        return 0 if there else 1
    if not there:
        cables.make()
    print(f"the cable {cables.NAME} {'is there already' if there else 'is made'}\n\n{cables.USE}")
    return 0
