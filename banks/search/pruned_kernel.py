"""Compiled inner loops of the pruned search. Importing this module needs Numba.

The kernel is single-threaded and releases the GIL: the caller gives each thread its own queries.
"""

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .pruned_layout import BOX_DIMS, LEAF_ROWS, LEVELS

# Leaves looked at first for a good guess, those with the lowest bounds.
_PROBES = 4
# What a comparison in full costs, in comparisons by head.
_FULL_COST = 8

# Set in the environment, this keeps compiled code from being written to disk and read from there.
NO_CACHE = "PCEDGE_NO_KERNEL_CACHE"

_F = TypeVar("_F", bound=Callable[..., Any])


def _compile(function: _F) -> _F:
    """Compile for this machine, and keep the result on disk where there is a place and nothing forbids it."""
    options: dict[str, Any] = {"nogil": True, "fastmath": {"reassoc", "contract", "arcp", "nsz"}}
    if not os.environ.get(NO_CACHE):
        try:
            return cast(_F, njit(cache=True, **options)(function))
        except RuntimeError:  # no place
            pass
    return cast(_F, njit(**options)(function))


@_compile
def find_nearest(
    queries: NDArray[np.float32],
    heads: NDArray[np.float32],
    rests: NDArray[np.float32],
    squared_lengths: NDArray[np.float32],
    margins: NDArray[np.float32],
    lows: NDArray[np.float32],
    highs: NDArray[np.float32],
    tiles: NDArray[np.float32],
    bank_heads: NDArray[np.float32],
    scaled: NDArray[np.float32],
    codes: NDArray[np.int8],
    code_lengths: NDArray[np.float32],
    code_errors: NDArray[np.float32],
    order: NDArray[np.int64],
    rows: NDArray[np.float32],
    budget: int,
    distances: NDArray[np.float32],
    nearest: NDArray[np.int64],
) -> bool:
    """Fill ``distances`` (squared) and ``nearest``; returns whether the budget was enough.

    A row is passed over only if a lower bound of its distance, less the rounding error it may carry, is above
    the distance of a row already found. Bounds, from cheap to dear: of a leaf's box; of all rows of a leaf at
    one level after the other; of a single row by its whole head, or by the code that stands for it. Of rows
    at equal distance, the one with the lowest number is found. All arrays must be C-contiguous, or the loops
    are slow.

    Args:
        queries: [n, dims].
        heads: [n, head dims + 1], leading coordinates and the length of the rest, or a little more.
        rests: [n, levels], the length of what each level leaves out, or a little more.
        squared_lengths: [n], of the centred queries.
        margins: [n], the rounding error of a bound at most.
        lows: [BOX_DIMS, leaves], smallest coordinate of a leaf's rows.
        highs: [BOX_DIMS, leaves], the largest.
        tiles: [leaves, 1 + LEVELS[-1] + levels, LEAF_ROWS]: squared lengths of a leaf's rows, and -2 times
            the coordinates and, after those of each level, the rest.
        bank_heads: [leaves * LEAF_ROWS, head dims + 1], the same of the rows, in the order of the leaves;
            empty where there are codes instead.
        scaled: [n, dims], the centred queries times the codes' scales.
        codes: [leaves * LEAF_ROWS, dims], the rows in 8 bits a value; empty where there are heads.
        code_lengths: [leaves * LEAF_ROWS], squared, of the rows that the codes stand for.
        code_errors: [leaves * LEAF_ROWS], how far those are from the centred rows, or a little more.
        order: [leaves * LEAF_ROWS], number of each of those rows.
        rows: [rows, dims], the bank as it is.
        budget: Comparisons by head to make at most, one in full counting as several.
        distances: [n], written.
        nearest: [n], written.
    """
    leaves = lows.shape[1]
    # A leaf is read from memory once for all queries: they go round inside, the leaves outside.
    leaf_bounds = np.empty((len(queries), leaves), np.float32)
    scratch = np.empty((2, LEAF_ROWS), np.float32)
    spent = 0
    for i in range(len(queries)):
        _bound_leaves(i, heads, lows, highs, leaf_bounds)
        # Neighbouring patches are alike: the row found for the one before is a good first guess.
        nearest[i] = nearest[i - 1] if i > 0 else order[0]
        distances[i] = _squared_distance(i, queries, nearest[i], rows)
        for _ in range(min(_PROBES, leaves)):
            leaf = _lowest(i, leaf_bounds)
            limit = distances[i] + margins[i]
            if leaf_bounds[i, leaf] <= limit and _bound_rows(
                i, heads, rests, squared_lengths, limit, leaf, tiles, scratch
            ):
                spent += _compare(
                    i, queries, heads, squared_lengths, margins, leaf, tiles, scratch, bank_heads, scaled,
                    codes, code_lengths, code_errors, order, rows, distances, nearest,
                )  # fmt: skip
            leaf_bounds[i, leaf] = np.inf
        if spent > budget:
            return False
    for leaf in range(leaves):
        for i in range(len(queries)):
            limit = distances[i] + margins[i]
            if leaf_bounds[i, leaf] <= limit and _bound_rows(
                i, heads, rests, squared_lengths, limit, leaf, tiles, scratch
            ):
                spent += _compare(
                    i, queries, heads, squared_lengths, margins, leaf, tiles, scratch, bank_heads, scaled,
                    codes, code_lengths, code_errors, order, rows, distances, nearest,
                )  # fmt: skip
        if spent > budget:
            return False
    return True


