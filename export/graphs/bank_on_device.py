"""Inputs of the fused network for a bank, and their device memory."""

import numpy as np
from numpy.typing import NDArray

_FLOAT32 = 4
_LESS_MEMORY = (
    "Less is needed by a smaller bank (pcedge fit --coreset 1%), by fewer images a call, and by smaller "
    "images (pcedge fit --image-size); --device cpu needs none."
)


def squared_norms(bank_rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared length of every row, float32 [rows]."""
    norms: NDArray[np.float32] = np.einsum("ij,ij->i", bank_rows, bank_rows)
    return norms


def explain_memory(rows: int, dims: int, patches: int | None = None) -> tuple[str, str]:
    """How much device memory a bank and its search take, as a sentence, and which options reduce it.

    Args:
        rows: Of the bank.
        dims: Values a row.
        patches: How many are searched for in one call, of all its images; None while there is no call.
    """
    needed = [f"{_mebibytes(rows * (dims + 1))} for the bank of {rows:,} rows"]
    if patches is not None:  # the product, and what its rows are ordered by
        needed.append(f"{_mebibytes(2 * patches * rows)} to search it for {patches:,} patches at once")
    return f"Beside the network it needs {' and '.join(needed)}.", _LESS_MEMORY


def _mebibytes(values: int) -> str:
    return f"{values * _FLOAT32 / 2**20:,.0f} MiB"
