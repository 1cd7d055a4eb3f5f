"""Convolutions of many channels by Winograd's minimal filtering: the same sums in other groups, with fewer products.

An output tile of m × m pixels needs (m + r - 1)² products for each pair of channels instead of m² r². Lavin and Gray,
"Fast Algorithms for Convolutional Neural Networks", 2015; the matrices are Toom and Cook's. float32 throughout: the
result differs from the direct sum by about 3e-6 of its range.

A tile always gives the same bits, wherever it lies and whatever is computed beside it: all blocks hold as many tiles.
So a pixel's bits depend on its place within its tile, and nothing else: cut windows at multiples of `tile`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from engine.cores import cores, share_out

Features = NDArray[np.float32]
"""(height, width, channels)."""

TILE = 4
"""Pixels a side of an output tile. Larger ones need fewer products and lose more precision."""
_POINTS = (0, 1, -1, 2, Fraction(-1, 2), -2, Fraction(1, 2))
"""Where Toom and Cook's polynomials are evaluated, besides infinity: those that lose least (tried)."""
_WORTH_PRODUCTS = 30_000
"""Products for a pixel above which fewer of them are worth the transforms (tried: 9,216 are not, 102,400 are)."""
_BLOCKS = ((2, 16), (4, 8))
"""Tiles of a block, down and across: what it needs stays in the second-level cache. All have as many, so that the
products are the same to the bit."""

_ALIGNMENT = 64
"""Bytes."""

Matrix = list[list[Fraction]]


def worth_it(kernel_shape: tuple[int, ...]) -> bool:
    """Whether a kernel (rows, columns, channels in, channels out) has enough products to spare."""
    rows, columns, channels_in, channels_out = kernel_shape
    return rows == columns and rows in {3, 5} and rows * columns * channels_in * channels_out >= _WORTH_PRODUCTS


def transforms(outputs: int, taps: int) -> tuple[Matrix, Matrix, Matrix]:
    """A, G and B of y = A [(G g) * (B d)]: `outputs` sums of `taps` products from outputs + taps - 1 values of d."""
    points = [Fraction(point) for point in _POINTS[: outputs + taps - 2]]
    a = [[point**i for point in points] + [Fraction(int(i == outputs - 1))] for i in range(outputs)]
    g, b = [], []
    for point in points:
        others = [other for other in points if other != point]
        scale = functools.reduce(lambda found, other: found * (point - other), others, Fraction(1))
        g.append([point**j / scale for j in range(taps)])
        b.append([*_polynomial(others), Fraction(0)])
    g.append([Fraction(int(j == taps - 1)) for j in range(taps)])
    b.append(_polynomial(points))
    return a, g, b


def _polynomial(roots: list[Fraction]) -> list[Fraction]:
    """The coefficients of the product of (x - root), the constant first."""
    found = [Fraction(1)]
    for root in roots:
        found = [low - root * high for low, high in zip([Fraction(0), *found], [*found, Fraction(0)], strict=True)]
    return found


def _array(matrix: Matrix) -> NDArray[np.float64]:
    return np.array([[float(value) for value in row] for row in matrix])


