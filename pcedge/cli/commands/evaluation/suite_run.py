"""Implementation of ``pcedge suite``: fit and evaluate categories, compare with published results."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pcedge.cli.exit_codes import ERROR, PARTLY_DONE
from pcedge.cli.options import fit_options
from pcedge.cli.typed_command import command_line
from pcedge.errors import OptionError

if TYPE_CHECKING:
    from pcedge.evaluation.evaluate import LeakPolicy
    from pcedge.studies.suite import Outcome, Published, TrialOptions

DEFAULT_OUTPUT = Path("runs")


@dataclass(frozen=True)
class SuiteOptions:
    """Options of the command, as given."""

    recipe: fit_options.Recipe
    runtimes: str | None
    leaks: "LeakPolicy"
    output: Path | None
    jobs: int
    keep_bundles: bool
    parity: str | None
    beside: Path | None
    markdown: Path | None
    json: bool

    @property
    def directory(self) -> Path:
        """Directory of the runs."""
        asked = self.recipe
        other = f"-{asked.backbone}" if asked.backbone else ""
        return self.output or DEFAULT_OUTPUT / f"{asked.preset}{other}"


def run_suite(folders: Sequence[Path], asked: SuiteOptions) -> None:
    """Fit and evaluate categories, print the tables and exit with the matching code."""
    from pcedge.cli.console import progress_bars
    from pcedge.studies.suite import find_categories, read_results, run_campaign, summary_of, write_summary

    options = _trial_options(asked)
    published = _published(asked)
    others = read_results(asked.beside) if asked.beside else {}
    categories = find_categories(folders)
    with progress_bars() as progress:
        outcomes = run_campaign(categories, options, asked.directory, jobs=asked.jobs, progress=progress)
    summary = summary_of(outcomes, asked.recipe.preset, published)
    write_summary(asked.directory, summary)
    if asked.json:
        _print_json(summary, asked.directory)
    else:
        _print(outcomes, asked, published, others)
    if asked.markdown:
        _write_markdown(asked.markdown, outcomes, options, published, others)
    _exit(outcomes, asked, published)


def _trial_options(asked: SuiteOptions) -> "TrialOptions":
    from pcedge.fitting.presets import find_preset
    from pcedge.studies.suite import TrialOptions, parse_runtimes

    members = find_preset(asked.recipe.preset).members
    if members and (asked.recipe.backbone or asked.recipe.layers or asked.recipe.weights):
        raise OptionError(
            f"The networks of {asked.recipe.preset} are the preset's own.",
            "Leave out --backbone, --layers and --weights, or choose another --preset.",
        )
    if members and asked.runtimes not in (None, "torch"):
        raise OptionError("An ensemble runs in PyTorch alone.", "Leave out --runtimes.")
    return TrialOptions(
        fit=fit_options.fit_options(asked.recipe),
        preset=asked.recipe.preset,
        members=members,
        runtimes=parse_runtimes(asked.runtimes or "torch"),
        leaks=asked.leaks,
        keep_bundles=asked.keep_bundles,
        command=command_line(),
    )


def _published(asked: SuiteOptions) -> "Published | None":
    from pcedge.studies.suite import published_for

    if asked.parity not in (None, "official"):
        raise OptionError(f"Nothing called {asked.parity!r} is published here.", "Use --parity official.")
    published = published_for(asked.recipe.preset)
    if asked.recipe.backbone and not asked.parity:
        return None  # published results are for another network
    if asked.parity and published is None:
        raise OptionError(
            f"The official implementation has no results for the preset {asked.recipe.preset}.",
            "Use --parity with --preset official-224 or official-320.",
        )
    return published


def _print_json(summary: dict[str, object], directory: Path) -> None:
    import json

    print(json.dumps({"output": str(directory), **summary}, allow_nan=False))


def _print(
    outcomes: Sequence["Outcome"],
    asked: SuiteOptions,
    published: "Published | None",
    others: dict[str, list[dict[str, str]]],
) -> None:
    from pcedge.cli.console import out, say
    from pcedge.studies.suite import paper_means

    from .evaluate_run import runtimes_table, say_skipped_runtimes
    from .suite_tables import beside_table, results_table

    preset = asked.recipe.preset
    paper = {} if asked.recipe.backbone else paper_means(preset)
    out.print(results_table(outcomes, preset, published, paper))
    runs = [outcome.run for outcome in outcomes if outcome.run]
    if others:
        out.print(beside_table(runs, others))
    if any(len(run.runtimes) > 1 for run in runs):
        out.print(runtimes_table(runs))
        say_skipped_runtimes(runs)
    for outcome in outcomes:
        if outcome.error:
            say("[red]Failed:[/] {name}: {error}", name=outcome.name, error=outcome.error)
        problems = {**outcome.run.skipped, **outcome.run.unusable_masks} if outcome.run else {}
        for name, reason in problems.items():
            say("[yellow]Problem in[/] {run}, {name}: {reason}", run=outcome.name, name=name, reason=reason)
    resumed = sum(outcome.resumed for outcome in outcomes)
    if resumed:
        say("Finished already and not done again: {count} of {all}.", count=resumed, all=len(outcomes))
    say("Written to [bold]{output}[/].", output=asked.directory)


def _write_markdown(
    path: Path,
    outcomes: Sequence["Outcome"],
    options: "TrialOptions",
    published: "Published | None",
    others: dict[str, list[dict[str, str]]],
) -> None:
    from pcedge.core.files import replace_file

    from .suite_markdown import markdown

    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, markdown(outcomes, options, published, others).encode())


def _exit(outcomes: Sequence["Outcome"], asked: SuiteOptions, published: "Published | None") -> None:
    """Exit with 1 if ``--parity`` does not hold, 3 if something was skipped."""
    from pcedge.cli.console import say
    from pcedge.studies.suite import differences

    if asked.parity and published:
        runs = [outcome.run for outcome in outcomes if outcome.run]
        compared = [d for d in differences(runs, published) if d.tolerance is not None]
        wrong = [difference for difference in compared if not difference.holds]
        for difference in wrong:
            say(
                "[red]No parity:[/] {category}, {metric}: {found} where {published} was published.",
                category=difference.category,
                metric=difference.metric,
                found=f"{difference.found:.2f}",
                published=f"{difference.published:.2f}",
            )
        if wrong or not compared:
            if not compared:
                say("[red]No parity:[/] none of these categories is in the published results.")
            raise typer.Exit(ERROR)
    if not all(outcome.is_whole for outcome in outcomes):
        raise typer.Exit(PARTLY_DONE)
