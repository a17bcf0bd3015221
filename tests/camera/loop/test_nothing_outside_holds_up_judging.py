"""Everything outside hangs in turn, and frames are judged all the same."""

import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pcedge.camera import (
    AnySink,
    Delivery,
    Frame,
    Health,
    HealthServer,
    HttpTriggers,
    Inspection,
    JsonLines,
    MessageTrigger,
    QueuedText,
    Stream,
    SyntheticCamera,
    TextOutput,
    Verdict,
    inspect_stream,
    one_by_one,
    open_sinks,
    read_sinks,
)

FRAMES = 60
Until = Callable[[Callable[[], object]], None]
OK = Inspection(Verdict.OK, 1.0, 2.0)


@contextmanager
def _pipe_that_nobody_reads() -> Iterator[Any]:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    stream = os.fdopen(writer, "w")
    yield stream
    os.close(reader)
    stream.close()


@contextmanager
def _server_that_says_nothing() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


def _stdout(stack: ExitStack, _folder: Path) -> dict[str, AnySink]:
    return {"stdout": TextOutput(stack.enter_context(_pipe_that_nobody_reads()))}


def _fifo(stack: ExitStack, folder: Path) -> dict[str, AnySink]:
    os.mkfifo(folder / "events.fifo")
    reader = os.open(folder / "events.fifo", os.O_RDONLY | os.O_NONBLOCK)
    stack.callback(os.close, reader)
    stream = stack.enter_context((folder / "events.fifo").open("w"))
    os.set_blocking(stream.fileno(), False)
    try:
        while True:
            os.write(stream.fileno(), b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(stream.fileno(), True)
    return {"fifo": TextOutput(stream)}


def _sqlite(stack: ExitStack, folder: Path) -> dict[str, AnySink]:
    sinks = open_sinks(read_sinks({"jsonl": {"enabled": False}, "sqlite": {}}), folder)
    other = sqlite3.connect(folder / "events.sqlite", check_same_thread=False)
    stack.callback(other.close)
    other.execute("PRAGMA journal_mode=WAL")
    return {"sqlite": _LockedOnceOpen(sinks["sqlite"], other)}


class _LockedOnceOpen:
    """A sink whose file somebody else locks as soon as it is open."""

    def __init__(self, sink: Any, other: sqlite3.Connection) -> None:
        self._sink = sink
        self._other = other

    def __enter__(self) -> Any:
        self._sink.__enter__()
        self._other.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(self, *error: Any) -> None:
        self._sink.__exit__(*error)

    def write(self, event: Any) -> None:
        self._sink.write(event)


def _remote(kind: str, **table: Any) -> Callable[[ExitStack, Path], dict[str, AnySink]]:
    def make(stack: ExitStack, folder: Path) -> dict[str, AnySink]:
        pytest.importorskip({"mqtt": "paho.mqtt", "modbus": "pymodbus"}.get(kind, "json"))
        port = stack.enter_context(_server_that_says_nothing())
        given = (
            {"url": f"http://127.0.0.1:{port}/"} if kind == "webhook" else {"host": "127.0.0.1", "port": port}
        )
        sinks = open_sinks(read_sinks({"jsonl": {"enabled": False}, kind: {**given, **table}}), folder)
        return {kind: sinks[kind]}

    return make


HANGING = {
    "stdout": _stdout,
    "fifo": _fifo,
    "sqlite": _sqlite,
    "mqtt": _remote("mqtt"),
    "webhook": _remote("webhook", verdicts=["OK"]),
    "modbus": _remote("modbus", coils={"*": 1}, heartbeat_coil=0),
}


@pytest.mark.parametrize("name", HANGING)
def test_frames_are_judged_while_a_sink_hangs_and_that_is_seen(
    name: str, tmp_path: Path, until: Until
) -> None:
    with ExitStack() as stack:
        sinks = HANGING[name](stack, tmp_path)
        delivery = stack.enter_context(
            Delivery(
                {**sinks, "good": JsonLines(tmp_path / "good.jsonl")}, patience_s=0.1, close_within_s=0.2
            )
        )
        longest_s = _judge(delivery)
        until(lambda: _status(delivery, name).faulty)
        assert _status(delivery, name).last_fault
        until(lambda: _status(delivery, "good").written == FRAMES)

    assert longest_s < 5.0, "a hanging sink holds up judging"
    assert len((tmp_path / "good.jsonl").read_text().splitlines()) == FRAMES


def test_frames_are_judged_while_the_log_hangs() -> None:
    with _pipe_that_nobody_reads() as stream:
        log = QueuedText(stream, "stderr")

        def judge_and_print(_frame: Frame) -> Inspection:
            print("x" * 100_000, file=log)
            return OK

        with Delivery({}, beside=lambda: (log.report(),)) as delivery:
            assert _judge(delivery, judge_and_print) < 5.0
        began = time.monotonic()
        log.end(0.1)
        assert time.monotonic() - began < 30
        assert log.report().lost > 0
        assert log.report().faulty


def test_clients_that_say_nothing_hold_up_neither_judging_nor_the_end(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    trigger = MessageTrigger()
    with ExitStack() as stack:
        health = stack.enter_context(
            HealthServer("127.0.0.1", 0, readings=list, health=lambda: Health(alive=True, ready=True))
        )
        triggers = stack.enter_context(HttpTriggers("127.0.0.1", 0, {"cam0": trigger}))
        for server in (health, triggers):
            for _ in range(20):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                client.sendall(b"GET /me")
        with Delivery({}) as delivery:
            assert _judge(delivery) < 5.0
        began = time.monotonic()
        triggers.__exit__(None, None, None)
        health.__exit__(None, None, None)
        assert time.monotonic() - began < 4


def _judge(delivery: Delivery, inspect: Callable[[Frame], Inspection] = lambda _frame: OK) -> float:
    """Judge some frames; returns the longest time between two."""
    judged: list[float] = [time.monotonic()]
    with Stream(SyntheticCamera(fps=100, size=64)) as stream:
        inspect_stream(
            stream,
            one_by_one(inspect),
            outlet=delivery,
            on_event=lambda *_: judged.append(time.monotonic()),
            max_frames=FRAMES,
        )
    assert len(judged) == FRAMES + 1
    return max(after - before for before, after in pairwise(judged[1:]))


def _status(delivery: Delivery, name: str) -> Any:
    return next(one for one in delivery.faults() if one.name == name)
