"""`evaluate`: how near a model comes to pictures that were reduced by the paper's protocol.

Each picture is cropped to a multiple of the scale (so that sizes align), reduced by bilinear interpolation, enlarged by
the engine exactly as a user's picture would be, and compared on 8-bit BGR (as the authors score) and on luma.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import fmean

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from engine.image import Picture
from engine.models import load_model
from engine.picture import enlarge_picture
from engine.settings import ImageFormat, Settings, Size
from training import degrade


@dataclass(frozen=True)
class Score:
    """PSNR in dB over 8-bit levels, of one picture or as a mean over many."""

    psnr_bgr: float
    psnr_luma: float


def psnr(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB, peak 255; capped at 100 where the two are equal."""
    error = float(np.mean((one.astype(np.float64) - other) ** 2))
    return min(100.0, 10 * float(np.log10(255**2 / error))) if error else 100.0


def score(picture_bgr: NDArray[np.uint8], settings: Settings) -> Score:
    """Reduce one (height, width, 3) picture by the scale in `settings`, enlarge it again, and compare."""
    scale = int(settings.scale or 1)
    wanted = degrade.crop_to_multiple(picture_bgr, scale)
    reduced = Picture(degrade.reduce(wanted, scale), alpha=None, format=ImageFormat.PNG)
    size = Size(wanted.shape[1], wanted.shape[0])
    model = load_model(settings, Fraction(scale))
    enlarged = enlarge_picture(reduced, size, settings, model).colour
    return Score(psnr(enlarged, wanted), psnr(degrade.luma(enlarged), degrade.luma(wanted)))


def evaluate(files: Iterable[Path], choices: dict[str, Settings]) -> dict[str, Score]:
    """Mean scores over `files` for each named choice of settings. Files that cannot be decoded are left out."""
    scores: dict[str, list[Score]] = {name: [] for name in choices}
    for file in (bar := tqdm(list(files), desc="evaluate", unit="picture")):
        picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if picture is None:
            bar.write(f"skipped, cannot be decoded: {file}")
            continue
        for name, settings in choices.items():
            scores[name].append(score(np.asarray(picture, np.uint8), settings))
    return {
        name: Score(fmean(s.psnr_bgr for s in each), fmean(s.psnr_luma for s in each))
        for name, each in scores.items()
        if each
    }
