"""One file a command: `add(parsers)` describes it, `run(arguments)` does it and returns the exit code.

A module is imported only when its command is asked for, so that `bunraku --help` is instant.
"""
