"""What ``pcedge watch`` is to watch, and on what: the line's file and the command line put together."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from pcedge.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pcedge.camera import Save
    from pcedge.inspection.runtimes import Candidate
    from pcedge.line.config import LineFile
    from pcedge.methods import BaselineBundle
    from pcedge.methods.any_bundle import AnyBundle


@dataclass(frozen=True)
class RuntimeOptions:
    """What the command line says of runtimes."""

    runtime: str
    device: str
    precision: str
    unverified: bool

    def over(self, line: "LineFile", typed: "Collection[str]") -> "RuntimeOptions":
        """What the line's file says, where the command line says nothing: what was ``typed`` holds."""
        table = line.watch
        # A threshold that was named is one on the scale of float32's scores.
        named = any(one.threshold is not None or not isinstance(one.review, bool) for one in line.cameras)
        precision = self.precision if "precision" in typed else table.precision
        return replace(
            self,
            runtime=self.runtime if "runtime" in typed else table.runtime,
            device=self.device if "device" in typed else table.device,
            precision="fp32" if named and precision == "auto" else precision,
        )


def described_line(
    config: Path | None,
    cameras: list[str] | None,
    folder: Path | None,
    model: str | None,
    threshold: float | None,
    review: bool,
    save: str,
    frozen_after: int,
    drift: bool,
) -> "tuple[LineFile, Path]":
    """The line as the file describes it, or as the command line does; and what its paths are relative to."""
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
            product=model or "",
            threshold=threshold,
            review=review,
            frozen_after=frozen_after,
            drift=drift,
        )
        for one in named
    )
    return LineFile(cameras=tables, sinks=SinksTable(pictures=PicturesTable(save=_save(save)))), Path()


def results_place(line: "LineFile", base: Path, models: Path) -> Path:
    """Where results go when the command line does not say."""
    from pcedge.bundles.bundle import locate_bundle

    if line.watch.output:
        return base / line.watch.output
    directory = locate_bundle(line.cameras[0].product or None, models)
    return Path("inspections") / directory.resolve().name


def chooser(asked: RuntimeOptions) -> "Callable[[AnyBundle], Candidate]":
    """What chooses a runtime for a bundle, and says so the first time."""
    said: set[str] = set()

    def choose(bundle: "AnyBundle") -> "Candidate":
        first = str(bundle.directory) not in said
        said.add(str(bundle.directory))
        return _choose_runtime(bundle, asked, say_so=first)

    return choose


def _choose_runtime(bundle: "AnyBundle", asked: RuntimeOptions, *, say_so: bool) -> "Candidate":
    """Take the fastest runtime that is proved on this machine, or any that can be had without proof."""
    from pcedge.cli.console import say
    from pcedge.inspection.precision import precision_choice
    from pcedge.inspection.runtimes import runtime_kind
    from pcedge.inspection.verification.verify import choose_runtime, first_that_opens
    from pcedge.methods import BaselineBundle

    kind, wanted = runtime_kind(asked.runtime), precision_choice(asked.precision)
    if asked.unverified and say_so:
        say("[bold yellow]Warning:[/] not verified: scores on this machine may differ from those at fit.")
    if isinstance(bundle, BaselineBundle):
        return _choose_for_baseline(bundle, asked, say_so=say_so)
    if asked.unverified:
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


def _choose_for_baseline(bundle: "BaselineBundle", asked: RuntimeOptions, *, say_so: bool) -> "Candidate":
    """A baseline is proved on its golden frames at every start; that leaves no certificate."""
    from pcedge.cli.console import say
    from pcedge.inspection.precision import one_precision
    from pcedge.inspection.runtimes import runtime_kind
    from pcedge.methods import choose_baseline_runtime

    if asked.precision not in ("auto", "all"):
        bundle.in_precision(one_precision(asked.precision))
    candidate = choose_baseline_runtime(
        bundle, runtime_kind(asked.runtime), asked.device, verified=not asked.unverified
    )
    if say_so:
        proof = "" if asked.unverified else ": verified on the golden frames"
        say("Runtime {runtime}{proof}.", runtime=candidate, proof=proof)
    return candidate


def _save(name: str) -> "Save":
    from pcedge.camera import Save

    if name in get_args(Save):
        return cast("Save", name)
    raise OptionError(f"Cannot save {name!r} images.", "Use --save flagged, all or none.")
