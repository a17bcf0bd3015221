"""What explaining a flagged frame takes, and what the typical distance says of good and of defective parts.

Every test image is judged, and its most unusual place explained, as the first flagged frame of a watch
would be: nothing of its bank row is known yet. The multiple of the typical distance is taken of all images,
flagged or not.
"""

import time
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from pcedge.bundles.bundle import find_bundle
from pcedge.camera import explained_picture
from pcedge.cli.console import out, progress_bars
from pcedge.cli.options import common
from pcedge.core.defaults import DEFAULT_MODELS
from pcedge.core.progress import Progress
from pcedge.datasets import Dataset, labelled_images, open_dataset, read_content
from pcedge.evaluation.metrics import image_metrics
from pcedge.inspection.patchcore_detector import Inspector
from pcedge.inspection.runtimes import RuntimeKind, open_inspector

from .command import Json, environment, facts, print_environment, print_json, run


def measure(inspector: Inspector, dataset: Dataset, progress: Progress) -> dict[str, Any]:
    """Judge and explain every test image.

    Args:
        inspector: Of a bundle.
        dataset: With test images.
        progress: Called with images done with.

    Returns:
        What ``--json`` prints, but for where it was measured.
    """
    samples = labelled_images(dataset)
    inspector.prepare()
    seconds: dict[str, list[float]] = defaultdict(list)
    times: dict[str, list[float]] = defaultdict(list)
    scores: dict[str, list[float]] = defaultdict(list)
    for done, sample in enumerate(samples, 1):
        image = read_content(sample.path)
        began = time.perf_counter()
        stages = inspector.stages(image)
        inspection = inspector.judge(stages, image)
        seconds["judge"].append(time.perf_counter() - began)
        _, explain = inspector.most_unusual(stages, image)
        began = time.perf_counter()
        [one] = explain()
        seconds["explain"].append(time.perf_counter() - began)
        if inspection.explain():  # whose finding is not counted with drawing it
            began = time.perf_counter()
            explained_picture(image, inspection)
            seconds["draw"].append(time.perf_counter() - began)
        kind = "defective" if sample.is_defect else "good"
        times[kind].append(one.times_typical or np.nan)
        scores[kind].append(stages.score)
        progress("evaluate", done, len(samples))
    return {
        "bank_rows": len(inspector.bank),
        "pictures": len(samples),
        "ms": {name: _milliseconds(taken) for name, taken in seconds.items()},
        "times_typical": {
            kind: dict(zip(("p5", "median", "p95"), np.nanquantile(found, (0.05, 0.5, 0.95)), strict=True))
            for kind, found in times.items()
        },
        "auroc_of_times": _auroc(times),
        "auroc_of_score": _auroc(scores),
    }


def _milliseconds(seconds: list[float]) -> dict[str, float]:
    return {"p50": 1e3 * float(np.median(seconds)), "p95": 1e3 * float(np.quantile(seconds, 0.95))}


def _auroc(values: dict[str, list[float]]) -> float | None:
    return image_metrics(np.array(values["good"]), np.array(values["defective"])).auroc.value


def main(
    model: Annotated[str, typer.Argument(help="A bundle.", show_default=False)],
    dataset: Annotated[Path, typer.Argument(help="A folder with test images.", show_default=False)],
    models: common.ModelsDir = DEFAULT_MODELS,
    as_json: Json = False,
) -> None:
    """Time explanations, and compare the multiple of the typical distance of good and defective parts."""
    where = environment()
    bundle, images = find_bundle(model, models), open_dataset(dataset)
    kind: RuntimeKind = "onnx" if bundle.is_exported else "torch"
    with open_inspector(bundle, runtime=kind) as inspector, progress_bars() as progress:
        result = measure(inspector, images, progress)
    if as_json:
        print_json({**result, **where})
        return
    table = facts(f"Explanations: {images.title}, a bank of {result['bank_rows']:,} rows")
    for name, taken in result["ms"].items():
        table.add_row(name, f"{taken['p50']:.2f} ms a frame (median), {taken['p95']:.2f} (95 %)")
    for name, found in result["times_typical"].items():
        table.add_row(f"{name}, times typical", ", ".join(f"{k} {v:.2f}" for k, v in found.items()))
    for name, key in (("score", "auroc_of_score"), ("times typical", "auroc_of_times")):
        table.add_row(f"image AUROC of {name}", "-" if result[key] is None else f"{result[key]:.4f}")
    out.print(table)
    print_environment(where)


if __name__ == "__main__":
    run(main)
