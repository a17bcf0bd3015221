"""Teach-in measured: a mode of good images taken out of the fit and taught; defects offered as lessons.

``python -m benchmarks.teaching mvtec/bottle magnetic_tile --weights resnet18.pth``, and without a dataset
on a rendered line. Modes are found in the images themselves (those that lie farthest out along a principal
component of their mean embedding; names with a common beginning) or made: light that falls from the side,
a brushed finish. For each, five images of it are taught, and the rest of it is judged before and after.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from pcedge import Bundle, CoresetSize, FitOptions, export_bundle, fit, open_dataset, read_image, teach
from pcedge.adaptation.teaching import read_log, rollback
from pcedge.adaptation.teaching.consensus import StrangePatches, opinions
from pcedge.camera import write_dataset, write_image
from pcedge.cli.console import out, progress_bars
from pcedge.core.files import link_or_copy
from pcedge.core.progress import Progress
from pcedge.evaluation.metrics import image_metrics
from pcedge.inspection.exported_network import exported_network

from .command import Json, Seed, environment, print_environment, print_json, run

_LESSON = 5
_FEWEST = 12
_OUTERMOST = 0.15
_COMPONENTS = 4


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures of one dataset and their embeddings, float32 [pictures, patches, dims], on disk."""

    paths: tuple[Path, ...]
    kinds: tuple[str, ...]
    embeddings: NDArray[np.float32]

    def where(self, kind: str) -> NDArray[np.int64]:
        """Numbers of the images of a kind: ``train``, ``good``, ``MODE good``, ``MODE defect``, others."""
        return np.flatnonzero(np.array(self.kinds) == kind)

    @property
    def defects(self) -> dict[str, NDArray[np.int64]]:
        """Numbers of the images of every kind of defect."""
        kinds = sorted({kind for kind in self.kinds if kind not in ("train", "good") and " " not in kind})
        return {kind: self.where(kind) for kind in kinds}


@dataclass(frozen=True)
class Mode:
    """What teaching five images of a mode changed.

    Attributes:
        mode: Which.
        images: Of it that were judged before and after: neither fitted on nor taught.
        ng_before, ng_after: Share of these that are NG.
        rejected_before, rejected_after: Share that is NG or REVIEW.
        taught: Images that were accepted, of five.
        refused: Images that were refused, of five; the others passed already.
        rows: Rows that the lessons brought, of ``bank_rows``.
        auroc_before, auroc_after: Of defects among the good test images outside the mode.
        misses_before, misses_after: Share of defects that are OK.
        mode_auroc_before, mode_auroc_after: Of defects in the mode among its good images; None for modes
            that were found, as nobody has defects of these.
        same_bytes: Whether rolling back gave the bank's file and thresholds as they were.
    """

    mode: str
    pictures: int
    ng_before: float
    ng_after: float
    rejected_before: float
    rejected_after: float
    taught: float
    refused: float
    rows: float
    bank_rows: int
    auroc_before: float
    auroc_after: float
    misses_before: float
    misses_after: float
    mode_auroc_before: float | None
    mode_auroc_after: float | None
    same_bytes: bool


def light(image_rgb: NDArray[np.uint8], strength: float) -> NDArray[np.uint8]:
    """The image lit from the side: 0.6 of the light at its left edge, 1.4 at its right (times strength)."""
    change = np.linspace(-0.4, 0.4, image_rgb.shape[1], dtype=np.float32)[np.newaxis, :, np.newaxis]
    gain = 1 + strength * change
    return np.asarray(np.clip(image_rgb * gain + 0.5, 0, 255), np.uint8)


def finish(image_rgb: NDArray[np.uint8], strength: float) -> NDArray[np.uint8]:
    """The image with a brushed finish: fine upright lines of 12 grey levels, for a strength of 1."""
    height, width = image_rgb.shape[:2]
    phase = np.arange(width, dtype=np.float32) * (2 * np.pi * 28 / width)
    lines = np.broadcast_to(12 * strength * np.sin(phase), (height, width))[:, :, np.newaxis]
    return np.asarray(np.clip(image_rgb + lines + 0.5, 0, 255), np.uint8)


MADE = {"side light": light, "brushed finish": finish}


