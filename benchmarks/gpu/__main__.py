"""``python -m benchmarks.gpu``: one command for the day that there is a GPU; also ``make gpu``."""

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from benchmarks.command import environment, run
from pcedge.cli.console import err
from pcedge.export import compute_capability, gpu_name

from .page import page
from .parts import Day, run_parts


def gpu(
    out: Annotated[Path, typer.Option(help="Folder for gpu.json and gpu.md.")] = Path("gpu"),
    batch: Annotated[int, typer.Option(help="Images a call, for the throughput.", min=1)] = 32,
    runs: Annotated[int, typer.Option(help="Calls that are measured.", min=1)] = 200,
    minutes: Annotated[float, typer.Option(help="No part begins after so many.", min=0.0)] = 7.0,
    small: Annotated[
        bool, typer.Option("--small", help="Tiny sizes: it runs, its times mean nothing.")
    ] = False,
) -> None:
    """Measure all that needs a GPU: coreset and fit, every runtime and precision, verified, beside its floor.

    Each part that cannot run says why and is skipped. The results are a JSON document and a page of Markdown.
    """
    began = time.monotonic()
    parts = {}
    with TemporaryDirectory() as folder:
        day = Day(Path(folder), batch, runs, began + 60 * minutes, small)
        for name, found in run_parts(day):
            parts[name] = found
            err.print(f"{name}: {found.get('skipped', 'done')}", markup=False)
    result = {
        "environment": environment(),
        "gpu": gpu_name(),
        "compute capability": compute_capability(),
        "seconds": time.monotonic() - began,
        "parts": parts,
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "gpu.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    (out / "gpu.md").write_text(page(result), encoding="utf-8")
    err.print(f"{out / 'gpu.json'}, {out / 'gpu.md'}", markup=False)


if __name__ == "__main__":
    run(gpu)
