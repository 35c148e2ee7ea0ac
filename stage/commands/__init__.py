"""One file a command: `add(parser)` describes it, `run(arguments)` does it, returns the exit code.

A module is imported only when its command is asked for, so that `bunraku --help` is instant.
"""
