"""MQTT sink: events with quality of service 1, a retained status, and a last will."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from pcedge.errors import OutputError

from ...util.credentials import read_secret
from ...util.mqtt_broker import Broker, Tls, new_client
from ..settings import Count, Port, SinkKind, SinkTable, Text
from .outbox import Message, Outbox
from .sender import MessageError, Posted, Receipt

if TYPE_CHECKING:
    from paho.mqtt.client import Client

_AT_LEAST_ONCE = 1
_ACKNOWLEDGED_WITHIN_S = 10.0
_FAREWELL_S = 1.0
_CONNECTED_WITHIN_S = 2.0
_BREAKS, _CAREFUL_S = 2, 30.0
_NOT_YET = "not connected yet"
_RECENT, _RECENT_S = 10_000, 5.0


class MqttTransport:
    """Transport to an MQTT broker.

    Events go to ``TOPIC/events/CAMERA``. ``TOPIC/status`` is retained: ``{"state": "online"}`` while
    connected, ``{"state": "offline"}`` after closing and, as the last will, when the connection breaks. The
    status includes the drift of each camera according to its last event:
    ``{"state": "online", "drift": {"CAMERA": ["light"]}}``.

    A broker that is killed may lose messages that it has acknowledged: Mosquitto saves its state only every
    ``autosave_interval``. So after every lost connection, the events acknowledged in the 5 s before are sent
    again, at most 10,000; subscribers can detect duplicates by their ids.

    A broker that closes the connection, as for a message that is too large, does not say which one it was.
    When that happens twice in a row, messages are sent one by one for half a minute.

    Args:
        broker: The MQTT broker.
        topic: Prefix of all topics.
    """

    def __init__(self, broker: Broker, topic: str = "pcedge") -> None:
        self._broker = broker
        self._topic = topic.strip("/")
        self._client: Client | None = None
        self._hurry: Callable[[], None] = lambda: None
        self._breaks = 0  # without a message that got through in between
        self._opened_s = self._broke_s = 0.0
        self._changed = threading.Condition()
        # All except the packets is shared with the thread of the client, under the lock of the condition.
        self._connected = False
        self._closing = False
        self._why_not = _NOT_YET
        self._acknowledged: set[int] = set()
        self._ignored: set[int] = set()  # packets whose acknowledgement is ignored; their numbers are reused
        # Messages handed to the client, which resends them after a reconnect: message number to packet
        # number.
        self._packets: dict[int, int] = {}
        # Messages acknowledged recently, with the time, and those of them to send again.
        self._recent: deque[tuple[float, Message]] = deque(maxlen=_RECENT)
        self._again: list[Message] = []
        # Drifted quantities by camera. Replaced, not changed, since the thread of the client reads it.
        self._drift: dict[str, list[str]] = {}

    def open(self, hurry: Callable[[], None]) -> None:
        """Start connecting.

        Raises:
            MissingExtraError: paho-mqtt is not installed.
            OptionError: A certificate cannot be used.
        """
        self._hurry, self._closing = hurry, False
        self._opened_s = time.monotonic()
        self._connect()

    def trouble(self) -> str:
        """Return why there is no connection; empty if there is one."""
        fresh = time.monotonic() - self._opened_s < _CONNECTED_WITHIN_S
        if self._connected or self._closing or fresh:
            return ""
        return f"MQTT broker {self._broker.host}:{self._broker.port}: {self._why_not}"

    @property
    def starting(self) -> bool:
        """Whether the first attempt to connect has not ended yet."""
        return not self._connected and self._why_not == _NOT_YET

    def _connect(self) -> None:
        self._client = client = self._new_client()
        client.connect_async(self._broker.host, self._broker.port, self._broker.keepalive_s)
        client.loop_start()

    def _renew(self) -> None:
        """Connect with a new client, which has no message that it would send again."""
        if self._client is not None:
            self._client.on_disconnect = None
            self._client.disconnect()
            self._client.loop_stop()
        with self._changed:
            self._connected, self._why_not = False, _NOT_YET
            self._packets.clear()
            self._acknowledged.clear()
            self._ignored.clear()
            self._recent.clear()  # was sent again after the breaks before
        self._connect()

    def send(self, messages: Sequence[Message]) -> Iterator[Receipt]:
        """Publish messages and yield a receipt for each as the broker acknowledges it.

        Raises:
            MessageError: Sent by itself, a message did not get through.
            OutputError: There is no connection, it breaks, or no acknowledgement comes.
        """
        if not messages and not self._again:
            return
        self._require_connection()
        one_by_one = self._breaks >= _BREAKS
        for message in self._again if one_by_one else (*self._again, *messages):
            self._publish(message)
        while self._again:  # grows if the connection is lost and restored meanwhile
            self._wait_for(self._again[0])
            self._again.pop(0)
        for message in messages:
            if one_by_one:
                self._wait_for_this(message)
            else:
                self._wait_for(message)
            yield Receipt(message.number)
        if not one_by_one or time.monotonic() - self._broke_s > _CAREFUL_S:
            self._breaks = 0

    def close(self) -> None:
        """Publish the offline status and disconnect."""
        client = self._client
        if client is None:
            return
        if self._connected:
            packet = client.publish(
                f"{self._topic}/status", _state("offline"), _AT_LEAST_ONCE, retain=True
            ).mid
            with self._changed:
                self._changed.wait_for(lambda: packet in self._acknowledged, _FAREWELL_S)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        client.disconnect()
        client.loop_stop()
        self._client = None

    def _new_client(self) -> Client:
        client = new_client(self._broker, self._topic)
        client.will_set(f"{self._topic}/status", _state("offline"), _AT_LEAST_ONCE, retain=True)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        return client

    def _publish(self, message: Message) -> int:
        """Hand a message to the client, unless it already has it; returns its packet number."""
        assert self._client is not None
        if message.number not in self._packets:
            self._note_drift(message)
            topic = f"{self._topic}/events/{_level(message.topic)}"
            self._packets[message.number] = self._client.publish(topic, message.body, _AT_LEAST_ONCE).mid
        return self._packets[message.number]

    def _note_drift(self, message: Message) -> None:
        """Publish the status again if the drift in the event differs from the previous one."""
        assert self._client is not None
        moved = list(json.loads(message.body).get("drift", {}))
        if moved == self._drift.get(message.topic, []):
            return
        others = {camera: names for camera, names in self._drift.items() if camera != message.topic}
        self._drift = {**others, message.topic: moved} if moved else others
        self._publish_status(self._client)

    def _publish_status(self, client: Client) -> None:
        status = _state("online", self._drift)
        packet = client.publish(f"{self._topic}/status", status, _AT_LEAST_ONCE, retain=True).mid
        with self._changed:
            self._ignored.add(packet)

    def _wait_for_this(self, message: Message) -> None:
        self._require_connection()
        try:
            self._wait_for(message)
        except OutputError as error:
            self._renew()
            raise MessageError(error.what, error.hint) from error

    def _wait_for(self, message: Message) -> None:
        packet = self._publish(message)
        with self._changed:
            self._changed.wait_for(
                lambda: packet in self._acknowledged or not self._connected or self._closing,
                _ACKNOWLEDGED_WITHIN_S,
            )
            if packet in self._acknowledged:
                self._acknowledged.discard(packet)
                del self._packets[message.number]
                self._remember(message)
                return
        self._breaks += 1
        self._broke_s = time.monotonic()
        if self._breaks == _BREAKS and not self._closing:
            self._renew()
            raise self._failed("the connection breaks again and again; messages are sent one by one")
        self._require_connection()
        with self._changed:  # a connected broker that does not answer gets everything again
            self._ignored.update(self._packets.values())
            self._packets.clear()
        raise self._failed(f"no acknowledgement within {_ACKNOWLEDGED_WITHIN_S:.0f} s")

    def _remember(self, message: Message) -> None:
        now = time.monotonic()
        self._recent.append((now, message))
        while self._recent[0][0] < now - _RECENT_S:
            self._recent.popleft()

    def _require_connection(self) -> None:
        with self._changed:  # a first connection takes a moment
            self._changed.wait_for(lambda: not self.starting or self._closing, _CONNECTED_WITHIN_S)
        if not self._connected or self._closing:
            raise self._failed(self._why_not)

    def _failed(self, why: str) -> OutputError:
        return OutputError(
            f"MQTT broker {self._broker.host}:{self._broker.port}: {why}.", "Events wait on disk."
        )

    def _on_connect(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._lost(f"refused the connection: {reason}")
            return
        self._publish_status(client)
        with self._changed:
            self._again += [message for _, message in self._recent]
            self._recent.clear()
            self._connected = True
            self._changed.notify_all()
        self._hurry()

    def _on_connect_fail(self, _client: Client, _data: Any) -> None:
        # The client does not say which of the two was the reason.
        untrusted = ", or its certificate is not trusted" if self._broker.tls is not None else ""
        self._lost(f"cannot be reached{untrusted}")

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if self._connected:
            self._lost(f"the connection broke: {reason}")

    def _on_publish(self, _client: Client, _data: Any, packet: int, _reason: Any, _properties: Any) -> None:
        with self._changed:
            if packet in self._ignored:
                self._ignored.discard(packet)
            else:
                self._acknowledged.add(packet)
            self._changed.notify_all()

    def _lost(self, why: str) -> None:
        with self._changed:
            self._connected = False
            self._why_not = why
            self._changed.notify_all()


def _state(state: str, drift: Mapping[str, Sequence[str]] | None = None) -> str:
    return json.dumps({"state": state, **({"drift": drift} if drift else {})})


def _level(name: str) -> str:
    """Convert the name of a camera to one level of a topic."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-") or "camera"


