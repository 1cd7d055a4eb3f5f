"""Chunks of a PNG (W3C, third edition) that libvips does not carry: text, and how its numbers are meant as colours."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

from engine.source import Source

_HEADER_END = 33
"""Of the signature and the first chunk, IHDR, which always has 13 bytes."""
_COLOUR = frozenset({b"cHRM", b"gAMA", b"sRGB", b"cICP"})
_TEXT = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_SOFTWARE, _XMP = b"Software\0", b"XML:com.adobe.xmp\0"
"""Texts that are not carried: what made the picture, which is told anew, and XMP, which libvips carries."""
_LONGEST, _MOST = 8_000_000, 1000
"""As libpng has it: what is longer, or comes later, it does not read either."""
_MOST_BYTES = 1 << 26
"""Of all of them together."""
_HDR = {16: "PQ", 18: "HLG"}
"""Transfer functions of cICP (ITU-T H.273, 8.2)."""


def carried_chunks(source: Source) -> bytes:
    """The chunks to carry over, as they stand in the file; those with a wrong checksum are left out, as by decoders."""
    found: list[bytes] = []
    left = _MOST_BYTES
    for kind, offset, length in _chunks(source):
        if kind not in _COLOUR | _TEXT or length > min(_LONGEST, left) or len(found) == _MOST:
            continue
        left -= length
        chunk = os.pread(source.fd, length + 12, offset)
        whole = len(chunk) == length + 12 and zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        if whole and not (kind in _TEXT and chunk[8:].startswith((_SOFTWARE, _XMP))):
            found.append(chunk)
    return b"".join(found)


def software(source: Source) -> str:
    """What made the picture, by its text of that name; "" where it does not say."""
    for kind, offset, length in _chunks(source):
        if kind in _TEXT and (text := os.pread(source.fd, min(length, 1000), offset + 8)).startswith(_SOFTWARE):
            return (_inflated(text[len(_SOFTWARE) + 1 :]) if kind == b"zTXt" else text).decode("latin-1")
    return ""


def _inflated(text: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(text, 1000)
    except zlib.error:
        return b""


def with_chunks(png: bytes, chunks: bytes, *, made_by: str) -> bytes:
    """`png` with `chunks` in the place where all of them may stand, and the text Software."""
    body = b"tEXt" + _SOFTWARE + made_by.encode("latin-1")
    told = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    return png[:_HEADER_END] + chunks + told + png[_HEADER_END:]


def is_animated(source: Source) -> bool:
    """Whether an acTL chunk stands before the picture's data."""
    return any(kind == b"acTL" for kind, _, _ in _chunks(source, until=b"IDAT"))


def hdr_transfer(source: Source) -> str | None:
    """`PQ` or `HLG` where the picture's cICP chunk says so."""
    for kind, offset, length in _chunks(source, until=b"IDAT"):
        if kind == b"cICP" and len(body := os.pread(source.fd, 4, offset + 8)) == length == 4:
            return _HDR.get(body[1])
    return None


def _chunks(source: Source, *, until: bytes = b"IEND") -> Iterator[tuple[bytes, int, int]]:
    """Kind, offset and length of the body of each chunk before the first of kind `until`."""
    offset = 8
    while len(head := os.pread(source.fd, 8, offset)) == 8 and head[4:] != until:
        length = int.from_bytes(head[:4], "big")
        yield head[4:], offset, length
        offset += length + 12
