"""Convolutions of many channels by Winograd's minimal filtering: the same sums in other groups, with fewer products.

An output tile of m × m pixels needs (m + r - 1)² products for each pair of channels instead of m² r². Lavin and Gray,
"Fast Algorithms for Convolutional Neural Networks", 2015; the matrices are Toom and Cook's. float32 throughout: the
result differs from the direct sum by about 3e-6 of its range.

A tile always gives the same bits, wherever it lies and whatever is computed beside it: all blocks of tiles have one
shape. So a pixel's bits depend on its place within its tile, and nothing else: cut windows at multiples of `tile`.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import product

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Features = NDArray[np.float32]
"""(height, width, channels)."""

TILE = 4
"""Pixels a side of an output tile. Larger ones need fewer products and lose more precision."""
_POINTS = (0, 1, -1, 2, Fraction(-1, 2), -2, Fraction(1, 2))
"""Where Toom and Cook's polynomials are evaluated, besides infinity: those that lose least (tried)."""
_WORTH_PRODUCTS = 30_000
"""Products for a pixel above which fewer of them are worth the transforms (tried: 9,216 are not, 102,400 are)."""
_BLOCK = (2, 16)
"""Tiles of a block, down and across: what it needs stays in the second-level cache."""

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
    """Stride 1, zero padded; LeakyReLU after it where a slope is given. Not for several threads at a time."""

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
        self._threads = threads or len(os.sched_getaffinity(0))
        _one_thread_for_each_product()
        self._idle: list[_Scratch] = []
        self._out = np.empty(0, np.float32)

    def __call__(self, features: Features) -> Features:
        """(height, width, channels in) → (height, width, channels out), valid until the next call."""
        height, width, _ = features.shape
        size = height * width * self._channels_out
        if self._out.size < size:
            self._out = _aligned(size)  # kept: fresh memory costs more than filling it
        out = self._out[:size].reshape(height, width, self._channels_out)
        rows, columns = (tiles * TILE for tiles in _BLOCK)
        corners = list(product(range(0, height, rows), range(0, width, columns)))
        left = iter(corners)
        errors: list[BaseException] = []
        helpers = [
            threading.Thread(target=self._work, args=(features, out, left, errors))
            for _ in range(min(self._threads, len(corners)) - 1)
        ]
        for helper in helpers:
            helper.start()
        self._work(features, out, left, errors)
        for helper in helpers:
            helper.join()
        if errors:
            raise errors[0]
        return out

    def _work(
        self, features: Features, out: Features, corners: Iterator[tuple[int, int]], errors: list[BaseException]
    ) -> None:
        """Blocks, as long as there are some left."""
        try:
            work = self._scratch()
            for top, left in corners:  # shared: each is given out once
                self._block(features, out, work, top, left)
            self._idle.append(work)
        except BaseException as error:  # noqa: BLE001  (re-raised in the thread that asked)
            errors.append(error)

    def _scratch(self) -> _Scratch:
        with suppress(IndexError):
            return self._idle.pop()
        return _Scratch(self._side, self._channels_in, self._channels_out)

    def _block(self, features: Features, out: Features, work: _Scratch, top: int, left: int) -> None:
        """Fill `out` from (top, left) on for one block."""
        np.matmul(self._b, self._seen(features, work, top, left), out=work.down)
        np.copyto(work.spread, work.down_by_tiles)
        np.matmul(self._b, work.spread_flat, out=work.across)
        np.matmul(work.across_by_place, self._kernel, out=work.products)
        work.products[self._constant] += self._bias
        np.matmul(self._a, work.products_flat, out=work.up)
        np.matmul(self._a, work.up_by_row, out=work.made_flat)
        if self._slope is not None:
            np.maximum(work.made_flat, np.multiply(work.made_flat, self._slope, out=work.small), out=work.made_flat)
        target = out[top : top + work.image.shape[0], left : left + work.image.shape[1]]
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


def _aligned(size: int) -> NDArray[np.float32]:
    """As TensorFlow wants memory that it is to use as it is."""
    spare = _ALIGNMENT // 4
    memory = np.empty(size + spare, np.float32)
    first = -memory.ctypes.data % _ALIGNMENT // 4
    return memory[first : first + size]


class _Scratch:
    """The arrays of one block, one set for each thread, and the views of them that the steps need."""

    def __init__(self, side: int, channels_in: int, channels_out: int) -> None:
        down, across = _BLOCK
        tiles = down * across
        rows, columns = (tiles * TILE + side - TILE for tiles in _BLOCK)
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
