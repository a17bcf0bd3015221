"""Registry of sink kinds, and creation of the configured sinks.

To add a kind of sink: one file that defines ``KIND``, and one line in :data:`SINKS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec

from .files import clips, jsonl, pictures, sqlite
from .remote import modbus, mqtt, webhook
from .settings import AnySink, SinkKind, SinkTable, read_table

# In the order in which they are opened.
SINKS: tuple[SinkKind[Any], ...] = (
    jsonl.KIND,
    sqlite.KIND,
    modbus.KIND,
    mqtt.KIND,
    webhook.KIND,
    pictures.KIND,
    clips.KIND,
)


@dataclass(frozen=True)
class SinksTable:
    """``[sinks]``: the configured sinks; by default JSON lines and images.

    Attributes:
        tables: The tables in the file, by the names of their kinds.
    """

    tables: Mapping[str, SinkTable] = field(default_factory=dict)

    def table(self, kind: SinkKind[Any]) -> SinkTable | None:
        """Return the table of a kind, or its default; None for no such sink."""
        return self.tables.get(kind.name, cast("SinkTable | None", kind.default))

    @property
    def jsonl(self) -> jsonl.JsonLinesTable:
        """``[sinks.jsonl]``."""
        return cast(jsonl.JsonLinesTable, self.table(jsonl.KIND))

    @property
    def pictures(self) -> pictures.PicturesTable:
        """``[sinks.pictures]``."""
        return cast(pictures.PicturesTable, self.table(pictures.KIND))

    @property
    def mqtt(self) -> mqtt.MqttTable | None:
        """``[sinks.mqtt]``, whose broker is used for MQTT triggers too."""
        return cast("mqtt.MqttTable | None", self.table(mqtt.KIND))


def read_sinks(content: Mapping[str, Any]) -> SinksTable:
    """Read ``[sinks]`` from TOML values.

    Raises:
        OptionError: A key is unknown or missing, or has an invalid value; the message names the key.
    """
    fields: list[tuple[str, Any, Any]] = [(kind.name, kind.table | None, None) for kind in SINKS]
    whole = msgspec.defstruct("Sinks", fields, forbid_unknown_fields=True, kw_only=True)
    found = read_table(whole, content, "sinks")
    return SinksTable({kind.name: one for kind in SINKS if (one := getattr(found, kind.name)) is not None})


def open_sinks(settings: SinksTable, output: Path) -> dict[str, AnySink]:
    """Create the configured sinks, by the names of their tables; ``with`` opens them.

    Files and folders are below ``output``, unless their paths are absolute.

    Raises:
        OptionError: A password cannot be read, or an address is invalid.
    """
    wanted = ((kind, settings.table(kind)) for kind in SINKS)
    made = {kind.name: kind.make(table, output) for kind, table in wanted if table is not None}
    return {name: sink for name, sink in made.items() if sink is not None}
