"""pcedge's closed-form patch embedding against the reference's unfolding and pooling.

Both start from the same feature maps of one layer2 and one layer3 as the backbones give them for a 224 x
224 image; the network itself is not run. Runs of the two alternate, each after an untimed one of its own;
the times are medians, and the best of all: what others run on the machine at the same time never makes a
call faster.
"""

import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pcedge.cli.console import out, progress_bars
from pcedge.core.progress import Progress

from .command import Json, Seed, environment, print_environment, print_json, run

if TYPE_CHECKING:
    from torch import Tensor

    from pcedge.networks.patch_embedding import PatchEmbedder

SHAPES_CHW = {
    "wide_resnet50_2": ((512, 28, 28), (1024, 14, 14)),
    "resnet18": ((128, 28, 28), (256, 14, 14)),
}


def compare(name: str, images: int, repeats: int, seed: int, progress: Progress) -> dict[str, Any]:
    """Time both on the shapes of one backbone.

    Args:
        name: One of ``SHAPES_CHW``.
        images: In one call.
        repeats: Calls of each that are timed.
        seed: Of the feature maps.
        progress: Called with the calls.
    """
    import torch
    from torch import Tensor

    from pcedge.networks.patch_embedding import REFERENCE_DIMS

    from .baselines import aggregate_as_the_reference

    generator = torch.Generator().manual_seed(seed)
    features = [torch.randn(images, *shape, generator=generator).relu() for shape in SHAPES_CHW[name]]
    ours, nothing = _closed_form(name, features), torch.empty(0)

    def closed_form() -> Tensor:
        rows: Tensor = ours(nothing)
        return rows

    def aggregated() -> Tensor:
        return aggregate_as_the_reference(features, REFERENCE_DIMS)

    calls = {"ours": closed_form, "reference": aggregated}
    with torch.inference_mode():
        difference = float((closed_form() - aggregated()).abs().max())
        seconds: dict[str, list[float]] = {call: [] for call in calls}
        for done in range(repeats):
            for call, compute in calls.items():
                compute()  # what the other left behind in caches and in the allocator is not this one's cost
                seconds[call].append(_timed(compute))
            progress(name, done + 1, repeats)
    ours_ms, reference_ms = (1000 * statistics.median(seconds[call]) / images for call in calls)
    best_ms, reference_best_ms = (1000 * min(seconds[call]) / images for call in calls)
    return {
        "ours_ms": ours_ms,
        "reference_ms": reference_ms,
        "reference_over_ours": reference_ms / ours_ms,
        "ours_best_ms": best_ms,
        "reference_best_ms": reference_best_ms,
        "reference_over_ours_best": reference_best_ms / best_ms,
        "largest_difference": difference,
        "layers_chw": SHAPES_CHW[name],
    }


def _closed_form(name: str, features: "list[Tensor]") -> "PatchEmbedder":
    """The embedder on a backbone that returns the given maps."""
    from torch import nn

    from pcedge.networks.patch_embedding import PatchEmbedder

    class Given(nn.Module):
        def forward(self, images: "Tensor") -> "list[Tensor]":
            return features

    return PatchEmbedder(Given(), SHAPES_CHW[name])


def _timed(compute: "Callable[[], Tensor]") -> float:
    began = time.perf_counter()
    # Read as the bank reads it: rows one after the other.
    compute().contiguous()
    return time.perf_counter() - began


def main(
    images: Annotated[int, typer.Option(min=1, help="Pictures in one call.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="Calls of each that are timed.")] = 20,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Compare pcedge's patch embedding with the reference's, in milliseconds an image."""
    where = environment()
    with progress_bars() as progress:
        shapes = {name: compare(name, images, repeats, seed, progress) for name in SHAPES_CHW}
    result = {"shapes": shapes, "images": images, "repeats": repeats, "seed": seed, **where}
    if as_json:
        print_json(result)
    else:
        _print_table(result)


def _print_table(result: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(title="Patch embedding, a picture", title_justify="left", title_style="bold")
    for heading in (
        "shapes",
        "ours, ms (best)",
        "reference, ms (best)",
        "ratio (best)",
        "largest difference",
    ):
        table.add_column(heading, justify="left" if heading == "shapes" else "right")
    for name, found in result["shapes"].items():
        table.add_row(
            name,
            f"{found['ours_ms']:.2f} ({found['ours_best_ms']:.2f})",
            f"{found['reference_ms']:.1f} ({found['reference_best_ms']:.1f})",
            f"{found['reference_over_ours']:.1f} ({found['reference_over_ours_best']:.1f})",
            f"{found['largest_difference']:.1e}",
        )
    out.print(table)
    print_environment(result)


if __name__ == "__main__":
    run(main)
