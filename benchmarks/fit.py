"""A whole fit, split by stage: seconds, images a second, peak memory.

The bundle and the feature cache go to a temporary directory and are removed: every image is embedded.
Peak memory is that above the loaded libraries, the backbone and its weights included.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pcedge.banks import CoresetSize
from pcedge.cli.console import out, progress_bars
from pcedge.errors import OptionError

from .command import Json, Seed, environment, facts, print_environment, print_json, run
from .memory import peak_memory

if TYPE_CHECKING:
    from pcedge.core.preprocessing import Preprocessing
    from pcedge.core.progress import Progress
    from pcedge.fitting.options import FitOptions


def measure(dataset: Path, options: "FitOptions", progress: "Progress") -> dict[str, Any]:
    """Fit and report what it took.

    Args:
        dataset: As ``pcedge.fit`` takes it.
        options: Of the fit.
        progress: Called with the fit's stages.
    """
    # Loaded first, so that they count neither as time nor as memory of the fit.
    import faiss  # noqa: F401
    import torchvision.models  # noqa: F401

    from pcedge.fitting.fit import fit

    with peak_memory() as peak:
        began = time.perf_counter()
        result = fit(dataset, options, progress)
        total_s = time.perf_counter() - began
    manifest = result.bundle.manifest
    return {
        "dataset": manifest.dataset,
        "images": manifest.images,
        "backbone": manifest.backbone.name,
        "patches": manifest.bank.patches,
        "dims": manifest.embedding.dims,
        "bank_rows": manifest.bank.rows,
        "coreset": manifest.bank.coreset,
        "seconds": result.seconds,
        "total_s": total_s,
        "images_per_s": manifest.images / total_s,
        "images_per_s_embedding": manifest.images / result.seconds["embed"],
        "libraries_mb": peak.before_mb,
        "peak_mb": peak.above_mb,
    }


def main(
    dataset: Annotated[
        Path, typer.Argument(help="A folder in MVTec layout or of good images.", show_default=False)
    ],
    backbone: Annotated[str, typer.Option(help="A torchvision network, or pcedge-s.")] = "wide_resnet50_2",
    weights: Annotated[
        Path | None, typer.Option(help="A state dict for the backbone.", show_default=False)
    ] = None,
    layers: Annotated[
        str | None, typer.Option(help="Layers, separated by commas.", show_default=False)
    ] = None,
    preset: Annotated[str, typer.Option(help="How images are prepared.")] = "whole",
    embedding: Annotated[
        Literal["reference", "mean"] | None,
        typer.Option(
            help="Values a patch has; without it, mean for pcedge-s, reference for others.",
            show_default=False,
        ),
    ] = None,
    coreset: Annotated[
        str, typer.Option(help="Patches the bank keeps: a fraction (0.1), 10%, or a number of rows.")
    ] = "0.1",
    memory_gb: Annotated[
        float | None, typer.Option(min=0, help="Memory the fit may use, in GB.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Fit on a dataset and say where the time and the memory went."""
    from pcedge.fitting.options import FitOptions

    where = environment()
    with tempfile.TemporaryDirectory(prefix="pcedge-benchmark-") as directory, progress_bars() as progress:
        os.environ["PCEDGE_CACHE"] = str(Path(directory, "cache"))
        options = FitOptions(
            backbone=backbone,
            weights=weights,
            layers=tuple(layers.split(",")) if layers else (),
            preprocessing=_preset(preset),
            embedding=embedding,
            coreset=CoresetSize.parse(coreset),
            memory_gb=memory_gb,
            device=device,
            seed=seed,
            models=Path(directory, "models"),
            name="benchmark",
        )
        result = {**measure(dataset, options, progress), "memory_gb": memory_gb, "device": device, **where}
    if as_json:
        print_json(result)
    else:
        _print_table(result)


def _preset(name: str) -> "Preprocessing":
    from pcedge.core.preprocessing import PRESETS

    if name not in PRESETS:
        raise OptionError(f"There is no preset {name!r}.", f"Choose one of: {', '.join(PRESETS)}.")
    return PRESETS[name]


def _print_table(result: dict[str, Any]) -> None:
    table = facts(f"Fit of {result['dataset']}, {result['backbone']}, coreset {result['coreset']}")
    table.add_row("images", f"{result['images']:,}")
    table.add_row("bank rows", f"{result['bank_rows']:,} of {result['patches']:,} patches")
    for stage, seconds in result["seconds"].items():
        table.add_row(stage, f"{seconds:.2f} s ({seconds / result['total_s']:.0%})")
    table.add_row("in all", f"{result['total_s']:.2f} s, {result['images_per_s']:.1f} images/s")
    table.add_row("embedding", f"{result['images_per_s_embedding']:.1f} images/s")
    if result["peak_mb"] is not None:
        table.add_row(
            "peak memory", f"{result['peak_mb']:,.0f} MB above {result['libraries_mb']:,.0f} MB of libraries"
        )
    out.print(table)
    print_environment(result)


if __name__ == "__main__":
    run(main)
