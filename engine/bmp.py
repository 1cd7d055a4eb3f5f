"""BMP, through OpenCV: libvips has no reader of its own for it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.settings import Size
from engine.source import Source


def size_of(source: Source) -> Size:
    """By its header. Raises ValueError."""
    head = source.head(26)
    if len(head) < 26:
        raise ValueError("the header is cut short")
    if int.from_bytes(head[14:18], "little") == 12:
        return Size(int.from_bytes(head[18:20], "little"), int.from_bytes(head[20:22], "little"))
    width, height = (int.from_bytes(head[at : at + 4], "little", signed=True) for at in (18, 22))
    return Size(width, abs(height))


def read(source: Source) -> NDArray[Any]:
    """(height, width) grey or (height, width, 3 or 4) RGB(A), uint8. Raises ValueError."""
    if int.from_bytes(source.head(6)[2:6], "little") > source.size:
        raise ValueError("the file is shorter than its header says")
    pixels = cv2.imdecode(np.frombuffer(source.head(source.size), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("cannot be decoded")
    if pixels.ndim == 3:
        pixels[..., :3] = pixels[..., 2::-1].copy()
    return np.asarray(pixels)


def encode(colour: NDArray[Any], alpha: NDArray[Any] | None) -> bytes:
    """A file of grey or BGR, uint8, and alpha beside it."""
    if alpha is not None:
        bgr = cv2.cvtColor(colour, cv2.COLOR_GRAY2BGR) if colour.ndim == 2 else colour
        colour = np.dstack([bgr, alpha])
    return bytes(cv2.imencode(".bmp", colour)[1])
