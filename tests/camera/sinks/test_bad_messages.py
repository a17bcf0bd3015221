"""One message that does not get through does not hold up the others."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from pcedge.camera import Broker, Event, Message, MqttTransport, Outbox, Posted, Receipt, Verdict
from pcedge.camera import WebhookTransport as Webhook
from pcedge.errors import OutputError, RuntimeUnavailableError

Make = Callable[..., Event]
Until = Callable[[Callable[[], object]], None]
BAD = "BAD"


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcedge.camera.sinks.remote.sender._FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("pcedge.camera.sinks.remote.sender._LONGEST_PAUSE_S", 0.05)


def _posted(transport: object, folder: Path) -> Posted:
    return Posted(transport, Outbox(folder / "far.sqlite", max_messages=1000))  # type: ignore[arg-type]


def _dead(folder: Path) -> list[str]:
    path = folder / "far.dead.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(json.loads(line)["event"])["reason"] for line in lines]


def _events(event: Make, bad: Sequence[int], count: int) -> list[Event]:
    return [replace(event(n, Verdict.NG), reason=BAD if n in bad else f"{n}") for n in range(count)]


@pytest.fixture
def hook() -> "Iterator[Hook]":
    server = Hook()
    yield server
    server.shutdown()
    server.server_close()


class Hook(ThreadingHTTPServer):
    """Answers 500 to bad events, and to all while it is down."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.down = False
        self.code = 500
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                reason = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["reason"]
                bad = hook.down or reason == BAD
                if not bad:
                    hook.got.append(reason)
                self.send_response(hook.code if bad else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


@pytest.mark.parametrize("code", [500, 503, 404, 401, 413])
@pytest.mark.parametrize("bad", [(0,), (2,), (1, 2, 4)])
def test_a_webhook_that_does_not_take_some_events_gets_the_others(
    hook: Hook, code: int, bad: tuple[int, ...], tmp_path: Path, event: Make, until: Until
) -> None:
    hook.code = code
    events = _events(event, bad, 6)
    with _posted(Webhook(f"http://127.0.0.1:{hook.server_port}/"), tmp_path) as sink:
        for one in events:
            sink.write(one)
        until(lambda: sink.backlog().waiting == 0)
        assert (sink.backlog().refused, sink.notes) == (len(bad), len(bad))
        assert "set aside in" in sink.note

    assert sorted(hook.got) == [one.reason for one in events if one.reason != BAD]
    assert _dead(tmp_path) == [BAD] * len(bad)


def test_a_webhook_that_takes_nothing_for_long_loses_nothing(
    hook: Hook, tmp_path: Path, event: Make, until: Until
) -> None:
    hook.down = True
    with _posted(Webhook(f"http://127.0.0.1:{hook.server_port}/"), tmp_path) as sink:
        for one in _events(event, (), 5):
            sink.write(one)
        until(lambda: sink.backlog().failures > 12)
        hook.down = False
        until(lambda: sink.backlog().waiting == 0)

    assert sorted(hook.got) == ["0", "1", "2", "3", "4"]
    assert _dead(tmp_path) == []


class _Away:
    """Is never reached."""

    attempts = 0

    def open(self, hurry: Callable[[], None]) -> None:
        pass

    def send(self, messages: Sequence[Message]) -> Iterator[Receipt]:
        self.attempts += 1
        raise OutputError("Nobody is there.")
        yield

    def close(self) -> None:
        pass


def test_what_cannot_be_reached_sets_nothing_aside(tmp_path: Path, event: Make, until: Until) -> None:
    away = _Away()
    with _posted(away, tmp_path) as sink:
        for one in _events(event, (), 3):
            sink.write(one)
        until(lambda: away.attempts > 12)
        assert sink.backlog().waiting == 3

    assert _dead(tmp_path) == []


def test_a_broker_that_closes_for_a_large_event_gets_the_others(
    from_the_checkout: None, tmp_path: Path, event: Make, until: Until
) -> None:
    pytest.importorskip("paho.mqtt")
    from benchmarks.broker import Mosquitto

    (tmp_path / "broker").mkdir()
    try:
        mosquitto = Mosquitto(tmp_path / "broker", "max_packet_size 2000\n")
    except RuntimeUnavailableError as error:
        pytest.skip(f"{error.what} {error.hint}")
    events = _events(event, (), 5)
    events[1] = replace(events[1], reason=BAD, name="x" * 3000)
    with mosquitto, _posted(MqttTransport(Broker("127.0.0.1", mosquitto.port)), tmp_path) as sink:
        for one in events:
            sink.write(one)
        until(lambda: sink.backlog().waiting == 0)
        assert sink.backlog().refused == 1

    assert _dead(tmp_path) == [BAD]
