"""The one thing about a TIFF that libvips does not tell: whether its numbers are YCbCr, which it takes for RGB."""

from __future__ import annotations

import os
import struct

from engine.source import Source

_COMPRESSION, _PHOTOMETRIC = 259, 262
_YCBCR, _JPEG = 6, 7
"""Of TIFF 6.0, and its Technical Note 2."""
_MOST_TAGS = 4096


def is_plain_ycbcr(source: Source) -> bool:
    """Whether its first picture is in YCbCr and not compressed as JPEG, whose decoder makes RGB of it."""
    tags = _first_directory(source)
    return tags.get(_PHOTOMETRIC) == _YCBCR and tags.get(_COMPRESSION) != _JPEG


def _first_directory(source: Source) -> dict[int, int]:
    """Tag and number of each entry that holds one 16-bit number; empty where there is no directory to be read."""
    head = source.head(16)
    order = "<" if head[:2] == b"II" else ">"
    large = struct.unpack(order + "H", head[2:4])[0] == 43  # BigTIFF
    offset, counted, entry, at = ("Q", "Q", 20, 8) if large else ("I", "H", 12, 4)
    try:
        (start,) = struct.unpack_from(order + offset, head, at)
        count_size = struct.calcsize(counted)
        (count,) = struct.unpack(order + counted, os.pread(source.fd, count_size, start))
        table = os.pread(source.fd, min(count, _MOST_TAGS) * entry, start + count_size)
    except (struct.error, OSError, OverflowError):
        return {}
    found = {}
    for position in range(0, len(table) - entry + 1, entry):
        tag, kind = struct.unpack_from(order + "HH", table, position)
        if kind == 3:  # SHORT, at the beginning of its field
            (found[tag],) = struct.unpack_from(order + "H", table, position + entry - struct.calcsize(offset))
    return found
