"""``pcedge models``."""

from pathlib import Path
from typing import Annotated

import typer

from pcedge.cli.options import common, panels
from pcedge.core.defaults import DEFAULT_MODELS
from pcedge.errors import OptionError, PcedgeError


def models(
    use: Annotated[
        str | None,
        typer.Option(
            help="Make this bundle the current one.",
            metavar="NAME",
            show_default=False,
            rich_help_panel=panels.MODEL,
        ),
    ] = None,
    models: common.ModelsDir = DEFAULT_MODELS,
    json: common.Json = False,
) -> None:
    """List the bundles, or choose the one that commands use when none is named."""
    from pcedge.bundles.bundle import bundle_names, set_current

    if use is not None:
        if use not in bundle_names(models):
            raise OptionError(
                f"There is no bundle {use!r} in {models}/.",
                f"Bundles there: {', '.join(bundle_names(models)) or 'none'}.",
            )
        set_current(models, use)
    rows = [_describe(models, name) for name in bundle_names(models)]
    if json:
        from json import dumps

        print(dumps(rows))
        return
    _print_table(rows, str(models))


def _describe(models_dir: Path, name: str) -> dict[str, str | bool | int]:
    from pcedge.bundles.bundle import Bundle, current_name
    from pcedge.methods.any_bundle import has_exported_network, open_any_bundle

    current = current_name(models_dir) == name
    try:
        bundle = open_any_bundle(models_dir / name)
    except PcedgeError as error:
        return {"name": name, "current": current, "problem": error.what}
    manifest = bundle.manifest
    return {
        "name": name,
        "current": current,
        "method": manifest.method,
        "dataset": manifest.dataset,
        "backbone": "" if manifest.backbone is None else manifest.backbone.name,
        "rows": bundle.manifest.bank.rows if isinstance(bundle, Bundle) else 0,
        "exported": has_exported_network(bundle),
        "created": manifest.created,
    }


def _print_table(rows: list[dict[str, str | bool | int]], where: str) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from pcedge.cli.console import out, say

    if not rows:
        say("There are no bundles in {where}/. Make one with: pcedge fit DATASET", where=where)
        return
    table = Table(
        title=Text(f"Bundles in {where}/, the current one marked >"),
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for column in ("", "name", "method", "dataset", "backbone"):
        table.add_column(column, overflow="fold")
    for column in ("rows", "exported", "created"):
        table.add_column(column, no_wrap=True, justify="right" if column == "rows" else "left")
    for row in rows:
        marker = Text(">" if row["current"] else "", style="green")
        if "problem" in row:
            table.add_row(marker, Text(str(row["name"])), Text(str(row["problem"]), style="red"))
            continue
        table.add_row(
            marker,
            *(Text(str(row[key])) for key in ("name", "method", "dataset", "backbone")),
            f"{row['rows']:,}" if row["rows"] else "-",
            "yes" if row["exported"] else "no",
            str(row["created"])[:10],
        )
    out.print(table)
