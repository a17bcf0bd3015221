"""How a user names a way to search: ``exact``, ``int8``, ``milvus``, or a FAISS factory string."""

import re
from dataclasses import dataclass

from pcedge.banks import DEFAULT_CANDIDATES, MilvusAddress, default_parameters
from pcedge.bundles.manifest import EXACT, INT8, MILVUS
from pcedge.errors import OptionError


@dataclass(frozen=True)
class IndexSpec:
    """One way to search a bank.

    Attributes:
        name: As the user wrote it: ``exact``, ``int8``, ``HNSW32``, ``IVF256,Flat:nprobe=8``, ``milvus``,
            ``milvus:http://host:19530``.
        candidates: Of an approximate index: how many rows are compared exactly.
    """

    name: str
    candidates: int = DEFAULT_CANDIDATES

    @classmethod
    def parse(cls, name: str, candidates: int = DEFAULT_CANDIDATES) -> "IndexSpec":
        """Check that a name can be one; FAISS alone knows whether it is.

        Raises:
            OptionError: It is empty, or the address of a Milvus makes no sense or has a password in it.
        """
        spec = cls(name.strip(), candidates)
        if not spec.factory:
            raise OptionError(
                f"{name!r} names no index.", "Give int8, or a FAISS factory string such as HNSW32."
            )
        if spec.is_milvus:
            MilvusAddress.parse(spec.parameters)
        return spec

    @property
    def is_exact(self) -> bool:
        """Whether the nearest row is always found."""
        return self.name in (EXACT, INT8)

    @property
    def is_milvus(self) -> bool:
        """Whether the rows are searched in a Milvus."""
        return self.factory == MILVUS

    @property
    def factory(self) -> str:
        """FAISS's factory string, or ``milvus``."""
        return self.name.partition(":")[0]

    @property
    def parameters(self) -> str:
        """What stands behind the colon: FAISS's search parameters, or a Milvus's address.

        Without a colon what suits that kind of index.
        """
        return self.name.partition(":")[2] or default_parameters(self.factory)

    @property
    def slug(self) -> str:
        """For names of files: ``IVF256,Flat:nprobe=8`` becomes ``ivf256-flat-nprobe-8``."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")
