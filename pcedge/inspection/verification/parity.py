"""Parity: how far what runs here is from the float32 reference, stage by stage, on the golden frames."""

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

# In the order in which a frame passes them.
STAGES = ("preprocessing", "embedding", "search", "map", "score")
# Largest error accepted of any stage, relative to the stage's scale. Float32 agrees to about 1e-6 on one
# machine, 1e-5 across processors; the smallest mistake in the preprocessing is above 1e-2.
TOLERANCE = 1e-4
# Where the network computes in less than float32, runtimes round in other places and at other times, each as
# right as the other. What depends on its output may differ by as much; all else may not.
_ROUNDED = {"embedding", "score"}
_ROUNDING: dict[Precision, float] = {"fp16": 1e-2, "int8": 5e-2}
_TINY = float(np.finfo(np.float32).tiny)
_TIMED_ROUNDS = 5
_Values: TypeAlias = NDArray[np.float32] | float


class StageError(msgspec.Struct, frozen=True, kw_only=True):
    """How far one stage is from the reference.

    Attributes:
        stage: ``preprocessing``, ``embedding``, ``search`` and ``map`` are given the reference's input, so
            that a mistake shows where it is made; ``score`` is that of the whole way from the image. Of a
            runtime that searches too, ``search`` is also what it finds against what the bank finds for the
            same embeddings.
        largest: Largest error of any value, relative to the scale; None where one is not a number, or where
            there is nothing to compare because the shapes differ.
        mean: Mean error, likewise.
        scale: What errors are divided by, in the stage's unit: 1 for the preprocessed image (normalised
            grey values), the largest value of the reference for embeddings; for distances, maps and scores
            the score or, where that is larger, the threshold. (With the whole training set in the bank, a
            score is nothing but rounding.)
        tolerance: Largest error accepted.
        precision: Of the network.
    """

    stage: str
    largest: float | None
    mean: float | None
    scale: float
    tolerance: float = TOLERANCE
    precision: Precision = "fp32"

    @property
    def accepted(self) -> float:
        """Largest error accepted; a file that was read can be stricter than this version, never laxer."""
        return min(self.tolerance, tolerance_of(self.stage, self.precision))

    @property
    def holds(self) -> bool:
        """Whether the error is accepted; one that is not a number is not."""
        return self.largest is not None and 0 <= self.largest <= self.accepted


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """How far a runtime is from the float32 reference.

    Attributes:
        runtime: What was compared with the reference, ``onnxruntime (CPU)``.
        stages: Those of ``STAGES``, in that order.
        rows_changed: Patches of the reference for which the search finds another bank row at another
            distance; of rows at the same distance, any will do.
        flips: Golden frames whose verdict changed.
        frames: Golden frames compared.
        precision: Of the network.
    """

    runtime: str
    stages: tuple[StageError, ...]
    rows_changed: int
    flips: int
    frames: int
    precision: Precision = "fp32"

    @property
    def holds(self) -> bool:
        """Whether the runtime may stand in for the reference."""
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
        """What does not hold, in words: the first stage that is off, and the verdicts that change."""
        if self.frames <= 0:
            return "there is no golden frame to compare"
        reasons = [] if self._is_complete else ["not every stage was compared"]
        reasons += [_difference(stage) for stage in self.stages if not stage.holds][:1]
        if self.flips:
            reasons.append(f"{self.flips} of {self.frames} verdicts change")
        return " and ".join(reasons)


def tolerance_of(stage: str, precision: Precision) -> float:
    """Largest error accepted of a stage behind a network of some precision."""
    return _ROUNDING.get(precision, TOLERANCE) if stage in _ROUNDED else TOLERANCE


def measure_parity(inspector: Inspector, frames: list[GoldenFrame], precision: Precision = "fp32") -> Parity:
    """Run the golden frames through an inspector and compare with what the reference made of them.

    A stage whose result has another shape than the reference's, or that cannot be computed because an
    earlier one has, is reported as off and not raised.

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
    """An error for people."""
    return "no number" if error is None else f"{error:.1e}"


def show_ms(frame_ms: float | None) -> str:
    """A time for people."""
    return "not timed" if frame_ms is None else f"{frame_ms:.1f} ms"


def measure_frame_ms(inspector: Inspector, frames: list[GoldenFrame]) -> float:
    """Median time in milliseconds from an image to its verdict and map, the first run left out.

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
    """What the inspector makes of an image; None if its network takes another size than the reference's."""
    size = inspector.preprocessing.input_size
    if frame.stages.network_input.shape[1:] != (size, size):
        return None
    return inspector.stages(frame.image_rgb)


def _embeddings(inspector: Inspector, reference: Stages, *, must: bool) -> NDArray[np.float32] | None:
    """Embeddings of the reference's input; None if they need not be had and the network refuses its size."""
    try:
        embeddings: NDArray[np.float32] = inspector.runtime.infer(reference.network_input[np.newaxis])[0]
    except RuntimeUnavailableError:
        if must:
            raise
        return None
    return embeddings


def _device_search(inspector: Inspector, reference: Stages) -> tuple[Stages, Stages] | None:
    """What a runtime that searches too finds, and what the bank finds for the same runtime's embeddings."""
    size = inspector.preprocessing.input_size
    if not inspector.searches_on_device or reference.network_input.shape[1:] != (size, size):
        return None
    found = inspector.stages_of(reference.network_input)
    distances, rows = inspector.bank.search(inspector.runtime.infer(reference.network_input[np.newaxis])[0])
    return found, replace(found, squared_distances=distances, rows=rows)


def _rows_changed(found: Stages, expected: Stages, tie: float) -> int:
    """Patches with another row at another distance."""
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
    with np.errstate(invalid="ignore"):  # infinity less infinity is not a number, and is reported so
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
