"""``pcedge explain``, as on a device."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pcedge.camera import read_image

from ..conftest import Line, Run


@pytest.mark.parametrize(("part", "verdict"), [("scratch", "NG"), ("good", "OK")])
def test_one_picture_is_judged_and_explained_without_torch(
    pcedge: Run, exported_line: Line, tmp_path: Path, part: str, verdict: str
) -> None:
    image = next(exported_line.dataset.glob(f"test/{part}/*.png"))
    sheet = tmp_path / "sheet.png"

    options = ("--models", exported_line.models, "-o", sheet, "--json")
    done = pcedge("explain", image, "--model", "line", *options, torch=False)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["verdict"] == verdict
    assert told["files"] == {"sheet": str(sheet)}
    nearest = told["regions"][0]["nearest_normal"]
    assert (exported_line.dataset / nearest["image"]).is_file()
    assert nearest["times_typical"] == pytest.approx(
        nearest["distance"] / nearest["typical_distance"], abs=1e-3
    )
    assert read_image(sheet).shape[1] == 1240


def test_bad_input_is_said_in_words(
    pcedge: Run, exported_line: Line, tmp_path: Path, assert_clear: Callable[..., None]
) -> None:
    options = ("--models", exported_line.models)
    (tmp_path / "none.png").write_bytes(b"")

    assert_clear(pcedge("explain", tmp_path / "none.png", *options, cwd=tmp_path), "none.png")
    assert_clear(
        pcedge("explain", "a", "b", "c", *options, cwd=tmp_path), "unexpected extra argument", code=2
    )
    assert_clear(pcedge("explain", "line", *options, cwd=tmp_path), "line is a bundle", "no image is named")
    assert list(tmp_path.iterdir()) == [tmp_path / "none.png"]
