"""How much of a result is the luck of the coreset: pcedge's selection and the reference's, seed by seed.

The same features, search and scores throughout; only which patches the bank keeps differs. A difference
between two implementations that is no larger than the spread between seeds of one says nothing about either.
"""

import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.baselines import ReferenceSampler
from benchmarks.command import Json, facts, print_json, run
from pcedge.banks import Bank, CoresetSize, RowSources, greedy_coreset, project
from pcedge.cli.console import out, progress_bars
from pcedge.datasets import Dataset, open_dataset, read_content, read_ground_truth
from pcedge.features import embed_images
from pcedge.metrics import image_metrics, pixel_metrics
from pcedge.preprocessing import PRESETS, Preprocessing
from pcedge.progress import Progress
from pcedge.scoring import anomaly_map, image_score

if TYPE_CHECKING:
    from pcedge.features import Features

Select = Callable[[NDArray[np.float32], int, int], NDArray[np.int64]]


def main(
    dataset: Annotated[Path, typer.Argument(help="With training and test images.")],
    weights: Annotated[Path | None, typer.Option(help="A state dict for the backbone.")] = None,
    backbone: Annotated[str, typer.Option(help="Whose features are used.")] = "resnet18",
    preset: Annotated[str, typer.Option(help="How pictures are prepared.")] = "official-224",
    coreset: Annotated[str, typer.Option(help="Patches the bank keeps.")] = "1%",
    seeds: Annotated[int, typer.Option(help="Of pcedge's selection: of its projection.", min=1)] = 5,
    reference_seeds: Annotated[
        int, typer.Option(help="Of the reference's: of its projection and its ten starts.", min=0)
    ] = 5,
    json: Json = False,
) -> None:
    """Measure image and pixel AUROC for several seeds of both selections."""
    images, size = open_dataset(dataset), CoresetSize.parse(coreset)
    samplers: dict[str, tuple[Select, int]] = {
        "pcedge": (_exact, seeds),
        "reference": (_reference, reference_seeds),
    }
    with progress_bars() as progress:
        study = _Study(images, backbone, weights, PRESETS[preset], progress)
        results = {
            name: [study.measure(select, size, seed) for seed in range(count)]
            for name, (select, count) in samplers.items()
        }
    if json:
        print_json({"dataset": images.title, "coreset": str(size), **results})
    else:
        _print(images.title, size, results)


class _Study:
    def __init__(
        self,
        dataset: Dataset,
        backbone: str,
        weights: Path | None,
        preprocessing: Preprocessing,
        progress: Progress,
    ) -> None:
        from pcedge.backbones import load_backbone
        from pcedge.embedder import build_embedder
        from pcedge.export import TorchRuntime

        network = build_embedder(
            load_backbone(backbone, weights_file=weights).module, preprocessing, "reference"
        )
        shape, runtime = (network.patches, network.dims), TorchRuntime(network, "auto")

        def embed(paths: list[Path]) -> "Features":
            return embed_images(paths, runtime, preprocessing, shape, progress=progress)

        self._dataset, self._preprocessing, self._progress = dataset, preprocessing, progress
        self._grid = network.grid_hw
        self._rows = embed(list(dataset.train)).embeddings.reshape(-1, network.dims)
        self._tested = embed([sample.path for sample in dataset.test])
        self._steps = 0

    def measure(self, select: Select, size: CoresetSize, seed: int) -> dict[str, float | None]:
        """Image and pixel AUROC with the bank of one selection."""
        picks = select(project(self._rows, seed), size.rows(len(self._rows)), seed)
        unnamed = np.zeros(len(picks), np.int32)
        bank = Bank.build(self._rows[picks], RowSources((), unnamed, unnamed, unnamed))
        distances = [bank.search(rows)[0] for rows in self._tested.embeddings]
        samples = {sample.path: sample for sample in self._dataset.test}
        defect = np.array([samples[path].is_defect for path in self._tested.paths])
        scores = np.array([image_score(found) for found in distances], np.float32)
        masked = list(self._masked(distances))
        pixels = pixel_metrics([m for m, _ in masked], [mask for _, mask in masked])
        self._steps += 1
        self._progress("selections measured", self._steps, self._steps)
        return {
            "seed": seed,
            "image_auroc": image_metrics(scores[~defect], scores[defect]).auroc.value,
            "pixel_auroc": pixels.auroc.value,
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


def _exact(rows: NDArray[np.float32], count: int, _seed: int) -> NDArray[np.int64]:
    return greedy_coreset(rows, count).picks


def _reference(rows: NDArray[np.float32], count: int, seed: int) -> NDArray[np.int64]:
    sampler = ReferenceSampler(rows, seed)
    return np.array([sampler.pick() for _ in range(count)])


def _print(title: str, size: CoresetSize, results: dict[str, list[dict[str, Any]]]) -> None:
    for metric in ("image_auroc", "pixel_auroc"):
        table = facts(f"{metric.replace('_', ' ')} on {title}, coreset {size}")
        for name, found in results.items():
            values = [result[metric] for result in found if result[metric] is not None]
            if values:
                spread = statistics.stdev(values) if len(values) > 1 else 0.0
                listed = " ".join(f"{value:.4f}" for value in values)
                table.add_row(name, f"mean {statistics.fmean(values):.4f}, spread {spread:.4f}: {listed}")
        out.print(table)


if __name__ == "__main__":
    run(main)
