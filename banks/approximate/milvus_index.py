"""Approximate index of a bank in a Milvus collection, shared by bundles with the same bank."""

import time
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcedge.errors import BankServerError

from .milvus_server import MilvusAddress

ROW, EMBEDDING = "row", "embedding"
# Searching every list is exact. The exact (FLAT) search of Milvus is not usable: in Milvus Lite its memory
# grows with queries x rows x dims, to more than 10 GB for one image and a typical bank.
_LISTS = 128
_BLOCK_ROWS = 1000
_WRITE_S = 120.0
_SEARCH_S = 30.0
# How long writing an index to disk may take, and the polling interval.
_INDEXED_S, _LOOK_S = 30.0, 0.2

Written = Callable[[int, int], None]


class MilvusIndex:
    """Finds candidates for the nearest rows of queries in a collection named for the bank's digest.

    Bundles and lines with the same bank share the collection; another bank has another. The
    distances of Milvus are not used: candidates are compared with the rows in the bundle.

    Args:
        address: Address of the Milvus.
        digest: Digest of the bank file in hexadecimal.
        rows: Number of rows of the bank.
        dims: Values per row.
    """

    def __init__(self, address: MilvusAddress, digest: str, *, rows: int, dims: int) -> None:
        self.address = address
        self._rows, self._dims = rows, dims
        self._digest = digest
        self._client: Any = None
        self._connecting = Lock()

    @classmethod
    def open(cls, address: MilvusAddress, digest: str, *, rows: int, dims: int) -> "MilvusIndex":
        """Connect to a Milvus with the rows of a bank.

        Raises:
            BankServerError: It cannot be reached, or does not have all rows.
        """
        index = cls(address, digest, rows=rows, dims=dims)
        index._connected()
        return index

    @classmethod
    def fill(
        cls,
        address: MilvusAddress,
        digest: str,
        rows: NDArray[np.float32],
        progress: Written = lambda done, total: None,
    ) -> "MilvusIndex":
        """Write the rows of a bank [n, dims] to Milvus; correct rows that exist are kept.

        An interrupted call can be repeated and continues. All rows are read back and compared bit by bit.

        Raises:
            BankServerError: It cannot be reached, or returns other rows than were written.
        """
        index = cls(address, digest, rows=len(rows), dims=rows.shape[1])
        client = address.connect()
        with address.explaining("filled"):
            index._make_ready(client)
            changed = index._write_missing(client, rows, progress)
            if changed:
                client.flush(index.collection, timeout=_WRITE_S)
                client.release_collection(index.collection, timeout=_WRITE_S)  # Milvus Lite indexes on load
                index._load_what_was_written(client)
            wrong = [start for start in changed if not index._holds(client, rows, start)]
        if wrong:
            raise BankServerError(
                f"The Milvus {address.location} does not return the rows from {wrong[0]} on as they were "
                "written.",
                "Run the same command again.",
            )
        index._check_count(client)
        index._client = client
        return index

    @property
    def collection(self) -> str:
        """Name of the collection in Milvus."""
        return f"pcedge_{self._digest[:40]}"

    @property
    def nbytes(self) -> int:
        """Memory in this process: none with a server; Milvus Lite stores the rows twice."""
        return 0 if self.address.is_server else 2 * 4 * self._rows * self._dims

    def candidates(
        self, queries: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return candidates: distances and row numbers, both [n, count]; -1 for missing ones.

        After an error the next call reconnects.

        Raises:
            BankServerError: Milvus does not answer.
        """
        distances = np.full((len(queries), count), np.inf, np.float32)
        numbers = np.full((len(queries), count), -1, np.int64)
        (finite,) = np.nonzero(np.isfinite(queries).all(axis=1))  # Milvus refuses others
        if not len(finite):
            return distances, numbers
        client = self._connected()
        try:
            with self.address.explaining("searched", self._if_slow()):
                found = client.search(
                    self.collection,
                    data=list(queries[finite]),
                    anns_field=EMBEDDING,
                    limit=count,
                    output_fields=[ROW],
                    search_params={"metric_type": "L2", "params": {"nprobe": _LISTS}},
                    timeout=_SEARCH_S if self.address.is_server else None,
                )
        except BankServerError:
            self._client = None
            raise
        for query, hits in zip(finite, found, strict=True):
            for place, hit in enumerate(hits):
                distances[query, place], numbers[query, place] = hit["distance"], hit[ROW]
        numbers[numbers >= self._rows] = -1
        return distances, numbers

    def _if_slow(self) -> str:
        return (
            f"It had {_SEARCH_S:g} s to search {self._rows:,} rows of {self._dims:,} values. Try again when "
            "it is less busy, give it more processors, fit with a smaller --coreset, or search in this "
            "process: pcedge index --use exact"
        )

    def _connected(self) -> Any:
        """Return the connection to a complete collection; connect if necessary."""
        with self._connecting:
            if self._client is None:
                client = self.address.connect()
                with self.address.explaining("searched"):
                    there = client.has_collection(self.collection, timeout=_SEARCH_S)
                    if there:
                        client.load_collection(self.collection, timeout=_WRITE_S)
                if not there:
                    raise self._incomplete(0)
                self._check_count(client)
                self._client = client
            return self._client

    def _make_ready(self, client: Any) -> None:
        """Create the collection if it does not exist, and load it.

        If Milvus Lite is killed while it writes an index, it cannot load the collection. It is then created
        again; nothing is lost, since the rows are in the bundle.
        """
        from pymilvus import MilvusException

        try:
            self._create(client)
        except MilvusException:
            if self.address.is_server:
                raise
            client.drop_collection(self.collection, timeout=_WRITE_S)
            self._create(client)

    def _create(self, client: Any) -> None:
        from pymilvus import DataType

        if not client.has_collection(self.collection, timeout=_SEARCH_S):
            schema = client.create_schema(
                auto_id=False, enable_dynamic_field=False, description=f"bank {self._digest}"
            )
            schema.add_field(ROW, DataType.INT64, is_primary=True)
            schema.add_field(EMBEDDING, DataType.FLOAT_VECTOR, dim=self._dims)
            wanted = client.prepare_index_params()
            wanted.add_index(
                field_name=EMBEDDING, index_type="IVF_FLAT", metric_type="L2", params={"nlist": _LISTS}
            )
            client.create_collection(self.collection, schema=schema, index_params=wanted, timeout=_WRITE_S)
        client.load_collection(self.collection, timeout=_WRITE_S)

    def _load_what_was_written(self, client: Any) -> None:
        """Load the collection; retried, since Milvus Lite may still be writing its index."""
        from pymilvus import MilvusException

        until = time.monotonic() + _INDEXED_S
        while True:
            try:
                client.load_collection(self.collection, timeout=_WRITE_S)
                return
            except MilvusException:
                if time.monotonic() > until:
                    raise
                time.sleep(_LOOK_S)

    def _write_missing(self, client: Any, rows: NDArray[np.float32], progress: Written) -> list[int]:
        """Write the blocks that are missing or wrong; returns their first rows."""
        changed = []
        for start in range(0, len(rows), _BLOCK_ROWS):
            if not self._holds(client, rows, start):
                block = rows[start : start + _BLOCK_ROWS]
                client.upsert(
                    self.collection,
                    [{ROW: start + number, EMBEDDING: row} for number, row in enumerate(block)],
                    timeout=_WRITE_S,
                )
                changed.append(start)
            progress(min(start + _BLOCK_ROWS, len(rows)), len(rows))
        return changed

    def _holds(self, client: Any, rows: NDArray[np.float32], start: int) -> bool:
        """Whether Milvus has the rows of a block without differences."""
        block = rows[start : start + _BLOCK_ROWS]
        found = client.query(
            self.collection,
            filter=f"{ROW} >= {start} and {ROW} < {start + len(block)}",
            output_fields=[ROW, EMBEDDING],
            consistency_level="Strong",
            timeout=_WRITE_S,
        )
        stored = np.full_like(block, np.nan)
        for one in found:
            stored[one[ROW] - start] = one[EMBEDDING]
        return len(found) == len(block) and bool((stored == block).all())

    def _check_count(self, client: Any) -> None:
        with self.address.explaining("searched"):
            found = client.query(
                self.collection,
                filter="",
                output_fields=["count(*)"],
                consistency_level="Strong",
                timeout=_WRITE_S,
            )
        count = int(found[0]["count(*)"])
        if count != self._rows:
            raise self._incomplete(count)

    def _incomplete(self, count: int) -> BankServerError:
        return BankServerError(
            f"The Milvus {self.address.location} holds {count:,} of the {self._rows:,} rows of this bank "
            f"(collection {self.collection}).",
            f"Write them with: pcedge index --keep 'milvus:{self.address.location}'",
        )
