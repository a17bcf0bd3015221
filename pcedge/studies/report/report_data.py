"""What a report is about: the runs, read and grouped by how they were fitted."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from pcedge.bundles.manifest import PATCHCORE
from pcedge.core.progress import Progress, silent
from pcedge.errors import OptionError, ResultError
from pcedge.evaluation.runs import RUN_FILE, Curves, Run, Settings, find_runs, read_curves, read_run
from pcedge.fitting.presets import PRESETS
from pcedge.studies.comparison import COMPARISON_JSON
from pcedge.studies.suite import SUMMARY_JSON, Difference, Published, differences, paper_means, published_for

from .render.document import shortened

MEAN = "mean"
_LABEL = 40


@dataclass(frozen=True)
class Subject:
    """A run in a report.

    Attributes:
        directory: Where it lies.
        run: What it says.
        curves: Its curves.
        digest: SHA-256 of its ``run.json``.
        label: The run's name, and how it was fitted where another run has that name too.
    """

    directory: Path
    run: Run
    curves: Curves
    digest: str
    label: str


@dataclass(frozen=True)
class Group:
    """Runs that were fitted alike.

    Attributes:
        title: Preset or backbone, for people.
        subjects: The runs.
    """

    title: str
    subjects: tuple[Subject, ...]

    @property
    def settings(self) -> Settings:
        """Of the first run; the others differ in the rows of their banks alone."""
        return self.subjects[0].run.settings

    @cached_property
    def published(self) -> Published | None:
        """Results of the official implementation in the preset's configuration."""
        return published_for(self.settings.preset) if self.settings.method == PATCHCORE else None

    @cached_property
    def paper(self) -> dict[str, float]:
        """Means that the paper gives for the preset, in percent; empty for none."""
        return paper_means(self.settings.preset) if self.settings.method == PATCHCORE else {}

    @cached_property
    def compared(self) -> dict[tuple[str, str], Difference]:
        """Digest of a run and metric to the difference from what was published; ``mean`` for all runs."""
        if self.published is None:
            return {}
        found: dict[tuple[str, str], Difference] = {}
        for subject in self.subjects:
            found |= {
                (subject.digest, d.metric): d
                for d in differences([subject.run], self.published)
                if d.category != MEAN
            }
        for difference in differences([subject.run for subject in self.subjects], self.published):
            if difference.category == MEAN:
                found[MEAN, difference.metric] = difference
        return found

    @cached_property
    def deviations(self) -> tuple[str, ...]:
        """Where the settings are not those of the preset, in words."""
        preset, settings = PRESETS.get(self.settings.preset), self.settings
        if preset is None or preset.members or settings.method != PATCHCORE:
            return ()
        pairs = (
            ("backbone", settings.backbone, preset.backbone),
            ("coreset", settings.coreset, str(preset.coreset)),
            ("preprocessing", _prepared(settings), _prepared(preset)),
            ("embedding", settings.embedding, preset.embedding),
            ("neighbours", str(settings.neighbours), "1"),
        )
        return tuple(
            f"{name} {used} instead of {stated}" for name, used, stated in pairs if stated and used != stated
        )


@dataclass(frozen=True)
class Study:
    """All of it.

    Attributes:
        groups: The runs, by how they were fitted.
        failed: Categories that were asked for and have no run: name and why.
    """

    groups: tuple[Group, ...]
    failed: tuple[tuple[str, str], ...]

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """Every run."""
        return tuple(subject for group in self.groups for subject in group.subjects)

    @property
    def date(self) -> str:
        """On which day the newest run was finished, ``2026-01-31``."""
        return max(
            datetime.fromisoformat(subject.run.created).date() for subject in self.subjects
        ).isoformat()


