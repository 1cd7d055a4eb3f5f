"""Frames of video on a GPU: code values over the bus, and all that is done with them in one compiled function there.

Scaling, interpolation (linear, so two matrix products), the network in float16 with its last layer in float32, rounding
and chroma: what comes back are the code values of the enlarged frame. The next frames travel while one is computed, and
each GPU has its own. For the mode `enlarge` (and `enhance`) without denoise; what else there is goes the usual way.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine import backend, backend_frames, resample
from engine.color import PlaneEnlarger, PlaneFrame, chroma_gain, chroma_resampler
from engine.errors import EnvironmentFault
from engine.levels import dither_pattern, luma_range
from engine.models import Model
from engine.pipeline import Step
from engine.planes import PlaneFormat, Planes
from engine.reuse import FrameReuse
from engine.settings import Interpolation, Rounding, Settings, Size
from engine.sizing import runs_to
from engine.tiles import smallest_window, tile_grid
from engine.upscaler import Upscaler

from keras import ops  # isort: skip  (after the backend)

log = logging.getLogger(__name__)

AHEAD = 2
"""Frames under way on each device beside the one that is waited for."""
_SHARE = 0.6
"""Of the device's memory that windows may take by the estimate."""
_LARGEST_BATCH = 16


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
class _Split:
    """How a plane is cut for the network: halved where memory runs out."""

    window: int
    batch: int


class Pending:
    """A frame under way."""

    def __init__(self, frames: DeviceFrames, planes: Planes, lane: int) -> None:
        self._frames, self._planes, self._lane = frames, planes, lane
        self._split, self._started = frames.start_on(lane, planes)

    def result(self) -> tuple[Planes, NDArray[np.float32]]:
        """Wait for it: the planes, and of each the mean that a plain resize has and the mean it has.

        When the device runs out of memory, the same frame again with smaller work. Raises `EnvironmentFault` when not
        even the least fits.
        """
        while True:
            if self._started is not None:
                try:
                    *planes, means = self._frames.fetch(self._started)
                    return tuple(planes), means
                except Exception as error:
                    if not backend.is_out_of_memory(error):
                        raise
                    self._frames.shrink(error, self._split)
            self._split, self._started = self._frames.start_on(self._lane, self._planes)


