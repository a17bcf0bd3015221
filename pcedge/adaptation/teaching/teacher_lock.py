"""One teacher at a time: a lock that the system releases when its holder dies."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pcedge.errors import BundleError

_RETRY_S = 0.1


@contextmanager
def only_teacher(directory: Path, wait_s: float) -> Iterator[None]:
    """Hold the lock of a bundle while the block lasts.

    The lock is a hidden file beside the bundle: the bundle's directory itself is replaced.

    Args:
        directory: The bundle's.
        wait_s: How long to wait for another teacher.

    Raises:
        BundleError: Another one holds it for longer, or the place cannot be written to.
    """
    directory = directory.resolve()
    path = directory.parent / f".{directory.name}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise BundleError(
            f"{directory} cannot be taught here: {path} cannot be written ({error.strerror}).",
            "Let this user write to the directory that holds the bundle.",
        ) from error
    try:
        _take(descriptor, directory, time.monotonic() + wait_s)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, directory: Path, until: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if time.monotonic() >= until:
                raise BundleError(
                    f"The bundle {directory} is being taught by another process.",
                    "Nothing was changed. Try again when it is done, or wait for it longer with --wait 60.",
                ) from error
        time.sleep(_RETRY_S)
