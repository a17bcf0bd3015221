"""How much of a result is the luck of the coreset: pcedge's selection and the reference's, seed by seed.

The same features, search and scores throughout; only which patches the bank keeps differs. A difference
between two implementations that is no larger than the spread between seeds of one says nothing about either.
"""

import statistics
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.baselines import ReferenceSampler
from benchmarks.command import Json, facts, print_json, run
from benchmarks.study import Select, Study, exact
from pcedge.banks import CoresetSize
from pcedge.cli.console import out, progress_bars
from pcedge.core.preprocessing import PRESETS, Preprocessing
from pcedge.core.progress import Progress
from pcedge.datasets import Dataset, open_dataset


def main(
    dataset: Annotated[Path, typer.Argument(help="With training and test images.")],
    weights: Annotated[Path | None, typer.Option(help="A state dict for the backbone.")] = None,
    backbone: Annotated[str, typer.Option(help="Whose features are used.")] = "resnet18",
    preset: Annotated[str, typer.Option(help="How images are prepared.")] = "official-224",
    coreset: Annotated[str, typer.Option(help="Patches the bank keeps.")] = "1%",
    seeds: Annotated[int, typer.Option(help="Of pcedge's selection: of its projection.", min=1)] = 5,
    reference_seeds: Annotated[
        int, typer.Option(help="Of the reference's: of its projection and its ten starts.", min=0)
    ] = 5,
    json: Json = False,
) -> None:
    """Measure image and pixel AUROC for several seeds of both selections."""
    images, size = open_dataset(dataset), CoresetSize.parse(coreset)
    with progress_bars() as progress:
        study = _study(images, backbone, weights, PRESETS[preset], progress)
        wanted: list[tuple[str, Select, int]] = [("pcedge", exact, seed) for seed in range(seeds)]
        wanted += [("reference", _reference, seed) for seed in range(reference_seeds)]
        results: dict[str, list[dict[str, Any]]] = {"pcedge": [], "reference": []}
        for done, (name, select, seed) in enumerate(wanted, 1):
            results[name].append(study.measure(select, size, seed))
            progress("selections measured", done, len(wanted))
    if json:
        print_json({"dataset": images.title, "coreset": str(size), **results})
    else:
        _print(images.title, size, results)


def _study(
    dataset: Dataset, backbone: str, weights: Path | None, preprocessing: Preprocessing, progress: Progress
) -> Study:
    from pcedge.networks.backbones import load_backbone
    from pcedge.networks.embedder import build_embedder

    module = load_backbone(backbone, weights_file=weights).module
    return Study(dataset, build_embedder(module, preprocessing, "reference"), preprocessing, progress)


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
