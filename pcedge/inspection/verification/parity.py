"""Parity: the error of a runtime against the float32 reference at every stage, on the golden frames."""

import time
from collections.abc import Iterable
from dataclasses import replace
from math import isfinite, prod
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from pcedge.bundles.manifest import Precision
from pcedge.errors import RuntimeUnavailableError
from pcedge.inspection.patchcore_detector import Inspector, Stages
from pcedge.thresholds.verdict import Thresholds

from .golden import GoldenFrame

# The stages in processing order.
STAGES = ("preprocessing", "embedding", "search", "map", "score")
# Largest error accepted of any stage, relative to the stage's scale. Float32 agrees to about 1e-6 on one
# machine, 1e-5 across processors; the smallest mistake in the preprocessing is above 1e-2.
TOLERANCE = 1e-4
# If the network computes in less than float32, runtimes round at different points, all equally valid. Stages
# that depend on its output may differ by as much; the others may not.
_ROUNDED = {"embedding", "score"}
_ROUNDING: dict[Precision, float] = {"fp16": 1e-2, "int8": 5e-2, "int8-trt": 5e-2}
_TINY = float(np.finfo(np.float32).tiny)
_TIMED_ROUNDS = 5
_Values: TypeAlias = NDArray[np.float32] | float


class StageError(msgspec.Struct, frozen=True, kw_only=True):
    """The error of one stage against the reference.

    Attributes:
        stage: ``preprocessing``, ``embedding``, ``search`` and ``map`` get the reference's input, so that an
            error shows in the stage that causes it; ``score`` is end to end, from the image. For a runtime
            that also searches, ``search`` also compares its search with the bank's on the same embeddings.
        largest: Largest error of any value, relative to the scale; None if one is not a number, or if the
            shapes differ.
        mean: Mean error, in the same way.
        scale: Divisor of errors, in the stage's unit: 1 for the preprocessed image (normalised
            grey values), the largest value of the reference for embeddings; for distances, maps and scores
            the larger of the score and the threshold. (With the whole training set in the bank, a score is
            only rounding error.)
        tolerance: Largest accepted error.
        precision: Precision of the network.
    """

    stage: str
    largest: float | None
    mean: float | None
    scale: float
    tolerance: float = TOLERANCE
    precision: Precision = "fp32"

    @property
    def accepted(self) -> float:
        """Largest accepted error; a stored value can be stricter than this version's, never laxer."""
        return min(self.tolerance, tolerance_of(self.stage, self.precision))

    @property
    def holds(self) -> bool:
        """Whether the error is accepted; NaN is not."""
        return self.largest is not None and 0 <= self.largest <= self.accepted


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """The errors of a runtime against the float32 reference.

    Attributes:
        runtime: The runtime, ``onnxruntime (CPU)``.
        stages: Those of ``STAGES``, in that order.
        rows_changed: Number of patches for which the search finds another bank row at another distance; any
            of several rows at the same distance is correct.
        flips: Number of golden frames whose verdict changed.
        frames: Number of golden frames compared.
        precision: Precision of the network.
    """

    runtime: str
    stages: tuple[StageError, ...]
    rows_changed: int
    flips: int
    frames: int
    precision: Precision = "fp32"

    @property
    def holds(self) -> bool:
        """Whether the runtime is equivalent to the reference."""
        return (
            self.flips == 0
            and self.frames > 0
            and self._is_complete
            and all(stage.holds for stage in self.stages)
        )

    @property
    def _is_complete(self) -> bool:
        stages = tuple((stage.stage, stage.precision) for stage in self.stages)
        return stages == tuple((name, self.precision) for name in STAGES)

    def stage(self, name: str) -> StageError:
        """The stage of that name."""
        return next(stage for stage in self.stages if stage.stage == name)

    def failure(self) -> str:
        """Text about what failed: the first stage outside its tolerance, and the verdicts that change."""
        if self.frames <= 0:
            return "there is no golden frame to compare"
        reasons = [] if self._is_complete else ["not every stage was compared"]
        reasons += [_difference(stage) for stage in self.stages if not stage.holds][:1]
        if self.flips:
            reasons.append(f"{self.flips} of {self.frames} verdicts change")
        return " and ".join(reasons)


def tolerance_of(stage: str, precision: Precision) -> float:
    """Largest accepted error of a stage, for a network of this precision."""
    return _ROUNDING.get(precision, TOLERANCE) if stage in _ROUNDED else TOLERANCE


