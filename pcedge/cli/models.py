"""``pcedge models``."""

from pathlib import Path
from typing import Annotated

import typer

from pcedge.defaults import DEFAULT_MODELS
from pcedge.errors import PcedgeError

from . import options


def models(
    use: Annotated[
        str | None,
        typer.Option(help="Make this bundle the current one.", metavar="NAME", show_default=False),
    ] = None,
    models: options.ModelsDir = DEFAULT_MODELS,
    json: options.Json = False,
) -> None:
    """List the bundles, or choose the one that commands use when none is named."""
    from pcedge.bundle import bundle_names, find_bundle, set_current

    if use is not None:
        set_current(models, find_bundle(use, models).directory.relative_to(models).as_posix())
    rows = [_describe(models, name) for name in bundle_names(models)]
    if json:
        from json import dumps

        print(dumps(rows))
        return
    _print_table(rows, str(models))


def _describe(models_dir: Path, name: str) -> dict[str, str | bool | int]:
    from pcedge.bundle import EMBEDDER_FILE, Bundle, current_name

    current = current_name(models_dir) == name
    try:
        manifest = Bundle.open(models_dir / name).manifest
    except PcedgeError as error:
        return {"name": name, "current": current, "problem": error.what}
    return {
        "name": name,
        "current": current,
        "dataset": manifest.dataset,
        "backbone": manifest.backbone.name,
        "rows": manifest.bank.rows,
        "exported": EMBEDDER_FILE in manifest.files,
        "created": manifest.created,
    }


def _print_table(rows: list[dict[str, str | bool | int]], where: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    from .console import err, out

    if not rows:
        err.print(f"There are no bundles in {where}/. Make one with: pcedge fit DATASET")
        return
    table = Table(title=f"Bundles in {where}/", title_justify="left", title_style="bold")
    for column in ("", "name", "dataset", "backbone", "bank rows", "exported", "created"):
        table.add_column(column)
    for row in rows:
        marker = "[green]current[/]" if row["current"] else ""
        if "problem" in row:
            table.add_row(marker, str(row["name"]), f"[red]{escape(str(row['problem']))}[/]")
            continue
        exported = "yes" if row["exported"] else "no"
        cells = [escape(str(row[key])) for key in ("name", "dataset", "backbone")]
        table.add_row(marker, *cells, f"{row['rows']:,}", exported, str(row["created"]))
    out.print(table)
