"""Made-up lines on which nothing moves, for ``benchmarks.drift``: is there ever a false alarm?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcedge.camera import (
    DriftMonitor,
    DriftReference,
    ImageStatistics,
    Inspection,
    QualityResult,
    Verdict,
    picture_values,
    score_values,
)

_REFERENCE = 100
# Spread of single frames: brightness and score as ratios, sharpness, place, share of rare rows.
_LIGHT, _FOCUS, _PLACE, _SCORE, _RARE = 0.03, 0.1, 0.008, 0.15, 0.03
_NAMES = 5


@dataclass(frozen=True)
class Stream:
    """What the numbers of one camera look like while nothing moves.

    Attributes:
        draw: float64 [frames, 5], in units of the spreads.
        within: Whether the promise is made for it.
    """

    draw: Callable[[np.random.Generator, int], NDArray[np.float64]]
    within: bool = True


def _noise(random: np.random.Generator, frames: int) -> NDArray[np.float64]:
    return random.standard_normal((frames, _NAMES))


def _heavy(random: np.random.Generator, frames: int) -> NDArray[np.float64]:
    """Student's t with two degrees of freedom: its variance does not exist."""
    return random.standard_t(2, (frames, _NAMES)) * 0.7


def _coarse(random: np.random.Generator, frames: int) -> NDArray[np.float64]:
    """Few different values: ties everywhere."""
    return np.rint(random.standard_normal((frames, _NAMES)))


def _wander(random: np.random.Generator, frames: int) -> NDArray[np.float64]:
    """Half a spread, which is the tolerance, from end to end, slowly there and back."""
    day = 0.25 * np.sin(2 * np.pi * np.arange(_REFERENCE, _REFERENCE + frames) / 7000 + 1.0)
    return _noise(random, frames) + day[:, np.newaxis]


def _offset(random: np.random.Generator, frames: int) -> NDArray[np.float64]:
    """A little beside the reference from the first frame on, as a camera always is."""
    return _noise(random, frames) + 0.4


def _alike(random: np.random.Generator, frames: int) -> NDArray[np.float64]:
    """Frames that resemble their neighbours: correlation 0.8 from one to the next."""
    steps = _noise(random, frames)
    for now in range(1, frames):
        steps[now] = 0.8 * steps[now - 1] + 0.6 * steps[now]
    return steps


def _lots(random: np.random.Generator, frames: int) -> NDArray[np.float64]:
    """Lots of 500 parts, each two spreads off in a way of its own: a change of the process, fifty times."""
    lots = np.repeat(random.standard_normal((frames // 500 + 1, _NAMES)), 500, axis=0)[:frames]
    return _noise(random, frames) + 2 * lots


STREAMS: dict[str, Stream] = {
    "noise": Stream(_noise),
    "heavy tails": Stream(_heavy),
    "ties": Stream(_coarse),
    "wander": Stream(_wander),
    "offset": Stream(_offset),
    "neighbours alike": Stream(_alike, within=False),
    "lots": Stream(_lots, within=False),
}


@dataclass(frozen=True)
class Outcome:
    """What came of one run.

    Attributes:
        alarm: After how many frames there was one; None if there was none.
        evidence: The most that any test had; an alarm takes 1,400.
    """

    alarm: int | None
    evidence: float


def watch_stream(kind: str, frames: int, seed: int) -> Outcome:
    """Watch a made-up line for so many frames, or until the first alarm."""
    random = np.random.default_rng([seed, list(STREAMS).index(kind)])
    # The wander and the offset are not the reference's.
    source = STREAMS["noise" if kind in {"wander", "offset"} else kind]
    monitor = DriftMonitor(made_up_reference(source.draw(random, _REFERENCE)), seed=seed)
    most = 1.0
    for number, values in enumerate(STREAMS[kind].draw(random, frames), 1):
        if monitor.add(*_frame(values)):
            return Outcome(number, monitor.limit)
        if number % 10 == 0:
            most = max(most, *(state.evidence for state in monitor.states.values()))
    return Outcome(None, most)


def made_up_frames(drawn: NDArray[np.float64]) -> list[tuple[Inspection, QualityResult]]:
    """What gate and inspector made of frames with these numbers, as :class:`Stream` draws them."""
    return [_frame(values) for values in drawn]


def made_up_reference(drawn: NDArray[np.float64]) -> DriftReference:
    """The reference that good images with these numbers are."""
    found: dict[str, list[float]] = {}
    for inspection, look in made_up_frames(drawn):
        numbers = picture_values(look) | score_values(inspection.score or 0.0) | dict(inspection.numbers)
        for name, value in numbers.items():
            found.setdefault(name, []).append(value)
    return DriftReference({name: np.array(numbers) for name, numbers in found.items()})


def _frame(values: NDArray[np.float64]) -> tuple[Inspection, QualityResult]:
    light, focus, place, score, rare = values.tolist()
    measures = ImageStatistics(
        size_wh=(64, 64),
        brightness=min(255.0, 100 * float(np.exp(_LIGHT * light))),
        saturated=0.0,
        sharpness=-2 + _FOCUS * focus,
        row_break=0.0,
        flat_rows=0.0,
    )
    share = min(max(0.12 + _RARE * rare, 0.0), 1.0)
    inspection = Inspection(
        Verdict.OK, float(np.exp(np.clip(_SCORE * score, -20, 20))), 99.0, numbers={"rare_rows": share}
    )
    return inspection, QualityResult("", measures, (_PLACE * place, -_PLACE * place))
