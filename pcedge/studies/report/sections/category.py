"""A category's own pages: curves, kinds of defects, and the images to look at."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median

from pcedge.evaluation.runs import RunImage

from ..render.document import Block, Card, Heading, ImageGallery, Plot, Table, paragraph, shortened
from ..render.wording import NOT_MEASURED, counted, score_text
from ..report_data import Study, Subject

_GROUPS = {
    "miss": "Worst misses: defects that passed, the lowest score first",
    "false_reject": "Worst false rejects: good parts called NG, the highest score first",
    "found": "Clear finds: defects with the highest scores",
    "accepted": "Clear passes: good parts with the lowest scores",
}
_TITLE_LENGTH = 46


def categories(study: Study, most: int) -> Iterator[Block]:
    """Every run's pages, with up to ``most`` misses and false rejects and half as many clear cases."""
    yield Heading("Category by category", page=len(study.subjects) > 1)
    yield paragraph(
        "Left, the image; beside it, the anomaly map on it, coloured only where the map is above its "
        "threshold; the ring marks its highest value, and what a crop cuts away is shaded. Then, where "
        "there is one, the ground truth. A score is given as a share of the threshold too: above 1, the "
        "part is NG. In the histogram, strokes at the axis are held-out scores of good training images."
    )
    for number, subject in enumerate(study.subjects):
        yield from _category(subject, number, most)


def curves_file(number: int) -> str:
    """The name of a run's curves among the document's files."""
    return f"curves-{number:03d}.svg"


def picture_file(number: int, name: str) -> str:
    """The name of a run's image among the document's files."""
    return f"picture-{number:03d}-{Path(name).stem}.jpg"


def shown_pictures(subject: Subject, most: int) -> dict[str, list[RunImage]]:
    """The images that a report shows, by group, in the run's order."""
    return {
        group: [picture for picture in subject.run.pictures if picture.group == group][
            : most if group in ("miss", "false_reject") else _clear_cases(most)
        ]
        for group in _GROUPS
    }


def _clear_cases(most: int) -> int:
    """About half as many, so that rows of two are full."""
    return 2 * ((most + 3) // 4)


def _category(subject: Subject, number: int, most: int) -> Iterator[Block]:
    run = subject.run
    yield Heading(subject.label, level=2)
    defects = sum(row.defect for row in run.images)
    yield paragraph(
        "{train} learned, {good} and {bad} judged.",
        train=counted(run.data.train, "good image"),
        good=f"{len(run.images) - defects:,} good",
        bad=counted(defects, "defective image"),
    )
    yield Plot(
        curves_file(number),
        f"{subject.label}: scores of the test images, ROC curves over images and pixels, and "
        "the per-region-overlap curve, whose area is AUPRO.",
        "Histogram of scores, ROC and PRO curves",
    )
    yield from _kinds(subject)
    shown = shown_pictures(subject, most)
    for group, caption in _GROUPS.items():
        if shown[group]:
            yield ImageGallery(
                _gallery_caption(subject, group, caption, len(shown[group])),
                tuple(_card(picture, subject, number) for picture in shown[group]),
            )
    if not any(shown.values()):
        yield paragraph("The run holds no images.")
    elif run.threshold:
        for group, words in (
            ("miss", "No defect was missed."),
            ("false_reject", "No good part was rejected."),
        ):
            if not shown[group] and _total(subject, group) == 0:
                yield paragraph(words)


def _kinds(subject: Subject) -> Iterator[Block]:
    run = subject.run
    kinds = sorted({row.kind for row in run.images if row.defect})
    if not kinds:
        yield paragraph("There are no defective test images.")
        return
    limit = run.threshold.score if run.threshold else None
    rows = []
    for kind in kinds:
        found = [row for row in run.images if row.defect and row.kind == kind]
        scores = [row.score for row in found if row.verdict != "INVALID"]
        missed = NOT_MEASURED if limit is None else str(sum(row.verdict == "OK" for row in found))
        rows.append(
            (
                shortened(kind, 40),
                str(len(found)),
                missed,
                _share(min(scores), limit) if scores else NOT_MEASURED,
                _share(median(scores), limit) if scores else NOT_MEASURED,
            )
        )
    unit = "as shares of the threshold" if limit else "no threshold"
    yield Table(
        f"{subject.label}: kinds of defects; scores {unit}",
        ("kind", "images", "missed", "lowest score", "median score"),
        tuple(rows),
    )


def _share(score: float, limit: float | None) -> str:
    return f"{score / limit:.2f}" if limit else score_text(score)


def _card(picture: RunImage, subject: Subject, number: int) -> Card:
    limit = subject.run.threshold.score if subject.run.threshold else None
    share = f" ({picture.score / limit:.2f} × threshold)" if limit else ""
    return Card(
        tuple(
            picture_file(number, name) for name in (picture.picture, picture.heatmap, picture.mask) if name
        ),
        shortened(picture.name, _TITLE_LENGTH),
        f"{shortened(picture.kind, 24)}, score {score_text(picture.score)}{share}",
    )


def _total(subject: Subject, group: str) -> int:
    defect, verdict = {
        "miss": (True, "OK"),
        "false_reject": (False, "NG"),
        "found": (True, "NG"),
        "accepted": (False, "OK"),
    }[group]
    return sum(row.defect == defect and row.verdict == verdict for row in subject.run.images)


def _gallery_caption(subject: Subject, group: str, caption: str, shown: int) -> str:
    if subject.run.threshold is None:
        return caption
    return f"{caption} ({shown} of {_total(subject, group)})"
