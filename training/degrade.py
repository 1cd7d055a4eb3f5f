"""How a picture is made worse, so that a network can learn to make it better (paper, section III-A).

All on 8-bit pictures through OpenCV, as the authors do: bilinear reduction without antialiasing, then enlargement by
the interpolation that the network will be fed with.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.settings import Interpolation

Picture = NDArray[np.uint8]
"""(height, width) luma or (height, width, 3) BGR, 8 bit."""

_FLAGS = {
    Interpolation.BILINEAR: cv2.INTER_LINEAR,
    Interpolation.BICUBIC: cv2.INTER_CUBIC,
    Interpolation.LANCZOS: cv2.INTER_LANCZOS4,
}


def crop_to_multiple(picture: Picture, scale: int) -> Picture:
    """The picture without the few right columns and bottom rows that `scale` does not divide."""
    height, width = picture.shape[:2]
    return picture[: height - height % scale, : width - width % scale]


def reduce(picture: Picture, scale: int) -> Picture:
    """1/scale of the size by bilinear interpolation (for scale 2 the mean of each 2x2 block)."""
    height, width = picture.shape[:2]
    reduced = cv2.resize(picture, (width // scale, height // scale), interpolation=cv2.INTER_LINEAR)
    return np.asarray(reduced, np.uint8)


def enlarge(picture: Picture, scale: int, upsampling: Interpolation) -> Picture:
    """`scale` times the size by classical interpolation: what the network sees."""
    height, width = picture.shape[:2]
    enlarged = cv2.resize(picture, (width * scale, height * scale), interpolation=_FLAGS[upsampling])
    return np.asarray(enlarged, np.uint8)


def luma(picture_bgr: Picture) -> Picture:
    """Full-range BT.601 luma as OpenCV computes it, (height, width)."""
    return np.asarray(cv2.cvtColor(picture_bgr, cv2.COLOR_BGR2YCrCb)[..., 0], np.uint8)
