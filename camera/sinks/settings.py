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
    """``[sinks.jsonl]``: a file of JSON lines.

    Attributes:
        enabled: ``false`` for no such file.
        file: Its name, below the output directory.
        max_mb: A file that would grow beyond is renamed to ``events.jsonl.1``, the one before to ``.2``, ...
        keep: How many renamed files are kept.
    """

    enabled: bool = True
    file: Text = "events.jsonl"
    max_mb: Positive = 100.0
    keep: Annotated[int, Meta(ge=0)] = 10


class PicturesTable(_SinkTable, frozen=True):
    """``[sinks.pictures]``: images with heatmaps.

    Attributes:
        folder: Where they go, below the output directory.
        save: Of which frames: ``flagged`` is every verdict but OK.
        max_age_days: Older ones are deleted.
        max_count: Frames to keep; the oldest are deleted.
        min_free_gb: The oldest are deleted while the disk has less room than this; 0 does not look.
    """

    folder: Text = "pictures"
    save: Literal["flagged", "all", "none"] = "flagged"
    max_age_days: Positive | None = None
    max_count: Count | None = None
    min_free_gb: Annotated[float, Meta(ge=0)] = 1.0


class SqliteTable(_SinkTable, frozen=True):
    """``[sinks.sqlite]``: the event store.

    Attributes:
        file: Its name, below the output directory.
        max_events: Events to keep; the oldest are deleted.
    """

    file: Text = "events.sqlite"
    max_events: Count | None = None


class MqttTable(_SinkTable, frozen=True):
    """``[sinks.mqtt]``: an MQTT broker.

    Attributes:
        host: Of the broker.
        port: Without it, 1883, with TLS 8883.
        topic: What all topics begin with.
        client_id: Name of this client, which must be unique at the broker; without it, machine and topic.
        username: For the broker.
        password_env: The environment variable that holds the password.
        password_file: A file whose first line is the password.
        tls: ``true`` for an encrypted connection.
        ca_file: Certificates to trust instead of the system's; turns TLS on.
        cert_file: A certificate of our own; turns TLS on.
        key_file: Its key.
        keepalive_s: After one and a half times this without a sign of life, the broker publishes the last
            will.
        max_waiting: Events that may wait on disk.
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


class WebhookTable(_SinkTable, frozen=True):
    """``[sinks.webhook]``: an address that takes events by POST.

    Attributes:
        url: Where to POST; one of ``url``, ``url_env`` and ``url_file`` is needed.
        url_env: The environment variable that holds it, if there is a secret in it.
        url_file: A file whose first line it is.
        token_env: The environment variable with the token that is sent as ``Authorization: Bearer ...``.
        token_file: A file whose first line is the token.
        timeout_s: Seconds to wait for an answer.
        verdicts: Which events are sent.
        max_waiting: Events that may wait on disk.
    """

    url: str = ""
    url_env: str = ""
    url_file: str = ""
    token_env: str = ""
    token_file: str = ""
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 5.0
    verdicts: tuple[VerdictName, ...] = ("REVIEW", "NG", "INVALID")
    max_waiting: Count = 1_000_000


class ModbusTable(_SinkTable, frozen=True):
    """``[sinks.modbus]``: coils of a reject gate.

    Attributes:
        host: The controller, a Modbus TCP server.
        coils: Camera to coil address, ``{ left = 1 }``; ``"*"`` stands for all cameras that are not named.
        heartbeat_coil: Address of a coil that changes all the time.
        port: Of the controller.
        unit: Its unit number.
        heartbeat_s: How often the heartbeat changes and all coils are written again, in seconds.
        pass_s: For how long a passing decision holds, in seconds.
        passes: Decisions that pass; ``INVALID`` cannot.
    """

    host: Text
    coils: Annotated[dict[str, Coil], Meta(min_length=1)]
    heartbeat_coil: Coil
    port: Port = 502
    unit: Annotated[int, Meta(ge=0, le=255)] = 1
    heartbeat_s: Annotated[float, Meta(ge=0.05, le=60)] = 0.5
    pass_s: Positive = 0.5
    passes: tuple[VerdictName, ...] = ("OK",)


class ClipTable(_SinkTable, frozen=True):
    """``[sinks.clip]``: clips around events.

    Attributes:
        folder: Where they go, below the output directory.
        before_s: Seconds to show before an event whose decision does not pass.
        after_s: Seconds to show after the last such event.
        longest_s: A clip does not show more than this after its event.
        memory_mb: The most that the frames of one camera before an event may take; beyond, less is shown.
        width_px: Wider frames are scaled to this width.
        max_age_days: Older clips are deleted.
        max_count: Clips to keep; the oldest are deleted.
        min_free_gb: The oldest are deleted while the disk has less room than this; 0 does not look.
    """

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
    """``[metrics]``: Prometheus metrics and health.

    Attributes:
        host: Any other address than this machine's own shows it to the network, without a password.
        port: Of the page; 0 takes a free one.
    """

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
