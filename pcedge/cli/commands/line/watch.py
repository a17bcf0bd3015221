"""``pcedge watch``."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.cli.exit_codes import NOT_ALL_OK, PARTLY_DONE
from pcedge.cli.options import common, panels
from pcedge.cli.options.given import Unused, is_given, refuse, refuse_unused
from pcedge.core.defaults import DEFAULT_MODELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcedge.camera import Summary
    from pcedge.line.config import LineFile
    from pcedge.line.open_line import Line


_UNUSED = (
    Unused(
        lambda given: given["config"] is not None and not given["camera"] and given["folder"] is None,
        ("model", "threshold", "review", "save", "frozen_after", "drift", "ca_file", "insecure", "recursive"),
        "beside --config: it goes with --camera and --folder",
        "Write product, threshold, review, frozen_after, drift, ca_file, insecure and recursive into the "
        "file, for each camera, and save into [sinks.pictures].",
    ),
)


def watch(
    ctx: typer.Context,
    camera: Annotated[
        list[str] | None,
        typer.Option(
            help="What to watch: 0, v4l2:///dev/video0, rtsp://..., http://..., gst:PIPELINE, a video file, "
            "folder:DIR, or synthetic: for the made-up line. May be given several times.",
            show_default=False,
            rich_help_panel=panels.LINE,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Watch a folder: the images in it, then those that arrive.",
            show_default=False,
            rich_help_panel=panels.LINE,
        ),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            "--ca-file",
            help="For rtsps:// and https:// cameras: certificates to trust instead of the system's.",
            show_default=False,
            rich_help_panel=panels.LINE,
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            help="For rtsps:// and https:// cameras: accept any certificate, and so any camera.",
            rich_help_panel=panels.LINE,
        ),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            help="A line's file (TOML): cameras with regions, masks, products, triggers; sinks; metrics.",
            show_default=False,
            rich_help_panel=panels.LINE,
        ),
    ] = None,
    once: Annotated[
        bool,
        typer.Option(
            "--once",
            help="With a folder: stop after the images already there.",
            rich_help_panel=panels.LINE,
        ),
    ] = False,
    recursive: Annotated[
        bool,
        typer.Option(
            "--recursive",
            help="With a folder: the images in its subfolders too.",
            rich_help_panel=panels.LINE,
        ),
    ] = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="With a folder: judge images that were judged before once more.",
            rich_help_panel=panels.LINE,
        ),
    ] = False,
    model: common.Model = None,
    models: common.ModelsDir = DEFAULT_MODELS,
    threshold: common.Threshold = None,
    review: Annotated[
        bool,
        typer.Option(
            "--review",
            help="Call parts REVIEW whose score lies between the bundle's threshold and a second, lower one.",
            rich_help_panel=panels.THRESHOLD,
        ),
    ] = False,
    drift: Annotated[
        bool,
        typer.Option(
            "--drift/--no-drift",
            help="Notice when light, focus, position, scores or the share of NG move away from those at fit.",
            rich_help_panel=panels.THRESHOLD,
        ),
    ] = True,
    frozen_after: Annotated[
        int,
        typer.Option(
            help="A live camera that repeats the same image so often is INVALID; 0 does not look for it.",
            min=0,
            rich_help_panel=panels.THRESHOLD,
        ),
    ] = 25,
    runtime: common.Runtime = "auto",
    device: common.Device = "auto",
    precision: common.Precision = "auto",
    index: common.Index = None,
    unverified: Annotated[
        bool,
        typer.Option(
            "--unverified",
            help="Run without proof that this machine scores like the reference; a warning is printed.",
            rich_help_panel=panels.RUNTIME,
        ),
    ] = False,
    max_frames: Annotated[
        int | None,
        typer.Option(
            help="Stop after so many frames.",
            min=1,
            show_default=False,
            rich_help_panel=panels.LIMITS,
        ),
    ] = None,
    max_seconds: Annotated[
        float | None,
        typer.Option(
            help="Stop after so many seconds.",
            min=0,
            show_default=False,
            rich_help_panel=panels.LIMITS,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Where events.jsonl and pictures/ go. Without it: inspections/<bundle>.",
            show_default=False,
            rich_help_panel=panels.OUTPUT,
        ),
    ] = None,
    save: Annotated[
        str,
        typer.Option(
            help="Pictures to keep, with heatmaps: flagged, all or none.",
            rich_help_panel=panels.OUTPUT,
        ),
    ] = "flagged",
    fail_on_ng: Annotated[
        bool,
        typer.Option(
            "--fail-on-ng",
            help="Exit with 4 unless every frame was OK (INVALID is not OK, and nothing judged is not OK).",
            rich_help_panel=panels.OUTPUT,
        ),
    ] = False,
    json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON line a frame; the default when not on a terminal.",
            rich_help_panel=panels.OUTPUT,
        ),
    ] = False,
) -> None:
    """Watch cameras or folders, judge every frame, and keep heatmaps of what is flagged.

    Every frame becomes one JSON line in events.jsonl: time, camera, frame, score, verdict, latency, regions,
    files (images kept, relative to the folder of events.jsonl).
    A frame that cannot be judged is INVALID, never OK. A camera that is lost or hangs is opened again, for as
    long as it takes. Every file of a watched folder gets one verdict, also across restarts. Ctrl-C stops and
    prints a summary.

    Before the first frame this machine proves, in seconds, that it scores like the reference the bundle was
    made with, unless it has done so before (pcedge verify); if it does not, nothing is judged.
    """
    # Set before NumPy is loaded, which reads it then: its BLAS threads busy-wait for the next product on the
    # cores that the network needs.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    from pcedge.line.runtime_choice import RuntimeOptions

    from .end_signals import EndSignals
    from .line_run import LineRun, RunOptions
    from .outputs import outputs
    from .watched_line import CameraOptions, described_line

    refuse_unused(ctx, _UNUSED)

    def described() -> "tuple[LineFile, Path]":
        given = CameraOptions(model, threshold, review, frozen_after, drift, ca_file, insecure, recursive)
        return described_line(config, camera, folder, given, save)

    def asked(line: "LineFile") -> RuntimeOptions:
        given = [name for name in ("runtime", "device", "precision") if is_given(ctx, name)]
        return RuntimeOptions(runtime, device, precision, unverified).over(line, given)

    def opened(line: "Line") -> None:
        _refuse_what_no_source_uses(ctx, line)
        _say_what_is_watched(line)

    options = RunOptions(models, output, asked, not once, again, index, max_frames, max_seconds)
    with outputs(events=json or not sys.stdout.isatty()) as printed:
        run = LineRun(described, options, printed, on_open=opened, on_ready=_say_what_is_passed_over)
        with EndSignals(None if config is None else run.read_again) as signals:
            summary = run.run(signals)
            _print_summary(summary, run.place)
            _say_what_was_left_out(run.left_out)
    if fail_on_ng and not _all_ok(summary):
        raise typer.Exit(NOT_ALL_OK)
    if summary.faults:
        raise typer.Exit(PARTLY_DONE)


def _refuse_what_no_source_uses(ctx: typer.Context, line: "Line") -> None:
    from pcedge.camera import FolderSource

    sources = line.sources.values()
    if not any(isinstance(source, FolderSource) for source in sources):
        refuse(
            ctx,
            ("once", "again", "recursive"),
            "without a folder to watch",
            "Leave it out, or watch with --folder DIR.",
        )
    if not any(source.live for source in sources):
        refuse(ctx, ("frozen_after",), "without a live camera: files do not freeze", "Leave it out.")


def _say_what_is_watched(line: "Line") -> None:
    from pcedge.cli.console import say

    from ..bundle.index import note_index

    runtimes = ", ".join(line.inspector.runtimes)
    for name in line.sources:
        inspector = line.inspector.inspector(name)
        say(
            "Watching [bold]{source}[/] with [bold]{bundle}[/] on {runtime}, threshold {threshold}.",
            source=name,
            bundle=line.inspector.assignment(name).bundle.directory,
            runtime=runtimes,
            threshold=f"{inspector.threshold:.4g}",
        )
        bundle = line.inspector.assignment(name).bundle
        note_index(bundle)
    say("Ctrl-C stops.")


def _say_what_is_passed_over(line: "Line") -> None:
    from pcedge.camera import FolderSource
    from pcedge.cli.console import say
    from pcedge.core.text import counted

    for name, source in line.sources.items():
        if isinstance(source, FolderSource) and source.passed_over:
            say(
                "{source}: {count} images judged before are passed over; --again judges them too.",
                source=name,
                count=source.passed_over,
            )
        if isinstance(source, FolderSource) and source.left_out:
            say(
                "{source}: not judged, because it is no image there: {what}.",
                source=name,
                what=counted(source.left_out),
            )


def _say_what_was_left_out(left_out: "Mapping[str, Mapping[str, int]]") -> None:
    from pcedge.cli.console import say
    from pcedge.core.text import counted

    for name, counts in left_out.items():
        say("{source}: not judged: {reasons}.", source=name, reasons=counted(counts))


def _print_summary(summary: "Summary", place: Path) -> None:
    from pcedge.cli.console import err, say

    from .live_view import drift_table, summary_table

    err.print(summary_table(summary, f"Results in {place}"))
    if summary.drift:
        err.print(drift_table(summary.drift))
    if not summary.frames:
        say("[yellow]Nothing was judged: no image came.[/]")
    for fault in summary.fault_texts:
        say("[bold red]In trouble:[/] {fault}.", fault=fault.removesuffix("."))
    if summary.faults:
        say("[bold red]{count} results could not be written or delivered.[/]", count=summary.faults)


def _all_ok(summary: "Summary") -> bool:
    return summary.frames > 0 and all(
        not count or verdict.passes for verdict, count in summary.verdicts.items()
    )
