"""Slow changes at a camera: light, focus, position, scores, and how often parts are NG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import OptionError

from ..frames import Inspection, Verdict
from ..quality.limits import QualityResult
from .messages import describe
from .quantities import QUANTITIES, REJECTS, TESTS, frame_values
from .series import BLOCK, Rejects, Series, SeriesState

# Below this share good parts' false rejects and the odd defect are no news.
USUAL_REJECTS = 0.05
# Enough evidence to name a subject beside another that has moved for certain.
_SUSPICIOUS = 20.0


@dataclass(frozen=True, eq=False)
class DriftReference:
    """What things were at fit.

    Attributes:
        values: Of good images in their order, float64 [pictures], by quantity; what is missing, or has
            fewer than 50 values, is learned from the first 200 frames.
        rejects: The highest share of NG that good parts explain.
    """

    values: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    rejects: float = USUAL_REJECTS


class DriftMonitor:
    """Compares the frames of a camera with a reference, for as long as it runs.

    With probability ``1 - alarm_rate`` at least there is never an alarm while nothing moves: while blocks of
    ten frames are exchangeable with each other and with the reference, but for what wanders within the
    tolerance, and good parts are NG no more often than the reference says. Every quantity and direction has
    its equal part of the rate (Bonferroni); see :class:`~pcedge.camera.RankTest`.

    Memory does not grow with the number of frames. Fed from one thread; read from any.

    Args:
        reference: What things were at fit.
        alarm_rate: The probability of any false alarm in the whole run.
        seed: Of the random numbers that break ties.

    Raises:
        OptionError: The rate is not between 0 and 1.
    """

    def __init__(
        self, reference: DriftReference | None = None, *, alarm_rate: float = 0.01, seed: int = 0
    ) -> None:
        if not 0 < alarm_rate < 1:
            raise OptionError(
                f"A false-alarm rate of {alarm_rate:g} for drift makes no sense.",
                "Give a rate between 0 and 1, such as 0.01 for one run in a hundred.",
            )
        self._limit = TESTS / alarm_rate
        self._random = np.random.default_rng(seed)
        self.restart(reference or DriftReference())

    def restart(self, reference: DriftReference) -> None:
        """Begin anew with another reference; may be called from another thread than :meth:`add`."""
        series = {
            name: Series(one, reference.values.get(name, np.empty(0)), self._limit, self._random)
            for name, one in QUANTITIES.items()
        }
        self._tests = _Tests(series, Rejects(reference.rejects, self._limit))

    def add(self, inspection: Inspection, look: QualityResult | None = None) -> bool:
        """Take note of a judged frame; returns whether something has moved, or come back.

        What is INVALID is not counted: it was not judged, and says itself why.

        Args:
            inspection: What was found.
            look: What the frame gate saw of the image; None if it did not look.
        """
        if inspection.verdict is Verdict.INVALID:
            return False
        tests = self._tests
        changed = tests.rejects.add(inspection.verdict is Verdict.NG)
        for name, value in frame_values(inspection, look).items():
            changed = tests.series[name].add(value) or changed
        tests.frames += 1
        if changed or tests.frames % BLOCK == 0:
            before = tests.moved.keys()
            tests.look()
            return tests.moved.keys() != before
        return False

    @property
    def moved(self) -> Mapping[str, str]:
        """What has moved: quantity to a sentence that says how far and what to do."""
        return self._tests.moved

    @property
    def states(self) -> Mapping[str, SeriesState]:
        """How it stood with every quantity, and ``rejects``, after the last ten frames."""
        return self._tests.states

    @property
    def limit(self) -> float:
        """The wealth at which something has moved."""
        return self._limit


class _Tests:
    """All tests of one reference, and what they found: never mixed with what those of another found."""

    def __init__(self, series: dict[str, Series], rejects: Rejects) -> None:
        self.series, self.rejects = series, rejects
        self.frames = 0
        self.moved: Mapping[str, str] = MappingProxyType({})
        self.states: Mapping[str, SeriesState] = self._found()

    def look(self) -> None:
        """See the status of all of them, and say what has moved."""
        self.states = self._found()
        suspected = {
            QUANTITIES[name].subject for name, one in self.series.items() if one.suspects(_SUSPICIOUS)
        }
        self.moved = MappingProxyType(describe(self.states, suspected))

    def _found(self) -> Mapping[str, SeriesState]:
        return {name: one.state for name, one in self.series.items()} | {REJECTS: self.rejects.state}
