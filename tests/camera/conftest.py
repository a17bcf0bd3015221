import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pcedge.camera import Event, Verdict

ROOT = Path(__file__).resolve().parents[2]


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


@pytest.fixture
def from_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the benchmarks importable, whose brokers and controllers tests use too."""
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def left_over() -> Callable[[], list[str]]:
    """Names threads that the test has started and that still run; others come and go as they like."""
    before = set(threading.enumerate())
    return lambda: [thread.name for thread in threading.enumerate() if thread not in before]


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Waits until something is true, for a minute at most."""

    def wait(true: Callable[[], object]) -> None:
        end = time.monotonic() + 60
        while not true():
            assert time.monotonic() < end, "it never came true"
            time.sleep(0.01)

    return wait


@pytest.fixture
def event() -> Callable[..., Event]:
    """Makes an event of the part with a number, OK unless it says otherwise."""

    def make(number: int, verdict: Verdict = Verdict.OK, camera: str = "cam0", **more: Any) -> Event:
        time_utc = f"2026-11-22T10:15:{number % 60:02}.000000+00:00"
        return Event(
            time_utc,
            camera,
            number,
            "x",
            verdict,
            3.5,
            2.0,
            12.3,
            **{"id": f"part-{number}", "camera": camera, "decision": verdict, **more},
        )

    return make
