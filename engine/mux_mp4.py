"""Join the segments and carry over everything else: MP4, whose ticks need not be a Matroska scale.

mkvmerge gives the frames their timestamps in microseconds; ffmpeg then writes them in the source's own time scale.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import lcm
from pathlib import Path

from engine import mkvmerge
from engine.errors import InputError, ProcessingError, UsageError
from engine.ffmpeg import COMMON, EPISODE_FORMATS, MATROSKA, descriptor_url, fenced
from engine.files import fault_in_message, storing
from engine.mux import Timing, join_segments
from engine.probe import TAG, EpisodeInfo, Stream
from engine.process import run
from engine.segments import Segment
from engine.settings import EncoderSettings, Limits
from engine.source import Source

_AUDIO = frozenset({"aac", "ac3", "eac3", "mp3", "alac", "opus", "flac", "dts", "truehd", "mp2"})
_MOST_TICKS = 2**31 - 1
"""In a second: what ffmpeg's options take."""


def mp4_problems(info: EpisodeInfo, encoder: EncoderSettings) -> list[str]:
    """What of an episode an MP4 cannot carry, one line each."""
    problems = ["the enlarged video (FFV1)"] if encoder.name == "ffv1" else []
    problems += [info.spatial] if info.spatial else []
    for stream in info.streams:
        fits = {
            "video": True,
            "audio": stream.codec in _AUDIO or info.container == "mp4",
            "subtitle": stream.codec == "mov_text" or info.container == "mp4",
            "picture": info.container == "mp4",
            "data": _rewritten(stream),
        }.get(stream.kind, False)
        if not fits:
            problems.append(f"stream {stream.index} ({stream.kind}, {stream.codec})")
    return problems


def check_mp4(info: EpisodeInfo, source: Source, encoder: EncoderSettings, limits: Limits) -> None:
    """Raise `InputError` for an episode with what an MP4 cannot carry: nothing is left behind silently.

    Raises `UsageError` for an encoder that it cannot carry.
    """
    if info.container == "mkv" and _is_cropped(info, source, limits):  # which ffprobe does not tell
        raise InputError(
            "has what an .mp4 cannot carry: the edges that players cut off (cropping)",
            remedy="set `container: mkv` in the profile",
            path=source.path,
        )
    problems = mp4_problems(info, encoder)
    if not problems:
        return
    kind = UsageError if encoder.name == "ffv1" else InputError
    raise kind(
        f"has what an .mp4 cannot carry: {', '.join(problems)}",
        remedy="set `container: mkv` in the profile, or `unfit: mkv` to choose .mkv only for such files",
        path=source.path,
    )


def _is_cropped(info: EpisodeInfo, source: Source, limits: Limits) -> bool:
    tracks = mkvmerge.identify(source.fd, silence_s=limits.silence_s, subject=source.path)["tracks"]
    video = [track for track in tracks if track["type"] == "video"][info.video_number - 1]
    return "cropping" in video["properties"]


def _rewritten(stream: Stream) -> bool:
    """Whether ffmpeg writes a data stream anew: chapters' text, and the time code from its tag."""
    return stream.kind == "data" and stream.codec_tag in {"text", "tmcd"}


def mux_mp4(
    segments: Sequence[Segment],
    *,
    source: Source,
    info: EpisodeInfo,
    timing: Timing,
    output_fd: int,
    work_dir: Path,
    codec_tag: str | None,
    tag: str,
    damaged: bool,
    limits: Limits,
) -> list[str]:
    """Write the finished episode into `output_fd`; mkvmerge's warnings. `codec_tag`: the video's, if not ffmpeg's own.

    `damaged`: whether what ffmpeg complains of in the source is known, and accepted.
    `check_mp4` must have passed. Raises `ProcessingError`, `EnvironmentFault` (disk full).
    """
    joined = work_dir / "video.mkv"
    with storing(joined):
        joined_fd = os.open(joined, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        warnings = join_segments(
            segments,
            timing=timing,
            output_fd=joined_fd,
            work_dir=work_dir,
            limits=limits,
            subject=source.path,
        )
        argv = _mp4_command(
            source,
            info,
            joined_fd=joined_fd,
            output_fd=output_fd,
            codec_tag=codec_tag,
            tag=tag,
            limits=limits,
        )
        _, child = run(
            argv,
            silence_s=limits.silence_s,
            subject=source.path,
            pass_fds=(source.fd, joined_fd, output_fd),
            writes=True,
        )
        if child.status != 0 or (child.error_lines and not damaged):
            raise fault_in_message(child.messages, source.path) or ProcessingError(
                f"ffmpeg could not write the .mp4:\n{child.messages}",
                remedy="set `container: mkv` in the profile",
                path=source.path,
            )
    finally:
        os.close(joined_fd)
        joined.unlink(missing_ok=True)
    return warnings


def _mp4_command(
    source: Source,
    info: EpisodeInfo,
    *,
    joined_fd: int,
    output_fd: int,
    codec_tag: str | None,
    tag: str,
    limits: Limits,
) -> list[str]:
    """Written out: ffmpeg-python orders inputs by itself, and the metadata are named by the number of the input."""
    argv = ["ffmpeg", *COMMON, "-progress", "pipe:1", "-y", "-copyts"]
    for fd, formats in ((joined_fd, MATROSKA), (source.fd, EPISODE_FORMATS)):
        for name, value in fenced(limits, formats=formats).items():
            argv += [f"-{name}", value]
        argv += ["-i", descriptor_url(fd)]
    argv += ["-c", "copy", "-map_metadata", "1", "-map_chapters", "1", "-strict", "experimental"]
    carried = [stream for stream in info.streams if not _rewritten(stream)]
    for position, stream in enumerate(carried):
        is_video = stream.index == info.video_index
        argv += ["-map", "0:0" if is_video else f"1:{stream.index}"]
        argv += [f"-map_metadata:s:{position}", f"1:s:{stream.index}"]
        argv += [f"-disposition:{position}", "+".join(sorted(stream.disposition)) or "0"]
        if is_video and codec_tag:
            argv += [f"-tag:{position}", codec_tag]
        if is_video and info.rotation:
            argv += [f"-metadata:s:{position}", f"rotate={info.rotation % 360}"]
    comment = next((value for name, value in info.tags.items() if name.lower() == "comment"), "")
    argv += ["-metadata", f"comment={comment}\n{TAG}={tag}" if comment else f"comment={TAG}={tag}"]
    ticks = info.time_base.denominator
    # In the movie's ticks an edit list tells when a track begins: ffmpeg's default, a millisecond, would move it.
    movie_ticks = lcm(ticks, 1000) if lcm(ticks, 1000) <= _MOST_TICKS else ticks
    argv += ["-video_track_timescale", str(ticks), "-movie_timescale", str(movie_ticks)]
    argv += ["-f", "mp4", descriptor_url(output_fd)]
    return argv
