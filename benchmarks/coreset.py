"""pcedge's coreset against plain greedy and the reference's sampler: same rows, same process.

``ours`` is what a fit uses (:mod:`pcedge.banks`); ``plain`` and ``reference`` are in :mod:`.baselines`. All
choose from the same rows in a random projection to 128 dims, each warmed up on a few rows first. Where
plain or the reference would take longer than ``--limit-s``, only 200 picks or four seconds of them are
made, whichever is more, and their time is extrapolated and marked so; ``identical`` (ties within float32
rounding aside) and the radii then speak of the picks that were made. ``--full`` makes them all.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from pcedge.banks import Coreset, CoresetSize, greedy_coreset, greedy_coreset_torch, project
from pcedge.cli.console import out, progress_bars
from pcedge.core.progress import Progress

from .command import Json, Seed, environment, print_environment, print_json, run
from .coverage import coverage_radius, squared_distance
from .memory import peak_memory
from .rows import load_rows, render_rows

if TYPE_CHECKING:
    from .baselines import PlainGreedy, Sampled

DEFAULT_ROWS = 50_176  # 64 images of 784 patches
_WARM_UP_ROWS, _WARM_UP_PICKS = 20_000, 64
# A single short run says little: ours is repeated up to so often while it takes no longer than this.
_REPEATS, _REPEAT_WITHIN_S = 3, 5.0
_TIES_SHOWN = 5


@dataclass(frozen=True, eq=False)
class _Ours:
    picks: NDArray[np.int64]
    radius: float
    runs_s: list[float]
    peak_mb: float | None


def compare(
    rows: NDArray[np.float32],
    count: int,
    *,
    seed: int,
    device: str,
    limit_s: float | None,
    progress: Progress,
) -> dict[str, Any]:
    """Run all three on the same projected rows.

    Args:
        rows: float32 [n, dims].
        count: Picks.
        seed: Of the rows that the reference starts from.
        device: Where ours and the reference run; plain greedy stays on the CPU.
        limit_s: Longest full run of plain and the reference; None for any.
        progress: Called with every part.

    Returns:
        What ``--json`` prints, but for where the rows came from.
    """
    from .baselines import PlainGreedy, ReferenceSampler, sample

    few = np.ascontiguousarray(rows[:_WARM_UP_ROWS])
    warm_up = min(_WARM_UP_PICKS, len(few))
    sample(lambda: PlainGreedy(few), warm_up, limit_s=None, progress=_unheard)
    sample(lambda: ReferenceSampler(few, seed, device), warm_up, limit_s=None, progress=_unheard)
    _select(few, warm_up, device, _unheard)

    ours = _run_ours(rows, count, device, _stage(progress, "ours"))
    with peak_memory() as plain_peak:
        plain = sample(
            lambda: PlainGreedy(rows, like=ours.picks),
            count,
            limit_s=limit_s,
            progress=_stage(progress, "plain greedy"),
        )
    with peak_memory() as reference_peak:
        reference = sample(
            lambda: ReferenceSampler(rows, seed, device),
            count,
            limit_s=limit_s,
            progress=_stage(progress, "reference sampler"),
        )
    ours_s = statistics.median(ours.runs_s)
    return {
        "ours_s": ours_s,
        "ours_runs_s": ours.runs_s,
        **_timed("plain", plain, ours_s),
        **_timed("reference", reference, ours_s),
        **_same(rows, ours.picks, plain),
        **_radii(rows, ours, plain, reference, progress),
        "ours_peak_mb": ours.peak_mb,
        "plain_peak_mb": plain_peak.above_mb,
        "reference_peak_mb": reference_peak.above_mb,
        "device": device,
    }


def _select(
    rows: NDArray[np.float32], count: int, device: str, progress: Callable[[int, int], None]
) -> Coreset:
    """What a fit does on this device."""
    if device.startswith("cuda"):
        return greedy_coreset_torch(rows, count, device, progress)
    return greedy_coreset(rows, count, progress=progress)


def _run_ours(
    rows: NDArray[np.float32], count: int, device: str, progress: Callable[[int, int], None]
) -> _Ours:
    runs_s: list[float] = []
    while not runs_s or (len(runs_s) < _REPEATS and sum(runs_s) + runs_s[-1] < _REPEAT_WITHIN_S):
        with peak_memory() as peak:
            began = time.perf_counter()
            coreset = _select(rows, count, device, progress)
            runs_s.append(time.perf_counter() - began)
    return _Ours(coreset.picks, coreset.radius, runs_s, peak.above_mb)


def _timed(name: str, sampled: "Sampled[Any]", ours_s: float) -> dict[str, Any]:
    return {
        f"{name}_s": sampled.seconds,
        f"{name}_over_ours": sampled.seconds / ours_s,
        f"{name}_extrapolated": sampled.extrapolated,
        f"{name}_picks_made": len(sampled.picks),
    }


def _same(
    rows: NDArray[np.float32], ours: NDArray[np.int64], plain: "Sampled[PlainGreedy]"
) -> dict[str, Any]:
    """Whether plain greedy found the same, ties aside, and what it found at the first few that were not."""
    both = len(plain.picks)
    ties, parted = plain.sampler.ties, plain.sampler.parted
    return {
        "identical": bool((ours[:both] == plain.picks).all()),
        "identical_picks_checked": both,
        "ties": len(ties),
        "first_ties": [_apart(rows, ours, *tie) for tie in ties[:_TIES_SHOWN]],
        "first_difference": None if parted is None else _apart(rows, ours, *parted),
        "picks_in_common": len(np.intersect1d(ours[:both], plain.picks)),
    }


def _apart(
    rows: NDArray[np.float32], ours: NDArray[np.int64], pick: int, row: int, plain_row: int
) -> dict[str, Any]:
    before = ours[:pick]
    return {
        "pick": pick,
        "ours": row,
        "plain": plain_row,
        "ours_squared_distance": squared_distance(rows, row, before),
        "plain_squared_distance": squared_distance(rows, plain_row, before),
    }


def _radii(
    rows: NDArray[np.float32],
    ours: _Ours,
    plain: "Sampled[Any]",
    reference: "Sampled[Any]",
    progress: Progress,
) -> dict[str, Any]:
    """Radii of ours and plain after the picks that both made, and beside the reference after its picks."""

    def radius(picks: NDArray[np.int64], count: int, name: str) -> float:
        return coverage_radius(rows, picks[:count], _stage(progress, f"radius of {name}"))

    both, fewer, every = len(plain.picks), len(reference.picks), len(ours.picks)
    after = {count: radius(ours.picks, count, f"ours, {count:,} picks") for count in {both, fewer, every}}
    return {
        "radius_ours": after[both],
        "radius_plain": radius(plain.picks, both, "plain greedy"),
        "radius_picks": both,
        "radius_reference": radius(reference.picks, fewer, "the reference's picks"),
        "radius_ours_beside_reference": after[fewer],
        "radius_full": after[every],
        "radius_full_as_reported": ours.radius,
    }


def _stage(progress: Progress, name: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(name, done, total)


def _unheard(done: int, total: int) -> None:
    pass


def main(
    features: Annotated[
        Path | None,
        typer.Option(
            help="A .npy file of float32 rows [rows, dims] or [images, patches, dims]. Without it, rendered "
            "parts through pcedge-s.",
            show_default=False,
        ),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"How many rows; without --features {DEFAULT_ROWS}, with it all. Rows of a file are taken "
            "from its beginning.",
            show_default=False,
        ),
    ] = None,
    fraction: Annotated[
        str, typer.Option(help="Rows to choose: a fraction (0.1), 10%, or a number of rows.")
    ] = "0.1",
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="Where ours and the reference's run: cpu or cuda.")] = "cpu",
    limit_s: Annotated[
        float, typer.Option(min=0.0, help="Extrapolate plain and the reference if they would take longer.")
    ] = 30.0,
    full: Annotated[bool, typer.Option("--full", help="Never extrapolate.")] = False,
    as_json: Json = False,
) -> None:
    """Compare pcedge's exact coreset with plain greedy and the reference's approximate sampler."""
    size = CoresetSize.parse(fraction)
    stored = load_rows(features)[:rows] if features else None
    where = environment()
    with progress_bars() as progress:
        source = render_rows(rows or DEFAULT_ROWS, seed, progress) if stored is None else stored
        projected = np.ascontiguousarray(project(source, seed))
        dims_before = source.shape[1]
        del source
        found = compare(
            projected,
            size.rows(len(projected)),
            seed=seed,
            device=device,
            limit_s=None if full else limit_s,
            progress=progress,
        )
    result = {
        "rows": len(projected),
        "dims": projected.shape[1],
        "dims_before_projection": dims_before,
        "picks": size.rows(len(projected)),
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
    from rich.table import Table

    table = Table(
        title=f"{result['picks']:,} of {result['rows']:,} rows, {result['dims']} dims ({result['source']})",
        title_justify="left",
        title_style="bold",
    )
    for heading in ("sampler", "seconds", "times ours", "peak MB", "radius", "after picks"):
        table.add_column(heading, justify="left" if heading == "sampler" else "right")
    for name in ("ours", "plain", "reference"):
        about = "~" if result.get(f"{name}_extrapolated") else ""
        peak = result[f"{name}_peak_mb"]
        made = result["reference_picks_made" if name == "reference" else "radius_picks"]
        table.add_row(
            name,
            f"{about}{result[f'{name}_s']:.2f}",
            f"{about}{result.get(f'{name}_over_ours', 1.0):.1f}",
            "-" if peak is None else f"{peak:,.0f}",
            f"{result[f'radius_{name}']:.6g}",
            f"{made:,}",
        )
    if result["reference_picks_made"] != result["radius_picks"]:
        radius = result["radius_ours_beside_reference"]
        table.add_row("ours", "", "", "", f"{radius:.6g}", f"{result['reference_picks_made']:,}")
    out.print(table)
    out.print(_verdict(result))
    if result["plain_extrapolated"] or result["reference_extrapolated"]:
        out.print(
            f"~ extrapolated from {result['plain_picks_made']:,} picks of plain and "
            f"{result['reference_picks_made']:,} of the reference; a pick costs the same throughout."
        )
    print_environment(result)


def _verdict(result: dict[str, Any]) -> str:
    checked = result["identical_picks_checked"]
    if result["identical"]:
        ties = f"; at {result['ties']:,} of them, rounding decided between two rows" if result["ties"] else ""
        return f"Picks identical to plain greedy: [green]yes[/], all {checked:,} checked{ties}."
    parted = result["first_difference"]
    return (
        f"Picks identical to plain greedy: [red]no[/]; they part at pick {parted['pick']:,}, by more than "
        f"rounding; {result['picks_in_common']:,} of {checked:,} in common."
    )


if __name__ == "__main__":
    run(main)
