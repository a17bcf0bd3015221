"""What a fit makes of bad input: a clear error, the way out, nothing half-written, never a traceback."""

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

FIT = ("--backbone", "pcedge-s", "--coreset", "200")


def _missing(_: Path, good_images: Any) -> None:
    pass


def _empty(folder: Path, good_images: Any) -> None:
    folder.mkdir()


def _without_good(folder: Path, good_images: Any) -> None:
    good_images(folder / "train" / "bad")


def _of_categories(folder: Path, good_images: Any) -> None:
    good_images(folder / "bottle" / "train" / "good")


def _too_few(folder: Path, good_images: Any) -> None:
    good_images(folder, 2)


def _all_corrupt(folder: Path, good_images: Any) -> None:
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
    pcedge: Any,
    good_images: Any,
    assert_clear: Any,
    tmp_path: Path,
    make: Callable[[Path, Any], None],
    words: tuple[str, ...],
) -> None:
    make(tmp_path / "data", good_images)

    done = pcedge("fit", tmp_path / "data", *FIT, "--models", tmp_path / "models")

    assert_clear(done, *words)
    assert not list(tmp_path.glob("models/*"))


def test_fit_learns_from_what_can_be_used_and_counts_what_cannot(
    pcedge: Any, good_images: Any, tmp_path: Path
) -> None:
    folder = good_images(tmp_path / "mixed", 8)
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
    (folder / "notes.txt").write_text("hello")
    (folder / "gone.png").symlink_to("/mnt/share/gone.png")
    (folder / "7.png").rename(folder / os.fsdecode(b"gr\xfcn_7.png"))
    (folder / os.fsdecode(b"schwarz\xe4.png")).touch()
    for name, grey in (("black", 0), ("blank", 99), ("bright", 255)):
        Image.new("RGB", (150, 150), (grey, grey, grey)).save(folder / f"{name}.png")

    cache = {"PCEDGE_CACHE": str(tmp_path / "cache")}

    for cached in (0, 14):
        done = pcedge("fit", folder, *FIT, "--models", tmp_path / "models", "--json", env=cache)
        report = json.loads(done.stdout)

        assert done.returncode == 0, done.stderr
        assert report["images"] == 14
        assert report["cached"] == cached
        reasons = {Path(name).stem: reason for name, reason in report["skipped"].items()}
        assert set(reasons) == {"truncated", "empty", "text", "black", "blank", "bright", "schwarz\\xe4"}
        assert {one["reason"]: one["names"] for one in report["left_out"]} == {
            "files that are no images by their names": ["notes.txt"],
            "links that lead nowhere": ["gone.png"],
        }
        assert "black" in reasons["black"]
        assert "one colour" in reasons["blank"]
        assert "overexposed" in reasons["bright"]


def test_a_false_reject_rate_that_skipped_images_made_impossible_changes_nothing(
    pcedge: Any, good_images: Any, assert_clear: Any, tmp_path: Path
) -> None:
    folder = good_images(tmp_path / "data", 10)
    for number in (3, 7):
        (folder / f"{number}.png").write_bytes(b"broken")

    done = pcedge("fit", folder, *FIT, "--models", tmp_path / "models", "--false-reject-rate", "0.1")

    assert_clear(done, "8 good images", "without 2", "3.png", "at least 9", "--false-reject-rate 0.112")
    assert not list(tmp_path.glob("models/*"))


