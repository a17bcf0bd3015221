"""The line of ``pcedge watch``: the line's file combined with the command line's options."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast, get_args

from pcedge.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcedge.camera import Save
    from pcedge.inspection.runtimes import Candidate
    from pcedge.line.config import LineFile
    from pcedge.line.runtime_choice import RuntimeOptions
    from pcedge.methods import AnyBundle, ChosenRuntime


class CameraOptions(NamedTuple):
    """Options of the command line that hold for every camera, as ``[[camera]]`` has them."""

    model: str | None
    threshold: float | None
    review: bool
    frozen_after: int
    drift: bool
    ca_file: Path | None
    insecure: bool


def described_line(
    config: Path | None,
    cameras: list[str] | None,
    folder: Path | None,
    given: CameraOptions,
    save: str,
) -> "tuple[LineFile, Path]":
    """The line from the file or the command line, and the directory that its paths are relative to."""
    from pcedge.camera import PicturesTable, SinksTable
    from pcedge.line.config import CameraTable, LineFile, read_line_file

    named = [*(cameras or []), *([] if folder is None else [f"folder:{folder}"])]
    if (config is None) == (not named) or (folder is not None and cameras):
        raise OptionError(
            "Name one thing to watch.",
            "Use --camera 0, --camera rtsp://..., --camera FILE.mp4, --folder DIR or --config line.toml.",
        )
    if config is not None:
        return read_line_file(config), config.parent
    tables = tuple(
        CameraTable(
            source=one,
            product=given.model or "",
            threshold=given.threshold,
            review=given.review,
            frozen_after=given.frozen_after,
            drift=given.drift,
            ca_file="" if given.ca_file is None else str(given.ca_file),
            insecure=given.insecure,
        )
        for one in named
    )
    return LineFile(cameras=tables, sinks=SinksTable({"pictures": PicturesTable(save=_save(save))})), Path()


def results_place(line: "LineFile", base: Path, models: Path) -> Path:
    """The default directory for results."""
    from pcedge.bundles.bundle import locate_bundle

    if line.watch.output:
        return base / line.watch.output
    directory = locate_bundle(line.cameras[0].product or None, models)
    return Path("inspections") / directory.resolve().name


def chooser(asked: "RuntimeOptions") -> "Callable[[AnyBundle], Candidate]":
    """A function that chooses the runtime of a bundle, and prints it the first time."""
    from pcedge.cli.console import say

    said: set[str] = set()

    def choose(bundle: "AnyBundle") -> "Candidate":
        from pcedge.line.runtime_choice import choose_for

        first = str(bundle.directory) not in said
        said.add(str(bundle.directory))
        if first and asked.unverified:
            say("[bold yellow]Warning:[/] not verified: scores on this machine may differ from those at fit.")
        chosen = choose_for(bundle, asked)
        if first:
            _say_what_was_chosen(chosen)
        if chosen.unsaved is not None:
            say("[yellow]{what}[/] {hint}", what=chosen.unsaved.what, hint=chosen.unsaved.hint)
        return chosen.candidate

    return choose


def _say_what_was_chosen(chosen: "ChosenRuntime") -> None:
    from pcedge.cli.console import say

    for one in chosen.skipped:
        say("[yellow]{what}.[/]", what=one)
    proof = f": {chosen.proof}" if chosen.proof else ""
    say("Runtime {runtime}{proof}.", runtime=chosen.name, proof=proof)


def _save(name: str) -> "Save":
    from pcedge.camera import Save

    if name in get_args(Save):
        return cast("Save", name)
    raise OptionError(f"Cannot save {name!r} images.", "Use --save flagged, all or none.")
