"""Rectangles that cover what changed, at the least cost: each costs its area with a margin around it, and a start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

START = 10.0
"""What a region costs beside its area, in elements."""


@dataclass(frozen=True)
class Region:
    """A rectangle: rows [top, top + height), columns [left, left + width)."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def pixels(self) -> int:
        return self.height * self.width

    def scaled(self, factor: int, shape: tuple[int, ...]) -> Region:
        """`factor` times as large in all coordinates, cut to `shape`."""
        top, left = self.top * factor, self.left * factor
        bottom, right = (self.top + self.height) * factor, (self.left + self.width) * factor
        return Region(top, left, min(bottom, shape[0]) - top, min(right, shape[1]) - left)

    def divided(self, factor: int) -> Region:
        """The elements of a mask of squares of `factor` that hold it, which begins at a multiple of `factor`."""
        return Region(self.top // factor, self.left // factor, -(-self.height // factor), -(-self.width // factor))

    def grown(self, margin: int, shape: tuple[int, ...]) -> Region:
        """With `margin` on all sides, cut to `shape`."""
        top, left = max(0, self.top - margin), max(0, self.left - margin)
        bottom = min(shape[0], self.top + self.height + margin)
        right = min(shape[1], self.left + self.width + margin)
        return Region(top, left, bottom - top, right - left)

    def at_least(self, length: int, shape: tuple[int, ...], *, grain: int = 1) -> Region:
        """Grown to `length` a side where `shape` has room for it, from a multiple of `grain`."""
        height, width = max(self.height, min(length, shape[0])), max(self.width, min(length, shape[1]))
        top, left = min(self.top, shape[0] - height), min(self.left, shape[1] - width)
        up, to_left = top % grain, left % grain
        return Region(top - up, left - to_left, height + up, width + to_left)

    def pieces(self, longest: int) -> Iterator[Region]:
        """The same in pieces of at most `longest` a side, cut at its multiples from the corner on."""
        for top in range(self.top, self.top + self.height, longest):
            for left in range(self.left, self.left + self.width, longest):
                height = min(longest, self.top + self.height - top)
                yield Region(top, left, height, min(longest, self.left + self.width - left))

    def relative_to(self, window: Region) -> Region:
        """The same rectangle in the coordinates of `window`."""
        return Region(self.top - window.top, self.left - window.left, self.height, self.width)


def bands(mask: NDArray[np.bool_], *, height: int) -> list[Region]:
    """Disjoint regions that hold every true element of `mask`: the runs of columns in bands of `height` rows.

    For what `cover` finds no cut in: a ring, a net.
    """
    found = []
    for top in range(0, mask.shape[0], height):
        band = mask[top : top + height]
        edges = np.flatnonzero(np.diff(np.concatenate([[False], band.any(axis=0), [False]]).astype(np.int8)))
        for left, right in edges.reshape(-1, 2):
            tight = _tight(mask, Region(top, int(left), band.shape[0], int(right - left)))
            assert tight is not None
            found.append(tight)
    return found


def cover(mask: NDArray[np.bool_], *, margin: float, start: float = START) -> list[Region]:
    """Disjoint regions that hold every true element of `mask`, in reading order of the cuts.

    Starts from the bounding box and cuts it where that is cheaper, again and again. `margin` is what each region needs
    around it, in elements, and `start` what each costs beside its area.
    """
    box = _tight(mask, Region(0, 0, *mask.shape))
    return list(_cut(mask, box, (margin, start))) if box else []


def _cut(mask: NDArray[np.bool_], box: Region, cost: tuple[float, float]) -> Iterator[Region]:
    part = mask[box.slices]
    row, row_cost = _best_cut(part, cost)
    column, column_cost = _best_cut(part.T, cost)
    if min(row_cost, column_cost) >= _cost(box.height, box.width, cost):
        yield box
        return
    if row_cost <= column_cost:
        halves = (
            Region(box.top, box.left, row, box.width),
            Region(box.top + row, box.left, box.height - row, box.width),
        )
    else:
        halves = (
            Region(box.top, box.left, box.height, column),
            Region(box.top, box.left + column, box.height, box.width - column),
        )
    for half in halves:
        tight = _tight(mask, half)
        if tight:
            yield from _cut(mask, tight, cost)


def _best_cut(part: NDArray[np.bool_], cost: tuple[float, float]) -> tuple[int, float]:
    """Before which row a cut into two tight boxes costs least, and that cost (infinite without a place to cut)."""
    height, width = part.shape
    if height < 2:
        return 0, np.inf
    any_in_row: NDArray[np.bool_] = np.asarray(part.any(axis=1))
    first = np.where(any_in_row, part.argmax(axis=1), width)
    last = np.where(any_in_row, width - part[:, ::-1].argmax(axis=1), 0)
    above = _costs(any_in_row, first, last, cost)
    below = _costs(any_in_row[::-1], first[::-1], last[::-1], cost)[::-1]
    total = above[:-1] + below[1:]
    best = int(total.argmin())
    return best + 1, float(total[best])


def _costs(
    any_in_row: NDArray[np.bool_], first: NDArray[np.intp], last: NDArray[np.intp], cost: tuple[float, float]
) -> NDArray[np.float64]:
    """Of the tight box of rows 0..k, for each k. The first row of a tight part is never empty."""
    index = np.arange(len(any_in_row))
    height = np.maximum.accumulate(np.where(any_in_row, index, -1)) + 1 - int(any_in_row.argmax())
    width = np.maximum.accumulate(last) - np.minimum.accumulate(first)
    return np.where(width > 0, _cost(height, width, cost), 0.0)


def _cost(
    height: NDArray[np.intp] | int, width: NDArray[np.intp] | int, cost: tuple[float, float]
) -> NDArray[np.float64]:
    margin, start = cost
    return np.asarray((height + 2 * margin) * (width + 2 * margin) + start, np.float64)


def _tight(mask: NDArray[np.bool_], box: Region) -> Region | None:
    part = mask[box.slices]
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    if not rows.size:
        return None
    return Region(
        box.top + int(rows[0]),
        box.left + int(columns[0]),
        int(rows[-1] - rows[0]) + 1,
        int(columns[-1] - columns[0]) + 1,
    )
