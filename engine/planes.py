"""Planar frames: how ffmpeg's rawvideo lays them out in memory.

A frame is a tuple of 2-D arrays, luma first, then U and V where there are any: uint8 at depth 8, else little-endian
uint16 holding `depth` bits in its low end. Alpha planes of video are not carried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.settings import Size

Plane = NDArray[Any]
"""(height, width), uint8 or uint16."""

Planes = tuple[Plane, ...]


@dataclass(frozen=True)
class PlaneFormat:
    """The format of a planar YUV or grey frame.

    `chroma_shift` is log2 of the horizontal and vertical subsampling, None for grey. `chroma_location` is ffmpeg's name
    for the siting (`left`, `center`, `topleft`, `top`, `bottomleft`, `bottom`); ITU-T H.273 clause 8.7.
    """

    pix_fmt: str
    depth: int
    chroma_shift: tuple[int, int] | None
    full_range: bool = False
    chroma_location: str = "left"

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8) if self.depth == 8 else np.dtype("<u2")

    def shapes(self, size: Size) -> tuple[tuple[int, int], ...]:
        """(height, width) of each plane; odd sizes round chroma up, as ffmpeg does."""
        luma = (size.height, size.width)
        if self.chroma_shift is None:
            return (luma,)
        x, y = self.chroma_shift
        chroma = (-(-size.height >> y), -(-size.width >> x))
        return (luma, chroma, chroma)

    def frame_bytes(self, size: Size) -> int:
        """Bytes of one frame in ffmpeg's rawvideo."""
        return sum(height * width for height, width in self.shapes(size)) * self.dtype.itemsize

    def split(self, buffer: bytes | bytearray | memoryview, size: Size) -> Planes:
        """The planes of one raw frame, without copying. Raises ValueError when the length does not fit."""
        flat = np.frombuffer(buffer, dtype=self.dtype)
        planes = []
        offset = 0
        for height, width in self.shapes(size):
            planes.append(flat[offset : offset + height * width].reshape(height, width))
            offset += height * width
        if offset != flat.size:
            raise ValueError(f"{flat.size} samples given, {offset} expected")
        return tuple(planes)


_SUBSAMPLING = {"420": (1, 1), "422": (1, 0), "444": (0, 0), "440": (0, 1), "411": (2, 0), "410": (2, 2)}


def plane_format(pix_fmt: str, *, full_range: bool = False, chroma_location: str = "left") -> PlaneFormat | None:
    """The `PlaneFormat` of ffmpeg's `pix_fmt` (yuv420p, yuvj420p, yuv420p10le, gray, gray12le, …), or None."""
    base = pix_fmt.removesuffix("le")
    if base.startswith("gray"):
        if base[4:] and not base[4:].isdigit():
            return None  # grayf32le, gray10be, …
        depth = int(base[4:] or 8)
        return PlaneFormat(pix_fmt, depth, None, full_range, chroma_location)
    full_range = full_range or base.startswith("yuvj")
    base = base.replace("yuvj", "yuv", 1)
    subsampling, found, bits = base.removeprefix("yuv").partition("p")
    if not base.startswith("yuv") or not found or subsampling not in _SUBSAMPLING or not (bits == "" or bits.isdigit()):
        return None
    return PlaneFormat(pix_fmt, int(bits or 8), _SUBSAMPLING[subsampling], full_range, chroma_location)
