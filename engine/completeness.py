"""Is an episode all there? ffmpeg exits 0 on damaged input, so completeness is proven from the container itself.

Matroska: the declared Segment size fits the file (`engine.container_length`), the packets reach the declared Duration.
MP4: every sample that the tables declare can be read. Both: the demuxer has no complaint, and every packet that is to
be shown is decoded.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

from engine.bounds import check_duration
from engine.container_length import check_length
from engine.errors import InputError
from engine.packets import PacketScan, scan_packets
from engine.probe import EpisodeInfo
from engine.settings import Limits
from engine.source import Source

_REMEDY = "copy or download it again"


class Damage:
    """What is wrong with a source that is enlarged all the same (`damaged: accept`); else the first is raised."""

    def __init__(self, *, accept: bool) -> None:
        self.accept = accept
        self.found: list[str] = []

    @contextmanager
    def expected(self) -> Iterator[None]:
        """Around a check: its `InputError` is written down and the work goes on, where damage is accepted."""
        try:
            yield
        except InputError as error:
            if not self.accept:
                raise
            self.found.append(error.reason)


def check_reach(*, source: Source, declared_s: Fraction | None, reached_s: Fraction, tolerance_s: Fraction) -> None:
    """Refuse a file whose packets end before the duration that its header declares.

    `tolerance_s` is the length of a frame: muxers disagree on whether the last one counts.
    """
    if declared_s is None:
        raise InputError(
            "does not say how long it lasts: it cannot be proven complete",
            remedy="remux it with mkvmerge, if it plays to its end",
            path=source.path,
        )
    if reached_s + tolerance_s < declared_s:
        raise InputError(
            f"ends after {float(reached_s):.3f} s, but its header tells of {float(declared_s):.3f} s: it is incomplete",
            remedy=_REMEDY,
            path=source.path,
        )


def check_packets(source: Source, info: EpisodeInfo, packets: PacketScan) -> None:
    """Refuse a file whose demuxer complains, or that lacks samples which an MP4's tables declare."""
    if packets.complaints:
        raise InputError(f"is damaged: {packets.first_complaint}", remedy=_REMEDY, path=source.path)
    if packets.without_timestamp:
        raise InputError(
            f"{packets.without_timestamp} of its frames have no timestamp",
            remedy="remux it: ffmpeg -fflags +genpts -i FILE -map 0 -c copy NEW.mkv",
            path=source.path,
        )
    if not packets.timestamps:
        raise InputError("has no frames", remedy=_REMEDY, path=source.path)
    for stream in info.streams:
        found = packets.streams[stream.index].count if stream.index in packets.streams else 0
        if stream.codec.startswith(("pcm", "adpcm")):  # the tables count samples, of which many are one packet
            continue
        if stream.frames is not None and stream.kind in {"video", "audio"} and found < stream.frames:
            raise InputError(
                f"stream {stream.index} has {found} packets, but its tables tell of {stream.frames}: it is incomplete",
                remedy=_REMEDY,
                path=source.path,
            )


def check_holes(source: Source, info: EpisodeInfo, packets: PacketScan) -> None:
    """Refuse an MP4 at a constant rate in which a frame is missing between others.

    Its edit list hides the frames before and after what is shown; one that damage moved out of sight leaves a hole.
    """
    if info.container != "mp4" or len(packets.durations) != 1 or 0 in packets.durations:
        return
    (each,) = packets.durations
    expected = round((packets.timestamps[-1] - packets.timestamps[0]) / each) + 1
    if expected != len(packets.timestamps):
        raise InputError(
            f"has {len(packets.timestamps)} frames where its constant rate asks for {expected}",
            remedy="copy or download it again; if it plays to its end, remux it with mkvmerge",
            path=source.path,
        )


def check_frames(source: Source, timestamps: array[int]) -> None:
    """Refuse a file without frames that can be delivered, damage accepted or not."""
    if not timestamps:
        raise InputError("has no frames that can be decoded", remedy=_REMEDY, path=source.path)
    if timestamps[0] < 0:
        raise InputError(
            "its first frames are to be shown before the beginning (negative timestamps)",
            remedy="remux it with mkvmerge",
            path=source.path,
        )


def check_decoded(source: Source, packets: PacketScan, timestamps: array[int]) -> None:
    """Refuse a file of which a frame that is to be shown could not be decoded.

    In a file that was cut at an open GOP, the leading pictures that are shown before the first key frame but need
    frames from before the cut are no loss: nobody ever saw them.
    """
    lost = sorted(set(packets.timestamps) - set(timestamps))
    first_key = timestamps[0] if packets.first_pts is None else packets.first_pts
    lost = [pts for pts in lost if pts > timestamps[0] or pts >= first_key]
    strange = set(timestamps) - set(packets.timestamps)
    if lost or strange:
        raise InputError(
            f"{len(lost)} of its {len(packets.timestamps)} frames cannot be decoded"
            if lost
            else f"{len(strange)} decoded frames have timestamps of no packet",
            remedy="copy or download it again; if it plays to its end, remux it with mkvmerge",
            path=source.path,
        )


def check_all_decoded(source: Source, packets: PacketScan, timestamps: array[int], damage: Damage) -> None:
    """Both, at the end of a decode. Raises `InputError`; damage that is accepted is written down."""
    check_frames(source, timestamps)
    with damage.expected():
        check_decoded(source, packets, timestamps)


def prove_complete(source: Source, info: EpisodeInfo, *, limits: Limits, damage: Damage | None = None) -> PacketScan:
    """Read all packets of the source once and refuse it where any is damaged or missing. Raises `InputError`."""
    damage = damage or Damage(accept=False)
    with damage.expected():
        check_length(source)
    packets = scan_packets(source.fd, info, limits=limits, subject=source.path)
    if packets.timestamps:
        check_duration(source, packets.reached_s(info), limits=limits)  # whatever the header says
    with damage.expected():
        check_packets(source, info, packets)
    with damage.expected():
        check_holes(source, info, packets)
    if info.container != "mkv":
        return packets
    with damage.expected():
        check_reach(
            source=source,
            declared_s=info.duration_s,
            reached_s=packets.reached_s(info),
            tolerance_s=max(packets.longest_s(info), 1 / info.frame_rate),
        )
    return packets