def test_a_defect_among_the_good_images_is_listed(pcedge: Any, good_images: Any, tmp_path: Path) -> None:
    folder = good_images(tmp_path / "data", 14)
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
    pcedge: Any,
    good_images: Any,
    assert_clear: Any,
    tmp_path: Path,
    options: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    folder = good_images(tmp_path / "data")

    done = pcedge("fit", folder, *FIT, *options, "--models", tmp_path / "models")

    assert_clear(done, *words)
    assert not list(tmp_path.glob("models/*"))


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_weights_that_would_have_to_be_unpickled_are_refused(
    pcedge: Any, good_images: Any, assert_clear: Any, tmp_path: Path
) -> None:
    folder = good_images(tmp_path / "data")
    (tmp_path / "bomb.pth").write_bytes(pickle.dumps(_Bomb(tmp_path / "ran")))

    done = pcedge("fit", folder, "--backbone", "resnet18", "--weights", tmp_path / "bomb.pth")

    assert_clear(done, "bomb.pth", "state dict")
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine that has no pretrained weights and reaches nothing."""
    return {"TORCH_HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9"}


def test_missing_weights_of_a_named_backbone_say_how_to_get_them(
    pcedge: Any, good_images: Any, assert_clear: Any, tmp_path: Path, offline: dict[str, str]
) -> None:
    folder = good_images(tmp_path / "data")

    done = pcedge("fit", folder, "--backbone", "wide_resnet50_2", cwd=tmp_path, env=offline)

    assert_clear(done, "wide_resnet50_2", "--weights FILE", str(tmp_path / "hub"), "--backbone pcedge-s")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("as_json", [False, True])
def test_without_a_backbone_and_weights_fit_takes_the_shipped_one_and_says_so(
    pcedge: Any, good_images: Any, tmp_path: Path, offline: dict[str, str], as_json: bool
) -> None:
    folder = good_images(tmp_path / "data")
    options = ("--coreset", "200", *(["--json"] if as_json else []))

    done = pcedge("fit", folder, *options, cwd=tmp_path, env=offline)

    assert done.returncode == 0, done.stderr
    if as_json:
        report = json.loads(done.stdout)
        assert report["backbone"] == "pcedge-s"
        said = report["offline_default"]
    else:
        assert "pcedge-s, shipped with pcedge" in done.stdout
        assert "the offline default" in done.stdout
        said = done.stderr
    for words in ("No --backbone was named", "wide_resnet50_2", str(tmp_path / "hub"), "--weights FILE"):
        assert words in said


def test_fit_without_torch_names_the_extra(
    pcedge: Any, good_images: Any, assert_clear: Any, tmp_path: Path
) -> None:
    for arguments in (("fit", good_images(tmp_path / "data")), ("demo",)):
        assert_clear(pcedge(*arguments, torch=False, cwd=tmp_path), "torch", "pip install 'pcedge[fit")


def test_a_directory_that_cannot_be_written_changes_nothing(
    pcedge: Any, good_images: Any, assert_clear: Any, tmp_path: Path
) -> None:
    folder = good_images(tmp_path / "data")
    (tmp_path / "file").touch()

    done = pcedge("fit", folder, *FIT, "--models", tmp_path / "file" / "models")

    assert_clear(done, "cannot be written", "--models")


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


@pytest.mark.parametrize("kilobytes", [50, 300, 1500, 4500])
def test_a_full_disk_leaves_nothing_half_written(
    pcedge: Any,
    good_images: Any,
    assert_clear: Any,
    tmp_path: Path,
    small_disk: Callable[[int], Path],
    kilobytes: int,
) -> None:
    folder = good_images(tmp_path / "data")
    disk = small_disk(kilobytes)

    done = pcedge("fit", folder, *FIT, "--models", disk)

    assert_clear(done, "cannot be written")
    assert list(disk.iterdir()) == []


def test_brackets_in_names_are_printed_as_they_are(pcedge: Any, good_images: Any, tmp_path: Path) -> None:
    folder = good_images(tmp_path / "br[bottle][/x]")
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


def test_fit_can_be_stopped(pcedge: Any, good_images: Any, tmp_path: Path) -> None:
    folder = good_images(tmp_path / "data", 60)
    # Large and without a cache, so that the fit takes longer than the way of the signal.
    slow = ("--image-size", "448", "--cache-gb", "0")
    command = ["fit", str(folder), *FIT, *slow, "--models", str(tmp_path / "models")]
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
