"""Registry of trigger kinds, and creation of the configured triggers.

To add a kind of trigger: one file that defines ``KIND``, and one line in :data:`TRIGGERS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import msgspec

from . import http_trigger, mqtt_trigger, region_trigger, time_trigger
from .triggers import Listening, MessageTrigger, Trigger, TriggerKind, TriggerTable

TRIGGERS: tuple[TriggerKind[Any], ...] = (
    time_trigger.KIND,
    http_trigger.KIND,
    mqtt_trigger.KIND,
    region_trigger.KIND,
)


def read_trigger(content: Any) -> TriggerTable:
    """Read ``trigger`` of a camera from TOML values. Keys of other kinds are ignored.

    Raises:
        ValidationError: A key is unknown or missing, or has an invalid value.
    """
    msgspec.convert(content, _any_kind())
    kind = _kind(content["by"])
    own = {key: value for key, value in content.items() if key in kind.table.__struct_fields__}
    table: TriggerTable = msgspec.convert(own, kind.table)
    return table


def make_triggers(tables: Mapping[str, TriggerTable]) -> dict[str, Trigger]:
    """Create the triggers of cameras, by camera name."""
    return {name: _kind(table.by).make(table) for name, table in tables.items()}


@contextmanager
def listen_for_triggers(
    tables: Mapping[str, TriggerTable], triggers: Mapping[str, Trigger], listening: Listening
) -> Iterator[None]:
    """Start the listeners that fire message triggers, for the duration of the block.

    Raises:
        OptionError: A trigger needs a broker, and there is none.
        OutputError: A port is taken.
    """
    with ExitStack() as stack:
        for kind in TRIGGERS:
            own = {
                name: one
                for name, one in triggers.items()
                if isinstance(one, MessageTrigger) and tables[name].by == kind.name
            }
            if own and kind.listen is not None:
                stack.enter_context(kind.listen(listening, own))
        yield


def _kind(name: str) -> TriggerKind[Any]:
    return next(kind for kind in TRIGGERS if kind.name == name)


def _any_kind() -> type[msgspec.Struct]:
    """A table with the keys of all kinds."""
    fields = {field.name: field for kind in TRIGGERS for field in msgspec.structs.fields(kind.table)}
    del fields["by"]
    known = [(name, field.type, field.default) for name, field in fields.items()]
    names: Any = Literal.__getitem__(tuple(kind.name for kind in TRIGGERS))
    return msgspec.defstruct("Trigger", [("by", names), *known], forbid_unknown_fields=True, kw_only=True)
