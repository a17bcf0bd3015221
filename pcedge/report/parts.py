"""The shorter parts: what was asked, the data, settings, runtimes, discussion, and how to do it again."""

from collections.abc import Iterator

from pcedge.preprocessing import Preprocessing
from pcedge.results import METRICS, Run, RuntimeResult

from .document import Block, Heading, Items, Note, Paragraph, Prose, Span, Table, paragraph, prose, shortened
from .findings import Finding
from .study import Group, Study, Subject
from .wording import NOT_MEASURED, counted, listed, metric_text, percent

# More than this many lines of one kind are looked up in the run, not read in a report.
_MOST_LINES = 12
_KEY_FINDINGS = 4


def summary(study: Study, found: list[Finding]) -> Iterator[Block]:
    """The answer in short."""
    for group in study.groups:
        yield Paragraph((Span(f"{group.title}: ", "strong"), Span(_in_short(group))))
    if study.failed:
        names = listed(name for name, _ in study.failed)
        yield paragraph("*Without results:* {names}.", names=names)
    weighty = [finding for finding in found if finding.weight >= 4][:_KEY_FINDINGS]
    if weighty:
        yield Items(tuple(map(_point, weighty)))


def _in_short(group: Group) -> str:
    """``image AUROC 98.10 % (mean of 3), ...``."""
    from pcedge.trials import means

    runs = [subject.run for subject in group.subjects]
    values = means(runs, ("image_auroc", "pixel_auroc", "aupro", "false_reject_rate", "miss_rate"))
    stated = [f"{METRICS[name]} {percent(value)} %" for name, value in values.items() if value is not None]
    of = f"means over {len(runs)} categories" if len(runs) > 1 else runs[0].name
    return f"{', '.join(stated) or 'no metric is defined'} ({shortened(of, 60)})."


def asked(study: Study) -> Iterator[Block]:
    """What the runs were to find out."""
    yield Heading("What was asked")
    labels = listed((shortened(subject.label, 40) for subject in study.subjects), 20)
    yield paragraph(
        "How well does PatchCore, fitted on good images alone, find defects in {labels}: does it rank defective images "
        "above good ones, does it show where the defects are, and how many good parts are rejected and defects missed at "
        "the threshold that it sets itself? Where results are published for the same settings: are these the same?",
        labels=labels,
    )
    commands = list(dict.fromkeys(subject.run.command for subject in study.subjects if subject.run.command))
    if commands:
        yield paragraph("The runs were made by:")
        yield Items(tuple((Span(shortened(command, 600), "code"),) for command in commands))


def data(study: Study) -> Iterator[Block]:
    """What was evaluated on, and what the checks found."""
    yield Heading("Data")
    subjects = _by_data(study)
    yield Table(
        "Images by category",
        ("category", "layout", "learned", "good", "defective", "with masks", "kinds of defects"),
        tuple(map(_data_row, subjects)),
        left=(0, 1, 6),
        wrap=6,
    )
    yield paragraph(
        "Before fitting, the data are checked: test images that were also learned from (the same file, or the same "
        "picture), images that cannot be read, masks that do not fit their image or mark nothing, and defects without a mask."
    )
    problems = [(subject, problem) for subject in subjects for problem in subject.run.data.problems]
    yield from _lines(problems, "The checks found:", "The checks found nothing.")
    skipped = [(s, f"{name}: {reason}") for s in subjects for name, reason in s.run.skipped.items()]
    yield from _lines(skipped, "Not used, and not counted:", "Every image was used.")
    masks = [(s, f"{name}: {reason}") for s in subjects for name, reason in s.run.unusable_masks.items()]
    if masks:
        yield from _lines(masks, "Masks that could not be used; these images are left out of pixel metrics:", "")
    bare = [s.label for s in subjects if not s.run.data.masks and any(row.defect for row in s.run.images)]
    if bare:
        yield Note(
            prose(
                "*No masks:* {labels}. Whether defects are found in the right place cannot be measured there.",
                labels=listed(bare, 15),
            )
        )


