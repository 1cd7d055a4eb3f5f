"""Flat areas: many blocks that see the same, down to the bit, so that one result stands for all."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from engine.blocks import extremes

Luma = NDArray[np.float32]
Places = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Rows and columns of blocks."""

_UNEVEN = 1e-5
"""What interpolation makes of a constant differs by less, in 0..1; whether blocks are alike is told by their bits."""
_WORTH = 16
"""Blocks alike below which they are computed with the rest."""
_KINDS = 32
"""Most groups in a frame; what is left is computed with the rest."""


def flat_blocks(luma: Luma, wanted: NDArray[np.bool_], *, block: int, reach: int) -> Iterator[Places]:
    """Groups of wanted blocks for which all pixels within `reach` blocks are the same, place by place, and flat.

    Blocks nearer than that to the border of the image are in none: zero padding makes them differ.
    """
    rows, columns = (length // block for length in luma.shape)
    if min(rows, columns) <= 2 * reach:
        return
    low, high = extremes(luma, block)
    around = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    flat = (cv2.dilate(high, around) - cv2.erode(low, around) < _UNEVEN) & wanted[:rows, :columns]
    inner = np.zeros_like(flat)
    inner[reach:-reach, reach:-reach] = True
    row, column = np.nonzero(flat & inner)
    side = (2 * reach + 1) * block
    strides = luma.strides
    seen = as_strided(
        luma,
        (rows - 2 * reach, columns - 2 * reach, side, side),
        (block * strides[0], block * strides[1], *strides),
    )
    for _ in range(_KINDS):
        if row.size < _WORTH:
            return
        like = seen[row[0] - reach, column[0] - reach]
        level = luma[row * block, column * block] == like[reach * block, reach * block]  # few get past this
        same = level.copy()
        same[level] = (seen[row[level] - reach, column[level] - reach] == like).all(axis=(1, 2))
        if np.count_nonzero(same) >= _WORTH:
            yield row[same], column[same]
        row, column = row[~same], column[~same]
