"""A look at the work while it goes on: now and then a small piece of a frame, before and after, as one JPEG.

For people's eyes alone: nothing that is delivered passes through here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.planes import Plane, PlaneFormat, Planes
from engine.settings import Size

log = logging.getLogger(__name__)

GLIMPSE = "glimpse.jpg"
"""The file's name in a work folder."""
EVERY_S = 4.0
"""Seconds between two: what they cost (about 10 ms of one core) stays far below one percent."""
PIECE = Size(640, 360)
"""Of the enlarged frame; smaller where the frame is."""

_QUALITY = 88
_GRID = 8
_WEIGHTS = {
    "bt709": (0.2126, 0.0722),
    "smpte170m": (0.299, 0.114),
    "bt470bg": (0.299, 0.114),
    "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
}
"""Kr and Kb of ffmpeg's matrix names (ITU-T H.273 table 4)."""


@dataclass(frozen=True)
class _Side:
    """What the planes of one side mean."""

    format: PlaneFormat
    size: Size
    weights: tuple[float, float]
    """Kr and Kb."""

    def rgb(self, planes: Planes, left: int, top: int, width: int, height: int, piece: Size) -> NDArray[np.uint8]:
        """A window of the frame, stretched to `piece` where it is smaller: (height, width, 3), blue first."""
        luma = _window(planes[0], left, top, width, height, piece)
        step = float(1 << (self.format.depth - 8))
        black, white = (0.0, 256 * step - 1) if self.format.full_range else (16 * step, 235 * step)
        y = (luma - black) / (white - black)
        if self.format.chroma_shift is None or len(planes) < 3:
            return _to_8_bit(np.stack([y, y, y], axis=-1))
        x_shift, y_shift = self.format.chroma_shift
        at = left >> x_shift, top >> y_shift, max(1, width >> x_shift), max(1, height >> y_shift)
        reach, middle = 256 * step - 1 if self.format.full_range else 224 * step, 128 * step
        blue, red = ((_window(plane, *at, piece) - middle) / reach for plane in planes[1:3])
        kr, kb = self.weights
        r, b = y + 2 * (1 - kr) * red, y + 2 * (1 - kb) * blue
        g = (y - kr * r - kb * b) / (1 - kr - kb)
        return _to_8_bit(np.stack([b, g, r], axis=-1))


class Glimpse:
    """Called with frames on their way in (`before`) and out (`after`), in two threads or one.

    `path` gets the upper half before, stretched by bicubic, and the lower half after; `told` is called with the number
    of the frame. `matrix`: ffmpeg's name; None: by the source's height, as players guess. Whatever goes
    wrong here is told in the log and costs the glimpses, not the job.
    """

    def __init__(
        self,
        path: Path,
        told: Callable[[int], None],
        *,
        source: tuple[PlaneFormat, Size],
        output: tuple[PlaneFormat, Size],
        matrix: str | None = None,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._told, self._every_s, self._clock = path, told, every_s, clock
        weights = _WEIGHTS.get(matrix or "", _WEIGHTS["bt709" if source[1].height >= 720 else "smpte170m"])
        self._source, self._output = _Side(*source, weights), _Side(*output, weights)
        self._piece = Size(min(PIECE.width, output[1].width), min(PIECE.height, output[1].height))
        self._due = clock()
        self._waiting: tuple[int, NDArray[np.uint8], tuple[int, int]] | None = None
        self._refused = False

    def before(self, number: int, planes: Planes) -> None:
        """A frame of the source, as it is decoded."""
        if self._refused or self._waiting is not None or self._clock() < self._due:
            return
        with self._at_no_cost():
            self._waiting = number, *self._cut_before(planes)

    def after(self, number: int, planes: Planes) -> None:
        """The same frame, enlarged."""
        if self._waiting is None or self._waiting[0] != number:
            return
        _, before, (left, top) = self._waiting
        self._waiting = None
        self._due = self._clock() + self._every_s
        with self._at_no_cost():
            after = self._output.rgb(planes, left, top, self._piece.width, self._piece.height, self._piece)
            self._write(np.concatenate([before, after]))
            self._told(number)

    def _cut_before(self, planes: Planes) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """The richest piece of the source, stretched, and the corner of the same piece in the output."""
        source, output, piece = self._source.size, self._output.size, self._piece
        width = max(1, round(piece.width * source.width / output.width))
        height = max(1, round(piece.height * source.height / output.height))
        left, top = _richest(planes[0], width, height)
        corner = round(left * output.width / source.width), round(top * output.height / source.height)
        corner = min(corner[0], output.width - piece.width), min(corner[1], output.height - piece.height)
        return self._source.rgb(planes, left, top, width, height, piece), corner

    @contextmanager
    def _at_no_cost(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  (what is only looked at never costs the job)
            log.warning("the work cannot be shown: %s", error)
            self._refused = True

    def _write(self, pair: NDArray[np.uint8]) -> None:
        _, encoded = cv2.imencode(".jpg", pair, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        hidden = self._path.with_name(f".{self._path.name}")
        hidden.write_bytes(encoded.tobytes())
        hidden.rename(self._path)


def _window(plane: Plane, left: int, top: int, width: int, height: int, piece: Size) -> NDArray[np.float32]:
    window = plane[top : top + height, left : left + width].astype(np.float32)
    size = piece.width, piece.height
    return window if window.shape == size[::-1] else _float(cv2.resize(window, size, interpolation=cv2.INTER_CUBIC))


def _richest(luma: Plane, width: int, height: int) -> tuple[int, int]:
    """Left and top, both even, of the window with the most edges in it; of several the middle."""
    small = luma[::_GRID, ::_GRID].astype(np.float32)
    edges = np.abs(np.diff(small, axis=1, append=small[:, -1:])) + np.abs(np.diff(small, axis=0, append=small[-1:]))
    window = max(1, min(width // _GRID, edges.shape[1])), max(1, min(height // _GRID, edges.shape[0]))
    sums = _float(cv2.boxFilter(edges, -1, window, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT))
    rows, columns = max(1, sums.shape[0] - window[1]), max(1, sums.shape[1] - window[0])
    candidates = sums[:rows, :columns]
    best = np.argwhere(candidates >= 0.999 * candidates.max())
    top, left = best[np.abs(best - best.mean(axis=0)).sum(axis=1).argmin()]
    left_most, top_most = max(0, luma.shape[1] - width), max(0, luma.shape[0] - height)
    return min(int(left) * _GRID, left_most) & ~1, min(int(top) * _GRID, top_most) & ~1


def _float(image: Any) -> NDArray[np.float32]:
    return np.asarray(image, dtype=np.float32)


def _to_8_bit(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(image.clip(0, 1) * 255).astype(np.uint8)
