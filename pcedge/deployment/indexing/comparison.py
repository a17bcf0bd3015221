"""Ways to search a bank beside the exact one: what each takes, and what it costs in recall and verdicts."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import INDEX_FILE, ApproximateIndex, Bank, Loss, MilvusAddress, MilvusIndex
from pcedge.bundles.bundle import Bundle
from pcedge.bundles.manifest import EXACT, INT8, SearchCost
from pcedge.core.progress import Progress, silent
from pcedge.core.scoring import image_score
from pcedge.datasets import Dataset, Sample, labelled_images, read_content
from pcedge.errors import DatasetError, ImageError
from pcedge.evaluation.metrics import image_metrics
from pcedge.inspection.runtimes import RuntimeKind, open_runtime
from pcedge.inspection.verification.golden import read_golden
from pcedge.thresholds.verdict import Thresholds

from .spec import IndexSpec

GOLDEN = "golden frames"
# Relative difference at which two rows are equally near.
_TIE = 1e-5
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, eq=False)
class BuiltIndex:
    """A way to search a bundle's bank, ready.

    Attributes:
        spec: Its name.
        bank: The bank that is searched so.
        index: The approximate index, if it is one.
        loss: What that has lost of the rows, where it is known.
        build_s: Seconds that building it, or bringing its rows to a Milvus, took.
    """

    spec: IndexSpec
    bank: Bank
    index: ApproximateIndex | MilvusIndex | None
    loss: Loss | None
    build_s: float


@dataclass(frozen=True)
class IndexReport:
    """What one way to search takes and costs.

    Attributes:
        name: As the user wrote it.
        memory_bytes: Memory of rows and search, without rows that are left on disk.
        file_bytes: Size of its own file in the bundle, 0 if it needs none.
        build_s: Seconds that building it took.
        search_ms: Median milliseconds a frame.
        image_auroc: None without good and defective images.
        cost: Beside exact search.
    """

    name: str
    memory_bytes: int
    file_bytes: int
    build_s: float
    search_ms: float
    image_auroc: float | None
    cost: SearchCost

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        cost = {name: getattr(self.cost, name) for name in SearchCost.__struct_fields__}
        return {**asdict(self), "cost": cost}


@dataclass(frozen=True, eq=False)
class Frames:
    """Patch embeddings to search for, one frame after the other.

    Attributes:
        source: Where they come from, in words.
        count: How many there are at most.
        embeddings: Whether a frame is known to show a defect (None if it is not known) and float32
            [patches, dims].
    """

    source: str
    count: int
    embeddings: Iterable[tuple[bool | None, NDArray[np.float32]]]


@dataclass
class _RecallCount:
    """What one way to search has shown so far."""

    seconds: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    found: list[float] = field(default_factory=list)
    proved: list[float] = field(default_factory=list)


def build_index(bundle: Bundle, spec: IndexSpec, progress: Progress = silent) -> BuiltIndex:
    """Open a bundle's bank to be searched in one way; nothing is written but rows that a Milvus lacks.

    Args:
        bundle: Whose bank it is.
        spec: The way.
        progress: Called with rows that are in Milvus, as the stage ``milvus``.

    Raises:
        OptionError: FAISS cannot build it of these rows.
        BankServerError: A Milvus cannot be reached, or does not keep the rows.
    """
    if spec.is_exact:
        bank = bundle.searched_by(spec.name).open_bank()
        began = time.perf_counter()
        bank.prepare()
        return BuiltIndex(spec, bank, None, None, time.perf_counter() - began)
    bank = bundle.searched_by(INT8).open_bank()
    rows = bank.rows
    began = time.perf_counter()
    if spec.is_milvus:
        address, digest = MilvusAddress.parse(spec.parameters), bundle.manifest.files[INDEX_FILE].sha256
        shared = MilvusIndex.fill(address, digest, rows, lambda done, total: progress("milvus", done, total))
        filled_s = time.perf_counter() - began
        return BuiltIndex(spec, bank.searched_by(shared, spec.candidates), shared, None, filled_s)
    index = ApproximateIndex.build(rows, spec.factory)
    index.tune(spec.parameters)
    build_s = time.perf_counter() - began
    return BuiltIndex(spec, bank.searched_by(index, spec.candidates), index, index.loss(rows), build_s)


def golden_frames(bundle: Bundle) -> Frames:
    """The reference's embeddings in the bundle: no network is needed."""
    frames = read_golden(bundle.searched_by(EXACT))
    return Frames(GOLDEN, len(frames), [(None, frame.embeddings) for frame in frames])


