"""The memory bank: which patches to keep, the FAISS file, and the search for the nearest."""

from .bank import INDEX_FILE, ROWS_FILE, Bank, RowSources
from .coreset import greedy_coreset
from .projection import PROJECTION_DIMS, project
from .size import CoresetSize

__all__ = [
    "INDEX_FILE",
    "PROJECTION_DIMS",
    "ROWS_FILE",
    "Bank",
    "CoresetSize",
    "RowSources",
    "greedy_coreset",
    "project",
]
