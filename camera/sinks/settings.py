"""The tables of a line's TOML file that say where verdicts go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from pcedge.errors import OptionError

Port = Annotated[int, Meta(ge=1, le=65535)]
Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Coil = Annotated[int, Meta(ge=0, le=65535)]
Text = Annotated[str, Meta(min_length=1)]
VerdictName = Literal["OK", "REVIEW", "NG", "INVALID"]


class _SinkTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table whose keys are all known."""


class JsonLinesTable(_SinkTable, frozen=True):
    """``[sinks.jsonl]``: a file of JSON lines."""

    enabled: bool = True
    file: Text = "events.jsonl"
    max_mb: Positive = 100.0
    keep: Annotated[int, Meta(ge=0)] = 10


class PicturesTable(_SinkTable, frozen=True):
    """``[sinks.pictures]``: images with heatmaps."""

    folder: Text = "pictures"
    save: Literal["flagged", "all", "none"] = "flagged"
    max_age_days: Positive | None = None
    max_count: Count | None = None
    min_free_gb: Annotated[float, Meta(ge=0)] = 1.0


class SqliteTable(_SinkTable, frozen=True):
    """``[sinks.sqlite]``: the event store."""

    file: Text = "events.sqlite"
    max_events: Count | None = None


class MqttTable(_SinkTable, frozen=True):
    """``[sinks.mqtt]``: an MQTT broker."""

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


class WebhookTable(_SinkTable, frozen=True):
    """``[sinks.webhook]``: an address that takes events by POST."""

    url: str = ""
    url_env: str = ""
    url_file: str = ""
    token_env: str = ""
    token_file: str = ""
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 5.0
    verdicts: tuple[VerdictName, ...] = ("REVIEW", "NG", "INVALID")
    max_waiting: Count = 1_000_000


class ModbusTable(_SinkTable, frozen=True):
    """``[sinks.modbus]``: coils of a reject gate."""

    host: Text
    coils: Annotated[dict[str, Coil], Meta(min_length=1)]
    heartbeat_coil: Coil
    port: Port = 502
    unit: Annotated[int, Meta(ge=0, le=255)] = 1
    heartbeat_s: Annotated[float, Meta(ge=0.05, le=60)] = 0.5
    pass_s: Positive = 0.5
    passes: tuple[VerdictName, ...] = ("OK",)


class ClipTable(_SinkTable, frozen=True):
    """``[sinks.clip]``: clips around events."""

    folder: Text = "clips"
    before_s: Annotated[float, Meta(ge=0, le=60)] = 3.0
    after_s: Annotated[float, Meta(ge=0, le=60)] = 3.0
    longest_s: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    memory_mb: Positive = 64.0
    width_px: Annotated[int, Meta(ge=16)] = 960
    max_age_days: Positive | None = None
    max_count: Count | None = None
    min_free_gb: Annotated[float, Meta(ge=0)] = 1.0


class MetricsTable(_SinkTable, frozen=True):
    """``[metrics]``: Prometheus metrics and health."""

    host: Text = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 9108


class SinksTable(_SinkTable, frozen=True):
    """``[sinks]``: the sinks that are wanted; JSON lines and images unless it says otherwise."""

    jsonl: JsonLinesTable = JsonLinesTable()
    pictures: PicturesTable = PicturesTable()
    sqlite: SqliteTable | None = None
    mqtt: MqttTable | None = None
    webhook: WebhookTable | None = None
    modbus: ModbusTable | None = None
    clip: ClipTable | None = None

    def __post_init__(self) -> None:
        if self.modbus is not None and self.modbus.heartbeat_coil in self.modbus.coils.values():
            raise ValueError("modbus.heartbeat_coil is also one of modbus.coils")
        if self.modbus is not None and "INVALID" in self.modbus.passes:
            raise ValueError("modbus.passes has INVALID, and what could not be judged never passes")
        if self.webhook is not None and not (
            self.webhook.url or self.webhook.url_env or self.webhook.url_file
        ):
            raise ValueError("webhook needs url, url_env or url_file")


TableType = TypeVar("TableType", bound=msgspec.Struct)


def read_table(kind: type[TableType], content: Mapping[str, Any], name: str) -> TableType:
    """Read a table as TOML gives it.

    Args:
        kind: Such as :class:`SinksTable`.
        content: What the table holds.
        name: What it is called in the file, for messages.

    Raises:
        OptionError: A key is not known, is missing or has a value that it cannot have; names the key.
    """
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        text = str(error).replace("`$", f"`{name}")
        raise OptionError(
            f"[{name}]: {text}.", f"The keys of [{name}] are described in docs/guide/sinks.md."
        ) from error
