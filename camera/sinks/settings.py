"""Base classes of the settings tables in ``line.toml``, and how a table is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from pcedge.errors import OptionError

from .base import FrameSink, Sink

Port = Annotated[int, Meta(ge=1, le=65535)]
Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Text = Annotated[str, Meta(min_length=1)]
VerdictName = Literal["OK", "REVIEW", "NG", "INVALID"]
AnySink = Sink | FrameSink


class SinkTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table that rejects unknown keys."""


class MetricsTable(SinkTable, frozen=True):
    """``[metrics]``: Prometheus metrics and health.

    Attributes:
        host: Address to listen on; with another than 127.0.0.1 the page is visible to the network without a
            password.
        port: Port to listen on; 0 for a free one.
    """

    host: Text = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 9108


TableType = TypeVar("TableType", bound=msgspec.Struct)
SinkTableType = TypeVar("SinkTableType", bound=SinkTable)


@dataclass(frozen=True)
class SinkKind(Generic[SinkTableType]):
    """A kind of sink and its table ``[sinks.NAME]``.

    Attributes:
        name: Name of the table and of the sink in status reports.
        table: Type of the table.
        make: Creates the sink, not yet opened, with its files below a folder; returns None if it is disabled.
        default: The table used if the file has none; None for no sink.
    """

    name: str
    table: type[SinkTableType]
    make: Callable[[SinkTableType, Path], AnySink | None]
    default: SinkTableType | None = None


def read_table(kind: type[TableType], content: Mapping[str, Any], name: str) -> TableType:
    """Read a table from TOML values.

    Args:
        kind: Type of the table, such as :class:`MetricsTable`.
        content: The TOML values.
        name: Name of the table in the file, for messages.

    Raises:
        OptionError: A key is unknown or missing, or has an invalid value; the message names the key.
    """
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        text = str(error).replace("`$", f"`{name}")
        raise OptionError(
            f"[{name}]: {text}.", f"The keys of [{name}] are described in docs/guide/sinks.md."
        ) from error
