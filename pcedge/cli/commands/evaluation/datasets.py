"""``pcedge datasets``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pcedge.cli.exit_codes import PARTLY_DONE
from pcedge.cli.options import common
from pcedge.cli.options.given import refuse
from pcedge.errors import PcedgeError

if TYPE_CHECKING:
    from pcedge.core.progress import Progress
    from pcedge.datasets import Audit

_SHOWN = 5


def datasets(
    ctx: typer.Context,
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH",
            help="A folder to look at: one product, or several as in mvtec/. Without it, the public datasets "
            "are listed with their licences.",
            show_default=False,
        ),
    ] = None,
    layout: common.Layout = None,
    json: common.Json = False,
) -> None:
    """Explain the public datasets, or look at one on disk and check it.

    Looking at a folder reads every image and mask once. It says which layout was recognised, counts the
    images, and reports test images that show what a training image shows, masks that do not match their
    image or mark nothing, defects without a mask and masks without an image. Nothing is changed. Exit code
    3: something was found that makes results untrustworthy.
    """
    if path is None:
        refuse(ctx, ("layout",), "without a folder", "Name the folder to look at: pcedge datasets PATH")
        _explain(json)
        return
    reports = _inspect(path, layout)
    shared = _shared(path, layout, reports)
    if json:
        from json import dumps

        print(dumps({**_as_json(path, reports), "shared": shared}))
    else:
        _print_reports(path, reports)
        _list(path.name, "in two products", {name: f"is {other}" for other, name in shared})
    if shared or any(isinstance(report, str) or not report.trustworthy for report in reports.values()):
        raise typer.Exit(PARTLY_DONE)


def _inspect(path: Path, layout: str | None) -> "dict[str, Audit | str]":
    """The audit of each product by name, or the reason why it cannot be opened."""
    from pcedge.cli.console import progress_bars
    from pcedge.datasets import audit, categories, open_dataset

    with progress_bars() as progress:
        names = categories(path) if path.is_dir() else ()
        if not names:
            dataset = open_dataset(path, layout)
            return {dataset.name: audit(dataset, progress)}
        return {name: _audit(path / name, layout, progress) for name in names}


def _audit(path: Path, layout: str | None, progress: "Progress") -> "Audit | str":
    """Audit one product, with its own progress bar."""
    from pcedge.datasets import audit, open_dataset

    def named(_stage: str, done: int, total: int) -> None:
        progress(path.name, done, total)

    try:
        return audit(open_dataset(path, layout), named)
    except PcedgeError as error:
        return error.what


def _shared(path: Path, layout: str | None, reports: "dict[str, Audit | str]") -> tuple[tuple[str, str], ...]:
    """Images that are in two of several products."""
    from pcedge.datasets import find_shared, open_dataset

    opened = [name for name, report in reports.items() if not isinstance(report, str)]
    if len(opened) < 2:
        return ()
    return find_shared({name: open_dataset(path / name, layout) for name in opened})


def _as_json(path: Path, reports: "dict[str, Audit | str]") -> dict[str, Any]:
    products = {
        name: {"problem": report} if isinstance(report, str) else report.to_dict()
        for name, report in reports.items()
    }
    return {
        "path": str(path),
        "trustworthy": all(product.get("trustworthy", False) for product in products.values()),
        "categories": products,
    }


def _explain(json: bool) -> None:
    from dataclasses import asdict

    from pcedge.datasets import CATALOGUE, LAYOUTS

    layouts = {layout.name: layout.expected for layout in LAYOUTS}
    if json:
        from json import dumps

        print(dumps([{**asdict(known), "expected": layouts[known.layout]} for known in CATALOGUE]))
        return
    from pcedge.cli.console import Facts, out, say

    for known in CATALOGUE:
        table = Facts(known.name)
        table.add("what", known.size)
        table.add("licence", known.licence)
        table.add("obtain from", known.homepage)
        table.add("paper", known.paper)
        table.add("layout", f"{known.layout}: {layouts[known.layout]}")
        if known.note:
            table.add("note", known.note)
        out.print(table)
    table = Facts("Your own")
    table.add("layout", f"plain: {layouts['plain']}")
    out.print(table)
    say("Unpack it, keep its folders, and look at it: [bold]pcedge datasets PATH[/]")


def _print_reports(path: Path, reports: "dict[str, Audit | str]") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from pcedge.cli.console import out, say

    title = Text(f"Datasets in {path}")
    table = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for heading in ("name", "layout"):
        table.add_column(heading, no_wrap=True)
    for heading in ("train", "test good", "defective", "leaks", "wrong masks", "no mask", "unusable"):
        table.add_column(heading, justify="right", no_wrap=" " not in heading)
    for name, report in reports.items():
        if isinstance(report, str):
            table.add_row(Text(name), Text("not opened", style="bold red"))
            continue
        wrong = len(report.unusable_masks) + len(report.masks_without_image)
        table.add_row(
            Text(name),
            report.layout,
            *map(str, (report.train, report.test_good, report.test_defective)),
            *(_alarming(count) for count in (len(report.leaks), wrong)),
            *map(str, (len(report.defects_without_mask), len(report.unreadable))),
        )
    out.print(table)
    for name, report in reports.items():
        if isinstance(report, str):
            say("[yellow]{name}, not opened:[/] {reason}", name=name, reason=report)
        else:
            _print_findings(name, report)


def _alarming(count: int) -> Any:
    from rich.text import Text

    return Text(str(count), style="bold red" if count else "green")


def _print_findings(name: str, report: "Audit") -> None:
    leaks = {
        leak.test: f"{'the same file as' if leak.identical else 'shows what this shows:'} {leak.train}"
        for leak in report.leaks
    }
    _list(name, "also learned from", leaks)
    both = {one.defective: f"is good as {one.good}" for one in report.contradictions}
    _list(name, "labelled both ways", both)
    _list(name, "mask unusable", report.unusable_masks)
    if report.masks:
        _list(name, "masks", {report.masks: ""})
    _list(name, "mask doubtful", report.doubtful_masks)
    _list(name, "mask without an image", dict.fromkeys(report.masks_without_image, ""))
    _list(name, "cannot be used", report.unreadable)
    _list(name, "not used", {f"{one.count} {one.reason}:": one.names[0] for one in report.left_out})
    if report.leaks:
        from pcedge.cli.console import say

        say(
            "A test image that was learned from scores too low, and says nothing about new parts. Remove "
            "one of the two, or leave such images out with [bold]pcedge evaluate --leaks exclude[/]"
        )


def _list(name: str, what: str, findings: dict[str, str]) -> None:
    from pcedge.cli.console import say

    for where, reason in list(findings.items())[:_SHOWN]:
        say(
            "[yellow]{name}, {what}:[/] {where} {reason}",
            name=name,
            what=what,
            where=where,
            reason=reason,
        )
    if len(findings) > _SHOWN:
        say(
            "[yellow]{name}, {what}:[/] {count} more; --json lists all.",
            name=name,
            what=what,
            count=len(findings) - _SHOWN,
        )
