"""What the score of a method that draws images anew stands for: defects, or the look of the image anyway.

Fits the autoencoder and the GAN and puts beside their image AUROC what no network is needed for (how bright
and how rich in contrast an image is), how far the score follows from that among good images, what is left
of it when that is taken off, and whether it rises when a fault is drawn into an image that stays the same
otherwise. The last tells a score that knows nothing, or whose sign is wrong, from one that differs more from
image to image than by a defect.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.card import around_results, replace_results
from benchmarks.command import Card, Json, Seed, environment, print_environment, print_json, run
from pcedge.camera import read_image
from pcedge.cli.console import out, progress_bars
from pcedge.core.preprocessing import Preprocessing
from pcedge.core.progress import Progress
from pcedge.datasets import GOOD, Dataset, labelled_images, open_dataset
from pcedge.errors import DatasetError, OptionError
from pcedge.evaluation.metrics import image_metrics
from pcedge.fitting.options import FitOptions
from pcedge.inspection.runtimes import Candidate
from pcedge.methods import (
    BaselineBundle,
    BaselineInspector,
    NetworkMethod,
    find_method,
    fit_baseline,
    open_network,
)
from pcedge.networks.distillation import with_local_change

BEGIN = "<!-- results: filled by python -m benchmarks.reconstruction ... --card docs/results/ae-gan.md -->"
METHODS = ("ae", "gan")
LOOKS = ("brightness", "contrast", "texture")
# How coarse detail may be that counts as texture, in pixels of the image that is drawn.
_FINE = 2.0

Values = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Seen:
    """Numbers of some images by name, and how well they are drawn.

    Attributes:
        values: ``score``, ``map, largest``, ``map, mean`` and ``LOOKS``, float64 [pictures] each.
        error: Mean squared error of the drawn images.
        pixels: float32 [pictures, 3, side, side], what was to be drawn.
    """

    values: Values
    error: float
    pixels: NDArray[np.float32]


def main(
    datasets: Annotated[list[Path], typer.Argument(help="With training and test images.")],
    methods: Annotated[str, typer.Option(help="Separated by commas.")] = ",".join(METHODS),
    image_size: Annotated[int, typer.Option(help="Side that whole images are resized to.")] = 224,
    epochs: Annotated[
        int | None, typer.Option(help="Of the training, at most. Without it, the method's own.")
    ] = None,
    seed: Seed = 0,
    card: Card = None,
    json: Json = False,
) -> None:
    """Measure what the image scores of reconstruction depend on."""
    if card is not None:
        around_results(card, BEGIN)  # a card without a place for results is said before the work
    measured_on = environment()
    result: dict[str, Any] = {"image_size": image_size, "seed": seed, "datasets": {}}
    with progress_bars() as progress:
        for path in datasets:
            dataset = open_dataset(path)
            result["datasets"][dataset.name] = {
                name: measure(dataset, name, image_size, epochs, seed, progress)
                for name in methods.split(",")
            }
    result |= measured_on
    if card is not None:
        replace_results(card, markdown(result), BEGIN)
    if json:
        print_json(result)
        return
    for line in markdown(result):
        out.print(line, highlight=False)
    print_environment(measured_on)


def measure(
    dataset: Dataset, method: str, size: int, epochs: int | None, seed: int, progress: Progress
) -> dict[str, Any]:
    """Fit one method on one dataset and say what its score follows from."""
    kinds = _kinds(dataset)
    settings = {"minutes": 0} | ({} if epochs is None else {"epochs": epochs})
    with TemporaryDirectory() as folder:
        options = FitOptions(
            preprocessing=Preprocessing(size), models=Path(folder), name=method, seed=seed, cache_gb=0
        )
        bundle = fit_baseline(dataset.root, method, options, settings, progress).bundle
        held_out = [dataset.root / name for name in bundle.manifest.threshold.held_out]
        with open_network(bundle, Candidate("torch", "auto")) as runtime:
            inspector = network_method(method).detector(bundle, runtime)
            reference = _seen(bundle, inspector, _inputs(inspector, held_out))
            seen = {
                kind: _seen(bundle, inspector, _inputs(inspector, paths)) for kind, paths in kinds.items()
            }
            marked = _seen(bundle, inspector, _marked(inspector, kinds[GOOD], seed))
    good = seen.pop(GOOD)
    trained = bundle.manifest.settings
    return {
        "epochs_done": trained["epochs_done"],
        "epoch_kept": trained["epoch_kept"],
        "drawn": 1 - good.error / float(np.square(good.pixels - reference.pixels.mean(axis=0)).mean()),
        "auroc": {name: _auroc(name, good.values, seen) for name in good.values}
        | {"score beside its looks": _beside_looks(reference.values, good.values, seen)},
        "follows": {name: _rank_correlation(good.values["score"], good.values[name]) for name in LOOKS},
        "marks": {
            "rises": float((marked.values["score"] > good.values["score"]).mean()),
            "auroc": _separation(good.values["score"], marked.values["score"]),
        },
    }


def _kinds(dataset: Dataset) -> dict[str, list[Path]]:
    """Test images by kind."""
    kinds: dict[str, list[Path]] = {GOOD: []}
    for sample in labelled_images(dataset):
        kinds.setdefault(sample.kind if sample.is_defect else GOOD, []).append(sample.path)
    if not kinds[GOOD] or len(kinds) == 1:
        raise DatasetError(
            f"{dataset.title} has not both good and defective test images.", "Name a dataset that has."
        )
    return kinds


def _inputs(inspector: BaselineInspector, paths: Iterable[Path]) -> Iterator[NDArray[np.float32]]:
    for path in paths:
        yield inspector.preprocessing.apply(read_image(path))


def _marked(inspector: BaselineInspector, paths: Iterable[Path], seed: int) -> Iterator[NDArray[np.float32]]:
    """The images with a scratch, spot, stain, print or displaced piece in each."""
    rng = np.random.default_rng(seed)
    prepared = inspector.preprocessing
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (prepared.mean, prepared.std))
    for one in _inputs(inspector, paths):
        picture = np.clip(np.rint((one * std + mean) * 255), 0, 255).astype(np.uint8)
        changed = with_local_change(rng, np.ascontiguousarray(picture.transpose(1, 2, 0)))
        yield ((changed.transpose(2, 0, 1) / np.float32(255) - mean) / std).astype(np.float32)


def network_method(name: str) -> NetworkMethod:
    """One of the methods that this benchmark is of."""
    method = find_method(name)
    if not isinstance(method, NetworkMethod):
        raise OptionError(f"{name} draws no images.", f"Choose from: {', '.join(METHODS)}.")
    return method


def _seen(
    bundle: BaselineBundle, inspector: BaselineInspector, inputs: Iterator[NDArray[np.float32]]
) -> Seen:
    import torch

    network: Any = network_method(bundle.manifest.method).module(bundle)
    rows, shown, errors = [], [], []
    for one in inputs:
        stages = inspector.stages_of(one)
        with torch.inference_mode():
            pixels = network.pixels(torch.from_numpy(one[np.newaxis]))
            drawn = network.core.draw(pixels)
        drawn = drawn[0] if isinstance(drawn, tuple) else drawn
        errors.append(float((drawn - pixels).square().mean()))
        shown.append(pixels[0].numpy())
        looks = _looks(shown[-1].mean(axis=0))
        rows.append((stages.score, stages.score_map.max(), stages.cells.mean(), *looks))
    names = ("score", "map, largest", "map, mean", *LOOKS)
    columns = np.array(rows, np.float64).T
    return Seen(dict(zip(names, columns, strict=True)), float(np.mean(errors)), np.stack(shown))


def _looks(grey: NDArray[np.float32]) -> tuple[float, float, float]:
    """Brightness, contrast and fine texture of an image with values from 0 to 1."""
    fine = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), _FINE)).mean()
    return float(grey.mean()), float(grey.std()), float(fine)


def _separation(good: NDArray[np.float64], bad: NDArray[np.float64]) -> float | None:
    return image_metrics(good.astype(np.float32), bad.astype(np.float32), resamples=1).auroc.value


def _auroc(name: str, good: Values, seen: Mapping[str, Seen]) -> dict[str, float | None]:
    """Of all defective images, then kind by kind."""
    bad = {kind: one.values[name] for kind, one in seen.items()}
    every = _separation(good[name], np.concatenate(list(bad.values())))
    return {"all": every} | {kind: _separation(good[name], values) for kind, values in bad.items()}


def _beside_looks(reference: Values, good: Values, seen: Mapping[str, Seen]) -> dict[str, float | None]:
    """AUROC of the score's logarithm less what a line through held-out good images makes of their looks."""

    def table(values: Values) -> NDArray[np.float64]:
        return np.column_stack([np.ones(len(values["score"])), *(values[name] for name in LOOKS)])

    line = np.linalg.lstsq(table(reference), np.log(reference["score"]), rcond=None)[0]

    def left(values: Values) -> Values:
        return {"score": np.log(values["score"]) - table(values) @ line}

    rest = {kind: Seen(left(one.values), one.error, one.pixels) for kind, one in seen.items()}
    return _auroc("score", left(good), rest)


