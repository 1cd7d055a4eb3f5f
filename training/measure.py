"""How near two pictures are: PSNR, SSIM, and PSNR where the lines are."""

from __future__ import annotations

from dataclasses import dataclass, fields
from statistics import fmean

import cv2
import numpy as np
from numpy.typing import NDArray

from training import degrade
from training.degrade import Levels

EDGE_GRADIENT = 20
"""Levels per pixel (Sobel magnitude over 8) from which the original has an edge."""
EDGE_REACH = 2
"""How far around an edge still counts as edge, in pixels."""
_WINDOW = 7


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
        psnr(degrade.luma(made), degrade.luma(original)),
        psnr(made, original, mask=edges(original)),
    )


def mean(scores: list[Score]) -> Score:
    """The mean of each figure; pictures without an edge do not count towards `psnr_edges`."""
    columns = {each.name: [getattr(score, each.name) for score in scores] for each in fields(Score)}
    return Score(
        **{name: fmean([v for v in values if np.isfinite(v)] or [float("nan")]) for name, values in columns.items()}
    )


def psnr(one: Levels, other: Levels, *, mask: NDArray[np.bool_] | None = None) -> float:
    """Peak signal-to-noise ratio in dB, peak 255; 100 where the two are equal, NaN where the mask holds nothing."""
    squares = (one.astype(np.float64) - other) ** 2
    chosen = squares if mask is None else squares[mask]
    if not chosen.size:
        return float("nan")
    error = float(chosen.mean())
    return min(100.0, 10 * float(np.log10(255**2 / error))) if error else 100.0


def ssim(one: Levels, other: Levels) -> float:
    """Structural similarity (Wang et al. 2004) as scikit-image computes it by default, and so the authors.

    Mean over channels, 7x7 uniform windows that lie inside the picture, sample covariance, K1 0.01, K2 0.03, range 255.
    Raises ValueError for pictures smaller than a window.
    """
    if min(one.shape[:2]) < _WINDOW:
        raise ValueError(f"SSIM needs pictures of at least {_WINDOW}x{_WINDOW} pixels")
    x, y = (each.astype(np.float64) for each in (one, other))
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    unbiased = _WINDOW**2 / (_WINDOW**2 - 1)
    mean_x, mean_y = _box(x), _box(y)
    variance_x = unbiased * (_box(x * x) - mean_x * mean_x)
    variance_y = unbiased * (_box(y * y) - mean_y * mean_y)
    covariance = unbiased * (_box(x * y) - mean_x * mean_y)
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    )
    border = _WINDOW // 2
    return float(similarity[border:-border, border:-border].mean())


def edges(picture_bgr: Levels) -> NDArray[np.bool_]:
    """(height, width): within `EDGE_REACH` pixels of a luma gradient of at least `EDGE_GRADIENT`."""
    luma = degrade.luma(picture_bgr).astype(np.float32)
    steep = cv2.magnitude(cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)) >= 8 * EDGE_GRADIENT
    around = np.ones((2 * EDGE_REACH + 1, 2 * EDGE_REACH + 1), np.uint8)
    return cv2.dilate(steep.astype(np.uint8), around).astype(bool)


def _box(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.boxFilter(values, cv2.CV_64F, (_WINDOW, _WINDOW)), np.float64)
