"""Output whose reader goes away, as with ``| head``: the command ends quietly, as other tools do."""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from .exit_codes import READER_GONE


@contextmanager
def ends_with_its_reader() -> Iterator[None]:
    """Turn a broken pipe of standard output or error into an exit code; nothing is printed."""
    try:
        yield
        _flush()
    except BrokenPipeError:
        _end()
    except SystemExit as error:
        # Rich and Typer have turned the broken pipe into an exit already.
        if isinstance(error.__context__, BrokenPipeError) or (not _flushed() and not error.code):
            _end()
        raise


def reader_is_gone() -> bool:
    """Whether what reads standard output or error has gone, and not what reads another pipe."""
    return any(_is_broken(stream) for stream in (sys.stdout, sys.stderr))


def _is_broken(stream: TextIO) -> bool:
    poll = select.poll()
    try:
        poll.register(stream.fileno(), 0)  # errors are reported without being asked for
    except (OSError, ValueError):  # no file stands behind it, or it is closed
        return False
    return any(state & (select.POLLERR | select.POLLHUP) for _, state in poll.poll(0))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _flushed() -> bool:
    try:
        _flush()
    except BrokenPipeError:
        _discard()
        return False
    return True


def _end() -> None:
    _discard()
    sys.exit(READER_GONE)


def _discard() -> None:
    """What is still buffered goes nowhere: the interpreter would complain of it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if _is_broken(stream):
            os.dup2(nowhere, stream.fileno())
