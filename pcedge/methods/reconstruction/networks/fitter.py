"""Fitting a reconstruction method, and restoring its network from a bundle; needs PyTorch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcedge.core.progress import Progress
from pcedge.core.scoring import anomaly_map
from pcedge.core.stage_timer import StageTimer
from pcedge.errors import BundleError, OptionError
from pcedge.export import TorchRuntime
from pcedge.fitting.features import Features, embed_images
from pcedge.fitting.fit_in_memory import check_enough, without_words
from pcedge.fitting.memory import DEFAULT_SHARE, GIGA, available_bytes
from pcedge.fitting.options import FitOptions
from pcedge.methods.common.bundle import BaselineBundle
from pcedge.methods.common.fitter import FitTask, Learned
from pcedge.networks.backbones import read_state
from pcedge.networks.embedder import save_tensors

from ..scorer import Residuals
from ..settings import ReconstructionSettings
from .pixels import PixelRows, ReconstructionDetector
from .training import BATCH, Reconstructor, Trained, draws_one_picture, train

WEIGHTS_FILE = "reconstruction.safetensors"
# Share of good images for early stopping, of those not held out for the threshold.
_STOPPING_SHARE = 0.1
# Bytes for the networks with their gradients, batches, and PyTorch's own memory.
_FIXED = 600_000_000


@dataclass(frozen=True, eq=False)
class _ImageSplit:
    """Image indices for training, early stopping and the threshold."""

    training: NDArray[np.int64]
    stopping: NDArray[np.int64]
    held_out: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ReconstructionFitter:
    """A method ready to fit; see :class:`pcedge.methods.Fitter`."""

    method: Reconstructor
    options: FitOptions
    settings: ReconstructionSettings
    backbone: None = None
    offline_default: None = None

    def learn(self, task: FitTask, staging: Path, watch: StageTimer, progress: Progress) -> Learned:
        """Train on some images, score others, and write the network to a directory."""
        side = self.options.preprocessing.input_size // self.method.shrink
        self._check_memory(len(task.paths), side)
        with watch.stage("read"):
            features = self._pixels(task.paths, side, progress)
        used = features.paths
        check_enough(len(used), len(task.paths), task.at_least, features.skipped)
        split = _split(len(used), self.settings.held_out, self.options.seed)
        task.options.rates.check(
            len(split.held_out),
            called=f"good images held out of {len(used)}{without_words(features.skipped)}",
            remedy="Add good images, hold out more of them with --set held_out=0.5",
        )
        pixels = torch.from_numpy(features.embeddings).transpose(1, 2).reshape(-1, 3, side, side)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.options.seed)
            trainee = self.method.trainee(self.settings, side)
        with watch.stage("train"):
            trained = train(
                trainee,
                pixels[split.training],
                pixels[split.stopping],
                self.settings,
                seed=self.options.seed,
                device=TorchRuntime(torch.nn.Identity(), self.options.device).device,
                progress=progress,
            )
        alike = draws_one_picture(trainee, pixels[split.training][:BATCH])
        core = trainee.core.cpu()
        save_tensors(core.state_dict(), staging / WEIGHTS_FILE)
        with watch.stage("calibrate"):
            scores, peaks = self._scores(core, pixels[split.held_out], progress)
        return Learned(
            images=len(used),
            skipped=features.skipped,
            grid_hw=(side, side),
            held_out=tuple(used[number] for number in split.held_out),
            scores=scores,
            map_peaks=peaks,
            how=f"split conformal: {len(split.held_out)} good images that were not trained on",
            settings=msgspec.to_builtins(self.settings) | _record(split, trained),
            notes=self._notes(trained, alike=alike),
        )

    def _check_memory(self, images: int, side: int) -> None:
        budget = (
            available_bytes() * DEFAULT_SHARE
            if self.options.memory_gb is None
            else self.options.memory_gb * GIGA
        )
        needed = _FIXED + 2 * images * 3 * side * side * 4
        if needed > budget:
            raise OptionError(
                f"Training on {images:,} images needs {needed / GIGA:.2f} GB of memory, and "
                f"{budget / GIGA:.2f} GB may be used.",
                "Choose a smaller --image-size, give it more --memory-gb, or use fewer images.",
            )

    def _pixels(self, paths: tuple[Path, ...], side: int, progress: Progress) -> Features:
        preprocessing = self.options.preprocessing
        runtime = TorchRuntime(PixelRows(preprocessing, self.method.shrink), "cpu")

        def report(_: str, done: int, total: int) -> None:
            progress("pixels", done, total)

        return embed_images(paths, runtime, preprocessing, (side * side, 3), progress=report)

    def _scores(
        self, core: torch.nn.Module, pixels: Tensor, progress: Progress
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Image scores and map maxima, float32 [images] each."""
        size, side = self.options.preprocessing.input_size, pixels.shape[-1]
        scorer = Residuals(side * side)
        found = []
        for part in torch.split(pixels, BATCH):
            with torch.inference_mode():
                outputs = core(part).numpy()
            for one in outputs:
                cells, own = scorer.scores(one)
                peak = float(anomaly_map(cells, (side, side), size).max())
                found.append((peak if own is None else own, peak))
            progress("calibrate", len(found), len(pixels))
        scores, peaks = np.array(found, np.float32).T
        return scores, peaks

    def _notes(self, trained: Trained, *, alike: bool) -> tuple[str, ...]:
        notes = []
        if trained.out_of_time:
            notes.append(
                f"The training ended with its {self.settings.minutes:g} minutes, after {trained.epochs} of "
                f"{self.settings.epochs} epochs. To repeat it exactly: --set epochs={trained.epochs} --set "
                "minutes=0; to train longer: a larger --set minutes."
            )
        if alike:
            notes.append(
                "What was trained draws the same image whatever it is shown, so a score is a distance from "
                f"that image. Train longer, or with --set learning_rate={self.settings.learning_rate / 5:g}"
            )
        return tuple(notes)


