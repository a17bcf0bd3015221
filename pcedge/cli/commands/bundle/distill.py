"""``pcedge distill``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from pcedge.cli.options import common, panels
from pcedge.cli.options.shares import share_of_all
from pcedge.errors import MissingExtraError, OptionError

if TYPE_CHECKING:
    from pcedge.networks.distillation import DistillResult, HeldOutAgreement


def distill(
    teacher: Annotated[
        str,
        typer.Argument(
            metavar="TEACHER", help="The torchvision network to imitate (resnet18, wide_resnet50_2, ...)."
        ),
    ] = "resnet18",
    images: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of images to train on, with those below it; may be given several times. Without it, "
            "made-up images.",
            show_default=False,
            rich_help_panel=panels.DATA,
        ),
    ] = None,
    procedural: Annotated[
        float | None,
        typer.Option(
            help="Share of made-up images among those of --images: 0.2 or 20%.",
            parser=share_of_all,
            metavar="SHARE",
            show_default=False,
            rich_help_panel=panels.DATA,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="A state dict (.pth, .safetensors) for the teacher. Without it, torchvision's "
            "IMAGENET1K_V1 weights.",
            show_default=False,
            rich_help_panel=panels.NETWORK,
        ),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            help="The teacher's layers to imitate, the finest grid (stride 8) first, separated by commas. "
            "For ResNets: layer2,layer3.",
            show_default=False,
            rich_help_panel=panels.NETWORK,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            help="Length of the training in steps.",
            min=1,
            show_default=False,
            rich_help_panel=panels.TRAINING,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Length of the training in minutes, instead of --steps. Only --steps repeats exactly.",
            min=0.01,
            show_default=False,
            rich_help_panel=panels.TRAINING,
        ),
    ] = None,
    learning_rate: Annotated[
        float,
        typer.Option(
            help="Highest learning rate.",
            min=1e-6,
            max=1.0,
            rich_help_panel=panels.TRAINING,
        ),
    ] = 1.2e-3,
    precision: Annotated[
        str,
        typer.Option(
            help="Of the convolutions while training: bfloat16, much faster where the processor has it, or "
            "float32.",
            rich_help_panel=panels.TRAINING,
        ),
    ] = "bfloat16",
    seed: Annotated[
        int,
        typer.Option(
            help="Of everything random.",
            min=0,
            rich_help_panel=panels.TRAINING,
        ),
    ] = 0,
    device: common.Device = "auto",
    out: Annotated[
        Path,
        typer.Option(
            help="Directory for the checkpoint, the weights and the report.",
            rich_help_panel=panels.OUTPUT,
        ),
    ] = Path("distilled"),
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the training in --out.",
            rich_help_panel=panels.OUTPUT,
        ),
    ] = False,
    json: common.Json = False,
) -> None:
    """Train the compact network pcedge-s to imitate a pretrained one.

    Killed at any moment, it goes on with --resume from the checkpoint of a minute before. With --steps the
    result is the same as without the interruption.
    """
    from pcedge.cli.console import progress_bars

    try:
        from pcedge.networks import distillation
        from pcedge.networks.distillation.options import Precision
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "torch", "fit", "Distilling") from None
    if precision not in get_args(Precision):
        raise OptionError(f"There is no precision {precision!r}.", "Choose --precision bfloat16 or float32.")
    chosen = distillation.DistillOptions(
        out=out,
        teacher=teacher,
        weights=weights,
        layers=tuple(layer.strip() for layer in layers.split(",")) if layers else (),
        images=tuple(images or ()),
        procedural=procedural,
        steps=steps,
        minutes=minutes,
        seed=seed,
        learning_rate=learning_rate,
        precision="float32" if precision == "float32" else "bfloat16",
        device=device,
        resume=resume,
    )
    with progress_bars() as progress:
        result = distillation.distill(chosen, progress, _say_measurement)
    if json:
        _print_json(result)
    else:
        _print_summary(result)


def _say_measurement(measured: "HeldOutAgreement") -> None:
    from pcedge.cli.console import say

    say(
        "step {step}, {seconds} s: loss {loss}; held-out images: {plain} of the teacher's variance missed, "
        "{twins} of what small faults change",
        step=measured.step,
        seconds=f"{measured.seconds:.0f}",
        loss=f"{measured.training_loss:.4f}",
        plain=f"{measured.unexplained:.1%}",
        twins=f"{measured.twins_unexplained:.1%}",
    )


def _print_json(result: "DistillResult") -> None:
    import json
    from dataclasses import asdict

    print(
        json.dumps(
            {
                "weights": str(result.weights),
                "report": str(result.report),
                "settings": result.settings,
                "parameters": result.parameters,
                "as_written": result.as_written,
                "last": asdict(result.last),
                "unreadable": result.unreadable,
            }
        )
    )


def _print_summary(result: "DistillResult") -> None:
    from pcedge.cli.console import Facts, out, say

    table = Facts("Distilled pcedge-s")
    table.add("teacher", f"{result.settings['teacher']} ({', '.join(result.settings['teacher_layers'])})")
    table.add("pictures", str(result.settings["pictures"]))
    table.add("steps", f"{result.last.step:,} in {result.last.seconds / 60:.1f} minutes")
    plain, _, twins = result.as_written
    table.add(
        "held out", f"{plain:.1%} of the teacher's variance missed, {twins:.1%} of what small faults change"
    )
    table.add("parameters", f"{result.parameters:,}")
    table.add("weights", f"{result.weights} ({result.weights.stat().st_size / 1e6:.1f} MB)")
    table.add("report", str(result.report))
    out.print(table)
    if result.unreadable:
        say(
            "[yellow]{count} of the image files could not be read[/] and were passed over; the first: {name}",
            count=len(result.unreadable),
            name=result.unreadable[0],
        )
    say("Next: [bold]pcedge fit DATASET --backbone pcedge-s --weights {weights}[/]", weights=result.weights)
