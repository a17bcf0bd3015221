"""The data, and what the checks found in them."""

from collections.abc import Iterator

from ..render.document import Block, Heading, Note, Table, paragraph, prose, shortened
from ..render.lines import lines
from ..render.wording import listed
from ..report_data import Study, Subject


def data(study: Study) -> Iterator[Block]:
    """What was evaluated on, and what the checks found."""
    yield Heading("Data")
    subjects = _by_data(study)
    yield Table(
        "Images by category",
        ("category", "layout", "learned", "good", "defective", "with masks", "kinds of defects"),
        tuple(map(_data_row, subjects)),
        left=(0, 1, 6),
        wrap=(6,),
    )
    yield paragraph(
        "Before fitting, the data are checked: test images that were also learned from (the same file, or "
        "the same image), images that cannot be read, masks that do not fit their image or mark nothing, "
        "and defects without a mask."
    )
    problems = [(subject, problem) for subject in subjects for problem in subject.run.data.problems]
    skipped = [(s, f"{name}: {reason}") for s in study.subjects for name, reason in s.run.skipped.items()]
    if problems or skipped:
        yield from lines(problems, "The checks found:", "These checks found nothing.")
        yield from lines(skipped, "Not used, and not counted:", "Every image was used.")
    else:
        yield paragraph("These checks found nothing, and every image was used.")
    masks = [
        (s, f"{name}: {reason}") for s in study.subjects for name, reason in s.run.unusable_masks.items()
    ]
    if masks:
        yield from lines(
            masks, "Masks that could not be used; these images are left out of pixel metrics:", ""
        )
    bare = [s.label for s in subjects if not s.run.data.masks and any(row.defect for row in s.run.images)]
    if bare:
        yield Note(
            prose(
                "*No masks:* {labels}. Whether defects are found in the right place cannot be measured "
                "there.",
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
        subject.label,
        facts.layout,
        f"{facts.train:,}",
        f"{good:,}",
        f"{bad:,}",
        f"{facts.masks:,}",
        ", ".join(kinds) or "none",
    )
