"""Planes looked at by blocks: squares of a few pixels, from the corner on; those at the far borders may be cut."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

Luma = NDArray[np.float32]


def changed(before: Luma, now: Luma, side: Literal[4, 8]) -> NDArray[np.bool_]:
    """Which blocks of two planes of one shape differ anywhere."""
    height, width = now.shape
    rows, columns = -(-height // side), -(-width // side)
    differ = np.zeros((rows * side, columns * side), np.bool_)
    np.not_equal(before, now, out=differ[:height, :width])
    # a row of a block is one integer: an order of magnitude faster than `reduceat`
    words = differ.view(f"u{side}").reshape(rows, side, columns)
    return np.bitwise_or.reduce(words, axis=1) != 0


def extremes(plane: Luma, side: int) -> tuple[Luma, Luma]:
    """The least and the largest value of each whole block: (block row, block column) each."""
    rows, columns = (length // side for length in plane.shape)
    tall = plane[: rows * side, : columns * side].reshape(rows, side, columns * side)
    return _reduced(np.minimum, tall, side), _reduced(np.maximum, tall, side)


def _reduced(extreme: np.ufunc, tall: Luma, side: int) -> Luma:
    # both times along whole rows, which numpy does many at a time
    wide = np.ascontiguousarray(extreme.reduce(tall, axis=1).T).reshape(-1, side, tall.shape[0])
    return np.asarray(extreme.reduce(wide, axis=1).T)


def in_blocks(plane: Luma, side: int) -> Luma:
    """A view of the whole blocks of `plane`: (block row, block column, side, side). Writing into it writes there."""
    row, column = plane.strides
    height, width = plane.shape
    return as_strided(plane, (height // side, width // side, side, side), (side * row, side * column, row, column))


def spread(mask: NDArray[np.bool_], side: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Each element of a mask as a block of its own, cut to `shape`."""
    return mask.repeat(side, axis=0)[: shape[0]].repeat(side, axis=1)[:, : shape[1]]
