from pathlib import Path

import pytest

from pcedge.camera import TRIGGERS, Frame, RegionTable, TriggerKind, TriggerTable, make_triggers
from pcedge.errors import OptionError
from pcedge.line.config import CameraTable, LineFile, read_line_file

WHOLE = """
[[camera]]
name = "left"
source = "rtsp://10.0.0.7/stream"
product = "lid"
threshold = 0.7
review = 0.5
region = [100, 50, 800, 600]
mask = "left-mask.png"
size = [1920, 1080]
fps = 15
exposure = 120
focus = 30
frozen_after = 0
trigger = { by = "region", box = [0, 0, 100, 50], frames = 3 }

[[camera]]
name = "right"
source_env = "RIGHT_CAMERA"
gate = false
debounce = [3, 5]

[watch]
output = "results"
batch = 2
stall_s = 5

[sinks.pictures]
save = "all"

[metrics]
port = 9200
"""


def _read(tmp_path: Path, text: str) -> LineFile:
    path = tmp_path / "line.toml"
    path.write_text(text, encoding="utf-8")
    return read_line_file(path)


def test_a_whole_file_becomes_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "line.toml"
    path.write_text(WHOLE, encoding="utf-8")
    line = read_line_file(path)
    left, right = line.cameras

    assert (left.name, left.threshold, left.review, left.region) == ("left", 0.7, 0.5, (100, 50, 800, 600))
    assert (left.size, left.fps, left.exposure, left.focus) == ((1920, 1080), 15, 120, 30)
    assert left.trigger is not None
    assert left.trigger == RegionTable(by="region", frames=3, box=(0, 0, 100, 50), change=12.0)
    assert (right.debounce, right.gate, right.frozen_after) == ((3, 5), False, 25)
    assert (line.watch.batch, line.watch.stall_s, line.watch.runtime) == (2, 5.0, "auto")
    assert line.sinks.pictures.save == "all"
    assert line.metrics is not None
    assert line.metrics.port == 9200
    with pytest.raises(OptionError, match="RIGHT_CAMERA is not set"):
        _ = right.address
    monkeypatch.setenv("RIGHT_CAMERA", "rtsp://me:hunter2@10.0.0.8/")
    assert right.address == "rtsp://me:hunter2@10.0.0.8/"


def test_one_camera_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "line.toml"
    path.write_text('[[camera]]\nsource = "0"\n', encoding="utf-8")

    assert read_line_file(path).cameras == (CameraTable(source="0"),)


ONE = '[[camera]]\nsource = "0"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("there is no [[camera]]",)),
        ("camera = 3", ("there is no [[camera]]",)),
        ("[[camera]\n", ("is not TOML", "line 1")),
        (f"{ONE}[sink]\n", ("there is no table [sink]", "[sinks]")),
        (f"{ONE}colour = 1\n", ("camera[0]", "colour")),
        (
            '[[camera]]\nsource = "0"\nname = "a"\n[[camera]]\nsource = 1\nname = "b"',
            ("camera[1].source", "str"),
        ),
        ("[[camera]]\n", ("camera[0]", "source and source_env")),
        (f"{ONE}[[camera]]\nsource = '1'\n", ("every one needs a name of its own",)),
        (f"{ONE}threshold = 'high'\n", ("camera[0].threshold",)),
        (f"{ONE}region = [1, 2, 3]\n", ("camera[0].region", "length 4")),
        (f"{ONE}region = [1, 2, 0, 5]\n", ("camera[0].region[2]", ">= 1")),
        (f"{ONE}name = 'a/b'\n", ("camera[0].name",)),
        (f"{ONE}debounce = [4, 3]\n", ("camera[0]", "n of at most m")),
        (f"{ONE}trigger = {{ by = 'time' }}\n", ("camera[0].trigger", "every_s")),
        (f"{ONE}trigger = {{ by = 'moon' }}\n", ("camera[0].trigger.by", "moon")),
        (f"{ONE}trigger = {{ by = 'http' }}\ndebounce = [1, 2]\n", ("camera[0]", "cameras without trigger")),
        (f"{ONE}trigger = 'http'\n", ("camera[0].trigger", "object")),
        (f"{ONE}[watch]\nbatches = 3\n", ("watch", "batches")),
        (f"{ONE}[watch]\nbatch = 0\n", ("watch.batch", ">= 1")),
        (f"{ONE}[watch]\ndrift_alarm_rate = 1.0\n", ("watch.drift_alarm_rate", "< 1")),
        (f"{ONE}[sinks.pictures]\nsave = 'some'\n", ("sinks.pictures.save", "some")),
        (f"{ONE}[metrics]\nport = 99999\n", ("metrics.port",)),
    ],
)
def test_a_mistake_is_named_with_file_table_and_key(
    tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(OptionError) as caught:
        _read(tmp_path, text)

    assert str(tmp_path / "line.toml") in caught.value.what
    for word in words:
        assert word in str(caught.value)
    assert caught.value.hint


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"none\.toml: cannot be read"):
        read_line_file(tmp_path / "none.toml")


class _DoorTable(TriggerTable, frozen=True, kw_only=True):
    door: str = "left"


class _DoorTrigger:
    def __init__(self, door: str) -> None:
        self.door = door

    def see(self, frame: Frame) -> None:
        """A door does not look."""

    def fired_before(self, clock_s: float) -> float | None:
        return None


def test_a_kind_of_trigger_is_one_line_in_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = TriggerKind("door", _DoorTable, lambda table: _DoorTrigger(table.door))
    monkeypatch.setattr("pcedge.camera.parts.registry.TRIGGERS", (*TRIGGERS, kind))

    (camera,) = _read(tmp_path, f"{ONE}trigger = {{ by = 'door', door = 'right', frames = 2 }}\n").cameras
    assert camera.trigger is not None
    trigger = make_triggers({"a": camera.trigger})["a"]

    assert isinstance(trigger, _DoorTrigger)
    assert (trigger.door, camera.trigger.frames) == ("right", 2)
    with pytest.raises(OptionError, match=r"\[camera\[0\]\.trigger\]: .* unknown field `window`"):
        _read(tmp_path, f"{ONE}trigger = {{ by = 'door', window = 1 }}\n")


def test_keys_of_another_kind_of_trigger_do_no_harm(tmp_path: Path) -> None:
    (camera,) = _read(tmp_path, f"{ONE}trigger = {{ by = 'http', change = 5.0, every_s = 2 }}\n").cameras

    assert camera.trigger == TriggerTable(by="http")
