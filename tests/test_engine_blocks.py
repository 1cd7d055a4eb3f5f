"""Blocks of a plane, against the same looked at one by one."""

from __future__ import annotations

from typing import Literal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.blocks import changed, extremes, in_blocks, spread

lengths = st.integers(1, 40)
sides = st.sampled_from([4, 8])


@given(height=lengths, width=lengths, side=sides, count=st.integers(0, 3), seed=st.integers(0, 99))
def test_a_block_has_changed_where_a_pixel_has(
    height: int, width: int, side: Literal[4, 8], count: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    before = rng.random((height, width), dtype=np.float32)
    now = before.copy()
    wanted = np.zeros((-(-height // side), -(-width // side)), bool)
    for row, column in zip(rng.integers(height, size=count), rng.integers(width, size=count), strict=True):
        now[row, column] = np.nextafter(before[row, column], np.float32(2))
        wanted[row // side, column // side] = True
    assert (changed(before, now, side) == wanted).all()


@given(height=st.integers(8, 40), width=st.integers(8, 40), side=sides, seed=st.integers(0, 99))
def test_extremes_are_those_of_the_pixels(height: int, width: int, side: int, seed: int) -> None:
    plane = np.random.default_rng(seed).random((height + 8, width + 8), dtype=np.float32)[3:-5, 2:-6]
    blocks = in_blocks(plane, side)
    low, high = extremes(plane, side)
    assert (low == blocks.min(axis=(2, 3))).all()
    assert (high == blocks.max(axis=(2, 3))).all()


@given(height=lengths, width=lengths, side=sides)
def test_a_mask_spread_is_cut_at_the_borders(height: int, width: int, side: int) -> None:
    mask = np.random.default_rng(0).random((-(-height // side), -(-width // side))) < 0.5
    rows, columns = np.indices((height, width)) // side
    assert (spread(mask, side, (height, width)) == mask[rows, columns]).all()
