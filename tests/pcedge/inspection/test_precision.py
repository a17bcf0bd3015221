"""Which precisions a choice stands for, and which are not taken without being asked for."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import Manifest, Precision, PrecisionInfo
from pcedge.errors import BundleError, OptionError
from pcedge.inspection.precision import objection, one_precision, precision_choice, precisions_for


def info(image_auroc: float | None, pixel_auroc: float | None = None) -> PrecisionInfo:
    return PrecisionInfo(
        dataset="lines/part",
        good=10,
        defective=10,
        image_auroc=image_auroc,
        pixel_auroc=pixel_auroc,
        false_reject_rate=0.0,
        miss_rate=0.0,
        flips=0,
        bytes=1,
        frame_ms=1.0,
    )


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        (info(0.95), info(0.95), ""),
        (info(0.95), info(0.945), ""),  # just half a point, which floating point must not make more
        (info(0.95), info(0.944), "loses 0.6 points of image AUROC"),
        (info(0.95), info(0.99), ""),
        (info(0.95, 0.97), info(0.95, 0.96), "loses 1.0 points of pixel AUROC"),
        (info(0.95, 0.97), info(0.95, None), ""),
        (info(None), info(None), "not measured"),
        (info(0.95), None, "not measured"),
        (None, info(0.95), "not measured"),
    ],
)
def test_a_precision_that_loses_or_was_not_measured_is_objected_to(
    manifest: Manifest, own: PrecisionInfo | None, other: PrecisionInfo | None, expected: str
) -> None:
    pairs: list[tuple[Precision, PrecisionInfo | None]] = [("fp32", own), ("int8", other)]
    measured = {name: found for name, found in pairs if found is not None}

    found = objection(msgspec.structs.replace(manifest, precisions=measured), "int8")

    assert found.startswith(expected)
    assert bool(found) == bool(expected)
    assert not objection(manifest, "fp32")


def test_a_bundle_without_others_has_its_own_precision(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path / "part")

    assert bundle.precisions == ["fp32"]
    assert bundle.in_precision("fp32") is bundle
    assert precisions_for(bundle, "auto") == precisions_for(bundle, "all") == ["fp32"]
    with pytest.raises(BundleError, match="no network in int8") as caught:
        bundle.in_precision("int8")
    assert "pcedge export --int8" in caught.value.hint


@pytest.mark.parametrize("check", [one_precision, precision_choice])
def test_a_name_that_is_no_precision_is_refused(check: Callable[[str], str]) -> None:
    assert check("fp16") == "fp16"
    with pytest.raises(OptionError, match="no precision 'fp8'") as caught:
        check("fp8")
    assert "fp32, fp16, int8" in caught.value.hint


def test_auto_is_no_single_precision() -> None:
    assert precision_choice("auto") == "auto"
    with pytest.raises(OptionError):
        one_precision("auto")
