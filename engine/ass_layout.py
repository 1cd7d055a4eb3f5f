"""Tell ASS subtitles the size of the video they were written for: `LayoutResX` and `LayoutResY` in their header.

Renderers scale blur, borders and turns by the video's size where a script does not say which it was made for, so an
enlarged video changes them a little. The script's header is the track's CodecPrivate; it is lengthened in place, out of
the empty space that mkvmerge leaves behind the track headers. Matroska's element numbers: RFC 9559.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from engine.errors import ProcessingError
from engine.settings import Size

_SEGMENT, _TRACKS, _VOID = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xec"
_TRACK_ENTRY, _CODEC_ID, _CODEC_PRIVATE, _CRC = b"\xae", b"\x86", b"\x63\xa2", b"\xbf"
_CONTENT_ENCODINGS = b"\x6d\x80"
_HEADERS = 1 << 26
"""Bytes at the beginning of the Segment in which the track headers are looked for."""


def add_layout(fd: int, size: Size, *, subject: Path) -> int:
    """Add the size to every ASS track of an open Matroska file that has none; to how many.

    Raises `ProcessingError` where there is no room for it.
    """
    head = os.pread(fd, _HEADERS, 0)
    start = next(body for name, body, _ in _elements(head, 0, len(head)) if name == _SEGMENT)
    there = list(_elements(head, start, len(head)))
    place = next((i for i, (name, _, _) in enumerate(there) if name == _TRACKS), None)
    if place is None:
        raise _no_room(subject)
    _, body, end = there[place]
    first = body - _header_length(head, body, end, _TRACKS)
    changed = 0
    content = bytearray()
    for name, inner, inner_end in _elements(head, body, end):
        value = head[inner:inner_end]
        if name == _TRACK_ENTRY and (told := _told(value, size)) is not None:
            value = told
            changed += 1
        if name != _CRC:  # optional, and no longer true
            content += _element(name, value)
    if not changed:
        return 0
    tracks = _element(_TRACKS, bytes(content))
    after = there[place + 1] if place + 1 < len(there) else None
    room = (after[2] if after is not None and after[0] == _VOID else end) - first
    left = room - len(tracks)
    if left < 0 or left == 1:
        raise _no_room(subject)
    os.pwrite(fd, tracks + _void(left), first)
    return changed


def layout_header(script: bytes, size: Size) -> bytes | None:
    """The header of a script with the size added to its first section; None where it has one, or no such section."""
    if re.search(rb"^\s*LayoutRes[XY]\s*:", script, re.IGNORECASE | re.MULTILINE):
        return None
    section = re.search(rb"^(?:\xef\xbb\xbf)?\[Script Info\][ \t]*(\r?\n)", script, re.IGNORECASE | re.MULTILINE)
    if section is None:
        return None
    lines = b"".join(
        name + str(length).encode() + section[1]
        for name, length in ((b"LayoutResX: ", size.width), (b"LayoutResY: ", size.height))
    )
    return script[: section.end()] + lines + script[section.end() :]


def _told(entry: bytes, size: Size) -> bytes | None:
    fields = list(_elements(entry, 0, len(entry)))
    values = {name: entry[body:end] for name, body, end in fields}
    if values.get(_CODEC_ID, b"").rstrip(b"\0") not in {b"S_TEXT/ASS", b"S_TEXT/SSA"}:
        return None
    if _CONTENT_ENCODINGS in values:  # compressed, perhaps with its header: left as it is
        return None
    header = layout_header(values.get(_CODEC_PRIVATE, b""), size)
    if header is None:
        return None
    return b"".join(_element(name, header if name == _CODEC_PRIVATE else entry[body:end]) for name, body, end in fields)


def _elements(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """ID, and where the content begins and ends, of the elements side by side."""
    while start < end:
        id_length = 9 - data[start].bit_length() if data[start] else 9
        at = start + id_length
        if id_length > 4 or at >= end or not data[at]:
            return
        length = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1)
        body = at + length
        yield data[start:at], body, body + size
        start = body + size


def _header_length(data: bytes, body: int, end: int, name: bytes) -> int:
    """Bytes from the beginning of an element to its content."""
    for length in range(1, 9):
        at = body - length
        if data[at] and 9 - data[at].bit_length() == length and data[at - len(name) : at] == name:
            return length + len(name)
    raise AssertionError(f"no element ends its header at {body} (content to {end})")


def _element(name: bytes, value: bytes) -> bytes:
    length = next(n for n in range(1, 9) if len(value) < (1 << 7 * n) - 1)
    return name + (len(value) | 1 << 7 * length).to_bytes(length, "big") + value


def _void(total: int) -> bytes:
    """An empty element that takes `total` bytes, 0 or at least 2."""
    if total == 0:
        return b""
    for length in range(1, 9):
        inside = total - 1 - length
        if 0 <= inside < (1 << 7 * length) - 1:
            return _VOID + (inside | 1 << 7 * length).to_bytes(length, "big") + bytes(inside)
    raise AssertionError(total)


def _no_room(subject: Path) -> ProcessingError:
    return ProcessingError(
        "the headers of its ASS subtitles cannot be lengthened",
        remedy="set `ass_layout: false` in the profile",
        path=subject,
    )
