"""A bank in Milvus beside exact search: the same neighbours, what a frame takes, and nothing lost by a kill.

The bank is fitted on a dataset and brought to Milvus twice: by a process that is killed half-way, and by one
that goes on from there. The queries are the patches of the dataset's test images.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from pcedge import Bundle, CoresetSize, FitOptions, fit, open_dataset
from pcedge.banks import INDEX_FILE, MILVUS_VARIABLE, Bank, MilvusAddress, MilvusIndex
from pcedge.cli.console import out, progress_bars
from pcedge.deployment.indexing.comparison import dataset_frames
from pcedge.errors import BankServerError

from .command import Json, environment, facts, print_environment, print_json, run

_KILLED_FILL = """
import os, sys
from pathlib import Path
from pcedge import Bundle
from pcedge.banks import MilvusAddress, MilvusIndex

rows = Bundle.open(Path(sys.argv[1])).open_bank().rows

def die(done, total):
    if done * 2 >= total:
        os.kill(os.getpid(), 9)

MilvusIndex.fill(MilvusAddress.parse(sys.argv[2]), sys.argv[3], rows, die)
"""


def measure(bundle: Bundle, address: MilvusAddress, frames: list[NDArray[np.float32]]) -> dict[str, Any]:
    """Fill, kill, go on, open again and search; what ``--json`` prints but for where it was measured."""
    bank, digest = bundle.open_bank(), bundle.manifest.files[INDEX_FILE].sha256
    bank.prepare()
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED_FILL, str(bundle.directory), address.location, digest], check=False
    )
    began = time.perf_counter()
    MilvusIndex.fill(address, digest, bank.rows)
    filled = time.perf_counter()
    MilvusIndex.fill(address, digest, bank.rows)
    checked = time.perf_counter()
    if not address.is_server:
        from milvus_lite.server_manager import server_manager_instance

        server_manager_instance.release_server(address.location)
    index = MilvusIndex.open(address, digest, rows=len(bank), dims=bank.dims)
    return {
        "rows": len(bank),
        "dims": bank.dims,
        "frames": len(frames),
        "milvus": "server" if address.is_server else "Milvus Lite",
        "killed": killed.returncode != 0,
        "fill_after_kill_s": filled - began,
        "read_back_s": checked - filled,
        **_search(bank, index, frames),
    }


def _search(bank: Bank, index: MilvusIndex, frames: list[NDArray[np.float32]]) -> dict[str, Any]:
    import faiss

    flat = faiss.IndexFlatL2(bank.dims)
    flat.add(bank.rows)
    shared = bank.searched_by(index)
    shared.search(frames[0])
    seconds: dict[str, list[float]] = {"exact": [], "flat": [], "milvus": []}
    same: list[float] = []
    error = 0.0
    for embeddings in frames:
        marks = [time.perf_counter()]
        exact, _ = bank.search(embeddings)
        marks.append(time.perf_counter())
        _, flat_rows = flat.search(embeddings, 1)
        marks.append(time.perf_counter())
        distances, rows = shared.search(embeddings)
        marks.append(time.perf_counter())
        for name, start, end in zip(seconds, marks, marks[1:], strict=False):
            seconds[name].append(end - start)
        # Rows whose distances float32 cannot tell apart are equally near.
        same.append(float(((rows == flat_rows[:, 0]) | (distances <= exact * (1 + 1e-5))).mean()))
        error = max(error, float(np.abs(distances / np.maximum(exact, 1e-12) - 1).max()))
    return {
        "same_neighbours": float(np.mean(same)),
        "largest_distance_error": error,
        **{f"{name}_ms": 1000 * statistics.median(values) for name, values in seconds.items()},
    }


def main(
    dataset: Annotated[Path, typer.Argument(help="A folder in MVTec layout.", show_default=False)],
    backbone: Annotated[str, typer.Option(help="The network.")] = "resnet18",
    weights: Annotated[Path | None, typer.Option(help="Its weights, as a file.", show_default=False)] = None,
    coreset: Annotated[str, typer.Option(help="A fraction (0.1), 10%, or a number of rows.")] = "10%",
    milvus: Annotated[
        str,
        typer.Option(help="http://host:19530 of a server; without it Milvus Lite in a temporary directory."),
    ] = "",
    max_images: Annotated[int, typer.Option(help="Test images; 0 takes all.", min=0)] = 10,
    as_json: Json = False,
) -> None:
    """Measure a bank in Milvus beside exact search, and prove that a kill loses nothing."""
    where = environment()
    with TemporaryDirectory(prefix="pcedge-milvus-") as folder, progress_bars() as progress:
        os.environ.pop(MILVUS_VARIABLE, None)
        address = MilvusAddress.parse(milvus or f"{folder}/milvus.db")
        options = FitOptions(
            backbone=backbone, weights=weights, coreset=CoresetSize.parse(coreset), models=Path(folder)
        )
        bundle = fit(dataset, options, progress).bundle
        chosen = dataset_frames(bundle, open_dataset(dataset), max_images, "torch")
        result = measure(bundle, address, [embeddings for _, embeddings in chosen.embeddings])
    if result["same_neighbours"] < 1:
        raise BankServerError("Milvus did not name the nearest row of every patch.", str(result))
    if as_json:
        print_json({**result, **where})
    else:
        _print_table(result)
        print_environment(where)


def _print_table(result: dict[str, Any]) -> None:
    table = facts(f"{result['rows']:,} rows of {result['dims']} in Milvus ({result['milvus']})")
    table.add_row("same neighbours", f"{result['same_neighbours']:.2%} of {result['frames']} frames' patches")
    table.add_row("distances", f"differ by {result['largest_distance_error']:.1e} at most, relatively")
    table.add_row("a frame", f"{result['milvus_ms']:.0f} ms (median)")
    table.add_row("... exact search", f"{result['exact_ms']:.0f} ms")
    table.add_row("... IndexFlatL2", f"{result['flat_ms']:.0f} ms")
    table.add_row("after a kill", f"filled in {result['fill_after_kill_s']:.1f} s, every row read back equal")
    table.add_row("reading back", f"{result['read_back_s']:.1f} s")
    out.print(table)


if __name__ == "__main__":
    run(main)
