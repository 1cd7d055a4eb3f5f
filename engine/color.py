"""Frames of video through a mode, planes all the way: luma by the network, chroma by bicubic at its own siting.

Luma is scaled exactly from its range to 0..1 (ITU-T H.273: limited range is 16..235 at 8 bit) and back to the output
depth in the same range. No RGB in between, so no matrix can be got wrong and no depth lost (section III-B).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import denoise, resample
from engine.enlarge import Luma, enlarge_luma
from engine.models import Model
from engine.modes import recipe, run_recipe
from engine.planes import PlaneFormat, Planes
from engine.reuse import FrameReuse
from engine.settings import Interpolation, Rounding, Settings, Size

_MEASURED_EVERY = 24
_LEFT = frozenset({"left", "topleft", "bottomleft"})
_TOP = frozenset({"topleft", "top"})


def luma_range(depth: int, *, full_range: bool) -> tuple[int, int]:
    """The code values of black and of reference white at `depth` bits."""
    if full_range:
        return 0, (1 << depth) - 1
    return 16 << (depth - 8), 235 << (depth - 8)


def to_levels(
    values: NDArray[np.float32], *, depth: int, rounding: Rounding, dither: NDArray[np.float32] | None = None
) -> NDArray[Any]:
    """Float code values → integers of `depth` bits: to the nearest, or truncated as the authors' code does.

    `dither`: thresholds in 0..1 of the same shape, that decide instead where a value is rounded up.
    """
    if dither is not None:
        whole = np.floor(np.rint(values * 256) / 256 + dither)  # whole numbers stay whole, float noise or not
    else:
        whole = np.rint(values) if rounding is Rounding.NEAREST else np.floor(values)
    return whole.clip(0, (1 << depth) - 1).astype(np.uint8 if depth == 8 else np.uint16)


@functools.lru_cache(maxsize=4)
def dither_pattern(height: int, width: int) -> NDArray[np.float32]:
    """Thresholds in 0..1, spread evenly over every neighbourhood, the same for every frame.

    Interleaved gradient noise: Jimenez, "Next Generation Post Processing in Call of Duty: Advanced Warfare", 2014.
    """
    x, y = np.arange(width)[None, :], np.arange(height)[:, None]
    pattern: NDArray[np.float32] = ((52.9829189 * ((0.06711056 * x + 0.00583715 * y) % 1)) % 1).astype(np.float32)
    pattern.setflags(write=False)
    return pattern


class _LumaPasses:
    """The passes of a mode on one luma plane, kept as float between them."""

    def __init__(self, model: Model, format_: PlaneFormat, rounding: Rounding) -> None:
        self._model, self._rounding = model, rounding
        self._depth = format_.depth
        self._black, self._white = luma_range(format_.depth, full_range=format_.full_range)

    def enlarge(self, image: Luma, size: Size) -> Luma:
        return enlarge_luma(image, size, self._model)

    def shrink(self, image: Luma, size: Size) -> Luma:
        shrunk: Luma = resample.resize(image, size, Interpolation.BICUBIC)
        return shrunk

    def denoise(self, image: Luma, strength: denoise.Strength) -> Luma:
        calm = denoise.denoise_plane(self.to_codes(image), strength, depth=self._depth)
        return self.from_codes(calm)

    def to_codes(self, image: Luma, *, dithered: bool = False) -> NDArray[Any]:
        dither = dither_pattern(image.shape[0], image.shape[1]) if dithered else None
        return to_levels(self.values(image), depth=self._depth, rounding=self._rounding, dither=dither)

    def values(self, image: Luma) -> Luma:
        """Code values before they are rounded."""
        scaled: Luma = image * np.float32(self._white - self._black) + np.float32(self._black)
        return scaled

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
) -> PlaneEnlarger:
    """From the planes of a frame to those of the enlarged frame. `output` differs from `source` in depth only."""
    return PlaneEnlarger(source, source_size, output, output_size, settings, model)


class PlaneEnlarger:
    """Call it with the planes of each frame, in order. Where depth is reduced, the result is dithered.

    Every 24th frame is held against a plain bicubic resize, so that `mean_shift` tells what became of the colours.
    """

    def __init__(
        self,
        source: PlaneFormat,
        source_size: Size,
        output: PlaneFormat,
        output_size: Size,
        settings: Settings,
        model: Model,
    ) -> None:
        self._reuse = model.upscaler if isinstance(model.upscaler, FrameReuse) else None
        self._passes = recipe(settings.mode, settings.denoise)
        self._arriving = _LumaPasses(model, source, settings.rounding)
        self._leaving = _LumaPasses(model, output, settings.rounding)
        self._output, self._output_size = output, output_size
        self._chroma = None
        if source.chroma_shift is not None:
            self._chroma = resample.ChromaResampler(
                luma=source_size,
                out_luma=output_size,
                shift=source.chroma_shift,
                sited_left=source.chroma_location in _LEFT,
                sited_top=source.chroma_location in _TOP,
            )
        self._gain = np.float32(_chroma_gain(source, output))
        self._middle, self._out_middle = np.float32(1 << (source.depth - 1)), np.float32(1 << (output.depth - 1))
        self._dithered = output.depth < source.depth
        self._frames = 0
        self._shifts: list[list[float]] = []

    def __call__(self, planes: Planes) -> Planes:
        if self._reuse is not None:
            self._reuse.begin_frame()
        measured = self._frames % _MEASURED_EVERY == 0
        self._frames += 1
        arrived = self._arriving.from_codes(planes[0])
        luma = run_recipe(self._passes, arrived, self._output_size, self._leaving)
        enlarged = [self._leaving.to_codes(luma, dithered=self._dithered)]
        exact = []
        if measured:
            exact.append(self._leaving.values(resample.resize(arrived, self._output_size, Interpolation.BICUBIC)))
        for plane in planes[1:]:
            assert self._chroma is not None
            values = (self._chroma(plane) - self._middle) * self._gain + self._out_middle
            dither = dither_pattern(values.shape[0], values.shape[1]) if self._dithered else None
            enlarged.append(to_levels(values, depth=self._output.depth, rounding=Rounding.NEAREST, dither=dither))
            exact.append(values)
        if measured:
            unit = ((1 << self._output.depth) - 1) / 255 if self._output.full_range else 1 << (self._output.depth - 8)
            top = (1 << self._output.depth) - 1
            self._shifts.append(
                [
                    (float(got.mean(dtype=np.float64)) - float(wanted.clip(0, top).mean(dtype=np.float64))) / unit
                    for got, wanted in zip(enlarged, exact, strict=True)
                ]
            )
        return tuple(enlarged)

    @property
    def reused_share(self) -> float | None:
        """The part of all pixels that the network did not have to compute again, 0..1; None without reuse."""
        return round(self._reuse.reused_share, 4) if self._reuse is not None else None

    @property
    def mean_shift(self) -> dict[str, object]:
        """By how much the planes differ on average from a plain resize, in levels of 255; JSON-ready.

        Frames that an earlier attempt enlarged do not count.
        """
        found: dict[str, object] = {"frames": len(self._shifts)}
        if self._shifts:
            means = np.mean(self._shifts, axis=0)
            found |= {name: round(float(mean), 4) for name, mean in zip(("luma", "u", "v"), means, strict=False)}
        return found


def _chroma_gain(source: PlaneFormat, output: PlaneFormat) -> float:
    """Code values of the output per code value of the source: limited range doubles with each bit."""
    if source.full_range:
        return ((1 << output.depth) - 1) / ((1 << source.depth) - 1)
    return float(2 ** (output.depth - source.depth))
