"""The training loop: a student learns its teacher's descriptors, and can be stopped at any moment."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, replace

import torch
from torch import Tensor, nn

from pcedge.core.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from pcedge.core.progress import Progress, silent
from pcedge.errors import WeightsError
from pcedge.export import TorchRuntime
from pcedge.networks.backward import backward
from pcedge.networks.pcedge_s import COMPACT_DIMS, CompactNet

from .batches import Batches, held_out, stream
from .checkpoint import Checkpoint
from .objective import HeldOutAgreement, Objective
from .options import DistillOptions
from .sources import open_pictures
from .teacher import Teacher

_WARM_UP = 0.02
_WEIGHT_DECAY = 1e-4
_CHUNK = 16

OnMeasurement = Callable[[HeldOutAgreement], None]


class Training:
    """A training, from its start or from a checkpoint, up to its end.

    Args:
        options: What to train on what.
        checkpoint: Where to go on; None to start.
        progress: Called with the stages ``components`` and ``distill``.

    Attributes:
        settings: What makes the weights what they are, as plain values.
        student: The network, with batch norms.
        step: Steps taken.
        seconds: Time they took, over all resumptions; waiting for the first batch does not count.
        history: Measurements on held-out images, the last one of the finished network.
        unreadable: Image files that could not be read and were passed over.

    Raises:
        OptionError: The options do not fit each other or the checkpoint.
        RuntimeUnavailableError: The device does not exist here.
        WeightsError: The teacher's weights cannot be had or used.
        DatasetError: There are too few images.
    """

    def __init__(
        self, options: DistillOptions, checkpoint: Checkpoint | None = None, progress: Progress = silent
    ) -> None:
        self.options = options
        self.batches = replace(options.batches, seed=options.seed)
        self.progress = progress
        # A runtime knows which devices there are, and says so.
        self.device = torch.device(TorchRuntime(nn.Identity(), options.device).device)
        self.pictures = open_pictures(options.images, options.seed, options.procedural)
        self.teacher = Teacher(
            options.teacher, options.layers, options.weights, size=self.batches.size, dims=COMPACT_DIMS
        )
        self.settings = options.lasting(self.teacher.sha256, self.teacher.layers, self.pictures.description)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self.student = CompactNet(folded=False)
        self.teacher.to(self.device)
        if checkpoint is None:
            self.teacher.fit(self._pictures_for_components())
        else:
            checkpoint.check_settings(self.settings)
            self.teacher.restore(checkpoint.components)
            self.student.load_state_dict(checkpoint.student)
        self.student.to(self.device)
        for parameter in (*self.teacher.parameters(), *self.student.parameters()):
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(
            self.student.parameters(), lr=options.learning_rate, weight_decay=_WEIGHT_DECAY
        )
        self.step, self.seconds = 0, 0.0
        self.history: list[HeldOutAgreement] = []
        if checkpoint is not None:
            self.optimizer.load_state_dict(checkpoint.optimizer)
            self.step, self.seconds = checkpoint.step, checkpoint.seconds
            self.history = [HeldOutAgreement.of(values) for values in checkpoint.history]
        self.objective = Objective(self.teacher.variance, self.batches.twins)
        self.unreadable: set[str] = set()
        self.held_out = held_out(self.pictures, self.batches, options.held_out)
        with torch.inference_mode():
            self.held_out_targets = torch.cat(
                [self.teacher(self._normalised(images)) for images in torch.split(self.held_out, _CHUNK)]
            )

    def run(self, on_measurement: OnMeasurement | None = None) -> None:
        """Train to the end, saving on the way.

        Raises:
            WeightsError: The loss is no number any more.
        """
        batches = stream(Batches(self.pictures, self.batches, self.step), worker=self.options.worker)
        batch = next(batches)
        saved = time.monotonic()
        # With a time limit, what filling the pool takes would be lost for training.
        began = saved - self.seconds
        losses: list[float] = []
        while (done := self._done()) < 1:
            losses.append(self._train_on(batch.images, done))
            self.step += 1
            batch = next(batches)
            self.seconds = time.monotonic() - began
            self._report()
            finished = self._done() >= 1
            if finished or self.step % self.options.measure_every == 0:
                shares = self.evaluate(self.student.eval())
                self.history.append(
                    HeldOutAgreement(self.step, self.seconds, sum(losses) / len(losses), *shares)
                )
                losses.clear()
                if on_measurement is not None:
                    on_measurement(self.history[-1])
            if finished or time.monotonic() - saved > self.options.save_every_s:
                self._checkpoint().save(self.options.checkpoint_file)
                saved = time.monotonic()
        self.unreadable.update(batch.unreadable, self.pictures.unreadable)

    def evaluate(self, network: nn.Module) -> tuple[float, float, float]:
        """Shares of the held-out targets that a network in evaluation mode misses, see ``Objective``."""
        twins = Objective(self.teacher.variance, len(self.held_out) // 2)
        with torch.inference_mode():
            described = [network(self._normalised(images)) for images in torch.split(self.held_out, _CHUNK)]
            return twins.shares(torch.cat(described), self.held_out_targets)

    def _train_on(self, images: Tensor, done: float) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.learning_rate * _schedule(done)
        normalised = self._normalised(images)
        with torch.no_grad(), self._autocast():
            target = self.teacher(normalised)
        self.student.train()
        with self._autocast():
            described = self.student(normalised)
        loss = self.objective.loss(described, target)
        self.optimizer.zero_grad(set_to_none=True)
        backward(loss)
        self.optimizer.step()
        value = loss.detach().item()
        if not math.isfinite(value):
            raise WeightsError(
                f"The training has diverged: the loss of step {self.step + 1} is {value}.",
                "Start again with a smaller --learning-rate.",
            )
        return value

    def _done(self) -> float:
        """Share of the training that is done."""
        if self.options.minutes is not None:
            return self.seconds / (60 * self.options.minutes)
        assert self.options.steps is not None
        return self.step / self.options.steps

    def _report(self) -> None:
        if self.options.minutes is not None:
            whole = math.ceil(60 * self.options.minutes)
            self.progress("distill", min(int(self.seconds), whole), whole)
        else:
            self.progress("distill", self.step, self.options.steps or 0)

    def _pictures_for_components(self) -> Iterator[Tensor]:
        """The first batches of the series, without twins and cut from few images."""
        total = math.ceil(self.options.pictures_for_components / _CHUNK)
        settings = replace(self.batches, distinct=_CHUNK, twins=0, pool=_CHUNK, fresh=_CHUNK)
        batches = iter(Batches(self.pictures, settings))
        for done in range(total):
            yield self._normalised(next(batches).images)
            self.progress("components", done + 1, total)

    def _normalised(self, images: Tensor) -> Tensor:
        """Batches uint8 [n, s, s, 3] as the network's input [n, 3, s, s], channels last in memory."""
        mean, deviation = (
            torch.tensor(values, device=self.device) for values in (IMAGENET_MEAN, IMAGENET_STD)
        )
        scaled = (images.to(self.device).float() / 255 - mean) / deviation
        return scaled.permute(0, 3, 1, 2)

    def _autocast(self) -> AbstractContextManager[object]:
        half = self.options.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=half)

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(
            settings=self.settings,
            step=self.step,
            seconds=self.seconds,
            student=self.student.state_dict(),
            optimizer=self.optimizer.state_dict(),
            components=self.teacher.components(),
            history=[asdict(measurement) for measurement in self.history],
        )


def _schedule(done: float) -> float:
    """Factor on the learning rate: a short rise, then half a cosine down to 0."""
    if done < _WARM_UP:
        return (done + 1e-3) / (_WARM_UP + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (done - _WARM_UP) / (1 - _WARM_UP)))
