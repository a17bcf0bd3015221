import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from pcedge.camera import (
    Delivery,
    Event,
    EventCounts,
    Health,
    HealthServer,
    JsonLines,
    Reading,
    Verdict,
    sink_readings,
)
from pcedge.errors import OutputError

Make = Callable[..., Event]

pytest.importorskip("prometheus_client")


def _get(server: HealthServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def _server(
    readings: Callable[[], Iterable[Reading]] = list,
    health: Callable[[], Health] = lambda: Health(alive=True, ready=True),
) -> HealthServer:
    return HealthServer("127.0.0.1", 0, readings=readings, health=health)


def test_metrics_count_frames_and_show_how_it_stands_with_the_sinks(tmp_path: Path, event: Make) -> None:
    counts = EventCounts()
    with (
        Delivery({"jsonl": JsonLines(tmp_path / "e.jsonl"), "counts": counts}) as delivery,
        _server(lambda: [*counts.readings(), *sink_readings(delivery.faults())]) as server,
    ):
        for number, verdict in enumerate([Verdict.OK, Verdict.OK, Verdict.NG]):
            delivery.put(event(number, verdict), None, None)  # type: ignore[arg-type]
        delivery.put(event(9, camera='odd "name"\n'), None, None)  # type: ignore[arg-type]
        assert delivery.flush(5)
        status, text = _get(server, "/metrics")

    assert status == 200
    lines = text.splitlines()
    assert 'pcedge_frames_total{camera="cam0",verdict="OK"} 2.0' in lines
    assert 'pcedge_frames_total{camera="cam0",verdict="NG"} 1.0' in lines
    assert r'pcedge_frames_total{camera="odd \"name\"\n",verdict="OK"} 1.0' in lines
    assert 'pcedge_latency_seconds{camera="cam0"} 0.0123' in lines
    assert 'pcedge_sink_written_total{sink="jsonl"} 4.0' in lines
    assert 'pcedge_sink_lost_total{sink="jsonl"} 0.0' in lines


@pytest.mark.parametrize(
    ("health", "alive", "ready"),
    [
        (Health(alive=True, ready=True), 200, 200),
        (Health(alive=True, ready=False, detail={"cameras": {"cam0": "RECONNECTING"}}), 200, 503),
        (Health(alive=False, ready=True), 503, 503),
    ],
)
def test_health_and_readiness_are_told_apart(health: Health, alive: int, ready: int) -> None:
    with _server(health=lambda: health) as server:
        assert _get(server, "/healthz")[0] == alive
        status, text = _get(server, "/readyz?verbose")

    assert status == ready
    assert json.loads(text) == {"alive": health.alive, "ready": health.ready, **health.detail}


def test_other_pages_say_what_there_is_and_a_mistake_ends_nothing() -> None:
    def mistake() -> Health:
        raise ZeroDivisionError("with a secret in it")

    with _server(health=mistake) as server:
        assert _get(server, "/")[0] == 404
        assert "/metrics" in _get(server, "/")[1]
        assert _get(server, "/healthz") == (500, "ZeroDivisionError\n")
        assert _get(server, "/metrics")[0] == 200


def test_a_port_that_is_taken_is_an_error() -> None:
    with (
        _server() as server,
        pytest.raises(OutputError, match="cannot listen on"),
        HealthServer("127.0.0.1", server.port, readings=list, health=lambda: Health(True, True)),
    ):
        pytest.fail("opened")


def test_nothing_is_left_after_closing(left_over: Callable[[], list[str]]) -> None:
    for _ in range(3):
        with _server() as server:
            assert _get(server, "/healthz")[0] == 200

    assert left_over() == []
