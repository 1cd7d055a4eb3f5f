"""The recipe for a still picture: read, colour by the mode, alpha beside it, write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine import denoise, resample
from engine.chroma import luma_and_chroma, to_bgr
from engine.enlarge import enlarge_luma
from engine.errors import ProcessingError
from engine.image import Picture, read, write
from engine.levels import to_levels
from engine.models import Model
from engine.modes import recipe, run_recipe
from engine.settings import PICTURE_EXTENSIONS, ImageFormat, Interpolation, Rounding, Settings, Size
from engine.source import Source

Pixels = NDArray[Any]
"""(height, width) grey or (height, width, 3) BGR, uint8 or uint16."""


def output_format(source: ImageFormat, settings: Settings) -> ImageFormat:
    """The format that a picture is delivered in."""
    return source if settings.image_format is ImageFormat.SAME else settings.image_format


def output_extension(path: Path, format_: ImageFormat) -> str:
    """The extension for `format_`: the source's own spelling (`.jpeg`, `.tif`) where it means the same."""
    suffix = path.suffix.lower()
    return path.suffix if PICTURE_EXTENSIONS.get(suffix) is format_ else f".{format_.value}"


def enlarge_file(source: Source, part: Path, output_size: Size, settings: Settings, model: Model) -> None:
    """Enlarge one still file into the new file `part`. Raises as `engine.image` does, and `ProcessingError`."""
    picture = read(source, limits=settings.limits)
    enlarged = enlarge_picture(picture, output_size, settings, model)
    if enlarged.size != output_size:
        raise ProcessingError(
            f"came out as {enlarged.size}, not {output_size}", remedy="report this as a bug", path=source.path
        )
    write(enlarged, part, output_format(picture.format, settings))


def enlarge_picture(picture: Picture, output_size: Size, settings: Settings, model: Model) -> Picture:
    """`picture` enlarged to `output_size` by the mode in `settings`."""
    passes = recipe(settings.mode, settings.denoise)
    kind = _PicturePasses(model, settings.rounding)
    colour, alpha = picture.colour, picture.alpha
    if alpha is not None:
        colour = _fill_transparent(colour, alpha)
        alpha = resample.resize(alpha, output_size, Interpolation.BICUBIC)
    return replace(picture, colour=run_recipe(passes, colour, output_size, kind), alpha=alpha)


class _PicturePasses:
    """The passes of a mode on a still. As in the authors' code, each starts and ends in integer levels."""

    def __init__(self, model: Model, rounding: Rounding) -> None:
        self._model, self._rounding = model, rounding

    def enlarge(self, image: Pixels, size: Size) -> Pixels:
        upscaler = self._model.upscaler
        if upscaler is not None and (upscaler.scale > 1 or (self._model.chroma is not None and image.ndim == 3)):
            return self._in_float(image, size)
        resized = resample.resize(image, size, self._model.interpolation)
        if upscaler is None:
            return resized
        if resized.ndim == 2:
            return self._luma(resized, size)
        planes = cv2.cvtColor(resized, cv2.COLOR_BGR2YCrCb)
        planes[..., 0] = self._luma(planes[..., 0], size)
        return cv2.cvtColor(planes, cv2.COLOR_YCrCb2BGR)

    def _luma(self, luma: Pixels, size: Size) -> Pixels:
        white = _white(luma)
        return self._levels(enlarge_luma(luma.astype(np.float32) / white, size, self._model), luma)

    def _in_float(self, image: Pixels, size: Size) -> Pixels:
        """Colour in float from end to end: the network sees the picture as it is, chroma is enlarged beside it."""
        if image.ndim == 2:
            return self._luma(image, size)
        planes = luma_and_chroma(image.astype(np.float32) / _white(image))
        luma = enlarge_luma(np.ascontiguousarray(planes[..., 0]), size, self._model)
        if self._model.chroma is not None and luma.size > planes[..., 0].size:
            chroma = self._model.chroma(planes, luma)
        else:
            chroma = resample.resize(planes[..., 1:], size, Interpolation.BICUBIC)
        return self._levels(to_bgr(luma, chroma), image)

    def _levels(self, values: NDArray[np.float32], like: Pixels) -> Pixels:
        return to_levels(values * _white(like), depth=8 * like.itemsize, rounding=self._rounding)

    def shrink(self, image: Pixels, size: Size) -> Pixels:
        return resample.resize(image, size, Interpolation.BICUBIC)

    def denoise(self, image: Pixels, strength: denoise.Strength) -> Pixels:
        if image.ndim == 2:
            return denoise.denoise_plane(image, strength, depth=8 * image.itemsize)
        return denoise.denoise_bgr(image, strength)


def _white(image: Pixels) -> np.float32:
    """The largest level."""
    return np.float32((1 << 8 * image.itemsize) - 1)


def _fill_transparent(colour: Pixels, alpha: NDArray[Any]) -> Pixels:
    """Give fully transparent pixels the colour of the nearest visible one.

    Their own colour is never seen and often black or white; interpolation would draw it into the edge as a halo.
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return colour
    _, labels = cv2.distanceTransformWithLabels(
        hidden.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros((int(labels.max()) + 1, *colour.shape[2:]), colour.dtype)
    nearest[labels[~hidden]] = colour[~hidden]
    filled: Pixels = nearest[labels]
    return filled
