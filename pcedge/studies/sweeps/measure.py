"""One network of a sweep: banks of several sizes from one selection, and every test image through all."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import Bank, CoresetSize, RowSources, greedy_coreset, project
from pcedge.core.progress import Progress
from pcedge.core.scoring import anomaly_map, reweighted_score
from pcedge.datasets import Dataset, Sample, read_content, read_ground_truth
from pcedge.errors import DatasetError, ImageError, OptionError
from pcedge.evaluation.evaluate import Evaluation, summarise
from pcedge.evaluation.inference import Judged
from pcedge.fitting.features import BATCH, Features, embed_images
from pcedge.fitting.memory import plan_memory
from pcedge.inspection.patchcore_detector import Inspector

from .network import SweepNetwork
from .points import Point

_TIMED_IMAGES, _TIMED_ROUNDS = 5, 4


class SweepMeasurement:
    """Measures the points of one network.

    Args:
        dataset: With training and test images.
        network: Runs once over each image.
        wanted: Coreset to numbers of neighbours.
        seed: Of the projection.
        progress: Called with the stages ``embed``, ``coreset`` and ``evaluate``.

    Attributes:
        skipped: Images that could not be used, and why, by name.
    """

    def __init__(
        self,
        dataset: Dataset,
        network: SweepNetwork,
        wanted: dict[CoresetSize, list[int]],
        seed: int,
        progress: Progress,
    ) -> None:
        self.skipped: dict[str, str] = {}
        self._dataset = dataset
        self._network = network
        self._wanted = wanted
        self._seed = seed
        self._progress = progress

    def points(self) -> list[Point]:
        """Every point.

        Raises:
            DatasetError: No training image, or no test image, can be used.
            OptionError: The embeddings do not fit into the memory.
        """
        banks = self._banks()
        judged = self._judge(banks)
        pictures = self._timed_pictures()
        return [
            self._point(coreset, count, banks[coreset], evaluation, pictures)
            for coreset, counts in self._wanted.items()
            for count, evaluation in self._evaluations(counts, judged[coreset])
        ]

    def _banks(self) -> dict[CoresetSize, Bank]:
        """A bank for each size: greedy selection of the largest begins with those of all smaller ones."""
        paths = self._dataset.train
        for size in self._wanted:
            if not plan_memory(len(paths), *self._network.shape, size).exact:
                raise OptionError(
                    f"The features of {len(paths)} images do not fit into the memory at once.",
                    "Sweep a smaller --image-size, or a folder with fewer training images.",
                )
        features = self._embed(paths, self._progress)
        if not features.paths:
            raise DatasetError("No training image can be used.", "Replace those that are damaged.")
        rows = features.embeddings.reshape(-1, self._network.dims)
        counts = {size: size.rows(len(rows)) for size in self._wanted}
        picks = greedy_coreset(
            project(rows, self._seed),
            max(counts.values()),
            progress=lambda done, total: self._progress("coreset", done, total),
        ).picks
        names = tuple(map(self._dataset.relative, features.paths))
        return {
            size: Bank.build(
                rows[picks[:count]], RowSources.of_patches(names, picks[:count], self._network.grid_hw)
            )
            for size, count in counts.items()
        }

    def _judge(self, banks: dict[CoresetSize, Bank]) -> dict[CoresetSize, list[dict[int, Judged]]]:
        """Each test image in each bank: neighbours to judgement, all with one map."""
        samples = self._dataset.test
        judged: dict[CoresetSize, list[dict[int, Judged]]] = {size: [] for size in banks}
        for start in range(0, len(samples), BATCH):
            chunk = {sample.path: sample for sample in samples[start : start + BATCH]}
            features = self._embed(list(chunk), lambda *_: None)
            for path, embeddings in zip(features.paths, features.embeddings, strict=True):
                mask, problem = self._truth(chunk[path])
                for size, bank in banks.items():
                    judged[size].append(self._in_bank(chunk[path], embeddings, bank, size, mask, problem))
            self._progress("evaluate", min(start + BATCH, len(samples)), len(samples))
        if not any(judged.values()):
            raise DatasetError("No test image can be used.", "Replace those that are damaged.")
        return judged

    def _in_bank(
        self,
        sample: Sample,
        embeddings: NDArray[np.float32],
        bank: Bank,
        size: CoresetSize,
        mask: NDArray[np.bool_] | None,
        problem: str,
    ) -> dict[int, Judged]:
        distances, rows = bank.search(embeddings)
        score_map = anomaly_map(distances, self._network.grid_hw, self._network.preprocessing.input_size)
        name = self._dataset.relative(sample.path)
        return {
            count: Judged(
                sample,
                name,
                reweighted_score(distances, rows, embeddings, bank, count),
                0.0,
                score_map,
                mask,
                problem,
            )
            for count in self._wanted[size]
        }

    def _evaluations(
        self, counts: Sequence[int], judged: Sequence[dict[int, Judged]]
    ) -> list[tuple[int, Evaluation]]:
        """For each number of neighbours; the maps, and what is measured on them, are the same for all."""
        found: list[tuple[int, Evaluation]] = []
        for count in counts:
            images = tuple(image[count] for image in judged)
            if found:
                images = tuple(replace(image, mask=None) for image in images)
            evaluation = summarise(self._dataset, images, {}, (), threshold=None, runtime="")
            if found:
                first = found[0][1].metrics
                same = replace(evaluation.metrics, pixel_auroc=first.pixel_auroc, aupro=first.aupro)
                evaluation = replace(evaluation, metrics=same)
            found.append((count, evaluation))
        return found

    def _point(
        self,
        coreset: CoresetSize,
        count: int,
        bank: Bank,
        evaluation: Evaluation,
        pictures: Sequence[NDArray[np.uint8]],
    ) -> Point:
        return Point(
            backbone=self._network.backbone,
            image_size=self._network.preprocessing.image_size,
            coreset=str(coreset),
            neighbours=count,
            bank_rows=len(bank),
            bank_bytes=len(bank) * bank.dims * 4,
            image_auroc=evaluation.image_auroc,
            pixel_auroc=evaluation.pixel_auroc,
            aupro=evaluation.aupro,
            frame_ms=self._frame_ms(bank, count, pictures),
        )

    def _frame_ms(self, bank: Bank, count: int, pictures: Sequence[NDArray[np.uint8]]) -> float:
        """Median time of an inspection, the first round left out."""
        network = self._network
        inspector = Inspector(
            network.runtime,
            bank,
            network.preprocessing,
            network.grid_hw,
            threshold=0.0,
            map_threshold=0.0,
            neighbours=count,
        )
        times = []
        for _ in range(_TIMED_ROUNDS):
            for picture in pictures:
                began = time.perf_counter()
                inspector.inspect(picture)
                times.append(time.perf_counter() - began)
        return float(np.median(times[len(pictures) :])) * 1000

    def _timed_pictures(self) -> list[NDArray[np.uint8]]:
        pictures: list[NDArray[np.uint8]] = []
        for sample in self._dataset.test:
            try:
                pictures.append(read_content(sample.path))
            except ImageError:
                continue
            if len(pictures) == _TIMED_IMAGES:
                break
        return pictures

    def _embed(self, paths: Sequence[Path], progress: Progress) -> Features:
        network = self._network
        features = embed_images(
            paths,
            network.runtime,
            network.preprocessing,
            network.shape,
            progress=progress,
            cache=network.cache,
        )
        self.skipped |= {self._dataset.relative(path): reason for path, reason in features.skipped.items()}
        return features

    def _truth(self, sample: Sample) -> tuple[NDArray[np.bool_] | None, str]:
        """The mask at the map's pixels, and why it cannot be used, if it cannot."""
        try:
            truth = read_ground_truth(self._dataset, sample, read_content(sample.path).shape)
        except ImageError as error:
            return None, error.what
        return (None if truth is None else self._network.preprocessing.apply_to_mask(truth)), ""