def _rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Spearman's; ties, which do not happen with such values, are not averaged."""
    ranks = np.stack([values.argsort().argsort() for values in (one, other)])
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def markdown(result: Mapping[str, Any]) -> Iterator[str]:
    """Lines of what ``--json`` prints."""
    size, seed = result["image_size"], result["seed"]
    yield f"Whole images to {size} px, seed {seed}, trained without a limit of time. AUROC in percent:"
    for dataset, found in result["datasets"].items():
        kinds = list(next(iter(found.values()))["auroc"]["score"])
        yield ""
        yield f"| {dataset} | {' | '.join(kinds)} |"
        yield f"|---|{'---|' * len(kinds)}"
        for method, one in found.items():
            score = one["auroc"]["score"]
            for name, values in one["auroc"].items():
                if name == "score" or (name not in LOOKS and values != score):
                    yield _row(f"`{method}`: {name}", values.values())
        method, one = next(iter(found.items()))  # the others see the same images, larger or smaller
        for name in LOOKS:
            yield _row(f"no network: {name} of what `{method}` is shown", one["auroc"][name].values())
    yield ""
    yield (
        "| method | epochs, kept | drawn | score and brightness, contrast, texture | fault drawn in: score "
        "rises | AUROC |"
    )
    yield "|---|---|---|---|---|---|"
    for dataset, found in result["datasets"].items():
        for method, one in found.items():
            follows = ", ".join(f"{one['follows'][name]:+.2f}" for name in LOOKS)
            epochs = f"{one['epochs_done']}, {one['epoch_kept']}"
            yield (
                f"| `{method}` on {dataset} | {epochs} | {one['drawn']:.0%} | {follows} | "
                f"{one['marks']['rises']:.0%} | {100 * one['marks']['auroc']:.1f} |"
            )


def _row(name: str, values: Iterable[float | None]) -> str:
    return f"| {name} | {' | '.join('' if one is None else f'{100 * one:.1f}' for one in values)} |"


if __name__ == "__main__":
    run(main)
