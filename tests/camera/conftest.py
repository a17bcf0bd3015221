import resource
from collections.abc import Iterator

import pytest


@pytest.fixture
def no_room() -> Iterator[None]:
    """Files of this process cannot grow beyond 4,000 bytes, much as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