def load_study(paths: Sequence[Path], progress: Progress = silent) -> Study:
    """Read runs.

    Args:
        paths: Directories of runs, or of campaigns that hold some.
        progress: Called with the runs read, as the stage ``read``.

    Raises:
        OptionError: Nothing is named.
        ResultError: A run is missing, damaged or of a newer schema.
    """
    if not paths:
        raise OptionError("No run is named.", "Name some: pcedge report runs/official-224 -o report.pdf")
    directories = find_runs(paths)
    found = []
    for number, directory in enumerate(directories):
        progress("read", number, len(directories))
        found.append((directory, read_run(directory), read_curves(directory)))
    progress("read", len(directories), len(directories))
    names = Counter(run.name for _, run, _ in found)
    by_settings: dict[str, list[Subject]] = {}
    for directory, run, curves in found:
        _check_date(directory, run)
        label = shortened(run.name, _LABEL)
        if run.settings.label:
            label = f"{shortened(run.data.name, _LABEL)}, {shortened(run.settings.label, _LABEL)}"
        elif names[run.name] > 1:
            label += f" ({shortened(directory.resolve().parent.name, _LABEL)})"
        digest = sha256((directory / RUN_FILE).read_bytes()).hexdigest()
        subject = Subject(directory, run, curves, digest, label)
        by_settings.setdefault(_alike(run.settings), []).append(subject)
    return Study(
        tuple(Group(_title(subjects[0].run.settings), tuple(subjects)) for subjects in by_settings.values()),
        tuple(failure for path in paths for failure in _failed(path)),
    )


def rivals(study: Study) -> list[list[Subject]]:
    """Runs of a comparison of methods, dataset by dataset; only where there are several."""
    by_data: dict[tuple[str, str], list[Subject]] = {}
    for subject in study.subjects:
        if subject.run.settings.label:
            facts = subject.run.data
            by_data.setdefault((facts.title, facts.digest), []).append(subject)
    return [subjects for subjects in by_data.values() if len(subjects) > 1]


def interval_of(run: Run, metric: str) -> tuple[float, float] | None:
    """The 95 % confidence interval of a metric, from 0 to 1; None where the run has none."""
    found = run.metrics.get(metric)
    return found.interval if found else None


def _alike(settings: Settings) -> str:
    """What runs have in common that may stand in one table."""
    compared = {"weights_sha256": ""} if settings.label else {}  # tuned to each dataset, perhaps
    return repr(msgspec.structs.replace(settings, bank_rows=0, **compared))


def _title(settings: Settings) -> str:
    if settings.label:
        return shortened(settings.label, _LABEL)
    if settings.method != PATCHCORE:
        return ", ".join(filter(None, (settings.method, shortened(settings.backbone, _LABEL))))
    parts = (settings.preset, shortened(settings.backbone, _LABEL), f"coreset {settings.coreset}")
    return ", ".join(filter(None, parts))


def _prepared(source: Any) -> str:
    preprocessing = source.preprocessing
    if preprocessing.crop is None:
        return f"whole image to {preprocessing.image_size} px"
    return f"resize {preprocessing.image_size}, crop {preprocessing.crop}"


def _check_date(directory: Path, run: Run) -> None:
    """The report is dated by its runs: one without a date is not a run."""
    try:
        datetime.fromisoformat(run.created)
    except ValueError:
        raise ResultError(
            f"{directory / RUN_FILE} is damaged: {run.created!r} is not a date.",
            "Restore the file, or evaluate again.",
        ) from None


def _failed(path: Path) -> list[tuple[str, str]]:
    """What was asked for and has no run: categories of a campaign, methods of a comparison."""
    return [
        *_listed(path / SUMMARY_JSON, "categories", lambda entry: (entry["name"], entry["error"])),
        *_listed(
            path / COMPARISON_JSON,
            "not_run",
            lambda entry: (f"{entry['dataset']}, {entry['method']}", f"{entry['reason']} {entry['hint']}"),
        ),
    ]


def _listed(file: Path, key: str, read: Callable[[Any], tuple[Any, Any]]) -> list[tuple[str, str]]:
    if not file.is_file():
        return []
    try:
        pairs = [read(entry) for entry in json.loads(file.read_bytes())[key]]
        return [(str(name), str(reason).strip()) for name, reason in pairs if reason]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ResultError(
            f"{file} is damaged ({type(error).__name__}: {error}).",
            "Restore the file, or evaluate again: what is finished is not done again.",
        ) from error
