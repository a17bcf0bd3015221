"""The shipped network beside ResNet-18 and untrained networks of its own shape: quality, time, size.

Every network fits and judges each dataset through the code of ``pcedge fit`` and ``pcedge evaluate``, whole
images at 224. Much of a result can be the architecture's, and untrained networks tell how much: they have
PyTorch's own initialisation (uniform, He's with a = sqrt 5), which does better here than He's for ReLU.
"""

import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pcedge.banks import CoresetSize
from pcedge.cli.console import out, progress_bars

from .card import around_results, write_results
from .command import Card, Json, Seed, environment, facts, print_environment, print_json, run
from .latency import latencies_ms

if TYPE_CHECKING:
    from torch import nn

    from pcedge.bundles.manifest import EmbeddingKind
    from pcedge.core.progress import Progress

SIZE = 224
_CALIBRATION_IMAGES = 16


@dataclass(frozen=True)
class Candidate:
    """A network that is measured.

    Attributes:
        name: For people, and in JSON.
        backbone: As ``--backbone`` takes it.
        weights: As ``--weights`` takes it.
        embedding: As ``--embedding`` takes it.
    """

    name: str
    backbone: str
    weights: Path | None
    embedding: "EmbeddingKind"


def untrained(seed: int, path: Path) -> Candidate:
    """Write weights as they are before any training, and return the candidate that uses them."""
    import torch
    from safetensors.torch import save_file

    from pcedge.core.defaults import COMPACT
    from pcedge.networks.pcedge_s import CompactNet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = CompactNet()
        for head in (network.detail, network.context):  # which else start near 0, for training's sake
            head.reset_parameters()
    save_file(network.state_dict(), path)
    return Candidate(f"untrained {seed}", COMPACT, path, "mean")


def quality(
    dataset: Path, candidate: Candidate, coreset: CoresetSize, seed: int, progress: "Progress"
) -> dict[str, Any]:
    """Fit on a dataset's good images, judge its test images; nothing is kept."""
    from pcedge import FitOptions, evaluate, fit, open_dataset, open_inspector

    with tempfile.TemporaryDirectory(prefix="pcedge-benchmark-") as directory:
        options = FitOptions(
            backbone=candidate.backbone,
            weights=candidate.weights,
            embedding=candidate.embedding,
            coreset=coreset,
            seed=seed,
            cache_gb=0,
            models=Path(directory),
            name="benchmark",
        )
        fitted = fit(dataset, options, progress)
        with open_inspector(fitted.bundle, runtime="torch") as inspector:
            found = evaluate(open_dataset(dataset), inspector, progress)
    return {
        "image_auroc": found.image_auroc,
        "pixel_auroc": found.pixel_auroc,
        "dims": fitted.bundle.manifest.embedding.dims,
        "bank_rows": fitted.bundle.manifest.bank.rows,
    }


def gap_closed(found: Mapping[str, Mapping[str, Any]], teacher: str) -> float | None:
    """Share of the way from untrained to the teacher in image AUROC that the shipped network has gone."""
    start = statistics.mean(row["image_auroc"] for name, row in found.items() if name.startswith("untrained"))
    way = found[teacher]["image_auroc"] - start
    return (found["pcedge-s"]["image_auroc"] - start) / way if way else None


def speed(
    candidates: list[Candidate], threads: list[int], runs: int, progress: "Progress"
) -> dict[str, dict[str, float]]:
    """Median milliseconds from image to embeddings in ONNX Runtime, float32 and with 8-bit convolutions."""
    import torch

    from pcedge.camera import render_part
    from pcedge.core.preprocessing import PRESETS
    from pcedge.export import write_int8, write_onnx
    from pcedge.networks.backbones import load_backbone
    from pcedge.networks.embedder import build_embedder

    preprocessing = PRESETS["whole"]
    images = [
        preprocessing.apply(render_part(seed, size=SIZE).image_rgb)[None]
        for seed in range(_CALIBRATION_IMAGES)
    ]
    with tempfile.TemporaryDirectory(prefix="pcedge-benchmark-") as directory:
        files: dict[str, Path] = {}
        for candidate in candidates:
            backbone = load_backbone(candidate.backbone, (), candidate.weights)
            embedder = build_embedder(backbone.module, preprocessing, candidate.embedding)
            plain = Path(directory, f"{candidate.name}.onnx")
            write_onnx(embedder, torch.zeros(2, 3, SIZE, SIZE), plain)
            write_int8(plain, plain.with_suffix(".int8.onnx"), images, kind="cpu")
            files |= {candidate.name: plain, f"{candidate.name} int8": plain.with_suffix(".int8.onnx")}
        return {
            str(count): latencies_ms(
                files, images[0], threads=count, runs=runs, progress=_stage(progress, f"{count} threads")
            )
            for count in threads
        }


def sizes(candidate: Candidate) -> dict[str, float]:
    """Parameters, multiply-adds for an image of 224, and megabytes as half-precision values."""
    import torch

    from pcedge.networks.backbones import load_backbone

    module = load_backbone(candidate.backbone, (), candidate.weights).module
    products = 0

    def count(layer: "nn.Module", _: object, output: Any) -> None:
        nonlocal products
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        products += weight[0].numel() * output.numel()

    hooks = [
        layer.register_forward_hook(count) for layer in module.modules() if isinstance(layer, torch.nn.Conv2d)
    ]
    with torch.inference_mode():
        module(torch.zeros(1, 3, SIZE, SIZE))
    for hook in hooks:
        hook.remove()
    parameters = sum(value.numel() for value in module.parameters())
    return {"parameters": parameters, "multiply_adds": products, "half_precision_mb": 2e-6 * parameters}


