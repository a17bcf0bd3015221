import threading

from pcedge.core.repeating import Repeating


def test_it_is_called_in_another_thread_until_the_block_is_left() -> None:
    called, threads = threading.Semaphore(0), set[str]()

    def note() -> None:
        threads.add(threading.current_thread().name)
        called.release()

    with Repeating(note, 0.001, name="looker", ends_within_s=60):
        assert all(called.acquire(timeout=60) for _ in range(3))

    assert threads == {"looker"}
    assert "looker" not in {thread.name for thread in threading.enumerate()}
