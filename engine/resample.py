"""Classical resampling: OpenCV's kernels, and bicubic at any siting, which OpenCV has not."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.settings import Interpolation, Size

BICUBIC_A = -0.75
"""The sharpness of OpenCV's bicubic kernel (Keys 1981 with a = -0.75), the reference for everything bicubic here."""

FLAGS = {
    Interpolation.BILINEAR: cv2.INTER_LINEAR,
    Interpolation.BICUBIC: cv2.INTER_CUBIC,
    Interpolation.LANCZOS: cv2.INTER_LANCZOS4,
}


def resize(image: NDArray[Any], size: Size, interpolation: Interpolation) -> NDArray[Any]:
    """`image` at `size`, centre siting, dtype kept; the image itself when it has that size already."""
    if image.shape[:2] == (size.height, size.width):
        return image
    return cv2.resize(image, (size.width, size.height), interpolation=FLAGS[interpolation])


@dataclass(frozen=True)
class _Axis:
    """Four source positions and their weights for every output position along one axis."""

    positions: NDArray[np.intp]
    weights: NDArray[np.float32]

    def matrix(self, length: int) -> NDArray[np.float32]:
        """(positions, length): the same as a product."""
        made = np.zeros((self.positions.shape[1], length), np.float32)
        for position, weight in zip(self.positions, self.weights, strict=True):
            np.add.at(made, (np.arange(len(position)), position), weight)
        return made

    def along_rows(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        out = image[self.positions[0]] * self.weights[0][:, None]
        for position, weight in zip(self.positions[1:], self.weights[1:], strict=True):
            out += image[position] * weight[:, None]
        return out


def _cubic_axis(length: int, out_length: int, step: Fraction, first: Fraction) -> _Axis:
    """Output position j reads the source around `first + j * step`; beyond the border the border repeats."""
    where = np.array([float(first + j * step) for j in range(out_length)])
    base = np.floor(where)
    t = where - base
    a = BICUBIC_A

    def near(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    weights = np.stack([far(t + 1), near(t), near(1 - t), far(2 - t)]).astype(np.float32)
    positions = np.stack([base + k for k in (-1, 0, 1, 2)]).clip(0, length - 1).astype(np.intp)
    return _Axis(positions, weights)


class ChromaResampler:
    """Bicubic for a chroma plane, keeping its siting relative to a luma plane that is resized about its centre.

    `shift` is log2 of the subsampling, `sited_left` / `sited_top` say whether chroma lies on the first luma sample of
    its group (H.273: left and top-left) instead of at the centre of the group.
    """

    def __init__(
        self, *, luma: Size, out_luma: Size, shift: tuple[int, int], sited_left: bool, sited_top: bool
    ) -> None:
        columns = self._axis(luma.width, out_luma.width, shift[0], on_first=sited_left)
        rows = self._axis(luma.height, out_luma.height, shift[1], on_first=sited_top)
        self._columns, self._rows = columns, rows

    @staticmethod
    def _axis(luma: int, out_luma: int, shift: int, *, on_first: bool) -> _Axis:
        group = 1 << shift
        offset = Fraction(0) if on_first else Fraction(group - 1, 2)
        ratio = Fraction(luma, out_luma)
        # Output chroma j lies at luma position group*j + offset; luma maps by (x + 1/2) * ratio - 1/2.
        first = ((offset + Fraction(1, 2)) * ratio - Fraction(1, 2) - offset) / group
        return _cubic_axis(-(-luma >> shift), -(-out_luma >> shift), ratio, first)

    def matrices(self, shape: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What a plane of that shape is multiplied with from the left, and the transpose of that from the right."""
        return self._rows.matrix(shape[0]), self._columns.matrix(shape[1])

    def __call__(self, plane: NDArray[Any]) -> NDArray[np.float32]:
        """(height, width) of any real dtype → float32 at the output size, not rounded, not clipped."""
        rows = self._rows.along_rows(plane.astype(np.float32))
        return np.ascontiguousarray(self._columns.along_rows(np.ascontiguousarray(rows.T)).T)
