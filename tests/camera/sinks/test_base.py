import json
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from pcedge.camera import Event, Frame, ImageSink, Inspection, Verdict, read_image
from pcedge.errors import OptionError, OutputError

CAPTURED_AT = datetime(2026, 11, 22, 10, 15, 30, 123456, timezone.utc).timestamp()
NOISE = np.random.default_rng(0).integers(0, 255, (50, 300, 3), dtype=np.uint8)
FRAME = Frame("cam0", 12, "frame-000012", CAPTURED_AT, NOISE)
NG = Inspection(
    Verdict.NG,
    3.5,
    2.0,
    "",
    np.full((10, 10), 3, np.float32),
    np.array([[30.0, 0, 14.5], [0, 5.0, 2.0]]),
    2.0,
    p_value=0.01,
)
EVENT = Event.of(FRAME, NG, 12.3456, {"picture": "a.png"})


def test_an_event_is_one_line_of_plain_json() -> None:
    line = EVENT.to_json()

    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-11-22T10:15:30.123456+00:00",
        "id": "cam0-20261122T101530.123456-000012",
        "phase": "end",
        "camera": "cam0",
        "product": "",
        "source": "cam0",
        "frame": 12,
        "name": "frame-000012",
        "score": 3.5,
        "p_value": 0.01,
        "verdict": "NG",
        "decision": "NG",
        "threshold": 2.0,
        "review_threshold": None,
        "regions": [],
        "latency_ms": 12.346,
        "reason": "",
        "files": {"picture": "a.png"},
        "drift": {},
    }


def test_what_was_not_judged_is_null_and_numpy_numbers_are_plain() -> None:
    not_judged = Event.of(FRAME, Inspection(Verdict.INVALID, None, math.nan, 'black\n"x"'), 0.0, {})
    numpy_score = replace(EVENT, score=np.float32(1.5), threshold=math.inf)  # type: ignore[arg-type]

    fields = json.loads(not_judged.to_json())
    assert (fields["score"], fields["threshold"]) == (None, None)
    assert fields["reason"] == 'black\n"x"'
    assert json.loads(numpy_score.to_json())["score"] == 1.5
    assert json.loads(numpy_score.to_json())["threshold"] is None


def test_an_event_can_be_made_of_any_mapping_of_files() -> None:
    event = replace(EVENT, files=MappingProxyType({"picture": "b.png"}))

    assert json.loads(event.to_json())["files"] == {"picture": "b.png"}


def test_kept_pictures_are_the_original_and_its_heatmap(tmp_path: Path) -> None:
    files = ImageSink(tmp_path / "new").write(FRAME, NG)

    assert files == {
        "picture": "20261122T101530.123456-cam0-000012-NG.png",
        "heatmap": "20261122T101530.123456-cam0-000012-NG-heatmap.jpg",
    }
    assert np.array_equal(read_image(tmp_path / "new" / files["picture"]), NOISE)
    heatmap = read_image(tmp_path / "new" / files["heatmap"])
    assert heatmap.shape == NOISE.shape, "the heatmap lies on the image pixel for pixel"
    assert len(list((tmp_path / "new").iterdir())) == 2


@pytest.mark.parametrize("folder", ["pictures", "kept/of today"])
def test_pictures_in_a_folder_are_named_with_it(tmp_path: Path, folder: str) -> None:
    pictures = ImageSink(tmp_path / "new", folder=folder)

    first, second = pictures.write(FRAME, NG), pictures.write(FRAME, NG)

    assert first["picture"] == f"{folder}/20261122T101530.123456-cam0-000012-NG.png"
    assert first["heatmap"] == f"{folder}/20261122T101530.123456-cam0-000012-NG-heatmap.jpg"
    named = {tmp_path / "new" / file for file in (*first.values(), *second.values())}
    assert named == set((tmp_path / "new" / folder).iterdir())
    assert len(named) == 4


@pytest.mark.parametrize(
    ("save", "kept"),
    [
        ("flagged", {"REVIEW", "NG", "INVALID"}),
        ("all", {v.value for v in Verdict}),
        ("none", set()),
    ],
)
def test_which_pictures_are_kept(tmp_path: Path, save: str, kept: set[str]) -> None:
    pictures = ImageSink(tmp_path, save)  # type: ignore[arg-type]

    written = {v.value for v in Verdict if pictures.write(FRAME, replace(NG, verdict=v))}

    assert written == kept
    assert len(list(tmp_path.iterdir())) == 2 * len(kept)


def test_an_unknown_choice_of_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="'some'"):
        ImageSink(tmp_path, "some")  # type: ignore[arg-type]


def test_no_picture_is_overwritten(tmp_path: Path) -> None:
    pictures = ImageSink(tmp_path)

    names = [pictures.write(FRAME, NG)["picture"] for _ in range(3)]

    assert len(set(names)) == 3
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.parametrize(
    "source", ["rtsp://***@10.0.0.9/a?b=c", "folder:/data/../x", "", "\u65e5\u672c", "a" * 300]
)
def test_file_names_are_fit_for_any_system(tmp_path: Path, source: str) -> None:
    name = ImageSink(tmp_path).write(replace(FRAME, source=source), NG)["picture"]

    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")
    assert len(name) < 100
    assert (tmp_path / name).exists()


def test_a_frame_without_picture_leaves_none(tmp_path: Path) -> None:
    assert ImageSink(tmp_path, "all").write(replace(FRAME, image_rgb=None), NG) == {}
    assert list(tmp_path.iterdir()) == []


def test_pictures_that_cannot_be_kept_are_an_output_error(
    tmp_path: Path, no_room: Callable[[], AbstractContextManager[None]]
) -> None:
    (tmp_path / "file").touch()

    with no_room(), pytest.raises(OutputError, match="File too large"):
        ImageSink(tmp_path).write(FRAME, NG)
    with pytest.raises(OutputError, match="cannot be created or cleaned up"):
        ImageSink(tmp_path / "file").write(FRAME, NG)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
