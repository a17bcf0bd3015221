"""Networks in fp16 and int8, each with a bank and a threshold of its own, measured beside float32."""

import shutil
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from pcedge.banks import CoresetSize
from pcedge.bundles.bundle import EMBEDDER_FILE, SEARCH_PART_FILE, Bundle, edit_bundle, seal
from pcedge.bundles.manifest import INT8_TRT, Manifest, Precision, PrecisionInfo
from pcedge.bundles.nominal_images import NOMINAL_FILE
from pcedge.camera import Verdict
from pcedge.core.files import link_or_copy
from pcedge.core.progress import Progress
from pcedge.core.stage_timer import StageTimer
from pcedge.datasets import Dataset, open_dataset, read_content, training_images
from pcedge.errors import DatasetError, ExportError, ImageError, MissingExtraError, OptionError
from pcedge.evaluation.evaluate import Evaluation, evaluate
from pcedge.export import Int8Kind, OnnxRuntime, check_operators, write_fp16, write_int8, write_search_part
from pcedge.fitting.build_bundle import build
from pcedge.fitting.options import FitOptions
from pcedge.inspection.exported_network import in_precision
from pcedge.inspection.patchcore_detector import Inspector
from pcedge.thresholds.calibration_data import read_evidence
from pcedge.thresholds.verdict import Thresholds

# Ranges of activations are known well after a few images; each takes a forward pass and its memory.
_CALIBRATION_IMAGES = 32
_INT8_FOR: dict[Precision, Int8Kind] = {"int8": "cpu", INT8_TRT: "tensorrt"}


def find_images(bundle: Bundle, images: Path | None) -> Dataset:
    """The good images that a bundle was fitted on, to make its bank anew.

    Args:
        bundle: Says what they are called.
        images: Where they are; None to look for them by that name, from the working directory.

    Raises:
        OptionError: They are not there, and nothing else was named.
        DatasetError: The folder cannot be used, or holds other images.
    """
    place = images or Path(bundle.manifest.dataset)
    if images is None and not place.is_dir():
        raise OptionError(
            "A network in another precision needs a bank and a threshold of its own, so the good images that "
            f"{bundle.manifest.name} was fitted on are needed; there is no folder {place} here.",
            "Name it: pcedge export --images DATASET",
        )
    dataset = open_dataset(place)
    known = {dataset.relative(path) for path in dataset.train}
    if gone := [name for name in _fitted_on(bundle) if name not in known]:
        raise DatasetError(
            f"{place} is not what {bundle.manifest.name} was fitted on: it has no {gone[0]}.",
            f"Name the folder that held {bundle.manifest.dataset}, or fit the bundle again on this one.",
        )
    return dataset


def _fitted_on(bundle: Bundle) -> Collection[str]:
    """Names of images that it was fitted on: those held out, or where others were since, those learned."""
    if not bundle.manifest.threshold.images:
        return bundle.manifest.threshold.held_out
    evidence = read_evidence(bundle)
    return () if evidence is None else evidence.learned


def add_precisions(
    bundle: Bundle,
    precisions: Sequence[Precision],
    dataset: Dataset,
    *,
    progress: Progress,
) -> Bundle:
    """Write the network in other precisions into a bundle, each with a bank and a threshold made through it.

    Where the dataset has labelled images, all are measured on them, float32 too, and the manifest says how
    they did.

    Args:
        bundle: Exported; replaced whole after each precision, or left as it is.
        precisions: ``fp16``, ``int8`` for processors, ``int8-trt`` for TensorRT.
        dataset: The good images that the bundle was fitted on, and perhaps labelled ones.
        progress: Called with the stages of each.

    Raises:
        ExportError: The network cannot be written in that precision.
        MissingExtraError: onnx is not installed.
        PcedgeError: The images cannot be used.
    """
    try:
        import onnx  # noqa: F401 (what is missing must be found before the long work)
    except ImportError:
        raise MissingExtraError("onnx", "fit", "Writing a network in another precision") from None
    own = None
    if dataset.test:
        own = _evaluate(bundle, dataset, _called(progress, bundle.manifest.precision))
    for precision in precisions:
        bundle = _add(bundle, precision, dataset, own, _called(progress, precision))
    return bundle