@_compile
def _bound_leaves(
    i: int,
    heads: NDArray[np.float32],
    lows: NDArray[np.float32],
    highs: NDArray[np.float32],
    leaf_bounds: NDArray[np.float32],
) -> None:
    leaf_bounds[i] = 0.0
    for d in range(BOX_DIMS):
        value = heads[i, d]
        for leaf in range(lows.shape[1]):
            below = lows[d, leaf] - value
            above = value - highs[d, leaf]
            outside = below if below > 0 else (above if above > 0 else np.float32(0.0))
            leaf_bounds[i, leaf] += outside * outside


@_compile
def _lowest(i: int, leaf_bounds: NDArray[np.float32]) -> int:
    found = 0
    for leaf in range(1, leaf_bounds.shape[1]):
        if leaf_bounds[i, leaf] < leaf_bounds[i, found]:
            found = leaf
    return found


@_compile
def _bound_rows(
    i: int,
    heads: NDArray[np.float32],
    rests: NDArray[np.float32],
    squared_lengths: NDArray[np.float32],
    limit: np.float32,
    leaf: int,
    tiles: NDArray[np.float32],
    scratch: NDArray[np.float32],
) -> bool:
    """Write lower bounds of the rows of a leaf to scratch[1]; returns whether any is within the limit."""
    # Views, since indices into whole arrays (which could be negative) keep loops from being vectorised.
    tile, head, products, bounds = tiles[leaf], heads[i], scratch[0], scratch[1]
    for j in range(LEAF_ROWS):
        products[j] = tile[0, j] + squared_lengths[i]
    start = 0
    for level in range(len(LEVELS)):
        for d in range(start, LEVELS[level], 4):
            a, b, c, e = head[d], head[d + 1], head[d + 2], head[d + 3]
            line = 1 + level + d
            for j in range(LEAF_ROWS):
                products[j] += (
                    a * tile[line, j] + b * tile[line + 1, j] + c * tile[line + 2, j] + e * tile[line + 3, j]
                )
        start = LEVELS[level]
        within = 0
        for j in range(LEAF_ROWS):
            bounds[j] = products[j] + rests[i, level] * tile[1 + level + start, j]
            within += bounds[j] <= limit
        if within == 0:
            return False
    return True


@_compile
def _compare(
    i: int,
    queries: NDArray[np.float32],
    heads: NDArray[np.float32],
    squared_lengths: NDArray[np.float32],
    margins: NDArray[np.float32],
    leaf: int,
    tiles: NDArray[np.float32],
    scratch: NDArray[np.float32],
    bank_heads: NDArray[np.float32],
    scaled: NDArray[np.float32],
    codes: NDArray[np.int8],
    code_lengths: NDArray[np.float32],
    code_errors: NDArray[np.float32],
    order: NDArray[np.int64],
    rows: NDArray[np.float32],
    distances: NDArray[np.float32],
    nearest: NDArray[np.int64],
) -> int:
    """Compare a query with the rows of a leaf that their bounds do not rule out; returns the cost."""
    spent = 0
    for j in range(LEAF_ROWS):
        limit = distances[i] + margins[i]
        place = leaf * LEAF_ROWS + j
        if scratch[1, j] > limit:
            continue
        spent += 1
        if len(bank_heads) > 0:
            product = _product(i, heads, place, bank_heads)
            if squared_lengths[i] + tiles[leaf, 0, j] - 2 * product > limit:
                continue
        if len(codes) > 0:
            # |q - b| >= |q - c| - |b - c|, c being what the code stands for.
            reach = np.sqrt(limit) + code_errors[place]
            product = _product(i, scaled, place, codes)
            if squared_lengths[i] + code_lengths[place] - 2 * product > reach * reach:
                continue
        row = order[place]
        distance = _squared_distance(i, queries, row, rows)
        spent += _FULL_COST
        if distance < distances[i] or (distance == distances[i] and row < nearest[i]):
            distances[i] = distance
            nearest[i] = row
    return spent


@_compile
def _squared_distance(i: int, a: NDArray[np.float32], j: int, b: NDArray[np.float32]) -> np.float32:
    total = np.float32(0.0)
    for d in range(a.shape[1]):
        total += (a[i, d] - b[j, d]) * (a[i, d] - b[j, d])
    return total


@_compile
def _product(i: int, a: NDArray[np.float32], j: int, b: NDArray[Any]) -> np.float32:
    total = np.float32(0.0)
    for d in range(a.shape[1]):
        total += a[i, d] * np.float32(b[j, d])
    return total