class Convolution:
    """Stride 1, zero padded; LeakyReLU after it where a slope is given. Several threads may call it at a time."""

    def __init__(
        self, kernel: NDArray[np.float32], bias: NDArray[np.float32], *, slope: float | None, threads: int | None = None
    ) -> None:
        """`kernel`: (r, r, channels in, channels out), correlated as Keras does; `threads`: None for all cores."""
        self._taps, _, self._channels_in, self._channels_out = kernel.shape
        self._side = TILE + self._taps - 1
        a, g, b = map(_array, transforms(TILE, self._taps))
        self._a, self._b = a.astype(np.float32), b.astype(np.float32)
        products = np.einsum("ui,vj,ijco->uvco", g, g, kernel.astype(np.float64)).astype(np.float32)
        self._kernel = np.ascontiguousarray(products.reshape(self._side**2, self._channels_in, self._channels_out))
        self._constant = self._side + 1
        """The product of point 1 with point 1, which every output pixel has once: the place to add what all get."""
        self._bias, self._slope = bias, None if slope is None else np.float32(slope)
        self._threads = threads or cores()
        _one_thread_for_each_product()
        self._idle: dict[tuple[int, int], list[_Scratch]] = {block: [] for block in _BLOCKS}
        self._spare: list[NDArray[np.float32]] = []

    def __call__(self, features: Features) -> Features:
        """(height, width, channels in) → (height, width, channels out)."""
        with self.part(features, (slice(0, features.shape[0]), slice(0, features.shape[1]))) as made:
            return made.copy()

    @contextmanager
    def part(
        self,
        features: Features,
        place: tuple[slice, slice],
        *,
        wanted: NDArray[np.bool_] | None = None,
        threads: int | None = None,
    ) -> Iterator[Features]:
        """The rows and columns `place` of the result, from multiples of `TILE` on; valid until the context is left.

        `wanted`: which tiles of it are needed; what is in the others means nothing.
        """
        rows, columns = place
        height, width = rows.stop - rows.start, columns.stop - columns.start
        out = self._memory(height * width * self._channels_out)
        try:
            made = _aligned(out)[: height * width * self._channels_out].reshape(height, width, self._channels_out)
            block, corners = _blocks(height, width, wanted)
            first = rows.start, columns.start
            share_out(
                corners,
                lambda left: self._work(features, made, first, block, left),
                threads=threads or self._threads,
            )
            yield made
        finally:
            self._spare.append(out)

    def _memory(self, size: int) -> NDArray[np.float32]:
        """Kept and used again: fresh memory costs more than filling it."""
        size += _ALIGNMENT // 4
        with suppress(IndexError):
            spare = self._spare.pop()
            if spare.size >= size:
                return spare
        return np.empty(size, np.float32)

    def _work(
        self,
        features: Features,
        out: Features,
        first: tuple[int, int],
        block: tuple[int, int],
        corners: Iterator[tuple[int, int]],
    ) -> None:
        """Blocks, as long as there are some left."""
        work = self._scratch(block)
        for top, left in corners:
            seen = self._seen(features, work, first[0] + top, first[1] + left)
            self._block(seen, work, out[top : top + work.image.shape[0], left : left + work.image.shape[1]])
        self._idle[block].append(work)

    def _scratch(self, block: tuple[int, int]) -> _Scratch:
        with suppress(IndexError):
            return self._idle[block].pop()
        return _Scratch(block, self._side, self._channels_in, self._channels_out)

    def _block(self, seen: Features, work: _Scratch, target: Features) -> None:
        """Fill `target`, which may be smaller at the border, with one block."""
        np.matmul(self._b, seen, out=work.down)
        np.copyto(work.spread, work.down_by_tiles)
        np.matmul(self._b, work.spread_flat, out=work.across)
        np.matmul(work.across_by_place, self._kernel, out=work.products)
        work.products[self._constant] += self._bias
        np.matmul(self._a, work.products_flat, out=work.up)
        np.matmul(self._a, work.up_by_row, out=work.made_flat)
        if self._slope is not None:
            np.maximum(work.made_flat, np.multiply(work.made_flat, self._slope, out=work.small), out=work.made_flat)
        np.copyto(work.image_by_tiles, work.made_by_image)
        target[...] = work.image[: target.shape[0], : target.shape[1]]

    def _seen(self, features: Features, work: _Scratch, top: int, left: int) -> Features:
        """What a block sees of the features, by overlapping rows of tiles: zeros outside."""
        reach = self._taps // 2
        rows, columns, _ = work.seen.shape
        first_row, first_column = top - reach, left - reach
        source, inside = [], []
        for first, length, limit in (
            (first_row, rows, features.shape[0]),
            (first_column, columns, features.shape[1]),
        ):
            begin, end = max(first, 0), min(first + length, limit)
            source.append(slice(begin, end))
            inside.append(slice(begin - first, end - first))
        part = features[source[0], source[1]]
        if part.shape != work.seen.shape:
            work.seen[...] = 0
            work.seen[inside[0], inside[1]] = part
            return work.seen_by_tile_rows
        row, _, channel = features.strides
        return as_strided(part, work.seen_by_tile_rows.shape, (TILE * row, row, channel))


