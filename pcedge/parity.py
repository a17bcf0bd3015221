"""Parity: how far what runs here is from the float32 reference, stage by stage, on the golden frames."""

import time
from collections.abc import Iterable
from math import isfinite

import msgspec
import numpy as np
from numpy.typing import NDArray

from pcedge.golden import GoldenFrame
from pcedge.inspector import Inspector
from pcedge.scoring import image_score

# Largest error accepted of any stage, relative to the stage's scale. Float32 agrees to about 1e-6 on one
# machine, 1e-5 across processors; the smallest mistake in the preprocessing is above 1e-2.
TOLERANCE = 1e-4
_TINY = float(np.finfo(np.float32).tiny)
_TIMED_ROUNDS = 5


class StageError(msgspec.Struct, frozen=True, kw_only=True):
    """How far one stage is from the reference.

    Attributes:
        stage: ``preprocessing``, ``embedding``, ``search`` and ``map`` are given the reference's input, so
            that a mistake shows where it is made; ``score`` is that of the whole way from the picture.
        largest: Largest error of any value, relative to the scale; None where one is not a number.
        mean: Mean error, likewise.
        scale: What errors are divided by, in the stage's unit: 1 for the preprocessed picture (normalised
            grey values), the largest value of the reference for embeddings; for distances, maps and scores
            the score or, where that is larger, the threshold. (With the whole training set in the bank, a
            score is nothing but rounding.)
        tolerance: Largest error accepted.
    """

    stage: str
    largest: float | None
    mean: float | None
    scale: float
    tolerance: float = TOLERANCE

    @property
    def holds(self) -> bool:
        """Whether the error is accepted; one that is not a number is not."""
        return self.largest is not None and self.largest <= self.tolerance


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """How far a runtime is from the float32 reference.

    Attributes:
        runtime: What was compared with the reference, ``onnxruntime (CPU)``.
        stages: In the order in which a frame passes them.
        flips: Golden frames whose verdict changed.
        frames: Golden frames compared.
    """

    runtime: str
    stages: tuple[StageError, ...]
    flips: int
    frames: int

    @property
    def holds(self) -> bool:
        """Whether the runtime may stand in for the reference."""
        return self.flips == 0 and self.frames > 0 and all(stage.holds for stage in self.stages)

    def stage(self, name: str) -> StageError:
        """The stage of that name."""
        return next(stage for stage in self.stages if stage.stage == name)

    def failure(self) -> str:
        """What does not hold, in words: the first stage that is off, and the verdicts that change."""
        off = [stage for stage in self.stages if not stage.holds]
        reasons = [
            f"the {stage.stage} differs by {show_error(stage.largest)} (accepted: {stage.tolerance:.0e})"
            for stage in off[:1]
        ]
        if self.flips:
            reasons.append(f"{self.flips} of {self.frames} verdicts change")
        return " and ".join(reasons)


def measure_parity(inspector: Inspector, frames: list[GoldenFrame]) -> Parity:
    """Run the golden frames through an inspector and compare with what the reference made of them."""
    errors: dict[str, list[tuple[NDArray[np.float64], float]]] = {}

    def note(
        stage: str, found: NDArray[np.float32] | float, expected: NDArray[np.float32] | float, scale: float
    ) -> None:
        with np.errstate(invalid="ignore"):  # infinity less infinity is not a number, and is reported so
            difference = np.abs(np.asarray(found, np.float64) - np.asarray(expected, np.float64))
        errors.setdefault(stage, []).append((difference.ravel() / scale, scale))

    flips = 0
    for frame in frames:
        reference = frame.stages
        found = inspector.stages(frame.image_rgb)
        score_scale = max(reference.score, inspector.threshold, _TINY)
        embeddings = inspector.runtime.infer(reference.network_input[np.newaxis])[0]
        distances, _ = inspector.bank.search(reference.embeddings)
        note("preprocessing", found.network_input, reference.network_input, 1.0)
        embedding_scale = max(float(np.abs(reference.embeddings).max()), _TINY)
        note("embedding", embeddings, reference.embeddings, embedding_scale)
        note("search", distances, reference.squared_distances, score_scale)
        note("map", inspector.score_map(reference), frame.score_map, score_scale)
        note("score", image_score(found.squared_distances), reference.score, score_scale)
        flips += (found.score > inspector.threshold) != (reference.score > inspector.threshold)
    return Parity(
        runtime=inspector.runtime.name,
        stages=tuple(_summary(stage, values) for stage, values in errors.items()),
        flips=flips,
        frames=len(frames),
    )


def show_error(error: float | None) -> str:
    """An error for people."""
    return "not a number" if error is None else f"{error:.1e}"


def measure_frame_ms(inspector: Inspector, frames: list[GoldenFrame]) -> float:
    """Median time in milliseconds from a picture to its verdict and map, the first run left out."""
    times = []
    for _ in range(_TIMED_ROUNDS + 1):
        for frame in frames:
            began = time.perf_counter()
            inspector.inspect(frame.image_rgb)
            times.append(time.perf_counter() - began)
    return float(np.median(times[len(frames) :]) * 1000)


def _summary(stage: str, values: Iterable[tuple[NDArray[np.float64], float]]) -> StageError:
    pooled = np.concatenate([errors for errors, _ in values])
    return StageError(
        stage=stage,
        largest=_finite(pooled.max()),
        mean=_finite(pooled.mean()),
        scale=max(scale for _, scale in values),
    )


def _finite(value: np.float64) -> float | None:
    return float(value) if isfinite(value) else None
