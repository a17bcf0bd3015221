"""Sinks made as a line's TOML file describes them."""

from __future__ import annotations

from pathlib import Path

from ..frames import Verdict
from ..util.credentials import read_secret
from ..util.mqtt_broker import Broker, Tls
from .base import ImageSink
from .delivery import AnySink
from .files.clips import ClipLength, Clips
from .files.jsonl import JsonLines
from .files.retention import Retention
from .files.sqlite import EventStore
from .remote.modbus import GateState, RejectGate
from .remote.mqtt import MqttTransport
from .remote.outbox import Outbox
from .remote.sender import Posted
from .remote.webhook import WebhookTransport
from .settings import (
    ClipTable,
    JsonLinesTable,
    ModbusTable,
    MqttTable,
    PicturesTable,
    SinksTable,
    SqliteTable,
    WebhookTable,
)


def open_sinks(settings: SinksTable, output: Path) -> dict[str, AnySink]:
    """Make the sinks that ``settings`` wants, by the names of their tables; ``with`` opens them.

    Files and folders are below ``output``, unless they are absolute.

    Raises:
        OptionError: A password or an address cannot be used.
    """
    sinks: dict[str, AnySink] = {}
    if settings.jsonl.enabled:
        sinks["jsonl"] = _json_lines(settings.jsonl, output)
    if settings.sqlite is not None:
        sinks["sqlite"] = _sqlite(settings.sqlite, output)
    if settings.modbus is not None:
        sinks["modbus"] = _modbus(settings.modbus)
    if settings.mqtt is not None:
        sinks["mqtt"] = _mqtt(settings.mqtt, output)
    if settings.webhook is not None:
        sinks["webhook"] = _webhook(settings.webhook, output)
    sinks["pictures"] = _pictures(settings.pictures, output)
    if settings.clip is not None:
        sinks["clip"] = _clips(settings.clip, output)
    return sinks


def _json_lines(table: JsonLinesTable, output: Path) -> JsonLines:
    return JsonLines(output / table.file, max_bytes=round(table.max_mb * 1e6), keep=table.keep)


def _pictures(table: PicturesTable, output: Path) -> ImageSink:
    return ImageSink(output, table.save, folder=table.folder, retention=_retention(table), aside=True)


def _clips(table: ClipTable, output: Path) -> Clips:
    length = ClipLength(
        before_s=table.before_s,
        after_s=table.after_s,
        longest_s=table.longest_s,
        memory_bytes=round(table.memory_mb * 1e6),
        width_px=table.width_px,
    )
    return Clips(output / table.folder, length, retention=_retention(table))


def _sqlite(table: SqliteTable, output: Path) -> EventStore:
    return EventStore(output / table.file, max_events=table.max_events)


def mqtt_broker(table: MqttTable) -> Broker:
    """The broker that a table describes.

    Raises:
        OptionError: The password is not where it should be.
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


def _mqtt(table: MqttTable, output: Path) -> Posted:
    outbox = Outbox(output / "outbox" / "mqtt.sqlite", max_messages=table.max_waiting)
    return Posted(MqttTransport(mqtt_broker(table), table.topic), outbox)


def _webhook(table: WebhookTable, output: Path) -> Posted:
    url = read_secret("sinks.webhook: url", env=table.url_env, file=table.url_file)
    token = read_secret("sinks.webhook: token", env=table.token_env, file=table.token_file)
    transport = WebhookTransport(url.value if url else table.url, token=token, timeout_s=table.timeout_s)
    outbox = Outbox(output / "outbox" / "webhook.sqlite", max_messages=table.max_waiting)
    return Posted(transport, outbox, verdicts=[Verdict(name) for name in table.verdicts])


def _modbus(table: ModbusTable) -> RejectGate:
    state = GateState(table.coils, table.pass_s, [Verdict(name) for name in table.passes])
    return RejectGate(
        table.host,
        state,
        port=table.port,
        unit=table.unit,
        heartbeat_coil=table.heartbeat_coil,
        heartbeat_s=table.heartbeat_s,
    )


def _retention(table: PicturesTable | ClipTable) -> Retention:
    return Retention(
        max_age_days=table.max_age_days,
        max_count=table.max_count,
        min_free_bytes=round(table.min_free_gb * 1e9) or None,
    )
