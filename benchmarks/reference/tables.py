"""Pages of ``line.toml`` and of the JSON files: the fields of the values that they are read into."""

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import inspect as kinds

from pcedge.bundles.manifest import Manifest
from pcedge.camera import SINKS, TRIGGERS, Event, MetricsTable, TriggerTable
from pcedge.deployment.bench.result import Bench
from pcedge.evaluation.runs.schema import Curves, Run
from pcedge.inspection.verification.certificate import Certificate
from pcedge.line.config import CameraTable, WatchTable
from pcedge.studies.comparison.entries import Comparison
from pcedge.studies.planning.points import Plan
from pcedge.studies.sweeps.points import Sweep

from .commands import NOTE, cell

FILES = {
    "manifest.json": (Manifest, "in every [bundle](../concepts/bundle.md) of PatchCore"),
    "verify --json": (
        Certificate,
        "a list `certificates` of these, of a bundle that was [verified](../guide/verify.md)",
    ),
    "run.json": (Run, "in every [run](runs.md)"),
    "curves.json": (Curves, "beside it"),
    "comparison.json": (Comparison, "of [`pcedge compare`](../guide/compare.md)"),
    "sweep.json": (Sweep, "of [`pcedge sweep`](../guide/sweep.md)"),
    "plan --json": (Plan, "of [`pcedge plan`](../guide/plan.md)"),
    "bench --json": (Bench, "of [`pcedge bench`](../guide/bench.md)"),
}


def line_page() -> Iterator[str]:
    """Every table and key of ``line.toml``."""
    yield from ("# line.toml", "", NOTE, "")
    yield (
        "The file that `pcedge watch --config` reads; [watch](../guide/watch.md) and "
        "[sinks](../guide/sinks.md) show examples. Paths are relative to it. An unknown key is an error "
        "that names file, table and key."
    )
    tables: dict[str, type] = {
        "[[camera]]": CameraTable,
        "trigger of a [[camera]]": TriggerTable,
        **{
            f"trigger, {_summary(one.table).partition(':')[0]}": one.table
            for one in TRIGGERS
            if one.table is not TriggerTable
        },
        "[watch]": WatchTable,
        **{f"[sinks.{one.name}]": one.table for one in SINKS},
        "[metrics]": MetricsTable,
    }
    for title, kind in tables.items():
        yield from ("", f"## {title}", "", _summary(kind), "")
        yield from _fields(kind, "key")


def schema_page() -> Iterator[str]:
    """Every JSON file, with the values inside it."""
    yield from ("# JSON files and their fields", "", NOTE, "")
    yield "Readers ignore fields that they do not know; files of a newer schema version are refused."
    yield from ("", "## events.jsonl", "", "One line for each judged frame.", "")
    yield from _event()
    told: set[type] = set()
    for title, (kind, where) in FILES.items():
        yield from ("", f"## {title}", "", f"{where[0].upper()}{where[1:]}.", "", _summary(kind), "")
        yield from _fields(kind, "field")
        for inner in _inside(kind):
            if inner not in told and inner is not kind:
                told.add(inner)
                yield from ("", f"### {inner.__name__}", "", _summary(inner), "")
                yield from _fields(inner, "field")


def meanings(kind: type) -> dict[str, str]:
    """What the docstring of a class says of its attributes, those of its bases included."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        after = inspect.cleandoc(one.__doc__ or "").partition("Attributes:\n")[2].split("\n\n")[0]
        for name, text in re.findall(r"^    (\w+): ((?:.|\n        )*)", after, re.MULTILINE):
            found[name] = " ".join(text.split()).replace("``", "`")
    return found


def _summary(kind: type) -> str:
    text = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:")[0].strip()
    return " ".join(re.sub(r":\w+:`~?[\w.]*?(\w+)`", r"`\1`", text).replace("``", "`").split())


def _event() -> Iterator[str]:
    yield from ("| field | |", "|---|---|")
    told = meanings(Event)
    for one in dataclasses.fields(Event):
        if one.repr:
            yield f"| `{one.name}` | {_meaning(told, one.name)} |"


def _meaning(told: dict[str, str], name: str) -> str:
    return cell(re.sub(r":\w+:`~?[\w.]*?(\w+)`", r"`\1`", told.get(name, "")))


def _fields(kind: type, heading: str) -> Iterator[str]:
    told = meanings(kind)
    yield from (f"| {heading} | type | default | |", "|---|---|---|---|")
    for one in kinds.type_info(kind).fields:  # type: ignore[attr-defined]
        yield f"| `{one.name}` | {_type(one.type)} | {_default(one)} | {_meaning(told, one.name)} |"


def _default(field: kinds.Field) -> str:
    if field.required:
        return "needed"
    value = field.default
    if value is msgspec.NODEFAULT or value is None or value in ("", ()) or dataclasses.is_dataclass(value):
        return ""
    return "" if isinstance(value, msgspec.Struct) else f"`{msgspec.json.encode(value).decode()}`"


_TYPES: dict[Any, Callable[[Any], str]] = {
    kinds.StrType: lambda _: "text",
    kinds.BoolType: lambda _: "true or false",
    kinds.IntType: lambda kind: f"integer{_limits(kind)}",
    kinds.FloatType: lambda kind: f"number{_limits(kind)}",
    kinds.UnionType: lambda kind: " or ".join(map(_type, _without_none(kind))),
    kinds.LiteralType: lambda kind: ", ".join(f"`{value}`" for value in kind.values),
    kinds.EnumType: lambda kind: ", ".join(f"`{one.value}`" for one in kind.cls),
    kinds.TupleType: lambda kind: f"list of {len(kind.item_types)}",
    kinds.VarTupleType: lambda kind: f"list of {_type(kind.item_type)}",
    kinds.DictType: lambda kind: f"object of {_type(kind.value_type)}",
    kinds.StructType: lambda kind: str(kind.cls.__name__),
    kinds.DataclassType: lambda kind: str(kind.cls.__name__),
}


def _type(kind: Any) -> str:
    """A type in words."""
    return _TYPES[type(kind)](kind)


def _without_none(kind: kinds.UnionType) -> list[kinds.Type]:
    return [one for one in kind.types if not isinstance(one, kinds.NoneType)]


def _limits(kind: Any) -> str:
    limits = {"at least": "ge", "above": "gt", "at most": "le", "below": "lt"}
    found = [
        f"{words} {getattr(kind, name):g}"
        for words, name in limits.items()
        if getattr(kind, name, None) is not None
    ]
    return f", {', '.join(found)}" if found else ""


def _inside(kind: type) -> Iterator[type]:
    """Classes of the fields of a class, the fields of those included."""
    waiting = [one.type for one in kinds.type_info(kind).fields]  # type: ignore[attr-defined]
    seen: set[type] = set()
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, kinds.UnionType):
            waiting[:0] = one.types
        elif isinstance(one, kinds.DictType):
            waiting.insert(0, one.value_type)
        elif isinstance(one, kinds.VarTupleType | kinds.ListType):
            waiting.insert(0, one.item_type)
        elif isinstance(one, kinds.StructType | kinds.DataclassType) and one.cls not in seen:
            seen.add(one.cls)
            yield one.cls
            waiting += [field.type for field in one.fields]