def restore(method: Reconstructor, bundle: BaselineBundle) -> ReconstructionDetector:
    """The network of a bundle.

    Raises:
        BundleError: Its file is missing, changed, or does not match the manifest.
    """
    manifest = bundle.manifest
    known = {one.name for one in msgspec.structs.fields(method.settings)}
    given: dict[str, Any] = {name: value for name, value in manifest.settings.items() if name in known}
    path = bundle.file(WEIGHTS_FILE)
    with torch.random.fork_rng(devices=[]):
        core = method.trainee(msgspec.convert(given, method.settings), manifest.grid_hw[0]).core
    try:
        core.load_state_dict(read_state(path))
    except RuntimeError as error:
        raise BundleError(
            f"{path} does not hold the network that the manifest describes.", "Fit the bundle again."
        ) from error
    return ReconstructionDetector(manifest.preprocessing, method.shrink, core).eval().requires_grad_(False)


def _split(images: int, held_out: float, seed: int) -> _ImageSplit:
    """Split the images at random; each part gets at least one, for which four images suffice."""
    order = np.random.default_rng(seed).permutation(images)
    held = min(max(1, round(images * held_out)), images - 2)
    stopping = max(1, round((images - held) * _STOPPING_SHARE))
    return _ImageSplit(
        training=np.sort(order[held + stopping :]),
        stopping=np.sort(order[held : held + stopping]),
        held_out=np.sort(order[:held]),
    )


def _record(split: _ImageSplit, trained: Trained) -> dict[str, Any]:
    return {
        "trained_on": len(split.training),
        "stopped_by": len(split.stopping),
        "epochs_done": trained.epochs,
        "epoch_kept": trained.best,
        "loss_first": round(trained.validation[0], 6),
        "loss_kept": round(trained.validation[trained.best - 1], 6),
    }
