"""``pcedge watch``."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from pcedge.defaults import DEFAULT_MODELS
from pcedge.errors import OptionError

from . import options
from .exit_codes import NOT_ALL_OK, PARTLY_DONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcedge.bundle import Bundle
    from pcedge.camera import Event, Frame, Inspection, Save, Source, Stream, Summary
    from pcedge.runtimes import Candidate


def watch(
    camera: Annotated[
        str | None,
        typer.Option(
            help="What to watch: 0, v4l2:///dev/video0, rtsp://..., http://..., gst:PIPELINE, a video file, "
            "folder:DIR, or synthetic: for the made-up line.",
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Watch a folder: the pictures in it, then those that arrive.", show_default=False),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="With --folder: stop after the pictures already there.")
    ] = False,
    model: options.Model = None,
    models: options.ModelsDir = DEFAULT_MODELS,
    runtime: options.Runtime = "auto",
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    threshold: options.Threshold = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Where events.jsonl and pictures/ go. Without it: inspections/<bundle>.",
            show_default=False,
        ),
    ] = None,
    save: Annotated[
        str, typer.Option(help="Pictures to keep, with heatmaps: flagged, all or none.")
    ] = "flagged",
    max_frames: Annotated[
        int | None, typer.Option(help="Stop after so many frames.", min=1, show_default=False)
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option(help="Stop after so many seconds.", min=0, show_default=False)
    ] = None,
    frozen_after: Annotated[
        int,
        typer.Option(
            help="A live camera that repeats the same picture so often is INVALID; 0 does not look for it.",
            min=0,
        ),
    ] = 25,
    fail_on_ng: Annotated[
        bool,
        typer.Option(
            "--fail-on-ng",
            help="Exit with 4 unless every frame was OK (INVALID is not OK, and nothing judged is not OK).",
        ),
    ] = False,
    unverified: Annotated[
        bool,
        typer.Option(
            "--unverified",
            help="Run without proof that this machine scores like the reference; a warning is printed.",
        ),
    ] = False,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON line a frame; the default when not on a terminal."),
    ] = False,
) -> None:
    """Watch a camera or a folder, judge every frame, and keep heatmaps of what is flagged.

    Every frame becomes one JSON line in events.jsonl: time, source, frame, score, verdict, latency, files
    (pictures kept, relative to the folder of events.jsonl).
    A frame that cannot be judged is INVALID, never OK. Ctrl-C stops and prints a summary.

    Before the first frame this machine proves, in seconds, that it scores like the reference the bundle was
    made with, unless it has done so before (pcedge verify); if it does not, nothing is judged.
    """
    from pcedge.bundle import find_bundle
    from pcedge.camera import Tally
    from pcedge.runtimes import open_inspector
    from pcedge.watching import WatchOptions
    from pcedge.watching import watch as watch_source

    from .console import say
    from .live import live_view

    source = _source(camera, folder, once)
    bundle = find_bundle(model, models)
    place = output or Path("inspections") / bundle.directory.resolve().name
    tally = Tally()
    machine = json or not sys.stdout.isatty()
    # A threshold that was named is one on the scale of float32's scores.
    scale = precision if threshold is None or precision != "auto" else "fp32"
    chosen = _choose_runtime(bundle, runtime, device, scale, unverified=unverified)
    with open_inspector(
        bundle,
        runtime=chosen.runtime,
        device=chosen.device,
        precision=chosen.precision,
        threshold=threshold,
    ) as inspector:
        say(
            "Watching [bold]{source}[/] with [bold]{bundle}[/] on {runtime}, threshold {threshold}. "
            "Ctrl-C stops.",
            source=source.name,
            bundle=bundle.directory,
            runtime=inspector.runtime.name,
            threshold=f"{inspector.threshold:.4g}",
        )
        with live_view(tally, shown=not machine) as show, _stops_on_signals() as arm:
            summary = watch_source(
                inspector,
                source,
                WatchOptions(place, _save(save), max_frames, max_seconds, frozen_after),
                on_ready=arm,
                on_event=_print_line if machine else show,
                tally=tally,
            )
    _print_summary(summary, place)
    if fail_on_ng and not _all_ok(summary):
        raise typer.Exit(NOT_ALL_OK)
    if summary.sink_faults:
        raise typer.Exit(PARTLY_DONE)


def _choose_runtime(
    bundle: "Bundle", runtime: str, device: str, precision: str, *, unverified: bool
) -> "Candidate":
    """Take the fastest runtime that is proved on this machine, or any that can be had without proof."""
    from pcedge.precision import precision_choice
    from pcedge.runtimes import runtime_kind
    from pcedge.verifying import choose_runtime, first_that_opens

    from .console import say

    kind, wanted = runtime_kind(runtime), precision_choice(precision)
    if unverified:
        say("[bold yellow]Warning:[/] not verified: scores on this machine may differ from those at fit.")
        candidate, skipped = first_that_opens(bundle, kind, device, wanted)
        for one in skipped:
            say("[yellow]{what}.[/]", what=one)
        return candidate
    choice = choose_runtime(bundle, kind, device, wanted)
    say("Runtime {runtime}: {reason}.", runtime=choice.certificate.called, reason=choice.reason)
    if choice.unsaved is not None:
        say("[yellow]{what}[/] {hint}", what=choice.unsaved.what, hint=choice.unsaved.hint)
    return choice.candidate


def _source(camera: str | None, folder: Path | None, once: bool) -> "Source":
    from pcedge.camera import FolderSource, open_source

    if (camera is None) == (folder is None):
        raise OptionError(
            "Name one thing to watch.",
            "Use --camera 0, --camera rtsp://..., --camera FILE.mp4 or --folder DIR.",
        )
    if folder is not None:
        return FolderSource(folder, follow=not once)
    assert camera is not None
    return open_source(camera, follow=not once)


def _save(name: str) -> "Save":
    from pcedge.camera import Save

    if name in get_args(Save):
        return cast("Save", name)
    raise OptionError(f"Cannot save {name!r} pictures.", "Use --save flagged, all or none.")


@contextmanager
def _stops_on_signals() -> "Iterator[Callable[[Stream], None]]":
    """Let Ctrl-C and a polite kill end the stream instead of the process, while the block lasts."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def arm(stream: "Stream") -> None:
        for number in before:
            signal.signal(number, lambda *_: stream.stop())

    try:
        yield arm
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_line(event: "Event", _frame: "Frame", _inspection: "Inspection") -> None:
    try:
        print(event.to_json(), flush=True)
    except OSError as error:  # whoever listened is gone; the inspection and its files go on
        from .console import say

        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (open to the end)
        say("[yellow]Standard output is gone ({reason}); events go to the file only.[/]", reason=error)


def _print_summary(summary: "Summary", place: Path) -> None:
    from .console import err, say
    from .live import summary_table

    err.print(summary_table(summary, f"Results in {place}"))
    if not summary.frames:
        say("[yellow]Nothing was judged: no picture came.[/]")
    if summary.sink_faults:
        say(
            "[bold red]{count} results could not be written;[/] the last: {fault}",
            count=summary.sink_faults,
            fault=summary.last_sink_fault,
        )


def _all_ok(summary: "Summary") -> bool:
    return summary.frames > 0 and all(
        not count or verdict.passes for verdict, count in summary.verdicts.items()
    )
