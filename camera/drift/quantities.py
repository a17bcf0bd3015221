"""What is watched for drift: images in numbers, scores, and what an inspector counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ..frames import Inspection, Verdict
from ..quality.learning import NominalImages
from ..quality.limits import QualityResult
from .rank_test import Grid, Side

# The name of the test of how often parts are NG, which is no quantity of a frame.
REJECTS = "rejects"
# Share of a frame's patches whose nearest bank row is one that was rarely the nearest at fit.
RARE_ROWS = "rare_rows"


@dataclass(frozen=True)
class Quantity:
    """A number of every frame that is to stay where it was at fit.

    Attributes:
        subject: What moves with it: ``light``, ``focus``, ``position`` or ``parts``.
        grid: How it is rounded.
        tolerance: How far it may wander where its spread at fit is small, in its own unit.
        place: Which of ten frames' values, in order, stands for them: 4 for the lower median.
        sides: Where a shift is looked for.
        ratio: Whether it is a natural logarithm, so that a shift is a ratio.
        up: What a shift upwards is called, as in ``{amount} brighter``.
        down: Likewise downwards.
    """

    subject: str
    grid: Grid
    tolerance: float
    place: int = 4
    sides: tuple[Side, ...] = ("up", "down")
    ratio: bool = False
    up: str = ""
    down: str = ""

    def share(self, shift: float) -> float:
        """A shift as people say it: the relative change of a ratio."""
        return math.expm1(shift) if self.ratio else shift


_SHARES = Grid(-0.5, 0.5, 0.0005)
_SCORES = Grid(-25.0, 25.0, 0.01)
QUANTITIES: Mapping[str, Quantity] = MappingProxyType(
    {
        "light": Quantity(
            "light",
            Grid(math.log(0.25), math.log(256.0), 0.002),
            0.02,
            ratio=True,
            up="{amount} brighter",
            down="{amount} darker",
        ),
        "focus": Quantity(
            "focus",
            Grid(-20.0, 10.0, 0.01),
            0.1,
            ratio=True,
            up="{amount} sharper",
            down="{amount} less sharp",
        ),
        "position_x": Quantity(
            "position", _SHARES, 0.005, up="{amount} to the right", down="{amount} to the left"
        ),
        "position_y": Quantity("position", _SHARES, 0.005, up="{amount} lower", down="{amount} higher"),
        "score": Quantity(
            "parts",
            _SCORES,
            0.15,
            ratio=True,
            up="scores are {amount} higher",
            down="scores are {amount} lower",
        ),
        "score_high": Quantity(
            "parts",
            _SCORES,
            0.2,
            place=8,
            ratio=True,
            up="the highest scores of good parts are {amount} higher",
            down="the highest scores of good parts are {amount} lower",
        ),
        RARE_ROWS: Quantity(
            "parts",
            Grid(0.0, 1.0, 0.001),
            0.05,
            sides=("up",),
            up="{amount} more of the image resembles what was rare",
        ),
    }
)
# Every direction of every quantity, and the rejects.
TESTS = sum(len(one.sides) for one in QUANTITIES.values()) + 1


def picture_values(look: QualityResult) -> dict[str, float]:
    """The quantities of an image as the gate saw it."""
    found = {"light": math.log(max(look.measures.brightness, 1e-3))}
    if look.comparable:
        found["focus"] = look.measures.sharpness
    if look.offset_xy is not None:
        found["position_x"], found["position_y"] = look.offset_xy
    return found


def nominal_values(pictures: NominalImages) -> dict[str, NDArray[np.float64]]:
    """The quantities of nominal images in their order, float64 [pictures] each."""
    offsets = pictures.offsets_xy or [None] * len(pictures.measures)
    comparable = len({one.size_wh for one in pictures.measures}) == 1
    looks = [
        QualityResult("", measures, offset, comparable=comparable)
        for measures, offset in zip(pictures.measures, offsets, strict=True)
    ]
    found = [picture_values(look) for look in looks]
    return {name: np.array([one[name] for one in found]) for name in found[0]} if found else {}


def score_values(score: float) -> dict[str, float]:
    """The quantities of an anomaly score; one that is not positive has none."""
    if score <= 0:
        return {}
    return dict.fromkeys(("score", "score_high"), math.log(score))


def frame_values(inspection: Inspection, look: QualityResult | None) -> dict[str, float]:
    """All quantities of a frame that was judged.

    A defective part shows what the light is, but not what good parts score.
    """
    found = picture_values(look) if look is not None else {}
    if inspection.verdict is not Verdict.NG:
        found |= score_values(inspection.score or 0.0)
        found |= {name: value for name, value in inspection.numbers.items() if name in QUANTITIES}
    return found