class DeviceFrames:
    """Frames of one size through one network, on every device in turn."""

    def __init__(self, task: Task, *, devices: Sequence[backend_frames.Place], half: bool) -> None:
        self._task, self._half = task, half
        self._devices = list(devices)
        self._lanes = itertools.cycle(range(len(self._devices)))
        self._compiled: dict[int, Callable[[Planes], Sequence[Any]]] = {}
        self._lock = threading.Lock()
        self._split = self._first_split()
        self.fetch = backend_frames.fetch

    def start(self, planes: Planes) -> Pending:
        """Send a frame to the next device, without waiting for it."""
        return Pending(self, planes, next(self._lanes))

    def start_on(self, lane: int, planes: Planes) -> tuple[_Split, Sequence[Any] | None]:
        """How it was cut, and what to wait for; None where there was no memory: the next time less is asked for."""
        with self._lock:
            split = self._split
            function = self._compiled.get(lane)
        try:
            if function is None:
                function = backend_frames.compile_for(self._devices[lane], lambda: self._program(split), planes)
                with self._lock:
                    if split == self._split:
                        self._compiled[lane] = function
            return split, function(planes)
        except Exception as error:
            if not backend.is_out_of_memory(error):
                raise
            self.shrink(error, split)
            return split, None

    def _program(self, split: _Split) -> backend_frames.Program:
        network = backend_frames.network_program(self._task.upscaler.weights, half=self._half)
        return FrameProgram(self._task, network, split)

    def _first_split(self) -> _Split:
        """The whole plane in one window, unless the memory is known to be too small for that."""
        size, upscaler = self._task.network_size, self._task.upscaler
        window, batch = max(size.width, size.height), 1
        known = [device.memory_bytes for device in self._devices if device.memory_bytes is not None]
        if known:
            pixels = _SHARE * min(known) / backend_frames.feature_bytes(upscaler.weights, half=self._half)

            def each() -> int:
                return min(window, size.width) * min(window, size.height)

            while window // 2 >= smallest_window(upscaler.margin) and each() > pixels:
                window //= 2
            batch = max(1, min(_LARGEST_BATCH, int(pixels // each())))
        return _Split(window, batch)

    def shrink(self, error: BaseException, split: _Split) -> None:
        """Half the batch, else half the window. Raises `EnvironmentFault` when they cannot be halved.

        `split`: what was too large. Where less is asked for already, by a frame that failed before, nothing is done.
        """
        with self._lock:
            if split != self._split:
                return
            if self._split.batch > 1:
                self._split = replace(self._split, batch=self._split.batch // 2)
            elif self._split.window // 2 >= smallest_window(self._task.upscaler.margin):
                self._split = replace(self._split, window=self._split.window // 2)
            else:
                raise EnvironmentFault(
                    f"out of memory even for a window of {self._split.window} pixels",
                    remedy="free memory on the device, or run on the CPU (device: cpu)",
                ) from error
            self._compiled.clear()
            log.warning("out of memory: on with batch %d, window %d", self._split.batch, self._split.window)


class FrameProgram:
    """The planes of a frame to those of the enlarged one and their means, in `keras.ops`; shapes are fixed."""

    def __init__(self, task: Task, network: Callable[[Any], Any], split: _Split) -> None:
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
        return _by_matrices(made, *(_area(int(length), out) for length, out in zip(made.shape, shape, strict=True)))

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
    lengths = zip(map(int, image.shape), (size.height, size.width), strict=True)
    return _by_matrices(image, *(_taps(length, out, interpolation) for length, out in lengths))


def _by_matrices(image: Any, down: NDArray[np.float32] | None, across: NDArray[np.float32] | None) -> Any:
    if down is not None:
        image = ops.matmul(down, image)
    return image if across is None else ops.matmul(image, across.T)


def _taps(length: int, out: int, interpolation: Interpolation) -> NDArray[np.float32] | None:
    """(out, length): what `resize` does along one axis; None where it does nothing."""
    if length == out:
        return None
    return np.asarray(resample.resize(np.eye(length, dtype=np.float32), Size(length, out), interpolation), np.float32)


def _area(length: int, out: int) -> NDArray[np.float32] | None:
    if length == out:
        return None
    made = cv2.resize(np.eye(length, dtype=np.float32), (length, out), interpolation=cv2.INTER_AREA)
    return np.asarray(made, np.float32)


class DeviceEnlarger(PlaneEnlarger):
    """As `PlaneEnlarger`, on devices. A frame that is the same as the one before is not sent."""

    def __init__(self, task: Task, *, devices: Sequence[backend_frames.Place], half: bool = True) -> None:
        super().__init__(*(getattr(task, field.name) for field in fields(task)))
        self._frames_on_device = DeviceFrames(task, devices=devices, half=half)
        self._pixels, self._ahead = task.network_size.pixels, AHEAD * len(devices)

    @property
    def steps(self) -> tuple[Step, Step, Step]:
        arrive, network, leave = super().steps
        return arrive, Step(network.stage, network.run, ahead=self._ahead), leave

    def _arrive(self, planes: Planes) -> PlaneFrame:
        return self._compared(planes)

    def _enlarge(self, frame: PlaneFrame) -> PlaneFrame:
        held = all(frame.same)
        if self._reuse is not None:
            self._reuse.count(self._pixels, held=held)
        if not held:
            frame.pending = self._frames_on_device.start(tuple(map(np.ascontiguousarray, frame.planes)))
        return frame

    def _leave(self, frame: PlaneFrame) -> Planes:
        if frame.pending is not None:
            self._made, means = frame.pending.result()
            self._note_means([(float(got), float(wanted)) for wanted, got in means])
        return self._made
