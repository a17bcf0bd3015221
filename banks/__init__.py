"""Memory bank: coreset selection, bank files, and exact or approximate nearest-neighbour search."""

from .approximate.faiss_index import ApproximateIndex, Loss, default_parameters
from .approximate.milvus_index import MilvusIndex
from .approximate.milvus_server import MILVUS_VARIABLE, TOKEN_VARIABLE, MilvusAddress
from .bank import INDEX_FILE, ROWS_FILE, Bank, RowSources
from .coreset.continued import continue_coreset
from .coreset.greedy import Coreset, greedy_coreset
from .coreset.greedy_torch import greedy_coreset_torch
from .coreset.projection import PROJECTION_DIMS, project
from .coreset.size import CoresetSize
from .coreset.staged import CANDIDATES_PER_ROW, StagedCoreset, StagedSelection
from .search.cores import usable_cores
from .search.exact import ExactSearch, search_bytes
from .search.reranked import DEFAULT_CANDIDATES, RerankedSearch
from .stored_arrays import FLOAT, TEXT, TRUTH, WHOLE, StoredArrays, map_array, open_stored

__all__ = [
    "CANDIDATES_PER_ROW",
    "DEFAULT_CANDIDATES",
    "FLOAT",
    "INDEX_FILE",
    "MILVUS_VARIABLE",
    "PROJECTION_DIMS",
    "ROWS_FILE",
    "TEXT",
    "TOKEN_VARIABLE",
    "TRUTH",
    "WHOLE",
    "ApproximateIndex",
    "Bank",
    "Coreset",
    "CoresetSize",
    "ExactSearch",
    "Loss",
    "MilvusAddress",
    "MilvusIndex",
    "RerankedSearch",
    "RowSources",
    "StagedCoreset",
    "StagedSelection",
    "StoredArrays",
    "continue_coreset",
    "default_parameters",
    "greedy_coreset",
    "greedy_coreset_torch",
    "map_array",
    "open_stored",
    "project",
    "search_bytes",
    "usable_cores",
]