def see(root: Path, bundle: Bundle, work: Path, strength: float, progress: Progress) -> Pictures:
    """Embed every image of a dataset, and the test images under every made mode."""
    dataset = open_dataset(root)
    paths = [(path, "train") for path in dataset.train]
    paths += [(sample.path, sample.kind if sample.is_defect else "good") for sample in dataset.test]
    for name, change in MADE.items():
        for sample in dataset.test:
            kind = "defect" if sample.is_defect else "good"
            path = work / name / f"{sample.kind}-{sample.path.stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(path, change(read_image(sample.path), strength))
            paths.append((path, f"{name} {kind}"))
    network = exported_network(bundle, "cpu")
    shape = (len(paths), *network.shape)
    embeddings = np.lib.format.open_memmap(work / "embeddings.npy", "w+", np.float32, shape)
    with network.runtime as runtime:
        for number, (path, _) in enumerate(paths):
            pixels = network.preprocessing.apply(read_image(path))
            (embeddings[number],) = runtime.infer(pixels[np.newaxis])
            progress("evaluate", number + 1, len(paths))
    return Pictures(tuple(path for path, _ in paths), tuple(kind for _, kind in paths), embeddings)


def natural_modes(pictures: Pictures, pattern: str) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Groups of good images that may be taken out of the fit."""
    good = np.concatenate([pictures.where("train"), pictures.where("good")])
    groups: dict[str, list[int]] = {}
    for number in good:
        if found := re.match(pattern, pictures.paths[number].name):
            groups.setdefault(found[0], []).append(int(number))
    if len(groups) > 1:
        yield from ((f"names {name}", np.array(one)) for name, one in sorted(groups.items()))
    means = np.stack([pictures.embeddings[number].mean(axis=0) for number in good])
    centred = means - means.mean(axis=0)
    _, _, components = np.linalg.svd(centred, full_matrices=False)
    for component in range(min(_COMPONENTS, len(components))):
        along = centred @ components[component]
        for sign, name in ((1, "high"), (-1, "low")):
            far = sign * along > np.quantile(sign * along, 1 - _OUTERMOST)
            yield f"component {component + 1}, {name}", good[far]


class Bench:
    """One dataset: banks fitted without a mode, taught, and rolled back."""

    def __init__(self, pictures: Pictures, base: Bundle, work: Path, coreset: str, draws: int) -> None:
        self.pictures, self.base, self.work = pictures, base, work
        self.coreset, self.draws = coreset, draws
        self._fits = 0

    def mode(self, name: str, members: NDArray[np.int64], bundle: Bundle, seed: int) -> Mode:
        """Teach images of a mode to a bundle that was fitted without them."""
        draws = [self._draw(name, members, bundle, seed + draw) for draw in range(self.draws)]
        means: dict[str, Any] = {
            key: float(np.mean([getattr(draw, key) for draw in draws]))
            for key, value in asdict(draws[0]).items()
            if isinstance(value, (int, float)) and key not in ("pictures", "bank_rows", "same_bytes")
        }
        return replace(draws[0], **means, same_bytes=all(draw.same_bytes for draw in draws))

    def without(self, members: NDArray[np.int64]) -> Bundle:
        """A bundle fitted on the training images that are not of the mode."""
        self._fits += 1
        root = self.work / f"fit-{self._fits}"
        for number in np.setdiff1d(self.pictures.where("train"), members):
            path = self.pictures.paths[number]
            link_or_copy(path.resolve(), root / "train" / "good" / path.name)
        options = FitOptions(
            like=self.base, coreset=CoresetSize.parse(self.coreset), models=self.work / "models"
        )
        return fit(root, options).bundle

    def _draw(self, name: str, members: NDArray[np.int64], bundle: Bundle, seed: int) -> Mode:
        shuffled = np.random.default_rng(seed).permutation(members)
        lesson, rest = shuffled[:_LESSON], shuffled[_LESSON:]
        before, digest = self._measure(name, bundle, rest, members), self._identity(bundle)
        result = teach(bundle, [self.pictures.paths[number] for number in lesson])
        after, same = self._measure(name, result.bundle, rest, members), True
        if result.entry is not None:
            restored = rollback(result.bundle, read_log(result.bundle)[-1].number - 1).bundle
            same = self._identity(restored) == digest
        outcomes = [one.outcome for one in result.images]
        return Mode(
            mode=name,
            pictures=len(rest),
            taught=outcomes.count("taught"),
            refused=outcomes.count("refused"),
            rows=result.added,
            bank_rows=bundle.manifest.bank.rows,
            same_bytes=same,
            **{f"{key}_before": value for key, value in before.items()},
            **{f"{key}_after": value for key, value in after.items()},
        )

    def _identity(self, bundle: Bundle) -> tuple[Any, ...]:
        manifest = Bundle.open(bundle.directory).manifest
        return manifest.files["bank.faiss"], manifest.threshold, manifest.bank

    def _measure(
        self, name: str, bundle: Bundle, rest: NDArray[np.int64], members: NDArray[np.int64]
    ) -> dict[str, Any]:
        bundle = Bundle.open(bundle.directory)
        limits, bank = bundle.manifest.threshold, bundle.open_bank()
        review = limits.score if limits.review is None else limits.review

        def scores(numbers: NDArray[np.int64]) -> NDArray[np.float32]:
            found = [bank.search(self.pictures.embeddings[n])[0].max() for n in numbers]
            return np.array(found, np.float32)

        mode = scores(rest)
        others = scores(np.setdiff1d(self.pictures.where("good"), members))
        defects = scores(np.concatenate(list(self.pictures.defects.values())))
        changed = scores(self.pictures.where(f"{name} defect"))
        return {
            "ng": float((mode > limits.score).mean()),
            "rejected": float((mode > review).mean()),
            "auroc": image_metrics(others, defects, resamples=10).auroc.value,
            "mode_auroc": image_metrics(mode, changed, resamples=10).auroc.value if len(changed) else None,
            "misses": float((defects <= review).mean()),
        }


def defect_lessons(pictures: Pictures, bundle: Bundle, draws: int, seed: int) -> list[dict[str, Any]]:
    """Offer defects as lessons: alone, five of a kind together, one among four good ones of a new light."""
    rng, bank, limits = np.random.default_rng(seed), bundle.open_bank(), bundle.manifest.threshold
    limit = limits.score if limits.review is None else min(limits.review, limits.score)

    def seen(number: int) -> StrangePatches:
        embeddings = np.array(pictures.embeddings[number])
        distances, _ = bank.search(embeddings)
        return StrangePatches(embeddings, distances, float(distances.max()))

    lit = pictures.where("side light good")
    found: dict[tuple[str, str], list[str]] = {}
    for kind, numbers in pictures.defects.items():
        for number in numbers:
            found.setdefault((kind, "alone"), []).append(opinions([seen(number)], [], limit)[0].outcome)
            company = [seen(one) for one in rng.choice(lit, _LESSON - 1, replace=False)]
            outcome = opinions([seen(number), *company], [], limit)[0].outcome
            found.setdefault((kind, "with 4 good"), []).append(outcome)
        for _ in range(draws):
            shuffled = rng.permutation(numbers)
            for start in range(0, len(shuffled) - _LESSON + 1, _LESSON):
                group = [seen(number) for number in shuffled[start : start + _LESSON]]
                outcomes = [one.outcome for one in opinions(group, [], limit)]
                found.setdefault((kind, "5 of a kind"), []).extend(outcomes)
    return [
        {
            "kind": kind,
            "offered": how,
            "lessons": len(outcomes),
            **{name: outcomes.count(name) / len(outcomes) for name in ("taught", "refused", "passes")},
        }
        for (kind, how), outcomes in found.items()
    ]


def measure(
    root: Path,
    options: FitOptions,
    pattern: str | None,
    strength: float,
    draws: int,
    seed: int,
    progress: Progress,
) -> dict[str, Any]:
    """All of it on one dataset; without a pattern, modes are made only."""
    with ExitStack() as stack:
        work = Path(stack.enter_context(TemporaryDirectory(prefix="pcedge-teaching-")))
        base = fit(root, replace(options, models=work / "base"), progress).bundle
        base = export_bundle(base).bundle
        pictures = see(root, base, work, strength, progress)
        bench = Bench(pictures, base, work, str(options.coreset), draws)
        modes = [] if pattern is None else list(natural_modes(pictures, pattern))
        results = []
        for done, (name, members) in enumerate(modes):
            progress("teach", done, len(modes) + len(MADE))
            if len(members) >= _FEWEST:
                results.append(bench.mode(name, members, bench.without(members), seed))
        for done, name in enumerate(MADE, len(modes)):
            progress("teach", done, len(modes) + len(MADE))
            results.append(bench.mode(name, pictures.where(f"{name} good"), base, seed))
        progress("teach", len(modes) + len(MADE), len(modes) + len(MADE))
        return {
            "modes": [asdict(one) for one in results],
            "defects": defect_lessons(pictures, base, draws, seed),
        }


def main(
    datasets: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders in MVTec layout. Without any, a rendered line.", show_default=False),
    ] = None,
    backbone: Annotated[str, typer.Option(help="The network.")] = "resnet18",
    weights: Annotated[Path | None, typer.Option(help="Its weights, as a file.", show_default=False)] = None,
    coreset: Annotated[str, typer.Option(help="A fraction (0.1), 10%, or a number of rows.")] = "1%",
    pattern: Annotated[str, typer.Option(help="Beginning of a name that images of a mode share.")] = (
        r"exp\d+_"
    ),
    found_modes: Annotated[
        bool,
        typer.Option("--found/--made-only", help="Whether modes found in the images are taken out too."),
    ] = True,
    strength: Annotated[float, typer.Option(help="Of the modes that are made.", min=0.0)] = 1.0,
    draws: Annotated[int, typer.Option(help="Lessons that are drawn of each mode.", min=1)] = 3,
    train: Annotated[int, typer.Option(help="Pictures to fit on of the rendered line.", min=8)] = 60,
    per_defect: Annotated[int, typer.Option(help="Its images of each kind of defect.", min=1)] = 10,
    size: Annotated[int, typer.Option(help="Side of its images in pixels.", min=64)] = 384,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Teach five images of a mode that was taken out of the fit; offer defects as lessons."""
    where = environment()
    options = FitOptions(backbone=backbone, weights=weights, coreset=CoresetSize.parse(coreset))
    results: dict[str, Any] = {}
    with TemporaryDirectory(prefix="pcedge-line-") as folder:
        roots = list(datasets or [])
        if not roots:
            roots = [Path(folder) / "line"]
            good = max(_FEWEST, train // 2)
            write_dataset(roots[0], train=train, test_good=good, per_defect=per_defect, size=size)
        for root in roots:
            with progress_bars() as progress:
                results[root.name] = measure(
                    root, options, pattern if found_modes else None, strength, draws, seed, progress
                )
            if not as_json:
                _print(root.name, results[root.name])
    if as_json:
        print_json({"datasets": results, **where})
    else:
        print_environment(where)


def _print(name: str, found: dict[str, Any]) -> None:
    table = Table(title=f"{name}: a mode is taught", title_justify="left")
    for heading in ("mode", "judged", "taught", "refused", "rows"):
        table.add_column(heading)
    for heading in ("NG", "NG or REVIEW", "AUROC", "misses", "AUROC in the mode", "rolled back"):
        table.add_column(heading)
    for one in found["modes"]:
        pairs = [
            "-"
            if one[f"{key}_before"] is None
            else f"{one[f'{key}_before']:.{digits}f} -> {one[f'{key}_after']:.{digits}f}"
            for key, digits in (("ng", 2), ("rejected", 2), ("auroc", 4), ("misses", 2), ("mode_auroc", 4))
        ]
        counts = (f"{one['taught']:.1f}", f"{one['refused']:.1f}", f"{one['rows']:.0f}/{one['bank_rows']}")
        same = "same bytes" if one["same_bytes"] else "DIFFERS"
        table.add_row(one["mode"], str(one["pictures"]), *counts, *pairs, same)
    out.print(table)
    table = Table(title=f"{name}: defects offered as lessons", title_justify="left")
    for heading in ("kind", "offered", "lessons", "taught", "refused", "passes, nothing to learn"):
        table.add_column(heading)
    for one in found["defects"]:
        shares = (f"{one[key]:.1%}" for key in ("taught", "refused", "passes"))
        table.add_row(one["kind"], one["offered"], str(one["lessons"]), *shares)
    out.print(table)


if __name__ == "__main__":
    run(main)
