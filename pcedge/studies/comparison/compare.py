"""Comparing methods: each fitted and evaluated on each dataset by the same code; what is done is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pcedge.core.progress import Progress, silent
from pcedge.errors import OptionError
from pcedge.fitting.options import FitOptions
from pcedge.inspection.runtimes import RuntimeKind
from pcedge.studies.suite import Outcome, TrialOptions, run_one

from .entries import Comparison, ComparisonEntry, NotRun, write_comparison
from .methods import MethodSpec


@dataclass(frozen=True)
class CompareOptions:
    """The options of a comparison.

    Attributes:
        fit: What all methods have in common; a method's own file may say otherwise.
        methods: What is compared.
        weights: Files of weights by backbone.
        runtimes: What runs the networks, the first of them for metrics and times.
        preset: Name of the preset that ``fit`` came from.
        command: The command line, for the record.
    """

    fit: FitOptions
    methods: Sequence[MethodSpec]
    weights: dict[str, Path] = field(default_factory=dict)
    runtimes: tuple[RuntimeKind, ...] = ("torch",)
    preset: str = ""
    command: str = ""


def compare_methods(
    folders: dict[str, Path], options: CompareOptions, output: Path, progress: Progress = silent
) -> tuple[Comparison, list[Outcome]]:
    """Fit and evaluate every method on every dataset; one that cannot be run costs itself alone.

    Methods that ``output`` holds already, with the same data, settings and version, are not done again. The
    comparison is written after each.

    Args:
        folders: Name to folder of every dataset.
        options: What is compared.
        output: Receives a run for each method and dataset, and the comparison.
        progress: Called with methods done, as the stage ``compare``, and of the stages of each.

    Raises:
        OptionError: What a file says of a method makes no sense; nothing was done yet.
    """
    trials = [_trial(method, options) for method in options.methods]
    total = len(folders) * len(options.methods)
    comparison = Comparison(
        command=options.command, about={method.name: method.own.about for method in options.methods}
    )
    outcomes: list[Outcome] = []
    entries: list[ComparisonEntry] = []
    not_run: list[NotRun] = []
    output.mkdir(parents=True, exist_ok=True)
    progress("compare", 0, total)
    for dataset, folder in folders.items():
        for method, trial in zip(options.methods, trials, strict=True):
            outcome = run_one(f"{dataset}-{method.name}", folder, trial, output, progress)
            outcomes.append(outcome)
            if outcome.run:
                entries.append(ComparisonEntry.of(outcome.run))
            else:
                why = NotRun(dataset=dataset, method=method.name, reason=outcome.error, hint=outcome.hint)
                not_run.append(why)
            comparison = Comparison(
                command=comparison.command,
                about=comparison.about,
                entries=tuple(entries),
                not_run=tuple(not_run),
            )
            write_comparison(output, comparison)
            progress("compare", len(outcomes), total)
    return comparison, outcomes


def _trial(method: MethodSpec, options: CompareOptions) -> TrialOptions:
    try:
        chosen = method.options(options.fit, options.weights)
    except OptionError as error:
        raise OptionError(f"The method {method.name} cannot be run. {error.what}", error.hint) from error
    return TrialOptions(
        fit=chosen,
        preset=options.preset,
        runtimes=options.runtimes,
        command=options.command,
        label=method.name,
        method=method.own.method,
        settings=tuple(sorted(method.own.settings.items())),
    )
