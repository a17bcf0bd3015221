"""``pcedge index``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.cli.options import common, panels
from pcedge.cli.options.given import Unused, refuse, refuse_unused
from pcedge.core.defaults import DEFAULT_MODELS

if TYPE_CHECKING:
    from rich.table import Table

    from pcedge.bundles.bundle import Bundle
    from pcedge.deployment.indexing.comparison import Frames, IndexReport
    from pcedge.methods import AnyBundle


_UNUSED = (
    Unused(
        lambda given: given["images"] is None,
        ("max_images", "runtime", "device"),
        "without --images: the golden frames in the bundle need no network",
        "Add --images DATASET, or leave it out.",
    ),
)


def index(
    ctx: typer.Context,
    factories: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INDEX]...",
            help="What to compare with exact search: int8, or FAISS factory strings such as HNSW32, "
            "'IVF256,Flat', SQ8, SQfp16, PQ64; after a colon search parameters: 'IVF256,Flat:nprobe=32', "
            "HNSW32:efSearch=128; or milvus, milvus:http://host:19530. Without any: int8 and HNSW32.",
            show_default=False,
        ),
    ] = None,
    use: Annotated[
        str | None,
        typer.Option(
            help="Store this index and search by it from now on; exact goes back to exact search.",
            show_default=False,
            rich_help_panel=panels.BANK,
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            help="Store this index in the bundle; may be repeated.",
            show_default=False,
            rich_help_panel=panels.BANK,
        ),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(
            help="Remove this index from the bundle; may be repeated.",
            show_default=False,
            rich_help_panel=panels.BANK,
        ),
    ] = None,
    candidates: Annotated[
        int,
        typer.Option(
            help="Rows of an approximate index that are compared in float32.",
            min=1,
            rich_help_panel=panels.BANK,
        ),
    ] = 4,
    images: Annotated[
        Path | None,
        typer.Option(
            help="A folder in MVTec layout whose test images are searched for. Without it, the golden frames "
            "in the bundle, which are few and of the training set.",
            show_default=False,
            rich_help_panel=panels.DATA,
        ),
    ] = None,
    max_images: Annotated[
        int,
        typer.Option(
            help="With --images: so many of them at most, evenly spaced; 0 takes all.",
            min=0,
            rich_help_panel=panels.DATA,
        ),
    ] = 100,
    model: common.Model = None,
    models: common.ModelsDir = DEFAULT_MODELS,
    runtime: common.Runtime = "auto",
    device: common.Device = "auto",
    json: common.Json = False,
) -> None:
    """Compare ways to search the bank with the exact one, and choose one for the bundle.

    Exact search needs no index and is usually the fastest. int8 finds the same rows with a quarter of the
    memory: 8-bit codes in memory bound the rows, and the float32 rows stay on disk. Others are FAISS's: they
    miss some of the nearest rows, so that scores can only be higher, never lower: no defect that exact search
    finds is passed, but good parts may be rejected. The threshold stays as it is; pcedge calibrate finds one
    for this search.

    milvus brings the rows to a Milvus that several lines share: the server that PCEDGE_MILVUS names,
    otherwise Milvus Lite in a directory of this user. A server's token is read from PCEDGE_MILVUS_TOKEN.

    The bank's file is never changed; an index that is kept lies beside it. Train and keep indexes where they
    are to run; watch, evaluate and verify use one that is kept with --index.
    """
    from pcedge.bundles.bundle import find_bundle
    from pcedge.bundles.manifest import EXACT
    from pcedge.cli.console import progress_bars
    from pcedge.deployment.indexing.comparison import build_index, compare_indexes
    from pcedge.deployment.indexing.spec import IndexSpec
    from pcedge.deployment.indexing.stored_indexes import keep_indexes

    refuse_unused(ctx, _UNUSED)
    bundle = find_bundle(model, models)
    kept = {IndexSpec.parse(name).name for name in [*(keep or []), *([use] if use else [])]}
    named = factories or ([] if kept or drop else ["int8", "HNSW32"])
    specs = {
        name: IndexSpec.parse(name, candidates)
        for name in dict.fromkeys([EXACT, *(IndexSpec.parse(one).name for one in named), *sorted(kept)])
    }
    if all(spec.is_exact for spec in specs.values()):
        refuse(
            ctx, ("candidates",), "on exact search", "Leave it out, or name another index, such as HNSW32."
        )
    with progress_bars() as progress:
        built = []
        for done, spec in enumerate(specs.values(), 1):
            progress("index", done - 1, len(specs))
            built.append(build_index(bundle, spec, progress))
            progress("index", done, len(specs))
        frames = _frames(bundle, images, max_images, runtime, device)
        reports = compare_indexes(bundle, built, frames, progress)
        if kept or drop:
            chosen = [
                (one, report.cost)
                for one, report in zip(built, reports, strict=True)
                if one.spec.name in kept
            ]
            bundle = keep_indexes(bundle, chosen, use=use and IndexSpec.parse(use).name, drop=drop or [])
    if json:
        _print_json(bundle, reports)
    else:
        _print_result(bundle, reports)


def note_index(bundle: "AnyBundle") -> None:
    """Print how the bank is searched, if not exactly in memory."""
    from pcedge.bundles.manifest import EXACT, INT8, Manifest
    from pcedge.cli.console import say

    manifest = bundle.manifest
    if not isinstance(manifest, Manifest):
        return
    if manifest.index == INT8:
        say("The bank is searched exactly by 8-bit codes; its rows stay on disk.")
    elif manifest.index != EXACT and manifest.index in manifest.indexes:
        cost = manifest.indexes[manifest.index].cost
        say(
            "[yellow]The bank is searched by {index}, not exactly:[/] nearest rows found {recall}, scores "
            "up to {error} higher ({source}).",
            index=manifest.index,
            recall=f"{cost.recall:.2%}",
            error=f"{cost.score_error_largest:.2%}",
            source=cost.source,
        )
    exactly = (EXACT, INT8)
    scored_by = manifest.threshold.index
    if manifest.index != scored_by and not (manifest.index in exactly and scored_by in exactly):
        say(
            "[yellow]The thresholds are from scores by {scored_by}:[/] false rejects may be other than "
            "stated. Find them for this search with: pcedge calibrate IMAGES",
            scored_by="exact search" if scored_by in exactly else scored_by,
        )


def _frames(bundle: "Bundle", images: Path | None, limit: int, runtime: str, device: str) -> "Frames":
    from pcedge.datasets import open_dataset
    from pcedge.deployment.indexing.comparison import dataset_frames, golden_frames
    from pcedge.inspection.runtimes import runtime_kind

    if images is None:
        return golden_frames(bundle)
    kind = runtime_kind(runtime)
    if kind == "auto" and not bundle.is_exported:
        kind = "torch"
    return dataset_frames(bundle, open_dataset(images), limit, kind, device)


def _print_json(bundle: "Bundle", reports: "list[IndexReport]") -> None:
    import json

    manifest = bundle.manifest
    print(
        json.dumps(
            {
                "bundle": str(bundle.directory),
                "rows": manifest.bank.rows,
                "dims": manifest.embedding.dims,
                "used": manifest.index,
                "kept": list(manifest.indexes),
                "indexes": [report.to_dict() for report in reports],
            },
            allow_nan=False,
        )
    )


def index_table(bundle: "Bundle", reports: "list[IndexReport]") -> "Table":
    """A table of memory, speed and accuracy of each search."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    manifest = bundle.manifest
    title = (
        f"{manifest.bank.rows:,} rows of {manifest.embedding.dims}, searched for "
        f"{reports[0].cost.frames} frames ({reports[0].cost.source})"
    )
    # Units are in the headings, which may take two lines, so that a row fits into 80 columns.
    table = Table(
        title=Text(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    headings = (
        "MB in\nmemory",
        "MB of\nfile",
        "s to\nbuild",
        "ms a\nframe",
        "found",
        "proved",
        "score\nerror",
    )
    table.add_column("index", overflow="fold")
    for heading in (*headings, "AUROC", "flips"):
        table.add_column(heading, justify="right", no_wrap=True)
    for report in reports:
        table.add_row(Text(report.name, "green" if report.name == manifest.index else ""), *_cells(report))
    return table


def _print_result(bundle: "Bundle", reports: "list[IndexReport]") -> None:
    from pcedge.cli.console import out, say

    out.print(index_table(bundle, reports))
    say(
        "MB in memory: of rows and search; found: patches whose nearest row is found; score error: mean and "
        "largest, never downwards; flips: verdicts that change (and how many of them are of good parts).",
    )
    say(
        "{bundle} is searched by [bold]{used}[/]; indexes it keeps: {kept}.",
        bundle=bundle.directory,
        used=bundle.manifest.index,
        kept="; ".join(bundle.manifest.indexes) or "none",
    )


def _cells(report: "IndexReport") -> list[str]:
    cost = report.cost
    return [
        f"{report.memory_bytes / 1e6:.1f}",
        f"{report.file_bytes / 1e6:.1f}" if report.file_bytes else "-",
        f"{report.build_s:.1f}",
        f"{report.search_ms:.1f}",
        f"{cost.recall:.2%}",
        "-" if cost.proved is None else f"{cost.proved:.2%}",
        f"{cost.score_error_mean:.2%}\n{cost.score_error_largest:.2%}",
        "-" if report.image_auroc is None else f"{report.image_auroc:.4f}",
        f"{cost.flips} ({cost.good_flips})",
    ]