class MqttTable(SinkTable, frozen=True):
    """``[sinks.mqtt]``: an MQTT broker.

    Attributes:
        host: Address of the broker.
        port: Port of the broker; by default 1883, or 8883 with TLS.
        topic: Prefix of all topics; without wildcards.
        client_id: Id of this client, which must be unique at the broker; by default machine and topic.
        username: User name at the broker.
        password_env: The environment variable that holds the password.
        password_file: A file whose first line is the password.
        tls: ``true`` for an encrypted connection.
        ca_file: Certificates to trust instead of the system's; turns TLS on.
        cert_file: A client certificate; turns TLS on.
        key_file: Key of the client certificate.
        keepalive_s: Keep-alive interval in seconds. After one and a half times this without contact, the
            broker publishes the last will.
        max_waiting: Maximum number of events that wait on disk.
    """

    host: Text
    port: Port | None = None
    topic: Text = "pcedge"
    client_id: str = ""
    username: str = ""
    password_env: str = ""
    password_file: str = ""
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    keepalive_s: Annotated[int, Meta(ge=2, le=3600)] = 15
    max_waiting: Count = 1_000_000

    def __post_init__(self) -> None:
        if set(self.topic) & set("#+\0"):
            raise ValueError(
                f"mqtt.topic = {self.topic!r} holds a wildcard, which nothing can be published to"
            )


def mqtt_broker(table: MqttTable) -> Broker:
    """Return the broker that a table describes.

    Raises:
        OptionError: The password cannot be read.
    """
    encrypted = table.tls or bool(table.ca_file or table.cert_file)
    return Broker(
        host=table.host,
        port=table.port or (8883 if encrypted else 1883),
        client_id=table.client_id,
        username=table.username,
        password=read_secret("sinks.mqtt: password", env=table.password_env, file=table.password_file),
        tls=Tls(table.ca_file, table.cert_file, table.key_file) if encrypted else None,
        keepalive_s=table.keepalive_s,
    )


def _make(table: MqttTable, output: Path) -> Posted:
    outbox = Outbox(output / "outbox" / "mqtt.sqlite", max_messages=table.max_waiting)
    return Posted(MqttTransport(mqtt_broker(table), table.topic), outbox)


KIND = SinkKind("mqtt", MqttTable, _make)
