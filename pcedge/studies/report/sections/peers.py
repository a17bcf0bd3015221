"""Other tools' results, beside the runs."""

from collections.abc import Iterator
from pathlib import Path

from pcedge.evaluation.runs import Run
from pcedge.studies.suite import read_results

from ..render.document import Block, Heading, Table, paragraph
from ..render.wording import NOT_MEASURED, percent
from ..report_data import Study

# Column of the file to heading, and whether it is a share to show in percent.
_COLUMNS = {
    "coreset": ("coreset", False),
    "preprocessing": ("preprocessing", False),
    "embedding_dims": ("dims", False),
    "bank_rows": ("bank rows", False),
    "frame_ms": ("ms a frame", False),
    "image_auroc": ("image AUROC", True),
    "pixel_auroc_all": ("pixel AUROC", True),
    "aupro": ("AUPRO", True),
}


def peers(study: Study, beside: Path | None) -> Iterator[Block]:
    """A table of the runs and of what other tools gave on the same datasets.

    Raises:
        ResultError: The file cannot be read.
    """
    if beside is None:
        return
    others = read_results(beside)
    known = [subject for subject in study.subjects if subject.run.data.name in others]
    yield Heading("Beside other tools", level=2)
    if not known:
        yield paragraph("{name} holds results for none of these datasets.", name=beside.name)
        return
    lines = []
    for name in dict.fromkeys(subject.run.data.name for subject in known):
        lines += [(name, _own(subject.run)) for subject in known if subject.run.data.name == name]
        lines += [(name, row) for row in others[name]]
    shown = [column for column in _COLUMNS if any(row.get(column) for _, row in lines)]
    yield Table(
        f"These runs and the results in {beside.name}; AUROC and AUPRO in percent",
        ("dataset", "tool", *(_COLUMNS[column][0] for column in shown)),
        tuple((name, row["tool"], *(_cell(row, column) for column in shown)) for name, row in lines),
        left=(0, 1, *(2 + place for place, column in enumerate(shown) if column == "preprocessing")),
        strong=tuple(place for place, (_, row) in enumerate(lines) if row["tool"] == "pcedge"),
    )
    notes = dict.fromkeys(f"{row['tool']}, {name}: {row['note']}" for name, row in lines if row.get("note"))
    if notes:
        yield paragraph("Notes in that file. {notes}.", notes="; ".join(notes))


def _own(run: Run) -> dict[str, str]:
    settings, prepared = run.settings, run.settings.preprocessing
    size, crop = prepared.image_size, prepared.crop
    first = next((result for result in run.runtimes if not result.skipped), None)
    shares = {"image_auroc": "image_auroc", "pixel_auroc_all": "pixel_auroc", "aupro": "aupro"}
    values = {column: run.value(metric) for column, metric in shares.items()}
    return {
        "tool": "pcedge",
        "coreset": settings.coreset,
        "preprocessing": f"resize{size} crop{crop}" if crop else f"whole image to {size}",
        "embedding_dims": str(settings.dims),
        "bank_rows": str(settings.bank_rows),
        "frame_ms": f"{first.frame_ms:.1f}" if first and first.frame_ms is not None else "",
        **{column: "" if value is None else str(value) for column, value in values.items()},
    }


def _cell(row: dict[str, str], column: str) -> str:
    text = row.get(column, "")
    if not text:
        return NOT_MEASURED
    if not _COLUMNS[column][1]:
        return text
    try:
        return percent(float(text))
    except ValueError:
        return text