def measure(
    datasets: list[Path],
    weights: Path,
    coreset: CoresetSize,
    *,
    seed: int,
    untrained_seeds: int,
    threads: list[int],
    runs: int,
    progress: "Progress",
) -> dict[str, Any]:
    """Compare the shipped network with ResNet-18 and with untrained ones.

    Args:
        datasets: In MVTec layout, with labelled test images.
        weights: ResNet-18's.
        coreset: Patches the banks keep.
        seed: Of the coreset.
        untrained_seeds: How many untrained networks.
        threads: Numbers of threads to measure with.
        runs: Rounds of each measurement of time.
        progress: Called with the stages.
    """
    shipped = Candidate("pcedge-s", "pcedge-s", None, "mean")
    mean = Candidate("resnet18 mean", "resnet18", weights, "mean")
    reference = Candidate("resnet18 reference", "resnet18", weights, "reference")
    with tempfile.TemporaryDirectory(prefix="pcedge-benchmark-") as directory:
        random = [untrained(n, Path(directory, f"{n}.safetensors")) for n in range(untrained_seeds)]
        found = {
            dataset.name: {
                one.name: quality(dataset, one, coreset, seed, _staged(progress, dataset, one))
                for one in (shipped, mean, reference, *random)
            }
            for dataset in datasets
        }
    latency = speed([shipped, mean, reference], threads, runs, progress)
    return {
        "coreset": str(coreset),
        "image_size": SIZE,
        "seed": seed,
        "quality": found,
        "gap_closed": {
            name: {one.name: gap_closed(rows, one.name) for one in (mean, reference)}
            for name, rows in found.items()
        },
        "latency_ms": latency,
        "times_faster": {
            count: {
                "float32": times["resnet18 mean"] / times["pcedge-s"],
                "int8": times["resnet18 mean int8"] / times["pcedge-s int8"],
            }
            for count, times in latency.items()
        },
        "sizes": {"pcedge-s": sizes(shipped), "resnet18": sizes(mean)},
    }


def _stage(progress: "Progress", stage: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(stage, done, total)


def _staged(progress: "Progress", dataset: Path, candidate: Candidate) -> "Progress":
    """A fit and an evaluation as stages of their own."""
    return lambda stage, done, total: progress(f"{dataset.name}, {candidate.name}: {stage}", done, total)


def main(
    datasets: Annotated[
        list[Path],
        typer.Argument(help="Folders in MVTec layout with labelled test images.", show_default=False),
    ],
    weights: Annotated[
        Path, typer.Option(help="A state dict (.pth, .safetensors) for ResNet-18.", show_default=False)
    ],
    coreset: Annotated[
        str, typer.Option(help="Patches the banks keep: a fraction (0.01), 1%, or a number of rows.")
    ] = "0.01",
    untrained_seeds: Annotated[int, typer.Option(help="How many untrained networks.", min=1)] = 3,
    threads: Annotated[
        str, typer.Option(help="Threads of ONNX Runtime to measure with, separated by commas.")
    ] = "1,2",
    runs: Annotated[int, typer.Option(help="Rounds of each measurement of time.", min=1)] = 60,
    card: Card = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Compare pcedge-s with ResNet-18 and with untrained networks of its shape."""
    if card is not None:
        around_results(card)  # so that a wrong file is noticed before the long work
    where = environment()
    with progress_bars() as progress:
        found = measure(
            datasets,
            weights,
            CoresetSize.parse(coreset),
            seed=seed,
            untrained_seeds=untrained_seeds,
            threads=[int(count) for count in threads.split(",")],
            runs=runs,
            progress=progress,
        )
    result = {**found, **where}
    if card is not None:
        write_results(card, result)
    if as_json:
        print_json(result)
    else:
        _print_tables(result)


def _print_tables(result: Mapping[str, Any]) -> None:
    for dataset, rows in result["quality"].items():
        table = facts(f"{dataset}, coreset {result['coreset']}: image and pixel AUROC")
        for name, row in rows.items():
            pixel = "" if row["pixel_auroc"] is None else f", {row['pixel_auroc']:.4f}"
            table.add_row(name, f"{row['image_auroc']:.4f}{pixel}")
        for name, share in result["gap_closed"][dataset].items():
            table.add_row(f"of the gap to {name}", "no gap" if share is None else f"{share:.0%} closed")
        out.print(table)
    for count, times in result["latency_ms"].items():
        table = facts(f"Image to embeddings in ONNX Runtime, {count} threads")
        for name, milliseconds in times.items():
            table.add_row(name, f"{milliseconds:.2f} ms")
        for precision, times_faster in result["times_faster"][count].items():
            table.add_row(f"pcedge-s, {precision}", f"{times_faster:.2f} times faster than resnet18 mean")
        out.print(table)
    print_environment(result)


if __name__ == "__main__":
    run(main)
