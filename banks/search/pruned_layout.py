"""Memory layout of the bank for the pruned search: rotated, and split into leaves of nearby rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .codes import Codes

# Rows of a leaf: enough to fill a processor's vectors, few enough to lie close together.
LEAF_ROWS = 64
# How many leading coordinates bound a leaf, and its rows at one level after the other. Both are compiled into
# the kernel: whoever changes them here touches that file, by whose time the compiled code on disk is kept.
BOX_DIMS, LEVELS = 24, (24, 48, 96)
# Leading coordinates that bound a single row; with the length of the rest they fill a processor's vectors.
HEAD_DIMS = 255
# Fewer than this many values cannot be bounded by fewer.
LEAST_DIMS = LEVELS[-1]
_SAMPLE_ROWS = 4096
# How much may be missing from a square found by subtraction, relative to what it was subtracted from.
_SUBTRACTION = np.float32(2e-6)


@dataclass(frozen=True, eq=False)
class Heads:
    """The leading coordinates of rows in a basis.

    Attributes:
        coordinates: float32 [n, head dims + 1], the last one being the length of what they leave out, or a
            little more.
        rests: float32 [n, levels], the same of each level.
        squared_lengths: float32 [n], of the whole rows.
    """

    coordinates: NDArray[np.float32]
    rests: NDArray[np.float32]
    squared_lengths: NDArray[np.float32]

    @classmethod
    def of(cls, centered: NDArray[np.float32], basis: NDArray[np.float32]) -> "Heads":
        """Find those of centred rows [n, dims] in a basis [dims, head dims]."""
        head = basis.shape[1]
        coordinates = np.empty((len(centered), head + 1), np.float32)
        coordinates[:, :head] = centered @ basis
        squared_lengths = np.einsum("nd,nd->n", centered, centered)
        levels = np.split(coordinates[:, :head], LEVELS, axis=1)
        within = np.stack([np.einsum("nd,nd->n", level, level) for level in levels], axis=1).cumsum(axis=1)
        rests = np.sqrt(np.maximum(squared_lengths[:, None] * (1 + _SUBTRACTION) - within, 0.0))
        coordinates[:, head] = rests[:, -1]
        return cls(coordinates, np.ascontiguousarray(rests[:, :-1]), squared_lengths)


@dataclass(frozen=True, eq=False)
class BankLayout:
    """Arrays for the kernel; see there for the shapes.

    Attributes:
        center: float32 [dims], subtracted from every row and query.
        basis: float32 [dims, head dims], orthonormal columns.
        largest: Largest length of a centred row.
        lows: Smallest coordinates of each leaf's rows.
        highs: Largest coordinates of each leaf's rows.
        tiles: Coordinates and rests of each leaf's rows, level by level.
        heads: Coordinates of single rows; none where there are codes.
        codes: Single rows in 8 bits a value; none where there are heads.
        order: int64, row numbers in the order of the leaves; what fills up the last leaf has -1.
    """

    center: NDArray[np.float32]
    basis: NDArray[np.float32]
    largest: np.float32
    lows: NDArray[np.float32]
    highs: NDArray[np.float32]
    tiles: NDArray[np.float32]
    heads: NDArray[np.float32]
    codes: Codes
    order: NDArray[np.int64]

    @classmethod
    def of(cls, rows: NDArray[np.float32], *, encoded: bool = False) -> "BankLayout":
        """Arrange rows [n, dims], with at least LEAST_DIMS dims.

        Args:
            rows: Searched.
            encoded: Bound single rows by 8-bit codes instead of leading coordinates: hardly more than one row
                a query is left to be read.
        """
        center = rows.mean(axis=0)
        basis = _leading_directions(rows, center)
        heads = _measure(rows, center, basis)
        order = np.concatenate(_leaves(np.arange(len(rows)), heads.coordinates[:, :BOX_DIMS]))
        leaves = -(-len(rows) // LEAF_ROWS)
        padding = leaves * LEAF_ROWS - len(rows)
        filled = np.concatenate((order, np.repeat(order[-1:], padding)))
        in_leaves = heads.coordinates[filled].reshape(leaves, LEAF_ROWS, -1)
        boxes = in_leaves[:, :, :BOX_DIMS]
        return cls(
            center,
            basis,
            np.sqrt(heads.squared_lengths.max()),
            np.ascontiguousarray(boxes.min(axis=1).T),
            np.ascontiguousarray(boxes.max(axis=1).T),
            _tiles(in_leaves, heads, filled, padding),
            in_leaves.reshape(len(filled), -1)
            if not encoded
            else np.empty((0, heads.coordinates.shape[1]), np.float32),
            Codes.of(rows, center, filled) if encoded else Codes.none(rows.shape[1]),
            np.concatenate((order, np.full(padding, -1))),
        )

    @property
    def nbytes(self) -> int:
        """Memory taken, the rows themselves aside."""
        arrays = (self.center, self.basis, self.lows, self.highs, self.tiles, self.heads, self.order)
        return sum(array.nbytes for array in arrays) + self.codes.nbytes


def layout_bytes(rows: int, dims: int) -> int:
    """Memory that a layout takes while it is made, the rows themselves aside."""
    head = min(HEAD_DIMS, dims)
    return 4 * (rows * (2 * head + LEVELS[-1] + 16) + (_SAMPLE_ROWS + 6 * dims) * dims)


def _measure(rows: NDArray[np.float32], center: NDArray[np.float32], basis: NDArray[np.float32]) -> Heads:
    """The heads of all rows, without a centred copy of them all."""
    heads = Heads(
        np.empty((len(rows), basis.shape[1] + 1), np.float32),
        np.empty((len(rows), len(LEVELS)), np.float32),
        np.empty(len(rows), np.float32),
    )
    for start in range(0, len(rows), _SAMPLE_ROWS):
        part = slice(start, start + _SAMPLE_ROWS)
        found = Heads.of(rows[part] - center, basis)
        heads.coordinates[part] = found.coordinates
        heads.rests[part] = found.rests
        heads.squared_lengths[part] = found.squared_lengths
    return heads


def _tiles(
    in_leaves: NDArray[np.float32], heads: Heads, filled: NDArray[np.int64], padding: int
) -> NDArray[np.float32]:
    """|q - b|^2 >= |q|^2 + [1, q_k, |q_rest|] . [|b|^2, -2 b_k, -2 |b_rest|]: the second factor, by level."""
    leaves = len(in_leaves)
    tiles = np.empty((leaves, 1 + LEVELS[-1] + len(LEVELS), LEAF_ROWS), np.float32)
    tiles[:, 0] = heads.squared_lengths[filled].reshape(leaves, LEAF_ROWS)
    if padding:  # far away from everything
        tiles[-1, 0, -padding:] = np.inf
    rests = heads.rests[filled].reshape(leaves, LEAF_ROWS, -1)
    for level, (start, stop) in enumerate(zip((0, *LEVELS), LEVELS, strict=False)):
        line = 1 + level
        np.multiply(
            in_leaves[:, :, start:stop].transpose(0, 2, 1), -2, out=tiles[:, line + start : line + stop]
        )
        np.multiply(rests[:, :, level], -2, out=tiles[:, line + stop])
    return tiles


def _leading_directions(rows: NDArray[np.float32], center: NDArray[np.float32]) -> NDArray[np.float32]:
    """Principal directions of a sample. Any orthonormal basis gives true bounds, a good one tight ones."""
    sample = rows[:: -(-len(rows) // _SAMPLE_ROWS)] - center
    _, directions = np.linalg.eigh((sample.T @ sample).astype(np.float64))
    return np.ascontiguousarray(directions[:, ::-1][:, :HEAD_DIMS], np.float32)


def _leaves(rows: NDArray[np.int64], coordinates: NDArray[np.float32]) -> list[NDArray[np.int64]]:
    """Cut rows in two where they are spread widest, and again, into full leaves and a last one."""
    if len(rows) <= LEAF_ROWS:
        return [rows]
    widest = np.argmax(coordinates[rows].var(axis=0))
    half = -(-len(rows) // (2 * LEAF_ROWS)) * LEAF_ROWS
    parted = rows[np.argpartition(coordinates[rows, widest], half - 1)]
    return [*_leaves(parted[:half], coordinates), *_leaves(parted[half:], coordinates)]
