"""Frames of video through a mode, planes all the way: luma by the network, chroma by bicubic at its own siting.

Luma is scaled exactly from its range to 0..1 (ITU-T H.273: limited range is 16..235 at 8 bit) and back to the output
depth in the same range. No RGB in between, so no matrix can be got wrong and no depth lost (section III-B).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import denoise, resample
from engine.models import Model
from engine.modes import recipe, run_recipe
from engine.planes import PlaneFormat, Planes
from engine.settings import Interpolation, Rounding, Settings, Size

Luma = NDArray[np.float32]
"""(height, width), 0..1 from black to white; sub-black and super-white lie outside."""

_LEFT = frozenset({"left", "topleft", "bottomleft"})
_TOP = frozenset({"topleft", "top"})


def luma_range(depth: int, *, full_range: bool) -> tuple[int, int]:
    """The code values of black and of reference white at `depth` bits."""
    if full_range:
        return 0, (1 << depth) - 1
    return 16 << (depth - 8), 235 << (depth - 8)


def to_levels(values: NDArray[np.float32], *, depth: int, rounding: Rounding) -> NDArray[Any]:
    """Float code values → integers of `depth` bits: to the nearest, or truncated as the authors' code does."""
    whole = np.rint(values) if rounding is Rounding.NEAREST else np.floor(values)
    return whole.clip(0, (1 << depth) - 1).astype(np.uint8 if depth == 8 else np.uint16)


class _LumaPasses:
    """The passes of a mode on one luma plane, kept as float between them."""

    def __init__(self, model: Model, format_: PlaneFormat, rounding: Rounding) -> None:
        self._upscaler, self._interpolation, self._rounding = model.upscaler, model.interpolation, rounding
        self._depth = format_.depth
        self._black, self._white = luma_range(format_.depth, full_range=format_.full_range)

    def enlarge(self, image: Luma, size: Size) -> Luma:
        resized: Luma = resample.resize(image, size, self._interpolation)
        if self._upscaler is None:
            return resized
        enlarged = self._upscaler(resized.clip(0, 1))
        # A sigmoid cannot say anything outside 0..1: there luma keeps its interpolated value.
        return np.where((resized < 0) | (resized > 1), resized, enlarged)

    def shrink(self, image: Luma, size: Size) -> Luma:
        shrunk: Luma = resample.resize(image, size, Interpolation.BICUBIC)
        return shrunk

    def denoise(self, image: Luma, strength: denoise.Strength) -> Luma:
        calm = denoise.denoise_plane(self.to_codes(image), strength, depth=self._depth)
        return self.from_codes(calm)

    def to_codes(self, image: Luma) -> NDArray[Any]:
        values = image * np.float32(self._white - self._black) + np.float32(self._black)
        return to_levels(values, depth=self._depth, rounding=self._rounding)

    def from_codes(self, plane: NDArray[Any]) -> Luma:
        return (plane.astype(np.float32) - np.float32(self._black)) / np.float32(self._white - self._black)


def plane_enlarger(
    source: PlaneFormat,
    *,
    source_size: Size,
    output: PlaneFormat,
    output_size: Size,
    settings: Settings,
    model: Model,
) -> Callable[[Planes], Planes]:
    """A function from the planes of one frame to the planes of the enlarged frame.

    `output` differs from `source` in depth only.
    """
    passes = recipe(settings.mode, settings.denoise)
    arriving = _LumaPasses(model, source, settings.rounding)
    leaving = _LumaPasses(model, output, settings.rounding)
    chroma = None
    if source.chroma_shift is not None:
        chroma = resample.ChromaResampler(
            luma=source_size,
            out_luma=output_size,
            shift=source.chroma_shift,
            sited_left=source.chroma_location in _LEFT,
            sited_top=source.chroma_location in _TOP,
        )
    gain = np.float32(_chroma_gain(source, output))
    middle, out_middle = np.float32(1 << (source.depth - 1)), np.float32(1 << (output.depth - 1))

    def enlarge(planes: Planes) -> Planes:
        luma = run_recipe(passes, arriving.from_codes(planes[0]), output_size, leaving)
        enlarged = [leaving.to_codes(luma)]
        for plane in planes[1:]:
            assert chroma is not None
            values = (chroma(plane) - middle) * gain + out_middle
            enlarged.append(to_levels(values, depth=output.depth, rounding=Rounding.NEAREST))
        return tuple(enlarged)

    return enlarge


def _chroma_gain(source: PlaneFormat, output: PlaneFormat) -> float:
    """Code values of the output per code value of the source: limited range doubles with each bit."""
    if source.full_range:
        return ((1 << output.depth) - 1) / ((1 << source.depth) - 1)
    return float(2 ** (output.depth - source.depth))
