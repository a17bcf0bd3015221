"""The table as a page of Markdown."""

import re
from collections.abc import Sequence
from typing import Any

_HEAD = """# Every graph, parsed and built by TensorRT for RTX

NVIDIA's own parser and builder (TensorRT for RTX {version}), strongly typed, without TF32, on a machine
without a GPU: networks of the real architectures with random weights, whose graphs are those of
`pcedge export`. A network "with search" is the fused one, with the bank as input (1 to 1,000 rows); batches
are 1 to 8. Each is built for one compute capability at a time: 7.5 is Turing, 8.6 Ampere, 8.9 Ada, 12.0
Blackwell. The size of the engine in megabytes and the seconds to parse and build it, on a busy machine.
Nothing here has run on a GPU: the driver compiles the engine there.

```console
python -m benchmarks.tensorrt_rtx --page docs/results/tensorrt-rtx.md
```

"""


def page(found: dict[str, Any], compute: Sequence[str]) -> str:
    """The page of what was found."""
    reasons: list[str] = []
    lines = [
        "| graph | precision | parsed, layers | " + " | ".join(f"SM {one}" for one in compute) + " |",
        "|---|---|---|" + "---|" * len(compute),
    ]
    for row in found["graphs"]:
        name = row["name"].replace(", search", ", with search")
        lines.append(f"| {name} | {row['precision']} | {_cells(row, compute, reasons)} |")
    notes = "".join(f"\n{number}. {reason}" for number, reason in enumerate(reasons, 1))
    warned = sorted({one for row in found["graphs"] for one in row.get("warnings", [])})
    warnings = "".join(f"\n- {one}" for one in warned) or "\n- none"
    return (
        _HEAD.format(version=found["tensorrt_rtx"])
        + "\n".join(lines)
        + f"\n\n## Refused\n{notes or 'Nothing.'}\n\n## Warned of\n{warnings}\n\n{_EXPLAINED}"
    )


def _cells(row: dict[str, Any], compute: Sequence[str], reasons: list[str]) -> str:
    for kind in ("unwritten", "refused"):
        if kind in row:
            words = "not written" if kind == "unwritten" else "refused"
            return " | ".join([f"{words} ({_note(row[kind], reasons)})", *[""] * len(compute)])
    cells = [str(row["layers"])]
    for one in compute:
        built = row["built"][one]
        if "refused" in built:
            cells.append(f"refused ({_note(built['refused'], reasons)})")
        else:
            cells.append(f"{built['megabytes']:.1f} MB, {built['seconds']:.1f} s")
    return " | ".join(cells)


def _note(reason: str, reasons: list[str]) -> int:
    """Number of a reason; what names only another file or node is the same one."""
    reason = re.sub(r"\S+\.onnx", "The network", reason).replace("|", "/")
    reason = re.sub(r"(?<=\w )The network", "the network", reason)
    reason = re.sub(r"operation '[^']*'", "a matrix product", re.sub(r"\d+%", "most", reason))
    if reason not in reasons:
        reasons.append(reason)
    return reasons.index(reason) + 1


_EXPLAINED = """## What is to be known

- On compute capability 7.5 (Turing) TensorRT for RTX has no float32 matrix products, which the search and
  transformers in float32 are made of. For 7.5 `pcedge export --trt-rtx` builds the embedder alone,
  the processor searches, and the summary says so; convolutional embedders are built in all precisions, and
  transformers in fp16.
- The rows that the search finds are 64-bit ("Make sure output rows has Int64 binding"): Polygraphy makes its
  buffers by the engine's own types, so that nothing is left to do, and this warning is not repeated.
- int8 is the symmetric kind (`pcedge export --int8 --trt-rtx`). The one for processors has zero points, which
  TensorRT has on DLAs alone: "Non-zero zero point is not supported". A bundle keeps both, and each runtime
  takes its own.
"""
