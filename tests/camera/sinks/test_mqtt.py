"""MQTT against a real broker, where there is one."""

import json
import queue
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pcedge.camera import (
    Broker,
    Delivery,
    Event,
    MessageTrigger,
    MqttTransport,
    MqttTriggers,
    Outbox,
    Posted,
    Secret,
    Tls,
    read_sinks,
)
from pcedge.errors import OptionError, RuntimeUnavailableError

if TYPE_CHECKING:
    from benchmarks.broker import Mosquitto

Make = Callable[..., Event]
Until = Callable[[Callable[[], object]], None]
PASSWORD = "hunter2-Swordfish"


@pytest.fixture
def mosquitto(tmp_path: Path, from_the_checkout: None) -> "Iterator[Mosquitto]":
    pytest.importorskip("paho.mqtt")
    from benchmarks.broker import Mosquitto

    folder = tmp_path / "broker"
    folder.mkdir()
    try:
        broker = Mosquitto(folder)
    except RuntimeUnavailableError as error:
        pytest.skip(f"{error.what} {error.hint}")
    with broker:
        yield broker


@contextmanager
def _listener(port: int, topic: str = "pcedge/#") -> "Iterator[queue.Queue[Any]]":
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    messages: queue.Queue[Any] = queue.Queue()
    ready: queue.Queue[Any] = queue.Queue()
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: messages.put(message)
    client.on_subscribe = lambda *_: ready.put(True)
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.subscribe(topic, 1)
    ready.get(timeout=60)
    yield messages
    client.disconnect()
    client.loop_stop()


def _sink(folder: Path, port: int, **more: Any) -> Posted:
    transport = MqttTransport(Broker("127.0.0.1", port, **more))
    return Posted(transport, Outbox(folder / "outbox.sqlite", max_messages=1000))


def test_events_go_to_the_topic_of_their_camera_between_online_and_offline(
    mosquitto: "Mosquitto", tmp_path: Path, event: Make, until: Until
) -> None:
    first, second = event(1), event(2, camera="left/#+ side")
    with _listener(mosquitto.port) as messages:
        with _sink(tmp_path, mosquitto.port) as sink:
            sink.write(first)
            sink.write(second)
            until(lambda: sink.backlog().waiting == 0)
        got = [messages.get(timeout=60) for _ in range(4)]

    assert [(message.topic, message.payload.decode(), message.qos) for message in got] == [
        ("pcedge/status", '{"state": "online"}', 1),
        ("pcedge/events/cam0", first.to_json(), 1),
        ("pcedge/events/left-side", second.to_json(), 1),
        ("pcedge/status", '{"state": "offline"}', 1),
    ]
    with _listener(mosquitto.port, "pcedge/status") as messages:
        retained = messages.get(timeout=60)
    assert (retained.retain, retained.payload) == (True, b'{"state": "offline"}')


def test_the_status_says_what_has_moved_at_which_camera(
    mosquitto: "Mosquitto", tmp_path: Path, event: Make, until: Until
) -> None:
    moved = {"light": "5% darker than at fit"}
    with _listener(mosquitto.port, "pcedge/status") as messages:
        with _sink(tmp_path, mosquitto.port) as sink:
            for number, drift in enumerate(({}, moved, moved, {})):
                sink.write(event(number, drift=drift))
            until(lambda: sink.backlog().waiting == 0)
        got = [json.loads(messages.get(timeout=60).payload) for _ in range(4)]

    online = {"state": "online"}
    assert got == [online, {**online, "drift": {"cam0": ["light"]}}, online, {"state": "offline"}]


def test_the_last_will_says_offline_when_the_connection_breaks(
    mosquitto: "Mosquitto", tmp_path: Path, until: Until
) -> None:
    transport = MqttTransport(Broker("127.0.0.1", mosquitto.port))
    with (
        _listener(mosquitto.port) as messages,
        Posted(transport, Outbox(tmp_path / "o.sqlite", max_messages=9)),
    ):
        assert messages.get(timeout=60).payload == b'{"state": "online"}'
        assert transport._client is not None
        connection: Any = transport._client.socket()
        connection.shutdown(2)  # as when a cable is cut: no good-bye is said
        assert messages.get(timeout=60).payload == b'{"state": "offline"}'
        assert messages.get(timeout=60).payload == b'{"state": "online"}', "and it comes back by itself"


def test_events_wait_for_a_broker_that_is_away(
    mosquitto: "Mosquitto", tmp_path: Path, event: Make, until: Until
) -> None:
    mosquitto.kill()
    sink = _sink(tmp_path, mosquitto.port)
    with Delivery({"mqtt": sink}) as delivery:
        for number in range(10):
            delivery.put(event(number), None, None)  # type: ignore[arg-type]
        until(lambda: delivery.faults()[0].waiting == 10)
        until(lambda: "cannot be reached" in delivery.faults()[0].last_fault)
    mosquitto.start()
    with _listener(mosquitto.port, "pcedge/events/#") as messages, _sink(tmp_path, mosquitto.port):
        got = [json.loads(messages.get(timeout=60).payload)["id"] for _ in range(10)]

    assert got == [f"part-{number}" for number in range(10)]


def test_a_broker_killed_under_load_costs_no_verdict(mosquitto: "Mosquitto") -> None:
    from benchmarks.broker import hammer

    outcome = hammer(600, kills=3, rate_hz=300, seed=0, progress=lambda *_: None)

    assert (outcome.lost, outcome.arrived, outcome.reported_lost) == (0, 600, 0)
    assert outcome.longest_put_ms < 1500, "put waits for nobody"


