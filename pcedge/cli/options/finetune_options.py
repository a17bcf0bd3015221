"""Command line options of fine-tuning, and its lines in a fit's summary."""

from typing import TYPE_CHECKING, Annotated

import typer

from pcedge.networks.finetuning.options import DEFAULT_EPOCHS, DEFAULT_LEARNING_RATE, FinetuneOptions

from . import panels

if TYPE_CHECKING:
    from pcedge.bundles.finetune_record import FinetuneRecord
    from pcedge.cli.console import Facts

Finetune = Annotated[
    str | None,
    typer.Option(
        help="Tune the backbone's last stage on the good images first: rotation (recognise by how many "
        "quarter turns an image was turned) or cutmix (tell a place from the same place with a piece of "
        "another image in it). The tuned weights are kept only if they tell synthetic faults on "
        "held-out good images clearly better.",
        show_default=False,
        rich_help_panel=panels.FINETUNING,
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(
        help=f"Passes of --finetune over the good images, at most. Without it, {DEFAULT_EPOCHS}.",
        show_default=False,
        rich_help_panel=panels.FINETUNING,
    ),
]
LearningRate = Annotated[
    float | None,
    typer.Option(
        help=f"Learning rate of --finetune for the backbone. Without it, "
        f"{DEFAULT_LEARNING_RATE:g}; a higher one moves the features further from what they were.",
        show_default=False,
        rich_help_panel=panels.FINETUNING,
    ),
]
Stages = Annotated[
    str | None,
    typer.Option(
        help="Modules whose weights --finetune tunes, separated by commas, such as layer2,layer3. Without "
        "it, the last of the layers used.",
        show_default=False,
        rich_help_panel=panels.FINETUNING,
    ),
]
Minutes = Annotated[
    float | None,
    typer.Option(
        help="Begin no epoch of --finetune after so many minutes. Only without it do results repeat.",
        show_default=False,
        rich_help_panel=panels.FINETUNING,
    ),
]


def finetune_options(
    method: str | None,
    epochs: int | None,
    learning_rate: float | None,
    stages: str | None,
    minutes: float | None,
) -> FinetuneOptions | None:
    """The options of the fine-tuning; None for no fine-tuning.

    Raises:
        OptionError: An option is invalid.
    """
    if method is None:
        return None
    return FinetuneOptions(
        method=method,  # type: ignore[arg-type] # it is checked there
        epochs=DEFAULT_EPOCHS if epochs is None else epochs,
        learning_rate=DEFAULT_LEARNING_RATE if learning_rate is None else learning_rate,
        stages=tuple(name.strip() for name in stages.split(",")) if stages else (),
        minutes=minutes,
    )


def add_to(table: "Facts", record: "FinetuneRecord") -> None:
    """Add the results of the fine-tuning to a summary."""
    table.add("fine-tuned", f"{record.method}, learning rate {record.learning_rate:g}: {record.reason}")
    if not record.kept:
        return
    for layer, change in record.features.items():
        table.add(
            f"{layer} features",
            f"CKA {change.cka:.4f}, cosine {change.cosine:.4f} with what they were; effective rank "
            f"{change.rank_before:.1f} before, {change.rank_after:.1f} after",
        )
