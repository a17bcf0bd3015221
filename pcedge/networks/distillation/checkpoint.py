"""Checkpoints: everything that training needs to go on as if it had never stopped."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pcedge.core.files import replace_file
from pcedge.errors import OptionError, WeightsError

_VERSION = 1


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training between two steps.

    Attributes:
        settings: The options of the training as plain values; a resumed training must have the same.
        step: Steps done.
        seconds: Time spent on them.
        student: State of the network.
        optimizer: State of the optimizer.
        components: The teacher's principal components.
        history: Measurements so far, as plain values.
    """

    settings: dict[str, Any]
    step: int
    seconds: float
    student: dict[str, Tensor]
    optimizer: dict[str, Any]
    components: dict[str, Tensor]
    history: list[dict[str, float]]

    def save(self, path: Path) -> None:
        """Replace the file, whole or not at all."""
        content = BytesIO()
        torch.save({"version": _VERSION, **vars(self)}, content)
        replace_file(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a checkpoint without unpickling objects.

        Raises:
            WeightsError: It is missing, damaged or of another version.
        """
        if not path.is_file():
            raise WeightsError(
                f"There is no training to resume: {path} does not exist.",
                "Leave --resume out to start one, or give the --out of the training to go on with.",
            )
        try:
            values = torch.load(path, map_location="cpu", weights_only=True)
            version = values.pop("version")
            checkpoint = cls(**values)
        except Exception as error:  # torch raises a dozen kinds for a damaged file
            raise WeightsError(
                f"{path} is not a readable checkpoint ({type(error).__name__}).",
                "Start again with another --out, or delete the file.",
            ) from error
        if version != _VERSION:
            raise WeightsError(
                f"{path} has version {version}; this pcedge reads version {_VERSION}.",
                "Resume it with the pcedge that wrote it.",
            )
        return checkpoint

    def check_settings(self, settings: dict[str, Any]) -> None:
        """Raise an OptionError that names the first setting in which the two trainings differ."""
        for name, value in settings.items():
            if self.settings.get(name) != value:
                raise OptionError(
                    f"The training to resume has {name} {self.settings.get(name)}, not {value}.",
                    "Give the same options as at its start, or start another with another --out.",
                )
