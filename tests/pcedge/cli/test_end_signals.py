import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pcedge.cli.commands.line import end_signals
from pcedge.cli.commands.line.end_signals import EndSignals


class Watched:
    """Stands for a watch: notes how it is ended."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.delivery = self
        self.hurried = threading.Event()

    def end(self, _within_s: float) -> None:
        self.ended.set()

    def hurry(self, _within_s: float) -> None:
        self.hurried.set()

    def close(self) -> None:
        """Stands for the delivery."""


@pytest.fixture(autouse=True)
def _started_without_nohup() -> Iterator[None]:
    """Under nohup SIGHUP is ignored, by the tests' process and by a watch in it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """Notes the codes that the process would end with at once."""
    codes: list[int] = []
    came = threading.Event()

    def leave(code: int) -> None:
        codes.append(code)
        came.set()

    monkeypatch.setattr("os._exit", leave)
    monkeypatch.setattr("faulthandler.dump_traceback_later", lambda *_, **__: None)
    monkeypatch.setattr("faulthandler.cancel_dump_traceback_later", lambda: None)
    return lambda: (came.wait(60), codes)[1]


ENDS = [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP]


@pytest.mark.parametrize("number", ENDS)
def test_each_signal_ends_the_watch(number: signal.Signals, exits: Callable[[], list[int]]) -> None:
    before = signal.getsignal(number)
    watched: Any = Watched()
    with EndSignals() as signals:
        signals.arm(watched)
        os.kill(os.getpid(), number)
        assert watched.ended.wait(60)
        assert signals.ending

    assert signal.getsignal(number) is before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_second_ends_the_process_at_once(
    number: signal.Signals, code: int, exits: Callable[[], list[int]]
) -> None:
    watched: Any = Watched()
    with EndSignals() as signals:
        signals.arm(watched)
        os.kill(os.getpid(), number)
        assert watched.ended.wait(60)
        os.kill(os.getpid(), number)
        assert exits() == [code]


def test_what_does_not_end_by_itself_is_ended_with_its_sinks_closed(
    exits: Callable[[], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(end_signals, "_CLOSED_AFTER_S", 0.01)
    monkeypatch.setattr(end_signals, "_OVER_AFTER_S", 0.02)
    watched: Any = Watched()
    with EndSignals() as signals:
        signals.arm(watched)
        os.kill(os.getpid(), signal.SIGTERM)
        assert exits() == [3]
        assert watched.hurried.is_set()


def test_before_there_is_a_watch_the_command_is_interrupted(exits: Callable[[], list[int]]) -> None:
    with EndSignals(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


def test_sighup_reads_the_file_again_and_waits_for_the_watch() -> None:
    read = threading.Semaphore(0)
    watched: Any = Watched()
    with EndSignals(read.release) as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        assert not read.acquire(timeout=0.05), "there is no watch yet"
        signals.arm(watched)
        assert read.acquire(timeout=60)
        os.kill(os.getpid(), signal.SIGHUP)
        assert read.acquire(timeout=60)
        assert not watched.ended.is_set()