def _by_data(study: Study) -> list[Subject]:
    """One subject for each dataset, though several runs may be of it."""
    return list({(s.run.data.title, s.run.data.digest): s for s in reversed(study.subjects)}.values())[::-1]


def _data_row(subject: Subject) -> tuple[str, ...]:
    facts = subject.run.data
    good = facts.kinds.get("good", 0)
    kinds = [f"{shortened(kind, 24)} {count}" for kind, count in facts.kinds.items() if kind != "good"]
    bad = sum(facts.kinds.values()) - good
    return (
        shortened(subject.label, 40),
        facts.layout,
        f"{facts.train:,}",
        f"{good:,}",
        f"{bad:,}",
        f"{facts.masks:,}",
        ", ".join(kinds) or "none",
    )


def _lines(found: list[tuple[Subject, str]], title: str, otherwise: str) -> Iterator[Block]:
    if not found:
        yield paragraph(otherwise)
        return
    yield paragraph(title)
    lines: list[Prose] = [
        (Span(f"{shortened(subject.label, 40)}: ", "strong"), Span(shortened(text, 220)))
        for subject, text in found[:_MOST_LINES]
    ]
    if len(found) > _MOST_LINES:
        lines.append((Span(f"and {len(found) - _MOST_LINES:,} more, in the runs' files.", "emphasis"),))
    yield Items(tuple(lines), small=True)


def settings(study: Study) -> Iterator[Block]:
    """How it was fitted, a column for each group."""
    yield Heading("Settings")
    groups = study.groups
    names: tuple[str, ...] = ("setting", *(group.title if len(groups) > 1 else "value" for group in groups))
    columns = [_settings_column(group) for group in groups]
    rows = tuple((name, *(column[name] for column in columns)) for name in columns[0])
    yield Table("Everything that decides a score", names, rows, left=tuple(range(len(names))), wrap=len(names) - 1)


def _settings_column(group: Group) -> dict[str, str]:
    stated = group.settings
    rows = sorted(subject.run.settings.bank_rows for subject in group.subjects)
    return {
        "preset": stated.preset or "none",
        "backbone": f"{stated.backbone} ({', '.join(stated.layers)})",
        "weights": stated.weights,
        "preprocessing": _preprocessing(stated.preprocessing),
        "embedding": f"{stated.embedding}, {stated.dims} values a patch",
        "coreset": stated.coreset,
        "bank rows": f"{rows[0]:,}" if rows[0] == rows[-1] else f"{rows[0]:,} to {rows[-1]:,}",
        "neighbours": f"{stated.neighbours}" + (" (no re-weighting)" if stated.neighbours == 1 else ""),
        "seed": str(stated.seed),
        "threshold": _threshold(group),
    }


def _preprocessing(stated: Preprocessing) -> str:
    if stated.crop is None:
        return f"the whole picture to {stated.image_size} × {stated.image_size} px ({stated.implementation})"
    return f"shorter side to {stated.image_size} px, centre {stated.crop} × {stated.crop} px ({stated.implementation})"


def _threshold(group: Group) -> str:
    limits = [subject.run.threshold for subject in group.subjects if subject.run.threshold]
    if not limits:
        return "none: scores only rank images"
    rates = sorted({limit.false_reject_rate for limit in limits})
    rate = percent(rates[0]) if len(rates) == 1 else f"{percent(rates[0])} to {percent(rates[-1])}"
    return f"at a false-reject rate of {rate} %; {listed(dict.fromkeys(limit.method for limit in limits))}"


