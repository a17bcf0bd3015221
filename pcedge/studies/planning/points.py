"""The points of a plan: what each choice costs and how well it separates, and the choice among them."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from pcedge.bundles.manifest import Precision


@dataclass(frozen=True)
class Budget:
    """What a bundle may cost on this device; None for any.

    Attributes:
        max_ms: Median milliseconds from decoded image to verdict and map.
        max_mb: Megabytes (10^6) of the network's file and the bank.
    """

    max_ms: float | None = None
    max_mb: float | None = None

    def excess(self, point: "PlanPoint") -> float:
        """By what factor a point exceeds the tighter of the limits; up to 1 it keeps to both."""
        shares = [0.0]
        if self.max_ms is not None:
            shares.append(point.frame_ms / self.max_ms)
        if self.max_mb is not None:
            shares.append(point.megabytes / self.max_mb)
        return max(shares)


class PlanPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One choice of settings, what it costs and how well it separates.

    Attributes:
        backbone: Architecture.
        image_size: Images are resized to so many pixels a side.
        precision: Of the network.
        coreset: As asked for: a fraction or a number of rows; empty where the network alone was measured.
        bank_rows: Rows in the bank.
        network_bytes: Of the network's file.
        bank_bytes: Of the bank.
        frame_ms: Median time from decoded image to verdict and map.
        separation: Image AUROC of held-out good images against defective ones; None where the network alone
            exceeds the budget, so that no bank was made.
    """

    backbone: str
    image_size: int
    precision: Precision
    coreset: str
    bank_rows: int
    network_bytes: int
    bank_bytes: int
    frame_ms: float
    separation: float | None

    @property
    def megabytes(self) -> float:
        """Network and bank, in MB."""
        return (self.network_bytes + self.bank_bytes) / 1e6

    def beats(self, other: "PlanPoint") -> bool:
        """Whether it is nowhere worse in separation, time and size, and somewhere better."""
        if self.separation is None or other.separation is None:
            return False
        mine = (-self.separation, self.frame_ms, self.megabytes)
        its = (-other.separation, other.frame_ms, other.megabytes)
        return mine != its and all(a <= b for a, b in zip(mine, its, strict=True))


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured, and what is best.

    Attributes:
        dataset: The folder and the one above.
        measured_on: What separation is of, in words.
        good: Held-out good images.
        defective: Defective ones.
        points: All, in the order in which they were measured.
        chosen: The best within the budget; None where nothing is.
        nearest: What comes nearest, where nothing is.
        commands: What makes the bundle of ``chosen``.
        failed: Networks that could not be measured, and why.
    """

    dataset: str
    measured_on: str
    good: int
    defective: int
    points: tuple[PlanPoint, ...]
    chosen: PlanPoint | None
    nearest: PlanPoint | None
    commands: tuple[str, ...]
    failed: dict[str, str]


def front(points: Sequence[PlanPoint]) -> list[PlanPoint]:
    """The points that no other beats in separation, time and size at once, the fastest first."""
    measured = [point for point in points if point.separation is not None]
    kept = [point for point in measured if not any(other.beats(point) for other in measured)]
    return sorted(kept, key=lambda point: (point.frame_ms, point.megabytes))


def best(points: Sequence[PlanPoint], budget: Budget) -> PlanPoint | None:
    """The point within the budget that separates best, of several the fastest; None if there is none."""
    within = [point for point in front(points) if budget.excess(point) <= 1]
    return max(within, key=lambda point: (point.separation or 0.0, -point.frame_ms), default=None)


def nearest(points: Sequence[PlanPoint], budget: Budget) -> PlanPoint | None:
    """The point that exceeds the budget by the smallest factor."""
    return min(points, key=budget.excess, default=None)
