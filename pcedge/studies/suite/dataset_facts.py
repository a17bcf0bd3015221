"""What a dataset is, for the record: its facts, and a digest of every byte that decides a result."""

from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from pcedge.core.progress import Progress, silent
from pcedge.datasets import Audit, Dataset
from pcedge.evaluation.runs import DataFacts
from pcedge.fitting.feature_cache import content_digest


def data_facts(dataset: Dataset, digest: str, found: Audit) -> DataFacts:
    """A dataset's facts.

    Args:
        dataset: Any.
        digest: From :func:`data_digest`.
        found: What the checks found.
    """
    return DataFacts(
        name=dataset.name,
        title=dataset.title,
        layout=dataset.layout,
        digest=digest,
        train=len(dataset.train),
        kinds=dict(Counter(sample.kind for sample in dataset.test)),
        masks=sum(bool(sample.masks) for sample in dataset.test if sample.is_defect),
        problems=tuple(_problems(found)),
        aupro_limit=dataset.aupro_limit,
    )


def _problems(found: Audit) -> Iterator[str]:
    for leak in found.leaks:
        same = "is the same file as" if leak.identical else "shows the same as"
        yield f"{leak.test} {same} {leak.train}, which was learned from"
    yield from (f"{name}: {reason}" for name, reason in found.unreadable.items())
    yield from (f"{name}: {reason}" for name, reason in found.unusable_masks.items())
    if found.defects_without_mask:
        yield f"{len(found.defects_without_mask)} defective images have no mask"
    if found.masks_without_image:
        yield f"{len(found.masks_without_image)} masks belong to no image"


def data_digest(dataset: Dataset, progress: Progress = silent) -> str:
    """Digest of the names and contents of all training images, test images and masks.

    A file that cannot be read counts by its name alone: evaluation will say so.
    """
    files = list(_files(dataset))
    digest = blake2b(digest_size=20)
    for done, path in enumerate(files, 1):
        try:
            content = content_digest(path)
        except OSError:
            content = "unreadable"
        digest.update(f"{dataset.relative(path)}\n{content}\n".encode())
        progress("data", done, len(files))
    return digest.hexdigest()


def _files(dataset: Dataset) -> Iterator[Path]:
    yield from dataset.train
    for sample in dataset.test:
        yield sample.path
        yield from sample.masks
