"""Ways to search a bank beside the exact one, on banks fitted for the purpose: one table a dataset."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from pcedge import Bundle, CoresetSize, FitOptions, fit, open_dataset
from pcedge.bundles.manifest import EXACT
from pcedge.cli.commands.bundle.index import index_table
from pcedge.cli.console import out, progress_bars
from pcedge.core.progress import Progress
from pcedge.deployment.indexing.comparison import IndexReport, build_index, compare_indexes, dataset_frames
from pcedge.deployment.indexing.spec import IndexSpec

from .command import Json, environment, print_environment, print_json, run

DEFAULT_INDEXES = (
    "int8",
    "Flat",
    "SQfp16",
    "SQ8",
    "HNSW32",
    "IVF256,Flat",
    "IVF256,SQ8",
    "PQ64",
    "IVF256,PQ64",
)


def compare(
    dataset: Path, options: FitOptions, indexes: list[str], limit: int, progress: Progress
) -> tuple[Bundle, list[IndexReport]]:
    """Fit a bundle and search its bank for test images in every way."""
    bundle = fit(dataset, options, progress).bundle
    built = []
    for done, name in enumerate((EXACT, *indexes), 1):
        built.append(build_index(bundle, IndexSpec.parse(name)))
        progress("index", done, 1 + len(indexes))
    frames = dataset_frames(bundle, open_dataset(dataset), limit, "torch")
    return bundle, compare_indexes(bundle, built, frames, progress)


def main(
    datasets: Annotated[list[Path], typer.Argument(help="Folders in MVTec layout.", show_default=False)],
    backbone: Annotated[str, typer.Option(help="The network.")] = "resnet18",
    weights: Annotated[Path | None, typer.Option(help="Its weights, as a file.", show_default=False)] = None,
    coreset: Annotated[str, typer.Option(help="A fraction (0.1), 10%, or a number of rows.")] = "10%",
    index: Annotated[
        list[str] | None,
        typer.Option(help=f"May be repeated. Without it: {' '.join(DEFAULT_INDEXES)}.", show_default=False),
    ] = None,
    max_images: Annotated[int, typer.Option(help="Test images of each; 0 takes all.", min=0)] = 100,
    as_json: Json = False,
) -> None:
    """Measure ways to search beside exact search: memory, time, recall, scores, verdicts."""
    where = environment()
    size = CoresetSize.parse(coreset)
    results: dict[str, Any] = {}
    with TemporaryDirectory(prefix="pcedge-indexes-") as folder:
        options = FitOptions(backbone=backbone, weights=weights, coreset=size, models=Path(folder))
        for dataset in datasets:
            with progress_bars() as progress:
                bundle, reports = compare(
                    dataset, options, index or list(DEFAULT_INDEXES), max_images, progress
                )
            results[bundle.manifest.dataset] = {
                "rows": bundle.manifest.bank.rows,
                "dims": bundle.manifest.embedding.dims,
                "indexes": [report.to_dict() for report in reports],
            }
            if not as_json:
                out.print(index_table(bundle, reports))
    if as_json:
        print_json({"datasets": results, **where})
    else:
        print_environment(where)


if __name__ == "__main__":
    run(main)
