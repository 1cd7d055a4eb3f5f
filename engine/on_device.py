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
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import backend, backend_frames
from engine.color import PlaneEnlarger, PlaneFrame
from engine.errors import EnvironmentFault
from engine.frame_program import FrameProgram, Split, Task
from engine.pipeline import Step
from engine.planes import Planes
from engine.tiles import smallest_window

log = logging.getLogger(__name__)

AHEAD = 2
"""Frames under way on each device beside the one that is waited for."""
_SHARE = 0.6
"""Of the device's memory that windows may take by the estimate."""
_LARGEST_BATCH = 16


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

    def start_on(self, lane: int, planes: Planes) -> tuple[Split, Sequence[Any] | None]:
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

    def _program(self, split: Split) -> backend_frames.Program:
        network = backend_frames.network_program(self._task.upscaler.weights, half=self._half)
        return FrameProgram(self._task, network, split)

    def _first_split(self) -> Split:
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
        return Split(window, batch)

    def shrink(self, error: BaseException, split: Split) -> None:
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
