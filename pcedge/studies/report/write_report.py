"""From runs to a report on disk."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from pcedge.core.files import replace_file
from pcedge.core.progress import Progress, silent
from pcedge.errors import OptionError, OutputError

from .render.document import Document, Table, shortened
from .render.figures import curves_figure, overview_figure
from .render.page import to_page
from .render.pdf import Paper, to_pdf
from .render.thumbnails import thumbnail
from .render.wording import listed
from .report_data import Study, load_study
from .rules.points import discussion, findings
from .sections.accuracy import OVERVIEW, accuracy, counts_in_words, overview_rows
from .sections.category import categories, curves_file, picture_file, shown_pictures
from .sections.comparison import comparison
from .sections.data import data
from .sections.method import method
from .sections.peers import peers
from .sections.question import asked, summary
from .sections.related import references, related_work
from .sections.reproduction import reproduction
from .sections.runtimes import runtimes
from .sections.settings import settings

SUFFIXES = (".pdf", ".html")
# With so many categories, or more, each shows half the images.
_MANY_CATEGORIES = 4


@dataclass(frozen=True)
class ReportOptions:
    """How a report is made.

    Attributes:
        paper: Of the PDF.
        title: Of the report; empty for one that names the categories.
        images: How many misses and false rejects are shown of each category, and half as many clear
            cases; None for 6, or 4 with many categories.
        beside: A CSV file of other tools' results; None for none.
        failed: What else was asked for and has no run, and why.
    """

    paper: Paper = "a4"
    title: str = ""
    pictures: int | None = None
    beside: Path | None = None
    failed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        output: The report.
        size: In bytes.
        study: The runs it is about.
        document: What it says.
    """

    output: Path
    size: int
    study: Study
    document: Document

    def to_dict(self) -> dict[str, Any]:
        """Plain values: what was written, the runs and their metrics, and every table as it is printed."""
        return {
            "output": str(self.output),
            "bytes": self.size,
            "title": self.document.title,
            "date": self.document.date,
            "runs": [
                {
                    "label": subject.label,
                    "directory": str(subject.directory),
                    "sha256": subject.digest,
                    "metrics": msgspec.to_builtins(subject.run.metrics),
                }
                for subject in self.study.subjects
            ],
            "failed": dict(self.study.failed),
            "tables": [
                {"caption": block.caption, "columns": block.columns, "rows": block.rows}
                for block in self.document.blocks
                if isinstance(block, Table)
            ],
        }


def write_report(
    runs: Sequence[Path], output: Path, options: ReportOptions | None = None, progress: Progress = silent
) -> Written:
    """Write a report of finished runs, whole or not at all.

    Args:
        runs: Directories of runs, or of campaigns that hold some.
        output: ``.pdf`` or ``.html``; replaced.
        options: How.
        progress: Called with the stages ``read``, ``draw`` and ``typeset``.

    Raises:
        OptionError: The output has another suffix, or an option makes no sense.
        ResultError: A run cannot be read, or one of its images.
        MissingExtraError: What draws or typesets is not installed.
        OutputError: The report cannot be written.
    """
    options = options or ReportOptions()
    check_kind(output)
    if options.pictures is not None and options.pictures < 1:
        raise OptionError(f"{options.pictures} images cannot be shown.", "Ask for 1 to 8 of each category.")
    study = load_study(runs, progress)
    study = replace(study, failed=(*study.failed, *options.failed))
    document = make_document(study, options, progress)
    progress("typeset", 0, 1)
    is_pdf = output.suffix.lower() == ".pdf"
    content = to_pdf(document, options.paper) if is_pdf else to_page(document)
    _write(output, content)
    progress("typeset", 1, 1)
    return Written(output, len(content), study, document)


def check_kind(output: Path) -> None:
    """Check that a report of that name can be written, before the work that it is about.

    Raises:
        OptionError: It has another suffix than ``.pdf`` or ``.html``.
    """
    if output.suffix.lower() not in SUFFIXES:
        raise OptionError(
            f"{output} would be a report of an unknown kind ({output.suffix or 'no suffix'}).",
            "Name a PDF or a page: report.pdf or report.html",
        )


def _title(study: Study) -> str:
    """What the runs are of; of methods that were compared, the datasets, each once."""
    if study.subjects and all(one.run.settings.label for one in study.subjects):
        names = dict.fromkeys(shortened(one.run.data.name, 60) for one in study.subjects)
        return f"Methods compared on {listed(names, 4)}"
    return f"Anomaly detection on {listed((one.label for one in study.subjects), 4)}"


def make_document(study: Study, options: ReportOptions, progress: Progress = silent) -> Document:
    """Put the parts together."""
    most = options.pictures or (6 if len(study.subjects) < _MANY_CATEGORIES else 4)
    found = findings(study)
    return Document(
        title=shortened(options.title, 160) or _title(study),
        subtitle=f"Evaluation report: {counts_in_words(study)}, {study.date}",
        author=f"pcedge {version('pcedge')}",
        date=study.date,
        summary=tuple(summary(study, found)),
        blocks=(
            *asked(study),
            *data(study),
            *related_work(),
            *method(study),
            *settings(study),
            *comparison(study),
            *accuracy(study),
            *peers(study, options.beside),
            *discussion(found),
            *runtimes(study),
            *categories(study, most),
            *reproduction(study),
            *references(),
        ),
        files=_files(study, most, progress),
    )


def _files(study: Study, most: int, progress: Progress) -> dict[str, bytes]:
    """Drawings and images by name."""
    found = {}
    if len(study.subjects) > 1:
        rows = [(label, subject.run, published) for label, subject, published in overview_rows(study)]
        found[OVERVIEW] = overview_figure(rows)
    total = len(study.subjects)
    for number, subject in enumerate(study.subjects):
        progress("draw", number, total)
        found[curves_file(number)] = curves_figure(subject.run, subject.curves)
        for pictures in shown_pictures(subject, most).values():
            for picture in pictures:
                for name in filter(None, (picture.picture, picture.heatmap, picture.mask)):
                    found[picture_file(number, name)] = thumbnail(subject.directory / name)
    progress("draw", total, total)
    return found


def _write(output: Path, content: bytes) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        replace_file(output, content)
    except OSError as error:
        raise OutputError(
            f"{output} cannot be written ({error.strerror or error}).", "Name another file with -o."
        ) from error
