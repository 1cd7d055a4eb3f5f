"""A trial before the work: can the muxer carry the first moments of the sound and subtitles of an MP4?

An MP4 may hold more than ffmpeg writes, and than mkvmerge makes sense of. After hours it would be told too late.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from engine.errors import InputError
from engine.ffmpeg import COMMON, EPISODE_FORMATS, descriptor_url, fenced, ffprobe, last_reason
from engine.mkvmerge import descriptor_path
from engine.probe import EpisodeInfo, Stream
from engine.process import run
from engine.settings import Container, Limits
from engine.source import Source
from engine.verify_copies import MPEG_AUDIO

_SECONDS = "0.5"


def check_carried(info: EpisodeInfo, source: Source, container: Container, limits: Limits) -> None:
    """Raise `InputError` where sound or subtitles of an MP4 would not come through into `container`."""
    carried = [stream for stream in info.streams if stream.kind in ("audio", "subtitle")]
    if info.container != "mp4" or container is Container.PNG or not carried:
        return
    with _scratch("short.mp4") as short:
        refusal = _write_mp4(source, carried, short, limits)
        if refusal and container is Container.MP4:
            raise InputError(
                f"has a stream that ffmpeg does not write into an .mp4: {refusal}",
                remedy="set `container: mkv` in the profile",
                path=source.path,
            )
        if refusal or container is Container.MP4:
            return
        with _scratch("short.mkv") as matroska:
            argv = ["mkvmerge", "--quiet", "--output", descriptor_path(matroska), descriptor_path(short)]
            run(argv, silence_s=limits.silence_s, subject=source.path, pass_fds=(short, matroska), writes=True)
            lost = _codecs(short, source, limits) - _codecs(matroska, source, limits)
        if lost:
            raise InputError(
                f"has a stream that mkvmerge does not carry into an .mkv: {', '.join(sorted(lost))}",
                remedy="set `container: same` in the profile",
                path=source.path,
            )


def _write_mp4(source: Source, streams: list[Stream], fd: int, limits: Limits) -> str:
    """The first moments of `streams` alone; why ffmpeg could not, "" where it could."""
    argv = ["ffmpeg", *COMMON, "-y", "-t", _SECONDS]
    for name, value in fenced(limits, formats=EPISODE_FORMATS).items():
        argv += [f"-{name}", value]
    argv += ["-i", descriptor_url(source.fd)]
    for stream in streams:
        argv += ["-map", f"0:{stream.index}"]
    argv += ["-c", "copy", "-map_chapters", "-1", "-strict", "experimental", "-f", "mp4", descriptor_url(fd)]
    _, child = run(argv, silence_s=limits.silence_s, subject=source.path, pass_fds=(source.fd, fd), writes=True)
    return "" if child.status == 0 else last_reason(child)


def _codecs(fd: int, source: Source, limits: Limits) -> Counter[str]:
    entries = ["-show_entries", "stream=codec_name", "-of", "csv=p=0"]
    said, _ = ffprobe(fd, entries=entries, limits=limits, subject=source.path)
    names = said.decode(errors="replace").split()
    return Counter("MPEG audio" if name in MPEG_AUDIO else name for name in names)


@contextmanager
def _scratch(name: str) -> Iterator[int]:
    """A file in memory."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
