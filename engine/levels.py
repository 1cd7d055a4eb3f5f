"""Code values: their range, and how float becomes one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.settings import Rounding

_STRIP_PIXELS = 1 << 15


def luma_range(depth: int, *, full_range: bool) -> tuple[int, int]:
    """The code values of black and of reference white at `depth` bits."""
    if full_range:
        return 0, (1 << depth) - 1
    return 16 << (depth - 8), 235 << (depth - 8)


def to_levels(
    values: NDArray[np.float32], *, depth: int, rounding: Rounding, dither: NDArray[np.float32] | None = None
) -> NDArray[Any]:
    """Float code values → integers of `depth` bits: to the nearest, or truncated as the authors' code does.

    `dither`: thresholds in 0..1 of the same shape, that decide instead where a value is rounded up.
    """
    if dither is not None:
        whole = np.floor(np.rint(values * 256) / 256 + dither)  # whole numbers stay whole, float noise or not
    else:
        whole = np.rint(values) if rounding is Rounding.NEAREST else np.floor(values)
    return whole.clip(0, (1 << depth) - 1).astype(np.uint8 if depth == 8 else np.uint16)


def in_strips(make: Callable[[slice], NDArray[Any]], shape: tuple[int, ...]) -> NDArray[Any]:
    """Rows 0..height of what `make` returns for some rows at a time, few enough that what it needs stays in the cache.

    Gives what `make(slice(None))` would where its pixels do not depend on each other.
    """
    step = max(1, _STRIP_PIXELS // shape[1])
    first = make(slice(0, step))
    out = np.empty(shape, first.dtype)
    out[:step] = first
    for top in range(step, shape[0], step):
        out[top : top + step] = make(slice(top, top + step))
    return out


@functools.lru_cache(maxsize=4)
def dither_pattern(height: int, width: int) -> NDArray[np.float32]:
    """Thresholds in 0..1, spread evenly over every neighbourhood, the same for every frame.

    Interleaved gradient noise: Jimenez, "Next Generation Post Processing in Call of Duty: Advanced Warfare", 2014.
    """
    x, y = np.arange(width)[None, :], np.arange(height)[:, None]
    pattern: NDArray[np.float32] = ((52.9829189 * ((0.06711056 * x + 0.00583715 * y) % 1)) % 1).astype(np.float32)
    pattern.setflags(write=False)
    return pattern