def runtimes(study: Study) -> Iterator[Block]:
    """Time a frame, and whether the runtimes agree."""
    yield Heading("Runtimes")
    rows = [row for subject in study.subjects for row in _runtime_rows(subject)]
    yield Table(
        "Time from decoded picture to score and map, and agreement with the first runtime on the same images",
        ("category", "runtime", "image AUROC", "pixel AUROC", "median ms", "95th perc. ms", "score diff.", "flips"),
        tuple(rows),
        left=(0, 1),
        wrap=1,
    )
    skipped = [(s, f"{r.runtime}: {r.skipped}") for s in study.subjects for r in s.run.runtimes if r.skipped]
    if skipped:
        yield from _lines(skipped, "Runtimes that were asked for and could not run:", "")
    if not any(result.largest_difference is not None for s in study.subjects for result in s.run.runtimes):
        yield paragraph("Only one runtime ran, so nothing is compared.")
    machines = dict.fromkeys(_machine(subject.run) for subject in study.subjects)
    yield paragraph(
        "_Score diff._ is the largest difference of an image score, relative to that score or to the threshold, whichever "
        "is larger; _flips_ are verdicts that change. Measured on: {machines}. Times hold for that machine, and for what else it did.",
        machines="; ".join(machines),
    )


def _runtime_rows(subject: Subject) -> Iterator[tuple[str, ...]]:
    for result in subject.run.runtimes:
        if result.skipped:
            yield (subject.label, f"{result.runtime}: skipped", *[NOT_MEASURED] * 6)
            continue
        yield (
            shortened(subject.label, 40),
            result.description or result.runtime,
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
    return f"{result.largest_difference:.1e}", str(result.flips)


def _machine(run: Run) -> str:
    machine = run.machine
    named = (machine.board, machine.processor, counted(machine.cores, "core"), machine.gpu, machine.system)
    return ", ".join(filter(None, named))


def discussion(found: list[Finding]) -> Iterator[Block]:
    """The points, and the rules they follow from."""
    yield Heading("Discussion")
    if not found:
        yield paragraph("None of the rules by which points are made applies to these numbers.")
        return
    yield paragraph("Each point follows from the numbers by a fixed rule, given in brackets.")
    yield Items(tuple((*_point(finding), Span(f" [{finding.rule}]", "emphasis")) for finding in found))


def _point(finding: Finding) -> Prose:
    if not finding.subject:
        return finding.spans
    return (Span(f"{shortened(finding.subject, 40)}: ", "strong"), *finding.spans)


def reproduction(study: Study) -> Iterator[Block]:
    """Versions and digests."""
    yield Heading("To do it again")
    yield paragraph(
        "With the same data, weights and versions, the same command gives the same scores. The digests say whether data, weights and results are these."
    )
    yield Table(
        "Digests: of the data (BLAKE2b), and of the run's file as reported here (SHA-256)",
        ("category", "data", "run.json", "finished (UTC)", "pcedge"),
        tuple(
            (
                shortened(s.label, 40),
                s.run.data.digest[:16],
                s.digest[:16],
                s.run.created[:16].replace("T", " "),
                s.run.pcedge_version,
            )
            for s in study.subjects
        ),
        left=(0, 1, 2, 3, 4),
    )
    weights = {s.run.settings.backbone: s.run.settings.weights_sha256 for s in study.subjects}
    yield paragraph("SHA-256 of the weights' tensors:")
    yield Items(
        tuple(
            (Span(f"{backbone}: "), Span(digest, "code"))
            for joined, digests in weights.items()
            for backbone, digest in zip(joined.split("+"), digests.split("+"), strict=False)
        ),
        small=True,
    )
    versions = dict.fromkeys(
        ", ".join(f"{name} {number}" for name, number in s.run.libraries.items()) for s in study.subjects
    )
    yield paragraph("Versions:" if len(versions) == 1 else "Versions, by runs:")
    yield Items(tuple((Span(text),) for text in versions), small=True)
    yield Table(
        "Seconds by stage, and sizes",
        ("category", *_stages(study), "bank MB", "bundle MB"),
        tuple(_seconds_row(s, _stages(study)) for s in study.subjects),
    )


def _stages(study: Study) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stage for s in study.subjects for stage in s.run.seconds))


def _seconds_row(subject: Subject, stages: tuple[str, ...]) -> tuple[str, ...]:
    run = subject.run
    seconds = (f"{run.seconds[stage]:.1f}" if stage in run.seconds else NOT_MEASURED for stage in stages)
    sizes = (f"{size / 1e6:.1f}" for size in (run.bank_bytes, run.bundle_bytes))
    return (shortened(subject.label, 40), *seconds, *sizes)


