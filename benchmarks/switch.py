"""How long it takes to change the product: two banks at hand, one network, and what loading a bank takes.

A switch is what lies between asking for the other product and having its inspector. The frames after it are
timed too: a bank that was not searched for a while has left the processor's caches.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from pcedge import Bundle, Preprocessing, Products
from pcedge.banks import Bank, RowSources
from pcedge.bundles.bundle import EMBEDDER_FILE, seal, write_bundle
from pcedge.bundles.manifest import (
    SCHEMA_VERSION,
    BackboneInfo,
    BankInfo,
    EmbeddingInfo,
    Manifest,
    MapInfo,
    ThresholdInfo,
)
from pcedge.camera import render_part
from pcedge.cli.console import out, progress_bars
from pcedge.errors import OptionError
from pcedge.export import write_onnx

from .command import Json, Seed, environment, facts, print_environment, print_json, run

_GRID, _PATCH = 28, 8
_SIZE = _GRID * _PATCH
_PREPROCESSING = Preprocessing(image_size=_SIZE)
_SPREAD = 100


def measure(
    bundles: list[Path], image: NDArray[np.uint8], rounds: int, progress: Callable[[str, int, int], None]
) -> dict[str, Any]:
    """Load two products from nothing, then change from one to the other again and again.

    Returns:
        What ``--json`` prints, but for where the products came from.
    """
    names = [path.name for path in bundles]
    load_s: list[float] = []
    switches: list[float] = []
    first: list[float] = []
    steady: list[float] = []
    # Made-up products have no golden frames to prove anything with, and proof is not what is timed.
    with Products(dict(zip(names, bundles, strict=True)), memory_gb=64, unverified=True) as products:
        for turn in range(rounds):
            for name in names:
                products.drop(name)
                began = time.perf_counter()
                products.switch(name)
                load_s.append(time.perf_counter() - began)
            progress("load", turn + 1, rounds)
        for name in names:  # the very first frame compiles, where no earlier run has done so
            products.switch(name).inspect(image)
        for turn in range(_SPREAD * rounds):
            began = time.perf_counter()
            inspector = products.switch(names[turn % 2])
            switches.append(1000 * (time.perf_counter() - began))
            if turn % _SPREAD >= 10:
                continue
            for times in (first, steady):
                began = time.perf_counter()
                inspector.inspect(image)
                times.append(1000 * (time.perf_counter() - began))
            progress("switch", turn // _SPREAD + 1, rounds)
        memory_mb = products.nbytes / 1e6
    first_load, *later = load_s  # opens the network, too
    return {
        "switch_ms": _spread(switches),
        "first_frame_ms": _spread(first),
        "second_frame_ms": _spread(steady),
        "first_load_s": first_load,
        "load_s": _spread(later),
        "memory_mb": memory_mb,
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "p50": statistics.median(values),
        "p99": float(np.percentile(values, 99)),
        "largest": max(values),
        "count": len(values),
    }


@contextmanager
def synthetic_products(rows: int, dims: int, seed: int) -> Iterator[list[Path]]:
    """Two bundles with one network of random filters, and banks of rendered parts seen through it."""
    import torch

    network = _network(dims, seed)
    with TemporaryDirectory(prefix="pcedge-switch-") as folder:
        paths = [Path(folder) / name for name in ("first", "second")]
        for number, path in enumerate(paths):
            with write_bundle(path) as staging:
                _bank(network, rows, 1000 * (seed + number)).save(staging)
                write_onnx(network, torch.zeros(2, 3, _SIZE, _SIZE), staging / EMBEDDER_FILE)
                seal(staging, _manifest(path.name, rows, dims))
        yield paths


def _network(dims: int, seed: int) -> Any:
    """Random filters over patches: images [n, 3, s, s] to embeddings [n, patches, dims]."""
    import torch

    class Patches(torch.nn.Module):
        """Cuts images into patches."""

        def __init__(self) -> None:
            super().__init__()
            self.filters = torch.nn.Conv2d(3, dims, _PATCH, stride=_PATCH)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            embeddings: torch.Tensor = self.filters(images).flatten(2).transpose(1, 2)
            return embeddings

    torch.manual_seed(seed)
    return Patches().eval()


def _bank(network: Any, rows: int, seed: int) -> Bank:
    """Patches of so many rendered parts as are needed."""
    import torch

    parts = range(seed, seed + -(-rows // _GRID**2))
    inputs = np.stack([_PREPROCESSING.apply(render_part(part, size=_SIZE).image_rgb) for part in parts])
    with torch.inference_mode():
        patches = network(torch.from_numpy(inputs)).flatten(0, 1)[:rows].numpy()
    sources = RowSources.of_patches(("rendered",), np.arange(rows) % _GRID**2, (_GRID, _GRID))
    return Bank.build(patches, sources)


def _manifest(name: str, rows: int, dims: int) -> Manifest:
    return Manifest(
        schema_version=SCHEMA_VERSION,
        pcedge_version="",
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        name=name,
        dataset="rendered parts",
        images=0,
        skipped={},
        preprocessing=_PREPROCESSING,
        backbone=BackboneInfo(name="patches", layers=("patches",), weights="random", weights_sha256="0" * 64),
        embedding=EmbeddingInfo(kind="patches", dims=dims, grid_hw=(_GRID, _GRID)),
        bank=BankInfo(
            rows=rows, patches=rows, coreset="1", projection_dims=dims, seed=0, radius=0.0, guarantee="none"
        ),
        threshold=ThresholdInfo(score=1.0, map=1.0, false_reject_rate=0.0, method="none", held_out={}),
        map=MapInfo(sigma=4.0),
    )


def main(
    bundles: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Two bundles to change between; without them, rendered ones.", show_default=False
        ),
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows of a rendered bank.", min=1)] = 15_000,
    dims: Annotated[int, typer.Option(help="Values of each of its rows.", min=1)] = 1024,
    rounds: Annotated[
        int, typer.Option(help=f"Loads of each product; {_SPREAD} times as many changes.", min=1)
    ] = 5,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure changing the product, and loading one."""
    if bundles and len({path.name for path in bundles}) != 2:
        raise OptionError("A change needs two bundles of different names.", "Give two directories, or none.")
    where = environment()
    image = render_part(10**6 + seed, size=_SIZE).image_rgb
    with progress_bars() as progress:
        if bundles:
            banks = [_described(path) for path in bundles]
            found = measure(bundles, image, rounds, progress)
        else:
            with synthetic_products(rows, dims, seed) as made_up:
                banks = [_described(path) for path in made_up]
                found = measure(made_up, image, rounds, progress)
    result = {
        "banks": banks,
        "source": "bundles" if bundles else "rendered parts",
        "seed": seed,
        **found,
        **where,
    }
    if as_json:
        print_json(result)
    else:
        _print_table(result)


def _described(path: Path) -> dict[str, Any]:
    manifest = Bundle.open(path).manifest
    return {"rows": manifest.bank.rows, "dims": manifest.embedding.dims, "searched_by": manifest.index}


def _print_table(result: dict[str, Any]) -> None:
    sizes = ", ".join(f"{bank['rows']:,} x {bank['dims']}" for bank in result["banks"])
    table = facts(f"Changing the product: banks of {sizes} ({result['source']})")
    for name, words in (
        ("switch_ms", "to the other inspector"),
        ("first_frame_ms", "first frame after it"),
        ("second_frame_ms", "second frame"),
    ):
        spread = result[name]
        table.add_row(words, f"p50 {spread['p50']:.3f} ms, p99 {spread['p99']:.3f} ms ({spread['count']})")
    load = result["load_s"]
    table.add_row("loading a bank", f"p50 {load['p50']:.2f} s, largest {load['largest']:.2f} s")
    table.add_row("the first, with its network", f"{result['first_load_s']:.2f} s")
    table.add_row("memory of both banks", f"{result['memory_mb']:,.0f} MB")
    out.print(table)
    print_environment(result)


if __name__ == "__main__":
    run(main)
