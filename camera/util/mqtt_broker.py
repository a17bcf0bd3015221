"""MQTT connection: address and login of a broker, TLS, and a configured client."""

from __future__ import annotations

import platform
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pcedge.errors import MissingExtraError, OptionError

from .credentials import Secret
from .supervisor import Reported

if TYPE_CHECKING:
    from paho.mqtt.client import Client
    from paho.mqtt.enums import MQTTErrorCode

_RECONNECT_S = (1, 30)
_AFTER_FAULT_S = 0.5


@dataclass(frozen=True)
class Tls:
    """TLS settings.

    Attributes:
        ca_file: Certificates to trust instead of those of the system; empty for those of the system.
        cert_file: Client certificate; empty for none.
        key_file: Key of the client certificate.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


@dataclass(frozen=True)
class Broker:
    """Address and login of a broker.

    Attributes:
        host: Name or address of the broker.
        port: Usually 1883, with TLS 8883.
        client_id: Client id, which must be unique at the broker; empty for a name made of machine and topic.
        username: User name; empty for none.
        password: Password of the user.
        tls: TLS settings; None for an unencrypted connection.
        keepalive_s: Keep-alive interval in seconds. After one and a half times this without contact, the
            broker publishes the last will.
    """

    host: str
    port: int = 1883
    client_id: str = ""
    username: str = ""
    password: Secret | None = None
    tls: Tls | None = None
    keepalive_s: int = 15


def new_client(broker: Broker, purpose: str) -> Client:
    """Create a client with login and automatic reconnection; not yet connected.

    Args:
        broker: The broker.
        purpose: Distinguishes its client id from those of other clients on this machine.

    Raises:
        MissingExtraError: paho-mqtt is not installed.
        OptionError: A certificate cannot be used.
    """
    try:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion
    except ImportError as error:
        raise MissingExtraError("paho-mqtt", "line", "MQTT") from error

    name = broker.client_id or f"pcedge-{platform.node()}-{purpose}"
    client = _supervised(Client)(CallbackAPIVersion.VERSION2, client_id=name)
    if broker.username:
        client.username_pw_set(broker.username, broker.password.value if broker.password else None)
    if broker.tls is not None:
        _use_tls(client, broker.tls)
    client.reconnect_delay_set(*_RECONNECT_S)
    return client


def _supervised(kind: type[Client]) -> type[Client]:
    """A client whose thread does not end by an exception, in a callback or in the library."""

    class SupervisedClient(kind):  # type: ignore[misc, valid-type] # the library is imported when needed
        _reported: Reported | None = None

        def loop_start(self) -> MQTTErrorCode:
            self._reported = Reported(f"MQTT {self.host or 'client'}")
            return super().loop_start()  # type: ignore[no-any-return]

        def loop_stop(self) -> MQTTErrorCode:
            code = super().loop_stop()
            if self._reported is not None:
                self._reported.end()
            return code  # type: ignore[no-any-return]

        def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
            while True:
                try:
                    return super().loop_forever(timeout, retry_first_connection)  # type: ignore[no-any-return]
                except Exception as error:
                    if self._reported is not None:
                        self._reported.failed(error)
                    with suppress(
                        OSError, AttributeError
                    ):  # connect anew: what was read is no longer trusted
                        self.socket().shutdown(socket.SHUT_RDWR)
                    time.sleep(_AFTER_FAULT_S)

    return SupervisedClient


def _use_tls(client: Client, tls: Tls) -> None:
    try:
        client.tls_set(tls.ca_file or None, tls.cert_file or None, tls.key_file or None)
    except (OSError, ValueError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OptionError(
            f"sinks.mqtt: the certificates cannot be used: {reason}.",
            "Check ca_file, cert_file and key_file: PEM files, the key without a password.",
        ) from error
