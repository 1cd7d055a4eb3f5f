"""Frames of video as people see them: planes of YUV to 8-bit BGR, for crops, previews and thumbnails.

For looking, not for measuring or delivering: chroma is enlarged by bicubic about its centre, whatever its siting.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.planes import PlaneFormat, Planes

Bgr = NDArray[np.uint8]
"""(height, width, 3), full range."""

_SD_LINES = 576
_KR_KB = {
    "bt709": (0.2126, 0.0722),
    "bt470bg": (0.299, 0.114),
    "smpte170m": (0.299, 0.114),
    "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
    "bt2020c": (0.2627, 0.0593),
}
"""Weights of red and blue in luma, by ffmpeg's name of the matrix (ITU-T H.273, table 4)."""


def to_bgr(planes: Planes, format_: PlaneFormat, *, matrix: str | None, lines: int) -> Bgr:
    """`planes` as 8-bit BGR. `matrix` None: BT.601 up to 576 `lines` of the source, BT.709 above, as players guess."""
    depth = format_.depth
    black, span = (0, (1 << depth) - 1) if format_.full_range else (16 << (depth - 8), 219 << (depth - 8))
    luma = (planes[0].astype(np.float32) - black) / span
    if len(planes) == 1:
        return _levels(np.dstack([luma] * 3))
    red, blue = _KR_KB.get(matrix or "", _KR_KB["smpte170m" if lines <= _SD_LINES else "bt709"])
    chroma_span = (1 << depth) - 1 if format_.full_range else 224 << (depth - 8)
    size = (luma.shape[1], luma.shape[0])
    u, v = (
        cv2.resize((plane.astype(np.float32) - (1 << (depth - 1))) / chroma_span, size, interpolation=cv2.INTER_CUBIC)
        for plane in planes[1:3]
    )
    r = luma + 2 * (1 - red) * v
    b = luma + 2 * (1 - blue) * u
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return _levels(np.dstack([b, g, r]))


def picture_bgr(colour: NDArray[Any], alpha: NDArray[Any] | None = None, *, paper: int = 255) -> Bgr:
    """A still of `engine.image` as 8-bit BGR; what is transparent shows grey `paper`."""
    full = 255 if colour.dtype == np.uint8 else 65535
    values = colour.astype(np.float32) / full
    if values.ndim == 2:
        values = np.dstack([values] * 3)
    if alpha is not None:
        share = (alpha.astype(np.float32) / full)[..., None]
        values = values * share + (paper / 255) * (1 - share)
    return _levels(values)


def _levels(values: NDArray[Any]) -> Bgr:
    return np.rint(values * 255).clip(0, 255).astype(np.uint8)
