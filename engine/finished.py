"""The finished file: segments joined, everything else carried over, flushed; by mkvmerge or by ffmpeg."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.encode import Video
from engine.files import storing
from engine.mux import Timing, mux_matroska
from engine.mux_mp4 import mux_mp4
from engine.packets import PacketScan
from engine.probe import EpisodeInfo
from engine.segments import Segment
from engine.settings import Container, EncoderSettings, Limits
from engine.source import Source


def write_episode(
    source: Source,
    info: EpisodeInfo,
    packets: PacketScan,
    segments: list[Segment],
    *,
    part: Path,
    timing: Timing,
    video: Video,
    container: Container,
    encoder: EncoderSettings,
    work_dir: Path,
    tag: str,
    ass_layout: bool,
    damaged: bool,
    limits: Limits,
) -> list[str]:
    """Write the finished file, flushed; the muxer's warnings. Opened here, so that no name misleads a child."""
    with _created(part) as output_fd:
        if container is Container.MP4:
            return mux_mp4(
                segments,
                source=source,
                info=info,
                timing=timing,
                output_fd=output_fd,
                work_dir=work_dir,
                codec_tag="hvc1" if encoder.name in {"x265", "nvenc-hevc"} else None,
                tag=tag,
                damaged=damaged,
                limits=limits,
            )
        return mux_matroska(
            segments,
            source=source,
            info=info,
            packets=packets,
            timing=timing,
            output_fd=output_fd,
            output_size=video.size,
            work_dir=work_dir,
            tag=tag,
            ass_layout=ass_layout,
            limits=limits,
        )


@contextmanager
def _created(part: Path) -> Iterator[int]:
    with storing(part):
        fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        yield fd
        with storing(part):
            os.fsync(fd)
    finally:
        os.close(fd)
