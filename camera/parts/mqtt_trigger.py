"""MQTT trigger: another machine announces parts by messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pcedge.errors import OptionError

from ..util.mqtt_broker import Broker, new_client
from .triggers import Listening, MessageTrigger, TriggerKind, TriggerTable

if TYPE_CHECKING:
    from paho.mqtt.client import Client

_AT_LEAST_ONCE = 1


class MqttTriggers:
    """MQTT client that fires the trigger of a camera on any message to ``TOPIC/trigger/CAMERA``.

    A context manager. It reconnects automatically. Retained messages, and messages sent while it was not
    connected, are ignored, since the part has already passed.

    Args:
        broker: The MQTT broker.
        topic: Prefix of the topics.
        triggers: Triggers by camera name.
    """

    def __init__(self, broker: Broker, topic: str, triggers: Mapping[str, MessageTrigger]) -> None:
        # A separate client id: two clients with the same id would disconnect each other.
        name = f"{broker.client_id}-triggers" if broker.client_id else ""
        self._broker = replace(broker, client_id=name)
        self._topic = topic.strip("/")
        self._triggers = {f"{self._topic}/trigger/{camera}": one for camera, one in triggers.items()}
        self._client: Client | None = None

    def __enter__(self) -> MqttTriggers:
        """Start connecting.

        Raises:
            MissingExtraError: paho-mqtt is not installed.
            OptionError: A certificate cannot be used.
        """
        self._client = client = new_client(self._broker, f"{self._topic}-triggers")
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.connect_async(self._broker.host, self._broker.port, self._broker.keepalive_s)
        client.loop_start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None

    def _on_connect(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not reason.is_failure:
            client.subscribe([(topic, _AT_LEAST_ONCE) for topic in self._triggers])

    def _on_message(self, _client: Client, _data: Any, message: Any) -> None:
        try:
            trigger = self._triggers.get(message.topic)
        except UnicodeDecodeError:  # a topic that is not UTF-8 is none of ours
            return
        if trigger is not None and not message.retain:
            trigger.fire()


def _listen(listening: Listening, triggers: Mapping[str, MessageTrigger]) -> MqttTriggers:
    if listening.broker is None:
        raise OptionError(
            f"{', '.join(triggers)}: an MQTT trigger needs a broker.",
            "Set it in [sinks.mqtt] with host = ...",
        )
    return MqttTriggers(listening.broker(), listening.topic, triggers)


KIND = TriggerKind("mqtt", TriggerTable, lambda _table: MessageTrigger(), _listen)
