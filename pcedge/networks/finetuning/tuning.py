"""The loop: a few careful epochs, each measured on images that are not tuned on."""

import math
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pcedge.bundles.finetune_record import FeatureChange, FinetuneEpoch
from pcedge.bundles.manifest import EmbeddingKind
from pcedge.core.preprocessing import Preprocessing
from pcedge.core.progress import Progress
from pcedge.errors import WeightsError
from pcedge.export import TorchRuntime
from pcedge.networks.backbones import Backbone
from pcedge.networks.backward import backward
from pcedge.networks.embedder import build_embedder

from .drift import compare, layer_rows, linear_cka
from .images import Pictures, TuningSplit, network_input
from .options import FinetuneOptions
from .separation import Criterion
from .stages import tuned_parameters
from .tasks import TASKS, TaskBatch

_PICTURES_A_STEP = 16
# An epoch takes no more images than these, so that one lasts seconds rather than minutes without a GPU.
_MOST_STEPS = 6
# Held-out images on which features are compared and the task is tried; the separation takes all of them.
_COMPARED = 16
_HEAD_LEARNING_RATE = 1e-3
# Steps of the head alone: from a random head's gradients, features would only learn its randomness (Kumar
# et al. 2022: first the probe, then the tuning).
_HEAD_PASSES = 40
_HEAD_STEPS = 4
_TRAIN, _MEASURE = 3, 4

State = dict[str, Tensor]


