"""The function ``fit``: from a folder of good images to a PatchCore bundle."""

from collections.abc import Sequence
from pathlib import Path

from pcedge.bundles.bundle import Bundle, check_name, set_current, write_bundle
from pcedge.core.progress import Progress, silent
from pcedge.core.scoring import check_neighbours
from pcedge.core.stage_timer import StageTimer
from pcedge.datasets import open_dataset, training_images
from pcedge.errors import MissingExtraError, OptionError
from pcedge.inspection.exported_network import exported_network
from pcedge.networks.embedding_network import EmbeddingNetwork
from pcedge.thresholds.folds import check_support
from pcedge.thresholds.groups import find_groups

from .build_bundle import MIN_IMAGES, build
from .options import FitOptions
from .replacing import product_of
from .result import FitResult


def fit(
    dataset_path: Path, options: FitOptions | None = None, progress: Progress = silent
) -> FitResult[Bundle]:
    """Fit PatchCore on the good images of a dataset and write the bundle, which becomes current.

    Args:
        dataset_path: Folder of one product, in one of the layouts of ``pcedge.datasets``.
        options: Options of the fit.
        progress: Progress callback; stages ``download``, ``finetune``, ``embed``, ``coreset``, ``calibrate``
            and ``write``.

    Raises:
        PcedgeError: The fit failed; the message says why and what to do. Nothing was written or changed.
    """
    options = options or FitOptions()
    _check_calibration(options)
    _check_finetune(options)
    dataset = open_dataset(dataset_path, options.layout)
    paths = training_images(dataset, at_least=MIN_IMAGES)
    names = [dataset.relative(path) for path in paths]
    units = len(set(find_groups(names, options.groups)))
    check_support(options.rates, units, options.calibration, grouped=options.groups is not None)
    check_neighbours(options.neighbours)
    name = check_name(options.name or dataset.product)
    directory = options.models / name
    product = product_of(directory, dataset, replace=options.replace)
    watch = StageTimer()
    # Missing weights must fail before anything is written; tuning takes long.
    network = None if options.finetune else _load_network(paths, options, watch, progress)
    # Opened before the long work, so that a directory that is not writable is reported at once.
    with write_bundle(directory) as staging:
        network = network or _load_network(paths, options, watch, progress)
        built = build(staging, name, dataset, network, options, watch, progress, product=product)
    set_current(options.models, name)
    progress("write", 1, 1)
    return FitResult(
        bundle=Bundle(directory, built.manifest),
        seconds=watch.seconds,
        outliers=built.outliers,
        cached=built.cached,
        cache_problem=built.cache_problem,
        offline_default=network.offline_default,
        left_out=dataset.left_out,
        dependent=built.dependent,
    )


def _check_calibration(options: FitOptions) -> None:
    if options.calibration == "leave-one-out" and options.neighbours > 1:
        raise OptionError(
            "--calibration leave-one-out scores images without re-weighting, and --neighbours "
            f"{options.neighbours} re-weights scores.",
            "Leave out --neighbours, or use --calibration folds.",
        )


def _check_finetune(options: FitOptions) -> None:
    if options.finetune is None:
        return
    if options.like is not None:
        raise OptionError(
            "The network of another bundle is taken as it is and cannot be fine-tuned.",
            "Leave out --like or --finetune.",
        )
    if options.calibration == "split":
        raise OptionError(
            "--calibration split holds for images that nothing was learned from, and fine-tuning learns from "
            "all good images.",
            "Leave out --finetune, or use --calibration folds.",
        )


def _load_network(
    paths: Sequence[Path], options: FitOptions, watch: StageTimer, progress: Progress
) -> EmbeddingNetwork:
    if options.like is not None:
        with watch.stage("load"):
            return exported_network(options.like, options.device)
    try:
        from pcedge.networks.load_network import load_network
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "torch", "fit", "Fitting a network of its own") from None
    return load_network(paths, options.network, watch, progress)
