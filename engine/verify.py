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
from engine.packets import PacketScan, scan_packets
from engine.probe import OF_THE_MUXER, TAG, EpisodeInfo, Stream, read_headers
from engine.settings import Limits
from engine.source import Source
from engine.verify_copies import copied_problem, linking_problem, time_problem

_MICROSECOND = Fraction(1, 1_000_000)
"""What mkvmerge counts in at the finest, on the way to an .mp4 too."""
_OFFSET_S = Fraction(2, 1000)
"""Chapters of an MP4 lie between its ticks."""


def verify_episode(
    result: Source,
    *,
    source: Source,
    info: EpisodeInfo,
    packets: PacketScan,
    video: Video,
    timing: Timing,
    damaged: bool,
    limits: Limits,
) -> list[str]:
    """Prove that `result` holds every frame at its time and every other stream of the source.

    Frames: as many packets as were decoded, with equal PTS in the source's time base (within 1 µs where the container
    changed, or where the time base is finer than that, which is told). Sound, cover pictures, other videos and
    subtitles: the same packets, by hash (text but for spaces at the end of a line), each at its time. Attachments: by
    hash. Chapters: titles and times; from Matroska to Matroska all that they say, and the UIDs of linked files.
    `packets` is the scan of the source; `damaged`: whether it is known to be damaged, so that all but the video may
    differ.
    Returns lesser differences (tags, dispositions), one line each. Raises `ProcessingError` for anything unproven.
    """
    wide = replace(limits, max_pixels=max(limits.max_pixels, video.size.pixels))
    found = read_headers(result, limits=wide, video_stream=info.video_number)
    scan = scan_packets(result.fd, found, limits=wide, subject=result.path)
    unproven = _video_problem(found, video) or _turn_problem(info, found) or _time_problem(scan, found, timing)
    others = _stream_problem(info, found, packets, scan) or _chapter_problem(info, found)
    if unproven is None and (others is None or damaged):
        others = others or copied_problem(source, info, result, found, limits=wide)
        others = others or linking_problem(source, info, result, found, limits=wide)
    if not damaged:
        unproven = unproven or others
    if unproven is not None:
        raise ProcessingError(
            f"the result does not hold what the source has, so it is not delivered: {unproven}",
            remedy="try again; if it happens each time, remux the source with mkvmerge first",
            path=source.path,
        )
    return [*([others] if others else []), *_differences(info, found)]


def _turn_problem(info: EpisodeInfo, found: EpisodeInfo) -> str | None:
    if found.rotation % 360 != info.rotation % 360:
        return f"turned by {found.rotation} degrees, not {info.rotation}"
    return None


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
    if base == timing.time_base and base >= _MICROSECOND:
        if scan.timestamps != timing.timestamps:
            return f"frame {_first_difference(scan.timestamps, timing.timestamps)} is shown at another time"
        return None
    for number, (got, wanted) in enumerate(zip(scan.timestamps, timing.timestamps, strict=True)):
        if abs(got * base - wanted * timing.time_base) > _MICROSECOND:
            return f"frame {number} is shown at {float(got * base)} s, not {float(wanted * timing.time_base)} s"
    return None


def _first_difference(one: array[int], other: array[int]) -> int:
    return next(number for number, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)


def pairs(info: EpisodeInfo, found: EpisodeInfo) -> list[tuple[Stream, Stream]]:
    """Streams of sound, subtitles and other videos of the source, each with its copy: in order within its kind."""
    matched = []
    for kind in ("audio", "subtitle", "video"):
        old = [s for s in info.streams if s.kind == kind and s.index != info.video_index]
        new = [s for s in found.streams if s.kind == kind and s.index != found.video_index]
        matched += list(zip(old, new, strict=False))
    return matched


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
    for old, new in pairs(info, found):
        if problem := time_problem(old, new, before, after):
            return problem
    return None


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
    if info.time_base < _MICROSECOND:
        lines.append(f"its times count in {info.time_base} s; frames are up to a microsecond beside them")
    if info.container != found.container or len(_carried(info)) != len(_carried(found)):
        return lines
    for old, new in pairs(info, found):
        if old.kind != "subtitle" and old.extradata_hash != new.extradata_hash:
            moved = " (mkvmerge moves the comments in it to the tags)" if old.codec == "vorbis" else ""
            lines.append(f"stream {old.index}: the header of its codec was written anew{moved}")
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
