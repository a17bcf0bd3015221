"""Networks in other precisions, from export to the choice of a runtime, and products that share a network."""

import shutil
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest

from pcedge.adaptation.recalibrate import CalibrationOptions, calibrate
from pcedge.bundles.bundle import EMBEDDER_FILE, Bundle, edit_bundle, find_bundle, seal
from pcedge.bundles.gate_files import gate_limits
from pcedge.bundles.manifest import MANIFEST_FILE, Precision
from pcedge.bundles.nominal_images import NOMINAL_FILE
from pcedge.camera import render_part, write_image
from pcedge.deployment.exporting.export_bundle import ExportResult, _for_tensorrt, export_bundle
from pcedge.errors import BundleError, DatasetError, OptionError
from pcedge.evaluation.evaluate import Evaluation, evaluate
from pcedge.inspection.runtimes import Candidate, candidates, open_inspector, runtime_file
from pcedge.inspection.verification.certificate import valid_certificate
from pcedge.inspection.verification.verify import choose_runtime, verify
from pcedge.thresholds.calibration_data import read_evidence

from ..conftest import Line, Run


class Exported(NamedTuple):
    line: Line
    result: ExportResult


@pytest.fixture(scope="module")
def exported(exported_line: Line, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The rendered line with both other precisions; not to be changed."""
    models = tmp_path_factory.mktemp("precisions") / "models"
    shutil.copytree(exported_line.models, models)
    result = export_bundle(
        find_bundle("line", models), precisions=("fp16", "int8"), images=exported_line.dataset
    )
    return Exported(Line(exported_line.dataset, models), result)


@pytest.fixture
def copy(exported: Exported, tmp_path: Path) -> Bundle:
    """The same bundle, to be changed."""
    shutil.copytree(exported.line.models, tmp_path / "models")
    return find_bundle("line", tmp_path / "models")


def test_every_precision_is_a_whole_bundle_with_a_bank_and_a_threshold_of_its_own(exported: Exported) -> None:
    own = exported.result.bundle
    assert own.precisions == ["fp32", "fp16", "int8"]
    own_rows = own.open_bank().rows
    for precision in own.precisions[1:]:
        variant = Bundle.open(own.directory / precision)
        assert variant.manifest.precision == precision
        assert variant.file(EMBEDDER_FILE).stat().st_size < 0.6 * own.file(EMBEDDER_FILE).stat().st_size
        rows = variant.open_bank().rows
        assert rows.shape == own_rows.shape
        assert not np.array_equal(rows, own_rows)
        assert variant.manifest.threshold.score != own.manifest.threshold.score
        rate = variant.manifest.threshold.false_reject_rate
        assert rate == own.manifest.threshold.false_reject_rate
        assert variant.file(NOMINAL_FILE).samefile(own.file(NOMINAL_FILE))
        assert variant.manifest.pictures_mb == own.manifest.pictures_mb


def test_what_the_manifest_says_of_a_precision_is_what_evaluation_finds(exported: Exported) -> None:
    from pcedge.datasets import open_dataset

    bundle, dataset = exported.result.bundle, open_dataset(exported.line.dataset)
    found: dict[Precision, Evaluation] = {}
    both: tuple[Precision, Precision] = ("fp32", "int8")
    for precision in both:
        with open_inspector(bundle, runtime="onnx", device="cpu", precision=precision) as inspector:
            found[precision] = evaluate(dataset, inspector)
    limits = {precision: bundle.in_precision(precision).manifest.threshold.score for precision in found}
    flips = sum(
        (found["int8"].scores[name] > limits["int8"]) != (score > limits["fp32"])
        for name, score in found["fp32"].scores.items()
    )

    stated = bundle.manifest.precisions["int8"]
    assert stated.image_auroc == found["int8"].image_auroc
    assert stated.pixel_auroc == found["int8"].pixel_auroc
    assert stated.flips == flips
    assert bundle.manifest.precisions["fp32"].image_auroc == found["fp32"].image_auroc
    assert bundle.manifest.precisions["fp32"].flips == 0


def test_every_precision_is_certified(exported: Exported) -> None:
    assert [certificate.precision for certificate in exported.result.certificates] == ["fp32", "fp16", "int8"]
    assert all(certificate.parity.holds for certificate in exported.result.certificates)
    for precision in ("fp32", "fp16", "int8"):
        assert valid_certificate(exported.result.bundle.in_precision(precision), "onnx", "cpu") is not None


def test_a_precision_that_was_not_measured_is_not_chosen_but_can_be_asked_for(copy: Bundle) -> None:
    measured = {name: info for name, info in copy.manifest.precisions.items() if name != "int8"}
    bundle = Bundle(copy.directory, msgspec.structs.replace(copy.manifest, precisions=measured))

    assert Candidate("onnx", "cpu", "int8") not in candidates(bundle)
    assert candidates(bundle, precision="int8") == [Candidate("onnx", "cpu", "int8")]
    assert len(candidates(bundle, precision="all")) == 3


def test_the_fastest_proved_precision_is_chosen(copy: Bundle) -> None:
    choice = choose_runtime(copy, "onnx", "cpu", "all")
    timed = {
        precision: verify(copy, Candidate("onnx", "cpu", precision)).frame_ms for precision in copy.precisions
    }
    assert None not in timed.values()
    assert choice.certificate.precision == choice.candidate.precision
    # Which one is fastest changes with the load; the reason names the others in any case.
    others = set(copy.precisions) - {choice.candidate.precision}
    assert all(f"in {one}" in choice.reason for one in others if one != "fp32")


def test_a_precision_whose_file_was_changed_is_refused(copy: Bundle) -> None:
    (copy.directory / "int8" / EMBEDDER_FILE).write_bytes(b"changed")
    with pytest.raises(BundleError, match=r"int8/embedder\.onnx is not the file"):
        verify(copy, Candidate("onnx", "cpu", "int8"))

    manifest = copy.directory / "int8" / MANIFEST_FILE
    manifest.write_bytes(manifest.read_bytes().replace(b'"score"', b'"score" '))
    with pytest.raises(BundleError, match=r"int8/manifest\.json is not the file"):
        copy.in_precision("int8")


def test_the_bank_of_another_precision_does_not_pass_as_this_ones(copy: Bundle) -> None:
    with open_inspector(copy, runtime="onnx", device="cpu", precision="int8") as inspector:
        from pcedge.inspection.verification.golden import read_golden
        from pcedge.inspection.verification.parity import measure_parity

        parity = measure_parity(inspector, read_golden(copy), "fp32")

    assert not parity.stage("embedding").holds
    assert not parity.holds


def test_images_are_asked_for_and_must_be_those_of_the_fit(
    copy: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = (copy.directory / MANIFEST_FILE).read_bytes()
    with pytest.raises(OptionError, match="the good images that line was fitted on are needed"):
        export_bundle(copy, precisions=("int8",))

    from pcedge.camera import write_dataset

    write_dataset(tmp_path / "other", train=5, test_good=1, per_defect=1)
    with pytest.raises(DatasetError, match="not what line was fitted on"):
        export_bundle(copy, precisions=("int8",), images=tmp_path / "other")
    assert (copy.directory / MANIFEST_FILE).read_bytes() == before


def test_exporting_one_precision_again_keeps_the_other(copy: Bundle, exported: Exported) -> None:
    shutil.copytree(exported.line.dataset / "train", copy.directory.parent / "line-unlabelled" / "train")

    result = export_bundle(copy, precisions=("fp16",), images=copy.directory.parent / "line-unlabelled")

    assert result.bundle.precisions == ["fp32", "fp16", "int8"]
    # Without labelled images nothing can be said of it, and what was said before was of another network.
    assert set(result.bundle.manifest.precisions) == {"fp32", "int8"}
    assert Bundle.open(copy.directory).in_precision("int8").open_bank().dims == 128


def test_int8_for_tensorrt_lies_beside_int8_for_processors_and_each_runtime_takes_its_own(
    copy: Bundle, exported: Exported
) -> None:
    """The bundle has int8 for processors already; engines are built where TensorRT for RTX is installed."""
    before = copy.in_precision("int8")

    result = export_bundle(copy, trt=True, precisions=("int8",), images=exported.line.dataset)

    both = result.bundle
    assert both.precisions == ["fp32", "fp16", "int8", "int8-trt"]
    own, other = both.in_precision("int8").manifest, both.in_precision("int8-trt").manifest
    assert own == before.manifest
    assert (own.embedding.int8_for, other.embedding.int8_for) == ("cpu", "tensorrt")
    assert own.threshold.score != other.threshold.score
    assert both.manifest.precisions.keys() == {"fp32", "fp16", "int8", "int8-trt"}
    assert [one.precision for one in candidates(both, "onnx", "cpu", "all")] == ["fp32", "fp16", "int8"]
    assert [one.precision for one in candidates(both, "onnx", "tensorrt", "int8")] == ["int8-trt"]
    assert [one.precision for one in candidates(both, "tensorrt-rtx", "auto", "int8")] == ["int8-trt"]
    assert candidates(both, "onnx", "cpu", "int8-trt") == [Candidate("onnx", "cpu", "int8-trt")]
    with pytest.raises(BundleError, match="was quantised for processors") as caught:
        runtime_file(both.in_precision("int8"), "tensorrt-rtx")
    assert "--precision int8-trt" in caught.value.hint
    # On the device no images are there, nor needed.
    again = export_bundle(both, trt=True, precisions=("int8",))
    assert again.bundle.precisions == both.precisions


def test_int8_that_an_earlier_version_wrote_for_tensorrt_stays_tensorrt_s(copy: Bundle) -> None:
    with edit_bundle(copy) as staging:
        variant = copy.in_precision("int8").manifest
        embedding = msgspec.structs.replace(variant.embedding, int8_for="tensorrt")
        seal(staging / "int8", msgspec.structs.replace(variant, embedding=embedding))
        seal(staging, copy.manifest)
    earlier = Bundle.open(copy.directory)

    assert _for_tensorrt(earlier, "int8") == "int8"
    assert _for_tensorrt(earlier, "fp16") == "fp16"
    assert [one.precision for one in candidates(earlier, "onnx", "cpu", "all")] == ["fp32", "fp16"]
    assert [one.precision for one in candidates(earlier, "onnx", "tensorrt", "int8")] == ["int8"]
    assert [one.precision for one in candidates(earlier, "onnx", "cpu", "int8")] == ["int8"]


def test_another_product_is_fitted_through_an_exported_network_without_torch(pcedge: Run, line: Line) -> None:
    done = pcedge(
        "fit", line.dataset, "--like", "line", "--name", "second", "--models", line.models, torch=False
    )
    assert done.returncode == 0, done.stderr
    first, second = find_bundle("line", line.models), find_bundle("second", line.models)

    assert second.manifest.files[EMBEDDER_FILE] == first.manifest.files[EMBEDDER_FILE]
    assert second.manifest.preprocessing == first.manifest.preprocessing
    # The same images through the same network: what float32 leaves is all the difference there is.
    assert second.manifest.threshold.score == pytest.approx(first.manifest.threshold.score, rel=1e-4)
    assert verify(second, Candidate("onnx", "cpu")).parity.holds


def test_fitting_like_a_bundle_takes_its_network_as_it_is(pcedge: Run, line: Line) -> None:
    done = pcedge("fit", line.dataset, "--like", "line", "--models", line.models, "--backbone", "resnet18")
    assert done.returncode == 1
    assert "--backbone has no effect beside --like, which takes the network" in done.stderr


def test_calibrating_gives_every_precision_thresholds_of_its_own(copy: Bundle, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    for seed in range(26):
        write_image(tmp_path / "new" / f"{seed}.png", render_part(5_000_000 + seed).image_rgb)
    before = {precision: copy.in_precision(precision).manifest.threshold for precision in copy.precisions}

    # PyTorch has the network in float32 alone: the others run as they can.
    bundle = calibrate(copy, [tmp_path / "new"], CalibrationOptions(runtime="torch")).bundle

    after = {precision: bundle.in_precision(precision).manifest.threshold for precision in bundle.precisions}
    assert all(after[precision].score != before[precision].score for precision in before)
    assert len({limits.score for limits in after.values()}) == 3
    for precision in bundle.precisions:
        evidence = read_evidence(bundle.in_precision(precision))
        assert evidence is not None
        assert max(evidence.scores) >= after[precision].score
        assert verify(bundle, Candidate("onnx", "cpu", precision)).parity.holds
        assert bundle.in_precision(precision).manifest.gate == bundle.manifest.gate != copy.manifest.gate
        assert gate_limits(bundle.in_precision(precision)) is not None
    assert all(info.miss_rate is None for info in bundle.manifest.precisions.values())
