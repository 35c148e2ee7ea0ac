"""Open a workbench for a character: sliders, expressions, gestures, live as you save files.

  bunraku preview                   the default host
  bunraku preview ~/hosts/mika      a folder of your own

Open the printed address. Save puppet.svg in Inkscape or rig.toml in an editor, and the picture
follows; what is wrong with them stands on the page, with file and line. End it with Ctrl+C.
"""

import argparse
import asyncio
import contextlib
import signal

from stage import folders
from stage.config import ConfigError, Show
from stage.preview import Workbench

PORT = 8010


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("character", nargs="?", help="name or folder (default: kohaku)")
    parser.add_argument(
        "--port", type=int, default=PORT, help=f"port of the page (default: {PORT}; 0: any)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl+C."""
    folder = folders.folder(arguments.character or Show().character)
    asyncio.run(_serve(Workbench(folder, port=arguments.port), arguments.port))
    return 0


async def _serve(bench: Workbench, port: int) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl+C raises instead
            loop.add_signal_handler(name, over.set)
    try:
        address = await bench.start()
    except OSError as error:
        raise ConfigError(
            f"--port {port}: cannot listen there ({error.strerror}); choose another one"
        ) from None
    print(f"open {address} (Ctrl+C ends it)", flush=True)
    try:
        await over.wait()
    finally:
        await bench.stop()
