"""What the page and the sheet of a preview share: where it is looked at closely."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engine import measure

CROP = 160
"""Side of a crop in pixels of the enlarged frame."""


class Pictures(ABC):
    """Takes the pictures of a preview as they are made."""

    @abstractmethod
    def add(self, frame: int, row: int, whole: NDArray[np.uint8], crop: NDArray[np.uint8]) -> None:
        """One frame by one row of the table (0 is the source itself). `crop`: CROP by CROP or less."""


@dataclass(frozen=True)
class Place:
    """A square of a frame in fractions of its width and height."""

    left: float
    top: float
    width: float
    height: float

    def of(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """That square of `picture`, whatever its size, at CROP by CROP pixels: as it is, or enlarged by repetition."""
        height, width = picture.shape[:2]
        left, top = round(self.left * width), round(self.top * height)
        right = max(left + 1, round((self.left + self.width) * width))
        bottom = max(top + 1, round((self.top + self.height) * height))
        cut = picture[top:bottom, left:right]
        if cut.shape[:2] == (CROP, CROP):
            return cut
        return np.asarray(cv2.resize(cut, (CROP, CROP), interpolation=cv2.INTER_NEAREST), np.uint8)


def richest_place(source: NDArray[np.uint8], *, scale: float) -> Place:
    """Where the most lines are: a square that covers CROP pixels once the frame is `scale` times as large."""
    height, width = source.shape[:2]
    side = max(1, min(height, width, round(CROP / scale)))
    density = measure.edges(source).astype(np.float32)
    sums = cv2.boxFilter(density, -1, (side, side), anchor=(0, 0), borderType=cv2.BORDER_ISOLATED)
    inside = sums[: height - side + 1, : width - side + 1]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    return Place(int(left) / width, int(top) / height, side / width, side / height)
