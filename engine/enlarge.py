"""Luma to a size: by interpolation alone, by interpolation and a network, or by a network that enlarges by itself.

`enlarge_luma` is `network(prepare(…))`: two steps, so that those of neighbouring frames can run side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from engine import resample
from engine.settings import Interpolation, Size
from engine.sizing import runs_to

if TYPE_CHECKING:
    from engine.models import Model
    from engine.reuse import FrameReuse
    from engine.upscaler import Upscaler

Luma = NDArray[np.float32]
"""(height, width), 0..1 from black to white; sub-black and super-white lie outside."""


_NOWHERE, _NOTHING = np.empty(0, np.intp), np.empty(0, np.float32)


@dataclass
class Prepared:
    """Luma as the network is fed with it, within 0..1, and what lay outside."""

    image: Luma
    size: Size
    outside: NDArray[np.intp]
    """Where, in the flat image at `size`. No network can say such values: luma keeps its interpolated ones there."""
    kept: Luma
    beside: Luma | None = None
    """What a network that enlarges by itself never sees, enlarged; None: nothing, as almost always."""


def enlarge_luma(luma: Luma, size: Size, model: Model) -> Luma:
    """`luma` at `size` (the same size or a larger one) by `model`. The result is the caller's own."""
    return network(prepare(luma, size, model), model)


def prepare(luma: Luma, size: Size, model: Model) -> Prepared:
    """What comes before the network: interpolation to `size`, unless the network enlarges by itself."""
    if model.upscaler is not None and model.upscaler.scale > 1:
        return _for_own_scale(luma, size)
    resized: Luma = resample.resize(luma, size, model.interpolation)
    if model.upscaler is None:
        return Prepared(resized, size, _NOWHERE, _NOTHING)
    clipped = resized.clip(0, 1)
    outside = np.flatnonzero(clipped != resized)
    return Prepared(clipped, size, outside, resized.ravel()[outside])


def _for_own_scale(luma: Luma, size: Size) -> Prepared:
    """What is below black and above white is added afterwards; where it came from, only it is seen."""
    inside = luma.clip(0, 1)
    excess = luma - inside
    if not excess.any():
        return Prepared(inside, size, _NOWHERE, _NOTHING)
    resized: Luma = resample.resize(luma, size, Interpolation.BICUBIC)
    came_from = cv2.resize((excess != 0).astype(np.uint8), (size.width, size.height), interpolation=cv2.INTER_NEAREST)
    outside = np.flatnonzero((resized.clip(0, 1) != resized) & (came_from != 0))
    return Prepared(
        inside, size, outside, resized.ravel()[outside], resample.resize(excess, size, Interpolation.BICUBIC)
    )


def network(prepared: Prepared, model: Model) -> Luma:
    """From the network on. One of its own scale runs as often as the size takes, once at least; then area down."""
    if model.upscaler is None:
        return prepared.image
    if model.upscaler.scale > 1:
        made = _by_own_scale(prepared.image, prepared.size, model.upscaler)
        if prepared.beside is None:
            return made
        made = made + prepared.beside
        np.put(made, prepared.outside, prepared.kept)
        return made
    enlarged = np.array(model.upscaler(prepared.image))  # reuse goes on writing into what it returned
    np.put(enlarged, prepared.outside, prepared.kept)
    return enlarged


def _by_own_scale(luma: Luma, size: Size, upscaler: Upscaler | FrameReuse) -> Luma:
    """In 0..1: a linear last layer overshoots at hard edges."""
    factor = max(Fraction(size.height, luma.shape[0]), Fraction(size.width, luma.shape[1]))
    made = luma
    for _ in range(runs_to(factor, upscaler.scale)):
        made = upscaler(made).clip(0, 1)
    if made.shape == (size.height, size.width):
        return made
    at_least = Size(max(size.width, made.shape[1]), max(size.height, made.shape[0]))  # a pixel more, by rounding
    made = resample.resize(made, at_least, Interpolation.BICUBIC).clip(0, 1)
    return np.asarray(cv2.resize(made, (size.width, size.height), interpolation=cv2.INTER_AREA), np.float32)
