"""Features of a dataset, computed once, and how well banks of them do: no bundle for each bank."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import Bank, CoresetSize, RowSources, greedy_coreset, project
from pcedge.core.preprocessing import Preprocessing
from pcedge.core.progress import Progress
from pcedge.core.scoring import anomaly_map, image_score
from pcedge.datasets import Dataset, read_content, read_ground_truth
from pcedge.evaluation.metrics import image_metrics, pixel_metrics
from pcedge.export import TorchRuntime
from pcedge.fitting.features import embed_images

if TYPE_CHECKING:
    from pathlib import Path

    from pcedge.fitting.features import Features
    from pcedge.networks.patch_embedding import PatchEmbedder

# Rows, how many of them, and a seed, to the numbers of the rows that are kept.
Select = Callable[[NDArray[np.float32], int, int], NDArray[np.int64]]


class Study:
    """A dataset as a network sees it.

    Args:
        dataset: With training and test images.
        network: Embeds them.
        preprocessing: How images become the network's input.
        progress: Called with the stage ``embed``.
    """

    def __init__(
        self, dataset: Dataset, network: "PatchEmbedder", preprocessing: Preprocessing, progress: Progress
    ) -> None:
        shape, runtime = (network.patches, network.dims), TorchRuntime(network, "auto")

        def embed(paths: "list[Path]") -> "Features":
            return embed_images(paths, runtime, preprocessing, shape, progress=progress)

        self._dataset, self._preprocessing = dataset, preprocessing
        self._grid = network.grid_hw
        self._rows = embed(list(dataset.train)).embeddings.reshape(-1, network.dims)
        self._tested = embed([sample.path for sample in dataset.test])

    def measure(self, select: Select, size: CoresetSize, seed: int) -> dict[str, float | None]:
        """Image AUROC, pixel AUROC and AUPRO with the bank of one selection."""
        picks = select(project(self._rows, seed), size.rows(len(self._rows)), seed)
        unnamed = np.zeros(len(picks), np.int32)
        bank = Bank.build(self._rows[picks], RowSources((), unnamed, unnamed, unnamed))
        distances = [bank.search(rows)[0] for rows in self._tested.embeddings]
        samples = {sample.path: sample for sample in self._dataset.test}
        defect = np.array([samples[path].is_defect for path in self._tested.paths])
        scores = np.array([image_score(found) for found in distances], np.float32)
        masked = list(self._masked(distances))
        pixels = pixel_metrics(
            [m for m, _ in masked], [mask for _, mask in masked], self._dataset.aupro_limit
        )
        return {
            "seed": seed,
            "image_auroc": image_metrics(scores[~defect], scores[defect]).auroc.value,
            "pixel_auroc": pixels.auroc.value,
            "aupro": pixels.aupro.value,
        }

    def _masked(
        self, distances: list[NDArray[np.float32]]
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
        samples = {sample.path: sample for sample in self._dataset.test}
        for path, found in zip(self._tested.paths, distances, strict=True):
            truth = read_ground_truth(self._dataset, samples[path], read_content(path).shape)
            if truth is not None:
                score_map = anomaly_map(found, self._grid, self._preprocessing.input_size)
                yield score_map, self._preprocessing.apply_to_mask(truth)


def exact(rows: NDArray[np.float32], count: int, _seed: int) -> NDArray[np.int64]:
    """Select as ``pcedge fit`` does; the seed has done its part in the projection of the rows."""
    return greedy_coreset(rows, count).picks
