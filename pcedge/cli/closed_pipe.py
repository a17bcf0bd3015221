"""Handling of closed pipes, as with ``| head``: the command ends without an error message."""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from .exit_codes import READER_GONE


def open_missing_streams() -> None:
    """Open standard streams that were closed (``>&-``): otherwise the next file would get their number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


@contextmanager
def ends_with_its_reader() -> Iterator[None]:
    """Turn a broken pipe of standard output or error into an exit code; nothing is printed."""
    try:
        yield
        _flush()
    except BrokenPipeError:
        _end()
    except SystemExit as error:
        # Rich and Typer may already have turned the broken pipe into an exit.
        if isinstance(error.__context__, BrokenPipeError) or (not _flushed() and not error.code):
            _end()
        raise


def reader_is_gone() -> bool:
    """Whether the reader of standard output or error is gone, not that of another pipe."""
    return any(_is_broken(stream) for stream in (sys.stdout, sys.stderr))


def _is_broken(stream: TextIO) -> bool:
    poll = select.poll()
    try:
        poll.register(stream.fileno(), 0)  # POLLERR is always reported
    except (OSError, ValueError):  # it has no file descriptor, or is closed
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
    """Discard buffered output, which would raise an error when the interpreter exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if _is_broken(stream):
            os.dup2(nowhere, stream.fileno())
