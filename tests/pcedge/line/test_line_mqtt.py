from pathlib import Path

import pytest

from pcedge.camera import Listening, listen_for_triggers, make_triggers, mqtt_broker
from pcedge.errors import OptionError
from pcedge.line.config import read_line_file

LINE = '[[camera]]\nname = "left"\nsource = "0"\ntrigger = { by = "mqtt" }\n[sinks.mqtt]\nhost = "broker"\n'


def test_a_camera_can_be_triggered_by_mqtt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    monkeypatch.setattr("pcedge.camera.parts.mqtt_trigger.MqttTriggers.__enter__", opened.append)
    (tmp_path / "line.toml").write_text(LINE)
    line = read_line_file(tmp_path / "line.toml")
    (camera,) = line.cameras
    assert camera.trigger is not None
    assert camera.trigger.by == "mqtt"
    mqtt = line.sinks.mqtt
    assert mqtt is not None
    triggers = make_triggers({"left": camera.trigger})
    listening = Listening(broker=lambda: mqtt_broker(mqtt), topic=mqtt.topic)

    with listen_for_triggers({"left": camera.trigger}, triggers, listening):
        assert [type(one).__name__ for one in opened] == ["MqttTriggers"]


def test_a_trigger_by_mqtt_needs_a_broker(tmp_path: Path) -> None:
    (tmp_path / "line.toml").write_text(LINE)
    (camera,) = read_line_file(tmp_path / "line.toml").cameras
    assert camera.trigger is not None
    tables = {"left": camera.trigger}

    with (
        pytest.raises(OptionError, match="left: an MQTT trigger needs a broker"),
        listen_for_triggers(tables, make_triggers(tables), Listening()),
    ):
        pytest.fail("opened")
