"""The proof before delivery: the result is read back from the disk and held against the source."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from engine.encode import Video
from engine.errors import ProcessingError
from engine.mux import Timing
from engine.packets import PacketScan, scan_packets, stream_hashes
from engine.probe import OF_THE_MUXER, TAG, EpisodeInfo, Stream, read_headers
from engine.settings import Limits
from engine.source import Source

_MICROSECOND = Fraction(1, 1_000_000)
_OFFSET_S = Fraction(3, 1000)
"""mkvmerge re-times sound that others muxed by up to 2 ms; one more for rounding."""


def verify_episode(
    result: Source,
    *,
    source: Source,
    info: EpisodeInfo,
    packets: PacketScan,
    video: Video,
    timing: Timing,
    limits: Limits,
) -> list[str]:
    """Prove that `result` holds every frame at its time and every other stream of the source.

    Frames: as many packets as were decoded, with equal PTS in the source's time base (within 1 µs where the container
    changed). Sound and cover pictures: the same packets, by hash. Subtitles: as many. Attachments: by hash. Chapters:
    titles and times. `packets` is the scan of the source.
    Returns lesser differences (tags, dispositions), one line each. Raises `ProcessingError` for anything unproven.
    """
    wide = replace(limits, max_pixels=max(limits.max_pixels, video.size.pixels))
    found = read_headers(result, limits=wide)
    scan = scan_packets(result.fd, found, limits=wide, subject=result.path)
    unproven = _video_problem(found, video) or _time_problem(scan, found, timing)
    unproven = unproven or _stream_problem(info, found, packets, scan) or _chapter_problem(info, found)
    if unproven is None:
        heard = [s.index for s in info.streams if s.kind in {"audio", "picture"}]
        there = [s.index for s in found.streams if s.kind in {"audio", "picture"}]
        before = stream_hashes(source.fd, heard, limits=limits, subject=source.path)
        after = stream_hashes(result.fd, there, limits=wide, subject=result.path)
        if Counter(before) != Counter(after):
            unproven = "the packets of its sound or cover pictures differ"
    if unproven is not None:
        raise ProcessingError(
            f"the result does not hold what the source has, so it is not delivered: {unproven}",
            remedy="try again; if it happens each time, remux the source with mkvmerge first",
            path=source.path,
        )
    return _differences(info, found)


def _video_problem(found: EpisodeInfo, video: Video) -> str | None:
    width = video.size.width * max(Fraction(1), 1 / video.sample_aspect)
    if found.size != video.size or abs(found.sample_aspect - video.sample_aspect) * width > 1:
        return f"frames of {found.size} (SAR {found.sample_aspect}), not {video.size} ({video.sample_aspect})"
    if (found.format.depth, found.format.chroma_shift) != (video.format.depth, video.format.chroma_shift):
        return f"pixel format {found.format.pix_fmt}, not {video.format.pix_fmt}"
    for name in ("range", "matrix", "primaries", "transfer"):
        wanted, got = getattr(video.colors, name), getattr(found.colors, name)
        if wanted is not None and got != wanted:
            return f"colour {name} {got}, not {wanted}"
    return None


def _time_problem(scan: PacketScan, found: EpisodeInfo, timing: Timing) -> str | None:
    if scan.complaints:
        return f"it cannot be read without errors ({scan.first_complaint})"
    if len(scan.timestamps) != len(timing.timestamps) or scan.without_timestamp:
        return f"{len(scan.timestamps)} frames, not {len(timing.timestamps)}"
    base = found.video.time_base
    if base == timing.time_base:
        if scan.timestamps != timing.timestamps:
            return f"frame {_first_difference(scan.timestamps, timing.timestamps)} is shown at another time"
        return None
    for number, (got, wanted) in enumerate(zip(scan.timestamps, timing.timestamps, strict=True)):
        if abs(got * base - wanted * timing.time_base) > _MICROSECOND:
            return f"frame {number} is shown at {float(got * base)} s, not {float(wanted * timing.time_base)} s"
    return None


def _first_difference(one: array[int], other: array[int]) -> int:
    return next(number for number, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)


def _carried(info: EpisodeInfo) -> list[Stream]:
    """The streams that must come over. Data streams of an MP4 are written anew (chapter titles, time code)."""
    return [stream for stream in info.streams if stream.kind != "data"]


def _stream_problem(info: EpisodeInfo, found: EpisodeInfo, before: PacketScan, after: PacketScan) -> str | None:
    mine, theirs = _carried(info), _carried(found)
    kinds, found_kinds = [s.kind for s in mine], [s.kind for s in theirs]
    if Counter(kinds) != Counter(found_kinds) or (info.container == found.container and kinds != found_kinds):
        return f"streams {', '.join(found_kinds)}, not {', '.join(kinds)}"
    fonts = Counter(s.extradata_hash for s in mine if s.kind == "attachment")
    if fonts != Counter(s.extradata_hash for s in theirs if s.kind == "attachment"):
        return "attachments differ"
    if info.container != found.container:
        return None
    for old, new in zip(mine, theirs, strict=True):
        if old.kind in {"audio", "subtitle"}:
            counts = [s.streams[i].count if i in s.streams else 0 for s, i in ((before, old.index), (after, new.index))]
            if old.codec != new.codec or (old.kind == "subtitle" and counts[0] != counts[1]):
                return f"stream {new.index} is {new.codec} of {counts[1]} packets, not {old.codec} of {counts[0]}"
            if abs(_start_s(old) - _start_s(new)) > _OFFSET_S:
                return f"stream {new.index} begins at {float(_start_s(new))} s, not {float(_start_s(old))} s"
    return None


def _start_s(stream: Stream) -> Fraction:
    return (stream.start_ticks or 0) * stream.time_base


def _chapter_problem(info: EpisodeInfo, found: EpisodeInfo) -> str | None:
    if len(info.chapters) != len(found.chapters):
        return f"{len(found.chapters)} chapters, not {len(info.chapters)}"
    for (start, _, title), (found_start, _, found_title) in zip(info.chapters, found.chapters, strict=True):
        if title != found_title or abs(start - found_start) > _OFFSET_S:
            return f"chapter {found_title!r} at {float(found_start)} s, not {title!r} at {float(start)} s"
    return None


def _differences(info: EpisodeInfo, found: EpisodeInfo) -> list[str]:
    """Tags and dispositions of the source that the result has not, or has otherwise."""
    lines = _tag_differences("the file", info.tags, found.tags)
    comments = [next((v for n, v in i.tags.items() if n.lower() == "comment"), "") for i in (info, found)]
    if comments[1].partition(f"{TAG}=")[0].rstrip("\n") != comments[0]:
        lines.append(f"the comment was {comments[0]!r}, is {comments[1]!r}")
    if info.container != found.container:
        return lines
    for old, new in zip(_carried(info), _carried(found), strict=True):
        lines += _tag_differences(f"stream {old.index}", old.tags, new.tags)
        if old.disposition != new.disposition:
            lines.append(f"stream {old.index}: disposition was {set(old.disposition)}, is {set(new.disposition)}")
    return lines


def _tag_differences(where: str, old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    known = {name.lower(): value for name, value in new.items()}
    statistics = {name.lower() for name in old.get("_STATISTICS_TAGS", "").split()}
    return [
        f"{where}: {name} was {value!r}, is {known.get(name.lower())!r}"
        for name, value in old.items()
        if name.lower() not in OF_THE_MUXER | {"comment", "duration"} | statistics
        and not name.startswith("_STATISTICS")
        and known.get(name.lower()) != value
    ]
