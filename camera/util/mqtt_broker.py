"""MQTT connection: address and login of a broker, TLS, and a configured client."""

from __future__ import annotations

import platform
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pcedge.errors import MissingExtraError, OptionError

from .credentials import Secret

if TYPE_CHECKING:
    from paho.mqtt.client import Client

_RECONNECT_S = (1, 30)


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
    client = Client(CallbackAPIVersion.VERSION2, client_id=name)
    if broker.username:
        client.username_pw_set(broker.username, broker.password.value if broker.password else None)
    if broker.tls is not None:
        _use_tls(client, broker.tls)
    client.reconnect_delay_set(*_RECONNECT_S)
    return client


def _use_tls(client: Client, tls: Tls) -> None:
    try:
        client.tls_set(tls.ca_file or None, tls.cert_file or None, tls.key_file or None)
    except (OSError, ValueError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OptionError(
            f"sinks.mqtt: the certificates cannot be used: {reason}.",
            "Check ca_file, cert_file and key_file: PEM files, the key without a password.",
        ) from error
