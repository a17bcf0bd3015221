"""Quantities monitored for drift: image statistics, scores and bank statistics of a frame."""

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

# Name of the test of the reject rate, which is not a quantity of a single frame.
REJECTS = "rejects"
# Share of the patches of a frame whose nearest bank row was rarely the nearest one at fit.
RARE_ROWS = "rare_rows"


@dataclass(frozen=True)
class Quantity:
    """A quantity of every frame that should stay as it was at fit.

    Attributes:
        subject: What it describes: ``light``, ``focus``, ``position`` or ``parts``.
        grid: The grid that values are rounded to.
        tolerance: Minimum tolerance in the unit of the quantity, used if its spread at fit is small.
        place: Index of the order statistic that represents ten frames: 4 for the lower median.
        sides: Directions that are tested.
        ratio: Whether it is a natural logarithm, so that a shift is a ratio.
        up: Words for a shift upwards, such as ``{amount} brighter``.
        down: Words for a shift downwards.
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
        """Convert a shift to a share: for a ratio the relative change."""
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
# Number of tests: every direction of every quantity, and the reject rate.
TESTS = sum(len(one.sides) for one in QUANTITIES.values()) + 1


def picture_values(look: QualityResult) -> dict[str, float]:
    """Return the quantities of an image from the result of the frame gate."""
    found = {"light": math.log(max(look.measures.brightness, 1e-3))}
    if look.comparable:
        found["focus"] = look.measures.sharpness
    if look.offset_xy is not None:
        found["position_x"], found["position_y"] = look.offset_xy
    return found


def nominal_values(images: NominalImages) -> dict[str, NDArray[np.float64]]:
    """Return the quantities of nominal images in their order, float64 [images] each."""
    offsets = images.offsets_xy or [None] * len(images.measures)
    comparable = len({one.size_wh for one in images.measures}) == 1
    looks = [
        QualityResult("", measures, offset, comparable=comparable)
        for measures, offset in zip(images.measures, offsets, strict=True)
    ]
    found = [picture_values(look) for look in looks]
    return {name: np.array([one[name] for one in found]) for name in found[0]} if found else {}


def score_values(score: float) -> dict[str, float]:
    """Return the quantities of an anomaly score; none if the score is not positive."""
    if score <= 0:
        return {}
    return dict.fromkeys(("score", "score_high"), math.log(score))


def frame_values(inspection: Inspection, look: QualityResult | None) -> dict[str, float]:
    """Return all quantities of a judged frame.

    The scores of NG parts are left out, since they say nothing about the scores of good parts.
    """
    found = picture_values(look) if look is not None else {}
    if inspection.verdict is not Verdict.NG:
        found |= score_values(inspection.score or 0.0)
        found |= {name: value for name, value in inspection.numbers.items() if name in QUANTITIES}
    return found
