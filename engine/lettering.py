"""Words on drawn sheets: by Pango through libvips where a font is there, else in OpenCV's plain strokes."""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

try:
    import pyvips
except (ImportError, OSError):  # a machine that is lent for training alone has no libvips
    pyvips = None

Colour = tuple[int, int, int]
"""BGR."""

_FONT = "DejaVu Sans, Noto Sans CJK JP, sans"


def write(
    canvas: NDArray[Any], text: str, at: tuple[int, int], *, colour: Colour, size: int = 13, bold: bool = False
) -> int:
    """Draw one line of `text` on a BGR canvas, its top left corner `at` (x, y); what juts out is cut. Its width.

    `size`: the height of the line's capitals and descenders together, about, in pixels.
    """
    mask = _mask(text, size, bold)
    x, y = at
    height, width = min(mask.shape[0], canvas.shape[0] - y), min(mask.shape[1], canvas.shape[1] - x)
    if height > 0 and width > 0:
        share = mask[:height, :width, None].astype(np.float32) / 255
        place = canvas[y : y + height, x : x + width]
        place[...] = np.rint(place * (1 - share) + np.asarray(colour, np.float32) * share).astype(np.uint8)
    return int(mask.shape[1])


def width_of(text: str, *, size: int = 13, bold: bool = False) -> int:
    """Pixels that the line takes."""
    return int(_mask(text, size, bold).shape[1])


@functools.lru_cache(maxsize=512)
def _mask(text: str, size: int, bold: bool) -> NDArray[np.uint8]:
    """(height, width), 255 where ink is. The height is the same for every text of a size."""
    line = round(1.5 * size)
    if pyvips is None:
        return _strokes(text, size, line)
    weight = " bold" if bold else ""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") or " "
    try:
        drawn = pyvips.Image.text(escaped, font=f"{_FONT}{weight} {size}", dpi=72)
        ink = np.asarray(drawn.numpy(), np.uint8).reshape(drawn.height, drawn.width)
        top = max(0, int(drawn.get("yoffset"))) if drawn.get_typeof("yoffset") else 0
        left = max(0, int(drawn.get("xoffset"))) if drawn.get_typeof("xoffset") else 0
    except pyvips.Error:
        return _strokes(text, size, line)
    whole = np.zeros((max(line, top + ink.shape[0]), left + ink.shape[1]), np.uint8)
    whole[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return whole


def _strokes(text: str, size: int, line: int) -> NDArray[np.uint8]:
    plain = text.encode("ascii", "replace").decode()
    scale = size / 30
    (width, height), _ = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    whole = np.zeros((line, width + 2), np.uint8)
    cv2.putText(whole, plain, (0, min(line - 2, height + 4)), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 1, cv2.LINE_AA)
    return whole
