"""How near two pictures or planes are: PSNR, SSIM, and PSNR where the lines are."""

from __future__ import annotations

from dataclasses import dataclass, fields
from statistics import fmean
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Levels = NDArray[Any]
"""(height, width) or (height, width, channels); uint8, or uint16 where a function takes a `peak`."""

EDGE_GRADIENT = 20
"""Levels per pixel (Sobel magnitude over 8) from which the original has an edge."""
EDGE_REACH = 2
"""How far around an edge still counts as edge, in pixels."""
EQUAL_DB = 100.0
"""What stands for the PSNR of two that are equal."""
WINDOW = 7
"""Side of the windows of SSIM, in pixels."""


@dataclass(frozen=True)
class Score:
    """PSNR in dB over 8-bit levels and SSIM, of one picture or as a mean over many."""

    psnr_bgr: float
    ssim_bgr: float
    psnr_luma: float
    psnr_edges: float
    """PSNR of BGR inside the edge mask of the original: flat backgrounds flatter everybody."""


def score(made: Levels, original: Levels) -> Score:
    """Compare two (height, width, 3) BGR pictures of the same size, both 8 bit."""
    return Score(
        psnr(made, original),
        ssim(made, original),
        psnr(luma(made), luma(original)),
        psnr(made, original, mask=edges(original)),
    )


def mean(scores: list[Score]) -> Score:
    """The mean of each figure; pictures without an edge do not count towards `psnr_edges`."""
    columns = {each.name: [getattr(score, each.name) for score in scores] for each in fields(Score)}
    return Score(
        **{name: fmean([v for v in values if np.isfinite(v)] or [float("nan")]) for name, values in columns.items()}
    )


def luma(picture_bgr: Levels) -> Levels:
    """Full-range BT.601 luma of a (height, width, 3) picture as OpenCV computes it, (height, width), dtype kept."""
    return np.asarray(cv2.cvtColor(picture_bgr, cv2.COLOR_BGR2YCrCb)[..., 0], picture_bgr.dtype)


def squared_error(one: Levels, other: Levels) -> float:
    """Mean of the squared differences, in squared levels."""
    return float(((one.astype(np.float64) - other) ** 2).mean())


def decibels(error: float, *, peak: float = 255) -> float:
    """PSNR of a mean squared error; `EQUAL_DB` where there is none, and at most."""
    return min(EQUAL_DB, 10 * float(np.log10(peak**2 / error))) if error else EQUAL_DB


def psnr(one: Levels, other: Levels, *, peak: float = 255, mask: NDArray[np.bool_] | None = None) -> float:
    """Peak signal-to-noise ratio in dB; 100 where the two are equal, NaN where the mask holds nothing."""
    if mask is not None:
        one, other = one[mask], other[mask]
    if not one.size:
        return float("nan")
    return decibels(squared_error(one, other), peak=peak)


def ssim(one: Levels, other: Levels, *, peak: float = 255) -> float:
    """Structural similarity (Wang et al. 2004) as scikit-image computes it by default, and so the authors.

    Mean over channels, 7x7 uniform windows that lie inside the picture, sample covariance, K1 0.01, K2 0.03.
    Raises ValueError for pictures smaller than a window.
    """
    if min(one.shape[:2]) < WINDOW:
        raise ValueError(f"SSIM needs pictures of at least {WINDOW}x{WINDOW} pixels")
    x, y = (each.astype(np.float64) for each in (one, other))
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    unbiased = WINDOW**2 / (WINDOW**2 - 1)
    mean_x, mean_y = _box(x), _box(y)
    variance_x = unbiased * (_box(x * x) - mean_x * mean_x)
    variance_y = unbiased * (_box(y * y) - mean_y * mean_y)
    covariance = unbiased * (_box(x * y) - mean_x * mean_y)
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    )
    border = WINDOW // 2
    return float(similarity[border:-border, border:-border].mean())


def edges(picture_bgr: Levels) -> NDArray[np.bool_]:
    """(height, width): within `EDGE_REACH` pixels of a luma gradient of at least `EDGE_GRADIENT`."""
    grey = luma(picture_bgr).astype(np.float32)
    steep = cv2.magnitude(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)) >= 8 * EDGE_GRADIENT
    around = np.ones((2 * EDGE_REACH + 1, 2 * EDGE_REACH + 1), np.uint8)
    return cv2.dilate(steep.astype(np.uint8), around).astype(bool)


def _box(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.boxFilter(values, cv2.CV_64F, (WINDOW, WINDOW)), np.float64)
