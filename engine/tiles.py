"""Windows over an image, so that a network's memory is bounded and its result is what the whole image would give.

Windows lie inside the image and those at its border start at the border, so that zero padding, which happens at every
layer, happens exactly where it would for the whole image. Neighbours overlap by at least twice the receptive radius:
each output pixel is taken from a window whose inner edges are at least the radius away.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_STEP = 32
"""Without a grain, window sides are multiples of this where the image allows: few shapes are ever compiled."""


@dataclass(frozen=True)
class _Span:
    """One window along one axis: it covers [start, start + length) and its result is kept on [keep, keep_end)."""

    start: int
    keep: int
    keep_end: int


@dataclass(frozen=True)
class Window:
    """One window: `source` cuts it from the image, `inner` cuts the kept part from its result, `target` places it."""

    source: tuple[slice, slice]
    inner: tuple[slice, slice]
    target: tuple[slice, slice]


@dataclass(frozen=True)
class TileGrid:
    """The windows of one image size. All windows have one shape, `window_shape` (height, width)."""

    image_shape: tuple[int, int]
    window_shape: tuple[int, int]
    scale: int
    windows: tuple[Window, ...]

    @property
    def output_shape(self) -> tuple[int, int]:
        return self.image_shape[0] * self.scale, self.image_shape[1] * self.scale

    def cut(self, image: NDArray[np.float32], windows: tuple[Window, ...], *, batch: int) -> NDArray[np.float32]:
        """(batch, height, width): the given windows of `image`, zeros after them."""
        stacked = np.zeros((batch, *self.window_shape), np.float32)
        for index, window in enumerate(windows):
            stacked[index] = image[window.source]
        return stacked

    def place(self, results: NDArray[np.float32], windows: tuple[Window, ...], out: NDArray[np.float32]) -> None:
        """Write the kept part of each result into `out`, an image of `output_shape`."""
        for result, window in zip(results, windows, strict=False):
            out[window.target] = result[window.inner]


def smallest_window(radius: int, grain: int = 1) -> int:
    """The shortest side of a window that still gets on, among others."""
    return _least_overlap(radius, grain) + grain


def _least_overlap(radius: int, grain: int) -> int:
    """What neighbours have in common at least: the radius on both sides, and room to move to the grain."""
    return 2 * radius + 4 * (grain - 1)


def tile_grid(
    image_shape: tuple[int, int], *, largest_window: int, radius: int, scale: int = 1, grain: int = 1
) -> TileGrid:
    """The grid with the fewest windows of at most `largest_window` pixels a side.

    A dimension that fits in one window runs at its own size, never padded. With a `grain`, windows start and seams lie
    at multiples of it. Raises ValueError when a window could not hold a single pixel with its surroundings.
    """
    if min(image_shape) < 1:
        raise ValueError(f"an image has at least one pixel, not {image_shape}")
    if largest_window < smallest_window(radius, grain):
        raise ValueError(f"a window of {largest_window} holds no pixel with {radius} around it on both sides")
    (height, rows), (width, columns) = (_axis(n, largest_window, radius, grain) for n in image_shape)

    def scaled(first: int, last: int) -> slice:
        return slice(first * scale, last * scale)

    windows = tuple(
        Window(
            source=(slice(row.start, row.start + height), slice(column.start, column.start + width)),
            inner=(
                scaled(row.keep - row.start, row.keep_end - row.start),
                scaled(column.keep - column.start, column.keep_end - column.start),
            ),
            target=(scaled(row.keep, row.keep_end), scaled(column.keep, column.keep_end)),
        )
        for row in rows
        for column in columns
    )
    return TileGrid(image_shape, (height, width), scale, windows)


def _axis(length: int, largest_window: int, radius: int, grain: int) -> tuple[int, list[_Span]]:
    """The window length and the spans along one axis."""
    if length <= largest_window:
        return length, [_Span(0, 0, length)]
    overlap = _least_overlap(radius, grain)
    count = -(-(length - overlap) // (largest_window - overlap))
    needed = -(-(length - overlap) // count) + overlap
    window = min(largest_window, -(-needed // _STEP) * _STEP)
    if grain > 1:
        window = needed - (needed - length) % grain  # so that the last one starts at a multiple, too
    starts = [_down(round(i * (length - window) / (count - 1)), grain) for i in range(count)]
    # The seam lies in the middle of the overlap, at least `radius` from the inner edge of both windows.
    seams = [0, *(_down((after + before + window) // 2, grain) for before, after in pairwise(starts)), length]
    return window, [_Span(start, first, last) for start, (first, last) in zip(starts, pairwise(seams), strict=True)]


def _down(position: int, grain: int) -> int:
    return position // grain * grain
