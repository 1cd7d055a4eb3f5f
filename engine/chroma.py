"""Chroma of stills made as sharp as the luma beside it (joint upsampling), instead of by bicubic interpolation alone.

Two guesses, which are wrong in different places, and their mean. Around an edge chroma follows luma: where a line
fitted to the few pixels around says how, the detail that a network found in luma is detail of chroma as well (He and
Sun 2015, "Fast guided filter"). And chroma has edges of its own, which the small network for luma finds in Cr and in Cb
as it does in luma. Whatever they say, chroma moves by no more than the source's chroma itself varies nearby: grey stays
grey, and a flat area the colour it was.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine import resample
from engine.enlarge import enlarge_luma
from engine.settings import Interpolation, Size

if TYPE_CHECKING:
    from engine.models import Model

Plane = NDArray[np.float32]
"""(height, width), or with planes behind; luma 0..1, Cr and Cb around 0, which is grey."""

NETWORK = "fast"
"""What enlarges Cr and Cb by themselves."""
_HALF = np.float32(0.5)
_NO_COLOUR = np.float32(1e-6)
"""What rounding leaves of chroma in grey pixels, and more; a level of 65,535 is five times as much."""
_AROUND = (3, 3)
_SIGMA = 0.8
_LEAST_VARIANCE = np.float32(3e-4)
"""Of luma: four levels of 255. Noise below that says nothing of chroma."""
_NEARBY = np.ones((5, 5), np.uint8)
"""Source pixels that chroma is compared with: those that bicubic interpolation reads, and no less on any side."""


def luma_and_chroma(bgr: Plane) -> Plane:
    """(height, width, 3) BGR in 0..1 → Y, Cr, Cb (BT.601, full range, as OpenCV has them); chroma of grey exactly 0."""
    planes = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2YCrCb), np.float32)
    chroma = planes[..., 1:]
    chroma -= _HALF
    chroma[np.abs(chroma) < _NO_COLOUR] = 0
    return planes


def to_bgr(luma: Plane, chroma: Plane) -> Plane:
    """(height, width) and (height, width, 2) → (height, width, 3) BGR, not clipped."""
    return np.asarray(cv2.cvtColor(np.dstack([luma, chroma + _HALF]), cv2.COLOR_YCrCb2BGR), np.float32)


@dataclass(frozen=True)
class JointChroma:
    """Call it with the small picture (`luma_and_chroma`) and its enlarged luma: Cr and Cb at the size of that luma."""

    load: Callable[[], Model]
    """The network for Cr and Cb; called when it is first needed, which for episodes is never."""

    @functools.cached_property
    def _model(self) -> Model:
        return self.load()

    @property
    def weights_sha256(self) -> str | None:
        """Of the weights file of the network for Cr and Cb."""
        return self._model.weights_sha256

    def __call__(self, source: Plane, luma: Plane) -> Plane:
        """(height, width, 3) and (height, width) float32 → (height, width, 2) float32, not clipped.

        Raises `EnvironmentFault` when not even the smallest window fits in memory.
        """
        size = Size(luma.shape[1], luma.shape[0])
        source_luma = np.ascontiguousarray(source[..., 0])
        detail = luma - resample.resize(source_luma, size, Interpolation.BICUBIC)
        made = np.empty((*luma.shape, 2), np.float32)
        for index in (0, 1):  # one after the other: pictures may be large
            chroma = np.ascontiguousarray(source[..., 1 + index])
            soft: Plane = resample.resize(chroma, size, Interpolation.BICUBIC)
            change: Plane = resample.resize(_slopes(source_luma, chroma), size, Interpolation.BILINEAR) * detail
            change += enlarge_luma(chroma + _HALF, size, self._model)
            change -= _HALF + soft
            change /= 2
            most = most_change(chroma, size)
            made[..., index] = soft + change.clip(-most, most)
        return made


def most_change(chroma: Plane, size: Size) -> Plane:
    """(height, width) at `size`: by how much a plane of the source varies around each of its pixels."""
    spread = cv2.dilate(chroma, _NEARBY) - cv2.erode(chroma, _NEARBY)
    return np.asarray(cv2.resize(spread, (size.width, size.height), interpolation=cv2.INTER_NEAREST), np.float32)


def _slopes(luma: Plane, chroma: Plane) -> Plane:
    """(height, width): by how much chroma rises with luma, in a line fitted around each pixel of the source."""
    mean_luma, mean_chroma = _mean(luma), _mean(chroma)
    together = _mean(luma * chroma) - mean_luma * mean_chroma
    variance = _mean(luma * luma) - mean_luma * mean_luma
    return _mean(together / (variance + _LEAST_VARIANCE))


def _mean(plane: NDArray[Any]) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, _AROUND, _SIGMA, borderType=cv2.BORDER_REFLECT_101), np.float32)
