"""Mutated bundles, runs, line files, tables, output directories, images and weights: what becomes of each.

``python -m benchmarks.fuzz --cases 20000``. Every input that pcedge reads is made soundly, then changed: its
bytes, and where the structure is known (JSON, arrays, tables) single values. Digests in a bundle are made to
fit, as a stranger would. A case is well if it is read or refused in words; a traceback, a crash, a case of
more than 20 s, memory above 1 GB and a file touched outside of the case's folder are not, and the exit code
is then 1. The same ``--seed`` makes the same cases; ``--only SEED`` runs a single one.
"""

import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from benchmarks.card import replace_results
from benchmarks.command import Card, Json, Seed, print_json, run
from pcedge.cli.console import err, out, progress_bars

from .cases import LIMIT_BYTES, LIMIT_S, Outcome, plan, run_cases
from .sound import make_sound

BEGIN = "<!-- results: filled by python -m benchmarks.fuzz --cases 20000 --card docs/results/fuzz.md -->"
_SPAWN = multiprocessing.get_context("spawn")
_STARTS_WITHIN_S = 300


def main(
    cases: Annotated[int, typer.Option(help="Cases to run.", min=1)] = 2000,
    seed: Seed = 0,
    only: Annotated[
        int | None, typer.Option(help="Run the case of this seed alone.", show_default=False)
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="An exported bundle, instead of one that is fitted here.", show_default=False),
    ] = None,
    card: Card = None,
    json: Json = False,
) -> None:
    """Run mutated inputs, count what became of them, and show what went wrong."""
    seeds = [only] if only is not None else list(range(seed * 10**9, seed * 10**9 + cases))
    with tempfile.TemporaryDirectory() as folder:
        sound, place = Path(folder, "sound"), Path(folder, "place")
        place.mkdir()
        os.environ["PCEDGE_STATE"] = str(place / "state")
        os.environ["PCEDGE_CACHE"] = str(place / "cache")
        err.print("Making a sound input of every kind.")
        make_sound(sound, bundle)
        started = time.monotonic()
        outcomes = list(_shown(seeds, sound, place))
    seconds = time.monotonic() - started
    wrong = [one for one in outcomes if _is_wrong(one)]
    result = _result(outcomes, wrong, seconds)
    if json:
        print_json(result)
    else:
        out.print(_table(outcomes))
        for one in wrong[:20]:
            out.print(
                f"--only {one.seed}: {one.kind}/{one.file}: {one.ended} {one.outside}\n{one.detail}",
                markup=False,
            )
    if card is not None:
        replace_results(card, _markdown(outcomes, wrong, seconds), BEGIN)
    sys.exit(1 if wrong else 0)


def _is_large(one: Outcome) -> bool:
    return one.ended == "over 1 GB" or one.grown > LIMIT_BYTES


def _is_wrong(one: Outcome) -> bool:
    return one.ended not in ("read", "refused") or bool(one.outside) or _is_large(one)


def _shown(seeds: list[int], sound: Path, place: Path) -> Iterator[Outcome]:
    with progress_bars() as progress:
        for done, one in enumerate(_outcomes(seeds, sound, place), 1):
            progress("cases", done, len(seeds))
            yield one


def _outcomes(seeds: list[int], sound: Path, place: Path) -> Iterator[Outcome]:
    """Run all cases; a process that crashed or hangs is replaced, and its case is over."""
    left = list(seeds)
    while left:
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=run_cases, args=(left, sound, place, theirs))
        process.start()
        theirs.close()
        try:
            for outcome in _received(ours, sound):
                yield outcome
                left = left[left.index(outcome.seed) + 1 :]
        finally:
            process.kill()
            process.join()


def _received(answers: Connection, sound: Path) -> Iterator[Outcome]:
    """The outcomes that a process sends, and that of the case in which it ends or hangs."""
    current: int | None = None
    while answers.poll(_STARTS_WITHIN_S if current is None else 2 * LIMIT_S):
        try:
            answer = answers.recv()
        except EOFError:
            yield _lost(current, sound, "crash")
            return
        if isinstance(answer, Outcome):
            yield answer
        elif answer is None:
            return
        else:
            current = answer
    yield _lost(current, sound, "hang")


def _lost(seed: int | None, sound: Path, ended: str) -> Outcome:
    if seed is None:
        raise SystemExit("The process that reads could not begin: a sound input is not read.")
    kind, file = plan(seed, sound)
    return Outcome(seed, kind, file, ended)


def _result(outcomes: list[Outcome], wrong: list[Outcome], seconds: float) -> dict[str, object]:
    return {
        "cases": len(outcomes),
        "seconds": round(seconds, 1),
        "ended": dict(Counter(one.ended for one in outcomes)),
        "outside": sum(bool(one.outside) for one in outcomes),
        "over_1_gb": sum(map(_is_large, outcomes)),
        "largest_growth_mb": round(max(one.grown for one in outcomes) / 1e6),
        "wrong": [{"seed": one.seed, "file": f"{one.kind}/{one.file}", "ended": one.ended} for one in wrong],
    }


_COLUMNS = ("input", "cases", "read", "refused", "tracebacks", "hangs", "crashes", "outside", "over 1 GB")


def _rows(outcomes: list[Outcome]) -> Iterator[tuple[str, ...]]:
    for kind in sorted({one.kind for one in outcomes}):
        of = [one for one in outcomes if one.kind == kind]
        ended = Counter(one.ended for one in of)
        counts = (len(of), *(ended[name] for name in ("read", "refused", "traceback", "hang", "crash")))
        touched, large = sum(bool(one.outside) for one in of), sum(map(_is_large, of))
        yield (kind, *map(str, (*counts, touched, large)))


def _table(outcomes: list[Outcome]) -> Table:
    table = Table(*_COLUMNS)
    for row in _rows(outcomes):
        table.add_row(*row)
    return table


def _markdown(outcomes: list[Outcome], wrong: list[Outcome], seconds: float) -> list[str]:
    lines = [f"| {' | '.join(_COLUMNS)} |", "|---" * len(_COLUMNS) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in _rows(outcomes)]
    largest = max(one.grown for one in outcomes) / 1e6
    lines += [
        "",
        f"{len(outcomes)} cases in {seconds:.0f} s, {len(wrong)} wrong. "
        f"The memory of the process grew by at most {largest:.0f} MB in a case.",
    ]
    return lines


if __name__ == "__main__":
    run(main)
