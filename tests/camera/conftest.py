import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest


@pytest.fixture
def no_room() -> Callable[[], AbstractContextManager[None]]:
    """Within ``with no_room():`` files of this process stay under 4,000 bytes, much as on a full disk.

    Not for a whole test: the limit holds for the test runner's own output as well, where that is a file.
    """
    return _no_room


@contextmanager
def _no_room() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
