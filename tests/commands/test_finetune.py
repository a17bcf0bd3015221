"""``pcedge fit --finetune`` as a command: what it writes, what it refuses, and that it stops cleanly."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ..conftest import COMMAND

SMALL = ("--backbone", "pcedge-s", "--image-size", "64", "--coreset", "60", "--device", "cpu")


def test_the_record_is_printed_and_kept(pcedge: Any, good_images: Any, tmp_path: Path) -> None:
    parts = good_images(tmp_path / "parts", 16)
    options = (
        *SMALL,
        "--finetune",
        "rotation",
        "--finetune-epochs",
        "1",
        "--finetune-stages",
        "context,detail",
    )

    told = pcedge("fit", parts, *options, "--models", tmp_path / "models", "--seed", "3", "--json")
    shown = pcedge("fit", parts, *options, "--models", tmp_path / "models", "--seed", "3")

    assert told.returncode == shown.returncode == 0, told.stderr + shown.stderr
    record = json.loads(told.stdout)["finetuning"]
    manifest = json.loads((tmp_path / "models" / "parts" / "manifest.json").read_text())
    assert record["method"] == manifest["backbone"]["finetuning"]["method"] == "rotation"
    assert (record["seed"], record["stages"]) == (3, ["context", "detail"])
    assert [epoch["epoch"] for epoch in record["history"]] == [0, 1]
    assert "rotation, learning rate 0.0001: " in shown.stdout
    assert "Fine-tuning" in shown.stderr


def test_a_stop_leaves_nothing_behind(good_images: Any, tmp_path: Path) -> None:
    command = [COMMAND, "fit", good_images(tmp_path / "parts", 16), *SMALL, "--models", tmp_path / "models"]
    running = subprocess.Popen(
        [*map(str, command), "--finetune", "cutmix", "--finetune-epochs", "1000000"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": "200"},
    )
    try:
        for _ in range(2400):  # a directory appears beside the bundle to be, and then it tunes
            if list(tmp_path.glob("models/*")) or list(tmp_path.glob("models/.*")):
                break
            time.sleep(0.1)
        time.sleep(1)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=120)
    finally:
        running.kill()

    assert running.returncode == 130, errors
    assert b"Traceback" not in errors
    assert not [path for path in tmp_path.glob("models/**/*") if path.is_file()]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--finetune", "jigsaw"), ("no fine-tuning by 'jigsaw'", "rotation or cutmix")),
        (("--finetune", "rotation", "--finetune-lr", "nan"), ("learning rate of nan", "--finetune-lr")),
        (
            ("--finetune-epochs", "3"),
            ("--finetune-epochs has no effect without --finetune", "--finetune rotation or cutmix"),
        ),
        (("--finetune", "rotation"), ("6 of the 6 good images", "at least 16", "leave out --finetune")),
        (
            ("--finetune", "rotation", "--calibration", "split"),
            ("--calibration split", "--calibration folds"),
        ),
        (("--finetune", "rotation", "--method", "padim"), ("--finetune has no effect with --method padim",)),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: tuple[str, ...],
    words: tuple[str, ...],
    pcedge: Any,
    good_images: Any,
    assert_clear: Any,
    tmp_path: Path,
) -> None:
    small = SMALL[:4] if "--method" in options else SMALL

    done = pcedge("fit", good_images(tmp_path / "parts"), *small, *options, "--models", tmp_path / "models")

    assert_clear(done, *words)
    assert not list(tmp_path.glob("models/*"))


@pytest.fixture
def tuned_bundle(good_images: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bundle whose weights were tuned, whatever the criterion would say of so few small images."""
    from pcedge import CoresetSize, FinetuneOptions, FitOptions, Preprocessing, fit
    from pcedge.networks.finetuning import separation

    monkeypatch.setenv("PCEDGE_CACHE", str(tmp_path / "cache"))
    found = iter(range(10))
    monkeypatch.setattr(
        separation.Criterion,
        "measure",
        lambda *_: separation.Separation(np.full((3, 3), 0.5 + 0.01 * next(found))),
    )
    options = FitOptions(
        backbone="pcedge-s",
        preprocessing=Preprocessing(image_size=64),
        coreset=CoresetSize(count=60),
        device="cpu",
        finetune=FinetuneOptions("cutmix", epochs=1, learning_rate=1e-3),
        models=tmp_path / "models",
    )
    return fit(good_images(tmp_path / "parts", 16), options), options


def test_a_tuned_network_is_exported_like_any_other(
    tuned_bundle: Any, pcedge: Any, tmp_path: Path, assert_clear: Any
) -> None:
    result, _ = tuned_bundle
    info = result.bundle.manifest.backbone
    models = ("--models", tmp_path / "models")
    assert info.finetuning.kept == 1
    assert info.weights.endswith("fine-tuned by cutmix")
    assert info.weights_sha256 != info.finetuning.weights_sha256
    assert result.bundle.manifest.threshold.proven_rate is None
    assert "nothing is proven" in result.bundle.manifest.threshold.guarantee

    exported = pcedge("export", *models)
    verified = pcedge("verify", *models, "--runtime", "onnx", torch=False)
    like = pcedge(
        "fit",
        tmp_path / "parts",
        "--like",
        "parts",
        "--name",
        "other",
        "--coreset",
        "60",
        *models,
        torch=False,
    )
    both = pcedge("fit", tmp_path / "parts", "--like", "parts", "--finetune", "cutmix", *models)

    assert exported.returncode == 0, exported.stderr
    assert verified.returncode == 0, verified.stderr
    assert like.returncode == 0, like.stderr
    other = json.loads((tmp_path / "models" / "other" / "manifest.json").read_text())["backbone"]
    assert other["weights_sha256"] == info.weights_sha256
    assert other["finetuning"]["weights_sha256"] == info.finetuning.weights_sha256
    assert_clear(both, "cannot be fine-tuned", "--like or --finetune")


def test_cached_features_belong_to_the_tuned_weights(tuned_bundle: Any) -> None:
    from dataclasses import replace

    from pcedge import fit

    result, options = tuned_bundle

    plain = fit(options.models.parent / "parts", replace(options, finetune=None))
    again = fit(options.models.parent / "parts", options)

    assert plain.cached == 0
    assert again.cached == 16
    assert again.bundle.manifest.backbone.weights_sha256 == result.bundle.manifest.backbone.weights_sha256
    assert plain.bundle.manifest.backbone.finetuning is None
