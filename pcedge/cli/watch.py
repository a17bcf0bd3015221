"""``pcedge watch``."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from json import dumps as encode
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
    from pcedge.camera import CameraStatus, Event, Frame, Inspection, Save, Stream, Summary
    from pcedge.line import Line
    from pcedge.line_file import LineFile
    from pcedge.runtimes import Candidate
    from pcedge.watching import Watched


def watch(
    camera: Annotated[
        list[str] | None,
        typer.Option(
            help="What to watch: 0, v4l2:///dev/video0, rtsp://..., http://..., gst:PIPELINE, a video file, "
            "folder:DIR, or synthetic: for the made-up line. May be given several times.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="A line's file (TOML): cameras with regions, masks, products, triggers; sinks; metrics.",
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Watch a folder: the pictures in it, then those that arrive.", show_default=False),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="With a folder: stop after the pictures already there.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="With a folder: judge pictures that were judged before once more."),
    ] = False,
    model: options.Model = None,
    models: options.ModelsDir = DEFAULT_MODELS,
    runtime: options.Runtime = "auto",
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    index: options.Index = None,
    threshold: options.Threshold = None,
    review: Annotated[
        bool,
        typer.Option(
            "--review",
            help="Call parts REVIEW whose score lies between the bundle's threshold and a second, lower one.",
        ),
    ] = False,
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
    """Watch cameras or folders, judge every frame, and keep heatmaps of what is flagged.

    Every frame becomes one JSON line in events.jsonl: time, camera, frame, score, verdict, latency, regions,
    files (pictures kept, relative to the folder of events.jsonl).
    A frame that cannot be judged is INVALID, never OK. A camera that is lost or hangs is opened again, for as
    long as it takes. Every file of a watched folder gets one verdict, also across restarts. Ctrl-C stops and
    prints a summary.

    Before the first frame this machine proves, in seconds, that it scores like the reference the bundle was
    made with, unless it has done so before (pcedge verify); if it does not, nothing is judged.
    """
    from pcedge.camera import Tally
    from pcedge.line import open_line
    from pcedge.watching import WatchOptions, watch_line

    from .console import show_error
    from .live import live_view

    line, base = _line(config, camera, folder, model, threshold, review, save, frozen_after)
    place = output or _place(line, base, models)
    asked = _Asked(runtime, device, precision, unverified).over(line)
    tally = Tally()
    machine = json or not sys.stdout.isatty()
    watch_options = WatchOptions(
        place,
        max_frames=max_frames,
        max_seconds=max_seconds,
        sinks=line.sinks,
        metrics=line.metrics,
        batch=line.watch.batch,
        stall_s=line.watch.stall_s,
    )
    with open_line(
        line,
        place,
        models=models,
        choose=_chooser(asked),
        on_problem=show_error,
        base=base,
        follow=not once,
        again=again,
        index=index,
    ) as opened:
        _say_what_is_watched(opened)
        with live_view(tally, shown=not machine) as view, _stops_on_signals() as arm:

            def ready(watched: "Watched") -> None:
                arm(watched.stream)
                view.watch(watched)
                _say_what_is_passed_over(opened)

            summary = watch_line(
                opened,
                watch_options,
                on_ready=ready,
                on_event=_print_line if machine else view.show,
                on_state=_print_state if machine else None,
                tally=tally,
            )
    _print_summary(summary, place)
    if fail_on_ng and not _all_ok(summary):
        raise typer.Exit(NOT_ALL_OK)
    if summary.faults:
        raise typer.Exit(PARTLY_DONE)


@dataclass(frozen=True)
class _Asked:
    """What the command line says of runtimes."""

    runtime: str
    device: str
    precision: str
    unverified: bool

    def over(self, line: "LineFile") -> "_Asked":
        """What the line's file says, where the command line says nothing."""
        table = line.watch
        # A threshold that was named is one on the scale of float32's scores.
        named = any(one.threshold is not None or not isinstance(one.review, bool) for one in line.cameras)
        precision = table.precision if self.precision == "auto" else self.precision
        return replace(
            self,
            runtime=table.runtime if self.runtime == "auto" else self.runtime,
            device=table.device if self.device == "auto" else self.device,
            precision="fp32" if named and precision == "auto" else precision,
        )


