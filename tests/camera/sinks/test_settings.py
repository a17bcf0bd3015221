import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pcedge.camera import (
    SINKS,
    Clips,
    Delivery,
    Event,
    EventStore,
    Health,
    HealthServer,
    ImageSink,
    JsonLines,
    MetricsTable,
    Posted,
    RejectGate,
    Secret,
    SinkKind,
    SinksTable,
    SinkTable,
    open_sinks,
    read_secret,
    read_sinks,
    read_table,
)
from pcedge.errors import MissingExtraError, OptionError

PASSWORD = "hunter2-Swordfish"
ALL: dict[str, Any] = {
    "jsonl": {"max_mb": 5, "keep": 3},
    "pictures": {"save": "all", "max_age_days": 30},
    "sqlite": {},
    "mqtt": {"host": "broker", "username": "line", "password_env": "MQTT_PASSWORD"},
    "webhook": {"url": "https://example.com/in", "verdicts": ["NG"]},
    "modbus": {"host": "plc", "heartbeat_coil": 0, "coils": {"cam0": 1}},
    "clip": {"before_s": 2},
}


def _read(content: dict[str, Any]) -> SinksTable:
    return read_sinks(content)


def test_every_sink_can_be_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQTT_PASSWORD", PASSWORD)

    sinks = open_sinks(_read(ALL), tmp_path)

    assert {name: type(sink) for name, sink in sinks.items()} == {
        "jsonl": JsonLines,
        "sqlite": EventStore,
        "modbus": RejectGate,
        "mqtt": Posted,
        "webhook": Posted,
        "pictures": ImageSink,
        "clip": Clips,
    }
    assert list(tmp_path.iterdir()) == [], "nothing is made before it is opened"


def test_without_settings_there_are_json_lines_and_pictures(tmp_path: Path) -> None:
    assert list(open_sinks(_read({}), tmp_path)) == ["jsonl", "pictures"]
    assert list(open_sinks(_read({"jsonl": {"enabled": False}}), tmp_path)) == ["pictures"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"mqqt": {}}, "unknown field `mqqt`"),
        ({"mqtt": {"host": "b", "pasword_env": "X"}}, r"unknown field `pasword_env` - at `sinks\.mqtt`"),
        ({"mqtt": {}}, "missing required field `host`"),
        ({"mqtt": {"host": "b", "port": 0}}, r"sinks\.mqtt\.port"),
        ({"mqtt": {"host": "b", "password": PASSWORD}}, "unknown field `password`"),
        ({"jsonl": {"max_mb": "much"}}, r"sinks\.jsonl\.max_mb"),
        ({"pictures": {"save": "some"}}, "Invalid enum value 'some'"),
        ({"webhook": {}}, "webhook needs url"),
        ({"webhook": {"url": "x", "verdicts": ["BAD"]}}, r"sinks\.webhook\.verdicts"),
        (
            {"modbus": {"host": "p", "heartbeat_coil": 1, "coils": {"cam0": 1}}},
            "heartbeat_coil is also one of",
        ),
        ({"modbus": {"host": "p", "heartbeat_coil": 1, "coils": {}}}, r"sinks\.modbus\.coils"),
        (
            {"modbus": {"host": "p", "heartbeat_coil": 0, "coils": {"a": 1}, "passes": ["INVALID"]}},
            "passes contains INVALID, which must never pass",
        ),
    ],
)
def test_what_is_wrong_is_named(content: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words) as caught:
        _read(content)
    assert PASSWORD not in str(caught.value)
    assert "[sinks]" in str(caught.value)


@pytest.mark.parametrize(
    ("table", "module"),
    [
        ({"mqtt": {"host": "127.0.0.1"}}, "paho.mqtt.client"),
        ({"modbus": {"host": "127.0.0.1", "heartbeat_coil": 0, "coils": {"*": 1}}}, "pymodbus.client"),
    ],
)
def test_a_library_that_is_not_installed_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: dict[str, Any], module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with (
        pytest.raises(MissingExtraError, match=r"pcedge\[line\]"),
        Delivery(open_sinks(_read(table), tmp_path)),
    ):
        pytest.fail("opened")


def test_the_metrics_page_names_its_extra_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    server = HealthServer("127.0.0.1", 0, readings=list, health=lambda: Health(alive=True, ready=True))

    with pytest.raises(MissingExtraError, match=r"pcedge\[line\]"), server:
        pytest.fail("opened")


def test_metrics_listen_to_this_machine_only_unless_told() -> None:
    assert read_table(MetricsTable, {}, "metrics").host == "127.0.0.1"


def test_a_secret_comes_from_the_environment_or_a_file_and_is_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", PASSWORD)
    (tmp_path / "secret").write_text(f"{PASSWORD}\nsecond line\n")

    found = [read_secret("x", env="SECRET"), read_secret("x", file=str(tmp_path / "secret"))]

    assert found == [Secret(PASSWORD)] * 2
    assert PASSWORD not in f"{found}"
    assert read_secret("x") is None


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"env": "NOT_SET"}, "NOT_SET is empty or not set"),
        ({"env": "A", "file": "b"}, "both set"),
        ({"file": "missing"}, "cannot be read: No such file"),
        ({"file": "empty"}, "is empty or not set"),
        ({"file": "binary"}, "it is not text"),
    ],
)
def test_a_secret_that_is_not_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: dict[str, str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xff")

    with pytest.raises(OptionError, match=words):
        read_secret("sinks.mqtt: password", **where)


class _LampTable(SinkTable, frozen=True):
    colour: str = "red"


@dataclass
class _Lamp:
    colour: str
    lit: list[Event] = field(default_factory=list)

    def write(self, event: Event) -> None:
        self.lit.append(event)

    def __enter__(self) -> "_Lamp":
        return self

    def __exit__(self, *_: object) -> None:
        return None


def test_a_kind_of_sink_is_one_line_in_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lamp = SinkKind("lamp", _LampTable, lambda table, _output: _Lamp(table.colour))
    monkeypatch.setattr("pcedge.camera.sinks.registry.SINKS", (*SINKS, lamp))

    opened = open_sinks(_read({"lamp": {"colour": "green"}}), tmp_path)

    assert list(opened) == ["jsonl", "pictures", "lamp"]
    assert opened["lamp"] == _Lamp("green")
    with pytest.raises(OptionError, match=r"unknown field `color` - at `sinks\.lamp`"):
        _read({"lamp": {"color": "green"}})
