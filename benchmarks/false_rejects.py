"""Whether false-reject rates are what was asked for: many random splits, unseen good images, misses."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from pcedge import CoresetSize, Dataset, FitOptions, Preprocessing, open_dataset
from pcedge.banks import project
from pcedge.camera import write_dataset
from pcedge.cli.console import out, progress_bars
from pcedge.core.progress import Progress
from pcedge.core.stage_timer import StageTimer
from pcedge.fitting.build_bundle import embed_with, open_cache
from pcedge.networks.load_network import load_network
from pcedge.thresholds.conformal import Rates, smallest_rate, threshold_at
from pcedge.thresholds.coverage_guarantee import Guarantee
from pcedge.thresholds.cross_validation import bank_of, held_out, score_images
from pcedge.thresholds.folds import choose_held, held_count
from pcedge.thresholds.leave_one_out import left_out

from .command import Json, Seed, environment, print_environment, print_json, run
from .false_rejects_plot import draw

RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
METHODS = ("folds", "split", "leave-one-out")
# Of the good images, those that a split keeps unseen.
_UNSEEN = 1 / 3
_SPLIT_FOR = Rates(0.02)


@dataclass(frozen=True, eq=False)
class Pool:
    """All images of a set, embedded once: float32 [images, patches, dims]."""

    name: str
    good: NDArray[np.float32]
    defective: NDArray[np.float32]
    projected: NDArray[np.float32]
    grid_hw: tuple[int, int]
    preprocessing: Preprocessing


@dataclass(frozen=True)
class Row:
    """What one way of calibrating did at one rate, over all splits.

    Attributes:
        method: One of ``METHODS``.
        asked: The false-reject rate asked for.
        proven: What is proven of it; None for nothing.
        observed: The share of unseen good images that were NG, mean over splits.
        standard_error: Of that mean: each split is a draw from the same images.
        lowest: The 5 % quantile over splits.
        highest: The 95 % quantile over splits.
        missed: The share of defective images that were not NG, mean over splits.
    """

    method: str
    asked: float
    proven: float | None
    observed: float
    standard_error: float
    lowest: float
    highest: float
    missed: float


def embed(dataset: Dataset, name: str, options: FitOptions, progress: Progress) -> Pool:
    """Embed every good and every defective image of a dataset."""
    good = [*dataset.train, *(one.path for one in dataset.test if not one.is_defect)]
    network = load_network(good, options.network, StageTimer(), progress)
    images = embed_with(network, open_cache(network, options))
    features = images(good, progress).embeddings
    defective = images([one.path for one in dataset.test if one.is_defect], progress).embeddings
    projected = project(features.reshape(-1, features.shape[-1]), options.seed)
    return Pool(
        name,
        features,
        defective,
        projected.reshape(*features.shape[:2], -1),
        network.embedding.grid_hw,
        network.preprocessing,
    )


def observe(
    pool: Pool, size: CoresetSize, seed: int
) -> Iterator[tuple[str, float, float | None, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Split the good images once, calibrate in every way, and judge the rest.

    Yields:
        Method, rate, what is proven of it, and which unseen and which defective images are NG.
    """
    images = len(pool.good)
    order = np.random.default_rng(seed).permutation(images)
    unseen, known = np.split(order, [round(images * _UNSEEN)])
    scale = pool.preprocessing.input_size
    held = choose_held([str(image) for image in known], held_count(len(known), _SPLIT_FOR), seed)
    kept = known[np.setdiff1d(np.arange(len(known)), held)]
    for method in METHODS:
        bank = bank_of(kept if method == "split" else known, pool.good, pool.projected, size)
        if method == "folds":
            found = held_out(
                pool.good[known],
                pool.projected[known],
                size,
                pool.preprocessing,
                pool.grid_hw,
                seed=seed,
                bank=bank,
            )
            scores, folds = found.scores, found.folds
        elif method == "leave-one-out":
            names = [str(image) for image in known]
            found = left_out(pool.good[known], bank, bank.sources.image, pool.grid_hw, scale, names)
            scores, folds = found.scores, found.folds
        else:
            scores, folds = score_images(pool.good[known[held]], bank, pool.grid_hw, scale).scores, 1
        new, bad = (
            score_images(some, bank, pool.grid_hw, scale).scores
            for some in (pool.good[unseen], pool.defective)
        )
        guarantee = Guarantee(len(scores), False, folds) if folds else None
        for rate in (rate for rate in RATES if rate >= smallest_rate(len(scores))):
            limit = threshold_at(scores, rate)
            yield method, rate, guarantee.proven_rate(rate) if guarantee else None, new > limit, bad > limit


