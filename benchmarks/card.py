"""Results of benchmarks in Markdown files, between two marks, such as in the model card."""

import statistics
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pcedge.errors import OptionError

BEGIN = "<!-- results: filled by python -m benchmarks.compact ... --card docs/reference/pcedge-s.md -->"
END = "<!-- end of the results -->"


def around_results(card: Path, begin: str = BEGIN) -> tuple[str, str]:
    """What stands before and behind the results in a Markdown file.

    Raises:
        OptionError: The file is missing or has no marks.
    """
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    before, found, rest = text.partition(begin)
    _, end, after = rest.partition(END)
    if not found or not end:
        raise OptionError(
            f"{card} is not there or has no place for results.",
            f"Give --card a file with the lines {begin!r} and {END!r}.",
        )
    return before, after


def write_results(card: Path, result: Mapping[str, Any]) -> None:
    """Replace what stands between the marks.

    Args:
        card: The Markdown file.
        result: As ``benchmarks.compact --json`` prints it.

    Raises:
        OptionError: The file is missing or has no marks.
    """
    replace_results(card, _markdown(result), BEGIN)


def replace_results(card: Path, lines: Iterable[str], begin: str) -> None:
    """Put other lines between the marks, of which ``begin`` is the first.

    Raises:
        OptionError: The file is missing or has no marks.
    """
    before, after = around_results(card, begin)
    text = "\n".join(lines)
    card.write_text(f"{before}{begin}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def _markdown(result: Mapping[str, Any]) -> Iterator[str]:
    size, seed = result["image_size"], result["seed"]
    yield f"Banks of {result['coreset']} of the patches, whole images at {size}, seed {seed}:"
    yield ""
    yield "| dataset | AUROC | pcedge-s | ResNet-18 `mean` | ResNet-18 `reference` | untrained | gap closed |"
    yield "|---|---|---|---|---|---|---|"
    for dataset, rows in result["quality"].items():
        for metric in ("image", "pixel"):
            key = f"{metric}_auroc"
            if rows["pcedge-s"][key] is None:
                continue
            trained = [rows[name][key] for name in ("pcedge-s", "resnet18 mean", "resnet18 reference")]
            others = [row[key] for name, row in rows.items() if name.startswith("untrained")]
            cells = [f"{value:.3f}" for value in trained]
            spread = f"{statistics.mean(others):.3f} ({min(others):.3f} to {max(others):.3f})"
            closed = result["gap_closed"][dataset]["resnet18 mean"] if metric == "image" else None
            share = "" if closed is None else f"{closed:.0%}"
            yield f"| {dataset} | {metric} | {' | '.join(cells)} | {spread} | {share} |"
    yield ""
    yield "| image to embeddings, ONNX Runtime, ms | pcedge-s | ResNet-18 | times faster |"
    yield "|---|---|---|---|"
    for count, times in result["latency_ms"].items():
        for precision, suffix in (("float32", ""), ("int8", " int8")):
            ours, theirs = times[f"pcedge-s{suffix}"], times[f"resnet18 mean{suffix}"]
            factor = result["times_faster"][count][precision]
            threads = "1 thread" if count == "1" else f"{count} threads"
            yield f"| {precision}, {threads} | {ours:.1f} | {theirs:.1f} | {factor:.1f} |"
    yield ""
    small, large = result["sizes"]["pcedge-s"], result["sizes"]["resnet18"]
    yield (
        f"Size: {small['parameters'] / 1e6:.2f} million parameters and "
        f"{small['multiply_adds'] / 1e6:,.0f} million multiply-adds an image; ResNet-18 to layer3: "
        f"{large['parameters'] / 1e6:.2f} and {large['multiply_adds'] / 1e6:,.0f}."
    )
    yield ""
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    yield (
        f"Measured with {versions} on {result['cpu_count']} processors ({result['machine']}), load average "
        f"{result['load_average']} before the run."
    )