def _line(
    config: Path | None,
    cameras: list[str] | None,
    folder: Path | None,
    model: str | None,
    threshold: float | None,
    review: bool,
    save: str,
    frozen_after: int,
) -> "tuple[LineFile, Path]":
    """The line as the file describes it, or as the command line does; and what its paths are relative to."""
    from pcedge.camera import PicturesTable, SinksTable
    from pcedge.line_file import CameraTable, LineFile, read_line_file

    named = [*(cameras or []), *([] if folder is None else [f"folder:{folder}"])]
    if (config is None) == (not named) or (folder is not None and cameras):
        raise OptionError(
            "Name one thing to watch.",
            "Use --camera 0, --camera rtsp://..., --camera FILE.mp4, --folder DIR or --config line.toml.",
        )
    if config is not None:
        if model is not None or threshold is not None or review:
            raise OptionError(
                "--model, --threshold and --review go with --camera and --folder.",
                f"Write product, threshold and review into {config}, for each camera.",
            )
        return read_line_file(config), config.parent
    tables = tuple(
        CameraTable(
            source=one, product=model or "", threshold=threshold, review=review, frozen_after=frozen_after
        )
        for one in named
    )
    return LineFile(cameras=tables, sinks=SinksTable(pictures=PicturesTable(save=_save(save)))), Path()


def _place(line: "LineFile", base: Path, models: Path) -> Path:
    from pcedge.bundle import find_bundle

    if line.watch.output:
        return base / line.watch.output
    bundle = find_bundle(line.cameras[0].product or None, models)
    return Path("inspections") / bundle.directory.resolve().name


def _chooser(asked: _Asked) -> "Callable[[Bundle], Candidate]":
    said: set[str] = set()

    def choose(bundle: "Bundle") -> "Candidate":
        first = str(bundle.directory) not in said
        said.add(str(bundle.directory))
        return _choose_runtime(bundle, asked, say_so=first)

    return choose


def _say_what_is_watched(line: "Line") -> None:
    from .console import say
    from .index import note_index

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
        note_index(line.inspector.assignment(name).bundle)
    say("Ctrl-C stops.")


def _say_what_is_passed_over(line: "Line") -> None:
    from pcedge.camera import FolderSource

    from .console import say

    for name, source in line.sources.items():
        if isinstance(source, FolderSource) and source.passed_over:
            say(
                "{source}: {count} pictures judged before are passed over; --again judges them too.",
                source=name,
                count=source.passed_over,
            )


def _choose_runtime(bundle: "Bundle", asked: _Asked, *, say_so: bool) -> "Candidate":
    """Take the fastest runtime that is proved on this machine, or any that can be had without proof."""
    from pcedge.precision import precision_choice
    from pcedge.runtimes import runtime_kind
    from pcedge.verifying import choose_runtime, first_that_opens

    from .console import say

    kind, wanted = runtime_kind(asked.runtime), precision_choice(asked.precision)
    if asked.unverified:
        if say_so:
            say("[bold yellow]Warning:[/] not verified: scores on this machine may differ from those at fit.")
        candidate, skipped = first_that_opens(bundle, kind, asked.device, wanted)
        for one in skipped if say_so else []:
            say("[yellow]{what}.[/]", what=one)
        return candidate
    choice = choose_runtime(bundle, kind, asked.device, wanted)
    if say_so:
        say("Runtime {runtime}: {reason}.", runtime=choice.certificate.called, reason=choice.reason)
    if choice.unsaved is not None:
        say("[yellow]{what}[/] {hint}", what=choice.unsaved.what, hint=choice.unsaved.hint)
    return choice.candidate


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


def _print_state(status: "CameraStatus") -> None:
    """A line on standard error, where it disturbs no reader of events."""
    print(encode(status.to_dict()), file=sys.stderr, flush=True)


def _print_summary(summary: "Summary", place: Path) -> None:
    from .console import err, say
    from .live import summary_table

    err.print(summary_table(summary, f"Results in {place}"))
    if not summary.frames:
        say("[yellow]Nothing was judged: no picture came.[/]")
    if summary.faults:
        say(
            "[bold red]{count} results could not be written;[/] the last: {fault}",
            count=summary.faults,
            fault=summary.last_fault,
        )


def _all_ok(summary: "Summary") -> bool:
    return summary.frames > 0 and all(
        not count or verdict.passes for verdict, count in summary.verdicts.items()
    )
