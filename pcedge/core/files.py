"""Atomic replacement of files and directories, hard links, directory locks."""

import ctypes
import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_RETIRED = ".old"


@contextmanager
def replace_directory(target: Path) -> Iterator[Path]:
    """Yield an empty sibling of ``target`` to write into; on success it takes the target's place.

    If the process is killed, the target is either the old directory or the new one, never a mixture. On an
    exception the target stays unchanged. Leftovers of a killed process are hidden siblings, which the next
    call removes.

    Args:
        target: The directory to make or to replace.
    """
    target = target.resolve()  # the working directory, written as ".", has a name too
    target.parent.mkdir(parents=True, exist_ok=True)
    recover(target)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.{os.getpid()}.", dir=target.parent))
    lock = _lock(staging)
    try:
        staging.chmod(0o755)
        yield staging
        _sync(staging)
        _swap(staging, target)
    finally:
        if lock is not None:
            os.close(lock)
        shutil.rmtree(staging, ignore_errors=True)


def replace_file(target: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never half of one."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def link_or_copy(source: Path, destination: Path) -> None:
    """Hard-link a file, or copy it where the file system has no hard links.

    Both paths may share their bytes: replace a file by a rename, never write into it.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    try:
        destination.hardlink_to(source)
    except OSError:
        shutil.copy2(source, destination)


@contextmanager
def alone_with(directory: Path) -> Iterator[None]:
    """Hold an exclusive lock on a directory for the duration of the block.

    On a file system without locks, the block runs without one.
    """
    while True:
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            with _where_there_are_locks():
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            # The previous holder of the lock may have replaced the directory.
            if os.path.samestat(os.fstat(descriptor), directory.stat()):
                yield
                return
        finally:
            os.close(descriptor)


@contextmanager
def _where_there_are_locks() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise


def recover(target: Path, *, remove: bool = True) -> None:
    """Clean up after killed processes: restore a directory caught between two renames, remove leftovers.

    Args:
        target: The directory that was being replaced.
        remove: Whether to remove leftovers too; readers leave them.
    """
    target = target.resolve()
    # Strict, so that what belongs to "a" is never mistaken for what belongs to "a.2".
    leftover = re.compile(rf"\.{re.escape(target.name)}\.\d+\.[a-z0-9_]{{8}}(?:{re.escape(_RETIRED)})?")
    for path in target.parent.glob(".*"):
        if not leftover.fullmatch(path.name) or not path.is_dir() or (lock := _lock(path)) is None:
            continue
        try:
            if path.suffix == _RETIRED and not target.exists():
                path.rename(target)
            elif remove:
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)


def _swap(staging: Path, target: Path) -> None:
    """Swap ``staging`` and ``target``; the old content ends up under the staging name."""
    if not target.exists():
        staging.rename(target)
        return
    if _exchange(staging, target):
        return
    # File systems without an atomic exchange: for an instant the target is missing. A process killed then
    # leaves the old directory under a hidden name, and ``recover`` restores it.
    retired = staging.with_name(staging.name + _RETIRED)
    lock = _lock(target)
    try:
        target.rename(retired)
        staging.rename(target)
    finally:
        if lock is not None:
            os.close(lock)
    shutil.rmtree(retired, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two directories in one step (Linux renameat2); False where that does not exist."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    result = rename(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE)
    if result == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(second))


def _sync(directory: Path) -> None:
    for path in directory.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _lock(directory: Path) -> int | None:
    """Lock a directory while the returned descriptor is open; None if another process holds the lock.

    The kernel releases the lock when the process dies. This works across containers, where a process id would
    not.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
