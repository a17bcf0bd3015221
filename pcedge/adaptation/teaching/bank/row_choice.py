"""Which patches of the accepted images become bank rows, and which taught rows make room for them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pcedge.banks import Bank, continue_coreset, project
from pcedge.bundles.manifest import Manifest

from .row_ranges import TaughtRow
from .taught_bank import TaughtRows


def choose_rows(
    embeddings: NDArray[np.float32],
    names: Sequence[str],
    bank: Bank,
    manifest: Manifest,
    limit: float,
    most: int,
) -> TaughtRows:
    """The patches that the bank does not cover, by the rule that its own rows were chosen by.

    The coreset is continued in the projection that it was made in, until every patch lies within the radius
    within which every training patch has a row. The projection preserves distances only nearly, so it goes
    on with true distances until none exceeds what passes.

    Args:
        embeddings: float32 [images, patches, dims].
        names: The images', as bank rows are to name them.
        bank: As it is.
        manifest: Says how its rows were chosen.
        limit: The score up to which an image passes.
        most: How many rows at most.
    """
    _, patches, dims = embeddings.shape
    rows, given = embeddings.reshape(-1, dims), bank.rows
    seed, size = manifest.bank.seed, manifest.bank.projection_dims
    radius = min(manifest.bank.radius, float(np.sqrt(limit)))
    near = continue_coreset(project(rows, seed, size), project(given, seed, size), radius, most).picks
    known = np.concatenate([given, rows[near]])
    far = continue_coreset(rows, known, float(np.sqrt(limit)), most - len(near)).picks
    chosen = np.concatenate([near, far])
    image, place = np.divmod(chosen, patches)
    y, x = np.divmod(place, manifest.embedding.grid_hw[1])
    return TaughtRows(rows[chosen], tuple(names[i] for i in image), y.astype(np.int32), x.astype(np.int32))


def choose_pruned(
    taught: Sequence[TaughtRow],
    room: int,
    taught_at: Sequence[float],
    counts: NDArray[np.int64] | None,
    last_used: NDArray[np.float64] | None,
) -> list[TaughtRow]:
    """The taught rows that stay: those used or taught latest, of these the ones used most.

    Args:
        taught: Taught rows, as they stand in the bank.
        room: How many may stay.
        taught_at: When each was taught, Unix seconds.
        counts: How often each was the nearest row of a good part's patch; None where that is not known.
        last_used: When each was last, Unix seconds, 0 for never; None likewise.
    """
    seen = np.maximum(taught_at, 0.0 if last_used is None else last_used)
    used = np.zeros(len(taught), np.int64) if counts is None else counts
    order = np.lexsort((np.arange(len(taught)), used, seen))
    staying = set(order[max(0, len(taught) - room) :].tolist())
    return [row for number, row in enumerate(taught) if number in staying]
