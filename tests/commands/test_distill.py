"""``pcedge distill`` as a command: small trainings by real processes, interrupted, resumed and refused."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torchvision import models

from pcedge.camera import render_part, write_image

from ..forked_python import run_forked

# The command with batches so small that a step takes a moment.
SMALL = """
import functools
from pcedge.networks import distillation
from pcedge.networks.distillation import BatchSettings, DistillOptions
distillation.DistillOptions = functools.partial(
    DistillOptions, worker={worker}, held_out=4, pictures_for_components=16, measure_every=2,
    save_every_s=0, batches=BatchSettings(size=64, distinct=3, twins=1, pool=4, fresh=1),
)
from pcedge.cli import main
main()
"""

Distill = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("teacher") / "resnet18.pth"
    torch.save(models.resnet18(weights=None).state_dict(), path)
    return path


def _arguments(teacher_file: Path, *arguments: str | Path) -> list[str]:
    given = ["resnet18", "--weights", teacher_file, "--precision", "float32", "--device", "cpu", *arguments]
    return ["distill", *map(str, given)]


@pytest.fixture
def distill(teacher_file: Path, tmp_path: Path) -> Distill:
    """Run the command with a random teacher in an empty directory."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return run_forked(
            SMALL.format(worker=False),
            _arguments(teacher_file, *arguments),
            cwd=tmp_path,
            timeout_s=240,
            env={**os.environ, "COLUMNS": "200"},
        )

    return run


def test_a_training_gives_weights_that_fit_takes(
    distill: Distill, pcedge: Any, good_images: Any, tmp_path: Path
) -> None:
    done = distill("--steps", "3", "--out", "own", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)

    chosen = ("--backbone", "pcedge-s", "--weights", "own/pcedge-s.safetensors", "--coreset", "100")
    fitted = pcedge("fit", good_images(tmp_path / "data"), *chosen, "--json", cwd=tmp_path)

    assert report["weights"] == "own/pcedge-s.safetensors"
    assert report["last"]["step"] == 3
    assert report["settings"]["pictures"] == "procedural"
    assert report["unreadable"] == []
    assert len(report["as_written"]) == 3
    assert fitted.returncode == 0, fitted.stderr
    assert json.loads(fitted.stdout)["backbone_weights"] == "pcedge-s.safetensors"


def test_files_that_are_no_images_are_passed_over_and_counted(distill: Distill, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for seed in range(40):
        write_image(tmp_path / "photos" / f"{seed}.png", render_part(seed, size=80).image_rgb)
    for number in range(20):
        (tmp_path / "photos" / f"bad {number}.jpg").write_bytes(b"no picture")

    done = distill("--images", "photos", "--procedural", "0.3", "--steps", "12", "--out", "own")

    assert done.returncode == 0, done.stderr
    assert "60 images from photos, and 30% procedural" in done.stdout
    assert "image files could not be read and were passed over; the first: photos/bad" in done.stderr
    unreadable = json.loads((tmp_path / "own" / "report.json").read_text())["unreadable"]
    assert 1 <= len(unreadable) <= 20
    assert all("bad" in name for name in unreadable)


def test_folders_in_which_nothing_is_an_image_are_refused(
    distill: Distill, assert_clear: Any, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(40):
        (tmp_path / "photos" / f"{number}.jpg").write_bytes(b"no picture")

    assert_clear(distill("--images", "photos", "--steps", "2"), "40 images from photos", "could not be read")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("needs a length", "--steps or --minutes")),
        (("--steps", "2", "--minutes", "1"), ("needs a length",)),
        (("--steps", "2", "--device", "cuda:99"), ("device 'cuda:99'", "--device cpu")),
        (("--steps", "2", "--device", "nonsense"), ("device 'nonsense'", "--device cpu")),
        (("--steps", "2", "--precision", "int8"), ("precision 'int8'", "bfloat16 or float32")),
        (("--steps", "2", "--procedural", "0.5"), ("--images",)),
        (("--steps", "2", "--images", "nowhere"), ("no folder nowhere",)),
        (("--steps", "2", "--resume"), ("no training to resume", "--resume")),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(
    distill: Distill, assert_clear: Any, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert_clear(distill(*arguments), *words)

    assert list(tmp_path.glob("distilled/*")) == []


def test_another_training_and_a_damaged_one_are_left_alone(
    distill: Distill, assert_clear: Any, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "distilled" / "checkpoint.pt"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"PK\x03\x04 half of one")

    assert_clear(distill("--steps", "2"), "holds a training already", "--resume", "--out")
    assert_clear(distill("--steps", "2", "--resume"), "checkpoint.pt is not a readable checkpoint", "--out")
    assert checkpoint.read_bytes() == b"PK\x03\x04 half of one"


def _stopped(command: list[str], directory: Path, checkpoint: Path) -> tuple[int, str]:
    """Run until there is a checkpoint, then press Ctrl-C; return code and standard error."""
    with subprocess.Popen(
        command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 120
        while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
        _, said = process.communicate(timeout=60)
        return process.returncode, said


def test_ctrl_c_loses_nothing(distill: Distill, teacher_file: Path, tmp_path: Path) -> None:
    code, said = _stopped(
        [
            sys.executable,
            "-c",
            SMALL.format(worker=True),
            *_arguments(teacher_file, "--steps", "60", "--out", "broken"),
        ],
        tmp_path,
        tmp_path / "broken" / "checkpoint.pt",
    )
    assert code == 130, said
    assert "Stopped." in said
    assert "Traceback" not in said
    assert not (tmp_path / "broken" / "pcedge-s.safetensors").exists()

    resumed = distill("--steps", "60", "--out", "broken", "--resume")
    whole = distill("--steps", "60", "--out", "whole")

    assert resumed.returncode == whole.returncode == 0, resumed.stderr + whole.stderr
    found, expected = (load_file(tmp_path / name / "pcedge-s.safetensors") for name in ("broken", "whole"))
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