def measure_parity(inspector: Inspector, frames: list[GoldenFrame], precision: Precision = "fp32") -> Parity:
    """Run the golden frames through an inspector and compare with the reference's results.

    A stage with a wrong shape, or one that cannot be computed because of it, is reported as failed; no error
    is raised.

    Raises:
        RuntimeUnavailableError: The network cannot be run.
    """
    errors: dict[str, list[tuple[NDArray[np.float64], float]]] = {}

    def note(stage: str, found: _Values | None, expected: _Values, scale: float) -> None:
        errors.setdefault(stage, []).append((_difference_of(found, expected) / scale, scale))

    rule = Thresholds(inspector.threshold)
    flips = rows_changed = 0
    for frame in frames:
        reference = frame.stages
        found = _stages(inspector, frame)
        score_scale = max(reference.score, inspector.threshold, _TINY)
        embedding_scale = max(float(np.abs(frame.embeddings).max()), _TINY)
        distances, rows = inspector.bank.search(frame.embeddings)
        note("preprocessing", None if found is None else found.network_input, reference.network_input, 1.0)
        embeddings = _embeddings(inspector, reference, must=found is not None)
        note("embedding", embeddings, frame.embeddings, embedding_scale)
        note("search", distances, reference.squared_distances, score_scale)
        note("map", _score_map(inspector, reference), frame.score_map, score_scale)
        note("score", None if found is None else found.score, reference.score, score_scale)
        bank_found = replace(reference, squared_distances=distances, rows=rows)
        rows_changed += _rows_changed(bank_found, reference, TOLERANCE * score_scale)
        if (searched := _device_search(inspector, reference)) is not None:
            there, here = searched
            note("search", there.squared_distances, here.squared_distances, score_scale)
            rows_changed += _rows_changed(there, here, TOLERANCE * score_scale)
        if found is not None:
            flips += int(rule.flips(found.score, reference.score).sum())
    return Parity(
        runtime=inspector.runtime.name,
        stages=tuple(_summary(stage, values, precision) for stage, values in errors.items()),
        rows_changed=rows_changed,
        flips=flips,
        frames=len(frames),
        precision=precision,
    )


def show_error(error: float | None) -> str:
    """Format an error for display."""
    return "no number" if error is None else f"{error:.1e}"


def show_ms(frame_ms: float | None) -> str:
    """Format a time for display."""
    return "not timed" if frame_ms is None else f"{frame_ms:.1f} ms"


def measure_frame_ms(inspector: Inspector, frames: list[GoldenFrame]) -> float:
    """Median time in milliseconds from an image to its verdict and map, without the first run.

    Raises:
        ValueError: There are no frames.
    """
    if not frames:
        raise ValueError("no frames to take the time of")
    times = []
    for _ in range(_TIMED_ROUNDS + 1):
        for frame in frames:
            began = time.perf_counter()
            inspector.inspect(frame.image_rgb)
            times.append(time.perf_counter() - began)
    return float(np.median(times[len(frames) :]) * 1000)


def _stages(inspector: Inspector, frame: GoldenFrame) -> Stages | None:
    """The inspector's stages of an image; None if its network has another input size than the reference's."""
    size = inspector.preprocessing.input_size
    if frame.stages.network_input.shape[1:] != (size, size):
        return None
    return inspector.stages(frame.image_rgb)


def _embeddings(inspector: Inspector, reference: Stages, *, must: bool) -> NDArray[np.float32] | None:
    """Embeddings of the reference's input; None if they are optional and the network refuses the size."""
    try:
        embeddings: NDArray[np.float32] = inspector.runtime.infer(reference.network_input[np.newaxis])[0]
    except RuntimeUnavailableError:
        if must:
            raise
        return None
    return embeddings


def _device_search(inspector: Inspector, reference: Stages) -> tuple[Stages, Stages] | None:
    """Search results of a runtime that also searches, and the bank's for the same embeddings."""
    size = inspector.preprocessing.input_size
    if not inspector.searches_on_device or reference.network_input.shape[1:] != (size, size):
        return None
    found = inspector.stages_of(reference.network_input)
    distances, rows = inspector.bank.search(inspector.runtime.infer(reference.network_input[np.newaxis])[0])
    return found, replace(found, squared_distances=distances, rows=rows)


def _rows_changed(found: Stages, expected: Stages, tie: float) -> int:
    """Number of patches with another row at another distance."""
    if found.rows.shape != expected.rows.shape:
        return expected.rows.size
    tied = _difference_of(found.squared_distances, expected.squared_distances) <= tie
    return int(((found.rows != expected.rows) & ~tied).sum())


def _score_map(inspector: Inspector, reference: Stages) -> NDArray[np.float32] | None:
    if prod(inspector.grid_hw) != reference.squared_distances.size:
        return None
    return inspector.score_map(reference)


def _difference(stage: StageError) -> str:
    if stage.largest is None:
        return f"the {stage.stage} differs: it has another shape, or is not a number"
    return f"the {stage.stage} differs by {show_error(stage.largest)} (accepted: {stage.accepted:.0e})"


def _difference_of(found: _Values | None, expected: _Values) -> NDArray[np.float64]:
    """Absolute differences, flat; NaN where the shapes differ."""
    if found is None or np.shape(found) != np.shape(expected):
        return np.full(1, np.nan)
    with np.errstate(invalid="ignore"):  # infinity minus infinity is NaN, and is reported as such
        return np.abs(np.asarray(found, np.float64) - np.asarray(expected, np.float64)).ravel()


def _summary(
    stage: str, values: Iterable[tuple[NDArray[np.float64], float]], precision: Precision
) -> StageError:
    pooled = np.concatenate([errors for errors, _ in values])
    return StageError(
        stage=stage,
        largest=_finite(pooled.max()),
        mean=_finite(pooled.mean()),
        scale=max(scale for _, scale in values),
        tolerance=tolerance_of(stage, precision),
        precision=precision,
    )


def _finite(value: np.float64) -> float | None:
    return float(value) if isfinite(value) else None
