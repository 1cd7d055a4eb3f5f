"""VMAF, Netflix's measure of what people see, by ffmpeg's filter libvmaf where ffmpeg was built with it."""

from __future__ import annotations

import functools
import json
import os
import re
import tempfile
from pathlib import Path

import ffmpeg

from engine.errors import ProcessingError, ToolError
from engine.ffmpeg import command, source_input
from engine.mkvmerge import descriptor_path
from engine.probe import read_headers
from engine.process import Child, run
from engine.progress import Progress, ProgressEvent
from engine.settings import Limits
from engine.source import open_source

_LONGEST_WORD = 4096


@functools.cache
def has_vmaf() -> bool:
    """Whether the ffmpeg that is installed has the filter. Debian's has not."""
    said, _ = run(["ffmpeg", "-hide_banner", "-filters"], silence_s=30, subject=Path("ffmpeg"))
    return re.search(rb"^ \S+ libvmaf +", said, re.MULTILINE) is not None


def vmaf(made: Path, wanted: Path, *, limits: Limits, progress: Progress) -> tuple[float, ...]:
    """The score of each frame, 0..100, by libvmaf's default model; frames are paired by their order.

    Raises `ToolError` without libvmaf, `InputError`, `ProcessingError`.
    """
    if not has_vmaf():
        raise ToolError("ffmpeg has no libvmaf", remedy="install an ffmpeg built with --enable-libvmaf")
    with open_source(made) as one, open_source(wanted) as other, tempfile.TemporaryFile() as log:
        infos = [read_headers(source, limits=limits) for source in (one, other)]
        pix_fmt = max((info.format for info in infos), key=lambda format_: format_.depth).pix_fmt
        # paired by their number, not their time; at one depth, which the filter does not see to
        streams = [
            source_input(source, limits)[str(info.video_index)]
            .filter("settb", "1/25")
            .filter("setpts", "N")
            .filter("format", pix_fmt)
            for source, info in zip((one, other), infos, strict=True)
        ]
        scored = ffmpeg.filter(
            streams, "libvmaf", log_fmt="json", log_path=descriptor_path(log.fileno()), n_threads=os.cpu_count() or 1
        )
        argv = command(scored.output("pipe:", f="null"), leading=["-progress", "pipe:1"])
        with Child(argv, silence_s=limits.silence_s, subject=made, pass_fds=(one.fd, other.fd, log.fileno())) as child:
            told = b""
            while chunk := child.read(child.stdout_fd, 1 << 16):
                told = (told + chunk)[-_LONGEST_WORD:]
                if found := re.findall(rb"frame=(\d+)\n", told):
                    progress(ProgressEvent("VMAF", int(found[-1]), infos[1].frames, "frames"))
            child.finish(check=False)
        if child.status != 0:
            raise ProcessingError(
                f"ffmpeg's libvmaf failed:\n{child.messages}", remedy="leave VMAF out (--no-vmaf)", path=made
            )
        log.seek(0)
        return tuple(float(frame["metrics"]["vmaf"]) for frame in json.load(log)["frames"])
