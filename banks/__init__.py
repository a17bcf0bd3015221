"""The memory bank: which patches to keep, the FAISS file, and the search for the nearest."""

from .bank import INDEX_FILE, ROWS_FILE, Bank, RowSources
from .coreset import Coreset, greedy_coreset
from .coreset_torch import greedy_coreset_torch
from .exact_search import ExactSearch, search_bytes
from .projection import PROJECTION_DIMS, project
from .size import CoresetSize
from .staged import CANDIDATES_PER_ROW, StagedCoreset, StagedSelection

__all__ = [
    "CANDIDATES_PER_ROW",
    "INDEX_FILE",
    "PROJECTION_DIMS",
    "ROWS_FILE",
    "Bank",
    "Coreset",
    "CoresetSize",
    "ExactSearch",
    "RowSources",
    "StagedCoreset",
    "StagedSelection",
    "greedy_coreset",
    "greedy_coreset_torch",
    "project",
    "search_bytes",
]
