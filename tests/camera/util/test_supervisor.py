import threading
from collections.abc import Callable
from functools import partial

import pytest

from pcedge.camera import Repeating, Supervised, thread_states

Until = Callable[[Callable[[], object]], None]


def _state(name: str) -> str:
    return next((one.trouble or "well" for one in thread_states() if one.name == name), "gone")


def test_it_is_called_in_another_thread_until_the_block_is_left() -> None:
    called, threads = threading.Semaphore(0), set[str]()

    def note() -> None:
        threads.add(threading.current_thread().name)
        called.release()

    with Repeating(note, 0.001, name="looker", ends_within_s=60):
        assert all(called.acquire(timeout=60) for _ in range(3))

    assert threads == {"looker"}
    assert "looker" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit(1), MemoryError("no room")])
def test_a_thread_that_raises_goes_on_and_is_in_trouble_until_it_does_its_work(
    error: BaseException, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcedge.camera.util.supervisor._FIRST_PAUSE_S", 0.01)
    broken = threading.Event()
    broken.set()

    def work() -> None:
        if broken.is_set():
            raise error

    with Repeating(work, 0.001, name="worker", ends_within_s=60):
        until(lambda: _state("worker") == f"{type(error).__name__}: {error}")
        broken.clear()
        until(lambda: _state("worker") == "well")
        (status,) = [one for one in thread_states() if one.name == "worker"]
        assert status.alive
        assert status.faults >= 1

    assert _state("worker") == "gone"


def test_a_thread_that_hangs_is_left_behind_and_no_longer_listed() -> None:
    release = threading.Event()
    thread = Supervised("hanger", partial(release.wait, 60)).start()
    assert _state("hanger") == "well"

    thread.end(0.01)

    assert _state("hanger") == "gone"
    release.set()
    thread.join(60)
