"""A network at work on whole luma planes: cut into windows, batched, assembled."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from engine import backend
from engine.errors import EnvironmentFault
from engine.regions import Region
from engine.tiles import TileGrid, smallest_window, tile_grid
from engine.weights import Weights

log = logging.getLogger(__name__)

DEFAULT_WINDOW = 256
"""Largest side of a window in pixels."""
DEFAULT_BATCH = 4
"""Most windows in one batch."""


class Upscaler:
    """Luma in, luma out, through one network.

    The batch shape is a function of the plane's size alone, so that the bits of a window never depend on what else is
    in its batch. When the device runs out of memory the batch is halved, then the window, and the plane done again.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        largest_window: int = DEFAULT_WINDOW,
        largest_batch: int = DEFAULT_BATCH,
        policy: str = "float32",
    ) -> None:
        """`policy`: Keras' dtype policy, `float32` or `mixed_bfloat16`."""
        self.weights, self.network = weights, weights.network
        compiled = backend.compiled(weights.model(policy), radius=self.network.radius)
        self._forward: backend.Forward = compiled
        self._part = compiled.part
        self.margin = compiled.margin
        """How far around a pixel the input lies that its bits depend on; at least the network's radius."""
        self.grain = compiled.grain
        """Windows of one image have to start at multiples of this for their pixels to have the same bits."""
        self._largest_window = max(largest_window, smallest_window(self.margin, self.grain))
        self._largest_batch = largest_batch

    @property
    def scale(self) -> int:
        return self.network.scale

    def __call__(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        """(height, width) float32 in 0..1 → (height * scale, width * scale) float32; in 0..1 after a last sigmoid.

        Raises `EnvironmentFault` when not even the smallest window fits in memory.
        """
        while True:
            try:
                return self._run(luma)
            except Exception as error:
                if not backend.is_out_of_memory(error):
                    raise
                self._shrink(error)

    @property
    def by_parts(self) -> bool:
        """Whether `part` costs less than the whole, and may be called by several threads at a time."""
        return self._part is not None

    def part(
        self, luma: NDArray[np.float32], inner: Region, *, wanted: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float32]:
        """A region of what comes of `luma`, a window around it; of it what is `wanted`, in squares of `grain` pixels.

        The bits are those of the whole. In the calling thread alone; only where `by_parts`.
        """
        assert self._part is not None
        return self._part(luma, inner, wanted=wanted)

    def _run(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        grid = self._grid(luma.shape[0], luma.shape[1])
        rounds = -(-len(grid.windows) // self._largest_batch)
        batch = -(-len(grid.windows) // rounds)
        out = np.empty(grid.output_shape, np.float32)
        for first in range(0, len(grid.windows), batch):
            windows = grid.windows[first : first + batch]
            grid.place(self._forward(grid.cut(luma, windows, batch=batch)), windows, out)
        return out

    def _grid(self, height: int, width: int) -> TileGrid:
        return tile_grid(
            (height, width),
            largest_window=self._largest_window,
            radius=self.margin,
            scale=self.scale,
            grain=self.grain,
        )

    def _shrink(self, error: BaseException) -> None:
        smallest = smallest_window(self.margin, self.grain)
        if self._largest_batch > 1:
            self._largest_batch //= 2
        elif self._largest_window // 2 >= smallest:
            self._largest_window //= 2
        else:
            raise EnvironmentFault(
                f"out of memory even for a window of {self._largest_window} pixels",
                remedy="free memory on the device, or run on the CPU (device: cpu)",
            ) from error
        log.warning("out of memory: on with batch %d, window %d", self._largest_batch, self._largest_window)