@functools.cache
def _one_thread_for_each_product() -> None:
    """From now on: the blocks share the cores, and products of this size would lose by threads of their own."""
    threadpool_limits(1, user_api="blas")


def _aligned(memory: NDArray[np.float32]) -> NDArray[np.float32]:
    """From where TensorFlow takes memory as it is."""
    return memory[-memory.ctypes.data % _ALIGNMENT // 4 :]


def _blocks(height: int, width: int, wanted: NDArray[np.bool_] | None) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """The kind of block of which the fewest hold all wanted tiles, and where each begins, in pixels."""
    if wanted is None:
        wanted = np.ones((-(-height // TILE), -(-width // TILE)), np.bool_)
    found = {block: list(_cover(wanted, *block)) for block in _BLOCKS}
    fewest = min(found, key=lambda block: len(found[block]))
    return fewest, found[fewest]


def _cover(wanted: NDArray[np.bool_], down: int, across: int) -> Iterator[tuple[int, int]]:
    """In each row of blocks from the first wanted tile on, then from the next that is not held yet."""
    for top in range(0, wanted.shape[0], down):
        columns = np.flatnonzero(wanted[top : top + down].any(axis=0))
        while columns.size:
            yield top * TILE, int(columns[0]) * TILE
            columns = columns[np.searchsorted(columns, columns[0] + across) :]


class _Scratch:
    """The arrays of one block, one set for each thread, and the views of them that the steps need."""

    def __init__(self, block: tuple[int, int], side: int, channels_in: int, channels_out: int) -> None:
        down, across = block
        tiles = down * across
        rows, columns = (tiles * TILE + side - TILE for tiles in block)
        self.seen = np.empty((rows, columns, channels_in), np.float32)
        row, column, channel = self.seen.strides
        self.seen_by_tile_rows = as_strided(
            self.seen, (down, side, columns * channels_in), (TILE * row, row, channel)
        )  # rows of tiles overlap
        self.down = np.empty((down, side, columns * channels_in), np.float32)
        tile_row, place, _ = self.down.strides
        self.down_by_tiles = as_strided(
            self.down,
            (side, side, down, across, channels_in),
            (place, column, tile_row, TILE * column, channel),
        )
        self.spread = np.empty((side, side, down, across, channels_in), np.float32)
        self.spread_flat = self.spread.reshape(side, side, tiles * channels_in)
        self.across = np.empty((side, side, tiles * channels_in), np.float32)
        self.across_by_place = self.across.reshape(side * side, tiles, channels_in)
        self.products = np.empty((side * side, tiles, channels_out), np.float32)
        self.products_flat = self.products.reshape(side, side * tiles * channels_out)
        self.up = np.empty((TILE, side * tiles * channels_out), np.float32)
        self.up_by_row = self.up.reshape(TILE, side, tiles * channels_out)
        self.made = np.empty((TILE, TILE, down, across, channels_out), np.float32)
        self.made_flat = self.made.reshape(TILE, TILE, tiles * channels_out)
        self.small = np.empty_like(self.made_flat)
        self.made_by_image = self.made.transpose(2, 0, 3, 1, 4)
        self.image = np.empty((down * TILE, across * TILE, channels_out), np.float32)
        self.image_by_tiles = self.image.reshape(down, TILE, across, TILE, channels_out)