def test_a_message_fires_the_trigger_of_its_camera_and_a_retained_one_does_not(
    mosquitto: "Mosquitto", until: Until
) -> None:
    from paho.mqtt.publish import single

    def publish(camera: str, *, retain: bool = False) -> bool:
        single(f"pcedge/trigger/{camera}", "", 1, retain, hostname="127.0.0.1", port=mosquitto.port)
        return True

    publish("left", retain=True)
    left, right = MessageTrigger(), MessageTrigger()
    broker = Broker("127.0.0.1", mosquitto.port)
    with MqttTriggers(broker, "pcedge", {"left": left, "right": right}):
        until(lambda: publish("right") and right.fired_before(time.monotonic()))
        assert left.fired_before(time.monotonic()) is None
        publish("left")
        until(lambda: left.fired_before(time.monotonic()))
        publish("elsewhere")
        mosquitto.kill()
        mosquitto.start()
        until(lambda: publish("left") and left.fired_before(time.monotonic()))


def test_a_wrong_password_is_reported_without_it(
    tmp_path: Path, from_the_checkout: None, event: Make, until: Until
) -> None:
    from benchmarks.broker import Mosquitto

    (tmp_path / "nobody").touch(mode=0o600)
    try:
        broker = Mosquitto(tmp_path, f"password_file {tmp_path / 'nobody'}\nallow_anonymous false\n")
    except RuntimeUnavailableError as error:
        pytest.skip(error.what)
    with broker, _sink(tmp_path, broker.port, username="line", password=Secret(PASSWORD)) as sink:
        sink.write(event(1))
        until(lambda: "Not authorized" in sink.backlog().last_fault)

    everything = repr(sink.backlog()) + repr(Broker("h", password=Secret(PASSWORD)))
    assert PASSWORD not in everything
    assert PASSWORD.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("outbox*"))


# The client leaves the socket of a failed handshake to the garbage collector, which warns.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_encrypted_connection_with_a_login_brings_events_and_trusts_nobody_else(
    tmp_path: Path, from_the_checkout: None, event: Make, until: Until
) -> None:
    from benchmarks.broker import Mosquitto

    for program in ("openssl", "mosquitto_passwd"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    for name in ("ours", "other"):
        _make_certificate(tmp_path / name)
    passwords = tmp_path / "passwords"
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", passwords, "line", PASSWORD], check=True, capture_output=True
    )
    extra = (
        f"certfile {tmp_path / 'ours.crt'}\nkeyfile {tmp_path / 'ours.key'}\n"
        f"password_file {passwords}\nallow_anonymous false\n"
    )
    login: dict[str, Any] = {"username": "line", "password": Secret(PASSWORD)}
    try:
        broker = Mosquitto(tmp_path, extra)
    except RuntimeUnavailableError as error:
        pytest.skip(error.what)
    with broker:
        with _sink(tmp_path, broker.port, tls=Tls(ca_file=f"{tmp_path / 'other.crt'}"), **login) as sink:
            sink.write(event(1))
            until(lambda: "not trusted" in sink.backlog().last_fault)
            assert sink.backlog().waiting == 1
        with _sink(tmp_path, broker.port, tls=Tls(ca_file=f"{tmp_path / 'ours.crt'}"), **login) as sink:
            until(lambda: sink.backlog().waiting == 0)


def _make_certificate(path: Path) -> None:
    """A certificate of its own authority for 127.0.0.1: PATH.crt and PATH.key."""
    key, certificate = path.with_suffix(".key"), path.with_suffix(".crt")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=broker",
    ]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)


def test_certificates_that_cannot_be_used_fail_at_the_start(tmp_path: Path) -> None:
    pytest.importorskip("paho.mqtt")
    with (
        pytest.raises(OptionError, match="certificates cannot be used: No such file"),
        _sink(tmp_path, 1, tls=Tls(ca_file=str(tmp_path / "missing.pem"))),
    ):
        pytest.fail("opened")


def test_a_topic_that_is_not_utf_8_does_not_end_the_triggers() -> None:
    pytest.importorskip("paho.mqtt")
    from paho.mqtt.client import MQTTMessage

    trigger = MessageTrigger()
    triggers = MqttTriggers(Broker("127.0.0.1"), "pcedge", {"left": trigger})
    odd, good = MQTTMessage(topic=b"pcedge/\xff"), MQTTMessage(topic=b"pcedge/trigger/left")

    for message in (odd, good):
        triggers._on_message(None, None, message)  # type: ignore[arg-type]

    assert trigger.fired_before(time.monotonic()) is not None


def test_an_exception_in_a_callback_does_not_end_the_client_and_is_reported(
    mosquitto: "Mosquitto", until: Until
) -> None:
    from pcedge.camera import thread_states

    trigger = MessageTrigger()
    triggers = MqttTriggers(Broker("127.0.0.1", mosquitto.port), "pcedge", {"left": trigger})
    with triggers, _listener(mosquitto.port):
        client = triggers._client
        assert client is not None
        until(client.is_connected)
        works, client.on_message = client.on_message, lambda *_: 1 / 0  # type: ignore[assignment]
        client.publish("pcedge/trigger/left", "", 1)
        until(lambda: any("ZeroDivisionError" in one.last_fault for one in thread_states()))
        client.on_message = works
        until(lambda: client.publish("pcedge/trigger/left", "", 1) and trigger.fired_before(time.monotonic()))


@pytest.mark.parametrize("topic", ["line/#", "+", "a/+/b", "a\0b"])
def test_a_topic_with_a_wildcard_is_refused(topic: str) -> None:
    with pytest.raises(OptionError, match="holds a wildcard"):
        read_sinks({"mqtt": {"host": "h", "topic": topic}})
