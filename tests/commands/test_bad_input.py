"""Bad input to every command but fit: a clear error, the way out, never a traceback."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pcedge.camera import write_image


@pytest.mark.parametrize("command", ["export", "watch"])
def test_commands_before_fit_name_it(pcedge: Any, assert_clear: Any, tmp_path: Path, command: str) -> None:
    camera = ("--camera", "synthetic:") if command == "watch" else ()

    done = pcedge(command, *camera, cwd=tmp_path)

    assert_clear(done, "no current bundle", "pcedge fit")


def test_watch_before_export_names_it(
    pcedge: Any, good_images: Any, assert_clear: Any, tmp_path: Path
) -> None:
    folder = good_images(tmp_path / "data")
    options = ("--backbone", "pcedge-s", "--coreset", "200", "--models", tmp_path / "models")
    assert pcedge("fit", folder, *options).returncode == 0

    done = pcedge("watch", "--camera", "synthetic:", "--models", tmp_path / "models", cwd=tmp_path)

    assert_clear(done, "has not been exported", "pcedge export")


def _change_byte(bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)


def _remove(bundle: Path, name: str) -> None:
    (bundle / name).unlink()


def _newer_schema(bundle: Path, name: str) -> None:
    manifest = json.loads((bundle / name).read_text())
    manifest["schema_version"] = 99
    (bundle / name).write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("damage", "name", "words"),
    [
        (_change_byte, "bank.faiss", ("bank.faiss", "changed")),
        (_change_byte, "embedder.onnx", ("embedder.onnx", "changed")),
        (_remove, "bank_rows.npz", ("bank_rows.npz", "missing")),
        (_remove, "manifest.json", ("manifest.json", "pcedge fit")),
        (_newer_schema, "manifest.json", ("schema version 99", "pip install --upgrade")),
    ],
)
def test_a_damaged_bundle_is_an_error_that_names_the_file(
    pcedge: Any,
    assert_clear: Any,
    line: Any,
    damage: Callable[[Path, str], None],
    name: str,
    words: tuple[str, ...],
) -> None:
    damage(line.models / "line", name)

    done = pcedge("watch", "--camera", "synthetic:?frames=1", "--models", line.models, torch=False)

    assert_clear(done, *words)


def test_export_does_not_vouch_for_a_damaged_bundle(pcedge: Any, assert_clear: Any, line: Any) -> None:
    _change_byte(line.models / "line", "bank.faiss")

    done = pcedge("export", "--models", line.models)

    assert_clear(done, "bank.faiss", "changed")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (("--camera", "97"), ("/dev/video97",)),
        (("--camera", "nowhere.mp4"), ("nowhere.mp4",)),
        (("--folder", "nowhere"), ("nowhere",)),
        (("--camera", "rtsp://user:s3cret@127.0.0.1:9/stream"), ("127.0.0.1",)),
        ((), ("--camera 0", "--folder DIR")),
        (("--camera", "0", "--folder", "x"), ("one thing",)),
        (("--camera", "synthetic:", "--runtime", "magic"), ("'magic'", "onnx")),
        (("--camera", "synthetic:", "--runtime", "tensorrt"), ("TensorRT", "pcedge export --trt")),
        (("--camera", "synthetic:", "--runtime", "torch"), ("torch", "pcedge[fit]")),
        (("--camera", "synthetic:", "--save", "some"), ("'some'", "flagged")),
        (("--camera", "synthetic:", "--threshold", "nan"), ("nan", "--threshold")),
        (("--camera", "synthetic:", "--threshold", "inf"), ("inf", "--threshold")),
        (("--camera", "synthetic:", "--max-seconds", "inf"), ("inf", "--max-seconds")),
    ],
)
def test_watch_says_what_is_wrong_with_its_source_or_options(
    pcedge: Any,
    assert_clear: Any,
    exported_line: Any,
    tmp_path: Path,
    source: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    done = pcedge("watch", *source, "--models", exported_line.models, cwd=tmp_path, torch=False)

    assert_clear(done, *words)
    assert "s3cret" not in done.stderr + done.stdout


def test_nothing_judged_is_not_all_ok(
    pcedge: Any, assert_clear: Any, exported_line: Any, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()

    done = pcedge(
        "watch", "--folder", tmp_path / "empty", "--once", "--fail-on-ng", "--models", exported_line.models,
        cwd=tmp_path,
    )  # fmt: skip

    assert_clear(done, "Nothing was judged", code=4)


def test_results_that_could_not_be_written_show_in_the_exit_code(
    pcedge: Any, assert_clear: Any, exported_line: Any, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "pictures").write_text("in the way")

    done = pcedge(
        "watch", "--camera", "synthetic:?frames=2", "--threshold", "0", "--models", exported_line.models,
        "--output", tmp_path / "out",
    )  # fmt: skip

    assert_clear(done, "2 results could not be written", code=3)
    assert len((tmp_path / "out" / "events.jsonl").read_text().splitlines()) == 2


def test_a_folder_of_the_same_name_does_not_hide_a_bundle(pcedge: Any, line: Any, tmp_path: Path) -> None:
    assert (tmp_path / "line").is_dir(), "the dataset, in the working directory"

    done = pcedge("evaluate", "line", "line", "--json", cwd=tmp_path)

    assert done.returncode == 0, done.stderr


def test_the_demo_replaces_only_an_earlier_demo(pcedge: Any, assert_clear: Any, line: Any) -> None:
    done = pcedge("demo", "--output", line.models.parent)

    assert_clear(done, "--output")
    assert (line.models / "line" / "manifest.json").is_file()


def test_only_a_bundle_of_the_models_directory_becomes_current(
    pcedge: Any, assert_clear: Any, line: Any
) -> None:
    done = pcedge("models", "--use", line.models / "line", "--models", line.models)

    assert_clear(done, "There is no bundle", "line")


def test_a_defect_with_an_unusable_mask_still_counts(pcedge: Any, line: Any) -> None:
    masks = sorted(line.dataset.glob("ground_truth/*/*.png"))
    masks[0].write_bytes(b"broken")
    write_image(masks[1], np.zeros((10, 10, 3), np.uint8))

    done = pcedge("evaluate", line.dataset, "--model", line.models / "line", "--json")
    result = json.loads(done.stdout)

    assert result["defective"] == 12
    assert len(result["unusable_masks"]) == result["defects_without_mask"] == 2