def dataset_frames(
    bundle: Bundle, dataset: Dataset, limit: int, runtime: RuntimeKind = "auto", device: str = "auto"
) -> Frames:
    """The test images of a dataset, evenly spaced where there are more than ``limit``; 0 takes all.

    Raises:
        DatasetError: There are no test images.
    """
    samples = labelled_images(dataset)
    step = 1 if not limit else max(1, -(-len(samples) // limit))
    chosen = samples[::step]
    source = f"{len(chosen)} test images of {dataset.title}"
    return Frames(source, len(chosen), _embeddings(bundle, chosen, runtime, device))


def compare_indexes(
    bundle: Bundle, built: list[BuiltIndex], frames: Frames, progress: Progress = silent
) -> list[IndexReport]:
    """Search for every frame in every way, one after the other, the exact search first.

    Args:
        bundle: Whose bank and threshold they are.
        built: Ways to search, the first of them exact.
        frames: What to search for; those that have no score in exact search are left out.
        progress: Called with frames searched for, as the stage ``search``.

    Raises:
        DatasetError: There is no frame to search for.
    """
    tallies = [_RecallCount() for _ in built]
    defects: list[bool | None] = []
    for done, (defect, embeddings) in enumerate(frames.embeddings, 1):
        if not np.isfinite(embeddings).all():
            continue
        if not defects:
            for one in built:  # the first search of each is slower
                one.bank.search(embeddings)
        defects.append(defect)
        nearest = None
        for one, tally in zip(built, tallies, strict=True):
            distances = _search(one, embeddings, tally)
            nearest = distances if nearest is None else nearest
            tally.found.append(float((distances <= nearest * (1 + _TIE) + _TINY).mean()))
        progress("search", done, frames.count)
    if not defects:
        raise DatasetError("There is no frame to search for.", "Give images that can be read.")
    return [
        _report(one, tally, tallies[0], defects, frames.source, bundle)
        for one, tally in zip(built, tallies, strict=True)
    ]


def _search(one: BuiltIndex, embeddings: NDArray[np.float32], tally: _RecallCount) -> NDArray[np.float32]:
    """Search once, and note how long it took, the score, and what is proved."""
    approximate = one.bank.approximate
    began = time.perf_counter()
    if approximate is not None and one.loss is not None:
        distances, _, proved = approximate.search_proved(embeddings, one.loss)
        tally.proved.append(float(proved.mean()))
    else:
        distances, _ = one.bank.search(embeddings)
    tally.seconds.append(time.perf_counter() - began)
    tally.scores.append(image_score(distances))
    return distances


def _report(
    one: BuiltIndex,
    tally: _RecallCount,
    exact: _RecallCount,
    defects: list[bool | None],
    source: str,
    bundle: Bundle,
) -> IndexReport:
    scores, true = np.array(tally.scores), np.array(exact.scores)
    errors = np.maximum(scores - true, 0.0) / np.maximum(true, _TINY)
    threshold = bundle.manifest.threshold.score
    flipped = Thresholds(threshold).flips(scores, true)
    good = np.array([defect is False for defect in defects])
    bad = np.array([defect is True for defect in defects])
    proved = 1.0 if one.spec.is_exact else (float(np.mean(tally.proved)) if tally.proved else None)
    return IndexReport(
        name=one.spec.name,
        memory_bytes=one.bank.nbytes,
        file_bytes=one.index.nbytes if isinstance(one.index, ApproximateIndex) else 0,
        build_s=one.build_s,
        search_ms=float(np.median(tally.seconds)) * 1000,
        image_auroc=image_metrics(scores[good], scores[bad]).auroc.value,
        cost=SearchCost(
            frames=len(defects),
            source=source,
            recall=float(np.mean(tally.found)),
            proved=proved,
            score_error_mean=float(errors.mean()),
            score_error_largest=float(errors.max()),
            flips=int(flipped.sum()),
            good_flips=int((flipped & good).sum()),
        ),
    )


def _embeddings(
    bundle: Bundle, samples: tuple[Sample, ...], runtime: RuntimeKind, device: str
) -> Iterator[tuple[bool, NDArray[np.float32]]]:
    """Of every image that can be read; others show nothing to search for."""
    preprocessing = bundle.manifest.preprocessing
    with open_runtime(bundle, runtime, device) as network:
        for sample in samples:
            try:
                image = read_content(sample.path)
            except ImageError:
                continue
            yield sample.is_defect, network.infer(preprocessing.apply(image)[np.newaxis])[0]
