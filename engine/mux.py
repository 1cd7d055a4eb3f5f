"""Join the segments, give every frame its source's timestamp, and carry over everything else: Matroska.

mkvmerge takes all tracks but the video from the source as they are. The video track's own name, language, flags, tags,
UID, default duration and place among the tracks belong to the picture that was replaced, and are set one by one.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from engine import mkvmerge
from engine.ass_layout import add_layout
from engine.errors import InputError
from engine.files import write_durably
from engine.packets import PacketScan
from engine.probe import OF_THE_MUXER, TAG, EpisodeInfo
from engine.segments import Segment
from engine.settings import Limits, Size
from engine.source import Source
from engine.video_track import video_header, video_tags

_NANOSECOND = Fraction(1, 1_000_000_000)
_SEGMENT_UIDS = {"segment_uid": "segment-uid", "previous_segment_uid": "prev-uid", "next_segment_uid": "next-uid"}
"""By which the files of a linked set find each other: in mkvmerge's JSON, and as mkvpropedit sets them."""

_MICROSECOND_SCALE = 1000
_SCALES = (1000, 10_000_000)
"""Timestamp scales that mkvmerge writes, in nanoseconds."""


@dataclass(frozen=True)
class Timing:
    """When each frame is shown: PTS in the source's time base, strictly increasing; and how long the last one is."""

    timestamps: array[int]
    time_base: Fraction
    last_duration: int

    def write(self, path: Path) -> None:
        """Write timestamp format v2: milliseconds, to the nanosecond; the last line is where the last frame ends."""
        lines = ["# timestamp format v2"]
        ends = self.timestamps[-1] + self.last_duration
        for ticks in (*self.timestamps, ends):
            nanoseconds = round(ticks * self.time_base / _NANOSECOND)
            lines.append(f"{nanoseconds // 1_000_000}.{nanoseconds % 1_000_000:06}")
        write_durably(path, ("\n".join(lines) + "\n").encode())


def timing_of(info: EpisodeInfo, packets: PacketScan, timestamps: array[int]) -> Timing:
    """The timing of an episode whose frames are shown at `timestamps`."""
    return Timing(
        timestamps, info.time_base, packets.last_duration or max(1, round(1 / info.frame_rate / info.time_base))
    )


def timestamp_scale(info: EpisodeInfo) -> int:
    """The Matroska timestamp scale in nanoseconds: the source's own, 1 µs for what came in another container."""
    scale = info.time_base / _NANOSECOND
    if info.container != "mkv":
        return _MICROSECOND_SCALE
    if scale.denominator != 1 or not _SCALES[0] <= scale <= _SCALES[1]:
        raise InputError(
            f"its timestamps count in {float(info.time_base):g} s, which mkvmerge cannot write",
            remedy="remux it with mkvmerge first",
        )
    return int(scale)


def check_matroska(info: EpisodeInfo, source: Source) -> None:
    """Raise `InputError` for an episode that mkvmerge would not carry whole: nothing is left behind silently."""
    timestamp_scale(info)
    for stream in info.streams:
        if stream.codec == "mov_text" or (stream.kind == "data" and info.container == "mkv"):
            raise InputError(
                f"has a stream that mkvmerge does not carry: {stream.index} ({stream.kind}, {stream.codec})",
                remedy="set `container: same` in the profile",
                path=source.path,
            )
        if info.container == "mkv" and re.fullmatch(r"pcm_[sf]\d+be", stream.codec):
            raise InputError(
                f"its sound is big-endian PCM (stream {stream.index}), of which mkvmerge makes little-endian",
                remedy="let mkvmerge do that first: mkvmerge -o NEW.mkv FILE",
                path=source.path,
            )


def join_segments(
    segments: Sequence[Segment], *, timing: Timing, output_fd: int, work_dir: Path, limits: Limits, subject: Path
) -> list[str]:
    """The video alone as a Matroska file with microsecond timestamps: a step on the way to an MP4."""
    timestamps = work_dir / "timestamps.txt"
    timing.write(timestamps)
    arguments = ["--timestamp-scale", str(_MICROSECOND_SCALE), "--disable-track-statistics-tags"]
    arguments += ["--timestamps", f"0:{timestamps}", *_appended(segments)]
    return mkvmerge.merge(
        arguments,
        output_fd=output_fd,
        pass_fds=(),
        opened=len(segments),
        silence_s=limits.silence_s,
        subject=subject,
    )


