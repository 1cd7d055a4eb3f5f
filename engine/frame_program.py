"""What is done with a frame on a GPU, in `keras.ops`: one function of fixed shapes, which the backend compiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import engine.backend  # noqa: F401  (chooses Keras' backend, so it comes before Keras)
from engine import resample
from engine.color import chroma_gain, chroma_resampler
from engine.levels import dither_pattern, luma_range
from engine.models import Model
from engine.planes import PlaneFormat
from engine.reuse import FrameReuse
from engine.settings import Interpolation, Rounding, Settings, Size
from engine.sizing import runs_to
from engine.tiles import smallest_window, tile_grid
from engine.upscaler import Upscaler

from keras import ops  # isort: skip


@dataclass(frozen=True)
class Task:
    """What is done with a frame: as `engine.color.plane_enlarger` is given it."""

    source: PlaneFormat
    source_size: Size
    output: PlaneFormat
    output_size: Size
    settings: Settings
    model: Model

    @property
    def upscaler(self) -> Upscaler:
        found = self.model.upscaler
        upscaler = found.upscaler if isinstance(found, FrameReuse) else found
        assert upscaler is not None, "without a network there is nothing to do for a GPU"
        return upscaler

    @property
    def network_size(self) -> Size:
        """Of the plane that goes through the network first."""
        return self.source_size if self.upscaler.scale > 1 else self.output_size


@dataclass(frozen=True)
class Split:
    """How a plane is cut for the network: halved where memory runs out."""

    window: int
    batch: int


class FrameProgram:
    """The planes of a frame to those of the enlarged one and their means, in `keras.ops`; shapes are fixed."""

    def __init__(self, task: Task, network: Callable[[Any], Any], split: Split) -> None:
        self._task, self._network, self._split = task, network, split
        self._upscaler = task.upscaler
        self._dithered = task.output.depth < task.source.depth
        self._largest = float((1 << task.output.depth) - 1)

    def __call__(self, *planes: Any) -> tuple[Any, ...]:
        """Each plane (height, width) of code values; last comes (planes, 2): the means, of a plain resize first."""
        luma, exact = self._luma(planes[0])
        made, means = [luma], [self._means(exact, luma)]
        for plane in planes[1:]:
            values = self._chroma(plane)
            codes = self._codes(values, Rounding.NEAREST)
            made.append(codes)
            means.append(self._means(values, codes))
        return (*made, ops.stack(means))

    def _luma(self, plane: Any) -> tuple[Any, Any]:
        """Code values of luma, and what a plain bicubic resize makes of it."""
        black, white = luma_range(self._task.source.depth, full_range=self._task.source.full_range)
        size = self._task.output_size
        luma = (ops.cast(plane, "float32") - black) / (white - black)
        if self._upscaler.scale > 1:
            inside = ops.clip(luma, 0.0, 1.0)
            made = self._own_scale(inside, size) + _resized(luma - inside, size, Interpolation.BICUBIC)
            resized = _resized(luma, size, Interpolation.BICUBIC)
            came_from = _by_taps(ops.cast(ops.not_equal(luma, inside), "float32"), size, cv2.INTER_NEAREST) > 0.5
            beyond = ops.logical_and(came_from, ops.not_equal(resized, ops.clip(resized, 0.0, 1.0)))
            made = ops.where(beyond, resized, made)
        else:
            resized = _resized(luma, size, self._task.model.interpolation)
            clipped = ops.clip(resized, 0.0, 1.0)
            made = ops.where(ops.equal(resized, clipped), self._windows(clipped), resized)
        black, white = luma_range(self._task.output.depth, full_range=self._task.output.full_range)
        exact = _resized(luma, size, Interpolation.BICUBIC) * (white - black) + black
        return self._codes(made * (white - black) + black, self._task.settings.rounding), exact

    def _own_scale(self, luma: Any, size: Size) -> Any:
        """As `engine.enlarge.network` for a network that enlarges by itself."""
        made, shape = luma, (size.height, size.width)
        factor = max(Fraction(out, int(length)) for out, length in zip(shape, luma.shape, strict=True))
        for _ in range(runs_to(factor, self._upscaler.scale)):
            made = ops.clip(self._windows(made), 0.0, 1.0)
        at_least = Size(max(size.width, made.shape[1]), max(size.height, made.shape[0]))
        made = ops.clip(_resized(made, at_least, Interpolation.BICUBIC), 0.0, 1.0)
        return _by_taps(made, size, cv2.INTER_AREA)

    def _windows(self, luma: Any) -> Any:
        """The network on a plane: at once, or window by window, some at a time."""
        shape = (int(luma.shape[0]), int(luma.shape[1]))
        grid = tile_grid(
            shape,
            largest_window=max(self._split.window, smallest_window(self._upscaler.margin)),
            radius=self._upscaler.network.radius,
            scale=self._upscaler.scale,
        )
        if len(grid.windows) == 1:
            return self._network(luma[None])[0]
        batch = min(self._split.batch, len(grid.windows))
        cut = [luma[window.source] for window in grid.windows]
        cut += [ops.zeros_like(cut[0])] * (-len(cut) % batch)
        stacked = ops.reshape(ops.stack(cut), (-1, batch, *grid.window_shape))
        made = ops.map(self._network, stacked)
        made = ops.reshape(made, (-1, *(side * self._upscaler.scale for side in grid.window_shape)))
        rows: dict[int, list[Any]] = {}
        for index, window in enumerate(grid.windows):
            rows.setdefault(window.target[0].start, []).append(made[index][window.inner])
        return ops.concatenate([ops.concatenate(row, axis=1) for row in rows.values()], axis=0)

    def _chroma(self, plane: Any) -> Any:
        """Values of the enlarged plane, before they are rounded."""
        source, output = self._task.source, self._task.output
        resampler = chroma_resampler(source, self._task.source_size, self._task.output_size)
        assert resampler is not None
        matrices = resampler.matrices((int(plane.shape[0]), int(plane.shape[1])))
        values = _by_matrices(ops.cast(plane, "float32") - float(1 << (source.depth - 1)), *matrices)
        return values * chroma_gain(source, output) + float(1 << (output.depth - 1))

    def _codes(self, values: Any, rounding: Rounding) -> Any:
        """As `engine.levels.to_levels`."""
        if self._dithered:
            whole = ops.floor(ops.round(values * 256) / 256 + dither_pattern(*map(int, values.shape)))
        else:
            whole = ops.round(values) if rounding is Rounding.NEAREST else ops.floor(values)
        return ops.cast(ops.clip(whole, 0.0, self._largest), self._task.output.dtype.name)

    def _means(self, exact: Any, codes: Any) -> Any:
        return ops.stack([ops.mean(ops.clip(exact, 0.0, self._largest)), ops.mean(ops.cast(codes, "float32"))])


def _resized(image: Any, size: Size, interpolation: Interpolation) -> Any:
    """As `engine.resample.resize`, which is linear and does rows and columns apart."""
    return _by_taps(image, size, resample.FLAGS[interpolation])


def _by_taps(image: Any, size: Size, flag: int) -> Any:
    """As `cv2.resize` with that interpolation."""
    lengths = zip(map(int, image.shape), (size.height, size.width), strict=True)
    return _by_matrices(image, *(_taps(length, out, flag) for length, out in lengths))


def _by_matrices(image: Any, down: NDArray[np.float32] | None, across: NDArray[np.float32] | None) -> Any:
    if down is not None:
        image = ops.matmul(down, image)
    return image if across is None else ops.matmul(image, across.T)


def _taps(length: int, out: int, flag: int) -> NDArray[np.float32] | None:
    """(out, length): what OpenCV does along one axis; None where it does nothing."""
    if length == out:
        return None
    return np.asarray(cv2.resize(np.eye(length, dtype=np.float32), (length, out), interpolation=flag), np.float32)
