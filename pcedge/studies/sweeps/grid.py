"""The sweep: every combination of settings, with the network run once for each backbone and size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path

import msgspec

from pcedge.banks import CoresetSize
from pcedge.core.progress import Progress, silent
from pcedge.core.scoring import check_neighbours
from pcedge.datasets import Dataset, labelled_images, training_images
from pcedge.errors import PcedgeError
from pcedge.fitting.feature_cache import content_digest
from pcedge.studies.suite import data_digest

from .measure import SweepMeasurement
from .network import SweepNetwork, load_network
from .points import Point, Sweep, read_sweep, write_sweep


@dataclass(frozen=True)
class SweepOptions:
    """What is combined with what.

    Attributes:
        backbones: Architectures.
        image_sizes: Whole images are resized to these.
        coresets: Sizes of the bank.
        neighbours: Bank rows that re-weight the image score; 1 for none.
        weights: Backbone to a state dict to use instead of the usual weights.
        seed: Of everything random.
        device: Where the network runs.
        cache_gb: Disk that cached features may use, in GB.
    """

    backbones: tuple[str, ...]
    image_sizes: tuple[int, ...]
    coresets: tuple[CoresetSize, ...]
    neighbours: tuple[int, ...]
    weights: dict[str, Path] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    cache_gb: float = 8.0


def sweep(dataset: Dataset, options: SweepOptions, output: Path, progress: Progress = silent) -> Sweep:
    """Measure every combination; points that ``output`` holds already are not measured again.

    The sweep is written after each backbone and size. One that fails costs its own points alone.

    Args:
        dataset: With training and test images.
        options: What is combined.
        output: Receives ``sweep.json`` and ``sweep.csv``.
        progress: Called with points measured, as the stage ``sweep``, and of the stages of each.

    Raises:
        DatasetError: There are no images to fit on or to test with.
        OptionError: An option makes no sense.
    """
    for count in options.neighbours:
        check_neighbours(count)
    training_images(dataset, at_least=1)
    labelled_images(dataset)
    found = _resumed(dataset, options, output, progress)
    known, wanted = {point.key for point in found.points}, list(_combinations(options))
    done = sum((name, size, str(coreset), count) in known for name, size, coreset, count in wanted)
    progress("sweep", done, len(wanted))
    for backbone, size in _networks(options):
        missing = _missing(options, found.points, backbone, size)
        if not missing:
            continue
        try:
            network = load_network(
                backbone, size, options.weights.get(backbone), options.device, options.cache_gb
            )
            points, skipped = _measure(dataset, network, missing, options, progress)
            found = msgspec.structs.replace(
                found, points=(*found.points, *points), skipped=found.skipped | skipped
            )
            done += len(points)
        except PcedgeError as error:
            failed = found.failed | {f"{backbone} at {size}": error.what}
            found = msgspec.structs.replace(found, failed=failed)
        write_sweep(output, found)
        progress("sweep", done, len(wanted))
    write_sweep(output, found)
    return found


def _resumed(dataset: Dataset, options: SweepOptions, output: Path, progress: Progress) -> Sweep:
    """What is there already of this sweep, also of combinations that are not asked for now."""
    request = _request(dataset, options, progress)
    before = read_sweep(output)
    if before is None or before.request != request:
        return Sweep(dataset=dataset.title, request=request)
    return msgspec.structs.replace(before, failed={})


def _request(dataset: Dataset, options: SweepOptions, progress: Progress) -> str:
    weights = sorted((name, content_digest(path)) for name, path in options.weights.items())
    stated = (version("pcedge"), data_digest(dataset, progress), weights, options.seed, options.device)
    return blake2b(repr(stated).encode(), digest_size=20).hexdigest()


def _networks(options: SweepOptions) -> Iterator[tuple[str, int]]:
    return ((backbone, size) for backbone in options.backbones for size in options.image_sizes)


def _combinations(options: SweepOptions) -> Iterator[tuple[str, int, CoresetSize, int]]:
    for backbone, size in _networks(options):
        for coreset in options.coresets:
            yield from ((backbone, size, coreset, count) for count in options.neighbours)


def _missing(
    options: SweepOptions, points: Sequence[Point], backbone: str, size: int
) -> dict[CoresetSize, list[int]]:
    """Coreset to the numbers of neighbours that are not measured yet."""
    known = {point.key for point in points}
    left: dict[CoresetSize, list[int]] = {}
    for name, pixels, coreset, count in _combinations(options):
        if (name, pixels) == (backbone, size) and (name, pixels, str(coreset), count) not in known:
            left.setdefault(coreset, []).append(count)
    return left


def _measure(
    dataset: Dataset,
    network: SweepNetwork,
    missing: dict[CoresetSize, list[int]],
    options: SweepOptions,
    progress: Progress,
) -> tuple[list[Point], dict[str, str]]:
    measurement = SweepMeasurement(dataset, network, missing, options.seed, progress)
    return measurement.points(), measurement.skipped
