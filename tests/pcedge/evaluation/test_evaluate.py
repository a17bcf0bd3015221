"""What evaluation measures, what it leaves out, and that it says so."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pcedge.camera import Verdict, write_image
from pcedge.datasets import open_dataset
from pcedge.errors import DatasetError, OptionError
from pcedge.evaluation.evaluate import evaluate
from pcedge.inspection.patchcore_detector import Inspector, Stages


def test_images_that_cannot_be_read_or_show_nothing_are_left_out_with_the_reason(
    tmp_path: Path, inspector: Inspector, pictures: list[NDArray[np.uint8]]
) -> None:
    good = tmp_path / "test" / "good"
    good.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        write_image(good / f"{number}.png", picture)
    write_image(good / "black.png", np.zeros((40, 50, 3), np.uint8))
    (good / "text.png").write_bytes(b"hello")

    found = evaluate(open_dataset(tmp_path), inspector)

    assert found.good == len(found.scores) == len(pictures)
    assert found.skipped.keys() == {"test/good/black.png", "test/good/text.png"}
    assert "black: mean 0.0" in found.skipped["test/good/black.png"]


def test_with_nothing_left_to_judge_there_is_no_result(tmp_path: Path, inspector: Inspector) -> None:
    folder = tmp_path / "test" / "good"
    folder.mkdir(parents=True)
    write_image(folder / "black.png", np.zeros((40, 50, 3), np.uint8))

    with pytest.raises(DatasetError, match="None of the 1 test images") as caught:
        evaluate(open_dataset(tmp_path), inspector)

    assert "black" in caught.value.hint


@pytest.fixture
def root(tmp_path: Path, pictures: list[NDArray[np.uint8]]) -> Path:
    """Pictures to learn from and good ones to test on, and two bad ones: noisier in a corner."""
    rng = np.random.default_rng(8)
    for folder in ("train/good", "test/good", "test/noise", "ground_truth/noise"):
        (tmp_path / folder).mkdir(parents=True)
    for number, picture in enumerate(pictures):
        write_image(tmp_path / "train" / "good" / f"{number}.png", picture)
        fresh = np.clip(rng.normal(120, 20, picture.shape), 0, 255).astype(np.uint8)
        write_image(tmp_path / "test" / "good" / f"{number}.png", fresh)
    for number in range(2):
        spoilt = np.clip(rng.normal(120, 20, (64, 64, 3)), 0, 255)
        spoilt[:32, :32] += rng.normal(0, 80, (32, 32, 3))
        mask = np.zeros((64, 64, 3), np.uint8)
        mask[:32, :32] = 255
        write_image(tmp_path / "test" / "noise" / f"{number}.png", np.clip(spoilt, 0, 255).astype(np.uint8))
        write_image(tmp_path / "ground_truth" / "noise" / f"{number}_mask.png", mask)
    return tmp_path


def test_all_metrics_are_there_and_plain_numbers_by_their_names(root: Path, inspector: Inspector) -> None:
    found = evaluate(open_dataset(root), inspector)

    plain: dict[str, Any] = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    for name, metric in plain["metrics"].items():
        assert plain[name] == metric["value"]
        assert 0 <= metric["value"] <= 1, name
    assert found.image_auroc == plain["image_auroc"] == 1.0
    assert found.pixel_auroc is not None
    assert found.pixel_auroc > 0.9
    assert (found.aupro, found.aupro_limit) == (plain["aupro"], 0.3)
    for name in ("image_auroc", "pixel_auroc", "pixel_auroc_anomalous", "aupro", "false_reject_rate"):
        assert plain["metrics"][name]["low"] <= plain[name] <= plain["metrics"][name]["high"]


def test_what_is_not_defined_is_null_and_says_why(root: Path, inspector: Inspector) -> None:
    shutil.rmtree(root / "test" / "noise")

    plain = evaluate(open_dataset(root), inspector).to_dict()

    reasons = {name: metric["reason"] for name, metric in plain["metrics"].items() if metric["reason"]}
    assert reasons == {
        **dict.fromkeys(("image_auroc", "image_ap", "image_f1_max", "miss_rate"), "no defective images"),
        **dict.fromkeys(
            ("pixel_auroc", "pixel_auroc_anomalous", "pixel_ap", "pixel_f1_max", "aupro", "aupro_all"),
            "no defect pixels",
        ),
    }
    assert all(plain[name] is None for name in reasons)


def test_the_layout_decides_up_to_which_rate_overlap_counts(root: Path, inspector: Inspector) -> None:
    wide = evaluate(open_dataset(root), inspector)
    (root / "test" / "noise").rename(root / "test" / "structural_anomalies")
    (root / "ground_truth" / "noise").rename(root / "ground_truth" / "structural_anomalies")

    narrow = evaluate(open_dataset(root), inspector)

    assert (narrow.layout, narrow.aupro_limit) == ("mvtec-loco", 0.05)
    assert narrow.pixel_auroc == wide.pixel_auroc
    assert narrow.aupro is not None
    assert wide.aupro is not None
    assert narrow.aupro < wide.aupro


def test_leaks_are_named_and_left_out_where_told(root: Path, inspector: Inspector) -> None:
    shutil.copy(root / "train" / "good" / "2.png", root / "test" / "good" / "99.png")
    dataset = open_dataset(root)

    reported = evaluate(dataset, inspector)
    without = evaluate(dataset, inspector, leaks="exclude")
    ignored = evaluate(dataset, inspector, leaks="ignore")

    assert [(leak.test, leak.train) for leak in reported.leaks] == [("test/good/99.png", "train/good/2.png")]
    assert reported.leaks == without.leaks
    assert (reported.good, without.good) == (6, 5)
    assert "test/good/99.png" in reported.scores
    assert without.skipped == {"test/good/99.png": "also learned from, as train/good/2.png"}
    assert (ignored.leaks, ignored.scores) == ((), reported.scores)
    with pytest.raises(OptionError, match=r"(?s)'drop'.*report, exclude, ignore"):
        evaluate(dataset, inspector, leaks="drop")  # type: ignore[arg-type]


class _Broken(Inspector):
    """Gives the last images of each kind a score that is not a number."""

    def stages_of(self, network_input: NDArray[np.float32]) -> Stages:
        stages = super().stages_of(network_input)
        self.seen = getattr(self, "seen", 0) + 1
        return replace(stages, score=float("nan")) if self.seen in self.broken else stages

    broken: tuple[int, ...] = ()


def test_a_score_that_is_no_number_is_invalid_and_neither_passed_nor_rejected(
    root: Path, inspector: Inspector
) -> None:
    whole = evaluate(open_dataset(root), inspector)
    inspector.__class__ = _Broken
    inspector.broken = (1, len(whole.scores))  # type: ignore[attr-defined]

    found = evaluate(open_dataset(root), inspector)

    names = tuple(whole.scores)
    assert found.invalid == (names[0], names[-1])
    for invalid, judged in (("test/good/", found.good), ("test/noise/", found.defective)):
        others = [name for name in names if name.startswith(invalid) and name not in found.invalid]
        assert len(others) == judged - 1
    rule = inspector.thresholds
    good = [score for name, score in found.scores.items() if name.startswith("test/good/")]
    bad = [score for name, score in found.scores.items() if name.startswith("test/noise/")]
    assert found.false_reject_rate == sum(rule.verdict(one) is Verdict.NG for one in good) / len(good)
    assert found.miss_rate == sum(rule.verdict(one) is Verdict.OK for one in bad) / len(bad)
    assert found.metrics.image_auroc.reason == "a score is not a number"
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [plain["scores"][name] for name in plain["invalid"]] == [None, None]
