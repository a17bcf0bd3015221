"""pcedge's exact search against FAISS's flat one: same bank, same queries, alternating in one process.

The bank is the coreset of the rows given; the queries are rows of images that the bank has not seen, a
image at a time, as they come from a camera. Rows are identical where both name the same row, or rows whose
distances float32 cannot tell apart.
"""

import statistics
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from pcedge.banks import CoresetSize, ExactSearch, greedy_coreset, project
from pcedge.cli.console import out, progress_bars
from pcedge.core.progress import Progress
from pcedge.errors import OptionError

from .command import Json, Seed, environment, facts, print_environment, print_json, run
from .memory import peak_memory
from .rows import load_pictures, render_rows

DEFAULT_PICTURES = 68
PATCHES = 784
_ROUNDS = 5
# Of float32 distances that are found in two ways, each by about a thousand products.
_ROUNDING = 1e-5


def compare(
    bank: NDArray[np.float32], pictures: NDArray[np.float32], rounds: int, progress: Progress
) -> dict[str, Any]:
    """Search for the patches of every image by both.

    Args:
        bank: float32 [rows, dims].
        images: float32 [pictures, patches, dims].
        rounds: How often.
        progress: Called with images searched for.

    Returns:
        What ``--json`` prints, but for where the rows came from.
    """
    import faiss

    index = faiss.IndexFlatL2(bank.shape[1])
    index.add(bank)
    ours = ExactSearch(index)
    with peak_memory() as peak:
        began = time.perf_counter()
        ours.search(pictures[0])  # prepares, and compiles where no earlier run has done so
        prepare_s = time.perf_counter() - began
    index.search(pictures[0], 1)
    seconds: dict[str, list[float]] = {"ours": [], "flat": []}
    different, worst = 0, 0.0
    total = rounds * len(pictures)
    for turn in range(total):
        queries = pictures[turn % len(pictures)]
        began = time.perf_counter()
        distances, rows = ours.search(queries)
        between = time.perf_counter()
        _, flat_rows = index.search(queries, 1)
        seconds["flat"].append(time.perf_counter() - between)
        seconds["ours"].append(between - began)
        if turn < len(pictures):
            farther = _excess(bank, queries, distances, rows, flat_rows[:, 0])
            different += int((farther > _ROUNDING).sum())
            worst = max(worst, float(farther.max()))
        progress("Searching", turn + 1, total)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "ours_ms": median["ours"] * 1000,
        "flat_ms": median["flat"] * 1000,
        "flat_over_ours": median["flat"] / median["ours"],
        "ours_runs_ms": [1000 * value for value in seconds["ours"]],
        "flat_runs_ms": [1000 * value for value in seconds["flat"]],
        "identical": different == 0,
        "queries": len(pictures) * pictures.shape[1],
        "different": different,
        "largest_excess": worst,
        "prepare_s": prepare_s,
        "prepare_peak_mb": peak.above_mb,
    }


def _excess(
    bank: NDArray[np.float32],
    queries: NDArray[np.float32],
    distances: NDArray[np.float32],
    rows: NDArray[np.int64],
    flat_rows: NDArray[np.int64],
) -> NDArray[np.float64]:
    """By how much ours is farther away than the row FAISS named, relative to the distance, or misstated."""
    wide = queries.astype(np.float64)
    found = ((wide - bank[rows]) ** 2).sum(axis=1)
    flat = ((wide - bank[flat_rows]) ** 2).sum(axis=1)
    # The distance that is reported must be that of the row that is reported.
    stated = np.abs(distances - found) / np.maximum(found, np.finfo(np.float32).tiny)
    excess = (found - flat) / np.maximum(flat, np.finfo(np.float32).tiny)
    worst: NDArray[np.float64] = np.maximum(np.maximum(excess, stated), 0.0)
    return worst


def main(
    features: Annotated[
        Path | None,
        typer.Option(
            help="A .npy file of float32 rows [images, patches, dims]. Without it, rendered parts.",
            show_default=False,
        ),
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(
            help="Another such file to search for. Without it, the last images of the features, which the "
            "bank then has not seen.",
            show_default=False,
        ),
    ] = None,
    pictures: Annotated[int, typer.Option(help="Pictures to search for.", min=1)] = 4,
    fraction: Annotated[
        str, typer.Option(help="Rows of the bank: a fraction (0.1), 10%, or a number of rows.")
    ] = "0.1",
    rounds: Annotated[int, typer.Option(help="How often.", min=1)] = _ROUNDS,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Compare pcedge's exact search with FAISS's IndexFlatL2."""
    size = CoresetSize.parse(fraction)
    where = environment()
    with progress_bars() as progress:
        if features is None:
            rows = render_rows(DEFAULT_PICTURES * PATCHES, seed, progress).reshape(
                DEFAULT_PICTURES, PATCHES, -1
            )
        else:
            rows = load_pictures(features)
        asked = rows[-pictures:] if queries is None else load_pictures(queries)[:pictures]
        seen = rows[:-pictures] if queries is None else rows
        if not len(seen) or asked.shape[2] != seen.shape[2]:
            raise OptionError(
                f"There is nothing to search: features {list(rows.shape)}, queries {list(asked.shape)}.",
                "Give more images than are searched for, with as many dims in both files.",
            )
        flat = np.ascontiguousarray(seen.reshape(-1, seen.shape[2]))
        picks = greedy_coreset(project(flat, seed), size.rows(len(flat))).picks
        found = compare(flat[picks], np.ascontiguousarray(asked), rounds, progress)
    result = {
        "bank_rows": len(picks),
        "dims": flat.shape[1],
        "pictures": len(asked),
        "source": features.name if features else "rendered parts, pcedge-s",
        "seed": seed,
        **found,
        **where,
    }
    if as_json:
        print_json(result)
    else:
        _print_table(result)


def _print_table(result: dict[str, Any]) -> None:
    table = facts(f"Exact search in {result['bank_rows']:,} rows of {result['dims']} ({result['source']})")
    table.add_row("ours", f"{result['ours_ms']:.1f} ms an image (median)")
    table.add_row("IndexFlatL2", f"{result['flat_ms']:.1f} ms")
    table.add_row("ratio", f"{result['flat_over_ours']:.1f}")
    same = "[green]yes[/]" if result["identical"] else f"[red]no[/], {result['different']} differ"
    table.add_row("identical rows", f"{same}, {result['queries']:,} queries")
    peak = result["prepare_peak_mb"]
    table.add_row("preparing", f"{result['prepare_s']:.2f} s" + ("" if peak is None else f", {peak:,.0f} MB"))
    out.print(table)
    print_environment(result)


if __name__ == "__main__":
    run(main)