def mux_matroska(
    segments: Sequence[Segment],
    *,
    source: Source,
    info: EpisodeInfo,
    packets: PacketScan,
    timing: Timing,
    output_fd: int,
    output_size: Size,
    work_dir: Path,
    tag: str,
    ass_layout: bool,
    limits: Limits,
) -> list[str]:
    """Write the finished episode into `output_fd`; mkvmerge's warnings. `packets`: the scan of the source.

    `ass_layout`: whether ASS subtitles are told the source's size (`engine.ass_layout`).

    Raises `ProcessingError`, `EnvironmentFault` (disk full), `InputError` (timestamps that Matroska cannot hold).
    """
    identified = mkvmerge.identify(source.fd, silence_s=limits.silence_s, subject=source.path)
    tracks: list[dict[str, Any]] = identified["tracks"]
    videos = [track for track in tracks if track["type"] == "video"]
    video = videos[info.video_number - 1]
    properties: dict[str, Any] = video["properties"]
    timestamps, own_tags, global_tags = (
        work_dir / name for name in ("timestamps.txt", "video_tags.xml", "global_tags.xml")
    )
    timing.write(timestamps)
    write_durably(own_tags, mkvmerge.tags_document(*video_tags(source, info, properties, segments[0], limits)))
    foreign = {} if info.container == "mkv" else {n: v for n, v in info.tags.items() if n not in OF_THE_MUXER}
    document = [mkvmerge.simple_tag(TAG, tag)]
    document += [mkvmerge.simple_tag(name.upper(), value) for name, value in foreign.items() if name != "title"]
    write_durably(global_tags, mkvmerge.tags_document(*document))

    had_statistics = any("_STATISTICS_TAGS" in name for s in info.streams for name in s.tags)
    arguments = ["--timestamp-scale", str(timestamp_scale(info)), "--global-tags", str(global_tags)]
    if not had_statistics:
        arguments.append("--disable-track-statistics-tags")
    arguments += ["--video-tracks", f"!{video['id']}"] if len(videos) > 1 else ["--no-video"]
    words, delays = _explicit_times(tracks, video, info, packets, work_dir)
    arguments += words
    arguments += [mkvmerge.descriptor_path(source.fd), *video_header(properties, info, output_size)]
    arguments += ["--timestamps", f"0:{timestamps}", "--tags", f"0:{own_tags}", *_appended(segments)]
    order = ["1:0" if track is video else f"0:{track['id']}" for track in tracks]
    arguments += ["--track-order", ",".join(order)]
    warnings = mkvmerge.merge(
        arguments,
        output_fd=output_fd,
        pass_fds=(source.fd,),
        opened=len(segments) + 1,
        silence_s=limits.silence_s,
        subject=source.path,
    )
    edits = []
    for position, delay_ns in delays.items():
        edits += ["--edit", f"track:{position + 1}", "--set", f"codec-delay={delay_ns}"]
    edits += ["--edit", f"track:{tracks.index(video) + 1}"]
    if "default_duration" in properties:
        edits += ["--set", f"default-duration={properties['default_duration']}"]
    else:
        edits += ["--delete", "default-duration"]
    if info.container == "mkv" and properties.get("uid"):
        edits += ["--set", f"track-uid={properties['uid']}"]
    container: dict[str, Any] = identified["container"]["properties"]
    kept = {option: container[name] for name, option in _SEGMENT_UIDS.items() if name in container}
    if "title" in foreign:
        # not by mkvmerge's --title: an argument that begins with @ is read as a file of options
        kept["title"] = foreign["title"]
    if kept:
        edits += ["--edit", "info", *(word for name, value in kept.items() for word in ("--set", f"{name}={value}"))]
    mkvmerge.edit(output_fd, edits, silence_s=limits.silence_s, subject=source.path)
    if ass_layout:
        add_layout(output_fd, info.size, subject=source.path)
    return warnings


def _explicit_times(
    tracks: Sequence[Mapping[str, Any]],
    video: Mapping[str, Any],
    info: EpisodeInfo,
    packets: PacketScan,
    work_dir: Path,
) -> tuple[list[str], dict[int, int]]:
    """mkvmerge's options that give copied tracks the times they have, where mkvmerge would change them.

    It overlooks the edit lists of an MP4. Where it laces sound that was not laced, all but the first packet of a lace
    are up to 2 ms beside their times. Vorbis, whose packets differ in length, it counts anew from the first: 97 ms
    beside its time after a gap of 7 s, and 3 ms within a lace (tried with version 74).
    Sound that begins before zero (the samples that an encoder needs to get going) begins at zero and gets that much as
    codec delay, by which players and ffmpeg shift it back. Returned with it: the track's position, and nanoseconds.
    """
    words: list[str] = []
    sound = [packets.streams[s.index] for s in info.streams if s.kind == "audio" and s.index in packets.streams]
    laced = any(there.laced for there in sound)
    delays: dict[int, int] = {}
    for kind in ("audio", "video"):
        streams = [stream for stream in info.streams if stream.kind == kind]
        found = [track for track in tracks if track["type"] == kind]
        for stream, track in zip(streams, found, strict=True):
            there = packets.streams.get(stream.index)
            if track is video or there is None or not there.timestamps:
                continue
            if info.container == "mkv" and stream.codec != "vorbis":
                continue
            laced &= stream.codec != "vorbis"
            first = min(there.timestamps)
            shift = max(0, -first)
            if shift:
                delays[tracks.index(track)] = round(shift * stream.time_base / _NANOSECOND)
            times = array("q", sorted(pts + shift for pts in there.timestamps))
            path = work_dir / f"timestamps_{track['id']}.txt"
            Timing(times, stream.time_base, max(1, there.end + shift - times[-1])).write(path)
            words += ["--timestamps", f"{track['id']}:{path}"]
    return [*([] if laced else ["--disable-lacing"]), *words], delays


def _appended(segments: Sequence[Segment]) -> list[str]:
    """The segments as one track, without the tags that ffmpeg put into each."""
    words: list[str] = []
    for segment in segments:
        words += ["+"] if words else []
        words += ["--no-global-tags", "--no-track-tags", "--no-chapters", str(segment.path.absolute())]
    return words
