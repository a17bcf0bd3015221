"""The options of a training, and those that must stay the same when it is resumed."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pcedge.errors import OptionError

from .batches import BatchSettings

Precision = Literal["bfloat16", "float32"]


@dataclass(frozen=True)
class DistillOptions:
    """Options of a training.

    Attributes:
        out: Directory that receives checkpoint, weights and report.
        teacher: A torchvision architecture.
        weights: A state dict for it; None for torchvision's hub cache.
        layers: Module names, finest grid first; empty for the teacher's default.
        images: Folders of images to train on; empty for procedural ones.
        procedural: Share of procedural images beside ``images``, 0 to 1; None for none.
        steps: Steps of the training; exactly one of this and ``minutes``.
        minutes: Length of the training. How many steps that gives depends on the machine.
        seed: Of everything random.
        learning_rate: Its highest value; it rises for a fiftieth of the training and then falls to 0.
        precision: Of the convolutions while training; the weights stay float32.
        device: Where PyTorch trains: ``auto`` (CUDA if there is any), ``cpu``, ``cuda``, ``cuda:1``.
        resume: Go on from the checkpoint in ``out``.
        worker: Make the batches in a process of their own.
        held_out: Images for the held-out loss.
        pictures_for_components: Images to find the teacher's principal components on.
        measure_every: Steps between measurements.
        save_every_s: Seconds between checkpoints.
        batches: What a batch is made of; its seed is ``seed``.
    """

    out: Path
    teacher: str = "resnet18"
    weights: Path | None = None
    layers: tuple[str, ...] = ()
    images: tuple[Path, ...] = ()
    procedural: float | None = None
    steps: int | None = None
    minutes: float | None = None
    seed: int = 0
    learning_rate: float = 1.2e-3
    precision: Precision = "bfloat16"
    device: str = "auto"
    resume: bool = False
    worker: bool = True
    held_out: int = 128
    pictures_for_components: int = 384
    measure_every: int = 500
    save_every_s: float = 60.0
    batches: BatchSettings = field(default_factory=BatchSettings)

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise OptionError("A training needs a length.", "Give --steps or --minutes, one of them.")

    @property
    def checkpoint_file(self) -> Path:
        """Where the training saves its state."""
        return self.out / "checkpoint.pt"

    def lasting(self, teacher_sha256: str, layers: tuple[str, ...], pictures: str) -> dict[str, Any]:
        """The settings that make the weights what they are, as plain values."""
        return {
            "teacher": self.teacher,
            "teacher_layers": list(layers),
            "teacher_sha256": teacher_sha256,
            "pictures": pictures,
            "steps": self.steps,
            "minutes": self.minutes,
            "learning_rate": self.learning_rate,
            "precision": self.precision,
            "held_out": self.held_out,
            "pictures_for_components": self.pictures_for_components,
            **asdict(self.batches),
            "seed": self.seed,
        }
