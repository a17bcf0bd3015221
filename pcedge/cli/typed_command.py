"""The command line as typed, for records of runs."""

import shlex
import sys


def command_line() -> str:
    """The typed command, quoted for a shell; empty if this is not the ``pcedge`` command."""
    return shlex.join(["pcedge", *sys.argv[1:]])
