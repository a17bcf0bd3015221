"""Distillation from end to end: train, write the weights, report."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pcedge.core.defaults import COMPACT
from pcedge.core.files import replace_file
from pcedge.core.progress import Progress, silent
from pcedge.errors import OptionError

from .checkpoint import Checkpoint
from .objective import HeldOutAgreement
from .options import DistillOptions
from .training import OnMeasurement, Training
from .weights import write_weights

WEIGHTS_FILE = f"{COMPACT}.safetensors"
REPORT_FILE = "report.json"


@dataclass(frozen=True)
class DistillResult:
    """What a distillation made.

    Attributes:
        weights: The weights file.
        report: The report, with the whole history of measurements.
        settings: What makes the weights what they are, as plain values.
        parameters: Values in the network.
        last: Measurement of the finished network.
        as_written: Shares missed by the network as read back from the half-precision file: plain, weighted as
            in the loss, and of the twins' differences.
        unreadable: Image files that could not be read and were passed over, sorted.
    """

    weights: Path
    report: Path
    settings: dict[str, Any]
    parameters: int
    last: HeldOutAgreement
    as_written: tuple[float, float, float]
    unreadable: tuple[str, ...]


def distill(
    options: DistillOptions, progress: Progress = silent, on_measurement: OnMeasurement | None = None
) -> DistillResult:
    """Train the compact network to imitate a teacher; write its weights and a report.

    Args:
        options: What to train on what. With the same steps, seed and machine the weights are the same,
            however often the training was interrupted.
        progress: Called with the stages ``components`` and ``distill``.
        on_measurement: Called with each measurement on held-out images.

    Raises:
        OptionError: The options do not fit each other, or another training is in the directory.
        RuntimeUnavailableError: The device does not exist here.
        WeightsError: The teacher's weights or the checkpoint cannot be used, or the training diverged.
        DatasetError: There are too few images.
    """
    if options.checkpoint_file.exists() and not options.resume:
        raise OptionError(
            f"{options.out} holds a training already.",
            "Go on with it by --resume, or name another directory with --out.",
        )
    checkpoint = Checkpoint.load(options.checkpoint_file) if options.resume else None
    options.out.mkdir(parents=True, exist_ok=True)
    training = Training(options, checkpoint, progress)
    training.run(on_measurement)
    weights = options.out / WEIGHTS_FILE
    network = write_weights(training, weights)
    result = DistillResult(
        weights=weights,
        report=options.out / REPORT_FILE,
        settings=training.settings,
        parameters=sum(value.numel() for value in network.parameters()),
        last=training.history[-1],
        as_written=training.evaluate(network.to(training.device)),
        unreadable=tuple(sorted(training.unreadable)),
    )
    report = {
        "settings": result.settings,
        "parameters": result.parameters,
        "as_written": result.as_written,
        "unreadable": result.unreadable,
        "history": [asdict(measurement) for measurement in training.history],
    }
    replace_file(result.report, (json.dumps(report, indent=1) + "\n").encode())
    return result