def summarise(pool: Pool, size: CoresetSize, splits: int, seed: int, progress: Progress) -> list[Row]:
    """Observe many splits, and take means."""
    found: dict[tuple[str, float, float | None], list[tuple[float, float]]] = {}
    for number in range(splits):
        for method, rate, proven, new, bad in observe(pool, size, seed + number):
            found.setdefault((method, rate, proven), []).append((float(new.mean()), float((~bad).mean())))
        progress(f"{pool.name}: splits", number + 1, splits)
    rows = []
    for (method, rate, proven), shares in found.items():
        rejected, missed = np.array(shares).T
        error = float(rejected.std(ddof=1) / np.sqrt(len(rejected))) if len(rejected) > 1 else 0.0
        low, high = np.quantile(rejected, [0.05, 0.95])
        mean = float(rejected.mean())
        rows.append(Row(method, rate, proven, mean, error, float(low), float(high), float(missed.mean())))
    return rows


def table_of(name: str, rows: list[Row]) -> Table:
    """One set's results as a table."""
    table = Table(title=name, title_justify="left", title_style="bold")
    for heading in ("calibration", "asked", "proven", "observed", "90 % of splits", "missed"):
        table.add_column(heading, justify="left" if heading == "calibration" else "right")
    for row in rows:
        table.add_row(
            row.method,
            f"{row.asked:.1%}",
            "-" if row.proven is None else f"{row.proven:.1%}",
            f"{row.observed:.1%} ± {2 * row.standard_error:.1%}",
            f"{row.lowest:.1%} to {row.highest:.1%}",
            f"{row.missed:.1%}",
        )
    return table


def main(
    datasets: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders in MVTec layout, with defects.", show_default=False),
    ] = None,
    line: Annotated[int, typer.Option(help="Good images of a rendered line; 0 for no line.", min=0)] = 200,
    per_defect: Annotated[int, typer.Option(help="Pictures of each of its defects.", min=1)] = 10,
    splits: Annotated[int, typer.Option(help="Random splits of each set.", min=1)] = 20,
    backbone: Annotated[str, typer.Option(help="The network.")] = "resnet18",
    weights: Annotated[Path | None, typer.Option(help="Its weights, as a file.", show_default=False)] = None,
    image_size: Annotated[int, typer.Option(help="Pictures are resized to this.", min=32)] = 224,
    coreset: Annotated[str, typer.Option(help="A fraction (0.1), 10%, or a number of rows.")] = "1%",
    plot: Annotated[
        Path | None, typer.Option(help="Draw asked against observed into this file.", show_default=False)
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Ask for false-reject rates, and see on good images that were not used what comes of it.

    Every split keeps a third of the good images unseen and calibrates on the others, in all ways that
    pcedge fit has. Over random splits of the same images the guarantee of --calibration split holds exactly,
    so the mean may exceed the rate asked for by chance alone.
    """
    where, size = environment(), CoresetSize.parse(coreset)
    options = FitOptions(
        backbone=backbone,
        weights=weights,
        embedding="mean",
        preprocessing=replace(FitOptions().preprocessing, image_size=image_size),
        seed=seed,
    )
    results: dict[str, list[Row]] = {}
    with TemporaryDirectory(prefix="pcedge-false-rejects-") as folder, progress_bars() as progress:
        sources = [(open_dataset(path), open_dataset(path).title) for path in datasets or ()]
        if line:
            root = Path(folder) / "line"
            write_dataset(root, train=line, test_good=0, per_defect=per_defect, seed=seed)
            sources.append((open_dataset(root), "rendered line"))
        for dataset, name in sources:
            pool = embed(dataset, name, options, progress)
            results[name] = summarise(pool, size, splits, seed, progress)
    if plot is not None:
        draw(results, plot)
    if as_json:
        rows = {name: [vars(row) for row in found] for name, found in results.items()}
        print_json({"splits": splits, "coreset": str(size), "backbone": backbone, "sets": rows, **where})
        return
    for name, found in results.items():
        out.print(table_of(name, found))
    print_environment(where)


if __name__ == "__main__":
    run(main)
