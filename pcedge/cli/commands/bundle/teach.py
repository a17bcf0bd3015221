"""``pcedge teach``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.cli.exit_codes import ERROR, PARTLY_DONE
from pcedge.cli.options import common, panels
from pcedge.cli.options.given import Unused, refuse_unused
from pcedge.cli.options.old_forms import bundle_and_more
from pcedge.cli.options.shares import share
from pcedge.core.defaults import DEFAULT_MODELS
from pcedge.errors import OptionError

from .teach_tables import print_history, print_result

if TYPE_CHECKING:
    from pcedge.adaptation.teaching import TeachOptions
    from pcedge.bundles.bundle import Bundle


_LESSON_ONLY = ("force", "max_growth")
_UNUSED = (
    Unused(
        lambda given: given["history"],
        (*_LESSON_ONLY, "by", "note", "device", "wait"),
        "with --history, which changes nothing",
        "Leave it out.",
    ),
    Unused(
        lambda given: given["rollback"] is not None,
        _LESSON_ONLY,
        "with --rollback",
        "It belongs to: pcedge teach IMAGES...",
    ),
    Unused(
        lambda given: bool(given["defect"] or given["good"]),
        _LESSON_ONLY,
        "with --defect and --good, which teach nothing yet",
        "It belongs to: pcedge teach IMAGES...",
    ),
)


def teach(
    ctx: typer.Context,
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[IMAGES]...",
            help="Images of good parts that the bundle rejects, or folders of them. Three or more of what is "
            "new.",
            show_default=False,
        ),
    ] = None,
    history: Annotated[
        bool,
        typer.Option(
            "--history",
            help="Show what was taught, and by whom.",
            rich_help_panel=panels.TEACHING,
        ),
    ] = False,
    rollback: Annotated[
        int | None,
        typer.Option(
            help="Go back to what the bundle was after this lesson; 0 is as it was fitted.",
            show_default=False,
            min=0,
            rich_help_panel=panels.TEACHING,
        ),
    ] = None,
    defect: Annotated[
        list[Path] | None,
        typer.Option(
            help="Store this image of a defect: a lesson that hides it is refused. May be repeated.",
            show_default=False,
            rich_help_panel=panels.TEACHING,
        ),
    ] = None,
    good: Annotated[
        list[Path] | None,
        typer.Option(
            help="Store this good image: a lesson after which it is rejected is refused, and it confirms "
            "what is new in lessons. May be repeated.",
            show_default=False,
            rich_help_panel=panels.TEACHING,
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Learn from images that may be defects, and let stored examples change their verdicts; "
            "the log says so.",
            rich_help_panel=panels.TEACHING,
        ),
    ] = False,
    max_growth: Annotated[
        float,
        typer.Option(
            help="Taught rows at most, as a share of the fitted ones. Beyond it taught rows that were not "
            "used for longest make room; fitted rows always stay.",
            parser=share,
            metavar="SHARE",
            rich_help_panel=panels.TEACHING,
        ),
    ] = 0.1,
    by: Annotated[
        str,
        typer.Option(
            help="Who teaches, for the log. Without it, the user.",
            show_default=False,
            rich_help_panel=panels.TEACHING,
        ),
    ] = "",
    note: Annotated[
        str,
        typer.Option(
            help="A note for the log.",
            show_default=False,
            rich_help_panel=panels.TEACHING,
        ),
    ] = "",
    model: common.Model = None,
    models: common.ModelsDir = DEFAULT_MODELS,
    device: common.Device = "cpu",
    wait: Annotated[
        float,
        typer.Option(
            help="Seconds to wait while another process teaches the same bundle.",
            min=0,
            rich_help_panel=panels.RUNTIME,
        ),
    ] = 10.0,
    json: common.Json = False,
) -> None:
    """Teach a bundle from good images that it rejects; without PyTorch, while it is in use.

    Patches that are far from the bank become rows of it, chosen as the coreset was. A new light or a new
    batch is in every image of it, a defect is not: so an image is learned from only if what is strange in
    it is in two other images of the lesson too. What passes already teaches nothing. A running watch takes
    the bundle over. Exit code 3 where some images were refused, 1 where all were.
    """
    from pcedge.adaptation.teaching import TeachOptions, read_log, store_examples
    from pcedge.adaptation.teaching import rollback as go_back
    from pcedge.bundles.bundle import find_bundle

    others = [bool(defect or good), history, rollback is not None]
    named, places = bundle_and_more(what or [], model, models, alone=any(others))
    images = _images(places, models)
    asked = [bool(images), *others]
    if sum(asked) != 1:
        raise OptionError(
            "Say one thing: images to learn from, --defect or --good, --history, or --rollback.",
            "For example: pcedge teach IMAGES..., or pcedge teach --history",
        )
    refuse_unused(ctx, _UNUSED)
    chosen = TeachOptions(by, note, force, max_growth, device, wait)
    bundle = find_bundle(named, models)
    if history:
        print_history(bundle, read_log(bundle), json)
        return
    if rollback is not None:
        print_result(go_back(bundle, rollback, chosen), json)
    elif images:
        _lesson(bundle, images, chosen, json)
    else:
        print_result(store_examples(bundle, defects=defect or [], good=good or [], options=chosen), json)


def _lesson(bundle: "Bundle", images: list[Path], chosen: "TeachOptions", json: bool) -> None:
    from pcedge.adaptation.teaching import teach as teach_bundle
    from pcedge.cli.console import progress_bars

    with progress_bars() as progress:
        result = teach_bundle(bundle, images, chosen, progress)
    print_result(result, json)
    outcomes = [one.outcome for one in result.images]
    if "refused" in outcomes:
        raise typer.Exit(ERROR if set(outcomes) == {"refused"} else PARTLY_DONE)


def _images(what: list[str], models: Path) -> list[Path]:
    """The images; a folder stands for the images in it."""
    from pcedge.bundles.bundle import bundle_names
    from pcedge.datasets import find_left_out, images_below

    from .fit_notes import print_left_out

    paths: list[Path] = []
    for one in map(Path, what):
        found = images_below(one) if one.is_dir() else (one,)
        print_left_out(find_left_out(one, found) if one.is_dir() else ())
        if not found:
            raise OptionError(
                f"There are no images in {one}.", "Name images of good parts, or a folder that holds them."
            )
        paths += found
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise OptionError(
            f"{missing[0]} is neither an image nor a bundle.",
            f"Bundles in {models}/: {', '.join(bundle_names(models)) or 'none'}.",
        )
    return paths
