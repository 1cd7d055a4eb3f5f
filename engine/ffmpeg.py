"""What every call of ffmpeg and ffprobe shares: the argument list, and the fences around hostile input (promise 7).

Graphs are built with ffmpeg-python and compiled to argument lists; nothing goes through a shell. Inputs are opened by
ffmpeg as `file:` addresses only, by the demuxers of Matroska and MP4 only: an ffconcat or HLS script named `.mkv` would
otherwise read any file beside it, `-protocol_whitelist` or not.
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ffmpeg

from engine.errors import InputError
from engine.process import Child, run, tool_version
from engine.settings import Limits
from engine.source import Source

MATROSKA = "matroska,webm"
MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
EPISODE_FORMATS = f"{MATROSKA},{MP4}"
"""The demuxers that may open a source, by ffmpeg's names."""

_LOG_LEVEL = "repeat+level+warning"
COMMON = ("-nostdin", "-hide_banner", "-nostats", "-loglevel", _LOG_LEVEL)
"""Leads every call of ffmpeg: it asks nothing, and says only what matters, each line with its level."""


@functools.cache
def ffmpeg_release() -> int:
    """The major version of the installed ffmpeg. One without a number, built from its repository, is newer than all."""
    told = re.match(r"ffmpeg version n?(\d+)\.\d", tool_version("ffmpeg"))
    return int(told[1]) if told is not None else sys.maxsize


def fenced(limits: Limits, *, formats: str = EPISODE_FORMATS) -> dict[str, str]:
    """Input options that keep ffmpeg to local files, to `formats`, and to frames near the limit.

    The exact limit is the probe's to hold: it reads the width and height that the header tells.
    """
    return {
        "protocol_whitelist": "file,pipe",
        "format_whitelist": formats,
        # ffmpeg counts what it allocates, padding included
        "max_pixels": str(min(limits.max_pixels * 9 // 8 + 65_536, 2**31 - 1)),
    }


def file_url(path: Path | str) -> str:
    """`path` as ffmpeg's `file:` address: never taken for another protocol or an option."""
    return f"file:{Path(path).absolute()}"


def descriptor_url(fd: int) -> str:
    """An inherited descriptor as a `file:` address: whatever its name is, and wherever that leads by now."""
    return f"file:/proc/self/fd/{fd}"


def source_input(source: Source, limits: Limits, **options: Any) -> Any:
    """The ffmpeg-python input node of a source; the child must inherit `source.fd`."""
    return ffmpeg.input(descriptor_url(source.fd), **fenced(limits), **options)


def command(*outputs: Any, leading: Sequence[str] = ()) -> list[str]:
    """The argument list of ffmpeg for one or more ffmpeg-python outputs of one graph."""
    graph = outputs[0] if len(outputs) == 1 else ffmpeg.merge_outputs(*outputs)
    return ["ffmpeg", *COMMON, *leading, *ffmpeg.get_args(graph)]


def ffprobe(
    fd: int, *, entries: Sequence[str], limits: Limits, subject: Path, formats: str = EPISODE_FORMATS
) -> tuple[bytes, Child]:
    """Run ffprobe on an open descriptor. Returns its stdout and the ended child (its status is not judged)."""
    options = [word for name, value in fenced(limits, formats=formats).items() for word in (f"-{name}", value)]
    argv = ["ffprobe", "-hide_banner", "-loglevel", _LOG_LEVEL, *options, *entries, descriptor_url(fd)]
    return run(argv, silence_s=limits.silence_s, subject=subject, pass_fds=(fd,))


def ffprobe_json(fd: int, *, entries: Sequence[str], limits: Limits, subject: Path) -> dict[str, Any]:
    """What ffprobe reports of an open descriptor. Raises `InputError` where it cannot read it."""
    said, child = ffprobe(fd, entries=["-of", "json", *entries], limits=limits, subject=subject)
    if "max pixel count" in child.messages:
        raise InputError(
            f"its frames are over the limit of {limits.max_pixels} pixels",
            remedy="raise limits.max_pixels in the configuration if this is meant",
            path=subject,
        )
    if child.status != 0:
        raise InputError(
            f"is damaged or not an episode: {last_reason(child)}",
            remedy="give a complete .mkv or .mp4; a damaged one may be repaired by remuxing it with mkvmerge",
            path=subject,
        )
    found: dict[str, Any] = json.loads(said.decode(errors="replace"))
    return found


def last_reason(child: Child) -> str:
    """The first complaint of ffmpeg or ffprobe without its `[demuxer @ 0x…] [error]` prefix, on one line."""
    lines = [child.first_error] if child.first_error else child.messages.splitlines()
    reason = lines[0].rsplit("[error] ", 1)[-1] if lines else f"{child.name} gives no reason"
    return reason.replace(f"{descriptor_url(0)[:-1]}", "file ")