class Tuning:
    """A network on its way through the epochs; it is changed in place.

    Args:
        backbone: Its module is tuned.
        split: Images to tune on and to measure on.
        preprocessing: How images become the network's input.
        kind: Of the embedding that a bank will hold.
        options: How.
        stages: Modules whose weights are tuned.
        seed: Of everything random.
        device: As PyTorch names devices, or ``auto``.
        progress: Called with steps done, as the stage ``finetune``.

    Attributes:
        task: What it is tuned to do.
    """

    def __init__(
        self,
        backbone: Backbone,
        split: TuningSplit,
        preprocessing: Preprocessing,
        kind: EmbeddingKind,
        options: FinetuneOptions,
        *,
        stages: tuple[str, ...],
        seed: int,
        device: str,
        progress: Progress,
    ) -> None:
        self._network = backbone.module
        self._layers = backbone.layers
        self._split = split
        self._preprocessing = preprocessing
        self._options = options
        self._seed = seed
        self._progress = progress
        embedder = build_embedder(backbone.module, preprocessing, kind)
        self._runtime = TorchRuntime(embedder, device)
        self._device = torch.device(self._runtime.device)
        self._parameters = tuned_parameters(backbone, stages)
        self._start = self.state()
        self._criterion = Criterion(split, preprocessing, embedder.grid_hw, seed)
        self._first_separation = self._criterion.measure(self._runtime)
        self._first_rows = layer_rows(self._network, self._held_out_inputs())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            channels = self._first_rows[-1].shape[1]
            self.task = TASKS[options.method](channels).to(self._device)
        groups: list[dict[str, Any]] = [
            {"params": list(self._parameters.values())},
            {"params": list(self.task.parameters()), "lr": _HEAD_LEARNING_RATE},
        ]
        self._optimizer = torch.optim.Adam(groups)
        self._measured = self._batch([seed, _MEASURE], split.held_out[:_COMPARED])
        self._steps = min(math.ceil(len(split.train) / _PICTURES_A_STEP), _MOST_STEPS)
        self._done, self._total = 0, min(self._steps, _HEAD_STEPS) + self._steps * options.epochs

    @property
    def chance(self) -> float:
        """Accuracy of guessing on the held-out images."""
        return self.task.chance(min(len(self._split.held_out), _COMPARED))

    @property
    def answers(self) -> int:
        """How many answers the accuracy on the held-out images is a share of."""
        pictures = min(len(self._split.held_out), _COMPARED)
        return (4 if self._options.method == "rotation" else 2) * pictures

    def epochs(self) -> Iterator[FinetuneEpoch]:
        """Go through the epochs; after each one, what was measured.

        Raises:
            WeightsError: The loss is no number any more.
        """
        began = time.monotonic()
        self._report(0)
        yield self._measure(0, self._learn_head())
        limit_s = math.inf if self._options.minutes is None else 60 * self._options.minutes
        for value in self._parameters.values():
            value.requires_grad_(True)
        for epoch in range(1, self._options.epochs + 1):
            if time.monotonic() - began >= limit_s:
                return
            losses = []
            for step, batch in enumerate(self._batches(epoch), 1):
                # Adam's first steps are as long as all others, however little it knows: they begin short.
                warm = step / self._steps if epoch == 1 else 1.0
                losses.append(self._step(batch, self._options.learning_rate * warm))
                self._report(1)
            yield self._measure(epoch, float(np.mean(losses)))

    def finish(self, state: State) -> None:
        """Take weights that ``state`` gave before, as the last ones; the network learns no more."""
        for name, value in self._parameters.items():
            value.requires_grad_(False).grad = None
            value.copy_(state[name])
        self._progress("finetune", self._total, self._total)

    def state(self) -> State:
        """A copy of the tuned weights."""
        return {name: value.detach().clone() for name, value in self._parameters.items()}

    def changes(self) -> dict[str, FeatureChange]:
        """How the features differ, as the weights are now, from the first ones, layer by layer."""
        rows = layer_rows(self._network, self._held_out_inputs())
        compared = zip(self._layers, self._first_rows, rows, strict=True)
        return {layer: compare(before, after) for layer, before, after in compared}

    def _learn_head(self) -> float:
        """Let the head learn on features as they are, computed once; return its last loss."""
        known = []
        for batch in islice(self._batches(0), _HEAD_STEPS):
            with torch.no_grad():
                known.append((self._maps(batch), batch))
            self._report(1)
        losses: list[float] = []
        for _ in range(_HEAD_PASSES):
            losses = []
            for maps, batch in known:
                self._optimizer.zero_grad(set_to_none=True)
                loss = self.task(maps, batch)[0]
                backward(loss)
                self._optimizer.step()
                losses.append(loss.detach().item())
        return float(np.mean(losses))

    def _step(self, batch: TaskBatch, learning_rate: float) -> float:
        self._optimizer.param_groups[0]["lr"] = learning_rate
        self._optimizer.zero_grad(set_to_none=True)
        loss = self.task(self._maps(batch), batch)[0]
        backward(loss)
        self._optimizer.step()
        self._pull(learning_rate)
        found = float(loss.detach())
        if not math.isfinite(found):
            raise WeightsError(
                f"The fine-tuning has diverged: a loss is {found}.",
                f"Give --finetune-lr less than {self._options.learning_rate:g}.",
            )
        return found

    def _pull(self, learning_rate: float) -> None:
        """Draw the weights towards where they began, apart from Adam, which would scale it away."""
        share = min(self._options.pull * learning_rate, 1.0)
        with torch.no_grad():
            for name, value in self._parameters.items():
                value.lerp_(self._start[name], share)

    def _measure(self, epoch: int, loss: float) -> FinetuneEpoch:
        separation, rows = self._first_separation, self._first_rows
        if epoch:
            separation = self._criterion.measure(self._runtime)
            rows = layer_rows(self._network, self._held_out_inputs())
        gain, error = separation.gain_over(self._first_separation)
        with torch.no_grad():
            held_out_loss, solved = self.task(self._maps(self._measured), self._measured)
        return FinetuneEpoch(
            epoch=epoch,
            loss=loss,
            held_out_loss=float(held_out_loss),
            accuracy=float(solved.float().mean()),
            separation=separation.auroc,
            gain=gain,
            gain_error=error,
            cka=min(map(linear_cka, self._first_rows, rows)),
        )

    def _maps(self, batch: TaskBatch) -> Tensor:
        """The last layer's maps of a batch."""
        return torch.cat([self._network(inputs)[-1] for inputs in self._inputs(batch.pictures)])

    def _batches(self, epoch: int) -> Iterator[TaskBatch]:
        order = np.random.default_rng([self._seed, _TRAIN, epoch]).permutation(len(self._split.train))
        for step, chosen in enumerate(np.array_split(order[: self._steps * _PICTURES_A_STEP], self._steps)):
            yield self._batch([self._seed, _TRAIN, epoch, step], self._split.train[chosen])

    def _batch(self, seed: list[int], pictures: Pictures) -> TaskBatch:
        return TASKS[self._options.method].batch(np.random.default_rng(seed), pictures)

    def _held_out_inputs(self) -> Iterator[Tensor]:
        return self._inputs(self._split.held_out[:_COMPARED])

    def _inputs(self, pictures: Pictures) -> Iterator[Tensor]:
        for part in np.array_split(pictures, math.ceil(len(pictures) / _PICTURES_A_STEP)):
            inputs = torch.from_numpy(network_input(part, self._preprocessing))
            yield inputs.to(self._device, memory_format=torch.channels_last)

    def _report(self, steps: int) -> None:
        self._done += steps
        self._progress("finetune", self._done, self._total)
