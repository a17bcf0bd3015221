"""Size of a coreset: a fraction of all patches, or a number of rows."""

from dataclasses import dataclass

from pcedge.errors import OptionError


@dataclass(frozen=True)
class CoresetSize:
    """Either ``fraction`` of all rows (rounded down, as in the reference) or ``count`` rows.

    Attributes:
        fraction: Above 0, at most 1; None when a count was given.
        count: At least 1; None when a fraction was given.
    """

    fraction: float | None = None
    count: int | None = None

    @classmethod
    def parse(cls, text: str) -> "CoresetSize":
        """Read ``0.1``, ``10%``, ``5000`` or ``5000 rows``; a whole number is a number of rows."""
        stripped = text.strip().removesuffix(" rows")
        try:
            if stripped.endswith("%"):
                return cls._checked(fraction=float(stripped[:-1]) / 100, text=text)
            if stripped.isdigit():
                return cls._checked(count=int(stripped), text=text)
            return cls._checked(fraction=float(stripped), text=text)
        except ValueError:
            raise _unusable(text) from None

    @classmethod
    def _checked(cls, *, text: str, fraction: float | None = None, count: int | None = None) -> "CoresetSize":
        usable = 0 < fraction <= 1 if fraction is not None else bool(count)
        if not usable:
            raise _unusable(text)
        return cls(fraction, count)

    def rows(self, total: int) -> int:
        """Rows to keep of ``total``: at least one, at most all."""
        wanted = int(total * self.fraction) if self.fraction is not None else self.count or 1
        return min(max(wanted, 1), total)

    def __str__(self) -> str:
        if self.fraction is None:
            return f"{self.count} rows"
        return "1.0" if self.fraction == 1 else f"{self.fraction:g}"  # a whole number would be one of rows


def _unusable(text: str) -> OptionError:
    return OptionError(
        f"The coreset size {text!r} is not valid.",
        "Give a fraction (0.1), a percentage (10%) or a number of rows (5000).",
    )
