"""The command line as it was typed, for the record."""

import shlex
import sys


def command_line() -> str:
    """What was typed, ready to be typed again; empty where this is not the ``pcedge`` command."""
    return shlex.join(["pcedge", *sys.argv[1:]])
