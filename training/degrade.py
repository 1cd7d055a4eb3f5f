"""How a picture is made worse, so that a network can learn to make it better (paper, section III-A).

All on 8-bit pictures through OpenCV, as the authors do: the whole picture is sharpened and denoised (if the recipe says
so), its luma is made smaller, and enlarged again by the interpolation that the network will be fed with.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engine import resample
from engine.settings import Interpolation, Size
from training.recipe import Preprocessing, Reduction

Levels = NDArray[np.uint8]
"""(height, width) luma or (height, width, 3) BGR, 8 bit, full range."""

_ANTIALIASED = {Reduction.BICUBIC: (2, -0.5), Reduction.LANCZOS: (3, 0.0)}
"""Support in output pixels, and the sharpness of the cubic (Keys); what image editors do when they reduce."""


def crop_to_multiple(picture: Levels, scale: int) -> Levels:
    """The picture without the few right columns and bottom rows that `scale` does not divide."""
    height, width = picture.shape[:2]
    return picture[: height - height % scale, : width - width % scale]


def preprocess(picture_bgr: Levels, how: Preprocessing) -> Levels:
    """The picture that both sides are made from, (height, width, 3).

    `paper`: an unsharp mask (sigma 5, half of the difference added), then NlMeans with h = 10, as the authors' code.
    """
    if how is Preprocessing.NONE:
        return picture_bgr
    blurred = cv2.GaussianBlur(picture_bgr, (0, 0), 5)
    sharp = cv2.addWeighted(picture_bgr, 1.5, blurred, -0.5, 0)
    calm = cv2.fastNlMeansDenoisingColored(sharp, None, h=10, hColor=10, templateWindowSize=3, searchWindowSize=9)
    return np.asarray(calm, np.uint8)


def reduce(picture: Levels, scale: int, how: Reduction = Reduction.BILINEAR) -> Levels:
    """1/scale of the size, which the scale must divide.

    `bilinear` is the paper's and OpenCV's: for 2 the mean of each 2x2 block, for 3 every third pixel.
    """
    height, width = picture.shape[0] // scale, picture.shape[1] // scale
    if how in _ANTIALIASED:
        support, sharpness = _ANTIALIASED[how]
        rows = _filter_matrix(picture.shape[0], height, support, sharpness)
        columns = _filter_matrix(picture.shape[1], width, support, sharpness)
        flat = picture.reshape(*picture.shape[:2], -1).astype(np.float32)
        small = np.einsum("iy,yxc,jx->ijc", rows, flat, columns, optimize=True)
        return np.rint(small).clip(0, 255).astype(np.uint8).reshape(height, width, *picture.shape[2:])
    flag = cv2.INTER_AREA if how is Reduction.AREA else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (width, height), interpolation=flag), np.uint8)


def enlarge(picture: Levels, scale: int, upsampling: Interpolation) -> Levels:
    """`scale` times the size by classical interpolation: what the network sees."""
    size = Size(picture.shape[1] * scale, picture.shape[0] * scale)
    return np.asarray(resample.resize(picture, size, upsampling), np.uint8)


def _filter_matrix(length: int, out_length: int, support: int, sharpness: float) -> NDArray[np.float32]:
    """(out_length, length): each row the kernel stretched by the reduction, summing to one."""
    ratio = length / out_length
    centres = (np.arange(out_length) + 0.5) * ratio - 0.5
    x = np.abs(np.arange(length)[None] - centres[:, None]) / ratio
    if support == 3:
        kernel = np.sinc(x) * np.sinc(x / 3)
    else:
        near = ((sharpness + 2) * x - (sharpness + 3)) * x * x + 1
        far = ((sharpness * x - 5 * sharpness) * x + 8 * sharpness) * x - 4 * sharpness
        kernel = np.where(x < 1, near, far)
    kernel = np.where(x < support, kernel, 0)
    return (kernel / kernel.sum(axis=1, keepdims=True)).astype(np.float32)
