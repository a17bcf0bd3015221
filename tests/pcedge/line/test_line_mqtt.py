from pathlib import Path

import pytest

from pcedge.camera import MessageTrigger
from pcedge.errors import OptionError
from pcedge.line.config import read_line_file
from pcedge.line.open_line import _mqtt_triggers


def test_a_camera_can_be_triggered_by_mqtt(tmp_path: Path) -> None:
    (tmp_path / "line.toml").write_text(
        '[[camera]]\nname = "left"\nsource = "0"\ntrigger = { by = "mqtt" }\n[sinks.mqtt]\nhost = "broker"\n'
    )

    line = read_line_file(tmp_path / "line.toml")

    (camera,) = line.cameras
    assert camera.trigger is not None
    assert camera.trigger.by == "mqtt"
    assert _mqtt_triggers(line.sinks.mqtt, {"left": MessageTrigger()}) is not None


def test_a_trigger_by_mqtt_needs_a_broker() -> None:
    with pytest.raises(OptionError, match="left: a trigger by MQTT needs a broker"):
        _mqtt_triggers(None, {"left": MessageTrigger()})
