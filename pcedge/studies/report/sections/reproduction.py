"""How to do it again: versions, digests, times and sizes."""

from collections.abc import Iterator

from ..render.document import Block, Heading, Items, Span, Table, paragraph
from ..render.wording import NOT_MEASURED
from ..report_data import Study, Subject


def reproduction(study: Study) -> Iterator[Block]:
    """Versions and digests."""
    yield Heading("To do it again")
    yield paragraph(
        "With the same data, weights and versions, the same command gives the same scores. The digests say "
        "whether data, weights and results are these."
    )
    yield Table(
        "Digests: of the data (BLAKE2b), and of the run's file as reported here (SHA-256)",
        ("category", "data", "run.json", "finished (UTC)", "pcedge"),
        tuple(
            (
                s.label,
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
    return (subject.label, *seconds, *sizes)
