"""How long a Matroska or MP4 file is by its own outermost headers: a few reads tell whether it was cut short."""

from __future__ import annotations

import os

from engine.errors import InputError
from engine.source import Source

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_REMEDY = "copy or download it again"


def check_length(source: Source) -> None:
    """Refuse a Matroska or MP4 file that is shorter than its own outermost headers say.

    Reads a few headers only. Raises `InputError` for a file cut short, or one that is neither.
    """
    head = source.head(12)
    if head[:4] == _EBML:
        declared = _matroska_length(source)
    elif head[4:8] in {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp"}:
        declared = _mp4_length(source)
    else:
        raise InputError(
            "is neither a Matroska nor an MP4 file, whatever its name says",
            remedy="give a .mkv or .mp4, or remux it with mkvmerge",
            path=source.path,
        )
    if declared > source.size:
        raise InputError(
            f"is cut short: its headers tell of {declared} bytes, but it has {source.size}",
            remedy=_REMEDY,
            path=source.path,
        )


def _number(data: bytes, *, keep_marker: bool) -> tuple[int, int]:
    """An EBML variable-length number (RFC 8794, 4): its value and its length; (-1, length) means unknown."""
    if not data or data[0] == 0:
        return 0, 0
    length = 9 - data[0].bit_length()
    if len(data) < length:
        return 0, 0
    value = int.from_bytes(data[:length], "big")
    if keep_marker:
        return value, length
    mask = (1 << (7 * length)) - 1
    return (-1 if value & mask == mask else value & mask), length


def _matroska_length(source: Source) -> int:
    offset = 0
    while True:
        head = os.pread(source.fd, 16, offset)
        _, id_length = _number(head, keep_marker=True)
        size, size_length = _number(head[id_length:], keep_marker=False)
        if id_length == 0 or size_length == 0 or (size < 0 and head[:4] != _SEGMENT):
            raise InputError("its first headers are damaged", remedy=_REMEDY, path=source.path)
        body = offset + id_length + size_length
        if head[:4] == _SEGMENT:
            if size < 0:
                raise InputError(
                    "does not say how long it is (a live recording, or its writer was stopped): it cannot be proven "
                    "complete",
                    remedy="remux it with mkvmerge, if it plays to its end",
                    path=source.path,
                )
            return body + size
        offset = body + size


def _mp4_length(source: Source) -> int:
    """The end of the last top-level box (ISO/IEC 14496-12, 4.2)."""
    offset = 0
    indexed = False
    while offset < source.size:
        head = os.pread(source.fd, 16, offset)
        if len(head) < 8:
            return offset + 8
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        elif size == 0:
            size = source.size - offset
        indexed |= head[4:8] == b"moov"
        if size < 8:
            raise InputError(
                f"is damaged: no box where one should begin, at byte {offset}", remedy=_REMEDY, path=source.path
            )
        offset += size
    if offset == source.size and not indexed:
        raise InputError("has no index (moov box): it was never finished", remedy=_REMEDY, path=source.path)
    return offset
