"""Table with the retention keys of sinks that write files."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from ..settings import Count, Positive, SinkTable
from .retention import Retention


class KeptFilesTable(SinkTable, frozen=True):
    """Retention keys of a sink that writes files.

    Attributes:
        max_age_days: Older files are deleted.
        max_count: Frames or clips to keep; the oldest are deleted.
        min_free_gb: The oldest are deleted while the disk has less free space than this; 0 turns this off.
    """

    max_age_days: Positive | None = None
    max_count: Count | None = None
    min_free_gb: Annotated[float, Meta(ge=0)] = 1.0

    @property
    def retention(self) -> Retention:
        """The retention limits."""
        return Retention(
            max_age_days=self.max_age_days,
            max_count=self.max_count,
            min_free_bytes=round(self.min_free_gb * 1e9) or None,
        )
