"""``pcedge calibrate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.cli.options import common, fit_options, panels
from pcedge.cli.options.old_forms import bundle_and_more
from pcedge.cli.options.shares import share
from pcedge.core.defaults import DEFAULT_MODELS
from pcedge.errors import OptionError

if TYPE_CHECKING:
    from pcedge.adaptation.recalibrate import CalibrationResult, Recalibrated
    from pcedge.bundles.bundle import Bundle


def calibrate(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES...",
            help="New images of good parts, or folders of them. For a false-reject rate of 1 % at least 99.",
            show_default=False,
        ),
    ],
    model: common.Model = None,
    models: common.ModelsDir = DEFAULT_MODELS,
    false_reject_rate: Annotated[
        float | None,
        typer.Option(
            help="Share of good parts that may be called NG: 0.01 or 1%. Default: the bundle's own.",
            parser=share,
            metavar="SHARE",
            show_default=False,
            rich_help_panel=panels.THRESHOLD,
        ),
    ] = None,
    review_rate: Annotated[
        float | None,
        typer.Option(
            help="Share of good parts that may be called REVIEW or NG. Default: the bundle's own.",
            parser=share,
            metavar="SHARE",
            show_default=False,
            rich_help_panel=panels.THRESHOLD,
        ),
    ] = None,
    groups: fit_options.Groups = None,
    keep_suspicious: Annotated[
        bool,
        typer.Option(
            "--keep-suspicious",
            help="Let outliers set the threshold: they were checked, and are good.",
            rich_help_panel=panels.THRESHOLD,
        ),
    ] = False,
    keep_gate: Annotated[
        bool,
        typer.Option(
            "--keep-gate",
            help="Keep the frame gate unchanged, and leave out images that it rejects.",
            rich_help_panel=panels.THRESHOLD,
        ),
    ] = False,
    runtime: common.Runtime = "auto",
    device: common.Device = "auto",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Show the new thresholds without changing anything.",
            rich_help_panel=panels.OUTPUT,
        ),
    ] = False,
    json: common.Json = False,
) -> None:
    """Recalibrate the thresholds on new good images of this camera and light. Needs no PyTorch.

    The images go through the inspector that watch runs. The bank has not seen them, so the false-reject rate
    is proven for new good parts like these, on average. Training images of the bank are left out. Use images
    of as many parts as possible, as they come off the line: a hand-picked selection is not representative.

    With 20 or more images the frame gate (light, focus, position) is recalibrated too, without outliers;
    drift is then measured against them.

    Every precision in the bundle gets its own thresholds. The bundle is replaced atomically; a running watch
    reloads it.

    Exit codes: 0 done; 1 the images are unusable, or too few for the rate.
    """
    from pcedge.adaptation.recalibrate import CalibrationOptions
    from pcedge.adaptation.recalibrate import calibrate as calibrate_bundle
    from pcedge.cli.console import progress_bars
    from pcedge.inspection.runtimes import runtime_kind

    from .index import note_index

    bundle, places = _bundle_and_places(what, model, models)
    note_index(bundle)
    chosen = CalibrationOptions(
        false_reject_rate=false_reject_rate,
        review_rate=review_rate,
        groups=groups,
        keep_gate=keep_gate,
        keep_suspicious=keep_suspicious,
        dry_run=dry_run,
        runtime=runtime_kind(runtime),
        device=device,
    )
    with progress_bars() as progress:
        result = calibrate_bundle(bundle, places, chosen, progress)
    if json:
        _print_json(result)
    else:
        _print_result(result)


def _bundle_and_places(what: list[str], model: str | None, models: Path) -> "tuple[Bundle, list[Path]]":
    """The bundle, and the paths of the images."""
    from pcedge.bundles.bundle import find_bundle

    named, places = bundle_and_more(what, model, models)
    if not places:
        raise OptionError(
            f"{named} is a bundle, and no images are named; there is no folder of images {named} here.",
            f"Name new images of good parts: pcedge calibrate --model {named} FOLDER",
        )
    return find_bundle(named, models), [Path(one) for one in places]


def _print_json(result: "CalibrationResult") -> None:
    import json
    from dataclasses import asdict

    print(
        json.dumps(
            {
                "bundle": str(result.bundle.directory),
                "written": result.written,
                "images": result.images,
                "units": result.units,
                "smallest_rate": 1 / (result.units + 1),
                "skipped": result.skipped,
                "dependent": result.dependent,
                "left_out": [asdict(one) for one in result.left_out],
                "training_images": result.learned,
                "suspicious": result.suspicious,
                "gate": {
                    "renewed": result.gate.limits is not None,
                    "images": result.gate.images,
                    "turned_away_before": dict(result.gate.turned_away),
                },
                "precisions": {name: _facts(change) for name, change in result.changes.items()},
            },
            allow_nan=False,
        )
    )


def _facts(change: "Recalibrated") -> dict[str, object]:
    before, after = change.before, change.after
    return {
        "threshold_before": before.score,
        "threshold": after.score,
        "map_threshold_before": before.map,
        "map_threshold": after.map,
        "review_threshold_before": before.review,
        "review_threshold": after.review,
        "false_reject_rate": after.false_reject_rate,
        "review_rate": after.review_rate,
        "rejected_before": change.rejected_before,
        "reviewed_before": change.reviewed_before,
        "guarantee": after.guarantee,
    }


def _print_result(result: "CalibrationResult") -> None:
    from rich.table import Table

    from pcedge.cli.console import model_option, out, say

    verb = "Calibrated" if result.written else "Dry run: would calibrate"
    groups = f" in {result.units} groups" if result.units < result.images else ""
    table = Table(
        title=f"{verb} {result.bundle.manifest.name} on {result.images} new good images{groups}",
        title_justify="left",
        title_style="bold",
    )
    for heading in ("", "before", "now", "asked for", "above the old one"):
        table.add_column(heading, justify="left" if not heading else "right")
    several = len(result.changes) > 1
    for precision, change in result.changes.items():
        called = f"{precision}: " if several else ""
        for row in _rows(change):
            table.add_row(f"{called}{row[0]}", *row[1:])
    out.print(table)
    own = result.changes[result.bundle.manifest.precision]
    say("{guarantee}", guarantee=own.after.guarantee[0].upper() + own.after.guarantee[1:])
    say(
        "{units} support a rate of {rate} at best.",
        units=f"{result.units} {'groups' if groups else 'images'}",
        rate=f"{1 / (result.units + 1):.2%}",
    )
    _print_gate(result)
    _print_notes(result, own)
    if result.written:
        say(
            "Next: [bold]pcedge verify{model}[/], or let watch do it: one that runs takes the bundle over.",
            model=model_option(result.bundle.directory),
        )


def _rows(change: "Recalibrated") -> list[tuple[str, str, str, str, str]]:
    before, after = change.before, change.after
    rows = [
        (
            "NG above",
            f"{before.score:.4g}",
            f"{after.score:.4g}",
            f"{after.false_reject_rate:.2%}",
            f"{change.rejected_before:.2%}",
        )
    ]
    if before.review is not None or after.review is not None:
        rows.append(
            (
                "REVIEW above",
                _number(before.review),
                _number(after.review),
                "-" if after.review_rate is None else f"{after.review_rate:.2%}",
                "-" if change.reviewed_before is None else f"{change.reviewed_before:.2%}",
            )
        )
    return [*rows, ("coloured above", f"{before.map:.4g}", f"{after.map:.4g}", "", "")]


def _print_gate(result: "CalibrationResult") -> None:
    """Print the result of recalibrating the frame gate."""
    from pcedge.adaptation.relearn_gate import FEWEST_FOR_GATE
    from pcedge.cli.console import say

    gate = result.gate
    if gate.limits is None:
        more = f": {FEWEST_FOR_GATE} images are needed to learn it anew" * (gate.images < FEWEST_FOR_GATE)
        say("The frame gate stays as it is{more}.", more=more)
        return
    say("The frame gate (light, focus, place) is learned anew from these {count}.", count=gate.images)
    if gate.turned_away:
        name, reason = next(iter(gate.turned_away.items()))
        say(
            "[yellow]It turned away {count} of them until now:[/] {name}: {reason}",
            count=len(gate.turned_away),
            name=name,
            reason=reason,
        )


def _print_notes(result: "CalibrationResult", own: "Recalibrated") -> None:
    """Print what to check before trusting the new thresholds."""
    from pcedge.cli.console import say

    from .fit_notes import print_dependent, print_left_out

    if result.unchecked:
        say("[yellow]The bundle does not say which images it was learned from:[/] see that none is here.")
    if result.learned:
        name, training = next(iter(result.learned.items()))
        say(
            "[yellow]{count} left out, the bank was learned from them:[/] {name} is {training}.",
            count=len(result.learned),
            name=name,
            training=training,
        )
    for name, reason in list(result.skipped.items())[:5]:
        say("[yellow]Skipped[/] {name}: {reason}", name=name, reason=reason)
    if len(result.skipped) > 5:
        say("[yellow]Skipped[/] {count} more.", count=len(result.skipped) - 5)
    print_left_out(result.left_out)
    print_dependent(result.dependent)
    if result.suspicious:
        worst = ", ".join(f"{name} ({score:.4g})" for name, score in list(result.suspicious.items())[:5])
        say("[yellow]Look at these, they stand far out:[/] {worst}", worst=worst)
    if own.after.score > own.before.score * 1.5:
        say(
            "[yellow]The threshold is much higher than before:[/] defects that were found may pass now. "
            "Measure them with pcedge evaluate, or teach the bank what is new."
        )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
