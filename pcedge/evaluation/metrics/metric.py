"""A metric's value, how sure it is, or why there is none."""

from dataclasses import asdict, dataclass
from typing import Any

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Metric:
    """A number that may not be defined.

    Attributes:
        value: From 0 to 1; None where it is not defined.
        low: Lower end of the 95 % confidence interval; None where there is none.
        high: Upper end.
        reason: Why it is not defined; empty otherwise.
        threshold: Where the value belongs to one threshold: what scores above it counts as anomalous.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""
    threshold: float | None = None

    @classmethod
    def undefined(cls, reason: str) -> "Metric":
        """A metric without a value."""
        return cls(None, reason=reason)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        if self.value is None:
            return f"not defined: {self.reason}"
        interval = "" if self.low is None else f" ({self.low:.4f} to {self.high:.4f})"
        at = "" if self.threshold is None else f" above {self.threshold:.4g}"
        return f"{self.value:.4f}{interval}{at}"
