"""An episode as numbered pictures: RGB PNG frames and a `timecodes.txt` (timestamp format v2) in a folder.

The segments are lossless FFV1 then; here they become RGB by zimg (ffmpeg's zscale), in float, with the matrix, range
and chroma siting named: nothing is left to a guess by height.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import ffmpeg

from engine.encode import Video
from engine.errors import ProcessingError, ToolError
from engine.ffmpeg import MATROSKA, command, fenced, file_url
from engine.files import flush_folder, storing
from engine.mux import Timing
from engine.process import run
from engine.segments import Segment
from engine.settings import Limits

PATTERN = "frame_%06d.png"
TIMECODES = "timecodes.txt"
_PNG_BEGIN, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xae\x42\x60\x82"
_SD_LINES = 576
_TURNS: dict[int, tuple[tuple[str, ...], ...]] = {
    0: (),
    90: (("transpose", "cclock"),),
    180: (("hflip",), ("vflip",)),
    -90: (("transpose", "clock"),),
}


def frame_name(number: int) -> str:
    """The name of a frame, counted from 1."""
    return PATTERN % number


def write_frames(
    segments: Sequence[Segment],
    *,
    video: Video,
    timing: Timing,
    folder: Path,
    source_lines: int,
    rotation: int,
    limits: Limits,
) -> None:
    """Write every frame of the segments into `folder`, which must not exist, and the timecodes; all flushed.

    `source_lines`: the height of the source, which tells BT.601 from BT.709 where no tag does. `rotation`: degrees
    counter-clockwise by which a player would turn the frames (`EpisodeInfo.rotation`); here they are turned.
    Raises `ProcessingError`, `EnvironmentFault` (disk full), `ToolError` (ffmpeg without zimg).
    """
    with storing(folder):
        folder.mkdir()
    first = 1
    for segment in segments:
        argv = _command(segment.path, video, first=first, source_lines=source_lines, rotation=rotation, limits=limits)
        _, child = run(argv, silence_s=limits.silence_s, subject=folder, writes=True, folder=folder)
        if "zscale" in child.messages and "No such filter" in child.messages:
            raise ToolError(
                "this ffmpeg has no zscale filter (zimg), which turns frames into pictures",
                remedy="install Debian's or another ffmpeg that is built with --enable-libzimg",
            )
        if child.status != 0 or child.error_lines:
            raise child.failed("could not write the frames")
        for number in range(first, first + segment.frames):
            _check_and_flush(folder / frame_name(number))
        first += segment.frames
    if (folder / frame_name(first)).exists():
        raise ProcessingError("more frames were written than decoded", remedy="try again", path=folder)
    timing.write(folder / TIMECODES)
    with storing(folder):
        flush_folder(folder)


def _check_and_flush(frame: Path) -> None:
    """A PNG that begins and ends as one, on the disk."""
    try:
        with storing(frame), frame.open("rb") as file:
            begin = file.read(len(_PNG_BEGIN))
            file.seek(-len(_PNG_END), os.SEEK_END)
            if begin == _PNG_BEGIN and file.read() == _PNG_END:
                os.fsync(file.fileno())
                return
    except FileNotFoundError:
        pass
    raise ProcessingError(f"{frame.name} was not written whole", remedy="try again", path=frame)


def _command(segment: Path, video: Video, *, first: int, source_lines: int, rotation: int, limits: Limits) -> list[str]:
    format_, colors = video.format, video.colors
    deep = format_.depth > 8
    known = {"rangein": "full" if format_.full_range else "limited", "range": "full"}
    if format_.chroma_shift is None:
        pictures = planes = "gray16be" if deep else "gray"
    else:
        pictures = "rgb48be" if deep else "rgb24"
        planes = "gbrp16le" if deep else "gbrp"
        known["matrixin"] = colors.matrix or ("smpte170m" if source_lines <= _SD_LINES else "bt709")
        known["matrix"] = "gbr"
        known["chromalin"] = format_.chroma_location
        known["filter"] = "bicubic"
    frames = ffmpeg.input(file_url(segment), **fenced(_wide(limits, video), formats=MATROSKA)).filter("zscale", **known)
    frames = frames.filter("format", planes)
    for turn in _TURNS[rotation]:
        frames = frames.filter(*turn)
    graph = frames.output(
        PATTERN, f="image2", vcodec="png", pix_fmt=pictures, start_number=first, fps_mode="passthrough"
    )
    return command(graph, leading=["-progress", "pipe:1"])


def _wide(limits: Limits, video: Video) -> Limits:
    """The limits, wide enough for the enlarged frames, which are our own."""
    return Limits(
        max_pixels=max(limits.max_output_pixels, video.size.pixels),
        max_output_pixels=limits.max_output_pixels,
        silence_s=limits.silence_s,
    )
