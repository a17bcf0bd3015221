"""``pcedge verify``."""

from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.cli.exit_codes import ERROR, PARTLY_DONE
from pcedge.cli.options import common, panels
from pcedge.cli.options.given import is_given
from pcedge.core.defaults import DEFAULT_MODELS

if TYPE_CHECKING:
    from pcedge.inspection.verification.certificate import Certificate
    from pcedge.inspection.verification.verify import Skipped


def verify(
    ctx: typer.Context,
    model: common.Model = None,
    models: common.ModelsDir = DEFAULT_MODELS,
    every: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Verify every available runtime and precision. Default: the first available.",
            rich_help_panel=panels.RUNTIME,
        ),
    ] = False,
    runtime: common.Runtime = "auto",
    device: common.Device = "auto",
    precision: common.Precision = "auto",
    index: common.Index = None,
    json: common.Json = False,
) -> None:
    """Verify that this machine scores like the float32 reference the bundle was made with.

    The golden frames in the bundle pass every stage: preprocessing, embedding, search, map, score, verdict.
    Each stage is compared with the reference's result for the same input, so that a difference shows in the
    stage that causes it. The proof is kept on this machine, in its state directory, and sealed with its key.
    watch requires it, and makes it where it is missing; a proof that came with a copied bundle counts for
    nothing.

    A runtime that cannot be used here is reported and skipped if there is another.

    Exit codes: 0 verified; 1 a stage differs or a verdict changes, or no runtime can be used; 3 verified, but
    the certificate could not be written.
    """
    from pcedge.bundles.bundle import find_bundle
    from pcedge.cli.console import say, show_error
    from pcedge.errors import BundleError
    from pcedge.inspection.precision import precision_choice
    from pcedge.inspection.runtimes import candidates, runtime_kind
    from pcedge.inspection.verification.certificate import keep_certificates
    from pcedge.inspection.verification.verify import UNUSABLE, Skipped
    from pcedge.inspection.verification.verify import verify as verify_candidate

    from .index import note_index

    bundle = find_bundle(model, models).searched_by(index)
    note_index(bundle)
    chosen = precision_choice("all" if every and not is_given(ctx, "precision") else precision)
    found = candidates(bundle, runtime_kind(runtime), device, chosen)
    certificates: list[Certificate] = []
    skipped: list[Skipped] = []
    unsaved: BundleError | None = None
    for candidate in found:
        say(
            "Verifying {bundle}: {candidate} ...",
            bundle=bundle.directory,
            candidate=candidate,
        )
        try:
            certificate = verify_candidate(bundle, candidate)
        except UNUSABLE as error:
            if len(found) == 1:
                raise
            skipped.append(Skipped(candidate, error))
            say("[yellow]{what}.[/]", what=skipped[-1])
            continue
        certificates.append(certificate)
        variant = bundle.in_precision(candidate.precision)
        unsaved = keep_certificates(variant, certificate) or unsaved
        if not every:
            break
    if not certificates:
        raise skipped[0].error
    if json:
        _print_json(str(bundle.directory), certificates, skipped)
    else:
        for certificate in certificates:
            _print_table(certificate)
    if unsaved is not None:
        show_error(unsaved)
    if not all(certificate.parity.holds for certificate in certificates):
        raise typer.Exit(ERROR)
    if unsaved is not None:
        raise typer.Exit(PARTLY_DONE)


def _print_json(directory: str, certificates: "list[Certificate]", skipped: "list[Skipped]") -> None:
    import json

    import msgspec

    entries = [
        {"holds": certificate.parity.holds, **msgspec.to_builtins(certificate)}
        for certificate in certificates
    ]
    unusable = [
        {
            "runtime": one.candidate.runtime,
            "device": one.candidate.device,
            "precision": one.candidate.precision,
            "problem": str(one.error),
        }
        for one in skipped
    ]
    print(json.dumps({"bundle": directory, "certificates": entries, "skipped": unusable}))


def _reference(precision: str) -> str:
    return "float32 reference" if precision == "fp32" else f"{precision} network as it was fitted"


def _print_table(certificate: "Certificate") -> None:
    from rich.table import Table
    from rich.text import Text

    from pcedge.cli.console import out, say
    from pcedge.inspection.verification.parity import show_error, show_ms

    parity = certificate.parity
    table = Table(
        title=Text(f"{parity.runtime} against the {_reference(parity.precision)}"), title_justify="left"
    )
    for heading in ("stage", "largest error", "mean error", "accepted", ""):
        table.add_column(heading, justify="left" if heading in ("stage", "") else "right")
    for stage in parity.stages:
        verdict = Text("ok", "green") if stage.holds else Text("differs", "bold red")
        table.add_row(
            stage.stage, show_error(stage.largest), show_error(stage.mean), f"{stage.accepted:.0e}", verdict
        )
    table.add_row("bank rows", f"{parity.rows_changed} change", "", "", "")
    flips = Text("ok", "green") if not parity.flips else Text("differs", "bold red")
    table.add_row("verdict", f"{parity.flips} of {parity.frames} flip", "", "0", flips)
    out.print(table)
    if parity.holds:
        say(
            "[green]Verified[/] on {machine}: {ms} a frame.",
            machine=_machine(certificate),
            ms=show_ms(certificate.frame_ms),
        )
    else:
        say(
            "[bold red]Not verified[/] on {machine}: {why}.",
            machine=_machine(certificate),
            why=parity.failure(),
        )


def _machine(certificate: "Certificate") -> str:
    machine = certificate.machine
    return machine.gpu if certificate.device != "cpu" and machine.gpu else machine.processor or machine.system
