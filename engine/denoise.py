"""The paper's denoise: non-local means, then a bilateral filter (section III-D; strengths from the authors' code)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Strength:
    """Levels are on the 8-bit scale, windows and diameters in pixels."""

    h: float
    template_window: int
    search_window: int
    bilateral_diameter: int
    bilateral_sigma: float
    """For both colour (levels) and space (pixels)."""


STANDARD = Strength(h=7, template_window=3, search_window=9, bilateral_diameter=3, bilateral_sigma=50)
FINAL = Strength(h=14, template_window=5, search_window=15, bilateral_diameter=3, bilateral_sigma=100)
"""The authors follow this with a median of size 1, which changes nothing."""


def denoise_bgr(image: NDArray[Any], strength: Strength) -> NDArray[Any]:
    """Denoise a (height, width, 3) BGR picture, uint8 or uint16.

    8 bit exactly as the authors do, in OpenCV's Lab. OpenCV's coloured non-local means refuses 16 bit: there luma, Cr
    and Cb are denoised one by one.
    """
    if image.dtype == np.uint8:
        s = strength
        calm = cv2.fastNlMeansDenoisingColored(
            image,
            None,
            h=s.h,
            hColor=s.h,
            templateWindowSize=s.template_window,
            searchWindowSize=s.search_window,
        )
        return cv2.bilateralFilter(calm, s.bilateral_diameter, s.bilateral_sigma, s.bilateral_sigma)
    channels = cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb))
    merged = cv2.merge([_means(channel, strength, depth=16) for channel in channels])
    return _bilateral(cv2.cvtColor(merged, cv2.COLOR_YCrCb2BGR), strength, depth=16)


def denoise_plane(plane: NDArray[Any], strength: Strength, *, depth: int) -> NDArray[Any]:
    """Denoise one (height, width) plane: uint8, or uint16 holding `depth` bits. Same dtype out."""
    return _bilateral(_means(plane, strength, depth=depth), strength, depth=depth)


def _means(plane: NDArray[Any], strength: Strength, *, depth: int) -> NDArray[Any]:
    template, search = strength.template_window, strength.search_window
    if depth == 8:
        return cv2.fastNlMeansDenoising(plane, h=strength.h, templateWindowSize=template, searchWindowSize=search)
    h = strength.h * 2 ** (depth - 8)
    return cv2.fastNlMeansDenoising(
        plane, [h], templateWindowSize=template, searchWindowSize=search, normType=cv2.NORM_L1
    )


def _bilateral(image: NDArray[Any], strength: Strength, *, depth: int) -> NDArray[Any]:
    if depth == 8:
        return cv2.bilateralFilter(
            image, strength.bilateral_diameter, strength.bilateral_sigma, strength.bilateral_sigma
        )
    unit = 2 ** (depth - 8)
    smooth = cv2.bilateralFilter(
        image.astype(np.float32),
        strength.bilateral_diameter,
        strength.bilateral_sigma * unit,
        strength.bilateral_sigma,
    )
    return np.rint(smooth).clip(0, 2**depth - 1).astype(image.dtype)
