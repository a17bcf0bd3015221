"""Notes of ``pcedge fit`` on a fit, for every method."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcedge.datasets import LeftOut
    from pcedge.fitting.result import FitResult

_SHOWN = 5


def print_notes(result: "FitResult[Any]", asked_rate: float | None) -> None:
    """Print what to check before trusting the bundle."""
    from pcedge.cli.console import say
    from pcedge.thresholds.conformal import DEFAULT_FALSE_REJECT_RATE, images_needed

    manifest, limit = result.bundle.manifest, result.bundle.manifest.threshold
    if result.offline_default:
        say("[yellow]{reason}[/]", reason=offline_reason(result))
    finetuning = manifest.backbone.finetuning if manifest.backbone else None
    for note in finetuning.notes if finetuning else ():
        say("[yellow]Fine-tuning:[/] {note}", note=note)
    for name, reason in list(manifest.skipped.items())[:_SHOWN]:
        say("[yellow]Skipped[/] {name}: {reason}", name=name, reason=reason)
    if len(manifest.skipped) > _SHOWN:
        say("[yellow]Skipped[/] {count} more; --json lists all.", count=len(manifest.skipped) - _SHOWN)
    print_left_out(result.left_out)
    print_dependent(result.dependent)
    if result.cache_problem:
        say("[yellow]The cache of features was switched off:[/] {problem}", problem=result.cache_problem)
    if result.outliers:
        worst = ", ".join(f"{name} ({score:.4g})" for name, score in list(result.outliers.items())[:5])
        say("[yellow]Look at these training images, they stand far out:[/] {worst}", worst=worst)
        if max(result.outliers.values()) >= limit.score:
            say(
                "The threshold lies that high because of them: remove those that are not good, or accept "
                "more false rejects with a larger --false-reject-rate."
            )
    if asked_rate is None and limit.false_reject_rate > DEFAULT_FALSE_REJECT_RATE:
        say(
            "[yellow]{held} {images} support a false-reject rate of {rate} at best;[/] {needed} would "
            "support {wanted}.",
            held=len(set(limit.groups.values()) or limit.held_out),
            images="groups" if limit.groups else "images held out" if limit.folds == 1 else "images",
            rate=f"{limit.false_reject_rate:.2%}",
            needed=images_needed(DEFAULT_FALSE_REJECT_RATE),
            wanted=f"{DEFAULT_FALSE_REJECT_RATE:.0%}",
        )


def print_dependent(groups: "tuple[tuple[str, ...], ...]") -> None:
    """Print which images show the same part, so that they count as one."""
    from pcedge.cli.console import say

    if not groups:
        return
    said = "; ".join(", ".join(names[:_SHOWN]) + ", ..." * (len(names) > _SHOWN) for names in groups[:_SHOWN])
    say(
        "[yellow]{images} images show what {count} others show already[/] (copies, or the same part again), "
        "and count as one with these: {said}{more}. If they show different parts: --groups each",
        images=sum(map(len, groups)) - len(groups),
        count=len(groups),
        said=said,
        more=f"; and {len(groups) - _SHOWN} more" if len(groups) > _SHOWN else "",
    )


def print_left_out(left_out: "tuple[LeftOut, ...]") -> None:
    """Print what is in a dataset's folder and not used."""
    from pcedge.cli.console import say

    if left_out:
        said = "; ".join(f"{one}" for one in left_out)
        say("[yellow]Not used of what is in the folder:[/] {said}.", said=said)


def offline_reason(result: "FitResult[Any]") -> str:
    """Why ``pcedge-s`` was the default, and how to get the larger network; empty if it was not."""
    backbone = result.bundle.manifest.backbone
    if result.offline_default is None or backbone is None:
        return ""
    return (
        f"No --backbone was named, and {backbone.name} was used: "
        f"{result.offline_default.what} For the larger network: {result.offline_default.hint}"
    )
