"""Luma without its smallest changes (`reuse: near`): what a codec stirs in still pictures is not computed anew.

A block keeps the codes it had until one of its pixels has moved by more than a tolerance from them; then the whole
block is taken over. So no pixel is ever farther from the source than the tolerance, however slowly it drifts: it is
compared with what is shown, not with the frame before. All that follows works on this plane, exactly.
"""

from __future__ import annotations

import cv2
import numpy as np

from engine.blocks import spread
from engine.planes import Plane

BLOCK = 8
"""Pixels a side."""


class Steady:
    """Call it with the luma planes of a video, in order."""

    def __init__(self, tolerance: int) -> None:
        """`tolerance`: in code values of the planes."""
        self._tolerance = tolerance
        self._shown: Plane | None = None
        self.largest_error = 0
        """The farthest that a pixel was from its source, in code values."""

    def restart(self) -> None:
        """What follows depends on nothing that went before."""
        self._shown = None

    def __call__(self, plane: Plane) -> Plane:
        """(height, width), uint8 or uint16, to the same; never the same memory twice."""
        if self._shown is None or self._shown.shape != plane.shape:
            self._shown = plane
            return plane
        apart = cv2.absdiff(plane, self._shown)
        rows, columns = (np.arange(0, length, BLOCK) for length in plane.shape)
        farthest = np.maximum.reduceat(np.maximum.reduceat(apart, rows, axis=0), columns, axis=1)
        moved = farthest > self._tolerance
        self.largest_error = max(self.largest_error, int(farthest[~moved].max(initial=0)))
        self._shown = np.where(spread(moved, BLOCK, plane.shape), plane, self._shown)
        return self._shown
