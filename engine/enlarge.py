"""Luma to a size: by interpolation alone, by interpolation and a network, or by a network that enlarges by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from engine import resample
from engine.settings import Interpolation, Size

if TYPE_CHECKING:
    from engine.models import Model
    from engine.reuse import FrameReuse
    from engine.upscaler import Upscaler

Luma = NDArray[np.float32]
"""(height, width), 0..1 from black to white; sub-black and super-white lie outside."""


def enlarge_luma(luma: Luma, size: Size, model: Model) -> Luma:
    """`luma` at `size` (the same size or a larger one) by `model`; what a network cannot express stays as it is.

    A network of its own scale runs as often as it takes to reach `size`, once at least; then area down.
    """
    if model.upscaler is None or model.upscaler.scale == 1:
        resized: Luma = resample.resize(luma, size, model.interpolation)
        if model.upscaler is None:
            return resized
        enlarged = model.upscaler(resized.clip(0, 1))
        # A sigmoid cannot say anything outside 0..1: there luma keeps its interpolated value.
        return np.where((resized < 0) | (resized > 1), resized, enlarged)
    # Networks learn from what lies in 0..1. The rest is enlarged beside them: nothing, almost always.
    inside = luma.clip(0, 1)
    enlarged = _by_own_scale(inside, size, model.upscaler)
    outside = luma - inside
    if outside.any():
        enlarged += resample.resize(outside, size, Interpolation.BICUBIC)
    return enlarged


def _by_own_scale(luma: Luma, size: Size, upscaler: Upscaler | FrameReuse) -> Luma:
    """In 0..1: a linear last layer overshoots at hard edges."""
    made = upscaler(luma).clip(0, 1)
    while made.shape[0] < size.height or made.shape[1] < size.width:
        made = upscaler(made).clip(0, 1)
    if made.shape == (size.height, size.width):
        return made
    return np.asarray(cv2.resize(made, (size.width, size.height), interpolation=cv2.INTER_AREA), np.float32)
