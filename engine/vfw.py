"""Video for Windows in Matroska (`V_MS/VFW/FOURCC`), as in old releases in XviD: blocks lie in the order of decoding.

Their times are those of decoding. ffmpeg gives a PTS only to frames that no other can overtake, and none to the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

_MOST_BETWEEN = 100
"""B-frames between two others."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as ffprobe tells it, in ticks of its stream. `position`: its byte in the file."""

    stream: int
    pts: int | None
    dts: int | None
    duration: int
    position: int | None
    flags: str


def with_pts(packets: Iterable[Packet], video: int) -> Iterator[Packet]:
    """The packets in their order, those of stream `video` with the PTS that decoding will give them.

    One without is shown when the next such is decoded, the last when the last of all ends: so says the decoder, and
    ffmpeg's `-fflags +genpts`. Packets that cannot be timed so are left without.
    """
    waiting: list[Packet] = []  # the first has no PTS, the others lie between it and the next such
    for packet in packets:
        if packet.stream != video or (packet.pts is not None and not waiting):
            yield packet
            continue
        if packet.pts is None and waiting:
            yield from _timed(waiting, packet.dts)
            waiting = []
        waiting.append(packet)
        if len(waiting) > _MOST_BETWEEN:
            yield from waiting
            waiting = []
    if waiting:
        ends = [packet.dts + packet.duration for packet in waiting if packet.dts is not None]
        yield from _timed(waiting, max(ends, default=None))


def _timed(waiting: list[Packet], pts: int | None) -> Iterator[Packet]:
    first, *others = waiting
    yield first if first.dts is None else replace(first, pts=pts)
    yield from others
