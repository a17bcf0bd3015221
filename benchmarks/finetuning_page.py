"""Results of ``benchmarks.finetuning`` in a Markdown file, between two marks."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

BEGIN = "<!-- results: filled by python -m benchmarks.finetuning ... --card docs/results/finetuning.md -->"
METRICS = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC", "aupro": "AUPRO"}


def markdown(result: Mapping[str, Any]) -> Iterator[str]:
    """Lines of what ``benchmarks.finetuning --json`` prints."""
    rate = result["learning_rate"]
    seeds = len(next(iter(result["datasets"].values()))["before"])
    yield (
        f"{result['backbone']}, whole images, coreset {result['coreset']}, {result['epochs']} epochs "
        f"at {rate:g}; mean ± standard deviation over {seeds} seeds. In brackets: the difference from before "
        "with the same coreset seed, so without what the coreset's luck does."
    )
    yield ""
    yield "| dataset | metric | before | method | kept by the criterion | last epoch, whatever it says |"
    yield "|---|---|---|---|---|---|"
    for path, dataset in result["datasets"].items():
        for metric, title in METRICS.items():
            before = [one[metric] for one in dataset["before"]]
            if before[0] is not None:
                yield from _rows(f"{Path(path).name} | {title}", metric, before, dataset["methods"], rate)
    yield ""
    yield "What was kept, seed by seed (0: the weights it began with):"
    yield ""
    for path, dataset in result["datasets"].items():
        for method, runs in dataset["methods"].items():
            kept = ", ".join(str(one["kept_epoch"]) for one in runs if one["learning_rate"] == rate)
            yield f"- {Path(path).name}, {method}: epochs {kept}"
    yield ""
    yield "Epoch by epoch with seed 0, the criterion beside what it stands for:"
    yield ""
    yield "| dataset | method | rate | epoch | task solved | separation | gain ± error | CKA | image AUROC |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for path, dataset in result["datasets"].items():
        for method, runs in dataset["methods"].items():
            for one in runs:
                if one["seed"] == 0:
                    yield from _course(
                        f"{Path(path).name} | {method} | {one['learning_rate']:g}", one["epochs"]
                    )


def _rows(
    name: str, metric: str, before: Sequence[float], methods: Mapping[str, Any], rate: float
) -> Iterator[str]:
    for method, runs in methods.items():
        cells = []
        for which in ("kept", "last"):
            after = [one[which][metric] for one in runs if one["learning_rate"] == rate]
            gains = [new - old for new, old in zip(after, before, strict=True)]
            cells.append(f"{spread(after)} ({spread(gains, sign='+')})")
        yield f"| {name} | {spread(before)} | {method} | {' | '.join(cells)} |"


def _course(name: str, epochs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in epochs:
        auroc = "" if one["image_auroc"] is None else f"{one['image_auroc']:.4f}"
        yield (
            f"| {name} | {one['epoch']} | {one['accuracy']:.0%} | {one['separation']:.4f} | "
            f"{one['gain']:+.4f} ± {one['gain_error']:.4f} | {one['cka']:.4f} | {auroc} |"
        )


def spread(values: Sequence[float], sign: str = "") -> str:
    """Mean and standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):{sign}.4f} ± {deviation:.4f}"
