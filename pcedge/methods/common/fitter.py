"""The protocols of a method made of a network and a scorer: fitter, scorer, network parts."""

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
    """The input of a fit.

    Attributes:
        paths: Training images.
        names: Their names in the dataset.
        at_least: Minimum number of usable images.
        options: Options of the fit; seed, device, memory, cache, preprocessing and false-reject rate apply.
    """

    paths: tuple[Path, ...]
    names: dict[Path, str]
    at_least: int
    options: FitOptions


@dataclass(frozen=True, eq=False)
class Learned:
    """The result of a method's fit, besides the files it wrote.

    Attributes:
        images: Number of images fitted on.
        skipped: Path to reason of the images that could not be used.
        grid_hw: Grid of the scores behind the map.
        held_out: Good images held out from the fit that scored them.
        scores: float32 [held out], their image scores.
        map_peaks: float32 [a subset of the held out], the largest value of their maps.
        how: How the images were held out, as a phrase.
        settings: All settings that determine the result besides images and network, as used.
        notes: Remarks on this fit.
        cached: Number of images whose features came from the cache.
        cache_problem: Why the cache was switched off; empty if it was not.
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
    """A method with its network loaded, ready to fit."""

    @property
    def backbone(self) -> BackboneInfo | None:
        """The pretrained network, if any."""

    @property
    def offline_default(self) -> WeightsUnavailableError | None:
        """Why ``pcedge-s`` was the default backbone; None if it was not."""

    def learn(self, task: FitTask, staging: Path, watch: StageTimer, progress: Progress) -> Learned:
        """Fit on the images, and write the result to an empty directory.

        Args:
            task: The images.
            staging: Directory that becomes the bundle; the caller adds the manifest and the golden frames.
            watch: Timer of the stages.
            progress: Progress callback, called with every stage that may take a second.

        Raises:
            PcedgeError: There are too few images, or too few for the requested rates.
        """


class Scorer(Protocol):
    """Computes scores from the network's outputs for an image, without PyTorch."""

    def scores(self, outputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], float | None]:
        """Score an image.

        Args:
            outputs: float32, the image's row of the network's outputs.

        Returns:
            The scores of the grid's cells, float32 [cells] in row-major order, and the image's score if that
            is not the largest value of the smoothed map.
        """


class NetworkParts(Protocol):
    """A network, and a scorer that turns its outputs into scores."""

    @property
    def name(self) -> str:
        """As ``--method`` and the manifest name it."""

    @property
    def settings(self) -> type[msgspec.Struct]:
        """Type of the options for ``--set``."""

    def prepare(self, options: FitOptions, settings: Any, progress: Progress) -> Fitter:
        """Load the network and make a fitter.

        Raises:
            PcedgeError: There are no weights, or the layers or settings cannot be used.
        """

    def reference(self, bundle: BaselineBundle, device: str) -> Runtime:
        """The fitted network in PyTorch, images [n, 3, s, s] to outputs [n, ...]."""

    def write_onnx(self, bundle: BaselineBundle, path: Path) -> None:
        """Write that network as ONNX, into a directory with the bundle's files.

        Its input is called ``images`` [batch, 3, s, s], its output ``embeddings`` [batch, ...].
        """

    def scorer(self, bundle: BaselineBundle) -> Scorer:
        """The scorer of a bundle."""
