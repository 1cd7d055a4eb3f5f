"""One pass over the packets of a file, without decoding: the proof of what is in it."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import ffmpeg

from engine.errors import ProcessingError
from engine.ffmpeg import EPISODE_FORMATS, command, descriptor_url, fenced
from engine.probe import EpisodeInfo
from engine.process import Child, run
from engine.settings import Limits
from engine.vfw import Packet, with_pts

_CHUNK = 1 << 16


@dataclass
class StreamPackets:
    """The packets of one stream, in its time base."""

    count: int = 0
    end: int = 0
    """End of the last packet in presentation order."""
    longest: int = 0
    """The longest duration of a packet."""
    timestamps: array[int] = field(default_factory=lambda: array("q"))
    """PTS of every packet that has one, in the order of the file."""
    position: int | None = None
    """Of the last one: its byte in the file."""
    laced: bool = False
    """Whether some share a block of a Matroska file (RFC 9559, 10.3): all but the first are timed by their length."""


@dataclass
class PacketScan:
    """What a pass over all packets found. `timestamps`: the PTS of the video's packets that are shown, sorted.

    `last_duration` is that of the last one shown, in ticks; None where the container does not say.
    `complaints` are the demuxer's errors.
    """

    streams: dict[int, StreamPackets] = field(default_factory=dict)
    timestamps: array[int] = field(default_factory=lambda: array("q"))
    without_timestamp: int = 0
    first_pts: int | None = None
    """PTS of the first packet of the video in the order of decoding."""
    leading: int = 0
    """Packets of the video that lie behind the first one but come before it in time: an open GOP at the start."""
    opening_frames: int = 0
    """Frames that are shown from the first packet up to the second key frame."""
    last_duration: int | None = None
    durations: set[int] = field(default_factory=set)
    """Durations that shown packets of the video have, two at most."""
    complaints: int = 0
    first_complaint: str = ""

    def shown_before(self, pts: int) -> int:
        """How many frames of the container are to be shown before `pts`."""
        return bisect_left(self.timestamps, pts)

    def reached_s(self, info: EpisodeInfo) -> Fraction:
        """Where the last packet of any stream ends, in seconds."""
        ends = [packets.end * info.streams[index].time_base for index, packets in self.streams.items()]
        return max(ends, default=Fraction(0))

    def longest_s(self, info: EpisodeInfo) -> Fraction:
        """The longest packet of a video or audio stream or time from frame to frame, in seconds.

        Where no packet of a stream says how long it lasts (WavPack), the longest time from one to the next.
        """
        lengths = [
            (packets.longest or _longest_step(packets.timestamps)) * info.streams[index].time_base
            for index, packets in self.streams.items()
            if info.streams[index].kind in {"video", "audio"}
        ]
        return max([*lengths, _longest_step(self.timestamps) * info.video.time_base])


def _longest_step(timestamps: array[int]) -> int:
    return max((after - before for before, after in pairwise(timestamps)), default=0)


def scan_packets(fd: int, info: EpisodeInfo, *, limits: Limits, subject: Path) -> PacketScan:
    """Read every packet header of an open file, whose headers are `info`, with ffprobe.

    What decoders say while ffprobe looks at the first frames does not count: only the demuxer is asked.

    Memory: 8 bytes for each packet. Raises `ProcessingError` where ffprobe hangs or cannot be read.
    """
    options = [word for name, value in fenced(limits).items() for word in (f"-{name}", value)]
    argv = ["ffprobe", "-hide_banner", "-loglevel", "repeat+level+warning", *options]
    argv += ["-show_entries", "packet=stream_index,pts,dts,duration,pos,flags", "-of", "compact=p=0:nk=0"]
    argv += [descriptor_url(fd)]
    scan = PacketScan()
    last = (-1, 0)
    keys = 0
    decoders = {stream.codec for stream in info.streams}
    with Child(argv, silence_s=limits.silence_s, subject=subject, pass_fds=(fd,), unheard=decoders) as child:
        for packet in with_pts(_packets(child), info.video_index):
            packets, pts = scan.streams.setdefault(packet.stream, StreamPackets()), packet.pts
            packets.count += 1
            packets.longest = max(packets.longest, packet.duration)
            packets.laced |= packet.position is not None and packet.position == packets.position
            packets.position = packet.position
            if pts is not None:
                packets.end = max(packets.end, pts + packet.duration)
                if packet.stream != info.video_index:
                    packets.timestamps.append(pts)
            if packet.stream != info.video_index:
                continue
            if scan.first_pts is None:
                scan.first_pts = pts
            elif pts is not None and pts < scan.first_pts:
                scan.leading += 1
            if "D" in packet.flags:
                continue
            keys += packet.flags.startswith("K")
            scan.opening_frames += keys < 2 and pts is not None and pts >= (scan.first_pts or 0)
            if pts is None:
                scan.without_timestamp += 1
                continue
            scan.timestamps.append(pts)
            if len(scan.durations) < 2:  # whether there is more than one is all that matters
                scan.durations.add(packet.duration)
            if pts > last[0]:
                last = (pts, packet.duration)
        child.finish(check=False)
        if child.status != 0:
            raise child.failed(f"ended with status {child.status}")
        scan.complaints, scan.first_complaint = child.error_lines, child.first_error
    scan.timestamps = array("q", sorted(scan.timestamps))
    scan.last_duration = last[1] or None
    return scan


def _packets(child: Child) -> Iterator[Packet]:
    for line in _lines(child):
        fields = dict(part.partition("=")[::2] for part in line.split("|"))
        if "stream_index" in fields:
            pts, dts, duration, position = (_ticks(fields.get(name)) for name in ("pts", "dts", "duration", "pos"))
            flags = fields.get("flags", "")
            yield Packet(int(fields["stream_index"]), pts, dts, duration or 0, position, flags)


def _lines(child: Child) -> Iterable[str]:
    rest = b""
    while chunk := child.read(child.stdout_fd, _CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


def _ticks(text: str | None) -> int | None:
    return None if text is None or not text.lstrip("-").isdigit() else int(text)


def stream_hashes(
    fd: int, indexes: Iterable[int], *, limits: Limits, subject: Path, formats: str = EPISODE_FORMATS
) -> list[str]:
    """SHA-256 over the concatenated packets of each given stream, in order.

    Concatenated, because a muxer may cut PCM into other packets without changing a sample.
    """
    source = ffmpeg.input(descriptor_url(fd), **fenced(limits, formats=formats), copyts=None)
    chosen = [source[str(index)] for index in indexes]
    if not chosen:
        return []
    graph = ffmpeg.output(*chosen, "pipe:1", f="streamhash", hash="sha256", c="copy")
    argv = command(graph, leading=["-progress", "pipe:1"])  # a sign of life while nothing is found yet
    said, child = run(argv, silence_s=limits.silence_s, subject=subject, pass_fds=(fd,))
    lines = [line for line in said.decode().splitlines() if re.match(r"\d+,\w,SHA256=", line)]
    if child.status != 0 or len(lines) != len(chosen):
        raise ProcessingError(
            f"the packets of its streams cannot be read again:\n{child.messages}",
            remedy="try again; if it happens each time, the file is damaged",
            path=subject,
        )
    return [line.rpartition("=")[2] for line in lines]
