"""Bad input by the real commands: a clear error, the way out, nothing half-written, never a traceback."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pcedge.camera import render_part, write_image

FIT = ("--backbone", "filterbank", "--embedding", "mean", "--coreset", "200")


def _good_images(folder: Path, count: int = 6) -> Path:
    folder.mkdir(parents=True)
    for seed in range(count):
        write_image(folder / f"{seed}.png", render_part(seed, size=128).image_rgb)
    return folder


def _assert_clear(done: subprocess.CompletedProcess[str], *words: str, code: int = 1) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr.replace("\n", " "), f"{word!r} is not in: {done.stderr}"


def _missing(_: Path) -> None:
    pass


def _empty(folder: Path) -> None:
    folder.mkdir()


def _without_good(folder: Path) -> None:
    _good_images(folder / "train" / "bad")


def _of_categories(folder: Path) -> None:
    _good_images(folder / "bottle" / "train" / "good")


def _too_few(folder: Path) -> None:
    _good_images(folder, 2)


def _all_corrupt(folder: Path) -> None:
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.png").write_bytes(b"\x89PNG not really")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_missing, ("There is no folder", "folder of good images")),
        (_empty, ("no images", ".png")),
        (_without_good, ("no images", "train/good")),
        (_of_categories, ("several datasets", "bottle")),
        (_too_few, ("2 good images", "at least")),
        (_all_corrupt, ("Only 0 of 6", "0.png")),
    ],
)
def test_fit_says_what_is_wrong_with_a_folder(
    pcedge: Any, tmp_path: Path, make: Callable[[Path], None], words: tuple[str, ...]
) -> None:
    make(tmp_path / "data")

    done = pcedge("fit", tmp_path / "data", *FIT, "--models", tmp_path / "models")

    _assert_clear(done, *words)
    assert not list(tmp_path.glob("models/*"))


def test_fit_reads_what_can_be_read_and_counts_what_cannot(pcedge: Any, tmp_path: Path) -> None:
    folder = _good_images(tmp_path / "mixed", 8)
    part = Image.fromarray(render_part(20, size=150).image_rgb)
    part.convert("L").save(folder / "grey.png")
    part.convert("CMYK").save(folder / "cmyk.jpg")
    part.convert("RGBA").save(folder / "alpha.png")
    part.crop((0, 0, 150, 90)).save(folder / "other-size.bmp")
    Image.fromarray(np.asarray(part.convert("L")).astype(np.uint16) * 257).save(folder / "deep.png")
    part.save(folder / "whole.jpg")
    (folder / "truncated.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:2000])
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("hello")

    done = pcedge("fit", folder, *FIT, "--models", tmp_path / "models", "--json")
    report = json.loads(done.stdout)

    assert done.returncode == 0, done.stderr
    assert report["images"] == 14
    assert set(report["skipped"]) == {"truncated.jpg", "empty.png", "text.png"}


def test_a_defect_among_the_good_images_is_listed(pcedge: Any, tmp_path: Path) -> None:
    folder = _good_images(tmp_path / "data", 14)
    spoiled = render_part(77, size=128).image_rgb
    spoiled[20:60, 20:60] = np.random.default_rng(0).integers(0, 255, (40, 40, 3))
    write_image(folder / "spoiled.png", spoiled)

    done = pcedge("fit", folder, *FIT, "--models", tmp_path / "models")

    assert done.returncode == 0
    assert "spoiled.png" in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--coreset", "0"), ("'0'", "0.1", "5000")),
        (("--coreset", "many"), ("'many'",)),
        (("--preset", "officer"), ("'officer'", "official-224")),
        (("--image-size", "224", "--crop", "320"), ("320", "224")),
        (("--image-size", "8"), ("8",)),
        (("--backbone", "resnet1000"), ("'resnet1000'", "resnet18")),
        (("--backbone", "resnet18", "--layers", "layer9"), ("'layer9'", "layer2")),
        (("--embedding", "best"), ("'best'", "reference")),
        (("--false-reject-rate", "0.001"), ("6 good images cannot support", "999")),
        (("--device", "cuda:7"), ("'cuda:7'", "--device cpu")),
        (("--name", "../elsewhere"), ("'../elsewhere'",)),
        (("--name", "current"), ("'current'",)),
        (("--name", "n" * 300), ("nnn",)),
        (("--image-size", "99999999"), ("99999999", "4096")),
        (("--weights", "nowhere.pth", "--backbone", "resnet18"), ("nowhere.pth",)),
    ],
)
def test_fit_says_what_is_wrong_with_an_option(
    pcedge: Any, tmp_path: Path, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    folder = _good_images(tmp_path / "data")

    done = pcedge("fit", folder, *FIT, *options, "--models", tmp_path / "models")

    _assert_clear(done, *words)
    assert not list(tmp_path.glob("models/*"))


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_weights_that_would_have_to_be_unpickled_are_refused(pcedge: Any, tmp_path: Path) -> None:
    folder = _good_images(tmp_path / "data")
    (tmp_path / "bomb.pth").write_bytes(pickle.dumps(_Bomb(tmp_path / "ran")))

    done = pcedge("fit", folder, "--backbone", "resnet18", "--weights", tmp_path / "bomb.pth")

    _assert_clear(done, "bomb.pth", "state dict")
    assert not (tmp_path / "ran").exists()


def test_missing_pretrained_weights_say_how_to_get_them(pcedge: Any, tmp_path: Path) -> None:
    folder = _good_images(tmp_path / "data")

    done = subprocess.run(
        ["env", f"TORCH_HOME={tmp_path}", "https_proxy=http://127.0.0.1:9", "pcedge", "fit", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )

    _assert_clear(done, "wide_resnet50_2", "--weights FILE", str(tmp_path / "hub"), "--backbone filterbank")


@pytest.mark.parametrize("command", ["export", "watch"])
def test_commands_before_fit_name_it(pcedge: Any, tmp_path: Path, command: str) -> None:
    camera = ("--camera", "synthetic:") if command == "watch" else ()

    done = pcedge(command, *camera, cwd=tmp_path)

    _assert_clear(done, "no current bundle", "pcedge fit")


def test_watch_before_export_names_it(pcedge: Any, tmp_path: Path) -> None:
    folder = _good_images(tmp_path / "data")
    assert pcedge("fit", folder, *FIT, "--models", tmp_path / "models").returncode == 0

    done = pcedge("watch", "--camera", "synthetic:", "--models", tmp_path / "models", cwd=tmp_path)

    _assert_clear(done, "has not been exported", "pcedge export")


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
    pcedge: Any, line: Any, damage: Callable[[Path, str], None], name: str, words: tuple[str, ...]
) -> None:
    damage(line.models / "line", name)

    done = pcedge("watch", "--camera", "synthetic:?frames=1", "--models", line.models, torch=False)

    _assert_clear(done, *words)


def test_export_does_not_vouch_for_a_damaged_bundle(pcedge: Any, line: Any) -> None:
    _change_byte(line.models / "line", "bank.faiss")

    done = pcedge("export", "--models", line.models)

    _assert_clear(done, "bank.faiss", "changed")


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
    pcedge: Any, exported_line: Any, tmp_path: Path, source: tuple[str, ...], words: tuple[str, ...]
) -> None:
    done = pcedge("watch", *source, "--models", exported_line.models, cwd=tmp_path, torch=False)

    _assert_clear(done, *words)
    assert "s3cret" not in done.stderr + done.stdout


def test_fit_without_torch_names_the_extra(pcedge: Any, tmp_path: Path) -> None:
    for arguments in (("fit", _good_images(tmp_path / "data")), ("demo",)):
        _assert_clear(pcedge(*arguments, torch=False, cwd=tmp_path), "torch", "pip install 'pcedge[fit")


def test_a_directory_that_cannot_be_written_changes_nothing(pcedge: Any, tmp_path: Path) -> None:
    folder = _good_images(tmp_path / "data")
    (tmp_path / "file").touch()

    done = pcedge("fit", folder, *FIT, "--models", tmp_path / "file" / "models")

    _assert_clear(done, "cannot be written", "--models")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes a file system of so many kilobytes, mounted for real."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(kilobytes: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(disk)]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("needs the right to mount a small file system")
        return disk

    yield mount
    subprocess.run(["umount", str(disk)], check=False, capture_output=True)


@pytest.mark.parametrize("kilobytes", [100, 300, 600, 1500])
def test_a_full_disk_leaves_nothing_half_written(
    pcedge: Any, tmp_path: Path, small_disk: Callable[[int], Path], kilobytes: int
) -> None:
    folder = _good_images(tmp_path / "data")
    disk = small_disk(kilobytes)

    done = pcedge("fit", folder, *FIT, "--models", disk)

    _assert_clear(done, "cannot be written")
    assert list(disk.iterdir()) == []


def test_brackets_in_names_are_printed_as_they_are(pcedge: Any, tmp_path: Path) -> None:
    folder = _good_images(tmp_path / "br[bottle][/x]")
    models = tmp_path / "models"

    done = pcedge("fit", folder, *FIT, "--models", models)
    assert done.returncode == 0, done.stderr
    assert "br[bottle][/x]" in done.stdout
    assert "br[bottle][/x]" in pcedge("models", "--models", models).stdout
    assert "models/x]" in pcedge("export", "--models", models).stdout
    out = tmp_path / "out[/x]"
    watched = pcedge("watch", "--folder", folder, "--once", "--models", models, "--output", out)
    assert watched.returncode == 0, watched.stderr
    assert "out[/x]" in watched.stderr


def test_nothing_judged_is_not_all_ok(pcedge: Any, exported_line: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    done = pcedge(
        "watch", "--folder", tmp_path / "empty", "--once", "--fail-on-ng", "--models", exported_line.models,
        cwd=tmp_path,
    )  # fmt: skip

    _assert_clear(done, "Nothing was judged", code=4)


def test_results_that_could_not_be_written_show_in_the_exit_code(
    pcedge: Any, exported_line: Any, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "pictures").write_text("in the way")

    done = pcedge(
        "watch", "--camera", "synthetic:?frames=2", "--threshold", "0", "--models", exported_line.models,
        "--output", tmp_path / "out",
    )  # fmt: skip

    _assert_clear(done, "2 results could not be written", code=3)
    assert len((tmp_path / "out" / "events.jsonl").read_text().splitlines()) == 2


def test_a_folder_of_the_same_name_does_not_hide_a_bundle(pcedge: Any, line: Any, tmp_path: Path) -> None:
    assert (tmp_path / "line").is_dir(), "the dataset, in the working directory"

    done = pcedge("evaluate", "line", "line", "--json", cwd=tmp_path)

    assert done.returncode == 0, done.stderr


def test_the_demo_replaces_only_an_earlier_demo(pcedge: Any, line: Any) -> None:
    done = pcedge("demo", "--output", line.models.parent)

    _assert_clear(done, "--output")
    assert (line.models / "line" / "manifest.json").is_file()


def test_only_a_bundle_of_the_models_directory_becomes_current(pcedge: Any, line: Any) -> None:
    done = pcedge("models", "--use", line.models / "line", "--models", line.models)

    _assert_clear(done, "There is no bundle", "line")


def test_a_defect_with_an_unusable_mask_still_counts(pcedge: Any, line: Any) -> None:
    masks = sorted(line.dataset.glob("ground_truth/*/*.png"))
    masks[0].write_bytes(b"broken")
    write_image(masks[1], np.zeros((10, 10, 3), np.uint8))

    done = pcedge("evaluate", line.models / "line", line.dataset, "--json")
    result = json.loads(done.stdout)

    assert result["defective"] == 12
    assert len(result["unusable_masks"]) == result["defects_without_mask"] == 2


def test_fit_can_be_stopped(pcedge: Any, tmp_path: Path) -> None:
    folder = _good_images(tmp_path / "data", 60)
    command = ["fit", str(folder), *FIT, "--models", str(tmp_path / "models")]
    for number in (signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen(
            [str(Path(sys.executable).with_name("pcedge")), *command], stderr=subprocess.PIPE, text=True
        ) as process:
            while not list(tmp_path.glob("models/.data.*")):
                assert process.poll() is None
                time.sleep(0.02)
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)

        assert process.returncode == 130, errors
        assert "Stopped" in errors
        assert "Traceback" not in errors
        assert not list(tmp_path.glob("models/*"))
        assert not list(tmp_path.glob("models/.data.*"))
