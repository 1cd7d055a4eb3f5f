"""Frames of video through a mode, planes all the way: luma by the network, chroma by bicubic at its own siting.

Luma is scaled exactly from its range to 0..1 (ITU-T H.273: limited range is 16..235 at 8 bit) and back to the output
depth in the same range. No RGB in between, so no matrix can be got wrong and no depth lost (section III-B).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import denoise, resample
from engine.enlarge import Luma, Prepared, enlarge_luma, network, prepare
from engine.levels import dither_pattern, in_strips, luma_range, to_levels
from engine.models import Model
from engine.modes import Pass, recipe, run_recipe
from engine.pipeline import Step
from engine.planes import Plane, PlaneFormat, Planes
from engine.reuse import FrameReuse
from engine.settings import Interpolation, Reuse, Rounding, Settings, Size
from engine.steady import Steady

_MEASURED_EVERY = 24
_LEFT = frozenset({"left", "topleft", "bottomleft"})
_TOP = frozenset({"topleft", "top"})


class _LumaPasses:
    """The passes of a mode on one luma plane, kept as float between them."""

    def __init__(self, model: Model, format_: PlaneFormat, rounding: Rounding) -> None:
        self.model, self._rounding = model, rounding
        self._depth = format_.depth
        self._black, self._white = luma_range(format_.depth, full_range=format_.full_range)

    def enlarge(self, image: Luma, size: Size) -> Luma:
        return enlarge_luma(image, size, self.model)

    def shrink(self, image: Luma, size: Size) -> Luma:
        shrunk: Luma = resample.resize(image, size, Interpolation.BICUBIC)
        return shrunk

    def denoise(self, image: Luma, strength: denoise.Strength) -> Luma:
        calm = denoise.denoise_plane(self.to_codes(image), strength, depth=self._depth)
        return self.from_codes(calm)

    def to_codes(self, image: Luma, *, dithered: bool = False) -> NDArray[Any]:
        dither = dither_pattern(image.shape[0], image.shape[1]) if dithered else None
        return in_strips(
            lambda rows: to_levels(
                self.values(image[rows]),
                depth=self._depth,
                rounding=self._rounding,
                dither=None if dither is None else dither[rows],
            ),
            image.shape,
        )

    def values(self, image: Luma) -> Luma:
        """Code values before they are rounded."""
        scaled: Luma = image * np.float32(self._white - self._black) + np.float32(self._black)
        return scaled

    def from_codes(self, plane: NDArray[Any]) -> Luma:
        return (plane.astype(np.float32) - np.float32(self._black)) / np.float32(self._white - self._black)


@dataclass
class PlaneFrame:
    """A frame on its way."""

    planes: Planes
    same: tuple[bool, ...]
    """Which planes are the same as in the frame before."""
    exact_mean: float | None = None
    """The mean code value of luma after a plain resize, where it is measured."""
    prepared: Prepared | None = None
    luma: Luma | None = None
    pending: Any = None
    """What was sent to a device."""


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
    if model.device == "gpu" and model.upscaler is not None and len(recipe(settings.mode, settings.denoise)) == 1:
        from engine.backend_frames import places
        from engine.frame_program import Task
        from engine.on_device import DeviceEnlarger

        task = Task(source, source_size, output, output_size, settings, model)
        return DeviceEnlarger(task, devices=places(gpu=True))
    return PlaneEnlarger(source, source_size, output, output_size, settings, model)


class PlaneEnlarger:
    """Call it with the planes of each frame, in order. Where depth is reduced, the result is dithered.

    `steps` are the same call in three parts, which may run side by side on frames that follow each other. With reuse, a
    plane that is the same as in the frame before gives the very plane that came out then.
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
        self._steady: Steady | None = None
        if settings.reuse is Reuse.NEAR:
            self._level = luma_range(source.depth, full_range=source.full_range)[1] / (
                255 if source.full_range else 235
            )
            self._tolerance = settings.reuse_tolerance
            self._steady = Steady(int(settings.reuse_tolerance * self._level))
        self._first, *self._passes = recipe(settings.mode, settings.denoise)
        self._arriving = _LumaPasses(model, source, settings.rounding)
        self._leaving = _LumaPasses(model, output, settings.rounding)
        self._output, self._output_size = output, output_size
        self._chroma = chroma_resampler(source, source_size, output_size)
        self._gain = np.float32(chroma_gain(source, output))
        self._middle, self._out_middle = np.float32(1 << (source.depth - 1)), np.float32(1 << (output.depth - 1))
        self._dithered = output.depth < source.depth
        self._frames = 0
        self._before: Planes = ()
        self._made: Planes = ()
        self._shifts: list[list[float]] = []

    def __call__(self, planes: Planes) -> Planes:
        return self._leave(self._enlarge(self._arrive(planes)))

    @property
    def steps(self) -> tuple[Step, Step, Step]:
        return Step("planes in", self._arrive), Step("network", self._enlarge), Step("planes out", self._leave)

    def _arrive(self, planes: Planes) -> PlaneFrame:
        """Luma to float, at the size that the network works at."""
        frame = self._compared(planes)
        measured = self._frames % _MEASURED_EVERY == 0
        self._frames += 1
        if frame.same[0] and not measured:
            return frame
        arrived = self._arriving.from_codes(frame.planes[0])
        if measured:
            exact = self._leaving.values(resample.resize(arrived, self._output_size, Interpolation.BICUBIC))
            frame.exact_mean = self._mean(exact)
        if not frame.same[0]:
            assert self._first in {Pass.ENLARGE, Pass.ENHANCE}, "every recipe begins with the network"
            frame.prepared = prepare(arrived, self._output_size, self._leaving.model)
            if self._reuse is not None:
                self._reuse.foresee(frame.prepared.image)
        return frame

    def _compared(self, planes: Planes) -> PlaneFrame:
        """With `reuse: near` as steady as it makes them; and what is the same as in the frame before."""
        if self._steady is not None:
            planes = (self._steady(planes[0]), *planes[1:])
        frame = PlaneFrame(planes, same=tuple(map(self._same, planes, self._before or (None,) * len(planes))))
        self._before = planes
        return frame

    def _same(self, plane: Plane, before: Plane | None) -> bool:
        return self._reuse is not None and before is not None and np.array_equal(plane, before)

    def _enlarge(self, frame: PlaneFrame) -> PlaneFrame:
        """All passes of the mode."""
        if self._reuse is not None:
            self._reuse.begin_frame(held=frame.same[0])
        if frame.prepared is not None:
            begun = network(frame.prepared, self._leaving.model)
            frame.prepared = None
            frame.luma = run_recipe(tuple(self._passes), begun, self._output_size, self._leaving)
        return frame

    def _leave(self, frame: PlaneFrame) -> Planes:
        """Luma to code values, and chroma."""
        luma = self._made[0] if frame.luma is None else self._leaving.to_codes(frame.luma, dithered=self._dithered)
        enlarged, exact_means = [luma], [frame.exact_mean]
        for index, plane in enumerate(frame.planes[1:], start=1):
            if frame.same[index] and frame.exact_mean is None:
                enlarged.append(self._made[index])
                continue
            assert self._chroma is not None
            values = (self._chroma(plane) - self._middle) * self._gain + self._out_middle
            enlarged.append(self._chroma_codes(values))
            if frame.exact_mean is not None:
                exact_means.append(self._mean(values))
        if frame.exact_mean is not None:
            self._note_means(
                [
                    (float(got.mean(dtype=np.float64)), wanted)
                    for got, wanted in zip(enlarged, exact_means, strict=True)
                    if wanted is not None
                ]
            )
        self._made = tuple(enlarged)
        return self._made

    def _note_means(self, means: list[tuple[float, float]]) -> None:
        """Of each plane of a frame, in code values: the mean it has, and that of a plain resize."""
        unit = ((1 << self._output.depth) - 1) / 255 if self._output.full_range else 1 << (self._output.depth - 8)
        self._shifts.append([(got - wanted) / unit for got, wanted in means])

    def _chroma_codes(self, values: NDArray[np.float32]) -> Plane:
        dither = dither_pattern(values.shape[0], values.shape[1]) if self._dithered else None
        return in_strips(
            lambda rows: to_levels(
                values[rows],
                depth=self._output.depth,
                rounding=Rounding.NEAREST,
                dither=None if dither is None else dither[rows],
            ),
            values.shape,
        )

    def _mean(self, values: NDArray[np.float32]) -> float:
        """Of code values, as far as they can be expressed."""
        return float(values.clip(0, (1 << self._output.depth) - 1).mean(dtype=np.float64))

    @property
    def reused_share(self) -> float | None:
        """The part of all pixels that the network did not have to compute again, 0..1; None without reuse."""
        return round(self._reuse.reused_share, 4) if self._reuse is not None else None

    def restart(self) -> None:
        """What follows is to depend on nothing that went before: a segment begins."""
        if self._steady is not None:
            self._steady.restart()

    @property
    def near_error(self) -> dict[str, float] | None:
        """With `reuse: near`: the tolerance, and the farthest that luma was from its source, in levels of 255."""
        if self._steady is None:
            return None
        return {"tolerance": self._tolerance, "largest": round(self._steady.largest_error / self._level, 3)}

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


def chroma_resampler(source: PlaneFormat, source_size: Size, output_size: Size) -> resample.ChromaResampler | None:
    """What enlarges the chroma planes at their siting; None where there are none."""
    if source.chroma_shift is None:
        return None
    return resample.ChromaResampler(
        luma=source_size,
        out_luma=output_size,
        shift=source.chroma_shift,
        sited_left=source.chroma_location in _LEFT,
        sited_top=source.chroma_location in _TOP,
    )


def chroma_gain(source: PlaneFormat, output: PlaneFormat) -> float:
    """Code values of the output per code value of the source: limited range doubles with each bit."""
    if source.full_range:
        return ((1 << output.depth) - 1) / ((1 << source.depth) - 1)
    return float(2 ** (output.depth - source.depth))
