"""What the tables of a line's TOML file are made of, and how one is read."""

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
    """A table whose keys are all known."""


class MetricsTable(SinkTable, frozen=True):
    """``[metrics]``: Prometheus metrics and health.

    Attributes:
        host: Any other address than this machine's own shows it to the network, without a password.
        port: Of the page; 0 takes a free one.
    """

    host: Text = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 9108


TableType = TypeVar("TableType", bound=msgspec.Struct)
SinkTableType = TypeVar("SinkTableType", bound=SinkTable)


@dataclass(frozen=True)
class SinkKind(Generic[SinkTableType]):
    """A kind of sink, and the table ``[sinks.NAME]`` that asks for it.

    Attributes:
        name: That of its table, under which its faults are reported.
        table: What the table holds.
        make: Makes the sink, not yet opened, with its files below a folder; None if the table wants none.
        default: The table where the file has none; None for no sink then.
    """

    name: str
    table: type[SinkTableType]
    make: Callable[[SinkTableType, Path], AnySink | None]
    default: SinkTableType | None = None


def read_table(kind: type[TableType], content: Mapping[str, Any], name: str) -> TableType:
    """Read a table as TOML gives it.

    Args:
        kind: Such as :class:`MetricsTable`.
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
            f"[{name}]: {text}.", f"The keys of [{name}] are in docs/reference/line-toml.md."
        ) from error
