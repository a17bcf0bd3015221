"""What was asked, and the answer in short."""

from collections.abc import Iterator

from pcedge.evaluation.runs import METRICS

from ..render.document import Block, Heading, Items, Paragraph, Span, paragraph, shortened
from ..render.wording import SHORT, listed, percent
from ..report_data import Group, Study
from ..rules.point import DiscussionPoint, point

_KEY_FINDINGS = 4
# Points that weigh less are for the discussion alone.
_KEY_WEIGHT = 4


def summary(study: Study, found: list[DiscussionPoint]) -> Iterator[Block]:
    """The answer in short."""
    for group in study.groups:
        yield Paragraph((Span(f"{group.title}: ", "strong"), Span(_in_short(group))))
    if study.failed:
        names = listed(name for name, _ in study.failed)
        yield paragraph("*Without results:* {names}.", names=names)
    weighty = [finding for finding in found if finding.rule.weight >= _KEY_WEIGHT][:_KEY_FINDINGS]
    if weighty:
        yield Items(tuple(map(point, weighty)))


def _in_short(group: Group) -> str:
    """``image AUROC 98.10 % (mean of 3), ...``."""
    from pcedge.studies.suite import means

    runs = [subject.run for subject in group.subjects]
    values = means(runs, ("image_auroc", "pixel_auroc", "aupro", "false_reject_rate", "miss_rate"))
    stated = [
        f"{SHORT.get(name, METRICS[name])} {percent(value)} %"
        for name, value in values.items()
        if value is not None
    ]
    of = f"means over {len(runs)} categories" if len(runs) > 1 else runs[0].name
    return f"{', '.join(stated) or 'no metric is defined'} ({shortened(of, 60)})."


def asked(study: Study) -> Iterator[Block]:
    """What the runs were to find out."""
    yield Heading("What was asked")
    labels = listed((subject.label for subject in study.subjects), 20)
    yield paragraph(
        "How well does PatchCore, fitted on good images alone, find defects in {labels}: does it rank "
        "defective images above good ones, does it show where the defects are, and how many good parts are "
        "rejected and defects missed at the threshold that it sets itself? Where results are published for "
        "the same settings: are these the same?",
        labels=labels,
    )
    commands = list(dict.fromkeys(subject.run.command for subject in study.subjects if subject.run.command))
    if commands:
        yield paragraph("The runs were made by:")
        yield Items(tuple((Span(shortened(command, 600), "code"),) for command in commands))
