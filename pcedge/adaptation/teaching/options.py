"""Options of teaching, and what came of it."""

import getpass
from dataclasses import dataclass
from datetime import datetime, timezone
from math import isfinite

from pcedge.bundles.bundle import Bundle
from pcedge.errors import OptionError

from .lesson_log import Offered

DEFAULT_GROWTH = 0.10


@dataclass(frozen=True)
class TeachOptions:
    """Options of teaching.

    Attributes:
        by: Who teaches; empty for the user of this process.
        note: Kept in the log.
        force: Learn from images that the check would refuse, and let stored examples change their verdicts.
            Images that the frame gate turns away and those of another product are refused all the same.
        max_growth: How many taught rows a bank has at most, as a share of those from the fit.
        device: Where the network runs.
        wait_s: How long to wait for another teacher.
    """

    by: str = ""
    note: str = ""
    force: bool = False
    max_growth: float = DEFAULT_GROWTH
    device: str = "cpu"
    wait_s: float = 10.0

    def __post_init__(self) -> None:
        if not (isfinite(self.max_growth) and 0.0 < self.max_growth <= 1.0):
            raise OptionError(
                f"A bank cannot grow by {self.max_growth:g}.",
                "Give --max-growth a share of the fitted rows between 0 and 1, such as 0.1.",
            )
        if not (isfinite(self.wait_s) and self.wait_s >= 0.0):
            raise OptionError(f"{self.wait_s} seconds is no time.", "Give --wait a number, such as 60.")

    @property
    def who(self) -> str:
        """Who teaches."""
        if self.by:
            return self.by
        try:
            return getpass.getuser()
        except (OSError, KeyError, ImportError):  # no name for this user, as in some containers
            return "unknown"


@dataclass(frozen=True, eq=False)
class Limits:
    """Thresholds, as manifests have them."""

    score: float
    map: float
    review: float | None


@dataclass(frozen=True, eq=False)
class TeachResult:
    """What came of it.

    Attributes:
        bundle: As it is now.
        entry: Number of the log's entry; None where nothing was changed.
        images: What was offered, and what came of each.
        added: Rows that came into the bank.
        pruned: Rows that went.
        rows: Rows of the bank now.
        before: Thresholds.
        after: Thresholds.
        notes: What else changed, in words.
    """

    bundle: Bundle
    entry: int | None
    images: tuple[Offered, ...]
    added: int
    pruned: int
    rows: int
    before: Limits
    after: Limits
    notes: tuple[str, ...] = ()


def limits_of(bundle: Bundle) -> Limits:
    """A bundle's thresholds."""
    found = bundle.manifest.threshold
    return Limits(found.score, found.map, found.review)


def now() -> str:
    """The time, in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
