import signal
import threading
import time
import weakref

import pytest

from pcedge.core.interrupts import interrupted_afterwards, no_interrupt_lost


def test_an_interruption_waits_for_the_end_of_the_block() -> None:
    done: list[bool] = []

    def work() -> None:
        with interrupted_afterwards():
            signal.raise_signal(signal.SIGINT)
            done.append(True)

    with pytest.raises(KeyboardInterrupt):
        work()

    assert done == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_elsewhere_than_in_the_main_thread_nothing_is_changed() -> None:
    seen: list[bool] = []

    def work() -> None:
        with interrupted_afterwards():
            seen.append(signal.getsignal(signal.SIGINT) is signal.default_int_handler)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert seen == [True]


def test_an_interruption_that_python_ignores_comes_again() -> None:
    class Thing:
        pass

    def work() -> None:
        thing = Thing()
        watched = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
        with no_interrupt_lost():
            del thing  # its callback may not raise
            while watched() is None:
                time.sleep(0.01)

    with pytest.raises(KeyboardInterrupt):
        work()
