"""What a method that is a network and a scorer is to bring, so that all else is done for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from pcedge.bundles.manifest import BackboneInfo
from pcedge.core.progress import Progress
from pcedge.core.stage_timer import StageTimer
from pcedge.errors import WeightsUnavailableError
from pcedge.export import Runtime
from pcedge.fitting.options import FitOptions

from .bundle import BaselineBundle


@dataclass(frozen=True)
class FitTask:
    """What is to be learned from.

    Attributes:
        paths: Training images.
        names: Their names in the dataset.
        at_least: How many of them must be usable.
        options: Seed, device, memory, cache, preprocessing and false-reject rate are of use.
    """

    paths: tuple[Path, ...]
    names: dict[Path, str]
    at_least: int
    options: FitOptions


@dataclass(frozen=True, eq=False)
class Learned:
    """What a method learned, beside the files that it has written.

    Attributes:
        images: How many images were learned from.
        skipped: Path to reason of those that could not be used.
        grid_hw: Grid of the scores that the map is made of.
        held_out: Good images that what scored them had not seen.
        scores: float32 [held out], their image scores.
        map_peaks: float32 [some of the held out], the largest value of their maps.
        how: How they were scored without being seen, in words.
        settings: Everything that decides the result beside images and network, as it was used.
        notes: What a person should know of this fit.
        cached: How many images' features came from the cache.
        cache_problem: Why the cache could not be used to the end; empty otherwise.
    """

    images: int
    skipped: dict[Path, str]
    grid_hw: tuple[int, int]
    held_out: tuple[Path, ...]
    scores: NDArray[np.float32]
    map_peaks: NDArray[np.float32]
    how: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    cached: int = 0
    cache_problem: str = ""


class Fitter(Protocol):
    """A method with its network loaded, ready to learn."""

    @property
    def backbone(self) -> BackboneInfo | None:
        """The pretrained network, if there is one."""

    @property
    def offline_default(self) -> WeightsUnavailableError | None:
        """Why no backbone being named led to ``pcedge-s``; None if it did not."""

    def learn(self, task: FitTask, staging: Path, watch: StageTimer, progress: Progress) -> Learned:
        """Learn from the images, and write what was learned into an empty directory.

        Args:
            task: The images.
            staging: Becomes the bundle; the manifest and the golden frames are added by the caller.
            watch: Takes the time of every stage.
            progress: Called with every stage that may take a second.

        Raises:
            PcedgeError: The images are too few, or do not support what was asked for.
        """


class Scorer(Protocol):
    """From what a method's network gives for an image to scores. Needs no PyTorch."""

    def scores(self, outputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], float | None]:
        """Score an image.

        Args:
            outputs: float32, one row of what the network gave for a batch.

        Returns:
            The scores of the grid's cells, float32 [cells] in row-major order, and the image's where this
            is not the largest value of the smoothed map.
        """


class NetworkParts(Protocol):
    """A network from images to something, and a scorer from that to scores."""

    @property
    def name(self) -> str:
        """As ``--method`` and the manifest name it."""

    @property
    def settings(self) -> type[msgspec.Struct]:
        """What can be set with ``--set``."""

    def prepare(self, options: FitOptions, settings: Any, progress: Progress) -> Fitter:
        """Load what a fit needs.

        Raises:
            PcedgeError: There are no weights, or the layers or settings cannot be used.
        """

    def reference(self, bundle: BaselineBundle, device: str) -> Runtime:
        """The network as it was fitted, images [n, 3, s, s] to outputs [n, ...]."""

    def write_onnx(self, bundle: BaselineBundle, path: Path) -> None:
        """Write that network as ONNX, into a directory where the bundle's files lie too.

        Its input is called ``images`` [batch, 3, s, s], its output ``embeddings`` [batch, ...].
        """

    def scorer(self, bundle: BaselineBundle) -> Scorer:
        """What turns the network's outputs into scores."""
