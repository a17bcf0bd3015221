"""Settings: everything that decides a score."""

from collections.abc import Iterator

from pcedge.bundles.manifest import PATCHCORE
from pcedge.core.preprocessing import Preprocessing

from ..render.document import Block, Heading, Table
from ..render.wording import NOT_MEASURED, listed, percent
from ..report_data import Group, Study

# In the order in which they are shown.
_ROWS = (
    *("method", "preset", "backbone", "weights", "preprocessing", "embedding", "coreset", "bank rows"),
    *("neighbours", "seed", "threshold"),
)


def settings(study: Study) -> Iterator[Block]:
    """How it was fitted, a column for each group."""
    yield Heading("Settings")
    groups = study.groups
    names: tuple[str, ...] = ("setting", *(group.title if len(groups) > 1 else "value" for group in groups))
    columns = [_settings_column(group) for group in groups]
    rows = tuple((name, *(column[name] for column in columns)) for name in _ROWS)
    words = tuple(range(len(names)))
    yield Table("Everything that decides a score", names, rows, left=words, wrap=words[1:])


def _settings_column(group: Group) -> dict[str, str]:
    stated = group.settings
    own = ", ".join(f"{name} = {value}" for name, value in stated.options.items())
    if stated.method != PATCHCORE:
        return {
            **dict.fromkeys(_ROWS, NOT_MEASURED),
            "method": f"{stated.method}{f': {own}' if own else ''}",
            "preset": stated.preset or "none",
            "backbone": f"{stated.backbone} ({', '.join(stated.layers)})" if stated.backbone else "none",
            "weights": stated.weights or "none",
            "preprocessing": _preprocessing(stated.preprocessing),
            "seed": str(stated.seed),
            "threshold": _threshold(group),
        }
    rows = sorted(subject.run.settings.bank_rows for subject in group.subjects)
    return {
        "method": stated.method,
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
        return f"the whole image to {stated.image_size} × {stated.image_size} px ({stated.implementation})"
    cut = f"centre {stated.crop} × {stated.crop} px"
    return f"shorter side to {stated.image_size} px, {cut} ({stated.implementation})"


def _threshold(group: Group) -> str:
    limits = [subject.run.threshold for subject in group.subjects if subject.run.threshold]
    if not limits:
        return "none: scores only rank images"
    rates = sorted({limit.false_reject_rate for limit in limits})
    rate = percent(rates[0]) if len(rates) == 1 else f"{percent(rates[0])} to {percent(rates[-1])}"
    return f"at a false-reject rate of {rate} %; {listed(dict.fromkeys(limit.method for limit in limits))}"
