"""Runtimes side by side: time a frame, and whether they agree."""

from collections.abc import Iterator

from pcedge.evaluation.runs import Run, RuntimeResult

from ..render.document import Block, Heading, Table, paragraph, shortened
from ..render.lines import lines
from ..render.wording import NOT_MEASURED, counted, metric_text, scientific
from ..report_data import Study, Subject


def runtimes(study: Study) -> Iterator[Block]:
    """Time a frame, and whether the runtimes agree."""
    yield Heading("Runtimes")
    rows = [row for subject in study.subjects for row in _runtime_rows(subject)]
    yield Table(
        "Time from decoded image to score and map, and agreement with the first runtime on the same images",
        (
            "category",
            "runtime",
            "image AUROC",
            "pixel AUROC",
            "median ms",
            "95th perc. ms",
            "score diff.",
            "flips",
        ),
        tuple(rows),
        left=(0, 1),
        wrap=(1,),
    )
    skipped = [(s, f"{r.runtime}: {r.skipped}") for s in study.subjects for r in s.run.runtimes if r.skipped]
    if skipped:
        yield from lines(skipped, "Runtimes that were asked for and could not run:", "")
    if not any(result.largest_difference is not None for s in study.subjects for result in s.run.runtimes):
        yield paragraph("Only one runtime ran, so nothing is compared.")
    machines = dict.fromkeys(_machine(subject.run) for subject in study.subjects)
    yield paragraph(
        "_Score diff._ is the largest difference of an image score, relative to that score or to the "
        "threshold, whichever is larger; _flips_ are verdicts that change. Measured on: {machines}. Times "
        "hold for that machine, and for what else it did.",
        machines="; ".join(machines),
    )


def _runtime_rows(subject: Subject) -> Iterator[tuple[str, ...]]:
    for result in subject.run.runtimes:
        if result.skipped:
            yield (subject.label, f"{result.runtime}: skipped", *[NOT_MEASURED] * 6)
            continue
        yield (
            subject.label,
            shortened(result.description or result.runtime, 40),
            metric_text(result.metrics.get("image_auroc")),
            metric_text(result.metrics.get("pixel_auroc")),
            _ms(result.frame_ms),
            _ms(result.frame_ms_p95),
            *_agreement(result),
        )


def _ms(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.1f}"


def _agreement(result: RuntimeResult) -> tuple[str, str]:
    if result.largest_difference is None:
        return NOT_MEASURED, NOT_MEASURED
    return scientific(result.largest_difference), str(result.flips)


def _machine(run: Run) -> str:
    machine = run.machine
    named = (machine.board, machine.processor, counted(machine.cores, "core"), machine.gpu, machine.system)
    return ", ".join(filter(None, named))
