"""Drift monitor of a camera: light, focus, position, scores and reject rate."""

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

# Up to this share, false rejects and occasional defects are normal.
USUAL_REJECTS = 0.05
# Evidence from which a subject is named as a possible cause beside one with an alarm.
_SUSPICIOUS = 20.0


@dataclass(frozen=True, eq=False)
class DriftReference:
    """Reference values of the monitored quantities, measured at fit.

    Attributes:
        values: Values of good images in their order, float64 [images], by quantity. A quantity that is
            missing or has fewer than 50 values is learned from the first 200 frames.
        rejects: The highest reject rate that is normal for good parts.
    """

    values: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    rejects: float = USUAL_REJECTS


class DriftMonitor:
    """Compares the frames of a camera with a reference during the whole run.

    With probability at least ``1 - alarm_rate`` there is no false alarm in the whole run. The condition:
    blocks of ten frames are exchangeable with each other and with the reference, except for variation within
    the tolerance, and good parts are NG no more often than the reference says. The rate is divided equally
    among all quantities and directions (Bonferroni); see :class:`~pcedge.camera.RankTest`.

    Memory does not grow with the number of frames. Call :meth:`add` from one thread; read from any thread.

    Args:
        reference: Values at fit.
        alarm_rate: The highest probability of any false alarm in the whole run.
        seed: Seed of the random numbers that break ties.

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
        """Start again with another reference; may be called from another thread than :meth:`add`."""
        series = {
            name: Series(one, reference.values.get(name, np.empty(0)), self._limit, self._random)
            for name, one in QUANTITIES.items()
        }
        self._tests = _Tests(series, Rejects(reference.rejects, self._limit))

    def add(self, inspection: Inspection, look: QualityResult | None = None) -> bool:
        """Add a frame; returns whether the set of drifted quantities has changed.

        INVALID frames are not counted, since they were not judged.

        Args:
            inspection: Result of the frame.
            look: Result of the frame gate; None if there was no check.
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
        """Quantities that have drifted: name to a sentence that says how far and what to do."""
        return self._tests.moved

    @property
    def states(self) -> Mapping[str, SeriesState]:
        """Status of every quantity and of ``rejects`` after the last ten frames."""
        return self._tests.states

    @property
    def limit(self) -> float:
        """The evidence at which a quantity counts as drifted."""
        return self._limit


class _Tests:
    """All tests of one reference with their results, replaced together by a restart."""

    def __init__(self, series: dict[str, Series], rejects: Rejects) -> None:
        self.series, self.rejects = series, rejects
        self.frames = 0
        self.moved: Mapping[str, str] = MappingProxyType({})
        self.states: Mapping[str, SeriesState] = self._found()

    def look(self) -> None:
        """Update the status of all tests, and the messages on what has moved."""
        self.states = self._found()
        suspected = {
            QUANTITIES[name].subject for name, one in self.series.items() if one.suspects(_SUSPICIOUS)
        }
        self.moved = MappingProxyType(describe(self.states, suspected))

    def _found(self) -> Mapping[str, SeriesState]:
        return {name: one.state for name, one in self.series.items()} | {REJECTS: self.rejects.state}
