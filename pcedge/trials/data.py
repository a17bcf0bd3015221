"""What a dataset is, for the record: its facts, and a digest of every byte that decides a result."""

from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from pcedge.datasets import Dataset
from pcedge.feature_cache import content_digest
from pcedge.progress import Progress, silent
from pcedge.results import DataFacts


def data_facts(dataset: Dataset, progress: Progress = silent) -> DataFacts:
    """Count and digest a dataset; reads all of its files.

    Args:
        dataset: Any.
        progress: Told of files read, as the stage ``data``.
    """
    return DataFacts(
        name=dataset.name,
        title=dataset.title,
        layout="mvtec" if dataset.test else "plain",
        digest=data_digest(dataset, progress),
        train=len(dataset.train),
        kinds=dict(Counter(sample.kind for sample in dataset.test)),
        masks=sum(sample.mask is not None for sample in dataset.test if sample.is_defect),
    )


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
        if sample.mask is not None:
            yield sample.mask
