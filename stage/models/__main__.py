"""`python -m stage.models`: what `make setup` calls; the same as `bunraku models`."""

import sys

from stage.cli import main

sys.exit(main(["models", *sys.argv[1:]]))
