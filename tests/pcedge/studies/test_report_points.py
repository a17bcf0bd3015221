"""Points for the discussion: each rule makes its point where it should, and only there."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pcedge.core.machine import Machine
from pcedge.core.preprocessing import Preprocessing
from pcedge.evaluation.runs import (
    Curves,
    DataFacts,
    ImageRow,
    RecordedMetric,
    Run,
    RuntimeResult,
    Settings,
    ThresholdFacts,
)
from pcedge.studies.report import DiscussionPoint, Study, findings
from pcedge.studies.report.render.document import prose, shortened
from pcedge.studies.report.render.wording import listed, scientific
from pcedge.studies.report.report_data import Group, Subject

SPREAD = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6)


def _image(kind: str, score: float) -> ImageRow:
    return ImageRow(
        name=f"{kind}.png", kind=kind, defect=kind != "good", score=score, verdict="NG" if score > 2 else "OK"
    )


GOOD = tuple(_image("good", 1 + number / 100) for number in range(20))


def _run(**changes: Any) -> Run:
    run = Run(
        name="bottle",
        created="2026-01-31T00:00:00+00:00",
        pcedge_version="1",
        request="",
        command="",
        data=DataFacts(
            name="bottle", title="mvtec/bottle", layout="mvtec-ad", digest="", train=9, kinds={}, masks=0
        ),
        settings=Settings(
            preset="official-224",
            backbone="wide_resnet50_2",
            layers=("layer2", "layer3"),
            weights="",
            weights_sha256="",
            preprocessing=Preprocessing(image_size=256, crop=224),
            embedding="reference",
            dims=1024,
            coreset="0.1",
            bank_rows=9,
            neighbours=1,
            seed=0,
        ),
        threshold=ThresholdFacts(
            score=2.0, map=1.0, false_reject_rate=0.1, method="folds", held_out=(*SPREAD, 1.7)
        ),
        metrics={},
        runtimes=(),
        seconds={},
        bank_bytes=0,
        bundle_bytes=0,
        images=(*GOOD, _image("crack", 3.0), _image("dent", 4.0)),
        skipped={},
        unusable_masks={},
        pictures=(),
        machine=Machine(system="", board=None, processor=None, cores=1, gpu=None),
        libraries={},
    )
    return msgspec.structs.replace(run, **changes)


def _findings(run: Run) -> list[DiscussionPoint]:
    subject = Subject(Path(), run, Curves(), "", run.name)
    return findings(Study((Group("official-224", (subject,)),), ()))


def _metric(value: float, low: float | None = None, high: float = 1.0) -> RecordedMetric:
    return RecordedMetric(value=value, interval=None if low is None else (low, high))


def _held_out(*scores: float, limit: float) -> ThresholdFacts:
    return ThresholdFacts(score=limit, map=1.0, false_reject_rate=0.1, method="folds", held_out=scores)


FIRST = RuntimeResult(runtime="torch")
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "constant": (
        "Scores carry no information",
        {"images": (_image("good", 1.0), _image("crack", 1.0))},
        {"images": (_image("good", 1.0),)},
    ),
    "chance": (
        "No better than chance?",
        {"metrics": {"image_auroc": _metric(0.6, 0.5)}},
        {"metrics": {"image_auroc": _metric(0.6)}},
    ),
    "more rejected": (
        "More false rejects than promised",
        {"metrics": {"false_reject_rate": _metric(0.3, 0.11, 0.5)}},
        {"metrics": {"false_reject_rate": _metric(0.3, 0.1, 0.5)}},
    ),
    "fewer rejected": (
        "Fewer false rejects than promised",
        {"metrics": {"false_reject_rate": _metric(0.0, 0.0, 0.09)}},
        {"metrics": {"false_reject_rate": _metric(0.0, 0.0, 0.1)}},
    ),
    "as promised": (
        "False rejects as promised",
        {"metrics": {"false_reject_rate": _metric(0.0, 0.0, 0.1)}},
        {"metrics": {"false_reject_rate": _metric(0.0)}},
    ),
    "outlier": (
        "Threshold set by one outlier",
        {"threshold": _held_out(*SPREAD, 3.0, limit=3.0)},
        {"threshold": _held_out(*SPREAD, 3.0, limit=1.6)},
    ),
    "one kind": (
        "Misses concentrated in one kind",
        {"images": (*GOOD, *[_image("crack", 1.0)] * 3, *[_image("dent", 3.0)] * 5)},
        {"images": (*GOOD, *[_image("crack", 1.0)] * 3, *[_image("dent", 3.0)] * 2)},
    ),
    "whole kind": (
        "Kinds missed wholly",
        {"images": (*GOOD, *[_image("crack", 1.0)] * 2, _image("dent", 3.0))},
        {"images": (*GOOD, _image("crack", 1.0), _image("dent", 3.0))},
    ),
    "high threshold": (
        "A threshold too high for a good ranking",
        {"metrics": {"image_auroc": _metric(0.95), "miss_rate": _metric(0.2)}},
        {"metrics": {"image_auroc": _metric(0.94), "miss_rate": _metric(0.2)}},
    ),
    "wrong place": (
        "Right image, wrong place",
        {"metrics": {"image_auroc": _metric(0.95), "aupro": _metric(0.79)}},
        {"metrics": {"image_auroc": _metric(0.95), "aupro": RecordedMetric(value=None, reason="no masks")}},
    ),
    "few good": ("Few good test images", {"images": GOOD[:19]}, {"images": GOOD}),
    "data": (
        "Data to be settled first",
        {"data": msgspec.structs.replace(_run().data, problems=("a leak",))},
        {},
    ),
    "skipped": ("Images left out", {"skipped": {"a.png": "torn"}}, {}),
    "parity": (
        "Parity with the official implementation",
        {"metrics": {"image_auroc": _metric(0.996)}},
        {"metrics": {"image_auroc": _metric(0.99)}},
    ),
    "no parity": (
        "Differences from the official implementation",
        {"metrics": {"image_auroc": _metric(0.98)}},
        {"metrics": {"image_auroc": _metric(0.996)}},
    ),
    "included": (
        "No difference can be told",
        {"metrics": {"image_auroc": _metric(0.98, 0.97, 1.0)}},
        {"metrics": {"image_auroc": _metric(0.98, 0.97, 0.99)}},
    ),
    "excluded": (
        "More than chance in the choice of test images",
        {"metrics": {"image_auroc": _metric(0.98, 0.97, 0.99)}},
        {"metrics": {"image_auroc": _metric(0.98)}},
    ),
    "flips": (
        "Runtimes disagree",
        {"runtimes": (FIRST, RuntimeResult(runtime="onnx", largest_difference=0.1, flips=1))},
        {"runtimes": (FIRST, RuntimeResult(runtime="onnx", largest_difference=0.1))},
    ),
    "agreement": (
        "Runtimes agree",
        {"runtimes": (FIRST, RuntimeResult(runtime="onnx", largest_difference=0.0))},
        {"runtimes": (FIRST, RuntimeResult(runtime="onnx", skipped="not installed"))},
    ),
}


@pytest.mark.parametrize(("topic", "holds", "fails"), CASES.values(), ids=CASES)
def test_a_point_is_made_when_its_rule_holds_and_only_then(
    topic: str, holds: dict[str, Any], fails: dict[str, Any]
) -> None:
    assert topic in [finding.rule.topic for finding in _findings(_run(**holds))]
    assert topic not in [finding.rule.topic for finding in _findings(_run(**fails))]


def test_every_rule_is_documented() -> None:
    document = (Path(__file__).resolve().parents[3] / "docs" / "guide" / "report.md").read_text(
        encoding="utf-8"
    )

    assert [topic for topic, *_ in CASES.values() if topic not in document] == []


def test_a_lower_threshold_is_counted_on_the_test_images() -> None:
    images = (*GOOD, _image("good", 2.5), _image("crack", 1.65), _image("crack", 2.9), _image("dent", 9.0))
    run = _run(images=images, threshold=_held_out(*SPREAD, 1.0, 3.0, limit=3.0))

    (outlier,) = [f for f in _findings(run) if f.rule.topic == "Threshold set by one outlier"]

    words = "".join(span.text for span in outlier.spans)
    assert "2 defects more would be found and 1 good part more rejected" in words


def test_marks_are_read_in_the_words_and_never_in_values() -> None:
    spans = prose("*a* {b} `c_{b}` $x_1^{2}$ d_e_f", b="*no* $x$")

    assert [(span.text, span.style) for span in spans] == [
        ("a", "strong"),
        (" *no* $x$ ", ""),
        ("c_*no* $x$", "code"),
        (" ", ""),
        ("x_1^{2}", "math"),
        (" d_e_f", ""),
    ]


def test_words_and_numbers() -> None:
    assert shortened("a" * 9, 9) == "a" * 9
    assert shortened("abcdefghij", 7) == "abc…hij"
    assert shortened("a\x1b\nb", 9) == "a\N{REPLACEMENT CHARACTER} b"
    assert scientific(6.69e-7) == "6.7 × 10⁻⁷"
    assert scientific(0) == "0"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed([]) == "none"
    assert listed(map(str, range(9)), 2) == "0, 1 and 7 more"
