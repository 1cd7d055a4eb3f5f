"""Episodes as they were released before 2008: MPEG-4 ASP (XviD) in an AVI, put into Matroska by mkvmerge."""

from __future__ import annotations

import re
import struct
from itertools import pairwise
from pathlib import Path

from tests import media

_RATE, _UNITS = 24000, 1001
_SIZE = (96, 64)
_START, _VOP, _USER_DATA = b"\0\0\1", 0xB6, b"\0\0\1\xb2"
_B = 2


def xvid(path: Path, *, frames: int, packed: bool) -> Path:
    """A .mkv with `V_MS/VFW/FOURCC` and B-frames.

    `packed`: each B-frame in one chunk with the frame after it in time, and an empty chunk in its own place, as XviD
    did by default, since Video for Windows wants a frame out for each frame in.
    """
    stream, avi = path.with_suffix(".m4v"), path.with_suffix(".avi")
    codec = ["-c:v", "mpeg4", "-bf", "1", "-b_strategy", "0", "-g", "12", "-f", "m4v"]
    media.video(stream, frames=frames, size="x".join(map(str, _SIZE)), codec=codec)
    chunks = _chunks(stream.read_bytes())
    avi.write_bytes(_avi(_packed(chunks) if packed else chunks))
    media.call("mkvmerge", "--quiet", "-o", path, avi)
    return path


def _chunks(stream: bytes) -> list[bytes]:
    """One for each VOP, with the headers before it (ISO/IEC 14496-2, 6.2.5), in the order of decoding."""
    starts = [match.start() for match in re.finditer(_START, stream)] + [len(stream)]
    chunks = [b""]
    for start, end in pairwise(starts):
        chunks[-1] += stream[start:end]
        if stream[start + 3] == _VOP:
            chunks.append(b"")
    return chunks[:-1]


def _kind(chunk: bytes) -> int:
    return chunk[chunk.index(_START + bytes([_VOP])) + 4] >> 6


def _packed(chunks: list[bytes]) -> list[bytes]:
    headers, told = chunks[0], _USER_DATA + b"DivX503b1393p"  # by the p decoders know
    own = re.search(re.escape(_USER_DATA) + b".*?(?=" + _START + b")", headers, re.DOTALL)
    assert own is not None
    queue, packed = [headers.replace(own[0], told), *chunks[1:]], []
    while queue:
        chunk = queue.pop(0)
        if queue and _kind(queue[0]) == _B:
            packed += [chunk + queue.pop(0), _not_coded()]
        else:
            packed.append(chunk)
    return packed


def _not_coded() -> bytes:
    """A P-VOP of nothing but its header: type, no second, marker, time (15 bits count to 24,000), marker, not coded."""
    bits = "01" + "0" + "1" + "0" * 15 + "1" + "0" + "0"
    bits += "1" * (-len(bits) % 8)
    return _START + bytes([_VOP]) + int(bits, 2).to_bytes(len(bits) // 8, "big")


def _avi(chunks: list[bytes]) -> bytes:
    width, height = _SIZE
    main = struct.pack("<14I", 41_708, 0, 0, 0x10, len(chunks), 0, 1, 1 << 16, width, height, 0, 0, 0, 0)
    stream = b"vidsXVID" + struct.pack("<IHHIIII", 0, 0, 0, 0, _UNITS, _RATE, 0)
    stream += struct.pack("<IIiI4H", len(chunks), 1 << 16, -1, 0, 0, 0, width, height)
    picture = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"XVID", width * height * 3, 0, 0, 0, 0)
    tracks = _riff(b"LIST", b"strl" + _riff(b"strh", stream) + _riff(b"strf", picture))
    lists = _riff(b"LIST", b"hdrl" + _riff(b"avih", main) + tracks)
    movie, index = b"movi", b""
    for chunk in chunks:
        index += b"00dc" + struct.pack("<III", 0x10 if _kind(chunk) == 0 else 0, len(movie), len(chunk))
        movie += _riff(b"00dc", chunk)
    return _riff(b"RIFF", b"AVI " + lists + _riff(b"LIST", movie) + _riff(b"idx1", index))


def _riff(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