def _add(
    bundle: Bundle,
    precision: Precision,
    dataset: Dataset,
    own: Evaluation | None,
    progress: Progress,
) -> Bundle:
    with edit_bundle(bundle) as staging:
        folder = staging / precision
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if bundle.has(NOMINAL_FILE):  # what was learned from looks the same in every precision
            link_or_copy(bundle.file(NOMINAL_FILE), folder / NOMINAL_FILE)
        kind = _INT8_FOR.get(precision)
        _write_network(bundle, folder / EMBEDDER_FILE, dataset, kind)
        write_search_part(folder / SEARCH_PART_FILE, bundle.manifest.embedding.dims)
        if kind != "cpu":
            check_operators(folder / EMBEDDER_FILE)
        network = in_precision(bundle, folder / EMBEDDER_FILE, precision, kind)
        options = _options(bundle.manifest)
        own_name, product = bundle.manifest.name, bundle.manifest.product
        built = build(folder, own_name, dataset, network, options, StageTimer(), progress, product=product)
        measured = {name: info for name, info in bundle.manifest.precisions.items() if name != precision}
        if own is not None:
            variant = Bundle(folder, built.manifest)
            other = _evaluate(variant, dataset, progress)
            verdicts = _verdicts(bundle, own)
            measured[bundle.manifest.precision] = _info(bundle, dataset, own, verdicts)
            measured[precision] = _info(variant, dataset, other, verdicts)
        manifest = seal(staging, msgspec.structs.replace(bundle.manifest, precisions=measured))
    progress("write", 1, 1)
    return Bundle(bundle.directory, manifest)


def _write_network(bundle: Bundle, path: Path, dataset: Dataset, int8_for: Int8Kind | None) -> None:
    source = bundle.file(EMBEDDER_FILE)
    if int8_for is None:
        write_fp16(source, path)
    else:
        write_int8(source, path, _calibration(bundle, dataset), kind=int8_for)


def _calibration(bundle: Bundle, dataset: Dataset) -> Iterator[NDArray[np.float32]]:
    """Good images from all over the set, as the network sees them."""
    paths = training_images(dataset, at_least=1)
    step = max(1, len(paths) // _CALIBRATION_IMAGES)
    for path in paths[::step]:
        try:
            yield bundle.manifest.preprocessing.apply(read_content(path))[np.newaxis]
        except ImageError:
            continue  # building the bank says what is wrong with it


def _options(manifest: Manifest) -> FitOptions:
    """What the bundle was fitted with, as far as it concerns the bank and the threshold.

    Rates that were calibrated on other images need not be within the reach of those fitted on.
    """
    limits = manifest.threshold
    own_images = not limits.images
    return FitOptions(
        coreset=CoresetSize.parse(manifest.bank.coreset),
        false_reject_rate=limits.false_reject_rate if own_images else None,
        review_rate=limits.review_rate if own_images else None,
        calibration=limits.calibration,
        groups=limits.grouped_by or None,
        neighbours=manifest.score.neighbours,
        seed=manifest.bank.seed,
        pictures_mb=manifest.pictures_mb,
    )


def _evaluate(bundle: Bundle, dataset: Dataset, progress: Progress) -> Evaluation:
    with OnnxRuntime(bundle.file(EMBEDDER_FILE), "cpu") as runtime:
        return evaluate(
            dataset, Inspector.of(bundle.manifest, runtime, bundle.open_bank()), progress, leaks="ignore"
        )


def _verdicts(bundle: Bundle, found: Evaluation) -> dict[str, Verdict]:
    """Of every image that was judged."""
    rule = Thresholds(bundle.manifest.threshold.score)
    return {name: rule.verdict(score) for name, score in found.scores.items()}


def _info(bundle: Bundle, dataset: Dataset, found: Evaluation, verdicts: dict[str, Verdict]) -> PrecisionInfo:
    own = _verdicts(bundle, found)
    if own.keys() != verdicts.keys():
        raise ExportError(
            f"The test images of {dataset.root} changed while precisions were compared.",
            "Run the same command again.",
        )
    return PrecisionInfo(
        dataset=dataset.title,
        good=found.good,
        defective=found.defective,
        image_auroc=found.image_auroc,
        pixel_auroc=found.pixel_auroc,
        false_reject_rate=found.false_reject_rate,
        miss_rate=found.miss_rate,
        flips=sum(verdict != verdicts[name] for name, verdict in own.items()),
        bytes=bundle.manifest.files[EMBEDDER_FILE].size,
        frame_ms=found.frame_ms,
    )


def _called(progress: Progress, precision: Precision) -> Progress:
    """Progress under the name of a precision, since all have the same stages."""
    return lambda stage, done, total: progress(f"{precision}: {stage}", done, total)
